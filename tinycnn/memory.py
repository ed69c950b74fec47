"""The memory of large arrays: what is in use, what is kept for the next ones, and how much that may be.

Results of 64 KB and more lie in blocks of memory that are used again, because fresh memory costs more time than most
operations. A block comes back when the last tensor or array on it is gone, and waits for the next result of about its
size. What waits and what is in use never take more than twice the most that was in use at once (64 MB more than
that, if this is larger).
"""

from __future__ import annotations

import ctypes
import operator
import sys
from dataclasses import dataclass
from typing import Any

__all__ = ["Stats", "keep_pages", "release", "set_limit", "stats"]


@dataclass(frozen=True)
class Stats:
    """Bytes and counts of the memory of large arrays.

    Attributes:
        in_use: bytes of the blocks that arrays live in.
        kept: bytes of the blocks that wait for the next arrays.
        peak: the largest `in_use` so far, or since `release`.
        hits: how many arrays were made in a block that waited.
        misses: how many needed fresh memory.
    """

    in_use: int
    kept: int
    peak: int
    hits: int
    misses: int


def _pool() -> Any:
    from .kernels.cpu import memory  # Numba is loaded when it is first needed, not by `import tinycnn`

    return memory.pool


def stats() -> Stats:
    """What is in use and what is kept, now."""
    pool = _pool()
    return Stats(pool.total - pool.kept, pool.kept, pool.peak, pool.hits, pool.misses)


def release() -> None:
    """Give all memory that no array lives in back to the system, and count the peak from now on."""
    _pool().release()


def set_limit(bytes: int | None) -> None:
    """Keep at most so many bytes for the next arrays; 0 keeps nothing, None sets no limit of its own.

    Raises:
        TypeError: if `bytes` is not an int.
        ValueError: if it is negative.
    """
    if bytes is None:
        bytes = sys.maxsize
    if isinstance(bytes, bool) or not hasattr(bytes, "__index__"):
        raise TypeError(f"set_limit: expected an int or None, got {type(bytes).__name__} {bytes!r}")
    if operator.index(bytes) < 0:
        raise ValueError(f"set_limit: expected a number of bytes from 0 on, got {bytes}")
    _pool().set_limit(operator.index(bytes))


_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # malloc.h


def keep_pages(on: bool = True) -> None:
    """Tell the C library to keep the memory that arrays outside of tinycnn's own blocks give back: NumPy's, Pillow's.

    This is for the whole process and all its libraries: the memory that it holds stays at its peak. It cannot be seen
    in `stats`.

    Args:
        on: False sets the C library's defaults again.

    Raises:
        RuntimeError: if the C library is not glibc, which alone has these switches.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        raise RuntimeError(
            "keep_pages: only glibc (Linux) can be told to keep memory; this system has another C library"
        )
    defaults = {_MMAP_MAX: 65536, _TRIM_THRESHOLD: 128 << 10, _TOP_PAD: 128 << 10}
    wanted = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 << 20} if on else defaults
    for name, value in wanted.items():
        if not mallopt(name, value):
            raise RuntimeError(f"keep_pages: mallopt({name}, {value}) was refused")
