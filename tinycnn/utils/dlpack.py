"""Memory shared with other libraries, without a copy."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..ops.create import from_dlpack


def to_dlpack(tensor: Tensor) -> Any:
    """The memory of a tensor as a DLPack capsule."""
    return tensor.__dlpack__()


__all__ = ["from_dlpack", "to_dlpack"]
