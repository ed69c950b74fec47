"""What the kernels of this column stand on: the array module, its memory, and the way to the host and back.

`xp` is CuPy; where Numba's simulator runs it is `stand_in`, NumPy with CuPy's rules. All memory comes from CuPy's pool,
everything is launched on CuPy's current stream.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import settings
from . import probe

SIMULATED = probe.simulated()
xp: Any = importlib.import_module(".stand_in", __package__) if SIMULATED else importlib.import_module("cupy")


def to_host(x: Any) -> np.ndarray:
    """A copy of a device's array as a NumPy array; waits for what computes it."""
    return x.get()


def to_device(x: np.ndarray) -> Any:
    """A copy of a NumPy array on the current device, C-contiguous."""
    return xp.asarray(np.ascontiguousarray(x).reshape(x.shape))


def table(values: Any) -> Any:
    """Whole numbers for a kernel to look up, copied to the GPU in a way that a graph can capture and repeat."""
    numbers = np.array(values, np.int64).reshape(-1)
    if not settings.capturing:
        return xp.asarray(numbers)
    waiting = importlib.import_module("cupyx").empty_pinned(numbers.shape, numbers.dtype)
    waiting[...] = numbers
    made = xp.empty(numbers.shape, numbers.dtype)
    made.set(waiting)  # read at every replay
    settings.held += [waiting, made]
    return made


def place() -> tuple[int, int]:
    """The current GPU and stream. What one stream has copied, another must not read without waiting for it."""
    return xp.cuda.Device().id, xp.cuda.get_current_stream().ptr


@functools.lru_cache(4096)
def _known(values: tuple[int, ...], place: tuple[int, int]) -> Any:
    return table(values)


def constants(values: tuple[int, ...]) -> Any:
    """`table`, kept for the next time. What is copied during a capture is there only after a replay, and not kept."""
    return table(values) if settings.capturing else _known(values, place())


def _over(value: Any, move: Callable[[Any], Any], kind: type) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(_over(v, move, kind) for v in value)
    return move(value) if isinstance(value, kind) else value


def on_host(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of NumPy arrays, for arrays of the device: copied to the host and back. Right, and slow."""

    @functools.wraps(function)
    def there_and_back(*args: Any, **options: Any) -> Any:
        args = _over(args, to_host, xp.ndarray)
        options = {name: _over(value, to_host, xp.ndarray) for name, value in options.items()}
        return _over(function(*args, **options), to_device, np.ndarray)

    return there_and_back


def in_floats(plain: Callable[..., Any], dtypes: str = "fd") -> Any:
    """Decorate a function that takes `dtypes`: float16, if it is not among them, is computed in float32 and rounded
    once, and what is no floating-point number by `plain` on the host. The first argument's dtype decides.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            dtype = args[0].dtype
            if dtype.char in dtypes:
                return function(*args, **options)
            if dtype.char != "e":
                return on_host(plain)(*args, **options)

            def widened(a: Any) -> Any:
                return a.astype(np.float32) if a.dtype == dtype else a

            def rounded(a: Any) -> Any:
                return a.astype(dtype) if a.dtype == np.float32 else a

            options = {name: _over(value, widened, xp.ndarray) for name, value in options.items()}
            return _over(function(*_over(args, widened, xp.ndarray), **options), rounded, xp.ndarray)

        return call

    return decorate


def served(function: Callable[..., Any], index: int | None) -> Callable[..., Any]:
    """`function` as the table gives it out: on the GPU of that number, with a clear error where memory runs out."""
    several = index is not None and xp.cuda.runtime.getDeviceCount() > 1

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        for a in args:
            if type(a) is np.ndarray and a.ndim:
                raise RuntimeError(
                    f"{function.__name__}: the operands are on two devices, this GPU and the CPU (an array of shape "
                    f"{a.shape}); move one with .to(...)"
                )
        try:
            if not several:
                return function(*args, **options)
            with xp.cuda.Device(index):
                return function(*args, **options)
        except MemoryError as error:  # CuPy's own is one
            raise probe.OutOfMemoryError(out_of_memory(error)) from error

    return call


def out_of_memory(error: MemoryError) -> str:
    """In words: what was asked for, what is in use, what can be done."""
    pool = xp.get_default_memory_pool()
    free, total = xp.cuda.runtime.memGetInfo()
    return (
        f"cuda: out of memory ({error}). The GPU has {total >> 20} MiB, {free >> 20} MiB of them free; tensors use "
        f"{pool.used_bytes() >> 20} MiB, and {pool.free_bytes() >> 20} MiB are kept for the next ones. Smaller batches "
        "need less; cuda.empty_cache() gives back what is kept"
    )
