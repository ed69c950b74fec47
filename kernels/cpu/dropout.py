"""Dropout from a counter-based generator: the same zeros on any number of threads."""

from __future__ import annotations

import numpy as np
from numba import prange

from .gemm import plain
from .jit import kernel
from .memory import empty
from .threads import launch


@kernel(parallel=True)
def drop(workers, x, key, least, scale, out):
    """out = x * scale where the upper half of splitmix64(key, i) >= least, else 0; see `reference.dropout`."""
    for i in prange(x.size):
        z = key + np.uint64(i + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = (z ^ (z >> np.uint64(31))) >> np.uint64(32)
        out[i] = x[i] * scale if z >= least else 0


def dropout(x: np.ndarray, p: float, key: int) -> np.ndarray:
    """x / (1 - p) where hash(key, i) >= p * 2**32 for the flat position i, else 0."""
    out = empty(x.shape, x.dtype)
    if x.size:
        scale = x.dtype.type(1 / (1 - p))
        launch(
            drop, plain(x).reshape(-1), np.uint64(key), np.uint64(p * 2**32), scale, out.reshape(-1), elements=x.size
        )
    return out
