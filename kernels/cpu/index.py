"""Kernels that move numbers: NumPy does them at the speed of memory; the memory is the pool's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..reference import index as reference
from ..reference.index import gather, gather_grad
from .memory import SMALLEST, empty, fill, zeros

__all__ = ["concatenate", "full", "gather", "gather_grad", "index_add"]


def full(shape: tuple[int, ...], value: Any, dtype: Any) -> np.ndarray:
    """An array of `shape` with `value` everywhere."""
    out = empty(shape, dtype)
    fill(out, value)
    return out


def concatenate(arrays: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """The arrays joined along `axis`."""
    first = arrays[0]
    if first.nbytes * len(arrays) < SMALLEST or any([a.dtype != first.dtype for a in arrays]):
        return reference.concatenate(arrays, axis)
    shape = list(first.shape)
    shape[axis] = sum([a.shape[axis] for a in arrays])
    return np.concatenate(arrays, axis, empty(tuple(shape), first.dtype))


def index_add(g: np.ndarray, key: Any, shape: tuple[int, ...], repeated: bool) -> np.ndarray:
    """Zeros of `shape` with `g` added at `key`: the adjoint of ``x[key]``.

    Args:
        repeated: `key` may name an element more than once; every mention then adds.
    """
    out = zeros(shape, g.dtype)
    if repeated:
        np.add.at(out, key, g)
    else:
        out[key] = g
    return out
