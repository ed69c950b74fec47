"""The memory of a GPU: CuPy's pool, in which freed blocks wait for the next tensors."""

from __future__ import annotations

import importlib
from typing import Any

from .. import kernels
from ..kernels.cuda import probe


def _xp() -> Any:
    return kernels.column("cuda").xp


def _pool() -> Any:
    """CuPy's pool; None while no GPU was used, and nothing can have been allocated."""
    used = any(name.startswith("cuda") for name in kernels.loaded())
    return _xp().get_default_memory_pool() if used else None


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors on the current GPU use."""
    pool = _pool()
    return pool.used_bytes() if pool else 0


def memory_reserved(device: Any = None) -> int:
    """Bytes taken from the current GPU: what tensors use, and what waits for the next ones."""
    pool = _pool()
    return pool.total_bytes() if pool else 0


memory_cached = memory_reserved


def empty_cache() -> None:
    """Give back to the GPU what waits for the next tensors."""
    pool = _pool()
    if pool:
        pool.free_all_blocks()


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """The free and all bytes of the current GPU, whoever uses them.

    Raises:
        RuntimeError: if there is no GPU.
    """
    free, total = _xp().cuda.runtime.memGetInfo()
    return free, total


class _Peak:
    """The most that was used, watched from when it is first asked for: watching costs a microsecond an allocation."""

    used = reserved = 0
    hook: Any = None

    def look(self) -> None:
        pool = _pool()
        if pool:
            self.used = max(self.used, pool.used_bytes())
            self.reserved = max(self.reserved, pool.total_bytes())

    def watch(self) -> None:
        if self.hook is None and _pool() is not None and not probe.simulated():
            cuda = importlib.import_module("cupy.cuda")
            peak = self

            class Hook(cuda.MemoryHook):  # type: ignore[name-defined]
                name = "tinycnn"

                def malloc_postprocess(self, **options: Any) -> None:
                    peak.look()

            self.hook = Hook()
            self.hook.__enter__()
        self.look()


_peak = _Peak()


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that tensors used since this, or `reset_peak_memory_stats`, was first called."""
    _peak.watch()
    return _peak.used


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that were taken from the GPU since this, or `reset_peak_memory_stats`, was first called."""
    _peak.watch()
    return _peak.reserved


def reset_peak_memory_stats(device: Any = None) -> None:
    """Watch the peaks from now on."""
    _peak.used = _peak.reserved = 0
    _peak.watch()
