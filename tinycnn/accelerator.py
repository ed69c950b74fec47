"""``torch.accelerator`` where there is none."""

from __future__ import annotations

from typing import Any

from ._device import device


def is_available() -> bool:
    """False: there is only the CPU."""
    return False


def device_count() -> int:
    """0: there is only the CPU."""
    return 0


def current_accelerator(check_available: bool = False) -> device | None:
    """None: there is only the CPU."""
    return None


def _refuse(name: str) -> Any:
    raise RuntimeError(f"accelerator.{name}: there is only the CPU; ask accelerator.is_available() before")


def current_device_index() -> int:
    """Needs an accelerator: RuntimeError."""
    return _refuse("current_device_index")


def set_device_index(device: Any) -> None:
    """Needs an accelerator: RuntimeError."""
    _refuse("set_device_index")


def synchronize(device: Any = None) -> None:
    """Needs an accelerator: RuntimeError."""
    _refuse("synchronize")


current_device_idx, set_device_idx = current_device_index, set_device_index
