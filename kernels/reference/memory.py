"""Memory for results: NumPy's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def empty(shape: int | Sequence[int], dtype: Any) -> np.ndarray:
    """An array of that shape, C-contiguous, its contents undefined."""
    return np.empty(shape, dtype)


def zeros(shape: int | Sequence[int], dtype: Any) -> np.ndarray:
    """An array of zeros of that shape, C-contiguous."""
    return np.zeros(shape, dtype)


def copy(x: np.ndarray) -> np.ndarray:
    """x in memory of its own, C-contiguous."""
    return x.copy()


def assign(out: np.ndarray, x: np.ndarray) -> None:
    """Write the numbers of x, which broadcasts to the shape of `out`, into `out`."""
    np.copyto(out, x, casting="unsafe")


def cast(x: np.ndarray, dtype: Any) -> np.ndarray:
    """The numbers of x in another dtype, in the order that x has."""
    return x.astype(dtype)
