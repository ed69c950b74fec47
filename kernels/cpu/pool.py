"""Pooling, one plane (image and channel) after the other."""

from __future__ import annotations

import numpy as np
from numba import prange

from ..geometry import PoolSpec
from .gemm import plain
from .jit import helper, kernel
from .threads import launch


@helper
def _taps(p, kernel, stride, padding, dilation, size):
    """The taps of window p that lie on the image: (first, last, position of tap 0)."""
    start = p * stride - padding
    first = (-start + dilation - 1) // dilation if start < 0 else 0
    last = min(kernel, (size - start + dilation - 1) // dilation)
    return first, max(last, first), start


@kernel(parallel=True)
def largest(workers, x, y, argmax, planes, g):
    """y and argmax of each window; g = (H, W, KH, KW, SH, SW, PH, PW, DH, DW, OH, OW)."""
    height, width, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow = g
    for worker in prange(workers):
        for plane in range(worker, planes, workers):
            x0, out = plane * height * width, plane * oh * ow
            for i in range(oh):
                u0, u1, top = _taps(i, kh, sh, ph, dh, height)
                for j in range(ow):
                    v0, v1, left = _taps(j, kw, sw, pw, dw, width)
                    best, where = x.dtype.type(-np.inf), kh * kw
                    for u in range(u0, u1):
                        row = x0 + (top + u * dh) * width + left
                        for v in range(v0, v1):
                            value = x[np.uintp(row + v * dw)]
                            if value > best or value != value or where == kh * kw:
                                best, where = value, u * kw + v
                    y[np.uintp(out)] = best
                    argmax[np.uintp(out)] = where
                    out += 1


@kernel(parallel=True)
def largest_2x2(workers, x, y, argmax, planes, height, width, oh, ow):
    """The same for 2x2 windows side by side, without padding: the shape of almost every CNN."""
    for worker in prange(workers):
        for plane in range(worker, planes, workers):
            for i in range(oh):
                row = np.uintp(plane * height * width + 2 * i * width)
                below = row + np.uintp(width)
                out = np.uintp(plane * oh * ow + i * ow)
                for j in range(np.uintp(ow)):
                    a, b = x[row + j + j], x[row + j + j + np.uintp(1)]
                    c, d = x[below + j + j], x[below + j + j + np.uintp(1)]
                    best, where = a, np.uint8(0)
                    if b > best or b != b:
                        best, where = b, np.uint8(1)
                    if c > best or c != c:
                        best, where = c, np.uint8(2)
                    if d > best or d != d:
                        best, where = d, np.uint8(3)
                    y[out + j] = best
                    argmax[out + j] = where


@kernel(parallel=True)
def scatter(workers, gy, argmax, gx, planes, g):
    """gx += gy at the winners; gx starts as zeros."""
    height, width, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow = g
    for worker in prange(workers):
        for plane in range(worker, planes, workers):
            x0, out = plane * height * width, plane * oh * ow
            for i in range(oh):
                for j in range(ow):
                    where = np.int64(argmax[np.uintp(out)])
                    if where < kh * kw:
                        u, v = where // kw, where % kw
                        target = x0 + (i * sh - ph + u * dh) * width + j * sw - pw + v * dw
                        gx[np.uintp(target)] += gy[np.uintp(out)]
                    out += 1


@kernel(parallel=True)
def scatter_2x2(workers, gy, argmax, gx, planes, height, width, oh, ow):
    """The same for 2x2 windows side by side: every element inside a window is written once."""
    zero = gy.dtype.type(0)
    for worker in prange(workers):
        for plane in range(worker, planes, workers):
            for i in range(oh):
                row = np.uintp(plane * height * width + 2 * i * width)
                below = row + np.uintp(width)
                out = np.uintp(plane * oh * ow + i * ow)
                for j in range(np.uintp(ow)):
                    where, g = argmax[out + j], gy[out + j]
                    gx[row + j + j] = g if where == 0 else zero
                    gx[row + j + j + np.uintp(1)] = g if where == 1 else zero
                    gx[below + j + j] = g if where == 2 else zero
                    gx[below + j + j + np.uintp(1)] = g if where == 3 else zero


@kernel(parallel=True)
def pick(workers, x, argmax, y, planes, g):
    """y = x at the winners, 0 where there is none."""
    height, width, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow = g
    for worker in prange(workers):
        for plane in range(worker, planes, workers):
            x0, out = plane * height * width, plane * oh * ow
            for i in range(oh):
                for j in range(ow):
                    where = np.int64(argmax[np.uintp(out)])
                    if where < kh * kw:
                        u, v = where // kw, where % kw
                        y[np.uintp(out)] = x[np.uintp(x0 + (i * sh - ph + u * dh) * width + j * sw - pw + v * dw)]
                    else:
                        y[np.uintp(out)] = 0
                    out += 1


@helper
def _count(i, j, g, include_pad, divisor):
    """What the sum of window (i, j) is divided by."""
    height, width, kh, kw, sh, sw, ph, pw, _, _, _, _ = g
    if divisor:
        return divisor
    top, left = i * sh - ph, j * sw - pw
    bottom, right = min(top + kh, height + ph), min(left + kw, width + pw)
    if include_pad:
        return (bottom - top) * (right - left)
    return (min(bottom, height) - max(top, 0)) * (min(right, width) - max(left, 0))


@kernel(parallel=True)
def average(workers, x, y, planes, g, include_pad, divisor):
    """y = the sum of each window divided by what counts; divisor 0 means by number."""
    height, width, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow = g
    for worker in prange(workers):
        for plane in range(worker, planes, workers):
            x0, out = plane * height * width, plane * oh * ow
            for i in range(oh):
                u0, u1, top = _taps(i, kh, sh, ph, dh, height)
                for j in range(ow):
                    v0, v1, left = _taps(j, kw, sw, pw, dw, width)
                    total = x.dtype.type(0)
                    for u in range(u0, u1):
                        row = x0 + (top + u) * width + left
                        for v in range(v0, v1):
                            total += x[np.uintp(row + v)]
                    y[np.uintp(out)] = total / x.dtype.type(_count(i, j, g, include_pad, divisor))
                    out += 1


@kernel(parallel=True)
def spread(workers, gy, gx, planes, g, include_pad, divisor):
    """gx += gy divided likewise, over each window; gx starts as zeros."""
    height, width, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow = g
    for worker in prange(workers):
        for plane in range(worker, planes, workers):
            x0, out = plane * height * width, plane * oh * ow
            for i in range(oh):
                u0, u1, top = _taps(i, kh, sh, ph, dh, height)
                for j in range(ow):
                    v0, v1, left = _taps(j, kw, sw, pw, dw, width)
                    share = gy[np.uintp(out)] / gy.dtype.type(_count(i, j, g, include_pad, divisor))
                    for u in range(u0, u1):
                        row = x0 + (top + u) * width + left
                        for v in range(v0, v1):
                            gx[np.uintp(row + v)] += share
                    out += 1


def _numbers(spec: PoolSpec) -> tuple[int, ...]:
    """The geometry as the kernels take it."""
    return (
        *spec.input_size, *spec.kernel_size, *spec.stride, *spec.padding, *spec.dilation, *spec.output_size,
    )  # fmt: skip


def _flat(array: np.ndarray) -> np.ndarray:
    return plain(array).reshape(-1)


def side_by_side(spec: PoolSpec) -> bool:
    """Whether `largest_2x2` computes this pooling."""
    inside = all(2 * o <= n for o, n in zip(spec.output_size, spec.input_size, strict=True))
    return spec.kernel_size == spec.stride == (2, 2) and spec.padding == (0, 0) and spec.dilation == (1, 1) and inside


def max_pool2d(x: np.ndarray, spec: PoolSpec) -> tuple[np.ndarray, np.ndarray]:
    """(y, argmax): the largest element of each window and the tap that saw it; see `reference.pool`."""
    y = np.empty(spec.output_shape, x.dtype)
    small = spec.kernel_size[0] * spec.kernel_size[1] <= 255
    argmax = np.empty(spec.output_shape, np.uint8 if small else np.int32)
    planes = spec.batch * spec.channels
    if planes and side_by_side(spec):
        launch(largest_2x2, _flat(x), y.reshape(-1), argmax.reshape(-1), planes, *spec.input_size, *spec.output_size)
    elif planes:
        launch(largest, _flat(x), y.reshape(-1), argmax.reshape(-1), planes, _numbers(spec))
    return y, argmax


def max_pool2d_grad(gy: np.ndarray, argmax: np.ndarray, spec: PoolSpec) -> np.ndarray:
    """gx: every gy added where its window found the largest element."""
    planes = spec.batch * spec.channels
    if planes and side_by_side(spec):
        covered = all(2 * o == n for o, n in zip(spec.output_size, spec.input_size, strict=True))
        gx = (np.empty if covered else np.zeros)(spec.input_shape, gy.dtype)
        sizes = *spec.input_size, *spec.output_size
        launch(scatter_2x2, _flat(gy), _flat(argmax), gx.reshape(-1), planes, *sizes)
        return gx
    gx = np.zeros(spec.input_shape, gy.dtype)
    if gx.size:
        launch(scatter, _flat(gy), _flat(argmax), gx.reshape(-1), spec.batch * spec.channels, _numbers(spec))
    return gx


def max_pool2d_take(x: np.ndarray, argmax: np.ndarray, spec: PoolSpec) -> np.ndarray:
    """For each window the element of x that tap `argmax` sees, 0 where there is none."""
    y = np.empty(spec.output_shape, x.dtype)
    if y.size:
        launch(pick, _flat(x), _flat(argmax), y.reshape(-1), spec.batch * spec.channels, _numbers(spec))
    return y


def avg_pool2d(x: np.ndarray, spec: PoolSpec, count_include_pad: bool, divisor_override: int | None) -> np.ndarray:
    """The sum of each window divided by the number of elements that count; see `reference.pool`."""
    y = np.empty(spec.output_shape, x.dtype)
    if y.size:
        rule = bool(count_include_pad), divisor_override or 0
        launch(average, _flat(x), y.reshape(-1), spec.batch * spec.channels, _numbers(spec), *rule)
    return y


def avg_pool2d_grad(
    gy: np.ndarray, spec: PoolSpec, count_include_pad: bool, divisor_override: int | None
) -> np.ndarray:
    """gx: every gy divided likewise and added to all elements of its window."""
    gx = np.zeros(spec.input_shape, gy.dtype)
    if gx.size:
        rule = bool(count_include_pad), divisor_override or 0
        launch(spread, _flat(gy), gx.reshape(-1), spec.batch * spec.channels, _numbers(spec), *rule)
    return gx
