"""NumPy in CuPy's place, where Numba's simulator stands in for a GPU.

An array of the device is a NumPy array of the type `ndarray` below. It is as strict as CuPy's where a program could be
wrong without being noticed here: it does not mix with arrays of the host, a reduction or an element is an array and not
a number, and what CuPy's arrays do not have is not there.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

_VIEWS = ("broadcast_to", "diagonal", "expand_dims", "flip", "moveaxis", "reshape", "squeeze", "swapaxes", "transpose")
_METHODS = (
    *("sum", "prod", "max", "min", "mean", "any", "all", "argmax", "argmin", "cumsum", "cumprod", "std", "var"),
    *("nonzero", "argsort", "take", "repeat", "round", "clip", "dot", "searchsorted"),
)
_NOT_IN_CUPY = ("ctypes", "carray", "byteswap", "newbyteorder", "__array_interface__")


def _plain(value: Any) -> Any:
    """Arrays of the device as NumPy's, in lists and tuples too."""
    if isinstance(value, ndarray):
        return value.view(np.ndarray)
    if type(value) in (list, tuple):
        return type(value)(_plain(v) for v in value)
    return value


def _ours(value: Any) -> Any:
    """NumPy's arrays and numbers as arrays of the device."""
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if isinstance(value, np.ndarray):
        return value if isinstance(value, ndarray) else value.view(ndarray)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_ours, value))
    return type(value)(map(_ours, value)) if type(value) in (list, tuple) else value


def _refuse_host(name: str, values: Any) -> None:
    for value in values:
        if isinstance(value, np.ndarray) and not isinstance(value, ndarray):
            raise TypeError(f"{name}: an array of the host among arrays of the device, shape {value.shape}")
        if type(value) in (list, tuple):
            _refuse_host(name, value)


class _Flags:
    def __init__(self, flags: Any) -> None:
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, flags.owndata

    def __getitem__(self, name: str) -> bool:
        return getattr(self, name.lower())


class ndarray(np.ndarray):
    """An array of the simulated device."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if method != "__call__":
            raise TypeError(f"np.{ufunc.__name__}.{method}: not for arrays of the device")
        _refuse_host(f"np.{ufunc.__name__}", (*inputs, *(out or ())))
        with np.errstate(all="ignore"):
            if out is None:
                return _ours(ufunc(*map(_plain, inputs), **options))
            ufunc(*map(_plain, inputs), out=tuple(map(_plain, out)), **options)
        return out[0] if len(out) == 1 else out

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        name = function.__name__
        _refuse_host(f"np.{name}", (*args, *options.values()))
        if name in _VIEWS:
            return function._implementation(*args, **options, **({"subok": True} if name == "broadcast_to" else {}))
        options = {key: _plain(value) for key, value in options.items()}
        with np.errstate(all="ignore"):
            return _ours(function(*map(_plain, args), **options))

    def __getitem__(self, key: Any) -> Any:
        _refuse_host("x[key]", (key,))
        found = super().__getitem__(_plain(key))
        return found if isinstance(found, np.ndarray) else _ours(found)

    def __setitem__(self, key: Any, value: Any) -> None:
        _refuse_host("x[key] = value", (key, value))
        super().__setitem__(_plain(key), _plain(value))

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise TypeError("an array of the device does not become one of the host by itself; use .get()")

    def get(self) -> np.ndarray:
        """A copy on the host."""
        return np.array(self.view(np.ndarray))

    def set(self, x: np.ndarray, stream: Any = None) -> None:
        """Copy an array of the host into this one."""
        assert type(x) is np.ndarray and (x.shape, x.dtype) == (self.shape, self.dtype)
        self.view(np.ndarray)[...] = x

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Where the memory is, and what is there."""
        return {
            "version": 3, "shape": self.shape, "typestr": self.dtype.str, "strides": self.strides,
            "data": (self.data.ptr, False),
        }  # fmt: skip

    @property
    def data(self) -> Any:
        """With the address as `ptr`."""
        return SimpleNamespace(ptr=self.view(np.ndarray).ctypes.data)

    @property
    def flags(self) -> Any:
        return _Flags(super().flags)

    def __getattribute__(self, name: str) -> Any:
        if name in _NOT_IN_CUPY:
            raise AttributeError(f"an array of the device has no {name!r}")
        return super().__getattribute__(name)


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np.ndarray, name)

    @functools.wraps(function)
    def method(self: ndarray, *args: Any, **options: Any) -> Any:
        _refuse_host(name, (*args, *options.values()))
        options = {key: _plain(value) for key, value in options.items()}
        with np.errstate(all="ignore"):
            return _ours(function(_plain(self), *map(_plain, args), **options))

    return method


for _name in _METHODS:
    setattr(ndarray, _name, _method(_name))


def asarray(value: Any, dtype: Any = None, order: Any = None) -> ndarray:
    """`value` on the device: itself, or a copy of what lies on the host."""
    if isinstance(value, ndarray) and dtype in (None, value.dtype) and order is None:
        return value
    return np.array(_plain(value), dtype, order=order or "K").view(ndarray)


def array(value: Any, dtype: Any = None) -> ndarray:
    """A copy of `value` on the device."""
    return np.array(_plain(value), dtype).view(ndarray)


def ascontiguousarray(x: ndarray, dtype: Any = None) -> ndarray:
    """x in row-major memory without gaps; itself if it is so."""
    same = x.flags.c_contiguous and dtype in (None, x.dtype)
    return x if same else _ours(np.ascontiguousarray(_plain(x), dtype).reshape(x.shape))


def flip(x: ndarray, axis: Any = None) -> ndarray:
    """x with the order along axes reversed, a view."""
    return np.flip(x, axis)


def moveaxis(x: ndarray, source: int, destination: int) -> ndarray:
    """x with an axis elsewhere, a view."""
    return np.moveaxis(x, source, destination)


def broadcast_to(x: ndarray, shape: Any) -> Any:
    """x in a larger shape, without copying."""
    return np.broadcast_to(x, shape)


def asnumpy(x: ndarray) -> np.ndarray:
    """A copy on the host."""
    return x.get()


@functools.cache
def __getattr__(name: str) -> Any:
    """NumPy's function of that name, for arrays of the device."""
    value = getattr(np, name)
    if isinstance(value, type) or not callable(value):
        return value

    @functools.wraps(value)
    def function(*args: Any, **options: Any) -> Any:
        _refuse_host(name, (*args, *options.values()))
        with np.errstate(all="ignore"):
            return _ours(value(*map(_plain, args), **{key: _plain(v) for key, v in options.items()}))

    return function


def _as_strided(x: ndarray, shape: Any, strides: Any) -> ndarray:
    base = x if type(x.base) is not ndarray else x.base
    first = x.data.ptr - base.data.ptr
    return np.ndarray.__new__(ndarray, tuple(shape), x.dtype, base, first, tuple(strides))


lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_as_strided))


def _in_linalg(name: str) -> Callable[..., Any]:
    function = getattr(np.linalg, name)
    return lambda *args, **options: _ours(function(*map(_plain, args), **options))


linalg = SimpleNamespace(**{name: _in_linalg(name) for name in ("svd", "norm", "qr", "inv", "det", "solve")})


@contextlib.contextmanager
def strict_numpy() -> Iterator[None]:
    """A block in which NumPy's functions that make an array of anything refuse the device's, as they refuse CuPy's."""

    def strict(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def function(x: Any, *args: Any, **options: Any) -> Any:
            if isinstance(x, ndarray) and not options.get("subok"):
                raise TypeError("an array of the device does not become one of the host by itself")
            return original(x, *args, **options)

        return function

    names = ("asarray", "array", "ascontiguousarray")
    before = {name: getattr(np, name) for name in names}
    for name in names:
        setattr(np, name, strict(before[name]))
    try:
        yield
    finally:
        for name in names:
            setattr(np, name, before[name])


# -- cuBLAS -----------------------------------------------------------------------------------------------------------


def gemmStridedBatchedEx(  # noqa: N802
    handle: int, flip_a: int, flip_b: int, rows: int, columns: int, depth: int, alpha: int,
    a: int, type_a: int, lead_a: int, step_a: int, b: int, type_b: int, lead_b: int, step_b: int, beta: int,
    c: int, type_c: int, lead_c: int, step_c: int, batch: int, compute: int, algorithm: int,
) -> None:  # fmt: skip
    """cuBLAS's c = alpha * a @ b + beta * c, of matrices in memory column by column, given by addresses."""

    def number(address: int) -> Any:
        return (ctypes.c_double if type_c == 1 else ctypes.c_float).from_address(address).value

    def matrices(address: int, code: int, flip: int, height: int, width: int, lead: int, step: int) -> np.ndarray:
        dtype = np.dtype("fde"[code])
        height, width = (width, height) if flip else (height, width)
        assert lead >= max(height, 1) and width
        length = step * (batch - 1) + lead * (width - 1) + height
        bytes_there: Any = (ctypes.c_byte * (length * dtype.itemsize)).from_address(address)
        memory = np.frombuffer(bytes_there, dtype)
        size = dtype.itemsize
        strided = np.lib.stride_tricks.as_strided
        found = strided(memory, (batch, height, width), (step * size, size, lead * size), writeable=True)
        return found.swapaxes(1, 2) if flip else found

    kinds = ((0, 0), (1, 1), (2, 2), (2, 0))
    known = compute in ((70,) if type_c == 1 else (68, 77) if type_a == 0 else (68,))
    assert type_a == type_b and (type_a, type_c) in kinds and known, "an unknown product"
    out = matrices(c, type_c, 0, rows, columns, lead_c, step_c)
    wide = np.float64 if type_c == 1 else np.float32
    operands = (
        matrices(a, type_a, flip_a, rows, depth, lead_a, step_a),
        matrices(b, type_b, flip_b, depth, columns, lead_b, step_b),
    )
    with np.errstate(all="ignore"):
        product = number(alpha) * np.matmul(*[x.astype(wide) for x in operands])
        out[...] = product + number(beta) * out.astype(wide) if number(beta) else product


# -- what CuPy says of the device -------------------------------------------------------------------------------------


class _Pool:
    """The host's memory: nobody counts it."""

    def used_bytes(self) -> int:
        return 0

    total_bytes = free_bytes = used_bytes

    def free_all_blocks(self) -> None:
        pass


class Device:
    """The one simulated GPU."""

    compute_capability, attributes = "90", {"MultiProcessorCount": 1}

    def __init__(self, device: int | None = None) -> None:
        self.id = device or 0
        if self.id:
            raise RuntimeError(f"the simulator has one GPU, number 0, got {device}")

    def use(self) -> None:
        """Nothing: it is the current one."""

    def synchronize(self) -> None:
        """Nothing: kernels have run when their launch returns."""

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class Stream:
    """A queue of work: here everything is done at once."""

    ptr = 0
    done = True

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int = 0) -> None:
        pass

    def use(self) -> Stream:
        return self

    def synchronize(self) -> None:
        """Nothing: it is done."""

    def record(self, event: Any = None) -> Any:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Any) -> None:
        """Nothing: it has happened."""

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class Event:
    """A moment, by the host's clock."""

    done = True

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.time = 0.0

    def record(self, stream: Any = None) -> None:
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        """Nothing: it has happened."""


class PinnedMemoryPointer(bytearray):
    """Memory of the host, as all of it."""


_null = Stream(null=True)
_pool = _Pool()


def get_default_memory_pool() -> _Pool:
    """What takes the place of CuPy's pool."""
    return _pool


@contextlib.contextmanager
def _nothing(*args: Any) -> Iterator[None]:
    yield


cuda = SimpleNamespace(
    Device=Device,
    Stream=Stream,
    Event=Event,
    get_current_stream=lambda: _null,
    get_elapsed_time=lambda start, end: (end.time - start.time) * 1e3,
    PinnedMemoryPointer=PinnedMemoryPointer,
    alloc_pinned_memory=PinnedMemoryPointer,
    using_allocator=_nothing,
    runtime=SimpleNamespace(
        getDeviceCount=lambda: 1,
        memGetInfo=lambda: (0, 0),
        getDeviceProperties=lambda index: {
            "name": b"Numba's simulator",
            "totalGlobalMem": 0,
            "major": 9,
            "minor": 0,
            "multiProcessorCount": 1,
        },
    ),
)
