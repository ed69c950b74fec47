"""Pooling: a thread for each window; in gradients one for each pixel, which gathers from the windows that saw it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda

from ..geometry import PoolSpec
from ..reference import pool as reference
from .backend import constants, in_floats, xp
from .device import seen, thirteen, window_at
from .launch import grid_of, kernel

# A kernel's `shape`: N * C, H, W, KH, KW, SH, SW, PH, PW, DH, DW, OH, OW.


def _shape(spec: PoolSpec) -> Any:
    window = *spec.kernel_size, *spec.stride, *spec.padding, *spec.dilation
    return constants((spec.batch * spec.channels, *spec.input_size, *window, *spec.output_size))


def _windows(spec: PoolSpec) -> Any:
    return grid_of(spec.output_size[0] * spec.output_size[1], spec.batch * spec.channels)


def _pixels(spec: PoolSpec) -> Any:
    return grid_of(spec.input_size[0] * spec.input_size[1], spec.batch * spec.channels)


def max_forward(T):
    """The largest element of each window, and its tap; see `reference.pool`."""
    least, zero = T(-math.inf), T(0)

    def body(x, y, argmax, shape, relu):
        planes, height, width, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow = thirteen(shape)
        for p in range(cuda.grid(1), oh * ow, cuda.gridsize(1)):
            i = p // ow
            first_row, first_column = i * sh - ph, (p - i * ow) * sw - pw
            for plane in range(cuda.blockIdx.y, planes, cuda.gridDim.y):
                best, found = least, kh * kw
                for u in range(kh):
                    h = first_row + u * dh
                    for v in range(kw):
                        w = first_column + v * dw
                        if h >= 0 and h < height and w >= 0 and w < width:
                            value = T(x[(plane * height + h) * width + w])
                            if value > best or value != value or found == kh * kw:
                                best, found = value, u * kw + v
                if relu and best <= zero:
                    best, found = zero, kh * kw
                y[plane * oh * ow + p] = best
                argmax[plane * oh * ow + p] = found

    return body


def max_backward(T):
    """gx: every gy where its window found the largest element."""
    zero = T(0)

    def body(gy, argmax, gx, shape):
        planes, height, width, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow = thirteen(shape)
        for q in range(cuda.grid(1), height * width, cuda.gridsize(1)):
            row = q // width
            column = q - row * width
            for plane in range(cuda.blockIdx.y, planes, cuda.gridDim.y):
                total = zero
                for u in range(kh):
                    i = window_at(row + ph - u * dh, sh, oh)
                    if i >= 0:
                        for v in range(kw):
                            j = window_at(column + pw - v * dw, sw, ow)
                            if j >= 0:
                                window = (plane * oh + i) * ow + j
                                if argmax[window] == u * kw + v:
                                    total += T(gy[window])
                gx[plane * height * width + q] = total

    return body


def max_take(T):
    """The element of x that each window's tap sees, 0 where it is none."""
    zero = T(0)

    def body(x, argmax, y, shape):
        planes, height, width, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow = thirteen(shape)
        for p in range(cuda.grid(1), oh * ow, cuda.gridsize(1)):
            i = p // ow
            for plane in range(cuda.blockIdx.y, planes, cuda.gridDim.y):
                tap = np.int64(argmax[plane * oh * ow + p])
                u = tap // kw
                h, w = i * sh - ph + u * dh, (p - i * ow) * sw - pw + (tap - u * kw) * dw
                value = seen(x, plane, h, w, height, width, zero)
                y[plane * oh * ow + p] = value if tap < kh * kw else zero

    return body


# argmax is a byte, or int32 for large windows
MAX_FORWARD = [kernel(f"T* T* {kind}* int64* int64", "efd")(max_forward) for kind in ("uint8", "int32")]
MAX_BACKWARD = [kernel(f"T* {kind}* T* int64*", "efd")(max_backward) for kind in ("uint8", "int32")]
MAX_TAKE = [kernel(f"T* {kind}* T* int64*", "efd")(max_take) for kind in ("uint8", "int32")]


@cuda.jit(device=True)
def counted(i, stride, pad, taps, size, padding_counts):
    """How many elements window number i counts along one axis."""
    start = i * stride - pad
    end = min(start + taps, size + pad)
    return end - start if padding_counts else min(end, size) - max(start, 0)


@kernel("T* T* int64* int64 int64", "efd")
def avg_forward(T):
    """The sum of each window, divided by `divisor` or, if that is 0, by how many elements count."""
    zero = T(0)

    def body(x, y, shape, padding_counts, divisor):
        planes, height, width, kh, kw, sh, sw, ph, pw, _, _, oh, ow = thirteen(shape)
        for p in range(cuda.grid(1), oh * ow, cuda.gridsize(1)):
            i = p // ow
            j = p - i * ow
            count = divisor
            if divisor == 0:
                count = counted(i, sh, ph, kh, height, padding_counts) * counted(j, sw, pw, kw, width, padding_counts)
            top, bottom = max(i * sh - ph, 0), min(i * sh - ph + kh, height)
            left, right = max(j * sw - pw, 0), min(j * sw - pw + kw, width)
            for plane in range(cuda.blockIdx.y, planes, cuda.gridDim.y):
                total = zero
                for h in range(top, bottom):
                    for w in range(left, right):
                        total += T(x[(plane * height + h) * width + w])
                y[plane * oh * ow + p] = total / T(count)

    return body


@kernel("T* T* int64* int64 int64", "efd")
def avg_backward(T):
    """gx: every gy, divided likewise, for all elements of its window."""
    zero = T(0)

    def body(gy, gx, shape, padding_counts, divisor):
        planes, height, width, kh, kw, sh, sw, ph, pw, _, _, oh, ow = thirteen(shape)
        for q in range(cuda.grid(1), height * width, cuda.gridsize(1)):
            row = q // width
            column = q - row * width
            top, bottom = max((row + ph - kh) // sh + 1, 0), min((row + ph) // sh + 1, oh)
            left, right = max((column + pw - kw) // sw + 1, 0), min((column + pw) // sw + 1, ow)
            for plane in range(cuda.blockIdx.y, planes, cuda.gridDim.y):
                total = zero
                for i in range(top, bottom):
                    high = counted(i, sh, ph, kh, height, padding_counts)
                    for j in range(left, right):
                        count = divisor
                        if divisor == 0:
                            count = high * counted(j, sw, pw, kw, width, padding_counts)
                        total += T(gy[(plane * oh + i) * ow + j]) / T(count)
                gx[plane * height * width + q] = total

    return body


@in_floats(reference.max_pool2d, "efd")
def max_pool2d(x: Any, spec: PoolSpec, relu: bool = False) -> tuple[Any, Any]:
    """(y, argmax): the largest element of each window and the tap that saw it, the first of equals; NaN wins.

    Padding never wins. A window of padding alone gives -inf and the tap number KH * KW, which means none.
    argmax is uint8 if KH * KW <= 255, else int32.

    With `relu` it is max(y, 0), and where that is 0 no tap has won, since no gradient passes.
    """
    x = xp.ascontiguousarray(x)
    large = spec.kernel_size[0] * spec.kernel_size[1] > 255
    y = xp.empty(spec.output_shape, x.dtype)
    argmax = xp.empty(spec.output_shape, np.int32 if large else np.uint8)
    if y.size:
        MAX_FORWARD[large].of(x.dtype)(*_windows(spec), x, y, argmax, _shape(spec), int(relu))
    return y, argmax


@in_floats(reference.max_pool2d_grad, "efd")
def max_pool2d_grad(gy: Any, argmax: Any, spec: PoolSpec) -> Any:
    """gx: every gy added where its window found the largest element."""
    gy, argmax = xp.ascontiguousarray(gy), xp.ascontiguousarray(argmax)
    gx = xp.empty(spec.input_shape, gy.dtype)
    if gx.size:
        MAX_BACKWARD[argmax.dtype != np.uint8].of(gy.dtype)(*_pixels(spec), gy, argmax, gx, _shape(spec))
    return gx


@in_floats(reference.max_pool2d_take, "efd")
def max_pool2d_take(x: Any, argmax: Any, spec: PoolSpec) -> Any:
    """For each window the element of x that tap `argmax` sees, 0 where that means none: the gradient's adjoint."""
    x, argmax = xp.ascontiguousarray(x), xp.ascontiguousarray(argmax)
    y = xp.empty(spec.output_shape, x.dtype)
    if y.size:
        MAX_TAKE[argmax.dtype != np.uint8].of(x.dtype)(*_windows(spec), x, argmax, y, _shape(spec))
    return y


@in_floats(reference.avg_pool2d, "efd")
def avg_pool2d(x: Any, spec: PoolSpec, count_include_pad: bool, divisor_override: int | None) -> Any:
    """The sum of each window divided by the number of elements that count."""
    x = xp.ascontiguousarray(x)
    y = xp.empty(spec.output_shape, x.dtype)
    if y.size:
        numbers = int(count_include_pad), divisor_override or 0
        avg_forward.of(x.dtype)(*_windows(spec), x, y, _shape(spec), *numbers)
    return y


@in_floats(reference.avg_pool2d_grad, "efd")
def avg_pool2d_grad(gy: Any, spec: PoolSpec, count_include_pad: bool, divisor_override: int | None) -> Any:
    """gx: every gy divided likewise and added to all elements of its window."""
    gy = xp.ascontiguousarray(gy)
    gx = xp.empty(spec.input_shape, gy.dtype)
    if gx.size:
        numbers = int(count_include_pad), divisor_override or 0
        avg_backward.of(gy.dtype)(*_pixels(spec), gy, gx, _shape(spec), *numbers)
    return gx
