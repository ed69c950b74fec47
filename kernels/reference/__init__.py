"""Every kernel in plain NumPy, written to be read. The oracle of the tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

# What np.errstate sets, where this NumPy has it: at half the cost, which counts for tiny arrays.
_umath: Any = getattr(getattr(np, "_core", None), "umath", None)
_errors: Any = getattr(_umath, "_extobj_contextvar", None)


if _errors is None:

    def silence(token: Any) -> Any:
        """Begin to ignore what dividing by zero or overflowing would warn of; `restore` ends it."""
        return np.seterr(all="ignore")

    def restore(token: Any) -> None:
        np.seterr(**token)

    IGNORE: Any = None
else:
    silence, restore = _errors.set, _errors.reset
    IGNORE = _umath._make_extobj(all="ignore")


def silent(kernel: Any) -> Any:
    """Decorates a kernel that may divide by zero or overflow: inf and NaN are results here, not worth a warning."""

    @wraps(kernel)
    def quiet(*args: Any, **kwargs: Any) -> Any:
        token = silence(IGNORE)
        try:
            return kernel(*args, **kwargs)
        finally:
            restore(token)

    return quiet


def silent_ufunc(function: Callable[..., Any], operands: int) -> Callable[..., np.ndarray]:
    """`function` of one or two operands, silent, and with an array as result even for 0-d arguments."""

    def unary(x: Any) -> np.ndarray:
        token = silence(IGNORE)
        try:
            result = function(x)
        finally:
            restore(token)
        return np.asarray(result) if isinstance(result, np.generic) else result

    def binary(a: Any, b: Any) -> np.ndarray:
        token = silence(IGNORE)
        try:
            result = function(a, b)
        finally:
            restore(token)
        return np.asarray(result) if isinstance(result, np.generic) else result

    return unary if operands == 1 else binary
