"""Dropout from a counter-based generator: the same zeros as on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from .backend import xp
from .launch import computed_in, flat, kernel


@kernel("T* T* int64 uint64 uint64 T", "efd")
def drop(T):
    """out = x * scale where the upper half of splitmix64(key, i) >= least, else 0; see `reference.dropout`."""
    zero = T(0)
    step, mix1, mix2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
    shift30, shift27, shift31, half = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)

    def body(x, out, n, key, least, scale):
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            z = key + np.uint64(i + 1) * step
            z = (z ^ (z >> shift30)) * mix1
            z = (z ^ (z >> shift27)) * mix2
            z = (z ^ (z >> shift31)) >> half
            out[i] = T(x[i]) * scale if z >= least else zero

    return body


def dropout(x: Any, p: float, key: int) -> Any:
    """x / (1 - p) where hash(key, i) >= p * 2**32 for the flat position i, else 0."""
    x = xp.ascontiguousarray(x)
    out = xp.empty(x.shape, x.dtype)
    if x.size:
        scale = computed_in(x.dtype).type(1 / (1 - p))
        drop.of(x.dtype)(*flat(x.size), x, out, x.size, np.uint64(key), np.uint64(p * 2**32), scale)
    return out
