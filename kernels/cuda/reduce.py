"""Reductions over a set of axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda

from ..reference.reduce import Axes
from .backend import xp
from .device import exp_of, log1p_of
from .launch import flat, kernel


def sum(x: Any, axes: Axes, keepdims: bool) -> Any:
    """The sum; floating-point numbers are added up in float64 and rounded once."""
    wide = np.float64 if x.dtype.kind == "f" else x.dtype
    return xp.sum(x, axis=axes, dtype=wide, keepdims=keepdims).astype(x.dtype) if axes else x.copy()


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
