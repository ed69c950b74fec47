"""Gradients that are one kernel where nobody differentiates them: the same as the composed formula, in both columns."""

import numpy as np
import pytest

import tinycnn
from tinycnn import kernels
from tinycnn.kernels.cpu import elementwise, threads
from tinycnn.nn import functional as F
from tinycnn.testing import gradgradcheck

NAMES = ["sigmoid", "tanh", "silu", "gelu", "hardswish"]
SPECIAL = [0.0, -0.0, 3.0, -3.0, 20.0, -20.0, 90.0, -90.0, 1e-30, np.nan]


def inputs(n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = (3 * rng.standard_normal(n)).astype(dtype)
    x[: len(SPECIAL)] = SPECIAL[:n]
    return x, rng.standard_normal(n).astype(dtype)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 15, 100, elementwise.PARALLEL - 1, elementwise.PARALLEL, elementwise.PARALLEL + 1])
def test_both_columns_agree(name, dtype, n):
    x, gy = inputs(n, dtype)
    cpu, reference = kernels.Column("cpu"), kernels.Column("reference")
    y = getattr(reference, name)(x)
    rule = dict(rtol=1e-6, atol=2e-7) if dtype == np.float32 else dict(rtol=1e-14, atol=1e-15)
    rule["atol"] *= 10  # differences such as 1 - y*y near 0
    np.testing.assert_allclose(getattr(cpu, name)(x), y, **rule)
    kept = y if name in ("sigmoid", "tanh") else x
    expected = getattr(reference, name + "_grad")(gy, kept)
    found = getattr(cpu, name + "_grad")(gy, kept)
    assert found.dtype == expected.dtype == dtype
    np.testing.assert_allclose(found, expected, **rule)
    np.testing.assert_allclose(getattr(cpu, name + "_grad")(gy[::-1], kept[::-1]), expected[::-1], **rule)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [10, elementwise.PARALLEL])
def test_one_kernel_equals_the_formula(name, n):
    x, g = inputs(n, np.float64)
    function = getattr(F, name)
    grads = []
    for create_graph in (False, True):
        t = tinycnn.tensor(x, requires_grad=True)
        (grad,) = tinycnn.autograd.grad(function(t), t, tinycnn.tensor(g), create_graph=create_graph)
        assert grad.requires_grad == create_graph
        grads.append(grad.detach().numpy())
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-12, atol=1e-14)


RULED = {"leaky_relu": (0.1,), "elu": (1.7, 1.05, 0.8), "softplus": (1.5, 20.0), "clamp": (-0.7, 0.9)}


@pytest.mark.parametrize("name", RULED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 100, elementwise.PARALLEL - 1, elementwise.PARALLEL, elementwise.PARALLEL + 1])
def test_both_columns_agree_on_what_takes_numbers(name, dtype, n):
    x, gy = inputs(n, dtype)
    cpu, reference = kernels.Column("cpu"), kernels.Column("reference")
    rule = dict(rtol=2e-6, atol=1e-7) if dtype == np.float32 else dict(rtol=1e-13, atol=1e-15)
    for kernel, arrays in ((name, (x,)), (name + "_grad", (gy, x))):
        expected = getattr(reference, kernel)(*arrays, *RULED[name])
        found = getattr(cpu, kernel)(*arrays, *RULED[name])
        assert found.dtype == expected.dtype == dtype
        np.testing.assert_allclose(found, expected, **rule)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("leaky_relu", (0.2,)),
        ("elu", (1.3,)),
        ("selu", ()),
        ("celu", (0.7,)),
        ("softplus", (2.0, 9.0)),
        ("hardtanh", (-0.6, 0.7)),
        ("relu6", ()),
    ],
)
def test_one_kernel_with_numbers_equals_the_formula(name, rule):
    for n in (10, elementwise.PARALLEL):
        x, g = inputs(n, np.float64)
        grads = []
        for create_graph in (False, True):
            t = tinycnn.tensor(x, requires_grad=True)
            y = getattr(F, name)(t, *rule)
            (grad,) = tinycnn.autograd.grad(y, t, tinycnn.tensor(g), create_graph=create_graph)
            grads.append(grad.detach().numpy())
        np.testing.assert_allclose(grads[0], grads[1], rtol=1e-12, atol=1e-14)
    x = tinycnn.tensor([-4.0, -1.5, -0.2, 0.7, 2.0, 5.0], dtype=tinycnn.float64, requires_grad=True)
    assert gradgradcheck(lambda t: getattr(F, name)(t, *rule), (x,))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_gradients(name):
    x = tinycnn.tensor([-4.0, -1.5, -0.2, 0.7, 2.0, 5.0], dtype=tinycnn.float64, requires_grad=True)
    assert gradgradcheck(getattr(F, name), (x,))


@pytest.mark.parametrize("name", ["exp", *NAMES])
def test_bits_do_not_depend_on_threads(name):
    x, gy = inputs(3 * elementwise.PARALLEL + 5, np.float32)
    before = threads.get_num_threads()
    results = []
    try:
        for n in range(1, before + 1):
            threads.set_num_threads(n)
            results.append(getattr(elementwise, name)(x).tobytes())
            if name != "exp":
                results[-1] += getattr(elementwise, name + "_grad")(gy, x).tobytes()
    finally:
        threads.set_num_threads(before)
    assert len(set(results)) == 1
