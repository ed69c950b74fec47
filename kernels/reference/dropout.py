"""Dropout from a counter-based generator: whether an element stays depends on the key and its position alone."""

from __future__ import annotations

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)  # splitmix64: Steele, Lea and Flood 2014
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


def _hash(key: int, count: int) -> np.ndarray:
    """The upper 32 bits of splitmix64 at key + (i + 1) * step, for i below `count`."""
    z = np.uint64(key) + np.arange(1, count + 1, dtype=np.uint64) * _STEP
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(32)).astype(np.uint32)


def dropout(x: np.ndarray, p: float, key: int) -> np.ndarray:
    """x / (1 - p) where hash(key, i) >= p * 2**32 for the flat position i, else 0."""
    kept = (_hash(key, x.size) >= np.uint32(p * 2**32)).reshape(x.shape)
    return np.where(kept, x * x.dtype.type(1 / (1 - p)), x.dtype.type(0))
