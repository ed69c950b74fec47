"""Parameter: a tensor that a Module counts among its own."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..serialization import register_parameter


def _hold(tensor: Tensor, kind: str, data: Any) -> None:
    """Make a new `tensor` one on the memory of `data`; without elements if that is None."""
    if data is None:
        Tensor.__init__(tensor, ())
    elif not isinstance(data, Tensor):
        raise TypeError(f"{kind}: expected a Tensor, got {type(data).__name__}; wrap it in tinycnn.tensor(...)")
    else:
        tensor.array, tensor.device = data.array, data.device
        tensor._version_counter = data._counter()


class Parameter(Tensor):
    """A leaf tensor on the memory of `data`. Assigned to an attribute of a `Module`, it is one of its parameters.

    Args:
        data: the numbers; its history, if any, is left behind.
        requires_grad: whether `backward()` computes a gradient for it.

    Raises:
        TypeError: if `data` is not a Tensor.
        RuntimeError: if gradients are asked for and the dtype is not floating.
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        _hold(self, "Parameter", data)
        self.requires_grad = requires_grad

    def __repr__(self) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor on the memory of `data` that becomes a buffer of the `Module` it is assigned to.

    Args:
        data: the numbers.
        persistent: whether it is part of `state_dict()`.

    Raises:
        TypeError: if `data` is not a Tensor.
    """

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        _hold(self, "Buffer", data)
        self.persistent = persistent


register_parameter(Parameter)
