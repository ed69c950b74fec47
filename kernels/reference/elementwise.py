"""Kernels on each element. Shapes broadcast, strides are free; one of two operands may be a number.

They compute in silence: 1/0 is inf and 0/0 is NaN, as everywhere in the field, without a warning.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import silent, silent_ufunc


def _unary(name: str, formula: str, function: Callable[[Any], Any]) -> Callable[[Any], np.ndarray]:
    return _named(silent_ufunc(function, 1), function, name, formula)


def _binary(name: str, formula: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], np.ndarray]:
    return _named(silent_ufunc(function, 2), function, name, formula)


def _named(kernel: Any, function: Any, name: str, formula: str) -> Any:
    kernel.function = function
    kernel.__name__ = kernel.__qualname__ = name
    kernel.__module__, kernel.__doc__ = __name__, formula
    return kernel


add = _binary("add", "a + b", np.add)
sub = _binary("sub", "a - b", np.subtract)
mul = _binary("mul", "a * b", np.multiply)
div = _binary("div", "a / b", np.divide)
pow = _binary("pow", "a ** b", np.power)
maximum = _binary("maximum", "The larger of a and b; NaN if one of them is", np.maximum)
minimum = _binary("minimum", "The smaller of a and b; NaN if one of them is", np.minimum)

fmax = _binary("fmax", "The larger of a and b; a number wins over NaN", np.fmax)
fmin = _binary("fmin", "The smaller of a and b; a number wins over NaN", np.fmin)
atan2 = _binary("atan2", "The angle of the point (b, a)", np.arctan2)
hypot = _binary("hypot", "sqrt(a*a + b*b)", np.hypot)
copysign = _binary("copysign", "|a| with the sign of b", np.copysign)
floor_divide = _binary("floor_divide", "floor(a / b)", np.floor_divide)
remainder = _binary("remainder", "a - b * floor(a / b): the sign of b", np.remainder)
fmod = _binary("fmod", "a - b * trunc(a / b): the sign of a", np.fmod)
logaddexp = _binary("logaddexp", "ln(e**a + e**b)", np.logaddexp)
logaddexp2 = _binary("logaddexp2", "log2(2**a + 2**b)", np.logaddexp2)

logical_and = _binary("logical_and", "Neither is 0", np.logical_and)
logical_or = _binary("logical_or", "One is not 0", np.logical_or)
logical_xor = _binary("logical_xor", "Exactly one is not 0", np.logical_xor)
bitwise_and = _binary("bitwise_and", "a & b", np.bitwise_and)
bitwise_or = _binary("bitwise_or", "a | b", np.bitwise_or)
bitwise_xor = _binary("bitwise_xor", "a ^ b", np.bitwise_xor)
bitwise_left_shift = _binary("bitwise_left_shift", "a << b", np.left_shift)
bitwise_right_shift = _binary("bitwise_right_shift", "a >> b", np.right_shift)

eq = _binary("eq", "a == b, as bools", np.equal)
ne = _binary("ne", "a != b, as bools", np.not_equal)
lt = _binary("lt", "a < b, as bools", np.less)
le = _binary("le", "a <= b, as bools", np.less_equal)
gt = _binary("gt", "a > b, as bools", np.greater)
ge = _binary("ge", "a >= b, as bools", np.greater_equal)

neg = _unary("neg", "-x", np.negative)
abs = _unary("abs", "|x|", np.abs)
sign = _unary(
    "sign",
    "-1, 0 or 1; 0 for NaN, as in PyTorch",
    lambda x: x.copy() if x.dtype.kind == "b" else np.where(np.isnan(x), x.dtype.type(0), np.sign(x)),
)
square = _unary("square", "x * x", np.square)
reciprocal = _unary("reciprocal", "1 / x", lambda x: 1 / x)
exp = _unary("exp", "e ** x", np.exp)
log = _unary("log", "ln x", np.log)
sqrt = _unary("sqrt", "The square root of x", np.sqrt)
sin = _unary("sin", "sin x, in radians", np.sin)
cos = _unary("cos", "cos x, in radians", np.cos)
tanh = _unary("tanh", "The hyperbolic tangent of x", np.tanh)
rsqrt = _unary("rsqrt", "1 / sqrt(x)", lambda x: 1 / np.sqrt(x))
exp2 = _unary("exp2", "2 ** x", np.exp2)
expm1 = _unary("expm1", "e ** x - 1", np.expm1)
log2 = _unary("log2", "The logarithm to base 2", np.log2)
log10 = _unary("log10", "The logarithm to base 10", np.log10)
log1p = _unary("log1p", "ln(1 + x)", np.log1p)
tan = _unary("tan", "tan x, in radians", np.tan)
asin = _unary("asin", "The angle in [-pi/2, pi/2] whose sine is x", np.arcsin)
acos = _unary("acos", "The angle in [0, pi] whose cosine is x", np.arccos)
atan = _unary("atan", "The angle in (-pi/2, pi/2) whose tangent is x", np.arctan)
sinh = _unary("sinh", "The hyperbolic sine of x", np.sinh)
cosh = _unary("cosh", "The hyperbolic cosine of x", np.cosh)
asinh = _unary("asinh", "The inverse of sinh", np.arcsinh)
acosh = _unary("acosh", "The inverse of cosh", np.arccosh)
atanh = _unary("atanh", "The inverse of tanh", np.arctanh)
floor = _unary("floor", "The largest whole number not above x", np.floor)
ceil = _unary("ceil", "The smallest whole number not below x", np.ceil)
trunc = _unary("trunc", "x without what follows the point", np.trunc)
round = _unary("round", "The nearest whole number; halves go to the even one", np.rint)
isnan = _unary("isnan", "Whether x is NaN", np.isnan)
isinf = _unary("isinf", "Whether x is infinite", np.isinf)
isfinite = _unary("isfinite", "Whether x is a number and not infinite", np.isfinite)
signbit = _unary("signbit", "Whether the sign bit is set, also of -0.0", np.signbit)
logical_not = _unary("logical_not", "Whether x is 0", np.logical_not)
bitwise_not = _unary("bitwise_not", "~x", np.bitwise_not)


def _each(function: Callable[[float], float]) -> Callable[[Any], Any]:
    every = np.vectorize(function, otypes=[np.float64])
    return lambda x: every(x).astype(x.dtype)


erf = _unary("erf", "2 / sqrt(pi) times the integral of e**(-t*t) from 0 to x", _each(math.erf))
erfc = _unary("erfc", "1 - erf(x), without cancellation", _each(math.erfc))
sigmoid = _unary("sigmoid", "1 / (1 + e ** -x)", lambda x: 1 / (1 + np.exp(-x)))
relu = _unary("relu", "max(x, 0); NaN stays NaN", lambda x: np.maximum(x, 0))
relu_of_sum = _binary("relu_of_sum", "max(a + b, 0), of arrays of one shape", lambda a, b: np.maximum(a + b, 0))
silu = _unary("silu", "x * sigmoid(x)", lambda x: x / (1 + np.exp(-x)))
gelu = _unary("gelu", "x * (1 + erf(x / sqrt(2))) / 2", lambda x: x * (1 + erf(x * math.sqrt(0.5))) * 0.5)
hardswish = _unary(
    "hardswish",
    "0 up to -3, x from 3 on, x * (x + 3) / 6 in between",
    lambda x: np.where(x <= -3, x.dtype.type(0), np.where(x < 3, x * (x + 3) / 6, x)),
)


def relu_grad(gy: np.ndarray, y: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """0 where y <= 0, else gy, plus `other` if there is one: it passes where y is NaN."""
    return np.where(y <= 0, 0, gy if other is None else gy + other)


@silent
def sigmoid_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gy * y * (1 - y)"""
    return gy * (y * (1 - y))


@silent
def tanh_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gy * (1 - y * y)"""
    return gy * (1 - y * y)


@silent
def silu_grad(gy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """gy * s * (1 + x * (1 - s)) with s = sigmoid(x)"""
    s = 1 / (1 + np.exp(-x))
    return gy * (s * (1 + x * (1 - s)))


@silent
def gelu_grad(gy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """gy * (Phi(x) + x * phi(x)), with the normal distribution's Phi and its density phi"""
    below = (1 + erf(x * math.sqrt(0.5))) * 0.5
    return gy * (below + x * (np.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))))


@silent
def hardswish_grad(gy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """0 up to -3, gy from 3 on, gy * (2 * x + 3) / 6 in between"""
    return np.where(x <= -3, gy.dtype.type(0), np.where(x < 3, gy * (x / 3 + 0.5), gy))


@silent
def leaky_relu(x: np.ndarray, slope: float) -> np.ndarray:
    """x where x > 0, else slope * x"""
    return np.where(x > 0, x, x * slope)


@silent
def leaky_relu_grad(gy: np.ndarray, x: np.ndarray, slope: float) -> np.ndarray:
    """gy where x > 0, else slope * gy"""
    return np.where(x > 0, gy, gy * slope)


def clamp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """x limited to [low, high], high where low > high; NaN stays NaN"""
    return np.clip(x, low, high)


def clamp_grad(gy: np.ndarray, x: np.ndarray, low: float, high: float) -> np.ndarray:
    """gy where low <= x <= high, else 0"""
    return np.where((x >= low) & (x <= high), gy, gy.dtype.type(0))


@silent
def elu(x: np.ndarray, low: float, high: float, rate: float) -> np.ndarray:
    """high * x where x > 0, else low * (e ** (rate * x) - 1)"""
    return np.where(x > 0, x * high, np.expm1(x * rate) * low)


@silent
def elu_grad(gy: np.ndarray, x: np.ndarray, low: float, high: float, rate: float) -> np.ndarray:
    """high * gy where x > 0, else low * rate * e ** (rate * x) * gy"""
    return np.where(x > 0, gy * high, gy * (np.exp(x * rate) * (low * rate)))


@silent
def softplus(x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    """ln(1 + e ** (beta * x)) / beta, and x itself where beta * x > threshold"""
    return np.where(x * beta > threshold, x, np.logaddexp(x * beta, x.dtype.type(0)) / beta)


@silent
def softplus_grad(gy: np.ndarray, x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    """gy / (1 + e ** (-beta * x)), and gy itself where beta * x > threshold"""
    return np.where(x * beta > threshold, gy, gy / (1 + np.exp(x * -beta)))


def where(cond: np.ndarray, a: Any, b: Any) -> np.ndarray:
    """a where cond holds, else b."""
    return np.where(cond, a, b)
