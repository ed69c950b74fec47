"""Kernels that move numbers: joining, picking by index, adding back by index, filling. No atomics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda

from .backend import xp
from .launch import flat, kernel


def full(shape: tuple[int, ...], value: Any, dtype: Any) -> Any:
    """An array of `shape` with `value` everywhere."""
    return xp.full(shape, value, dtype)


def concatenate(arrays: Sequence[Any], axis: int) -> Any:
    """The arrays joined along `axis`."""
    return xp.concatenate(list(arrays), axis)


def take(x: Any, key: Any) -> Any:
    """x[key], where `key` holds arrays: a copy, C-contiguous."""
    return xp.asarray(x[key], order="C")


@kernel("T* T* int64* int64* int64", dtypes="fdlihbB")
def add_runs(T):
    """out[places[i]] += sum of g[order[i]], g[order[i + 1]], ... as long as the (sorted) place stays the same.

    The thread that finds the first of a run adds it up, in the order of g: no two threads write to one place.
    """

    def body(g, out, order, places, n):
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            place = places[i]
            if i == 0 or places[i - 1] != place:
                total = g[order[i]]
                j = i + 1
                while j < n and places[j] == place:
                    total = T(total + g[order[j]])
                    j += 1
                out[place] = total

    return body


def index_add(g: Any, key: Any, shape: tuple[int, ...], repeated: bool) -> Any:
    """Zeros of `shape` with `g` added at `key`: the adjoint of ``x[key]``.

    Args:
        repeated: `key` may name an element more than once; every mention then adds, in the order of g.
    """
    out = xp.zeros(shape, g.dtype)
    if not repeated:
        out[key] = g
        return out
    places = xp.arange(out.size, dtype=np.int64).reshape(shape)[key]
    return _add_at(out, g, xp.broadcast_to(places, g.shape))


def _add_at(out: Any, g: Any, places: Any) -> Any:
    """Add every g to the (flat) place beside it."""
    if not g.size:
        return out
    if g.dtype.char == "e":
        return _add_at(xp.zeros(out.shape, np.float32), g.astype(np.float32), places).astype(g.dtype)
    places = xp.ascontiguousarray(places).reshape(-1)
    order = xp.argsort(places, kind="stable")
    kind = np.dtype(np.uint8) if g.dtype.kind == "b" else g.dtype
    add_runs.of(kind)(*flat(g.size), xp.ascontiguousarray(g), out, order, places[order], g.size)
    return out


def gather(x: Any, axis: int, index: Any) -> Any:
    """out[i, j, k] = x[index[i, j, k], j, k] for axis 0, and so on; `index` may be smaller than x beside `axis`."""
    if not x.ndim:
        return x.copy()
    cut = tuple(slice(None) if d == axis else slice(n) for d, n in enumerate(index.shape))
    return xp.take_along_axis(x[cut], index, axis)


def gather_grad(g: Any, axis: int, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with every g added where `gather` took it from."""
    if not len(shape):
        return g.copy()
    out = xp.zeros(shape, g.dtype)
    strides = np.cumprod((1, *shape[:0:-1]))[::-1]
    places = index * int(strides[axis])
    for d, n in enumerate(index.shape):
        if d != axis:
            places = places + (xp.arange(n) * int(strides[d])).reshape([-1 if k == d else 1 for k in range(index.ndim)])
    return _add_at(out, g, places)
