"""Where an array lives: the `device` type, and the kernels that serve it."""

from __future__ import annotations

from typing import Any

from . import kernels


class device:
    """A place for tensors: ``device("cpu")``, ``device("cuda")``, ``device("cuda:1")`` or ``device("cuda", 1)``.

    Attributes:
        type: ``"cpu"`` or ``"cuda"``.
        index: the number of the device, or None for the current one.
        kernels: the column of the kernel table that computes on it.

    Raises:
        RuntimeError: for a type that does not exist or an index that is not a number.
    """

    __slots__ = ("type", "index", "kernels")

    type: str
    index: int | None
    kernels: Any

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
        if name != "kernels":
            raise AttributeError(f"a device has no attribute {name!r}")
        self.kernels = kernels.column(self.type)  # from now on a plain attribute
        return self.kernels

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


def as_device(place: device | str | None) -> device:
    """The device meant by an argument ``device=``; None means the CPU.

    Raises:
        RuntimeError: if tensors cannot be put there, in words that say what is missing.
    """
    if place is None or place is CPU:
        return CPU
    place = device(place)
    if place.type == "cpu":
        return CPU
    place.kernels  # noqa: B018  (asking for the column is the check: it explains what is missing)
    return place


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
