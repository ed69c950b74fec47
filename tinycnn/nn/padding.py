"""Layers that put a border around images and signals."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..ops.shape import as_sizes
from . import functional as F
from .module import Module


class _Pad(Module):
    """`_mode` is what stands in the border, `_sides` how many numbers `padding` has."""

    _mode = "constant"
    _sides = 4

    def __init__(self, padding: Any) -> None:
        super().__init__()
        sides = (padding,) * self._sides if isinstance(padding, int) else padding
        self.padding = as_sizes((sides,), type(self).__name__)
        if len(self.padding) != self._sides:
            raise ValueError(f"{type(self).__name__}: padding must be an int or {self._sides} numbers, got {padding!r}")

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad2d(_Pad):
    """`value` around images (N, C, H, W) or (C, H, W): padding (left, right, top, bottom), or one number for all."""

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(ConstantPad2d):
    """`value` around signals (N, C, L) or (C, L): padding (left, right), or one number for both."""

    _sides = 2


class ZeroPad2d(ConstantPad2d):
    """0 around images: padding (left, right, top, bottom), or one number for all."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(ZeroPad2d):
    """0 around signals: padding (left, right), or one number for both."""

    _sides = 2


class ReflectionPad2d(_Pad):
    """The image mirrored at its edge elements: 1234 becomes 32 1234 32."""

    _mode = "reflect"


class ReflectionPad1d(ReflectionPad2d):
    """`ReflectionPad2d` for signals."""

    _sides = 2


class ReplicationPad2d(_Pad):
    """The edge elements repeated: 1234 becomes 11 1234 44."""

    _mode = "replicate"


class ReplicationPad1d(ReplicationPad2d):
    """`ReplicationPad2d` for signals."""

    _sides = 2


class CircularPad2d(_Pad):
    """The opposite edge: 1234 becomes 34 1234 12."""

    _mode = "circular"


class CircularPad1d(CircularPad2d):
    """`CircularPad2d` for signals."""

    _sides = 2
