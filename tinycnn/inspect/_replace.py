"""Functions of a module replaced for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def replaced(
    places: Iterable[tuple[ModuleType | type, str]], maker: Callable[[str, Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """While the block runs, each function ``(place, name)`` is ``maker(name, function)``; one block at a time."""
    before = [(place, name, vars(place)[name]) for place, name in places]
    for place, name, function in before:
        setattr(place, name, maker(name, function))
    try:
        yield
    finally:
        for place, name, function in before:
            setattr(place, name, function)
