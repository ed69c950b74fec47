"""Compiling and launching Numba-CUDA kernels.

A kernel is written once for all dtypes, as a factory that gets the dtype T (`numpy.float32` or `numpy.float64`)::

    @kernel("T* T* int64")
    def scale(T):
        half = T(0.5)  # a constant of the kernel; 0.5 alone would be float64

        def body(x, y, n):
            for i in range(cuda.grid(1), n, cuda.gridsize(1)):
                y[i] = x[i] * half

        return body

    scale.of(x.dtype)(*flat(x.size), x, y, x.size)

A kernel for float16 (`dtypes` with an ``e``) keeps its numbers in float16 and computes in float32: there T is float32,
and so are the signature's T and A*, while T* points to float16. It reads ``T(x[i])``, and what it writes is rounded.

Arrays are passed as bare pointers: passing one costs less than two microseconds, an array object costs nine. So they
must be C-contiguous, and a kernel indexes them as one row. Each dtype is compiled when it is first launched, for
exactly the types in the signature. `KERNELS` lists all kernels, and a test compiles every one of them.

Under the simulator pointers are 1-D NumPy arrays, with index checks.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import cuda

from .backend import SIMULATED, xp

THREADS = 4 if SIMULATED else 256  # of a block of `flat`
MOST_BLOCKS = 3 if SIMULATED else 2048  # of `flat`: some for every multiprocessor; a loop in the kernel does the rest
BLOCK = 4 if SIMULATED else 256  # threads that reduce together: a power of two
GRID_LIMIT = 3 if SIMULATED else 65535  # blocks along the second and third axis of a grid; see `capped`

KERNELS: list[Kernel] = []
_simulator = threading.Lock()  # it runs one kernel at a time


def flat(count: int) -> tuple[int, int]:
    """(blocks, threads) for a loop ``for i in range(cuda.grid(1), n, cuda.gridsize(1))`` over `count` elements."""
    return min(max(-(-count // THREADS), 1), MOST_BLOCKS), THREADS


def capped(blocks: int) -> int:
    """So many blocks, or as many as an axis of the grid may have; the kernel's loop strides by ``cuda.gridDim``."""
    return min(blocks, GRID_LIMIT)


def grid_of(positions: int, rows: int, images: int = 1) -> tuple[tuple[int, int, int], int]:
    """(blocks, threads): threads along the positions, blocks along rows and images; as many as there may be of each."""
    threads = THREADS if SIMULATED else min(THREADS, -(-positions // 32) * 32)
    return (min(-(-positions // threads), MOST_BLOCKS), capped(rows), capped(images)), threads


def computed_in(dtype: Any) -> np.dtype:
    """The dtype that a kernel computes numbers of `dtype` in: float32 for float16, else the same."""
    return np.dtype(np.float32) if dtype == np.float16 else np.dtype(dtype)


def kernel(signature: str, dtypes: str = "fd", constants: tuple[tuple[Any, ...], ...] = ((),)) -> Any:
    """Make a `Kernel` of a factory.

    Args:
        signature: the kernel's arguments, of T and Numba's types, with a star for a pointer: ``"T* int64* T int64"``.
            ``A*`` points to numbers of the dtype that is computed in.
        dtypes: the characters of the dtypes that the kernel takes.
        constants: what else the factory may be called with, as the tests that compile every kernel take it.
    """

    def decorate(factory: Callable[..., Any]) -> Kernel:
        made = Kernel(factory, signature, dtypes, constants)
        KERNELS.append(made)
        return made

    return decorate


class Kernel:
    """A kernel for several dtypes.

    Attributes:
        name: of the factory.
        signature, dtypes, constants: as given to `kernel`.
    """

    def __init__(self, factory: Callable[..., Any], signature: str, dtypes: str, constants: Any) -> None:
        self.factory, self.signature, self.dtypes, self.constants = factory, signature, dtypes, constants
        self.name, self.__doc__ = factory.__name__, factory.__doc__
        self._made: dict[Any, Launcher] = {}

    def of(self, dtype: np.dtype, *constants: Any) -> Launcher:
        """The kernel for a dtype (and constants), compiled when it is first asked for."""
        key = dtype, constants
        made = self._made.get(key)
        if made is None:
            assert dtype.char in self.dtypes and constants in self.constants, "a kernel that no test compiles"
            body = self.factory(computed_in(dtype).type, *constants)
            made = self._made[key] = Launcher(body, self.types(dtype))
        return made

    def types(self, dtype: np.dtype) -> tuple[Any, ...]:
        """The types of the arguments, Numba's."""
        found = []
        for word in self.signature.split():
            name = word.rstrip("*")
            stored = {"T*": dtype.name, "T": computed_in(dtype).name, "A*": computed_in(dtype).name}
            kind = getattr(numba.types, stored.get(word, name))
            found.append(numba.types.CPointer(kind) if word.endswith("*") else kind)
        return tuple(found)


class Launcher:
    """A compiled kernel: ``launcher(blocks, threads, *args)`` launches it on CuPy's current stream."""

    def __init__(self, body: Callable[..., Any], types: tuple[Any, ...]) -> None:
        if SIMULATED:
            self._compiled: Any = cuda.jit(body)
        else:
            _repair_numba()
            self._compiled = cuda.jit(numba.void(*types))(body)
        self._configured: dict[Any, Any] = {}

    def __call__(self, blocks: int | tuple[int, ...], threads: int | tuple[int, ...], *args: Any) -> None:
        if SIMULATED:
            self._simulate(blocks, threads, args)
            return
        stream = xp.cuda.get_current_stream().ptr
        key = blocks, threads, stream
        ready = self._configured.get(key)
        if ready is None:
            if len(self._configured) > 1024:
                self._configured.clear()
            queue = cuda.external_stream(stream) if stream else 0
            ready = self._configured[key] = self._compiled[blocks, threads, queue]
        ready(*[a.data.ptr if isinstance(a, xp.ndarray) else a for a in args])

    def _simulate(self, blocks: Any, threads: Any, args: tuple[Any, ...]) -> None:
        for a in args:
            assert not isinstance(a, xp.ndarray) or a.flags.c_contiguous, "kernels get C-contiguous arrays"
        rows = [a.view(np.ndarray).reshape(-1) if isinstance(a, xp.ndarray) else a for a in args]
        rows = [r if np.ndim(r) == 0 or r.flags.writeable else r.copy() for r in rows]  # the simulator writes all back
        with _simulator, warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # overflow and 1 / 0 are results here
            self._compiled[blocks, threads](*rows)


def _repair_numba() -> None:
    """Let numba-cuda's module for arrays be imported where NumPy (from 2.5 on) has no `row_stack` any more."""
    if hasattr(np, "row_stack"):
        return
    np.row_stack = np.vstack
    try:
        import numba.cuda.np.arrayobj  # noqa: F401
    finally:
        del np.row_stack
