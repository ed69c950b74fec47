"""Matrix products by cuBLAS."""

from __future__ import annotations

from typing import Any

from .backend import xp
from .gemm import multiply


def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    """c[i, j] = sum over k of a[i, k] * b[k, j], for matrices or for each of a batch of them (rank 3).

    Args:
        transpose_a, transpose_b: exchange the last two axes of the operand first.
    """
    a = a.swapaxes(-1, -2) if transpose_a else a
    b = b.swapaxes(-1, -2) if transpose_b else b
    if a.dtype != b.dtype or a.dtype.char not in "efd":  # whole numbers, which cuBLAS does not take
        return xp.ascontiguousarray(xp.matmul(a, b))
    batch = max([x.shape[0] if x.ndim == 3 else 0 for x in (a, b)])
    if 0 in [x.shape[0] for x in (a, b) if x.ndim == 3]:
        batch = 0
    shape = a.shape[-2], b.shape[-1]
    out = xp.empty((batch, *shape) if max(a.ndim, b.ndim) == 3 else shape, a.dtype)
    multiply(a, b, out)
    return out
