"""Kernels that move numbers: joining, picking by index, adding back by index, filling.

An index array along one axis is the common case: x is (outer, entries, inner) then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import prange, uintp

from ..reference import index as reference
from . import strided
from .gemm import plain
from .jit import kernel
from .memory import SMALLEST, empty, fill, zeros
from .reduce import around
from .strided import WORDS, assign
from .threads import launch

FEW = 1 << 12  # numbers; NumPy picks fewer by index in less time than a launch takes
BAND = 32  # columns that one thread adds to


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
    out = empty(tuple(shape), first.dtype)
    if first.size < strided.FEW:
        return np.concatenate(arrays, axis, out)
    start = 0
    for a in arrays:
        assign(out[(*[slice(None)] * (axis % first.ndim), slice(start, start + a.shape[axis]))], a)
        start += a.shape[axis]
    return out


@kernel(parallel=True)
def pick(workers, x, places, out):
    """out[o, m, j] = x[o, places[o, m, j], j]; `places` may have size 1 along o and j. Rows (o, m) are shared out."""
    outer, count, inner = out.shape
    many, each = places.shape[0] > 1, places.shape[2] > 1
    for worker in prange(workers):
        first, stop = outer * count * worker // workers, outer * count * (worker + 1) // workers
        o, m = first // count, first % count
        for _ in range(first, stop):
            at, table = places[o if many else 0, m], x[o]
            if inner == 1:
                out[o, m, 0] = table[uintp(at[0]), 0]
            elif each:
                to = out[o, m]
                for j in range(uintp(inner)):
                    to[j] = table[uintp(at[j]), j]
            else:
                to, row = out[o, m], table[uintp(at[0])]
                for j in range(uintp(inner)):
                    to[j] = row[j]
            m += 1
            if m == count:
                o, m = o + 1, 0


@kernel(parallel=True)
def add_back(workers, g, places, out):
    """out[o, places[o, m, j], j] += g[o, m, j] in the order of m: the adjoint of `pick`.

    for o, BAND columns j, shared out to the workers, so that no two write to one element: m
    """
    outer, count, inner = g.shape
    many, each = places.shape[0] > 1, places.shape[2] > 1
    bands = (inner + BAND - 1) // BAND
    for worker in prange(workers):
        for unit in range(outer * bands * worker // workers, outer * bands * (worker + 1) // workers):
            o, first = unit // bands, unit % bands * BAND
            last = min(first + BAND, inner)
            rows, table = places[o if many else 0], out[o]
            for m in range(count):
                if each:
                    for j in range(uintp(first), uintp(last)):
                        table[uintp(rows[m, j]), j] += g[o, m, j]
                else:
                    row = uintp(rows[m, 0])
                    for j in range(uintp(first), uintp(last)):
                        table[row, j] += g[o, m, j]


def _along(key: Any, shape: tuple[int, ...]) -> tuple[int, np.ndarray] | None:
    """(axis, places) if `key` is an array of numbers along one axis, and all of the others; None if it is not."""
    parts = key if isinstance(key, tuple) else (key,)
    axis = len(parts) - 1
    places = parts[axis] if parts else None
    if not isinstance(places, np.ndarray) or places.dtype != np.int64 or not places.size:
        return None
    if any([not isinstance(part, slice) or part != slice(None) for part in parts[:-1]]) or axis >= len(shape):
        return None
    lowest, n = places.min(), shape[axis]
    if lowest < -n or places.max() >= n:
        return None  # NumPy says what is wrong
    return axis, np.where(places < 0, places + n, places) if lowest < 0 else places


def _words(x: np.ndarray) -> np.ndarray:
    """The elements as words of their size: one kernel for all dtypes."""
    return plain(x).view(WORDS[x.itemsize].dtype)


def take(x: np.ndarray, key: Any) -> np.ndarray:
    """x[key], where `key` holds arrays: a copy, C-contiguous."""
    found = _along(key, x.shape) if x.size >= FEW and x.itemsize in WORDS else None
    if found is None:
        return reference.take(x, key)
    axis, places = found
    outer, n, inner = around(x.shape, axis)
    out = empty((*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]), x.dtype)
    of, to = _words(x).reshape(outer, n, inner), out.view(WORDS[x.itemsize].dtype).reshape(outer, -1, inner)
    launch(pick, of, plain(places).reshape(1, -1, 1), to, elements=out.size)
    return out


def index_add(g: np.ndarray, key: Any, shape: tuple[int, ...], repeated: bool) -> np.ndarray:
    """Zeros of `shape` with `g` added at `key`: the adjoint of ``x[key]``.

    Args:
        repeated: `key` may name an element more than once; every mention then adds.
    """
    out = zeros(shape, g.dtype)
    if not repeated:
        if g.size >= strided.FEW:
            assign(out[key], g)
        else:
            out[key] = g
        return out
    found = _along(key, shape) if g.size >= FEW and g.dtype in (np.float32, np.float64) else None
    if found is None:
        np.add.at(out, key, g)
        return out
    axis, places = found
    form = around(shape, axis)
    add = plain(g).reshape(form[0], -1, form[2])
    launch(add_back, add, plain(places).reshape(1, -1, 1), out.reshape(form), elements=g.size)
    return out


def _beside(x: tuple[int, ...], axis: int, places: tuple[int, ...]) -> bool:
    """Whether two shapes are equal but for the size of `axis`."""
    return (*x[:axis], *x[axis + 1 :]) == (*places[:axis], *places[axis + 1 :])


def gather(x: np.ndarray, axis: int, index: np.ndarray) -> np.ndarray:
    """out[i, j, k] = x[index[i, j, k], j, k] for axis 0, and so on; `index` may be smaller than x beside `axis`."""
    if index.size < FEW or not _beside(x.shape, axis, index.shape) or x.itemsize not in WORDS:
        return reference.gather(x, axis, index)
    out = empty(index.shape, x.dtype)
    form = around(index.shape, axis)
    to = out.view(WORDS[x.itemsize].dtype).reshape(form)
    launch(pick, _words(x).reshape(around(x.shape, axis)), plain(index).reshape(form), to, elements=out.size)
    return out


def gather_grad(g: np.ndarray, axis: int, index: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros of `shape` with every g added where `gather` took it from."""
    if g.size < FEW or not _beside(shape, axis, index.shape) or g.dtype not in (np.float32, np.float64):
        return reference.gather_grad(g, axis, index, shape)
    out, form = zeros(shape, g.dtype), around(index.shape, axis)
    launch(add_back, plain(g).reshape(form), plain(index).reshape(form), out.reshape(around(shape, axis)))
    return out
