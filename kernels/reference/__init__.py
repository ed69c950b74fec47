"""Every kernel in plain NumPy, written to be read. The oracle of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# Decorates a kernel that may divide by zero or overflow: inf and NaN are results here, not worth a warning.
silent = np.errstate(all="ignore")

# What np.errstate sets, where this NumPy has it: at half the cost, which counts for tiny arrays.
_umath: Any = getattr(getattr(np, "_core", None), "umath", None)
_errors: Any = getattr(_umath, "_extobj_contextvar", None)


def silent_ufunc(function: Callable[..., Any], operands: int) -> Callable[..., np.ndarray]:
    """`function` of one or two operands, silent, and with an array as result even for 0-d arguments."""
    if _errors is None:
        guard, ignore, silence, restore = silent(function), None, _nothing, _nothing
    else:
        guard, ignore = function, _umath._make_extobj(all="ignore")
        silence, restore = _errors.set, _errors.reset

    def unary(x: Any) -> np.ndarray:
        token = silence(ignore)
        try:
            result = guard(x)
        finally:
            restore(token)
        return np.asarray(result) if isinstance(result, np.generic) else result

    def binary(a: Any, b: Any) -> np.ndarray:
        token = silence(ignore)
        try:
            result = guard(a, b)
        finally:
            restore(token)
        return np.asarray(result) if isinstance(result, np.generic) else result

    return unary if operands == 1 else binary


def _nothing(token: Any) -> None:
    return None
