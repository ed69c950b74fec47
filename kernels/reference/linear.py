"""The gradients of a linear layer."""

from __future__ import annotations

import numpy as np

from .elementwise import relu_grad
from .matmul import matmul
from .reduce import sum


def linear_grad(
    gy: np.ndarray, x: np.ndarray, w: np.ndarray, wanted: tuple[bool, bool, bool], y: np.ndarray | None = None
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """(gx, gw, gb) of x (R, I) @ w (O, I)^T + b (O,), from gy (R, O); None for those that are not `wanted`.

    Args:
        y: the output of a ReLU behind the layer, if gy is the gradient of that.
    """
    gy = gy if y is None else relu_grad(gy, y)
    for_x, for_w, for_b = wanted
    gx, gw = matmul(gy, w) if for_x else None, matmul(gy, x, True) if for_w else None
    return gx, gw, sum(gy, (0,), False) if for_b else None
