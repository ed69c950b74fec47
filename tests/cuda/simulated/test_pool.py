"""Pooling of the CUDA column against the readable one; a grid has 3 blocks here."""

import numpy as np
import pytest
from tolerances import close

from tinycnn import kernels
from tinycnn.kernels.geometry import pool_spec

gpu, plain = kernels.column("cuda"), kernels.column("reference")

SHAPES = {  # image, window, stride, padding, dilation, ceil_mode
    "plain": ((2, 2, 4, 5), 2, None, 0, 1, False),
    "more planes than blocks": ((2, 3, 3, 3), 2, 1, 0, 1, False),
    "overlapping": ((1, 2, 5, 5), 3, (1, 2), 1, 1, False),
    "pixels that no window sees": ((1, 1, 7, 5), 2, 3, 0, 1, False),
    "rounded up": ((1, 2, 5, 6), (2, 3), 2, (1, 1), 1, True),
    "dilated": ((1, 2, 6, 7), (2, 3), (2, 1), (1, 1), (3, 2), False),
    "a large window": ((1, 1, 17, 16), 16, 1, 0, 1, False),
    "no images": ((0, 2, 4, 4), 2, None, 0, 1, False),
}


def there(x):
    return gpu.xp.asarray(x)


CASES = [(name, np.float32) for name in SHAPES] + [("dilated", np.float16), ("dilated", np.float64)]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_max_pooling(name, dtype):
    spec = pool_spec(*SHAPES[name])
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, spec.input_shape).astype(dtype)  # with equal ones
    gy = rng.integers(-8, 8, spec.output_shape).astype(dtype)
    y, argmax = plain.max_pool2d(x, spec)
    mine, taps = gpu.max_pool2d(there(x), spec)
    assert mine.dtype == dtype and taps.dtype == argmax.dtype
    np.testing.assert_array_equal(mine.get(), y)
    np.testing.assert_array_equal(taps.get(), argmax)
    floored, lost = plain.max_pool2d(x - 2, spec, True)
    mine, taps = gpu.max_pool2d(there(x - 2), spec, True)
    np.testing.assert_array_equal(mine.get(), floored)
    np.testing.assert_array_equal(taps.get(), lost)
    gx = plain.max_pool2d_grad(gy, argmax, spec)
    np.testing.assert_array_equal(gpu.max_pool2d_grad(there(gy), there(argmax), spec).get(), gx)
    np.testing.assert_array_equal(gpu.max_pool2d_take(there(x), there(argmax), spec).get(), y)


def test_what_is_not_finite_and_windows_of_padding():
    spec = pool_spec((1, 1, 3, 3), 2, 3, 1, 3)  # taps far apart: some windows see the padding alone
    for fill in (-np.inf, np.nan, 1.0):
        x = np.full((1, 1, 3, 3), fill)
        y, argmax = plain.max_pool2d(x, spec)
        mine, taps = gpu.max_pool2d(there(x), spec)
        np.testing.assert_array_equal(mine.get(), y)
        np.testing.assert_array_equal(taps.get(), argmax)
        expected = plain.max_pool2d_take(x, argmax, spec)
        np.testing.assert_array_equal(gpu.max_pool2d_take(there(x), taps, spec).get(), expected)


@pytest.mark.parametrize("counted", [(True, None), (False, None), (True, 3)])
@pytest.mark.parametrize("name", [n for n in SHAPES if n != "dilated"])
def test_average_pooling(name, counted):
    spec = pool_spec(*SHAPES[name])
    rng = np.random.default_rng(0)
    x, gy = rng.standard_normal(spec.input_shape), rng.standard_normal(spec.output_shape)
    for dtype in (np.float32, np.float64):
        y = gpu.avg_pool2d(there(x.astype(dtype)), spec, *counted)
        close(y.get(), plain.avg_pool2d(x, spec, *counted), dtype)
        gx = gpu.avg_pool2d_grad(there(gy.astype(dtype)), spec, *counted)
        close(gx.get(), plain.avg_pool2d_grad(gy, spec, *counted), dtype)
