"""Group, layer and RMS norm of the CUDA column against the readable ones; blocks have 2, 4 and 8 threads here."""

import numpy as np
import pytest
from tolerances import GRADIENTS, close

from tinycnn import kernels
from tinycnn.kernels.cuda import group_norm

gpu, plain = kernels.column("cuda"), kernels.column("reference")
EPS = 0.1
CASES = [  # shape, groups, dtype; rows around 4 times a block of 2 threads; a grid of weight_slopes has 3 x 3 blocks
    ((3, 4, 2), 2, "f"),
    ((2, 1, 7), 1, "f"),
    ((1, 3, 3), 1, "d"),
    ((5, 9, 1), 1, "f"),
    ((2, 6, 1), 3, "f"),
    ((9, 2, 3), 2, "f"),
    ((1, 13, 21), 1, "f"),
]


def there(x):
    return None if x is None else gpu.xp.asarray(x)


def results(column, shape, groups, dtype, wrap):
    rng = np.random.default_rng(0)
    gy, x = rng.standard_normal((2, *shape)).astype(dtype)
    weight, bias = rng.standard_normal((2, shape[1])).astype(dtype)
    if column is plain:
        gy, x, weight, bias = [a.astype(np.float64) for a in (gy, x, weight, bias)]
    gy, x, weight, bias = map(wrap, (gy, x, weight, bias))
    y, mean, rstd = column.group_norm(x, weight, bias, groups, EPS)
    yield from (y, mean, rstd, *column.group_norm_grad(gy, x, mean, rstd, weight, groups))
    if shape[2] == 1:
        rows = gy[:, :, 0], x[:, :, 0]
        y, rstd = column.rms_norm(rows[1], weight, EPS)
        yield from (y, rstd, *column.rms_norm_grad(*rows, rstd, weight))


@pytest.mark.parametrize(("shape", "groups", "dtype"), CASES)
def test_it_is_the_readable_one(shape, groups, dtype):
    expected = results(plain, shape, groups, dtype, np.asarray)
    for mine, its in zip(results(gpu, shape, groups, dtype, there), expected, strict=True):
        assert mine.dtype == dtype
        close(mine.get(), its, dtype, GRADIENTS)


@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 2, 0), (0, 4, 1), (2, 0, 1)])
def test_nothing_to_normalize(shape):
    groups = 2 if shape[1] else 1
    expected = results(plain, shape, groups, "f", np.asarray)
    for mine, its in zip(results(gpu, shape, groups, "f", there), expected, strict=True):
        np.testing.assert_array_equal(mine.get(), its)


def test_half_precision_and_what_is_not_finite():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 3)).astype(np.float16)
    one, zero = np.ones(4, np.float16), np.zeros(4, np.float16)
    y = gpu.group_norm(*map(there, (x, one, zero)), 2, EPS)[0]
    assert y.dtype == np.float16
    close(y.get(), plain.group_norm(*[a.astype(float) for a in (x, one, zero)], 2, EPS)[0])
    x[0, 0, 0], x[1, 3, 2] = np.nan, np.inf
    y = gpu.group_norm(*map(there, (x, one, zero)), 2, EPS)[0].get()
    np.testing.assert_array_equal(np.isfinite(y), np.isfinite(plain.group_norm(x, one, zero, 2, EPS)[0]))


def test_rows_of_every_length_have_a_block():
    small, middle, large = group_norm.LEAST, group_norm.BLOCK, group_norm.MOST
    lengths = 1, 4 * small, 4 * small + 1, 64 * middle, 64 * middle + 1, 1 << 40
    assert [group_norm._block(n) for n in lengths] == [small, small, middle, middle, large, large]
