"""The gradients of a linear layer, against the readable column."""

import itertools

import numpy as np
import pytest

from tinycnn.kernels.cpu import linear
from tinycnn.kernels.cpu.gemm import HERE
from tinycnn.kernels.reference.linear import linear_grad

SHAPES = [(4, 10, 84), (2, 2, 2), (1, 10, 84), (4, 1, 7), (4, 7, 1), (0, 3, 5), (3, 5, 0), (3, 0, 5), (17, 33, 65)]
BORDER = [(16, 64, HERE // 1024 + extra) for extra in (-1, 0, 1)]


def draw(rows, filters, channels, dtype):
    rng = np.random.default_rng(rows)
    shapes = (rows, filters), (rows, channels), (filters, channels), (rows, filters)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def check(gy, x, w, wanted, y):
    found = linear.linear_grad(gy, x, w, wanted, y)
    wide = [None if a is None else a.astype(np.float64) for a in (gy, x, w, y)]
    for mine, its in zip(found, linear_grad(*wide[:3], wanted, wide[3]), strict=True):
        assert (mine is None) == (its is None)
        if mine is not None:
            assert mine.dtype == gy.dtype and mine.shape == its.shape
            close = 1e-5 if gy.dtype == np.float32 else 1e-12
            np.testing.assert_allclose(mine, its, rtol=close, atol=close * max(1, np.abs(its).max(initial=0)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", SHAPES + BORDER)
def test_gradients_of_a_linear_layer(shape, masked, dtype):
    gy, x, w, y = draw(*shape, dtype)
    check(gy, x, w, (True, True, True), y if masked else None)


@pytest.mark.parametrize("wanted", list(itertools.product([False, True], repeat=3)))
def test_only_what_is_wanted_is_computed(wanted):
    gy, x, w, y = draw(4, 6, 5, np.float32)
    check(gy, x, w, wanted, None)
    check(gy, x, w, wanted, y)


def test_any_strides_will_do():
    gy, x, w, y = draw(6, 5, 4, np.float64)
    check(gy[::2], x[::-2], np.asfortranarray(w), (True, True, True), y[::2])


def test_the_border_is_where_other_threads_pay():
    assert [linear.small(*shape) for shape in BORDER] == [True, True, False]
    assert not linear.small(1, 10, 10) and not linear.small(10, 1, 10) and not linear.small(10, 10, 1)


def test_nan_behind_a_relu_stays():
    gy, x, w, y = draw(3, 4, 5, np.float32)
    y[0, 0] = gy[1, 1] = np.nan
    y[1, 1] = -1
    gx, gw, gb = linear.linear_grad(gy, x, w, (True, True, True), y)
    assert np.isfinite(gx).all() and np.isfinite(gw).all() and np.isfinite(gb).all()
    assert gb[0] == pytest.approx(float(gy[0, 0] + np.where(y[1:, 0] > 0, gy[1:, 0], 0).sum()), rel=1e-6)
