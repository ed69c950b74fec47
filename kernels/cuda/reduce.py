"""Reductions over a set of axes."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np
from numba import cuda

from ..reference.reduce import Axes
from .backend import SIMULATED, xp
from .device import exp_of, log1p_of, sum_in_block
from .launch import BLOCK, MOST_BLOCKS, computed_in, flat, kernel

SEGMENT = 8 if SIMULATED else 1 << 13  # elements that one block adds up


@kernel("T* A* int64 int64 int64 int64 int64", "efd", ((BLOCK,),))
def sum_segments(T, B):
    """out[k, s] = sum over segment s of all x[i, k, j]: a block for each, its threads side by side along j.

    A thread adds up few numbers, and the threads of a block in pairs, so that float32 keeps its digits.
    """
    zero = T(0)

    def body(x, out, outer, kept, length, segment, segments):
        parts = cuda.shared.array(B, T)
        t = cuda.threadIdx.x
        for b in range(cuda.blockIdx.x, kept * segments, cuda.gridDim.x):
            k = b // segments
            start = (b - k * segments) * segment
            end = min(start + segment, outer * length)
            total = zero
            for e in range(start + t, end, B):
                i = e // length
                total += T(x[(i * kept + k) * length + e - i * length])
            total = sum_in_block(parts, t, B, total)
            if t == 0:
                out[b] = total

    return body


def _runs(shape: tuple[int, ...], axes: Axes) -> tuple[int, int, int] | None:
    """The shape as (summed, kept, summed); None if the summed axes do not lie like that."""
    kept = [d for d in range(len(shape)) if d not in axes and shape[d] > 1]
    if not kept:
        return 1, 1, math.prod(shape)
    first, last = kept[0], kept[-1]
    if builtins.any(d in axes and shape[d] > 1 for d in range(first, last)):
        return None
    return math.prod(shape[:first]), math.prod(shape[first : last + 1]), math.prod(shape[last + 1 :])


def _sum_runs(x: Any, outer: int, kept: int, length: int) -> Any:
    """The sums as a vector, in two steps where there is much to add."""
    segments = -(-outer * length // SEGMENT)
    out = xp.empty((kept * segments,), computed_in(x.dtype))
    blocks = min(kept * segments, MOST_BLOCKS)
    sum_segments.of(x.dtype, BLOCK)(blocks, BLOCK, x, out, outer, kept, length, SEGMENT, segments)
    return out if segments == 1 else _sum_runs(out, 1, kept, segments)


def sum(x: Any, axes: Axes, keepdims: bool) -> Any:
    """The sum; floating-point numbers are added up in pairs, in a fixed order, float16 in float32."""
    if not axes:
        return x.copy()
    if x.dtype.char in "efd" and x.flags.c_contiguous and x.size:
        form = _runs(x.shape, axes)
        if form is not None and (form[2] > 1 or form[1] == 1):  # CuPy adds up columns well
            shape = tuple(1 if d in axes else n for d, n in enumerate(x.shape) if keepdims or d not in axes)
            return _sum_runs(x, *form).reshape(shape).astype(x.dtype, copy=False)
    wide = np.float64 if x.dtype.kind == "f" else x.dtype
    return xp.sum(x, axis=axes, dtype=wide, keepdims=keepdims).astype(x.dtype)


def mean(x: Any, axes: Axes, keepdims: bool) -> Any:
    """The mean, computed in float64 and rounded once."""
    total = xp.sum(x, axis=axes, dtype=np.float64, keepdims=keepdims) if axes else x
    return (total / np.float64(math.prod([x.shape[a] for a in axes]))).astype(x.dtype)


def prod(x: Any, axes: Axes, keepdims: bool) -> Any:
    """The product."""
    return xp.prod(x, axis=axes, dtype=x.dtype, keepdims=keepdims) if axes else x.copy()


def amax(x: Any, axes: Axes, keepdims: bool) -> Any:
    """The largest element; NaN wins."""
    return xp.max(x, axis=axes, keepdims=keepdims) if axes else x.copy()


def amin(x: Any, axes: Axes, keepdims: bool) -> Any:
    """The smallest element; NaN wins."""
    return xp.min(x, axis=axes, keepdims=keepdims) if axes else x.copy()


def argmax(x: Any, axis: int | None, keepdims: bool) -> Any:
    """Where the largest element is, the first of equals; in the flattened array if `axis` is None."""
    return xp.argmax(_numbers(x), axis=axis, keepdims=keepdims) if x.ndim else xp.zeros((), np.int64)


def argmin(x: Any, axis: int | None, keepdims: bool) -> Any:
    """Where the smallest element is, the first of equals; in the flattened array if `axis` is None."""
    return xp.argmin(_numbers(x), axis=axis, keepdims=keepdims) if x.ndim else xp.zeros((), np.int64)


def _numbers(x: Any) -> Any:
    return x.view(np.uint8) if x.dtype.kind == "b" else x


def any(x: Any, axes: Axes, keepdims: bool) -> Any:
    """Whether an element is not zero."""
    return xp.any(x, axis=axes, keepdims=keepdims) if axes else x.astype(np.bool_)


def all(x: Any, axes: Axes, keepdims: bool) -> Any:
    """Whether every element is not zero."""
    return xp.all(x, axis=axes, keepdims=keepdims) if axes else x.astype(np.bool_)


def cumsum(x: Any, axis: int, back: bool) -> Any:
    """Sums of the first 1, 2, ... entries along `axis`; with `back` of the last ones."""
    if not x.ndim:
        return x.reshape(1).copy()
    wide: Any = np.float64 if x.dtype.kind == "f" else x.dtype
    if back:
        return xp.ascontiguousarray(xp.flip(xp.cumsum(xp.flip(x, axis), axis, dtype=wide), axis).astype(x.dtype))
    return xp.cumsum(x, axis, dtype=wide).astype(x.dtype)


def cumprod(x: Any) -> Any:
    """Products of the first 1, 2, ... entries along the last axis."""
    return xp.cumprod(x, -1, dtype=x.dtype)


@kernel("T* T* int64 int64")
def running_logsumexp(T):
    """y[r, j] = ln of the sum of e**x[r, i] for i up to j: a thread for each row."""
    least = T(-math.inf)

    def body(x, y, rows, length):
        for r in range(cuda.grid(1), rows, cuda.gridsize(1)):
            total = least
            for j in range(length):
                here = x[r * length + j]
                high, low = (total, here) if total > here else (here, total)
                if total != total or here != here:
                    total = total + here
                elif high == low:  # infinite ones too
                    total = high + log1p_of(exp_of(T(0)))
                else:
                    total = high + log1p_of(exp_of(low - high))
                y[r * length + j] = total

    return body


def logcumsumexp(x: Any, axis: int) -> Any:
    """ln of the sums of e**x over the first 1, 2, ... entries along `axis`."""
    if not x.ndim:
        return x.copy()
    wide = x if x.dtype.char in "fd" else x.astype(np.float32)
    rows = xp.ascontiguousarray(xp.moveaxis(wide, axis, -1))
    y = xp.empty(rows.shape, rows.dtype)
    if y.size:
        length = rows.shape[-1]
        count = rows.size // length
        running_logsumexp.of(rows.dtype)(*flat(count), rows, y, count, length)
    return xp.ascontiguousarray(xp.moveaxis(y, -1, axis)).astype(x.dtype)
