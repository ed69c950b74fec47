"""Kernels on each element. Shapes broadcast, strides are free; one of two operands may be a number.

They compute in silence: 1/0 is inf and 0/0 is NaN, as everywhere in the field, without a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import silent_ufunc


def _unary(name: str, formula: str, function: Callable[[Any], Any]) -> Callable[[Any], np.ndarray]:
    kernel = silent_ufunc(function)
    kernel.__name__ = kernel.__qualname__ = name
    kernel.__doc__ = formula
    return kernel


def _binary(name: str, formula: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], np.ndarray]:
    kernel = silent_ufunc(function)
    kernel.__name__ = kernel.__qualname__ = name
    kernel.__doc__ = formula
    return kernel


add = _binary("add", "a + b", np.add)
sub = _binary("sub", "a - b", np.subtract)
mul = _binary("mul", "a * b", np.multiply)
div = _binary("div", "a / b", np.divide)
pow = _binary("pow", "a ** b", np.power)
maximum = _binary("maximum", "The larger of a and b; NaN if one of them is", np.maximum)
minimum = _binary("minimum", "The smaller of a and b; NaN if one of them is", np.minimum)

eq = _binary("eq", "a == b, as bools", np.equal)
ne = _binary("ne", "a != b, as bools", np.not_equal)
lt = _binary("lt", "a < b, as bools", np.less)
le = _binary("le", "a <= b, as bools", np.less_equal)
gt = _binary("gt", "a > b, as bools", np.greater)
ge = _binary("ge", "a >= b, as bools", np.greater_equal)

neg = _unary("neg", "-x", np.negative)
abs = _unary("abs", "|x|", np.abs)
sign = _unary("sign", "-1, 0 or 1; 0 for NaN, as in PyTorch", lambda x: np.where(np.isnan(x), 0, np.sign(x)))
square = _unary("square", "x * x", np.square)
reciprocal = _unary("reciprocal", "1 / x", lambda x: 1 / x)
exp = _unary("exp", "e ** x", np.exp)
log = _unary("log", "ln x", np.log)
sqrt = _unary("sqrt", "The square root of x", np.sqrt)
sin = _unary("sin", "sin x, in radians", np.sin)
cos = _unary("cos", "cos x, in radians", np.cos)
tanh = _unary("tanh", "The hyperbolic tangent of x", np.tanh)
sigmoid = _unary("sigmoid", "1 / (1 + e ** -x)", lambda x: 1 / (1 + np.exp(-x)))
relu = _unary("relu", "max(x, 0); NaN stays NaN", lambda x: np.maximum(x, 0))


def relu_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gy where y > 0, else 0."""
    return np.where(y > 0, gy, np.zeros((), gy.dtype))


def where(cond: np.ndarray, a: Any, b: Any) -> np.ndarray:
    """a where cond holds, else b."""
    return np.where(cond, a, b)
