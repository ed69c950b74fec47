"""NVIDIA GPUs: what is there, which one is meant, its memory, streams, events and graphs (``torch.cuda``).

Tensors are put on one with ``device="cuda"`` or `Tensor.cuda`. Without a GPU, everything that needs one is a
RuntimeError that says what is missing; `is_available` asks. With NUMBA_ENABLE_CUDASIM=1, Numba's simulator is the GPU.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .. import _device, kernels, random
from .._tensor import Tensor
from ..composed.convert import TensorType
from ..dtypes import bool_, float16, float32, float64, int32, int64, uint8
from ..kernels.cuda import probe
from ..kernels.cuda.probe import OutOfMemoryError
from . import amp, graphs
from ._memory import (
    empty_cache,
    max_memory_allocated,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_cached,
    memory_reserved,
    reset_peak_memory_stats,
)
from ._streams import Event, Stream, current_stream, default_stream, stream
from .graphs import CUDAGraph, graph, is_current_stream_capturing

__all__ = [
    "CUDAGraph",
    "Event",
    "OutOfMemoryError",
    "Stream",
    "amp",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "graph",
    "graphs",
    "is_available",
    "is_current_stream_capturing",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "reset_peak_memory_stats",
    "set_device",
    "stream",
    "synchronize",
]

Place = _device.device | str | int | None


def is_available() -> bool:
    """Whether tensors can be put on a GPU."""
    return not probe.problem()


def is_initialized() -> bool:
    """Whether a GPU was used, in this process."""
    return any(name.startswith("cuda") for name in kernels.loaded())


def init() -> None:
    """Load what a GPU needs now, rather than when the first tensor is put there.

    Raises:
        RuntimeError: if there is none, in words.
    """
    kernels.column("cuda").xp  # noqa: B018


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no bfloat16 here."""
    return False


def device_count() -> int:
    """The number of GPUs; 0 if none can be used."""
    if not is_available():
        return 0
    return 1 if probe.simulated() else probe.driver()[1]


def index_of(place: Place) -> int:
    """The number of the GPU meant by an argument ``device=``; None is the current one.

    Raises:
        RuntimeError: if there is no such GPU.
    """
    if place is None:
        return current_device()
    found = _device.as_device(place)
    if found.type != "cuda":
        raise RuntimeError(f"cuda: expected a GPU, got device {str(place)!r}")
    return found.index or 0


def current_device() -> int:
    """The number of the GPU that ``device="cuda"`` means.

    Raises:
        RuntimeError: if there is no GPU.
    """
    return _device.current_gpu()


def set_device(device: Place) -> None:
    """Let ``device="cuda"`` mean this GPU, in this Python thread; a negative number changes nothing.

    Raises:
        RuntimeError: if there is no such GPU.
    """
    if not (isinstance(device, int) and device < 0):
        kernels.column("cuda").xp.cuda.Device(index_of(device)).use()


class device:
    """A ``with`` block in which ``device="cuda"`` means this GPU; a negative number or None changes nothing."""

    def __init__(self, device: Place) -> None:
        self.idx = -1 if device is None or (isinstance(device, int) and device < 0) else index_of(device)
        self._before = -1

    def __enter__(self) -> device:
        self._before = current_device()
        set_device(self.idx)
        return self

    def __exit__(self, *exc: object) -> None:
        set_device(self._before)


def synchronize(device: Place = None) -> None:
    """Wait until everything that was launched on a GPU is done.

    Raises:
        RuntimeError: if there is no such GPU.
    """
    kernels.column("cuda").xp.cuda.Device(index_of(device)).synchronize()


def get_device_properties(device: Place = None) -> Any:
    """The GPU's `name`, `total_memory` in bytes, `major` and `minor` (of its kind), and `multi_processor_count`."""
    index = index_of(device)
    cuda = kernels.column("cuda").xp.cuda
    found = cuda.runtime.getDeviceProperties(index)
    return SimpleNamespace(
        name=found["name"].decode(),
        total_memory=found["totalGlobalMem"],
        major=found["major"],
        minor=found["minor"],
        multi_processor_count=found["multiProcessorCount"],
    )


def get_device_name(device: Place = None) -> str:
    """The name of a GPU."""
    return get_device_properties(device).name


def get_device_capability(device: Place = None) -> tuple[int, int]:
    """The kind of a GPU, such as (9, 0) for an H100."""
    found = get_device_properties(device)
    return found.major, found.minor


# -- random numbers: the CPU's generator draws them for tensors on GPUs too -------------------------------------------


def manual_seed(seed: int) -> None:
    """Nothing: numbers for tensors on a GPU come from the default generator, which `tinycnn.manual_seed` seeds."""
    int(seed)


manual_seed_all = manual_seed


def seed() -> None:
    """Nothing; see `manual_seed`."""


seed_all = seed


def get_rng_state(device: Place = "cuda") -> Tensor:
    """The default generator's state."""
    index_of(device)
    return random.get_rng_state()


def set_rng_state(new_state: Tensor, device: Place = "cuda") -> None:
    """Put the default generator into a state that `get_rng_state` returned."""
    index_of(device)
    random.set_rng_state(new_state)


def get_rng_state_all() -> list[Tensor]:
    """The default generator's state, once for each GPU."""
    return [random.get_rng_state() for _ in range(device_count())]


def set_rng_state_all(new_states: list[Tensor]) -> None:
    """Put the default generator into the first of these states."""
    for state in new_states[:1]:
        random.set_rng_state(state)


def ipc_collect() -> None:
    """Nothing: memory is not shared with other processes."""


# -- PyTorch's old names ----------------------------------------------------------------------------------------------


class _TypeOnGpu(TensorType):
    """The type of tensors of a dtype on a GPU, and what makes them."""

    def __call__(self, *data: Any) -> Tensor:
        init()
        with _device.device("cuda"):
            return super().__call__(*data)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is self.dtype and instance.is_cuda

    def __repr__(self) -> str:
        return f"<class 'tinycnn.cuda.{self.__name__}'>"


FloatTensor, DoubleTensor = _TypeOnGpu("FloatTensor", float32), _TypeOnGpu("DoubleTensor", float64)
HalfTensor, LongTensor = _TypeOnGpu("HalfTensor", float16), _TypeOnGpu("LongTensor", int64)
IntTensor, ByteTensor = _TypeOnGpu("IntTensor", int32), _TypeOnGpu("ByteTensor", uint8)
BoolTensor = _TypeOnGpu("BoolTensor", bool_)
