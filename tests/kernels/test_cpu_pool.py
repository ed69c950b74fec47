"""Pooling's vector kernels around the borders of vectors, and threads."""

import numpy as np
import pytest

from tinycnn.kernels.cpu import pool, threads
from tinycnn.kernels.geometry import pool_spec
from tinycnn.kernels.reference import pool as reference

SIZES = [1, 2, 3, 7, 8, 15, 16, 17, 30, 31, 32, 33, 34, 62, 63, 64, 65, 66, 112]


def draw(spec, dtype):
    rng = np.random.default_rng(spec.input_size)
    x, gy = rng.standard_normal(spec.input_shape).astype(dtype).round(1), rng.standard_normal(spec.output_shape)
    x.flat[:: max(1, x.size // 3)] = np.nan
    x[-1, -1] = -np.inf  # a plane where nothing is larger than padding
    return x, gy.astype(dtype)


def check(spec, dtype):
    x, gy = draw(spec, dtype)
    planes, numbers = spec.batch * spec.channels, pool._numbers(spec)
    gx = np.full_like(x, 7)
    for relu in (True, False):
        expected_y, expected = reference.max_pool2d(x, spec, relu)
        y, argmax = np.empty_like(expected_y), np.empty_like(expected)
        threads.launch(pool.largest_by_two, x.reshape(-1), y.reshape(-1), argmax.reshape(-1), planes, numbers, relu)
        assert np.array_equal(y, expected_y, equal_nan=True) and np.array_equal(argmax, expected)
    threads.launch(pool.scatter_by_two, gy.reshape(-1), expected.reshape(-1), gx.reshape(-1), planes, numbers)
    np.testing.assert_allclose(gx, reference.max_pool2d_grad(gy, expected, spec), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", SIZES[1:])
@pytest.mark.parametrize("height", [2, 5, 8])
def test_windows_side_by_side(height, width, dtype):
    spec = pool_spec((2, 3, height, width), 2)
    assert pool.by_two(spec)
    check(spec, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("height", [1, 6, 7])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("padding", [0, 1, (1, 0), (0, 1)])
def test_windows_of_three(height, width, padding, ceil_mode, dtype):
    ph, pw = padding if isinstance(padding, tuple) else (padding, padding)
    if height + 2 * ph < 3 or width + 2 * pw < 3:
        height, width = height + 2, width + 2
    spec = pool_spec((2, 2, height, width), 3, 2, padding, 1, ceil_mode)
    assert pool.by_two(spec)
    check(spec, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", SIZES[1:])
@pytest.mark.parametrize("height", [2, 5, 8])
@pytest.mark.parametrize("divisor", [None, 3])
def test_means_side_by_side(height, width, divisor, dtype):
    spec = pool_spec((2, 3, height, width), 2)
    x, gy = draw(spec, dtype)
    planes, numbers, rule = 6, pool._numbers(spec), (True, divisor)
    y, gx = np.empty(spec.output_shape, dtype), np.full_like(x, 7)
    threads.launch(pool.average_by_2x2, x.reshape(-1), y.reshape(-1), planes, numbers, float(divisor or 4))
    threads.launch(pool.spread_by_2x2, gy.reshape(-1), gx.reshape(-1), planes, numbers, float(divisor or 4))
    tolerance = dict(rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(y, reference.avg_pool2d(x, spec, *rule), **tolerance)
    np.testing.assert_allclose(gx, reference.avg_pool2d_grad(gy, spec, *rule), **tolerance)


def test_other_windows_take_the_general_way():
    for spec in (
        pool_spec((1, 1, 9, 9), 2, 2, 1),
        pool_spec((1, 1, 9, 9), 2, 1),
        pool_spec((1, 1, 9, 9), 3, 1, 1),
        pool_spec((1, 1, 9, 9), 3, 2, 1, 2),
        pool_spec((1, 1, 9, 9), 2, 2, 0, 1, True),
    ):
        assert not pool.by_two(spec)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 4), (7, 7), (8, 8), (13, 5), (16, 16), (65, 3)])
@pytest.mark.parametrize("divisor", [None, 3])
def test_the_mean_of_whole_planes(size, divisor, dtype):
    spec = pool_spec((3, 5, *size), size)
    assert pool.whole_planes(spec)
    rng = np.random.default_rng(0)
    x, gy = rng.standard_normal(spec.input_shape).astype(dtype), rng.standard_normal(spec.output_shape).astype(dtype)
    tolerance = dict(rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        pool.avg_pool2d(x, spec, True, divisor), reference.avg_pool2d(x, spec, True, divisor), **tolerance
    )
    np.testing.assert_allclose(
        pool.avg_pool2d_grad(gy, spec, True, divisor), reference.avg_pool2d_grad(gy, spec, True, divisor), **tolerance
    )


@pytest.mark.parametrize("rule", [(2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 3, 2), ((16, 16), 1, 0)])
def test_pooling_does_not_depend_on_threads(rule):
    spec = pool_spec((9, 7, 16, 16), *rule)
    x, gy = draw(spec, np.float32)
    x[np.isnan(x) | np.isinf(x)] = 0
    before = threads.get_num_threads()
    results = []
    try:
        for n in range(1, before + 1):
            threads.set_num_threads(n)
            y, argmax = pool.max_pool2d(x, spec)
            means = pool.avg_pool2d(x, spec, True, None), pool.avg_pool2d_grad(gy, spec, False, None)
            results.append((y, argmax, pool.max_pool2d_grad(gy, argmax, spec), *means))
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))
