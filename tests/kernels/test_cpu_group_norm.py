"""Group and layer norm's kernels against the readable ones, around the borders of runs, strips and parts."""

import numpy as np
import pytest

import tinycnn
from tinycnn.kernels.cpu import group_norm, threads
from tinycnn.kernels.reference import group_norm as reference
from tinycnn.nn import functional as F
from tinycnn.testing import gradgradcheck

EPS = 1e-3


def draw(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x, gy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    weight, bias = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    return x + dtype(0.5), gy, weight, bias


def results(module, shape, groups, dtype, wide=False):
    """y, the moments and all gradients; `wide`: in float64, of the same numbers."""
    x, gy, weight, bias = (a.astype(np.float64) if wide else a for a in draw(shape, dtype))
    y, mean, rstd = module.group_norm(x, weight, bias, groups, EPS)
    found = [y, mean, rstd, *module.group_norm_grad(gy, x, mean, rstd, weight, groups)]
    if shape[2] == 1 and groups == 1:
        rows = gy[:, :, 0], x[:, :, 0]
        y, rstd = module.rms_norm(rows[1], weight, EPS)
        found += [y, rstd, *module.rms_norm_grad(*rows, rstd, weight)]
    return found


def check(shape, groups, dtype):
    count = shape[0] * shape[2]  # of the numbers that a gradient of a weight adds up
    for a, b in zip(
        results(group_norm, shape, groups, dtype), results(reference, shape, groups, dtype, True), strict=True
    ):
        assert a.dtype == dtype and a.shape == b.shape
        tolerance = (2e-6 if dtype == np.float32 else 1e-14) * (20 + np.sqrt(count))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


RUN, SHORT, STRIP, WIDE = group_norm.RUN, group_norm.SHORT, group_norm.STRIP, group_norm.WIDE


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("depth", [1, 2, 15, 16, 17, 63, 65, 300])
def test_rows(depth, dtype):
    check((group_norm.UNITS + 1, depth, 1), 1, dtype)
    check((3, 2 * depth, 1), 2, dtype)


@pytest.mark.parametrize("depth", [WIDE - 1, WIDE, WIDE + 1, WIDE + STRIP - 1, 2 * RUN + 70])
def test_wide_rows(depth):
    check((3, depth, 1), 1, np.float32)
    check((2, 2 * depth, 1), 2, np.float64)


@pytest.mark.parametrize("batch", [1, group_norm.UNITS * group_norm.FLUSH + 1, 3 * group_norm.FLUSH])
def test_sums_over_many_rows(batch):
    check((batch, 5, 1), 1, np.float32)
    check((batch, 5, 1), 5, np.float32)


def test_strips_of_columns_over_many_rows():
    check((group_norm.FLUSH + 3, WIDE + 7, 1), 1, np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [2, SHORT - 1, SHORT, SHORT + 1, 49, 65, RUN - 1, RUN + 1])
@pytest.mark.parametrize("groups", [1, 3, 6])
def test_channels(length, groups, dtype):
    check((3, 6, length), groups, dtype)


@pytest.mark.parametrize("shape", [(0, 4, 3), (3, 4, 0), (0, 4, 1)])
def test_without_elements(shape):
    for ours, theirs in zip(
        results(group_norm, shape, 1, np.float32), results(reference, shape, 1, np.float32), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(4, 8, 50), (4, 400, 1), (4, 100, 4)])
def test_a_mean_far_from_zero_and_a_first_element_far_from_the_mean_cost_no_digits(shape):
    x, _, weight, bias = draw(shape, np.float32)
    x = (x + 3000).astype(np.float32)
    x[1, 0, 0] = 0
    _, mean, rstd = group_norm.group_norm(x, weight, bias, 1, EPS)
    wide = x.reshape(4, -1).astype(np.float64)
    np.testing.assert_allclose(mean[:, 0], wide.mean(axis=1), rtol=1e-7)
    np.testing.assert_allclose(rstd[:, 0], 1 / np.sqrt(wide.var(axis=1) + EPS), rtol=5e-6)


@pytest.mark.parametrize("shape", [(4, 6, 64), (4, 6, 1)])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_stay_in_their_group(shape, bad):
    x, gy, weight, bias = draw(shape, np.float32)
    x[1, 0] = bad
    y, mean, rstd = group_norm.group_norm(x, weight, bias, 2, EPS)
    gx, gweight, gbias = group_norm.group_norm_grad(gy, x, mean, rstd, weight, 2)
    for a in (y, gx):
        assert np.isnan(a[1, :3]).all() and np.isfinite(a[1, 3:]).all() and np.isfinite(a[[0, 2, 3]]).all()
    assert np.isnan(gweight[:3]).all() and np.isfinite(gweight[3:]).all() and np.isfinite(gbias).all()


@pytest.mark.parametrize(("shape", "groups"), [((70, 300, 1), 1), ((9, WIDE, 1), 1), ((9, 16, 100), 4)])
def test_bits_do_not_depend_on_threads(shape, groups):
    before = threads.get_num_threads()
    found = set()
    try:
        for n in range(1, before + 1):
            threads.set_num_threads(n)
            found.add(b"".join(a.tobytes() for a in results(group_norm, shape, groups, np.float32)))
    finally:
        threads.set_num_threads(before)
    assert len(found) == 1


def tensors(*shapes):
    rng = np.random.default_rng(1)
    return [tinycnn.tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]


FUNCTIONS = {
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (3, 2), w, b), (4, 3, 2), (3, 2), (3, 2)),
    "layer_norm without weights": (lambda x: F.layer_norm(x, (6,)), (2, 3, 6)),
    "layer_norm without bias": (lambda x, w: F.layer_norm(x, (6,), w), (5, 6), (6,)),
    "rms_norm": (lambda x, w: F.rms_norm(x, (3,), w), (4, 3), (3,)),
    "rms_norm without weight": (lambda x: F.rms_norm(x, (3,)), (4, 3)),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), (2, 4, 3, 2), (4,), (4,)),
    "group_norm of rows": (lambda x, w, b: F.group_norm(x, 2, w, b), (3, 6), (6,), (6,)),
    "instance_norm": (lambda x, w, b: F.instance_norm(x, None, None, w, b), (2, 3, 5), (3,), (3,)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_kernel_equals_the_formula(name):
    function, *shapes = FUNCTIONS[name]
    inputs = tensors(*shapes)
    y = function(*inputs)
    (upstream,) = tensors(y.shape)
    fused = tinycnn.autograd.grad(function(*inputs), inputs, upstream)
    composed = tinycnn.autograd.grad(y, inputs, upstream, create_graph=True)
    for a, b, t in zip(fused, composed, inputs, strict=True):
        assert a.shape == t.shape and not a.requires_grad and b.requires_grad
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-10, atol=1e-12)
    assert gradgradcheck(function, tuple(inputs), fast_mode=True)


def test_what_is_not_contiguous_and_empty_batches():
    x, w, b = tensors((6, 4), (6,), (6,))
    expected = F.layer_norm(x.detach().t().clone(), (6,), w, b)
    np.testing.assert_array_equal(F.layer_norm(x.t(), (6,), w, b).detach().numpy(), expected.detach().numpy())
    empty, *weights = tensors((0, 6), (6,), (6,))
    F.layer_norm(empty, (6,), *weights).sum().backward()
    assert empty.grad.shape == (0, 6) and all((t.grad == 0).all() for t in weights)


def test_weights_of_another_shape_or_dtype_are_refused():
    x = tinycnn.ones(2, 4, 3)
    with pytest.raises(RuntimeError, match=r"weight must have shape \(3,\), got \(4,\)"):
        F.layer_norm(x, (3,), tinycnn.ones(4))
    with pytest.raises(RuntimeError, match=r"bias must have shape \(4,\), got \(3,\)"):
        F.group_norm(x, 2, tinycnn.ones(4), tinycnn.ones(3))
    with pytest.raises(RuntimeError, match="float64"):
        F.rms_norm(x, (3,), tinycnn.ones(3, dtype=tinycnn.float64))
