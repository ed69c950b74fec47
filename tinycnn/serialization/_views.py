"""A tensor as a file describes it: memory, offset, sizes and strides, none of which is believed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

MOST_ELEMENTS = 2**31  # of an expanded tensor, which shows the same numbers again and again


def are_counts(values: Any) -> bool:
    """True if all of them are ints from 0 on that fit into 64 bits."""
    return all(type(value) is int and 0 <= value < 2**63 for value in values)


def strided(memory: np.ndarray, offset: Any, size: Any, stride: Any) -> np.ndarray:
    """The view of the flat array `memory` from element `offset` on with these sizes and strides, in elements.

    Raises:
        ValueError: if they are no counts, or if an element would lie outside of `memory`.
    """
    size, stride = tuple(size), tuple(stride)
    if not are_counts((offset, *size, *stride)) or len(size) != len(stride):
        raise ValueError("a tensor's offset, sizes and strides must be counts from 0 on")
    if len(size) > 64:
        raise ValueError(f"a tensor of {len(size)} dimensions; 64 are possible")
    count, have = math.prod(size), memory.size
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    where = f"a tensor of size {list(size)}, stride {list(stride)} and offset {offset}"
    if (count and last >= have) or offset > have:
        raise ValueError(f"{where} reaches beyond its storage of {have} elements")
    if count > max(have, MOST_ELEMENTS) or (not count and max(size) > MOST_ELEMENTS):
        raise ValueError(f"{where} is too large for its storage of {have} elements")
    if not count:
        return np.empty(size, memory.dtype)
    width = memory.itemsize
    steps = tuple(step * width if n > 1 else width for n, step in zip(size, stride, strict=True))
    return np.ndarray(size, memory.dtype, memory, offset * width, steps)
