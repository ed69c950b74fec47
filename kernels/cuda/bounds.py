"""Indices of arrays: CuPy wraps one around that points outside, so they are checked before, and NumPy's errors are
told in the words of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np


def on_device(key: Any, xp: Any) -> Any:
    """An index with NumPy's arrays in it copied to the GPU."""
    if isinstance(key, tuple):
        return tuple([on_device(k, xp) for k in key])
    return xp.asarray(key) if isinstance(key, np.ndarray) and not isinstance(key, xp.ndarray) else key


def checked_key(key: Any, shape: tuple[int, ...], xp: Any) -> Any:
    """The index with its arrays on the GPU, all of them inside of `shape`.

    Raises:
        IndexError: if it points outside, or has too many parts.
    """
    key = on_device(key, xp)
    parts = list(key) if isinstance(key, tuple) else [key]
    taken = [_dimensions(k) for k in parts]
    used = sum(taken)
    if used > len(shape):
        raise IndexError(f"too many indices: {used} for a tensor of shape {tuple(shape)}")
    dim = 0
    for k, dims in zip(parts, taken, strict=True):
        if isinstance(k, bool):
            continue
        if k is Ellipsis:
            dim += len(shape) - used
        elif _is_mask(k):
            if k.shape != shape[dim : dim + dims]:
                raise IndexError(
                    f"a mask of shape {tuple(k.shape)} does not fit dimension {dim} of shape {tuple(shape)}: "
                    f"it must have the sizes that it picks from, {tuple(shape[dim : dim + dims])}; a mask that "
                    "broadcasts is for masked_select() or where()"
                )
        elif isinstance(k, (int, np.integer)) or (isinstance(k, xp.ndarray) and k.size and k.dtype.kind in "iu"):
            low, high = (int(k.min()), int(k.max())) if isinstance(k, xp.ndarray) else (int(k), int(k))
            size = shape[dim]
            if low < -size or high >= size:
                wrong = low if low < -size else high
                raise IndexError(
                    f"index {wrong} is out of bounds for dimension {dim} with size {size}: it must lie between "
                    f"{-size} and {size - 1}"
                )
        elif not isinstance(k, (slice, type(None))) and not (isinstance(k, xp.ndarray) and not k.size):
            raise IndexError(
                "an index is made of ints, slices, None, ... and tensors or lists of ints or bools; got "
                f"{getattr(k, 'dtype', type(k).__name__)} {k!r}"
            )
        dim += dims
    return key


def refusal(error: IndexError, key: Any, shape: tuple[int, ...], xp: Any) -> IndexError:
    """For an `error` that an index into an array of `shape` raised: one that says what is wrong with it."""
    try:
        checked_key(key, shape, xp)
    except IndexError as better:
        return better
    return error


def _is_mask(k: Any) -> bool:
    return hasattr(k, "dtype") and k.dtype.kind == "b"


def _dimensions(k: Any) -> int:
    """How many dimensions a part of an index takes."""
    return k.ndim if _is_mask(k) else int(k is not None and k is not Ellipsis and not isinstance(k, bool))


def is_stretched(x: Any) -> bool:
    """Whether an array shows one number at several places, as broadcasting makes it; CuPy keeps no flag for it."""
    steps = zip(x.strides, x.shape, strict=True)
    return bool(x.size) and any([step == 0 and n > 1 for step, n in steps])
