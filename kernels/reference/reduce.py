"""Reductions over a set of axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import silent

Axes = tuple[int, ...]


@silent
def sum(x: np.ndarray, axes: Axes, keepdims: bool) -> np.ndarray:
    """The sum; floating-point numbers are added up in float64 and rounded once."""
    wide: Any = np.float64 if x.dtype.kind == "f" else None
    add: Any = np.add
    total = add.reduce(x, axis=axes, keepdims=keepdims, dtype=wide)
    return np.asarray(total, x.dtype)


@silent
def mean(x: np.ndarray, axes: Axes, keepdims: bool) -> np.ndarray:
    """The mean, computed in float64 and rounded once."""
    count = np.prod([x.shape[a] for a in axes], dtype=np.int64)
    return np.asarray(np.sum(x, axis=axes, keepdims=keepdims, dtype=np.float64) / count).astype(x.dtype)


@silent
def prod(x: np.ndarray, axes: Axes, keepdims: bool) -> np.ndarray:
    """The product."""
    return np.asarray(np.prod(x, axis=axes, keepdims=keepdims, dtype=x.dtype))


def amax(x: np.ndarray, axes: Axes, keepdims: bool) -> np.ndarray:
    """The largest element; NaN wins."""
    return np.asarray(np.max(x, axis=axes, keepdims=keepdims))


def amin(x: np.ndarray, axes: Axes, keepdims: bool) -> np.ndarray:
    """The smallest element; NaN wins."""
    return np.asarray(np.min(x, axis=axes, keepdims=keepdims))


def argmax(x: np.ndarray, axis: int | None, keepdims: bool) -> np.ndarray:
    """Where the largest element is, the first of equals; in the flattened array if `axis` is None."""
    return np.asarray(np.argmax(x, axis=axis, keepdims=keepdims))


def argmin(x: np.ndarray, axis: int | None, keepdims: bool) -> np.ndarray:
    """Where the smallest element is, the first of equals; in the flattened array if `axis` is None."""
    return np.asarray(np.argmin(x, axis=axis, keepdims=keepdims))


def any(x: np.ndarray, axes: Axes, keepdims: bool) -> np.ndarray:
    """Whether an element is not zero."""
    return np.asarray(np.any(x, axis=axes, keepdims=keepdims))


def all(x: np.ndarray, axes: Axes, keepdims: bool) -> np.ndarray:
    """Whether every element is not zero."""
    return np.asarray(np.all(x, axis=axes, keepdims=keepdims))


@silent
def cumsum(x: np.ndarray, axis: int, back: bool) -> np.ndarray:
    """Sums of the first 1, 2, ... entries along `axis`; with `back` of the last ones."""
    wide: Any = np.float64 if x.dtype.kind == "f" else x.dtype
    if back:
        return np.flip(np.cumsum(np.flip(x, axis), axis, dtype=wide), axis).astype(x.dtype)
    return np.cumsum(x, axis, dtype=wide).astype(x.dtype, copy=False)


@silent
def cumprod(x: np.ndarray) -> np.ndarray:
    """Products of the first 1, 2, ... entries along the last axis."""
    return np.cumprod(x, -1, dtype=x.dtype)


@silent
def logcumsumexp(x: np.ndarray, axis: int) -> np.ndarray:
    """ln of the sums of e**x over the first 1, 2, ... entries along `axis`."""
    return np.logaddexp.accumulate(x, axis, dtype=x.dtype)
