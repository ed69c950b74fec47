"""Element types, and PyTorch's rules for combining them.

The short names that hide Python's own (``float``, ``int``, ``bool``) are given out by the package, not here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

BOOL, INT, FLOAT = 0, 1, 2  # the categories of promotion, lowest first
_KINDS = {"b": BOOL, "i": INT, "u": INT, "f": FLOAT}


class dtype:
    """An element type, such as ``tinycnn.float32``.

    Attributes:
        name: ``"float32"``.
        numpy: the NumPy dtype.
        itemsize: bytes per element.
        category: BOOL, INT or FLOAT.
        is_floating_point: True for float16, float32 and float64.
        is_signed: False for bool and uint8.
    """

    __slots__ = ("name", "numpy", "itemsize", "category", "is_floating_point", "is_signed")

    is_complex = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.numpy = np.dtype(name)
        self.itemsize = self.numpy.itemsize
        self.category = _KINDS[self.numpy.kind]
        self.is_floating_point = self.category == FLOAT
        self.is_signed = self.numpy.kind in "if"

    def __repr__(self) -> str:
        return f"tinycnn.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _by_name, (self.name,)


float16, float32, float64 = dtype("float16"), dtype("float32"), dtype("float64")
uint8, int8, int16, int32, int64 = dtype("uint8"), dtype("int8"), dtype("int16"), dtype("int32"), dtype("int64")
bool_ = dtype("bool")

FROM_NUMPY: dict[Any, dtype] = {
    t.numpy: t for t in (float16, float32, float64, uint8, int8, int16, int32, int64, bool_)
}
_PYTHON = {float: float64, int: int64, bool: bool_}
_default = float32


def _by_name(name: str) -> dtype:
    return FROM_NUMPY[np.dtype(name)]


def get_default_dtype() -> dtype:
    """The dtype of new floating-point tensors; float32 unless `set_default_dtype` changed it."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Make `d` the dtype of new floating-point tensors.

    Raises:
        TypeError: if `d` is not float32, float64 or float16.
    """
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError(f"set_default_dtype: expected a floating-point dtype, got {d!r}")
    _default = d


def as_dtype(kind: Any) -> dtype:
    """The dtype meant by an argument ``dtype=``: one of ours, a Python type, or what NumPy calls it.

    Raises:
        TypeError: if there is no such dtype here.
    """
    if isinstance(kind, dtype):
        return kind
    if isinstance(kind, type) and kind in _PYTHON:
        return _PYTHON[kind]
    try:
        return FROM_NUMPY[np.dtype(kind).newbyteorder("=")]
    except (TypeError, KeyError):
        known = ", ".join(t.name for t in FROM_NUMPY.values())
        raise TypeError(f"dtype {kind!r} is not supported; the dtypes are {known}") from None


def scalar_dtype(value: Any) -> dtype:
    """The dtype that a Python number stands for in promotion.

    Raises:
        TypeError: if `value` is not a bool, int or float.
    """
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (int, np.integer)):
        return int64
    if isinstance(value, (float, np.floating)):
        return _default
    raise TypeError(f"expected a Tensor or a number, got {type(value).__name__}")


def number(name: str, value: Any, kind: np.dtype) -> Any:
    """A Python number as a NumPy scalar of dtype `kind`: into integers without what follows the point, and small
    negative numbers into uint8 count from 256.

    Raises:
        TypeError: if it is not a number.
        RuntimeError: if it is too large.
    """
    if not isinstance(value, (int, float, np.number, np.bool_)):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        if not math.isfinite(value) or not (limits.min or -limits.max) <= int(value) <= limits.max:
            raise RuntimeError(f"{name}: {value!r} does not fit into {kind}, which holds {limits.min} to {limits.max}")
        return np.int64(int(value)).astype(kind)
    if kind == np.float16 and 65504 < abs(float(value)) < math.inf:
        raise RuntimeError(f"{name}: {value!r} does not fit into float16, which ends at 65504")
    return np.asarray(float(value) if kind.kind == "f" else bool(value)).astype(kind)[()]


def real(name: str, what: str, value: Any) -> float:
    """An argument that must be a number, as a float.

    Raises:
        TypeError: if it is none.
    """
    if not hasattr(value, "__float__"):
        raise TypeError(f"{name}: {what} must be a number, got {type(value).__name__} {value!r}")
    return float(value)


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether PyTorch lets an operation write `from_` into `to`: the category must not fall (float to int to bool)."""
    for d in (from_, to):
        if not isinstance(d, dtype):
            raise TypeError(f"can_cast: expected a dtype, got {type(d).__name__}")
    return from_.category <= to.category


def promote_types(a: dtype, b: dtype) -> dtype:
    """The dtype of ``x + y``: the higher of the categories bool < int < float decides, within one the wider type.

    Raises:
        TypeError: if one is not a dtype.
    """
    if a is b and isinstance(a, dtype):
        return a
    for d in (a, b):
        if not isinstance(d, dtype):
            raise TypeError(f"promote_types: expected a dtype, got {type(d).__name__}")
    if a.category != b.category:
        return a if a.category > b.category else b
    return FROM_NUMPY[np.promote_types(a.numpy, b.numpy)]


def result_type(dimensioned: dtype | None, zero_dim: dtype | None, scalar: dtype | None) -> dtype:
    """PyTorch's rule: a tensor without dimensions, and then a number, count only if their category is higher.

    Args:
        dimensioned: the promoted dtype of the operands with at least one dimension, or None.
        zero_dim: the same of the 0-d tensors.
        scalar: the same of the Python numbers.
    """
    result = dimensioned
    for other in (zero_dim, scalar):
        if other is not None and (result is None or other.category > result.category):
            result = other
    assert result is not None
    return result


class finfo:
    """The limits of a floating-point dtype (the default one if none is given).

    Attributes:
        bits, eps, max, min, tiny, smallest_normal, resolution, dtype: as in PyTorch; the numbers are Python floats.

    Raises:
        TypeError: if the dtype is not floating-point.
    """

    def __init__(self, type: dtype | None = None) -> None:
        kind = _default if type is None else as_dtype(type)
        if not kind.is_floating_point:
            raise TypeError(f"finfo: expected a floating-point dtype, got {kind}; iinfo is for integers")
        limits = np.finfo(kind.numpy)
        self.bits, self.dtype = limits.bits, kind.name
        self.eps, self.max, self.min = float(limits.eps), float(limits.max), float(limits.min)
        self.tiny = self.smallest_normal = float(limits.tiny)
        self.resolution = float(limits.resolution)

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{n}={getattr(self, n):g}' for n in names)}, dtype={self.dtype})"


class iinfo:
    """The limits of an integer dtype.

    Attributes:
        bits, max, min, dtype: as in PyTorch.

    Raises:
        TypeError: if the dtype is not an integer.
    """

    def __init__(self, type: dtype) -> None:
        kind = as_dtype(type)
        if kind.category != INT:
            raise TypeError(f"iinfo: expected an integer dtype, got {kind}; finfo is for floats")
        limits = np.iinfo(kind.numpy)
        self.bits, self.max, self.min, self.dtype = limits.bits, int(limits.max), int(limits.min), kind.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
