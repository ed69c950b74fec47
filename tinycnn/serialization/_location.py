"""Where loaded tensors go."""

from __future__ import annotations

from typing import Any

from .._device import CPU, as_device
from .._device import device as Device


class _Placeholder:
    """What a `map_location` function gets: it may return it, or move it with `cpu()` or `cuda()`."""

    def __init__(self, place: Device) -> None:
        self.device = place

    def cpu(self) -> _Placeholder:
        return _Placeholder(CPU)

    def cuda(self, device: Any = None, non_blocking: bool = False) -> _Placeholder:
        return _Placeholder(as_device("cuda" if device is None else Device("cuda", int(device))))


def location_to_device(map_location: Any, location: str) -> Device:
    """Where a storage goes that was saved at `location` ("cpu", "cuda:0", ...): the CPU, unless `map_location` says
    otherwise (a device, its name, a dict from location to location, or a function of storage and location)."""
    if isinstance(map_location, dict):
        map_location = map_location.get(location)
    elif callable(map_location):
        moved = map_location(_Placeholder(CPU), location)
        map_location = moved.device if isinstance(moved, _Placeholder) else None
    return as_device(map_location)
