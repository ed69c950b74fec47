"""The readable pooling against loops over every window."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinycnn.kernels.geometry import pool_spec
from tinycnn.kernels.reference.elementwise import relu, relu_grad
from tinycnn.kernels.reference.pool import (
    avg_pool2d,
    avg_pool2d_grad,
    max_pool2d,
    max_pool2d_grad,
    max_pool2d_take,
)

TABLE = np.arange(1.0, 17).reshape(1, 1, 4, 4)


def windows(spec):
    """Every output index with the taps of its window, as (number, (n, c, row, column)), those in the padding too."""
    (sh, sw), (ph, pw), (dh, dw), (kh, kw) = spec.stride, spec.padding, spec.dilation, spec.kernel_size
    for n, c, i, j in itertools.product(*map(range, spec.output_shape)):
        taps = itertools.product(range(kh), range(kw))
        yield (
            (n, c, i, j),
            [(u * kw + v, (n, c, i * sh + u * dh - ph, j * sw + v * dw - pw)) for u, v in taps],
        )


def inside(spec, place, border=0):
    (h, w), (_, _, row, column) = spec.input_size, place
    bh, bw = (spec.padding[0], spec.padding[1]) if border else (0, 0)
    return -bh <= row < h + bh and -bw <= column < w + bw


@st.composite
def specs(draw, dilated=True):
    sides = []
    ceil_mode = draw(st.booleans())
    for _ in range(2):
        k, s = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        d = draw(st.integers(1, 3)) if dilated else 1
        p = draw(st.integers(0, k // 2))
        least = max(d * (k - 1) + 1 - 2 * p - (s - 1 if ceil_mode else 0), 1)
        sides.append((draw(st.integers(least, least + 4)), k, s, p, d))
    size, kernel, stride, padding, dilation = zip(*sides, strict=True)
    return pool_spec((draw(st.integers(0, 2)), 2, *size), kernel, stride, padding, dilation, ceil_mode)


# -- max --------------------------------------------------------------------------------------------------------------

values = st.sampled_from([-2.0, -1.0, -1.0, 3.0, -math.inf, math.inf, math.nan])


@given(specs(), st.data())
@example(pool_spec((1, 1, 1, 1), 2, 1, 1, 2), None)  # every tap is padding
@example(pool_spec((1, 1, 3, 3), 2, 2, 1, 1, True), None)
def test_max_equals_loops(spec, data):
    count = math.prod(spec.input_shape)
    flat = [-1.0] * count if data is None else data.draw(st.lists(values, min_size=count, max_size=count))
    x = np.array(flat, np.float32).reshape(spec.input_shape)
    gy = np.random.default_rng(0).standard_normal(spec.output_shape)
    none = spec.kernel_size[0] * spec.kernel_size[1]
    y, argmax = max_pool2d(x, spec)
    gx, taken = np.zeros(spec.input_shape), np.zeros(spec.output_shape)
    probe = np.random.default_rng(1).standard_normal(spec.input_shape)
    for out, taps in windows(spec):
        best, winner, source = -math.inf, none, None
        for tap, place in taps:
            if inside(spec, place) and (source is None or x[place] > best or math.isnan(x[place])):
                best, winner, source = float(x[place]), tap, place
        assert argmax[out] == winner
        assert y[out] == best or (math.isnan(best) and math.isnan(y[out]))
        if source is not None:
            gx[source] += gy[out]
            taken[out] = probe[source]
    assert y.dtype == x.dtype and argmax.dtype == np.uint8 and y.flags.carray and argmax.flags.carray
    np.testing.assert_allclose(max_pool2d_grad(gy, argmax, spec), gx, atol=1e-12)
    np.testing.assert_array_equal(max_pool2d_take(probe, argmax, spec), taken)


def test_textbook_max():
    y, argmax = max_pool2d(TABLE, pool_spec(TABLE.shape, 2))
    assert y.ravel().tolist() == [6, 8, 14, 16] and argmax.ravel().tolist() == [3, 3, 3, 3]


def test_negative_windows_beat_the_padding():
    x = np.full((1, 1, 3, 3), -5.0, np.float32)
    for ceil_mode in (False, True):
        y, _ = max_pool2d(x, pool_spec(x.shape, 3, 2, 1, 1, ceil_mode))
        assert (y == -5).all()


def test_ties_go_to_the_first():
    x = np.zeros((1, 1, 2, 4), np.float32)
    _, argmax = max_pool2d(x, pool_spec(x.shape, 2))
    assert argmax.ravel().tolist() == [0, 0]
    x[:] = -np.inf  # an element of the image is still better than padding
    _, argmax = max_pool2d(x, pool_spec(x.shape, 2, 2, 1))
    assert argmax.ravel().tolist() == [3, 2, 2, 1, 0, 0]


def test_nan_wins_and_a_later_one_replaces_it():
    x = np.array([[1.0, np.nan, 9.0], [np.nan, 2.0, 3.0]]).reshape(1, 1, 2, 3)
    y, argmax = max_pool2d(x, pool_spec(x.shape, (2, 3)))
    assert np.isnan(y).all() and argmax.item() == 3


@pytest.mark.parametrize("window", [(2,), (3, 2, 1), (3, 1, 0, 1, True)])
def test_a_relu_in_front_is_taken_along(window):
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 8)).round(0)
    x.flat[::50] = np.nan
    spec = pool_spec(x.shape, *window)
    (y, argmax), (plain, winner) = max_pool2d(x, spec, True), max_pool2d(x, spec)
    np.testing.assert_array_equal(y, max_pool2d(relu(x), spec)[0])
    np.testing.assert_array_equal(argmax, np.where(plain <= 0, spec.kernel_size[0] * spec.kernel_size[1], winner))
    gy = np.random.default_rng(1).standard_normal(y.shape)
    before = relu_grad(max_pool2d_grad(gy, max_pool2d(relu(x), spec)[1], spec), relu(x))
    np.testing.assert_array_equal(max_pool2d_grad(gy, argmax, spec), before)


def test_a_window_of_padding_alone_has_no_winner():
    x = np.ones((1, 1, 1, 1))
    spec = pool_spec(x.shape, 2, 1, 1, 2)  # taps at -1 and 1
    y, argmax = max_pool2d(x, spec)
    assert y.item() == -np.inf and argmax.item() == 4
    assert max_pool2d_grad(np.ones_like(y), argmax, spec).item() == 0
    assert max_pool2d_take(x, argmax, spec).item() == 0


def test_overlapping_windows_add_their_gradients():
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 1
    spec = pool_spec(x.shape, 2, 1)
    y, argmax = max_pool2d(x, spec)
    assert (y == 1).all() and argmax.ravel().tolist() == [3, 2, 1, 0]
    assert max_pool2d_grad(np.ones_like(y), argmax, spec)[0, 0].tolist() == [[0, 0, 0], [0, 4, 0], [0, 0, 0]]


@pytest.mark.parametrize(("kernel", "dtype"), [((15, 17), np.uint8), ((16, 16), np.int32)])
def test_argmax_has_room_for_every_tap_and_none(kernel, dtype):
    x = np.arange(17 * 17.0).reshape(1, 1, 17, 17)
    _, argmax = max_pool2d(x, pool_spec(x.shape, kernel, 1))
    assert argmax.dtype == dtype and (argmax == kernel[0] * kernel[1] - 1).all()


# -- mean -------------------------------------------------------------------------------------------------------------


@given(specs(dilated=False), st.booleans(), st.sampled_from([None, 3, -2]), st.sampled_from([np.float32, np.float64]))
@example(pool_spec((1, 1, 3, 3), 2, 2, 1, 1, True), True, None, np.float64)
@example(pool_spec((1, 1, 3, 3), 2, 2, 1, 1, True), False, None, np.float64)
def test_mean_equals_loops(spec, count_include_pad, divisor, dtype):
    rng = np.random.default_rng(0)
    x, gy = rng.standard_normal(spec.input_shape).astype(dtype), rng.standard_normal(spec.output_shape).astype(dtype)
    y, gx = np.zeros(spec.output_shape), np.zeros(spec.input_shape)
    for out, taps in windows(spec):
        places = [place for _, place in taps if inside(spec, place)]
        count = divisor or sum(inside(spec, place, count_include_pad) for _, place in taps)
        y[out] = sum(float(x[place]) for place in places) / count
        for place in places:
            gx[place] += float(gy[out]) / count
    rule = spec, count_include_pad, divisor
    for got, expected in ((avg_pool2d(x, *rule), y), (avg_pool2d_grad(gy, *rule), gx)):
        assert got.dtype == dtype and got.flags.carray
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-12)


def test_textbook_mean():
    y = avg_pool2d(TABLE, pool_spec(TABLE.shape, 2), True, None)
    assert y.ravel().tolist() == [3.5, 5.5, 11.5, 13.5]


def test_padding_counts_or_not():
    x = np.ones((1, 1, 2, 2))
    spec = pool_spec(x.shape, 2, 2, 1)
    assert avg_pool2d(x, spec, True, None).ravel().tolist() == [0.25] * 4
    assert avg_pool2d(x, spec, False, None).ravel().tolist() == [1.0] * 4


def test_what_ceil_mode_reaches_beyond_the_padding_never_counts():
    x = np.ones((1, 1, 3, 3))
    spec = pool_spec(x.shape, 2, 2, 0, 1, True)
    for count_include_pad in (True, False):
        assert avg_pool2d(x, spec, count_include_pad, None).ravel().tolist() == [1.0] * 4
    assert avg_pool2d(x, spec, True, 4).ravel().tolist() == [1, 0.5, 0.5, 0.25]
