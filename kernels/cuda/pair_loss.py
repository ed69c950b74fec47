"""Losses between x and t of one shape, in CuPy's arithmetic: NumPy's functions in `reference` call CuPy's."""

from __future__ import annotations

from typing import Any

from ..reference import pair_loss as reference
from .reduce import sum


def pair_loss(x: Any, t: Any, kind: str, beta: float, scale: float, reduced: bool) -> Any:
    """scale * loss for each element, or their sum; see `reference`."""
    loss = reference.pair_loss(x, t, kind, beta, scale, False)
    return sum(loss, tuple(range(x.ndim)), False) if reduced else loss


def pair_loss_grad(gy: Any, x: Any, t: Any, kind: str, beta: float, scale: float) -> Any:
    """gx of `pair_loss`; see `reference`."""
    return reference.pair_loss_grad(gy, x, t, kind, beta, scale)
