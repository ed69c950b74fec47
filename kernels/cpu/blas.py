"""The thread count of the BLAS inside NumPy, set to one around our own calls and restored after."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_NAMES = (
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),
    ("scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"),
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),
    ("openblas_get_num_threads", "openblas_set_num_threads"),
)


@functools.cache
def _functions() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """OpenBLAS's (get, set) functions, or None if NumPy carries another BLAS or none can be found."""
    home = Path(np.__file__).parent
    for folder in (home.parent / "numpy.libs", home / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")) if folder.is_dir() else ():
            try:
                library = ctypes.CDLL(str(path))  # loaded already: this only finds it
            except OSError:
                continue
            for get, set_ in _NAMES:
                if hasattr(library, get) and hasattr(library, set_):
                    setter = getattr(library, set_)
                    setter.restype = None
                    return getattr(library, get), setter
    return None


def available() -> bool:
    """Whether BLAS's threads can be controlled."""
    return _functions() is not None


class _OneThread:
    """``with one_thread:`` BLAS computes in the calling thread. Blocks may overlap in several Python threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 1

    def __enter__(self) -> None:
        functions = _functions()
        if functions is not None:
            with self._lock:
                if not self._inside:
                    self._before = functions[0]()
                    functions[1](1)
                self._inside += 1

    def __exit__(self, *exc: Any) -> None:
        functions = _functions()
        if functions is not None:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    functions[1](self._before)


one_thread = _OneThread()
