"""Pooling, one plane (image and channel) after the other.

Arrays are flat: plane p of an image array begins at p * H * W, of an array of windows at p * OH * OW. A tap (u, v) of a
window is its element in row u and column v, numbered u * KW + v. The numbers of a geometry come as one tuple
g = (H, W, KH, KW, SH, SW, PH, PW, DH, DW, OH, OW): sizes of image and kernel, stride, padding, dilation, windows.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import prange

from ..geometry import PoolSpec
from .gemm import flat
from .jit import helper, kernel
from .memory import empty
from .rows import add, fill
from .simd_pool import largest_2x2, largest_3x3, mean_2x2, scatter_2x2, scatter_3x3, spread_2x2
from .simd_rows import row_moments
from .threads import launch


@helper
def _taps(p, kernel, stride, padding, dilation, size):
    """The taps of window p that lie on the image: (first, last, position of tap 0)."""
    start = p * stride - padding
    first = (-start + dilation - 1) // dilation if start < 0 else 0
    last = min(kernel, (size - start + dilation - 1) // dilation)
    return first, max(last, first), start


@kernel(parallel=True)
def largest(workers, x, y, argmax, planes, g, relu):
    """y and argmax of each window; the tap number KH * KW means none.

    With `relu`, 0 and no tap where the largest element is not above 0.
    """
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
                    if relu and best <= 0:
                        best, where = x.dtype.type(0), kh * kw
                    y[np.uintp(out)] = best
                    argmax[np.uintp(out)] = where
                    out += 1


@kernel(parallel=True)
def largest_by_two(workers, x, y, argmax, planes, g, relu):
    """The same for windows of 2x2 without padding or of 3x3, which move by two: the shapes of almost every CNN."""
    height, width, kh, _, _, _, ph, pw, _, _, oh, ow = g
    for worker in prange(workers):
        for plane in range(planes * worker // workers, planes * (worker + 1) // workers):
            x0, o = plane * height * width, plane * oh * ow
            if kh == 2:
                largest_2x2(x, x0, height, width, y, argmax, o, oh, ow, ph, pw, relu)
            else:
                largest_3x3(x, x0, height, width, y, argmax, o, oh, ow, ph, pw, relu)


@kernel(parallel=True)
def scatter(workers, gy, argmax, gx, planes, g):
    """gx = the sums of gy at the winners, 0 elsewhere: each plane is cleared, then added to."""
    height, width, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow = g
    for worker in prange(workers):
        for plane in range(worker, planes, workers):
            x0, out = plane * height * width, plane * oh * ow
            fill(gx, x0, height * width, 0)
            for i in range(oh):
                for j in range(ow):
                    where = np.int64(argmax[np.uintp(out)])
                    if where < kh * kw:
                        u, v = where // kw, where % kw
                        target = x0 + (i * sh - ph + u * dh) * width + j * sw - pw + v * dw
                        gx[np.uintp(target)] += gy[np.uintp(out)]
                    out += 1


@kernel(parallel=True)
def scatter_by_two(workers, gy, argmax, gx, planes, g):
    """The same for the windows of `largest_by_two`: every element of gx gathers what it won, and is written once."""
    height, width, kh, _, _, _, ph, pw, _, _, oh, ow = g
    for worker in prange(workers):
        for plane in range(planes * worker // workers, planes * (worker + 1) // workers):
            x0, o = plane * height * width, plane * oh * ow
            if kh == 2:
                scatter_2x2(gy, argmax, o, oh, ow, gx, x0, height, width, ph, pw)
            else:
                scatter_3x3(gy, argmax, o, oh, ow, gx, x0, height, width, ph, pw)


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
def _reach(p, kernel, stride, padding, size, include_pad):
    """How many elements of one axis window p counts."""
    start = p * stride - padding
    end = min(start + kernel, size + padding)
    return end - start if include_pad else min(end, size) - max(start, 0)


@helper
def _seen(tap, stride, padding, size, windows):
    """The windows whose tap lies on the image: (first, last)."""
    first = (padding - tap + stride - 1) // stride if tap < padding else 0
    last = (size - 1 + padding - tap) // stride + 1 if size + padding > tap else 0
    return first, max(first, min(last, windows))


@kernel(parallel=True)
def average(workers, x, y, planes, g, include_pad, divisor):
    """y = the sum of each window divided by what counts; divisor 0 means by number.

    Loop nest: planes, rows of y, taps, a row of y: it stays in the first cache while the taps are added to it.
    """
    height, width, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow = g
    for worker in prange(workers):
        across = np.empty(ow, x.dtype)
        for j in range(ow):
            across[j] = _reach(j, kw, sw, pw, width, include_pad)
        for plane in range(planes * worker // workers, planes * (worker + 1) // workers):
            for i in range(oh):
                u0, u1, top = _taps(i, kh, sh, ph, 1, height)
                o = np.uintp((plane * oh + i) * ow)
                fill(y, o, ow, 0)
                for u in range(u0, u1):
                    row = (plane * height + top + u) * width - pw
                    for v in range(kw):
                        first, last = _seen(v, sw, pw, width, ow)
                        start, step = np.uintp(row + v + first * sw), np.uintp(sw)
                        out, n = o + np.uintp(first), np.uintp(last - first)
                        if sw == 1:
                            for j in range(n):
                                y[out + j] += x[start + j]
                        elif sw == 2:
                            for j in range(n):
                                y[out + j] += x[start + j + j]
                        else:
                            for j in range(n):
                                y[out + j] += x[start + j * step]
                if divisor:
                    for j in range(np.uintp(ow)):
                        y[o + j] /= x.dtype.type(divisor)
                else:
                    down = x.dtype.type(_reach(i, kh, sh, ph, height, include_pad))
                    for j in range(np.uintp(ow)):
                        y[o + j] /= down * across[j]


@kernel(parallel=True)
def spread(workers, gy, gx, planes, g, include_pad, divisor):
    """gx = the sums of gy, divided likewise, over the windows that see each element; loop nest as in `average`."""
    height, width, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow = g
    for worker in prange(workers):
        across, share = np.empty(ow, gy.dtype), np.empty(ow, gy.dtype)
        for j in range(ow):
            across[j] = _reach(j, kw, sw, pw, width, include_pad)
        for plane in range(planes * worker // workers, planes * (worker + 1) // workers):
            fill(gx, plane * height * width, height * width, 0)
            for i in range(oh):
                u0, u1, top = _taps(i, kh, sh, ph, 1, height)
                o = np.uintp((plane * oh + i) * ow)
                down = gy.dtype.type(_reach(i, kh, sh, ph, height, include_pad))
                for j in range(np.uintp(ow)):
                    share[j] = gy[o + j] / (gy.dtype.type(divisor) if divisor else down * across[j])
                for u in range(u0, u1):
                    row = (plane * height + top + u) * width - pw
                    for v in range(kw):
                        first, last = _seen(v, sw, pw, width, ow)
                        add(share, first, gx, row + v + first * sw, sw, last - first)


@kernel(parallel=True)
def average_by_2x2(workers, x, y, planes, g, divisor):
    """`average` for windows of 2x2 side by side, which all lie inside."""
    height, width, oh, ow = g[0], g[1], g[10], g[11]
    for worker in prange(workers):
        for plane in range(planes * worker // workers, planes * (worker + 1) // workers):
            mean_2x2(x, plane * height * width, width, y, plane * oh * ow, oh, ow, x.dtype.type(divisor))


@kernel(parallel=True)
def spread_by_2x2(workers, gy, gx, planes, g, divisor):
    """`spread` for the windows of `average_by_2x2`: every element of gx is written once."""
    height, width, oh, ow = g[0], g[1], g[10], g[11]
    for worker in prange(workers):
        for plane in range(planes * worker // workers, planes * (worker + 1) // workers):
            spread_2x2(gy, plane * oh * ow, oh, ow, gx, plane * height * width, height, width, gy.dtype.type(divisor))


@kernel(parallel=True)
def average_planes(workers, x, y, length, divisor):
    """y = the sum of each plane divided by `divisor`"""
    for worker in prange(workers):
        totals = np.empty(2)
        for plane in range(y.size * worker // workers, y.size * (worker + 1) // workers):
            totals[0] = totals[1] = 0
            row_moments(x, plane * length, length, length, 1, x.dtype.type(0), totals)
            y[plane] = totals[0] / divisor


@kernel(parallel=True)
def spread_planes(workers, gy, gx, length, divisor):
    """each plane of gx = gy / divisor"""
    for worker in prange(workers):
        for plane in range(gy.size * worker // workers, gy.size * (worker + 1) // workers):
            fill(gx, plane * length, length, gy.dtype.type(gy[plane] / divisor))


@lru_cache(maxsize=1024)
def _numbers(spec: PoolSpec) -> tuple[int, ...]:
    """The geometry as the kernels take it."""
    return (
        *spec.input_size, *spec.kernel_size, *spec.stride, *spec.padding, *spec.dilation, *spec.output_size,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def by_two(spec: PoolSpec) -> bool:
    """Whether `largest_by_two` computes this pooling."""
    inside = all(2 * o <= n for o, n in zip(spec.output_size, spec.input_size, strict=True))
    pairs = spec.kernel_size == (2, 2) and spec.padding == (0, 0) and inside
    return spec.stride == (2, 2) and spec.dilation == (1, 1) and (pairs or spec.kernel_size == (3, 3))


def whole_planes(spec: PoolSpec) -> bool:
    """Whether there is one window, which is the image."""
    return spec.kernel_size == spec.input_size and spec.padding == (0, 0)


def max_pool2d(x: np.ndarray, spec: PoolSpec, relu: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(y, argmax): the largest element of each window and the tap that saw it; see `reference.pool`."""
    y = empty(spec.output_shape, x.dtype)
    small = spec.kernel_size[0] * spec.kernel_size[1] <= 255
    argmax = empty(spec.output_shape, np.uint8 if small else np.int32)
    if y.size:
        planes = spec.batch * spec.channels
        arrays = flat(x), y.ravel(), argmax.ravel()
        rule = _numbers(spec), int(relu)
        launch(largest_by_two if by_two(spec) else largest, *arrays, planes, *rule, elements=x.size)
    return y, argmax


def max_pool2d_grad(gy: np.ndarray, argmax: np.ndarray, spec: PoolSpec) -> np.ndarray:
    """gx: every gy added where its window found the largest element."""
    gx = empty(spec.input_shape, gy.dtype)
    if gx.size:
        planes = spec.batch * spec.channels
        arrays = flat(gy), flat(argmax), gx.ravel()
        launch(scatter_by_two if by_two(spec) else scatter, *arrays, planes, _numbers(spec), elements=gx.size)
    return gx


def max_pool2d_take(x: np.ndarray, argmax: np.ndarray, spec: PoolSpec) -> np.ndarray:
    """For each window the element of x that tap `argmax` sees, 0 where there is none."""
    y = empty(spec.output_shape, x.dtype)
    if y.size:
        planes = spec.batch * spec.channels
        launch(pick, flat(x), flat(argmax), y.ravel(), planes, _numbers(spec), elements=x.size)
    return y


def avg_pool2d(x: np.ndarray, spec: PoolSpec, count_include_pad: bool, divisor_override: int | None) -> np.ndarray:
    """The sum of each window divided by the number of elements that count; see `reference.pool`."""
    y = empty(spec.output_shape, x.dtype)
    if y.size:
        arrays = flat(x), y.ravel()
        if whole_planes(spec):
            length = spec.input_size[0] * spec.input_size[1]
            launch(average_planes, *arrays, length, float(divisor_override or length), elements=x.size)
        elif spec.kernel_size == (2, 2) and by_two(spec):
            planes = spec.batch * spec.channels
            launch(average_by_2x2, *arrays, planes, _numbers(spec), float(divisor_override or 4), elements=x.size)
        else:
            rule = bool(count_include_pad), divisor_override or 0
            launch(average, *arrays, spec.batch * spec.channels, _numbers(spec), *rule, elements=x.size)
    return y


def avg_pool2d_grad(
    gy: np.ndarray, spec: PoolSpec, count_include_pad: bool, divisor_override: int | None
) -> np.ndarray:
    """gx: every gy divided likewise and added to all elements of its window."""
    gx = empty(spec.input_shape, gy.dtype)
    if gx.size:
        arrays = flat(gy), gx.ravel()
        if whole_planes(spec):
            length = spec.input_size[0] * spec.input_size[1]
            launch(spread_planes, *arrays, length, float(divisor_override or length), elements=gx.size)
        elif spec.kernel_size == (2, 2) and by_two(spec):
            planes = spec.batch * spec.channels
            launch(spread_by_2x2, *arrays, planes, _numbers(spec), float(divisor_override or 4), elements=gx.size)
        else:
            rule = bool(count_include_pad), divisor_override or 0
            launch(spread, *arrays, spec.batch * spec.channels, _numbers(spec), *rule, elements=gx.size)
    return gx
