"""Matrix products."""

from __future__ import annotations

import numpy as np

from . import silent


@silent
def matmul(a: np.ndarray, b: np.ndarray, transpose_a: bool = False, transpose_b: bool = False) -> np.ndarray:
    """c[i, j] = sum over k of a[i, k] * b[k, j], for matrices or for each of a batch of them (rank 3).

    Args:
        transpose_a, transpose_b: exchange the last two axes of the operand first.
    """
    a = a.swapaxes(-1, -2) if transpose_a else a
    b = b.swapaxes(-1, -2) if transpose_b else b
    return np.ascontiguousarray(np.matmul(a, b))
