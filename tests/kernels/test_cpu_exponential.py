"""exp, tanh, erf and their kin of the cpu column, over the whole range of float32, against float64."""

import math

import numpy as np
import pytest
from numba import prange

from tinycnn.kernels.cpu import exponential, softmax, threads
from tinycnn.kernels.cpu.jit import kernel
from tinycnn.kernels.reference import softmax as reference


@kernel(parallel=True)
def each(workers, x, exps, tanhs, erfs, less, bent):
    for i in prange(x.size):
        exps[i], tanhs[i], erfs[i] = exponential.exp(x[i]), exponential.tanh(x[i]), exponential.erf(x[i])
        less[i], bent[i] = exponential.expm1(x[i]), exponential.softplus(x[i])


def numbers():
    steps = np.concatenate([np.linspace(-110, 95, 200_001), np.linspace(-5, 5, 200_001)])
    small = np.logspace(-37, 0, 10_001)
    special = [np.inf, -np.inf, np.nan, 0.0, -0.0, 88.72283, 88.72284, -103.97, -104.5, -87.33655, 1e-45, 3e38, -3e38]
    return np.concatenate([steps, small, -small, special])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_over_their_range(dtype):
    x = numbers().astype(dtype)
    found = [np.empty_like(x) for _ in range(5)]
    threads.launch(each, x, *found)
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        expected = np.exp(wide), np.tanh(wide), np.vectorize(math.erf)(wide), np.expm1(wide), np.logaddexp(wide, 0)
        for name, ours, exact in zip(("exp", "tanh", "erf", "expm1", "softplus"), found, expected, strict=True):
            nearest = exact.astype(dtype)
            finite = np.isfinite(nearest)
            assert np.array_equal(ours[~finite], nearest[~finite], equal_nan=True), name
            unit = np.spacing(np.abs(nearest[finite]))
            limit = {"erf": 6, "expm1": 4, "softplus": 4}.get(name, 2)
            assert (np.abs(ours[finite].astype(np.float64) - exact[finite]) <= limit * unit).all(), name
            assert np.array_equal(np.signbit(ours[finite]), np.signbit(nearest[finite])), name


@pytest.mark.parametrize("classes", [1, 2, 10, 15, 16, 17, 31, 32, 33, 64, 65, 1000])
@pytest.mark.parametrize("bad", [None, np.nan, np.inf, -np.inf])
def test_rows_of_softmax_and_cross_entropy(classes, bad):
    rng = np.random.default_rng(classes)
    x = (5 * rng.standard_normal((9, classes))).astype(np.float32)
    if bad is not None:
        x[2, classes // 2] = bad
        x[3] = bad
    target = rng.integers(0, classes, 9)
    target[5] = -100
    with np.errstate(all="ignore"):
        for ours, theirs in (
            (softmax.softmax(x), reference.softmax(x)),
            (softmax.log_softmax(x), reference.log_softmax(x)),
            *zip(softmax.cross_entropy(x, target, -100), reference.cross_entropy(x, target, -100), strict=True),
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_softmax_does_not_depend_on_threads():
    x = np.random.default_rng(0).standard_normal((301, 77)).astype(np.float32)
    target = np.arange(301) % 77
    before = threads.get_num_threads()
    results = []
    try:
        for n in range(1, before + 1):
            threads.set_num_threads(n)
            loss, lse = softmax.cross_entropy(x, target, -100)
            results.append((softmax.softmax(x), loss, lse, softmax.cross_entropy_grad(loss, x, lse, target, -100)))
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))
