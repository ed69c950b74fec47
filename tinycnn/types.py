"""Names for annotations (``torch.types``)."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from ._device import device
from ._tensor import Size, Tensor
from .dtypes import dtype

Number = int | float | bool
Device = device | str | int | None
_TensorOrTensors = Tensor | Sequence[Tensor]

_dtype, _device, _size = dtype, device, Size | list[int] | tuple[int, ...]
_int, _float, _bool = builtins.int, builtins.float, builtins.bool

__all__ = ["Device", "Number"]
