"""Element types, and PyTorch's rules for combining them.

The short names that hide Python's own (``float``, ``int``, ``bool``) are given out by the package, not here.
"""

from __future__ import annotations

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
_PYTHON = {float: float32, int: int64, bool: bool_}
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
    if kind is float:
        return _default
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


def promote_types(a: dtype, b: dtype) -> dtype:
    """The dtype of ``x + y``: the higher of the categories bool < int < float decides, within one the wider type."""
    if a is b:
        return a
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
