"""DataParallel and DistributedDataParallel on one device in one process: the wrapped module does all the work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .module import Module

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]


class _Wrapped(Module):
    """A module that calls its child ``module``, so that names in `state_dict` begin with ``"module."``."""

    def __init__(self, module: Module) -> None:
        super().__init__()
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: expected an nn.Module, got {type(module).__name__}")
        self.module = module
        self.device_ids: list[Any] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the wrapped module computes."""
        return self.module(*inputs, **kwargs)


class DataParallel(_Wrapped):
    """As PyTorch's without a GPU: the batch is not split, and `module` is called as it is.

    `device_ids`, `output_device` and `dim` change nothing.
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__(module)
        self.dim = dim


class DistributedDataParallel(_Wrapped):
    """As PyTorch's in a group of one process: gradients are those of `module`, nothing is sent.

    The remaining arguments are taken and change nothing.

    Raises:
        RuntimeError: if no parameter of `module` requires a gradient.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(module)
        if not any(p.requires_grad for p in module.parameters()):
            raise RuntimeError("DistributedDataParallel: no parameter of the module requires a gradient")
        self.dim = dim

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """A block after which gradients would be averaged later; here they never are."""
        yield


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """``module(*inputs, **module_kwargs)``."""
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)), **(module_kwargs or {}))
