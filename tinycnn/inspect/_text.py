"""What the tools share: tables in plain text, and the tensors in what a module takes or returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .._tensor import Tensor


def aligned(rows: Sequence[Sequence[str]], texts: int) -> list[str]:
    """The lines of a table, of which the first row is the head.

    Args:
        texts: so many columns, from the left, hold texts; the others hold numbers. Those that are empty are left out.
    """
    filled = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    widths = {i: max(len(row[i]) for row in rows) for i in filled}
    return [
        "  ".join(row[i].ljust(widths[i]) if i < texts else row[i].rjust(widths[i]) for i in filled).rstrip()
        for row in rows
    ]


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in a tensor, or in tuples, lists and dicts of them."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for v in value.values():
            yield from tensors(v)
    elif isinstance(value, (tuple, list)):
        for v in value:
            yield from tensors(v)
