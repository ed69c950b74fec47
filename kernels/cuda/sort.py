"""Order along the last axis, by CuPy's stable sort. NaN counts as the largest number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from .backend import xp
from .launch import flat, kernel


def argsort(x: Any, descending: bool) -> Any:
    """The positions of the entries in rising (or falling) order; equal ones stay in their order."""
    if not x.ndim or not x.size:
        return xp.zeros(x.shape, np.int64)
    if not descending:
        return xp.argsort(x, -1, kind="stable")
    back = xp.argsort(xp.flip(x, -1), -1, kind="stable")
    return x.shape[-1] - 1 - xp.flip(back, -1)


def sort(x: Any) -> Any:
    """The entries in rising order."""
    return xp.sort(x, -1) if x.ndim and x.size else x.copy()


@kernel("T* int64* int64 int64", dtypes="fdlihbB")
def running_max(T):
    """For each row the position of the largest entry so far: a thread for each row."""

    def body(x, positions, rows, length):
        for r in range(cuda.grid(1), rows, cuda.gridsize(1)):
            best = 0
            for j in range(length):
                largest, here = x[r * length + best], x[r * length + j]
                if here >= largest or here != here:
                    best = j
                positions[r * length + j] = best

    return body


def cummax_index(x: Any) -> Any:
    """For each entry the position of the largest one up to there: the last of equals, and NaN wins."""
    positions = xp.empty(x.shape, np.int64)
    if x.dtype.char in "e?":  # float16 and bools, in what the kernel takes
        x = x.astype(np.float32 if x.dtype.char == "e" else np.uint8)
    if x.size:
        rows = x.size // x.shape[-1]
        running_max.of(x.dtype)(*flat(rows), xp.ascontiguousarray(x), positions, rows, x.shape[-1])
    return positions
