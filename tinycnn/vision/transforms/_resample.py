"""Resampling as two matrix products: each output row is a weighted sum of input rows, each column of columns."""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import lru_cache

import numpy as np


class InterpolationMode(enum.Enum):
    """How `Resize` computes pixels. BOX, HAMMING and LANCZOS exist for PIL images and uint8 arrays only."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


_PILLOW = {"nearest": 0, "nearest-exact": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
PILLOW_NUMBER = {mode: _PILLOW[mode.value] for mode in InterpolationMode}


def as_mode(interpolation: InterpolationMode | str | int) -> InterpolationMode:
    """The mode meant by one of them, by its name, or by Pillow's number for it.

    Raises:
        ValueError: if there is none.
    """
    if isinstance(interpolation, InterpolationMode):
        return interpolation
    for mode in InterpolationMode:
        if interpolation == mode.value or (not isinstance(interpolation, str) and interpolation == PILLOW_NUMBER[mode]):
            return mode
    names = ", ".join(mode.value for mode in InterpolationMode)
    raise ValueError(
        f"interpolation must be an InterpolationMode, one of {names}, or Pillow's number, got {interpolation!r}"
    )


def triangle(x: np.ndarray) -> np.ndarray:
    """1 - |x| within [-1, 1]: bilinear interpolation."""
    return np.maximum(1 - np.abs(x), 0)


def cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel with parameter a, support [-2, 2] (IEEE Trans. ASSP 29(6), 1981)."""
    x = np.abs(x)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, inner, np.where(x < 2, outer, 0))


@lru_cache(maxsize=64)
def weights(old: int, new: int, mode: InterpolationMode, antialias: bool) -> np.ndarray:
    """The matrix (new, old) that resamples `old` pixels to `new`; each row sums to 1.

    Output pixel i lies at (i + 0.5) * old/new - 0.5 in input pixels (PyTorch's ``align_corners=False``).
    With `antialias` the kernel is stretched by old/new when shrinking, and cut off at the border (Pillow's rule);
    without, it is not stretched and the border pixel is repeated (PyTorch's `interpolate`).
    The cubic kernel has a = -0.5 with and -0.75 without `antialias`, as in PyTorch.
    """
    scale = old / new
    if mode in (InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT):
        shift = 0.5 if mode is InterpolationMode.NEAREST_EXACT else 0.0
        source = np.floor((np.arange(new) + shift) * scale).astype(int)
        return np.eye(old)[np.minimum(source, old - 1)]
    kernel: Callable[[np.ndarray], np.ndarray]
    if mode is InterpolationMode.BILINEAR:
        kernel, support = triangle, 1
    else:
        kernel, support = (lambda x: cubic(x, -0.5 if antialias else -0.75)), 2
    centre = (np.arange(new) + 0.5) * scale - 0.5
    if antialias:
        stretch = max(scale, 1.0)
        matrix = kernel((np.arange(old) - centre[:, None]) / stretch)
        return matrix / matrix.sum(axis=1, keepdims=True)
    reach = np.arange(1 - support, support + 1)
    if mode is InterpolationMode.BILINEAR:
        centre = np.maximum(centre, 0)
    taps = np.floor(centre).astype(int)[:, None] + reach
    share = kernel(taps - centre[:, None])
    matrix = np.zeros((new, old))
    np.add.at(matrix, (np.arange(new)[:, None], np.clip(taps, 0, old - 1)), share)
    return matrix


def shorter_edge_size(height: int, width: int, size: int, max_size: int | None) -> tuple[int, int]:
    """(height, width) with the shorter edge `size` and the aspect kept; `max_size` bounds the longer one."""
    short, long = min(height, width), max(height, width)
    new_short, new_long = size, int(size * long / short)
    if max_size is not None and new_long > max_size:
        new_short, new_long = int(max_size * new_short / new_long), max_size
    new_short = max(new_short, 1)
    return (new_short, new_long) if height <= width else (new_long, new_short)


def is_positive_int(value: object) -> bool:
    """True for ints from 1 on; bools and floats are none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
