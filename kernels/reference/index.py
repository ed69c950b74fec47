"""Kernels that move numbers: joining, picking by index, adding back by index, filling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def full(shape: tuple[int, ...], value: Any, dtype: Any) -> np.ndarray:
    """An array of `shape` with `value` everywhere."""
    return np.full(shape, value, dtype)


def concatenate(arrays: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """The arrays joined along `axis`."""
    return np.concatenate(arrays, axis)


def take(x: np.ndarray, key: Any) -> np.ndarray:
    """x[key], where `key` holds arrays: a copy, C-contiguous."""
    return np.asarray(x[key], order="C")  # NumPy may give the copy another order


def index_add(g: np.ndarray, key: Any, shape: tuple[int, ...], repeated: bool) -> np.ndarray:
    """Zeros of `shape` with `g` added at `key`: the adjoint of ``x[key]``.

    Args:
        repeated: `key` may name an element more than once; every mention then adds.
    """
    out = np.zeros(shape, g.dtype)
    if repeated:
        np.add.at(out, key, g)
    else:
        out[key] = g
    return out


def gather(x: np.ndarray, axis: int, index: np.ndarray) -> np.ndarray:
    """out[i, j, k] = x[index[i, j, k], j, k] for axis 0, and so on; `index` may be smaller than x beside `axis`."""
    if not x.ndim:
        return x.copy()
    cut = tuple(slice(None) if d == axis else slice(n) for d, n in enumerate(index.shape))
    return np.take_along_axis(x[cut], index, axis)


def gather_grad(g: np.ndarray, axis: int, index: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros of `shape` with every g added where `gather` took it from."""
    out = np.zeros(shape, g.dtype)
    if not out.ndim:
        return g.copy()
    places: list[np.ndarray] = list(np.indices(index.shape, sparse=True))
    places[axis] = index
    np.add.at(out, tuple(places), g)
    return out
