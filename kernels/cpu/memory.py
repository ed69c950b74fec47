"""Where the arrays that kernels return come from: a pool of blocks that are used again.

A fresh page costs more than what is computed on it: the kernel has to find it, clear it and map it. So the memory of a
large array that died is kept, and the next array of about that size is made of it.

A block is an anonymous memory map: whole pages, zeros at first. `empty` makes an ordinary array on it. Every view of
that array, of whatever shape, has the array itself as its base, so a weak reference to the array tells when the last
of them has died; its callback takes the block back. Nothing is ever released by hand.

Sizes are rounded up to one of eight steps between two powers of two (at most an eighth is wasted), and a block serves
requests of its own step only.

Several Python threads use the pool at once, and an array may die anywhere, also in the midst of the pool's own work
when the garbage collector runs there. There is no lock that this could wait for: blocks move by `append` and `pop`,
which are atomic, and each count is changed by one statement without a call, which nothing interrupts.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import mmap
import sys
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import prange

from .jit import kernel
from .strided import assign
from .threads import launch

SMALLEST = 1 << 16  # bytes; below, NumPy's own memory is as fast
PARALLEL = 1 << 20  # bytes; above, one thread alone does not fill or copy at the speed of memory
HUGE = 1 << 21  # bytes of a huge page: one fault instead of 512
SLACK = 2.0  # what is in use and kept together, to what was in use at most
ALWAYS = 1 << 26  # bytes that may be kept in any case

_ANONYMOUS: dict[str, int] = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}


class Block(mmap.mmap):
    """Pages for one array at a time.

    Attributes:
        nbytes: its size.
        pool: where it belongs.
        kin: the kept blocks of this size.
        lease: a weak reference to the array that it was given out as, which calls `back`.
        since: when it was given back, by the pool's clock.
    """

    __slots__ = ("kin", "lease", "nbytes", "pool", "since")

    nbytes: int
    pool: Pool
    kin: deque[Block]
    lease: weakref.ref[np.ndarray] | None
    since: int

    def back(self, lease: Any) -> None:
        """The array died: keep the block for the next one."""
        pool = self.pool
        self.lease, self.since = None, next(pool.clock)
        pool.kept += self.nbytes
        self.kin.append(self)
        if pool.kept > pool.limit:
            pool.trim(0)


def stepped(nbytes: int) -> int:
    """A size rounded up to one of eight steps between two powers of two."""
    shift = int(nbytes).bit_length() - 4
    return ((nbytes - 1 >> shift) + 1) << shift


class Pool:
    """Blocks given out and blocks kept.

    Attributes:
        total: bytes of all blocks.
        kept: bytes of those that wait for the next array.
        peak: the most that was given out at once.
        limit: bytes that may be kept at most.
        hits: how many arrays were made of a kept block.
        misses: how many needed fresh pages.
    """

    def __init__(self) -> None:
        self.total = self.kept = self.peak = self.hits = self.misses = 0
        self.limit = sys.maxsize
        self.clock = itertools.count()
        self._kept: dict[int, deque[Block]] = {}  # by size, the newest on the right
        self._kin: dict[int, deque[Block]] = {}  # the same by the sizes that were asked for

    def array(self, shape: int | Sequence[int], dtype: np.dtype[Any], nbytes: int) -> tuple[np.ndarray, bool]:
        """An array of a large size, and whether its memory is fresh, that is, zeros."""
        kin = self._kin.get(nbytes)
        if kin is None:
            if len(self._kin) > 4096:  # sizes that never come again
                self._kin.clear()
            kin = self._kin[nbytes] = self._kept.setdefault(stepped(nbytes), deque())
        try:
            block = kin.pop()
        except IndexError:
            block, fresh = self._fresh(stepped(nbytes)), True
        else:
            fresh = False
            self.kept -= block.nbytes
            self.hits += 1
        in_use = self.total - self.kept
        if in_use > self.peak:
            self.peak = in_use
        made: np.ndarray = np.ndarray(shape, dtype, block)
        block.lease = weakref.ref(made, block.back)
        return made, fresh

    def _fresh(self, size: int) -> Block:
        in_use = self.total - self.kept + size
        allowed = max(int(SLACK * max(self.peak, in_use)), in_use + ALWAYS)
        if self.total + size > allowed:
            self.trim(self.total + size - allowed)
        try:
            block = Block(-1, size, **_ANONYMOUS)
        except OSError:
            self.trim(self.kept)
            try:
                block = Block(-1, size, **_ANONYMOUS)
            except OSError as error:
                raise MemoryError(f"no memory for an array of {size} bytes") from error
        if size >= HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a system that has none
                block.madvise(mmap.MADV_HUGEPAGE)
        block.nbytes, block.pool, block.kin = size, self, self._kept[size]
        self.total += size
        self.misses += 1
        return block

    def trim(self, nbytes: int) -> None:
        """Give kept blocks back to the system, those of longest ago first: `nbytes`, and what is above the limit."""
        down_to = min(self.kept - nbytes, self.limit)
        while self.kept > down_to:
            oldest, when = None, sys.maxsize
            for kin in list(self._kept.values()):
                with contextlib.suppress(IndexError):  # another thread may have emptied it
                    if kin[0].since < when:
                        oldest, when = kin, kin[0].since
            if oldest is None:
                return
            with contextlib.suppress(IndexError):
                size = oldest.popleft().nbytes
                self.kept -= size
                self.total -= size

    def set_limit(self, limit: int) -> None:
        """Keep at most so many bytes, from now on."""
        self.limit = limit
        self.trim(0)

    def release(self) -> None:
        """Give everything that is kept back to the system, and start the peak anew."""
        self.trim(self.kept)
        self.peak = self.total - self.kept


pool = Pool()


def empty(shape: int | Sequence[int], dtype: Any) -> np.ndarray:
    """An array of that shape, C-contiguous, its contents undefined."""
    if not isinstance(dtype, np.dtype):
        dtype = np.dtype(dtype)
    nbytes = (shape if isinstance(shape, int) else math.prod(shape)) * dtype.itemsize
    return np.empty(shape, dtype) if nbytes < SMALLEST else pool.array(shape, dtype, nbytes)[0]


def zeros(shape: int | Sequence[int], dtype: Any) -> np.ndarray:
    """An array of zeros of that shape, C-contiguous."""
    if not isinstance(dtype, np.dtype):
        dtype = np.dtype(dtype)
    nbytes = (shape if isinstance(shape, int) else math.prod(shape)) * dtype.itemsize
    if nbytes < SMALLEST:
        return np.zeros(shape, dtype)
    made, fresh = pool.array(shape, dtype, nbytes)
    if not fresh:
        fill(made, 0)
    return made


def copy(x: np.ndarray) -> np.ndarray:
    """x in memory of its own, C-contiguous."""
    if x.nbytes < SMALLEST:
        return x.copy()
    out = empty(x.shape, x.dtype)
    if x.nbytes < PARALLEL and x.flags.c_contiguous:
        np.copyto(out, x)
    else:
        assign(out, x)
    return out


def cast(x: np.ndarray, dtype: Any) -> np.ndarray:
    """The numbers of x in another dtype, in the order that x has."""
    if x.size * np.dtype(dtype).itemsize < SMALLEST or not x.flags.c_contiguous:
        return x.astype(dtype)
    out = empty(x.shape, dtype)
    np.copyto(out, x, casting="unsafe")
    return out


def fill(out: np.ndarray, value: Any) -> None:
    """Write one number into all elements of an array that `empty` made."""
    if out.nbytes < PARALLEL:
        out.fill(value)
    elif out.dtype.itemsize in (4, 8):  # as whole numbers of that width: one kernel for all dtypes
        word = np.uint32 if out.dtype.itemsize == 4 else np.uint64
        launch(fill_words, out.reshape(-1).view(word), np.asarray(value, out.dtype).reshape(1).view(word))
    else:
        out.fill(value)


@kernel(parallel=True)
def fill_words(workers, out, value):
    """out = value[0]"""
    word = value[0]
    for i in prange(out.size):
        out[i] = word
