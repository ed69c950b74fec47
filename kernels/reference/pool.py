"""Pooling: for each window its largest element or its mean.

As in `conv`, a tap (u, v) of the window sees a strided slice of the padded image. With `ceil_mode` a last window may
reach further than the padding; the image is padded up to there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..geometry import PoolSpec
from . import silent
from .conv import _taps as _places


def _frame(spec: PoolSpec) -> tuple[tuple[int, int], tuple[int, int]]:
    """How much to pad for every window to fit: ((top, bottom), (left, right)).

    Behind the image that may be more than `spec.padding` (ceil_mode) or less (rows that no window reaches).
    """
    sides = []
    for axis in (0, 1):
        reach = (
            (spec.output_size[axis] - 1) * spec.stride[axis] + spec.dilation[axis] * (spec.kernel_size[axis] - 1) + 1
        )
        before = spec.padding[axis]
        sides.append((before, max(reach - spec.input_size[axis] - before, 0)))
    return sides[0], sides[1]


def _padded(x: np.ndarray, spec: PoolSpec, value: float) -> np.ndarray:
    return np.pad(x, ((0, 0), (0, 0), *_frame(spec)), constant_values=value)


def _taps(spec: PoolSpec) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Every tap, numbered u * KW + v, with the slice of the padded image that it sees."""
    for u, v, (rows, columns) in _places(spec):
        yield u * spec.kernel_size[1] + v, (..., rows, columns)


def _inside(framed: np.ndarray, spec: PoolSpec) -> np.ndarray:
    """The image without its frame."""
    (top, _), (left, _) = _frame(spec)
    height, width = spec.input_size
    return np.ascontiguousarray(framed[..., top : top + height, left : left + width])


def max_pool2d(x: np.ndarray, spec: PoolSpec, relu: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(y, argmax): the largest element of each window and the tap that saw it, the first of equals; NaN wins.

    Padding never wins. A window of padding alone gives -inf and the tap number KH * KW, which means none.
    argmax is uint8 if KH * KW <= 255, else int32.

    With `relu` it is max(y, 0), and where that is 0 no tap has won, since no gradient passes.
    """
    taps = spec.kernel_size[0] * spec.kernel_size[1]
    xpad = _padded(x, spec, -np.inf)
    real = _padded(np.ones((1, 1, *spec.input_size)), spec, 0) > 0
    y = np.full(spec.output_shape, -np.inf, x.dtype)
    argmax = np.full(spec.output_shape, taps, np.uint8 if taps <= 255 else np.int32)
    for tap, seen in _taps(spec):
        value = xpad[seen]
        wins = real[seen] & ((value > y) | np.isnan(value) | (argmax == taps))
        y = np.where(wins, value, y)
        argmax[wins] = tap
    if relu:
        lost = y <= 0
        y[lost], argmax[lost] = 0, taps
    return y, argmax


@silent
def max_pool2d_grad(gy: np.ndarray, argmax: np.ndarray, spec: PoolSpec) -> np.ndarray:
    """gx: every gy added where its window found the largest element."""
    gx = _padded(np.zeros(spec.input_shape, gy.dtype), spec, 0)
    for tap, seen in _taps(spec):
        gx[seen] += np.where(argmax == tap, gy, 0)
    return _inside(gx, spec)


def max_pool2d_take(x: np.ndarray, argmax: np.ndarray, spec: PoolSpec) -> np.ndarray:
    """For each window the element of x that tap `argmax` sees, 0 where that means none: the gradient's adjoint."""
    xpad = _padded(x, spec, 0)
    y = np.zeros(spec.output_shape, x.dtype)
    for tap, seen in _taps(spec):
        y = np.where(argmax == tap, xpad[seen], y)
    return y


def _divisor(spec: PoolSpec, count_include_pad: bool, divisor_override: int | None) -> np.ndarray | int:
    """How many elements each window counts, (OH, OW): those of the image, or of the image with its padding.

    What `ceil_mode` reaches beyond the padding never counts.
    """
    if divisor_override is not None:
        return divisor_override
    counts = []
    for axis in (0, 1):
        size, pad = spec.input_size[axis], spec.padding[axis]
        start = np.arange(spec.output_size[axis]) * spec.stride[axis] - pad
        end = np.minimum(start + spec.kernel_size[axis], size + pad)
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, size)
        counts.append(end - start)
    return np.outer(counts[0], counts[1])


@silent
def avg_pool2d(x: np.ndarray, spec: PoolSpec, count_include_pad: bool, divisor_override: int | None) -> np.ndarray:
    """The sum of each window divided by the number of elements that count."""
    xpad = _padded(x, spec, 0)
    y = np.zeros(spec.output_shape, x.dtype)
    for _, seen in _taps(spec):
        y += xpad[seen]
    return (y / _divisor(spec, count_include_pad, divisor_override)).astype(x.dtype)


@silent
def avg_pool2d_grad(
    gy: np.ndarray, spec: PoolSpec, count_include_pad: bool, divisor_override: int | None
) -> np.ndarray:
    """gx: every gy divided likewise and added to all elements of its window."""
    share = (gy / _divisor(spec, count_include_pad, divisor_override)).astype(gy.dtype)
    gx = _padded(np.zeros(spec.input_shape, gy.dtype), spec, 0)
    for _, seen in _taps(spec):
        gx[seen] += share
    return _inside(gx, spec)
