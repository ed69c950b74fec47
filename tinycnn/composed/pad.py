"""Padding by the four modes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from .._tensor import Tensor, need
from ..ops.create import possible
from ..ops.elementwise import clone
from ..ops.shape import Index, Pad, as_sizes


def _framed(input: Tensor, sides: tuple[int, ...], value: float | None) -> Tensor:
    """`input` with `value` (0) around it.

    Raises:
        RuntimeError: for an odd count, too many, or a cut that leaves less than nothing.
    """
    ndim = input.array.ndim
    if len(sides) % 2 or len(sides) > 2 * ndim:
        raise RuntimeError(f"pad: expected pairs for at most {ndim} dimensions, got {sides}")
    before, after = [0] * ndim, [0] * ndim
    for i in range(len(sides) // 2):
        before[ndim - 1 - i], after[ndim - 1 - i] = sides[2 * i], sides[2 * i + 1]
    shape = tuple(n + b + a for n, b, a in zip(input.array.shape, before, after, strict=True))
    if min(shape, default=0) < 0:
        raise RuntimeError(f"pad: {sides} cuts more than there is of shape {tuple(input.array.shape)}")
    number = dtypes.number("pad", 0 if value is None else value, input.array.dtype).item()
    possible("pad", shape)
    return Pad.apply(input, tuple(before), tuple(after), number)


def constant_pad_nd(input: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """`input` with `value` around it: ``pad = (left, right, top, bottom, ...)``; negative numbers cut off."""
    need("constant_pad_nd", input)
    return _framed(input, _sides(pad), value)


def _sides(pad: Any) -> tuple[int, ...]:
    """The numbers of a border.

    Raises:
        TypeError: if it is no sequence of ints.
    """
    if not isinstance(pad, (tuple, list)):
        raise TypeError(f"pad: expected a sequence (left, right, top, bottom, ...), got {type(pad).__name__} {pad!r}")
    return as_sizes((tuple(pad),), "pad")


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`input` with a border: ``pad = (left, right, top, bottom, ...)``, the last dimension first.

    Modes, for the row 1234 and two on each side::

        constant    vv 1234 vv    v is `value`, 0 if None
        reflect     32 1234 32
        replicate   11 1234 44
        circular    34 1234 12

    Negative numbers cut off. Other modes than constant pad the last one, two or three dimensions of an input with or
    without batch: (C, L), (N, C, L), (C, H, W), (N, C, H, W) and one more.

    Raises:
        ValueError: for an unknown mode, or a `value` that the mode does not use.
        RuntimeError: for counts that do not fit the shape; reflect must pad less than the size, circular at most.
    """
    need("pad", input)
    sides = _sides(pad)
    if mode == "constant":
        return _framed(input, sides, value)
    if mode not in ("reflect", "replicate", "circular"):
        raise ValueError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}")
    if value is not None and value != 0:
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value!r}")
    ndim, padded = input.array.ndim, len(sides) // 2
    if len(sides) % 2 or padded not in (1, 2, 3) or ndim not in (padded + 1, padded + 2):
        raise RuntimeError(
            f"pad: mode {mode!r} pads the last 1, 2 or 3 dimensions of an input with 1 or 2 more; got {len(sides)} "
            f"numbers {sides} for shape {tuple(input.array.shape)}"
        )
    if 0 in input.array.shape[ndim - padded :] or (ndim == padded + 1 and not input.array.shape[0]):
        raise RuntimeError(f"pad: shape {tuple(input.array.shape)} has nothing to pad with")
    if mode != "circular" and input.array.dtype.kind == "b":
        raise RuntimeError(f"pad: mode {mode!r} is not for bool tensors; convert with .float()")
    result = input
    for i in range(padded):
        before, after = sides[2 * i], sides[2 * i + 1]
        d = ndim - 1 - i
        if mode == "circular" and min(before, after) < 0:  # what is cut off does not come round
            cut = slice(max(-before, 0), result.array.shape[d] - max(-after, 0))
            result = Index.apply(result, (*(slice(None),) * d, cut))
            before, after = max(before, 0), max(after, 0)
        n = result.array.shape[d]
        if n + before + after < 1:
            raise RuntimeError(f"pad: {(before, after)} leaves nothing of dimension {d} of size {n}")
        most = n - 1 if mode == "reflect" else n
        if mode != "replicate" and max(before, after) > most:
            raise RuntimeError(f"pad: mode {mode!r} pads at most {most} at a size of {n}, got {(before, after)}")
        if before or after:
            places = _source(mode, n, before, after)
            result = Index.apply(result, (*(slice(None),) * d, places))
    return clone(result) if result is input else result


def _source(mode: str, n: int, before: int, after: int) -> Any:
    """For each place of a padded row, which of the n entries stands there."""
    k = np.arange(-before, n + after)
    if mode == "replicate":
        return k.clip(0, n - 1)
    if mode == "circular":
        return k % n
    k = np.abs(k)
    return np.where(k > n - 1, 2 * (n - 1) - k, k)
