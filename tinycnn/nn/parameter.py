"""Parameter: a tensor that a Module counts among its own."""

from __future__ import annotations

from .._tensor import Tensor
from ..serialization import register_parameter


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
        if data is None:
            super().__init__(())
        elif not isinstance(data, Tensor):
            raise TypeError(f"Parameter: expected a Tensor, got {type(data).__name__}; wrap it in tinycnn.tensor(...)")
        else:
            self.array, self.device = data.array, data.device
            self._version_counter = data._counter()
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
        if data is None:
            super().__init__(())
        elif not isinstance(data, Tensor):
            raise TypeError(f"Buffer: expected a Tensor, got {type(data).__name__}; wrap it in tinycnn.tensor(...)")
        else:
            self.array, self.device = data.array, data.device
            self._version_counter = data._counter()
        self.persistent = persistent


register_parameter(Parameter)
