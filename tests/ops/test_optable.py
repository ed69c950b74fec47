"""Every operation of the table: value, dtype, gradients, memory layouts, refusals."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from on_devices import drawn

import tinycnn
from tinycnn.testing import gradcheck, gradgradcheck, strategies
from tinycnn.testing.coverage import base_name, find
from tinycnn.testing.optable import OPS

NAMES = [op.name for op in OPS]
SAMPLES = [pytest.param(op, sample, id=f"{op.name}-{i}") for op in OPS for i, sample in enumerate(op.samples)]


def test_names_are_unique():
    assert len(set(NAMES)) == len(NAMES) > 60


def test_names_are_those_of_functions():
    for op in OPS:
        thing = find(base_name(op))
        assert callable(thing) or isinstance(thing, property), op.name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("op", "sample"), SAMPLES)
def test_value_and_dtype(op, sample, dtype):
    inputs = drawn(op, sample, dtype)
    result = op.function(*[tinycnn.tensor(x) for x in inputs]).numpy()
    expected = np.asarray(op.reference(*[x.astype(np.float64) for x in inputs]))
    assert result.shape == expected.shape
    if expected.dtype.kind == "f" and op.name not in ("Tensor.to: dtype", "float_power"):
        assert result.dtype == dtype
    tolerance = 2e-5 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("op", "sample"), SAMPLES)
def test_gradients(op, sample):
    if not op.gradient:
        return
    inputs = tuple(tinycnn.tensor(x, requires_grad=True) for x in drawn(op, sample, np.float64, 1))
    assert gradcheck(op.function, inputs)
    if op.second:
        assert gradgradcheck(op.function, inputs, fast_mode=True)


@given(st.data())
def test_memory_layout_changes_nothing(data):
    op = data.draw(st.sampled_from(OPS))
    inputs = drawn(op, data.draw(st.sampled_from(op.samples)), np.float64, data.draw(st.integers(0, 99)))
    plain = [tinycnn.tensor(x, requires_grad=op.gradient) for x in inputs]
    strided = []
    for x in inputs:
        layout = data.draw(st.sampled_from([kind for kind in strategies.LAYOUTS if kind != "broadcast"]))
        order = list(data.draw(st.permutations(range(x.ndim))))
        strided.append(tinycnn.from_numpy(strategies.lay_out(x, layout, order)).requires_grad_(op.gradient))
    a, b = op.function(*plain), op.function(*strided)
    np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=1e-12, atol=1e-12)
    if op.gradient:
        for result in (a, b):
            result.sum().backward()
        for x, y in zip(plain, strided, strict=True):
            np.testing.assert_allclose(y.grad.numpy(), x.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("op", OPS, ids=NAMES)
def test_refusals(op):
    for call, error, text in op.refuses:
        with pytest.raises(error, match=text), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()


@given(strategies.conv_specs(), st.integers(0, 2**32 - 1))
def test_convolution_gradients_over_the_whole_space(spec, seed):
    rng = np.random.default_rng(seed)
    x, w = (tinycnn.tensor(rng.standard_normal(s), requires_grad=True) for s in (spec.input_shape, spec.weight_shape))
    (top, _), (left, _) = spec.padding
    if spec.padding != ((top, top), (left, left)):
        padding = "same"
    else:
        padding = (top, left)
    assert gradcheck(
        lambda x, w: tinycnn.conv2d(x, w, None, spec.stride, padding, spec.dilation, spec.groups),
        (x, w),
        fast_mode=True,
    )


@given(strategies.broadcastable(), st.sampled_from([tinycnn.add, tinycnn.mul, tinycnn.sub]))
def test_broadcasting_sums_the_gradient_back(shapes, op):
    rng = np.random.default_rng(0)
    a, b = (tinycnn.tensor(rng.standard_normal(s), requires_grad=True) for s in shapes)
    assert gradcheck(op, (a, b))
