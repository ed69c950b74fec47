"""Memory for results: from CuPy's pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .backend import xp


def empty(shape: int | Sequence[int], dtype: Any) -> Any:
    """An array of that shape, C-contiguous, its contents undefined."""
    return xp.empty(shape, dtype)


def zeros(shape: int | Sequence[int], dtype: Any) -> Any:
    """An array of zeros of that shape, C-contiguous."""
    return xp.zeros(shape, dtype)


def copy(x: Any) -> Any:
    """x in memory of its own, C-contiguous."""
    return x.copy()


def assign(out: Any, x: Any) -> None:
    """Write the numbers of x, which broadcasts to the shape of `out`, into `out`."""
    out[...] = x


def cast(x: Any, dtype: Any) -> Any:
    """The numbers of x in another dtype, in the order that x has."""
    return x.astype(dtype)
