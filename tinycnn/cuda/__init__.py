"""``torch.cuda`` where there is no GPU: it is not available, and what needs one says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._switches import refused
from . import amp

__all__ = ["amp", "device_count", "empty_cache", "is_available", "manual_seed", "manual_seed_all"]


def is_available() -> bool:
    """False: there is no GPU."""
    return False


def is_initialized() -> bool:
    """False: there is no GPU."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no GPU."""
    return False


def device_count() -> int:
    """0: there is no GPU."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there is no generator on a GPU."""
    int(seed)


manual_seed_all = manual_seed


def seed() -> None:
    """Nothing: there is no generator on a GPU."""


seed_all = seed


def empty_cache() -> None:
    """Nothing: there is no memory on a GPU."""


def ipc_collect() -> None:
    """Nothing: there is no memory on a GPU."""


def memory_allocated(device: Any = None) -> int:
    """0 bytes."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_cached = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Nothing: there is no memory on a GPU."""


def _refused(name: str) -> Callable[..., Any]:
    return refused(f"cuda.{name}", "there is no GPU here; ask cuda.is_available() before", "a GPU")


Event = _refused("Event")
Stream = _refused("Stream")
current_device = _refused("current_device")
current_stream = _refused("current_stream")
device = _refused("device")
get_device_capability = _refused("get_device_capability")
get_device_name = _refused("get_device_name")
get_device_properties = _refused("get_device_properties")
get_rng_state = _refused("get_rng_state")
get_rng_state_all = _refused("get_rng_state_all")
init = _refused("init")
mem_get_info = _refused("mem_get_info")
set_device = _refused("set_device")
set_rng_state = _refused("set_rng_state")
set_rng_state_all = _refused("set_rng_state_all")
stream = _refused("stream")
synchronize = _refused("synchronize")


def _never(name: str) -> type:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"cuda.{name}: there is no GPU here; ask cuda.is_available() before")

    return type(name, (), {"__new__": refuse, "__doc__": "The type of tensors on a GPU: no tensor is of it."})


FloatTensor = _never("FloatTensor")
DoubleTensor = _never("DoubleTensor")
HalfTensor = _never("HalfTensor")
LongTensor = _never("LongTensor")
IntTensor = _never("IntTensor")
ByteTensor = _never("ByteTensor")
BoolTensor = _never("BoolTensor")
