"""Matrix products."""

from __future__ import annotations

import numpy as np

from ..reference import matmul as reference
from .gemm import matmul_tile, plain


def matmul(a: np.ndarray, b: np.ndarray, transpose_a: bool = False, transpose_b: bool = False) -> np.ndarray:
    """c[i, j] = sum over k of a[i, k] * b[k, j], for matrices or for each of a batch of them (rank 3).

    Args:
        transpose_a, transpose_b: exchange the last two axes of the operand first.
    """
    if a.dtype.char not in "fd":
        return reference.matmul(a, b, transpose_a, transpose_b)
    return matmul_tile(plain(a), plain(b), transpose_a, transpose_b)
