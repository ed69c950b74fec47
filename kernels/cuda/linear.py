"""The gradients of a linear layer."""

from __future__ import annotations

from typing import Any

from .elementwise import relu_grad
from .matmul import matmul
from .reduce import sum


def linear_grad(gy: Any, x: Any, w: Any, wanted: tuple[bool, bool, bool], y: Any = None) -> tuple[Any, Any, Any]:
    """(gx, gw, gb) of x (R, I) @ w (O, I)^T + b (O,), from gy (R, O); None for those that are not `wanted`.

    Args:
        y: the output of a ReLU behind the layer, if gy is the gradient of that.
    """
    gy = gy if y is None else relu_grad(gy, y)
    return (
        matmul(gy, w) if wanted[0] else None,
        matmul(gy, x, True) if wanted[1] else None,
        sum(gy, (0,), False) if wanted[2] else None,
    )
