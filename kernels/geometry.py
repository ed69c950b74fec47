"""The geometry of convolution and pooling: which windows there are, and what is refused.

Along one axis an image of `size` elements is padded with P0 elements in front and P1 behind, and a window of `kernel`
taps that lie `dilation` apart moves over it by `stride`:

    output = floor((size + P0 + P1 - dilation * (kernel - 1) - 1) / stride) + 1

A `ConvSpec` or `PoolSpec` is what the kernels are given. Whoever holds one may rely on it: `conv_spec` and `pool_spec`
refuse every illegal argument, with the rule and its numbers in the message, and keep the specs they have built.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Pair = tuple[int, int]
_SIDES = "height", "width"


class GeometryError(ValueError, RuntimeError):
    """Sizes that do not fit. PyTorch raises RuntimeError where others raise ValueError; this is both."""


@dataclass(frozen=True, slots=True)
class ConvSpec:
    """A checked 2-D convolution. Pairs are (height, width); `padding` is ((top, bottom), (left, right))."""

    batch: int
    in_channels: int
    out_channels: int
    input_size: Pair
    kernel_size: Pair
    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair
    groups: int
    output_size: Pair

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)"""
        return (self.batch, self.in_channels, *self.input_size)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(O, C / groups, KH, KW)"""
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """(N, O, OH, OW)"""
        return (self.batch, self.out_channels, *self.output_size)


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A checked 2-D pooling. Pairs are (height, width); `padding` is the same on both sides.

    With `ceil_mode` the last window may reach further than the padded image.
    """

    batch: int
    channels: int
    input_size: Pair
    kernel_size: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    ceil_mode: bool
    output_size: Pair

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)"""
        return (self.batch, self.channels, *self.input_size)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """(N, C, OH, OW)"""
        return (self.batch, self.channels, *self.output_size)


def _windows(size: int, kernel: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool) -> int:
    """The output formula on numbers known to be good; below 1 when the window does not fit."""
    room = size + padding[0] + padding[1] - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    if (count - 1) * stride >= size + padding[0]:  # the last window would see nothing but the padding behind
        count -= 1
    return count


def output_size(
    size: int, kernel: int, stride: int = 1, padding: int | Pair = 0, dilation: int = 1, ceil_mode: bool = False
) -> int:
    """The number of window positions along one axis.

    floor((size + P0 + P1 - dilation * (kernel - 1) - 1) / stride) + 1, where `padding` is one number for both sides or
    (P0, P1). With `ceil_mode` the division rounds up, and a last window that would start in the padding behind is dropped.

    Raises:
        TypeError: if a number is not an int.
        GeometryError: (a ValueError and a RuntimeError) for a size that is not positive, or a window that does not fit.
    """
    op = "output_size"
    size, kernel = _integer(op, "size", size, 1), _integer(op, "kernel", kernel, 1)
    stride, dilation = _integer(op, "stride", stride, 1), _integer(op, "dilation", dilation, 1)
    pads = _pair(op, "padding", padding, 0)
    count = _windows(size, kernel, stride, pads, dilation, bool(ceil_mode))
    if count < 1:
        raise _too_small(op, "size", size, kernel, stride, pads, dilation, bool(ceil_mode), None)
    return count


def conv_spec(
    input_shape: Sequence[int],
    weight_shape: Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    op: str = "conv2d",
) -> ConvSpec:
    """The convolution of an image (N, C, H, W) with filters (O, C / groups, KH, KW).

    Args:
        stride, dilation: an int, or a pair (height, width).
        padding: an int or a pair, for both sides of each axis; ``"valid"`` for none; ``"same"`` for as much as keeps the
            size (with stride 1): D(K-1) in all, of which the half goes in front, rounded down.
        groups: channels and filters are split into so many independent groups.
        op: who asks; error messages begin with it.

    Raises:
        TypeError: for something that is not an int (bools and floats are refused) or not a pair.
        GeometryError: for sizes that do not fit.
    """
    try:
        return _conv_spec(tuple(input_shape), tuple(weight_shape), _key(stride), _key(padding), _key(dilation), groups, op)
    except _Recheck:
        pass
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
    return _build_conv(input_shape, weight_shape, stride, padding, dilation, groups, op)


def pool_spec(
    input_shape: Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    op: str = "max_pool2d",
) -> PoolSpec:
    """The pooling of an image (N, C, H, W).

    Args:
        kernel_size, padding, dilation: an int, or a pair (height, width).
        stride: the same; None (or an empty tuple) means `kernel_size`.
        ceil_mode: round the output size up, but drop a last window that would start in the padding behind.
        op: who asks; error messages begin with it.

    Raises:
        TypeError: for something that is not an int (bools and floats are refused) or not a pair.
        GeometryError: for sizes that do not fit, and for a padding of more than half the kernel.
    """
    raise AssertionError
