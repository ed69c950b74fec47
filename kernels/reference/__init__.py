"""Every kernel in plain NumPy, written to be read. The oracle of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# Decorates a kernel that may divide by zero or overflow: inf and NaN are results here, not worth a warning.
silent = np.errstate(all="ignore")

try:  # what np.errstate does, at half its cost, which counts for tiny arrays
    from numpy._core.umath import _extobj_contextvar, _make_extobj
except ImportError:
    _extobj_contextvar = None


def silent_ufunc(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """`function`, silent, and with an array as result even for 0-d arguments."""
    if _extobj_contextvar is None:
        return silent(lambda *args: np.asarray(function(*args)))
    silence, restore, ignore = _extobj_contextvar.set, _extobj_contextvar.reset, _make_extobj(all="ignore")

    def kernel(*args: Any) -> np.ndarray:
        token = silence(ignore)
        try:
            result = function(*args)
        finally:
            restore(token)
        return np.asarray(result) if isinstance(result, np.generic) else result

    return kernel
