"""Batch norm of the CUDA column against the readable one; a part has 8 elements here, a block 4 threads."""

import numpy as np
import pytest
from tolerances import GRADIENTS, close

from tinycnn import kernels

gpu, plain = kernels.column("cuda"), kernels.column("reference")
CASES = [((1, 1, 8), "f"), ((2, 4, 5), "f"), ((9, 2, 1), "f"), ((2, 1, 13), "f"), ((3, 1, 3), "d")]


def there(x):
    return None if x is None else gpu.xp.asarray(x)


def drawn(shape):
    rng = np.random.default_rng(0)
    rule = rng.standard_normal(shape[1]), rng.random(shape[1]), *rng.standard_normal((2, shape[1]))
    return rng.standard_normal((3, *shape)), rule


@pytest.mark.parametrize(("shape", "dtype"), CASES)
def test_batch_norm(shape, dtype):
    (x, gy, other), (mean, var, weight, bias) = drawn(shape)
    far = x + 100  # the mean is large beside the deviation
    x32, gy32, other32, far32, mean32, var32, weight32, bias32 = [
        there(a.astype(dtype)) for a in (x, gy, other, far, mean, var, weight, bias)
    ]
    for mine, its in zip(gpu.batch_norm_moments(x32), plain.batch_norm_moments(x), strict=True):
        close(mine.get(), its, dtype)
    for mine, its in zip(
        gpu.batch_norm_moments(far32), plain.batch_norm_moments(far32.get().astype(float)), strict=True
    ):
        close(mine.get(), its, dtype, GRADIENTS)
    for mine, its in zip(
        gpu.batch_norm_train(x32, weight32, bias32, 0.1), plain.batch_norm_train(x, weight, bias, 0.1), strict=True
    ):
        close(mine.get(), its, dtype)
    for added, added32, relu in ((None, None, True), (other, other32, False), (other, other32, True)):
        y = gpu.batch_norm_eval(x32, mean32, var32, weight32, bias32, 0.1, added32, relu)
        close(y.get(), plain.batch_norm_eval(x, mean, var, weight, bias, 0.1, added, relu), dtype)
    for b, b32 in ((None, None), (bias, bias32)):
        results = gpu.batch_norm_train_grad(gy32, x32, mean32, var32, weight32, 0.1, b32)
        for mine, its in zip(results, plain.batch_norm_train_grad(gy, x, mean, var, weight, 0.1, b), strict=True):
            assert mine.dtype == dtype
            close(mine.get(), its, dtype, GRADIENTS)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0), (0, 0, 0)])
def test_nothing_to_normalize(shape):
    (x, gy, _), (_, _, weight, bias) = drawn(shape)
    for mine, its in zip(
        gpu.batch_norm_train(*map(there, (x, weight, bias)), 0.1),
        plain.batch_norm_train(x, weight, bias, 0.1),
        strict=True,
    ):
        np.testing.assert_array_equal(mine.get(), its)
    arrays = gy, x, weight, weight**2, weight
    for mine, its in zip(
        gpu.batch_norm_train_grad(*map(there, arrays), 0.1), plain.batch_norm_train_grad(*arrays, 0.1), strict=True
    ):
        np.testing.assert_array_equal(mine.get(), its)


def test_nan_goes_through():
    (x, _, _), rule = drawn((1, 2, 5))
    x[0, 0, 2] = np.nan
    y = gpu.batch_norm_eval(there(x), *map(there, rule), 0.1, None, True).get()
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
    assert np.isnan(gpu.batch_norm_moments(there(x))[0].get()).tolist() == [True, False]


def test_half_precision():
    (x, _, _), (_, _, weight, bias) = drawn((2, 3, 5))
    half = [a.astype(np.float16) for a in (x, weight, bias)]
    results = gpu.batch_norm_train(*map(there, half), 0.1)
    wide = plain.batch_norm_train(*[a.astype(float) for a in half], 0.1)
    for mine, its, kind in zip(results, wide, "eff", strict=True):  # mean and variance stay as they are summed
        assert mine.dtype.char == kind
        close(mine.get(), its)
