"""How many threads a kernel uses, and who may launch one.

Numba keeps its thread count for each Python thread, so it is set at every launch where it differs, and restored after.
Results never depend on it: kernels split their sums by the shape of the problem.
"""

from __future__ import annotations

import contextlib
import operator
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
from numba import types

from .jit import kernel as compiled

_MOST: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
_count = _MOST


class _Local(threading.local):
    serial = 0  # inside how many serial() blocks

    def __init__(self) -> None:
        self.scratch: dict[Any, np.ndarray] = {}  # one piece of memory, by the dtype that it is seen as


_local = _Local()
_guard: Any = threading.Lock()  # until the threading layer is known; stays if it is `workqueue`
_layer_known = False
_launched = False
_forked = False


def get_num_threads() -> int:
    """The number of threads that a kernel uses."""
    return _count


def set_num_threads(n: int) -> None:
    """Use `n` threads from now on, in every Python thread.

    Raises:
        TypeError: if `n` is not an int.
        ValueError: if it is below 1, or above the number of processors that this process may use.
    """
    global _count
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"set_num_threads: expected an int, got {type(n).__name__} {n!r}")
    n = operator.index(n)
    if not 1 <= n <= _MOST:
        raise ValueError(f"set_num_threads: expected 1 to {_MOST}, the processors that this process may use, got {n}")
    _count = n


@contextlib.contextmanager
def serial() -> Iterator[None]:
    """Kernels launched by this Python thread inside the block use one thread (data loader workers)."""
    _local.serial += 1
    try:
        yield
    finally:
        _local.serial -= 1


def workers() -> int:
    """The number of threads that a launch from this Python thread uses."""
    return 1 if _local.serial else _count


def most_workers() -> int:
    """What memory with a part for every worker is sized by: another Python thread may raise the number of threads
    between that and the launch. Pages that nobody writes to cost nothing."""
    return 1 if _local.serial else _MOST


def scratch(count: int, dtype: np.dtype[Any]) -> np.ndarray:
    """At least `count` elements of working memory that belong to this Python thread until its next launch."""
    views = _local.scratch
    found = views.get(dtype)
    if found is None or found.size < count:
        block = next(iter(views.values()), None)
        if block is None or block.nbytes < count * dtype.itemsize:
            words = -(-count * dtype.itemsize // 64) * 8
            fresh = np.empty(words + 8, np.float64)
            skip = -fresh.ctypes.data % 64 // 8  # a vector that crosses a cache line costs two loads
            block = fresh[skip : words + skip]
            views.clear()
        found = views[dtype] = block.view(dtype)
    return found


SMALL = 1 << 14  # elements; a kernel on fewer runs in the calling thread, which costs less than waking the others
PRODUCTS = 8  # multiply-adds that a register tile computes while a kernel passes over one element


# What numba.get_num_threads and set_num_threads call, through ctypes and checks that take a microsecond.
_get = types.ExternalFunction("get_num_threads", types.int32())
_set = types.ExternalFunction("set_num_threads", types.void(types.int32))


@compiled()
def _swap(n):
    """Set Numba's thread count of this Python thread, and return what it was."""
    before = _get()
    if before != n:
        _set(n)
    return before


def launch(kernel: Callable[..., Any], *args: Any, elements: int = SMALL) -> Any:
    """Call a parallel kernel with the number of threads as its first argument.

    Args:
        elements: how many numbers it works through, if that may be few.

    Raises:
        RuntimeError: in a process forked from one that had launched kernels; its thread pool did not come along.
    """
    global _guard, _layer_known, _launched
    if _forked:
        raise RuntimeError(
            "this process was forked from one that had already run tinycnn's parallel kernels, and a thread pool does "
            "not survive a fork. Start the process with multiprocessing.get_context('spawn') instead; "
            "DataLoader needs no processes, its workers are threads"
        )
    n = 1 if elements < SMALL or _local.serial else _count
    if not _launched:
        numba.get_num_threads()  # starts the pool
        _launched = True
    before = _swap(n)  # it is kept for the parallel functions of this Python thread's own
    try:
        if _guard is None:
            return kernel(n, *args)
        with _guard:
            result = kernel(n, *args)
            if not _layer_known:
                _layer_known = True
                if numba.threading_layer() != "workqueue":  # that one aborts when two Python threads launch at once
                    _guard = None
        return result
    finally:
        if before != n:
            _swap(before)


def _after_fork() -> None:
    global _forked
    _forked = _launched


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
