"""Compiling kernels: the options, the cache on disk, and a word to the user while it takes long.

The cache is Numba's own. Its key watches only the file in which a kernel stands; ours also holds a hash of all files
in this folder, so that an edit of a helper in another file is seen. It may also fail: a kernel that cannot be kept, or
whose file is damaged, is compiled.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
from numba.core import event, types
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys

# Sums may be reordered and products fused, once at compile time: the same bits in every run. NaN and inf keep their
# meaning, so 'nnan' and 'ninf' are not among these.
FAST = {"reassoc", "contract", "nsz", "arcp"}
# Only Python calls kernels, so Numba's entry for C is not compiled: 3 % of the time.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_OURS = __name__.rpartition(".")[0]


def _sources_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


_version = _sources_hash()
_kernels: list[Any] = []


class _Cache(FunctionCache):
    """Numba's cache with the version of all our sources in the key."""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (*super()._index_key(sig, codegen), _version)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Numba's, without filling its tables of all functions that it can compile.

        A kernel from the disk is machine code and needs Numba's runtime only. The tables cost half a second, and load
        SciPy where it is installed; Numba fills them as soon as a function must be compiled.
        """
        rtsys.initialize(target_context)
        try:
            return self._load_overload(sig, target_context)
        except Exception:  # a file cut short raises whatever its pickle stumbles over
            with contextlib.suppress(OSError):
                self.flush()  # the list of files that it is in is written anew
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Numba's, if it can be done: a full disk does not end a training."""
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


def kernel(parallel: bool = False, fast: bool = True) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function when it is first called, for each dtype, and keep the result on disk.

    Args:
        parallel: `prange` runs in threads; such a kernel is called through `threads.launch`.
        fast: sums may be reordered when compiling.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        compiled = numba.njit(parallel=parallel, fastmath=FAST if fast else False, **OPTIONS)(function)
        with contextlib.suppress(RuntimeError):  # no folder that can be written to: compiled by every process
            compiled._cache = _Cache(function)
        _kernels.append(compiled)
        return compiled

    return decorate


# A part of a kernel, compiled into it.
helper = numba.njit(fastmath=FAST, **OPTIONS)


class _Announcer(event.Listener):
    """Says on stderr what is being compiled once it has taken a second."""

    def __init__(self) -> None:
        self._depth = 0
        self._timer: threading.Timer | None = None
        self._began = 0.0
        self._said = False

    def _mine(self, data: dict[str, Any]) -> str | None:
        function = getattr(data.get("dispatcher"), "py_func", None)
        module = getattr(function, "__module__", "") or ""
        return function.__name__ if function is not None and module.startswith(_OURS) else None

    def on_start(self, e: Any) -> None:
        name = self._mine(e.data)
        if name is None:
            return
        self._depth += 1
        if self._depth == 1:
            self._began, self._said = time.perf_counter(), False
            args = getattr(e.data.get("args"), "args", e.data.get("args")) or ()
            kinds = sorted({str(a.dtype) for a in args if isinstance(a, types.Array)})
            self._timer = threading.Timer(1.0, self._say, (name, ", ".join(kinds)))
            self._timer.daemon = True
            self._timer.start()

    def on_end(self, e: Any) -> None:
        if self._mine(e.data) is None:
            return
        self._depth -= 1
        if self._depth == 0 and self._timer is not None:
            self._timer.cancel()
            if self._said:
                sys.stderr.write(f" {time.perf_counter() - self._began:.0f} s\n")

    def _say(self, name: str, kinds: str) -> None:
        self._said = True
        kept = "done once, then kept on disk" if cache_folders() else "set NUMBA_CACHE_DIR to a folder to keep it in"
        sys.stderr.write(f"tinycnn: compiling {name} ({kinds}); {kept} ...")
        sys.stderr.flush()


_announcer = _Announcer()
event.register("numba:compile", _announcer)


@contextlib.contextmanager
def unannounced() -> Iterator[None]:
    """Inside the block nothing is said about compiling."""
    event.unregister("numba:compile", _announcer)
    try:
        yield
    finally:
        event.register("numba:compile", _announcer)


def counts() -> tuple[int, int]:
    """How many kernels this process has (compiled, loaded from the disk), one for each dtype."""
    stats = [k.stats for k in _kernels]
    return sum(sum(s.cache_misses.values()) for s in stats), sum(sum(s.cache_hits.values()) for s in stats)


def cache_folders() -> list[str]:
    """Where the compiled kernels of this process lie on disk."""
    return sorted({k.stats.cache_path for k in _kernels} - {None})
