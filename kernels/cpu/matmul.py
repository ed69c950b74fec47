"""Matrix products: on the register tile, or by the BLAS that NumPy carries where a measurement says so."""

from __future__ import annotations

import numpy as np

from ..reference import matmul as reference
from . import blas
from .gemm import matmul_tile, plain


def choose(batches: int, m: int, k: int, n: int, dtype: np.dtype) -> str:
    """Which way to compute `batches` products (m, k) @ (k, n): ``"tile"`` or ``"blas"``.

    BLAS runs on one thread here, since its pool of threads and Numba's, both spinning on the same processors, slow each
    other down a hundredfold. So it wins where the product is too small to be shared out, and the tile wins above.
    Never BLAS with a single row or column: there its bits depend on how it was built to thread. The choice looks at the
    shape only, never at the number of threads, or the bits would depend on that.

    Measured in microseconds, a (m, k) @ b^T (k, n) in float32, medians of 60, tile on 4 threads / BLAS on one:
    64x84x10: 17 / 10, 64x64x64: 21 / 18, 64x120x84: 41 / 47, 64x400x120: 72 / 96. On one thread BLAS takes 0.5 to
    0.9 of the tile's time throughout.
    """
    if dtype not in (np.float32, np.float64):
        return "reference"
    if m == 1 or n == 1 or not blas.available():
        return "tile"
    return "blas" if batches * m * k * n <= BLAS_MOST else "tile"


BLAS_MOST = 1 << 19  # multiply-adds: between 64x64x64 and 64x120x84


def matmul(a: np.ndarray, b: np.ndarray, transpose_a: bool = False, transpose_b: bool = False) -> np.ndarray:
    """c[i, j] = sum over k of a[i, k] * b[k, j], for matrices or for each of a batch of them (rank 3).

    Args:
        transpose_a, transpose_b: exchange the last two axes of the operand first.
    """
    (m, k), n = a.shape[-2:], b.shape[-2 if transpose_b else -1]
    if transpose_a:
        m, k = k, m
    way = choose(a.shape[0] if a.ndim == 3 else 1, m, k, n, a.dtype)
    if way == "reference":
        return reference.matmul(a, b, transpose_a, transpose_b)
    if way == "blas":
        with blas.one_thread:
            return reference.matmul(a, b, transpose_a, transpose_b)
    a, b = plain(a), plain(b)
    if a.ndim == 3:
        return matmul_tile(a, b, transpose_a, transpose_b)
    return matmul_tile(a[None], b[None], transpose_a, transpose_b)[0]
