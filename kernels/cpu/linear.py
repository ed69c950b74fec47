"""The gradients of a linear layer: of a small one with as few calls as will do."""

from __future__ import annotations

import numpy as np
from numba import uintp

from .elementwise import relu_grad
from .gemm import HERE, gemm_here, plain
from .jit import kernel
from .matmul import matmul
from .memory import empty
from .reduce import sum

Found = tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]


@kernel()
def add_rows(gy, y, masked, gb):
    """gb = the sum of gy's rows, in float64. If y has elements, gy counts where not y <= 0: masked is what counts."""
    rows, filters = gy.shape
    totals, zero = np.zeros(filters), gy.dtype.type(0)
    for r in range(uintp(rows)):
        for o in range(uintp(filters)):
            g = gy[r, o]
            if y.size:
                g = masked[r, o] = zero if y[r, o] <= 0 else g
            totals[o] += g
    for o in range(uintp(filters)):
        gb[o] = totals[o]


def small(rows: int, filters: int, channels: int) -> bool:
    """Whether the products are computed in the calling thread, and nothing is packed: see `gemm`; not of vectors."""
    return rows * filters * channels <= HERE and min(rows, filters, channels) > 1


def linear_grad(
    gy: np.ndarray, x: np.ndarray, w: np.ndarray, wanted: tuple[bool, bool, bool], y: np.ndarray | None = None
) -> Found:
    """(gx, gw, gb) of x (R, I) @ w (O, I)^T + b (O,), from gy (R, O); None for those that are not `wanted`.

    Args:
        y: the output of a ReLU behind the layer, if gy is the gradient of that.
    """
    for_x, for_w, for_b = wanted
    gx = gw = gb = None
    if gy.dtype.char in "fd" and small(len(gy), *w.shape):
        gy, x, w = plain(gy), plain(x), plain(w)
        if for_b or y is not None:
            found, masked = empty(gy.shape[1], gy.dtype), gy if y is None else empty(gy.shape, gy.dtype)
            add_rows(gy, gy[:0] if y is None else plain(y), masked, found)
            gy, gb = masked, found if for_b else None
        if for_x:
            gx = empty(x.shape, gy.dtype)
            gemm_here(gy, w, gx, gx, 1, False, False, False, gx)
        if for_w:
            gw = empty(w.shape, gy.dtype)
            gemm_here(gy, x, gw, gw, 1, True, False, False, gw)
        return gx, gw, gb
    gy = gy if y is None else relu_grad(gy, y)
    return (
        matmul(gy, w) if for_x else None,
        matmul(gy, x, True) if for_w else None,
        sum(gy, (0,), False) if for_b else None,
    )
