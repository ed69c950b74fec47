"""``torch.accelerator``: the GPU, where there is one."""

from __future__ import annotations

from typing import Any

from . import cuda
from ._device import device


def is_available() -> bool:
    """Whether there is a GPU that can be used."""
    return cuda.is_available()


def device_count() -> int:
    """The number of GPUs that can be used."""
    return cuda.device_count()


def current_accelerator(check_available: bool = False) -> device | None:
    """``device("cuda")``, or None if there is only the CPU."""
    return device("cuda") if cuda.is_available() else None


def _need(name: str) -> None:
    if not cuda.is_available():
        raise RuntimeError(f"accelerator.{name}: there is only the CPU; ask accelerator.is_available() before")


def current_device_index() -> int:
    """The number of the GPU that ``device="cuda"`` means.

    Raises:
        RuntimeError: if there is only the CPU.
    """
    _need("current_device_index")
    return cuda.current_device()


def set_device_index(device: Any) -> None:
    """Let ``device="cuda"`` mean this GPU.

    Raises:
        RuntimeError: if there is only the CPU, or no such GPU.
    """
    _need("set_device_index")
    cuda.set_device(device)


def synchronize(device: Any = None) -> None:
    """Wait until everything that was launched is done.

    Raises:
        RuntimeError: if there is only the CPU.
    """
    _need("synchronize")
    cuda.synchronize(device)


def current_stream(device: Any = None) -> cuda.Stream:
    """The stream that everything is launched on now.

    Raises:
        RuntimeError: if there is only the CPU.
    """
    _need("current_stream")
    return cuda.current_stream(device)


current_device_idx, set_device_idx = current_device_index, set_device_index
