"""The readable convolution against loops over every pixel, and its gradients against what gradients are."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinycnn.kernels.geometry import conv_spec
from tinycnn.kernels.reference.conv import conv2d, conv2d_input_grad, conv2d_weight_grad


def products(spec):
    """Every (output index, input index, weight index) whose product is part of the convolution."""
    (sh, sw), (dh, dw), ((top, _), (left, _)) = spec.stride, spec.dilation, spec.padding
    per_group, filters = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    for n, o, i, j in itertools.product(*map(range, spec.output_shape)):
        for c, u, v in itertools.product(*map(range, spec.weight_shape[1:])):
            row, column = i * sh + u * dh - top, j * sw + v * dw - left
            if 0 <= row < spec.input_size[0] and 0 <= column < spec.input_size[1]:
                yield (n, o, i, j), (n, o // filters * per_group + c, row, column), (o, c, u, v)


@st.composite
def specs(draw):
    """Legal convolutions of every kind, small enough for loops in Python."""
    groups = draw(st.integers(1, 3))
    per_group, filters = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel, stride, dilation, padding, size = [], [], [], [], []
    same = draw(st.integers(0, 4)) == 0
    for _ in range(2):
        k, d = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        p = draw(st.integers(0, 3))
        least = max(d * (k - 1) + 1 - (0 if same else 2 * p), 1)
        kernel.append(k)
        dilation.append(d)
        padding.append(p)
        stride.append(1 if same else draw(st.integers(1, 3)))
        size.append(draw(st.integers(1 if same else least, least + 3)))
    image = (draw(st.integers(0, 2)), groups * per_group, *size)
    weight = (groups * filters, per_group, *kernel)
    return conv_spec(image, weight, stride, "same" if same else padding, dilation, groups)


def arrays(spec, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    shapes = spec.input_shape, spec.weight_shape, (spec.out_channels,), spec.output_shape
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


SMALL = conv_spec((0, 2, 4, 4), (2, 2, 3, 3))
EVEN = conv_spec((1, 2, 3, 3), (2, 1, 2, 4), padding="same", groups=2)
DILATED = conv_spec((1, 1, 4, 4), (1, 1, 2, 2), dilation=3)


@given(specs(), st.sampled_from([np.float32, np.float64]))
@example(SMALL, np.float64)
@example(EVEN, np.float32)
@example(DILATED, np.float64)
def test_equals_loops_over_every_product(spec, dtype):
    x, w, b, gy = arrays(spec, dtype)
    y = np.zeros(spec.output_shape) + b[:, None, None].astype(np.float64)
    gx, gw = np.zeros(spec.input_shape), np.zeros(spec.weight_shape)
    for out, seen, tap in products(spec):
        y[out] += float(x[seen]) * float(w[tap])
        gx[seen] += float(gy[out]) * float(w[tap])
        gw[tap] += float(gy[out]) * float(x[seen])
    for got, expected in (
        (conv2d(x, w, b, spec), y),
        (conv2d_input_grad(gy, w, spec), gx),
        (conv2d_weight_grad(gy, x, spec), gw),
    ):
        assert got.dtype == dtype and got.shape == expected.shape and got.flags.carray
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 if dtype == np.float32 else 1e-12)


@given(specs())
def test_gradients_are_adjoints(spec):
    """<conv(x, w), gy> = <x, input_grad(gy, w)> = <w, weight_grad(gy, x)>: the convolution is linear in both."""
    x, w, _, gy = arrays(spec)
    inner = np.vdot(conv2d(x, w, None, spec), gy)
    assert np.isclose(np.vdot(x, conv2d_input_grad(gy, w, spec)), inner, rtol=1e-9, atol=1e-9)
    assert np.isclose(np.vdot(w, conv2d_weight_grad(gy, x, spec)), inner, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "spec",
    [
        conv_spec((2, 2, 5, 6), (4, 1, 3, 2), (2, 1), (1, 0), (1, 2), 2),
        conv_spec((1, 3, 4, 4), (3, 1, 3, 3), 1, 2, 1, 3),
        conv_spec((1, 1, 3, 3), (2, 1, 2, 2), padding="same"),
    ],
)
def test_gradients_equal_finite_differences(spec):
    x, w, _, gy = arrays(spec)
    eps = 1e-6

    def slopes(a, loss):
        out = np.zeros_like(a)
        for k in range(a.size):
            old = a.flat[k]
            a.flat[k] = old + eps
            above = loss()
            a.flat[k] = old - eps
            out.flat[k] = (above - loss()) / (2 * eps)
            a.flat[k] = old
        return out

    def loss():
        return np.vdot(conv2d(x, w, None, spec), gy)

    np.testing.assert_allclose(conv2d_input_grad(gy, w, spec), slopes(x, loss), atol=1e-7)
    np.testing.assert_allclose(conv2d_weight_grad(gy, x, spec), slopes(w, loss), atol=1e-7)


def test_textbook_cross_filter():
    """The binary 5x5 image with the cross-shaped filter."""
    x = np.array(
        [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]], np.float32
    ).reshape(1, 1, 5, 5)
    w = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], np.float32).reshape(1, 1, 3, 3)
    y = conv2d(x, w, None, conv_spec(x.shape, w.shape))
    assert y[0, 0].tolist() == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]


def test_input_gradient_is_the_full_convolution_with_the_turned_filter():
    rng = np.random.default_rng(0)
    w, gy = rng.standard_normal((1, 1, 3, 2)), rng.standard_normal((1, 1, 4, 5))
    spec = conv_spec((1, 1, 6, 6), w.shape)
    turned = np.ascontiguousarray(w[..., ::-1, ::-1])
    full = conv2d(gy, turned, None, conv_spec(gy.shape, w.shape, padding=(2, 1)))
    np.testing.assert_allclose(conv2d_input_grad(gy, w, spec), full, atol=1e-12)


def test_input_gradient_adds_where_windows_overlap():
    spec = conv_spec((1, 1, 4, 4), (1, 1, 3, 3))
    gx = conv2d_input_grad(np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), spec)
    assert gx[0, 0].tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]


def test_depthwise_channels_do_not_mix():
    x = np.ones((1, 3, 2, 2)) * np.array([1, 10, 100])[:, None, None]
    w = np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1, 1)
    y = conv2d(x, w, None, conv_spec(x.shape, w.shape, groups=3))
    assert y[0, :, 0, 0].tolist() == [1, 20, 300]


def test_fortran_ordered_arrays_give_the_same():
    spec = conv_spec((2, 4, 5, 5), (4, 2, 3, 3), 2, 1, groups=2)
    x, w, b, gy = arrays(spec)
    fx, fw, fg = map(np.asfortranarray, (x, w, gy))
    np.testing.assert_allclose(conv2d(fx, fw, b, spec), conv2d(x, w, b, spec), atol=1e-12)
    np.testing.assert_allclose(conv2d_input_grad(fg, fw, spec), conv2d_input_grad(gy, w, spec), atol=1e-12)
    np.testing.assert_allclose(conv2d_weight_grad(fg, fx, spec), conv2d_weight_grad(gy, x, spec), atol=1e-12)


def test_long_sums_in_float32_stay_accurate():
    spec = conv_spec((16, 1, 34, 34), (1, 1, 3, 3))
    x, gy = np.full(spec.input_shape, 0.1, np.float32), np.full(spec.output_shape, 0.1, np.float32)
    expected = 16 * 32 * 32 * float(np.float32(0.1)) ** 2
    np.testing.assert_allclose(conv2d_weight_grad(gy, x, spec), expected, rtol=2e-6)
