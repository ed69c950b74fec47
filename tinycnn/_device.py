"""Where an array lives: the `device` type, and the kernels that serve it."""

from __future__ import annotations

import importlib
import threading
from typing import Any

import numpy as np

from . import kernels


class device:
    """A place for tensors: ``device("cpu")``, ``device("cuda")``, ``device("cuda:1")`` or ``device("cuda", 1)``.

    Attributes:
        type: ``"cpu"`` or ``"cuda"``.
        index: the number of the device, or None for the current one.
        kernels: the column of the kernel table that computes on it.
        xp: the module of its arrays, NumPy or CuPy, for what is computed with arrays directly.

    Raises:
        RuntimeError: for a type that does not exist or an index that is not a number.
    """

    __slots__ = ("type", "index", "kernels", "xp")

    type: str
    index: int | None
    kernels: Any
    xp: Any

    def __init__(self, type: str | device, index: int | None = None) -> None:
        if isinstance(type, device):
            index = type.index if index is None else index
            type = type.type
        if not isinstance(type, str):
            raise TypeError(f"device: expected 'cpu', 'cuda' or 'cuda:N', got {type!r}")
        name, colon, number = type.partition(":")
        if name not in ("cpu", "cuda"):
            raise RuntimeError(f"device: expected 'cpu', 'cuda' or 'cuda:N', got {type!r}")
        if colon:
            if index is not None:
                raise RuntimeError(f"device: the index is given twice, in {type!r} and as {index}")
            if not number.isdecimal():
                raise RuntimeError(f"device: the index in {type!r} must be a number from 0 on, as in 'cuda:0'")
            index = int(number)
        if index is not None and (isinstance(index, bool) or not isinstance(index, int) or index < 0):
            raise RuntimeError(f"device: the index must be a number from 0 on, got {index!r}")
        if name == "cpu" and index not in (None, 0):
            raise RuntimeError(f"device: there is one CPU device, index 0; got index {index}")
        self.type = name
        self.index = index

    def __getattr__(self, name: str) -> Any:
        if name == "kernels":
            self.kernels = kernels.column(self.type, self.index)  # from now on a plain attribute
            return self.kernels
        if name == "xp":
            self.xp = self.kernels.xp
            return self.xp
        raise AttributeError(f"a device has no attribute {name!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __repr__(self) -> str:
        return (
            f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        _default.before = (*_default.before, _default.place)
        _default.place = as_device(self)
        return self

    def __exit__(self, *exc: object) -> None:
        *before, _default.place = _default.before
        _default.before = tuple(before)


class layout:
    """How elements lie in memory; there is one way here, `strided`."""

    def __repr__(self) -> str:
        return "tinycnn.strided"


class memory_format:
    """An order of dimensions in memory. Arguments of this type are taken and change nothing: kernels read NCHW."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"tinycnn.{self.name}"


strided = layout()
contiguous_format, preserve_format = memory_format("contiguous_format"), memory_format("preserve_format")
channels_last, channels_last_3d = memory_format("channels_last"), memory_format("channels_last_3d")


CPU = device("cpu")


class _Default(threading.local):
    place: device = CPU
    before: tuple[device, ...] = ()  # of the blocks around


_default = _Default()


def default_device() -> device:
    """Where tensors are made if nobody says where, in this Python thread: the CPU at first."""
    return _default.place


def set_default_device(device: device | str | int | None) -> None:
    """Make new tensors on `device` where no ``device=`` is given, in this Python thread; None means the CPU.

    ``with tinycnn.device("cuda"):`` does so for a block.
    """
    _default.place = as_device(device)


_gpus: dict[int, device] = {}  # one object for each, so that comparing devices is comparing objects


def as_device(place: device | str | int | None) -> device:
    """The device meant by an argument ``device=``; None means the CPU, ``"cuda"`` and a number a GPU.

    Raises:
        RuntimeError: if tensors cannot be put there, in words that say what is missing.
    """
    if place is None or place is CPU:
        return CPU
    place = device("cuda", place) if isinstance(place, int) else device(place)
    if place.type == "cpu":
        return CPU
    index = place.index
    if index is None:
        index = current_gpu()
    known = _gpus.get(index)
    if known is None:
        known = device("cuda", index)
        known.kernels  # noqa: B018  (asking for the column is the check: it explains what is missing)
        _gpus[index] = known
    return known


def current_gpu() -> int:
    """The number of the GPU that ``"cuda"`` means.

    Raises:
        RuntimeError: if there is none, in words that say what is missing.
    """
    return kernels.column("cuda").xp.cuda.Device().id


def moved(array: Any, source: device, place: device, non_blocking: bool = False) -> Any:
    """The numbers of an array on another device, C-contiguous.

    Args:
        non_blocking: pinned memory of the host is copied while this returns; see `kernels.cuda.copies`.
    """
    if place is CPU:
        return array.get()
    with place.xp.cuda.Device(place.index):
        if source is CPU and non_blocking:
            return _copies().send(array)
        if source is CPU:
            return place.xp.asarray(np.ascontiguousarray(array).reshape(array.shape))
        return place.xp.array(array)  # from GPU to GPU


def _copies() -> Any:
    return importlib.import_module("tinycnn.kernels.cuda.copies")  # which imports CuPy


def pinned(array: np.ndarray) -> np.ndarray:
    """An array of the host in page-locked memory: itself, or a copy.

    Raises:
        RuntimeError: if there is no GPU, in words that say what is missing.
    """
    kernels.column("cuda")  # explains what is missing
    return array if _copies().is_pinned(array) else _copies().pinned(array)


def is_pinned(array: Any) -> bool:
    """Whether an array lies in page-locked memory of the host; none does before a GPU is used."""
    used = any(name.startswith("cuda") for name in kernels.loaded())
    return used and type(array) is np.ndarray and _copies().is_pinned(array)


def same_device(name: str, *tensors: Any) -> None:
    """Refuse tensors on two devices.

    Raises:
        RuntimeError: with both.
    """
    for t in tensors:
        if t.device is not tensors[0].device and t.device != tensors[0].device:
            raise RuntimeError(
                f"{name}: the operands are on two devices, {tensors[0].device} and {t.device}; move one with .to(...)"
            )


def get_num_threads() -> int:
    """The number of threads that a CPU kernel uses."""
    from .kernels.cpu import threads  # Numba is loaded when it is first needed, not by `import tinycnn`

    return threads.get_num_threads()


def set_num_threads(n: int) -> None:
    """Let CPU kernels use `n` threads, in every Python thread. Results do not depend on it, bit for bit.

    Raises:
        TypeError, ValueError: if `n` is not a number from 1 to the number of processors.
    """
    from .kernels.cpu import threads

    threads.set_num_threads(n)
