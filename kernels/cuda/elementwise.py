"""Kernels on each element: arithmetic by CuPy, which broadcasts and takes any strides and dtypes; what would take CuPy
several passes in one kernel of ours, for float32 and float64.

Those kernels, `map1` and `map2`, are one loop each around a formula: a function of one element, or of two.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda

from ..reference import elementwise as reference
from .backend import xp
from .device import abs_of, exp_of, expm1_of, log1p_of, sqrt_of
from .launch import flat, kernel

__all__ = [
    *("abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and", "bitwise_left_shift"),
    *("bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "ceil", "clamp", "clamp_grad", "copysign"),
    *("cos", "cosh", "div"),
    *("elu", "elu_grad", "eq", "erf", "erfc", "exp", "exp2", "expm1", "floor", "floor_divide", "fmax", "fmin", "fmod"),
    *("ge", "gelu", "gelu_grad", "gt", "hardswish", "hardswish_grad", "hypot", "isfinite", "isinf", "isnan", "le"),
    *("leaky_relu", "leaky_relu_grad", "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2", "logical_and"),
    *("logical_not", "logical_or", "logical_xor", "lt", "maximum", "minimum", "mul", "ne", "neg", "pow", "reciprocal"),
    *("relu", "relu_grad", "relu_of_sum", "remainder", "round", "rsqrt", "sigmoid", "sigmoid_grad", "sign", "signbit"),
    *("silu", "silu_grad", "sin", "sinh", "softplus", "softplus_grad", "sqrt", "square", "sub", "tan", "tanh"),
    *("tanh_grad", "trunc", "where"),
]


# -- CuPy's own -------------------------------------------------------------------------------------------------------


def _of_cupy(name: str) -> Any:
    """CuPy's function of the name that NumPy's has in `reference`."""
    twin = getattr(reference, name)
    function = getattr(xp, twin.function.__name__)

    def unary(x: Any) -> Any:
        return function(x)

    def binary(a: Any, b: Any) -> Any:
        return function(a, b)

    return _named(unary if len(inspect.signature(twin).parameters) == 1 else binary, twin)


def _named(function: Any, twin: Any) -> Any:
    function.__name__ = function.__qualname__ = twin.__name__
    function.__doc__, function.__module__ = twin.__doc__, __name__
    return function


add, sub, mul, div, pow = (_of_cupy(name) for name in ("add", "sub", "mul", "div", "pow"))
maximum, minimum, fmax, fmin = (_of_cupy(name) for name in ("maximum", "minimum", "fmax", "fmin"))
atan2, hypot, copysign = _of_cupy("atan2"), _of_cupy("hypot"), _of_cupy("copysign")
floor_divide, remainder, fmod = _of_cupy("floor_divide"), _of_cupy("remainder"), _of_cupy("fmod")
logaddexp, logaddexp2 = _of_cupy("logaddexp"), _of_cupy("logaddexp2")
logical_and, logical_or, logical_xor = _of_cupy("logical_and"), _of_cupy("logical_or"), _of_cupy("logical_xor")
bitwise_and, bitwise_or, bitwise_xor = _of_cupy("bitwise_and"), _of_cupy("bitwise_or"), _of_cupy("bitwise_xor")
bitwise_left_shift, bitwise_right_shift = _of_cupy("bitwise_left_shift"), _of_cupy("bitwise_right_shift")
eq, ne, lt, le, gt, ge = (_of_cupy(name) for name in ("eq", "ne", "lt", "le", "gt", "ge"))
neg, abs, square, exp, log, sqrt = (_of_cupy(name) for name in ("neg", "abs", "square", "exp", "log", "sqrt"))
sin, cos, tan, asin, acos, atan = (_of_cupy(name) for name in ("sin", "cos", "tan", "asin", "acos", "atan"))
sinh, cosh, tanh, asinh, acosh = (_of_cupy(name) for name in ("sinh", "cosh", "tanh", "asinh", "acosh"))
atanh, exp2, expm1, log2 = _of_cupy("atanh"), _of_cupy("exp2"), _of_cupy("expm1"), _of_cupy("log2")
log10, log1p, floor, ceil = _of_cupy("log10"), _of_cupy("log1p"), _of_cupy("floor"), _of_cupy("ceil")
trunc, round, signbit = _of_cupy("trunc"), _of_cupy("round"), _of_cupy("signbit")
isnan, isinf, isfinite = _of_cupy("isnan"), _of_cupy("isinf"), _of_cupy("isfinite")
logical_not, bitwise_not = _of_cupy("logical_not"), _of_cupy("bitwise_not")


def where(cond: Any, a: Any, b: Any) -> Any:
    """a where cond holds, else b."""
    return xp.where(cond, a, b)


def sign(x: Any) -> Any:
    """-1, 0 or 1; 0 for NaN, as in PyTorch"""
    if x.dtype.kind == "b":
        return x.copy()
    signs = xp.sign(x)
    return xp.where(xp.isnan(x), x.dtype.type(0), signs) if x.dtype.kind == "f" else signs


# -- formulas in one pass ---------------------------------------------------------------------------------------------


@kernel("T* T* int64 T T T", constants=())
def map1(T, formula):
    """y = formula(x, p, q, r), in any block: n elements are shared out over all threads."""
    each = cuda.jit(device=True)(formula(T))

    def body(x, y, n, p, q, r):
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            y[i] = each(x[i], p, q, r)

    return body


@kernel("T* T* T* int64 T T T", constants=())
def map2(T, formula):
    """y = formula(a, b, p, q, r): as `map1`, of two arrays of one shape."""
    each = cuda.jit(device=True)(formula(T))

    def body(a, b, y, n, p, q, r):
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            y[i] = each(a[i], b[i], p, q, r)

    return body


def _mapped(x: Any, formula: Any, *numbers: float) -> Any:
    x = xp.ascontiguousarray(x)
    y = xp.empty(x.shape, x.dtype)
    if x.size:
        p, q, r = (*numbers, 0.0, 0.0, 0.0)[:3]
        map1.of(x.dtype, formula)(*flat(x.size), x, y, x.size, *map(x.dtype.type, (p, q, r)))
    return y


def _mapped2(a: Any, b: Any, formula: Any, *numbers: float) -> Any:
    a, b = xp.ascontiguousarray(a), xp.ascontiguousarray(b)
    y = xp.empty(a.shape, a.dtype)
    if a.size:
        p, q, r = (*numbers, 0.0, 0.0, 0.0)[:3]
        map2.of(a.dtype, formula)(*flat(a.size), a, b, y, a.size, *map(a.dtype.type, (p, q, r)))
    return y


def formula(function: Callable[..., Any]) -> Any:
    """Note a formula for one kernel of `map1` or `map2`, by how many of its arguments are elements."""
    elements = len(inspect.signature(function(np.float32)).parameters) - 3
    (map1 if elements == 1 else map2).constants += ((function,),)
    return function


def _fits(*arrays: Any) -> bool:
    """Whether our kernels take these: float32 or float64, all alike."""
    first = arrays[0]
    if first.dtype.char not in "fd":
        return False
    for other in arrays[1:]:
        if other.dtype != first.dtype or other.shape != first.shape:
            return False
    return True


def _in_float32(function: Callable[..., Any], x: Any, *rest: Any) -> Any:
    """`function` of float16 numbers, computed in float32; of integers, in float64."""
    wide = np.float32 if x.dtype == np.float16 else np.float64
    args = [v.astype(wide) if isinstance(v, xp.ndarray) else v for v in (x, *rest)]
    return function(*args).astype(x.dtype)


@formula
def _relu(T):
    zero = T(0)

    def each(x, p, q, r):
        return zero if x < zero else x  # NaN stays

    return each


def relu(x: Any) -> Any:
    """max(x, 0); NaN stays NaN"""
    return _mapped(x, _relu) if _fits(x) else xp.maximum(x, x.dtype.type(0))


def relu_of_sum(a: Any, b: Any) -> Any:
    """max(a + b, 0), of arrays of one shape"""
    return relu(add(a, b))


@formula
def _relu_grad(T):
    zero = T(0)

    def each(gy, y, p, q, r):
        return zero if y <= zero else gy

    return each


def relu_grad(gy: Any, y: Any, other: Any = None) -> Any:
    """0 where y <= 0, else gy, plus `other` if there is one: it passes where y is NaN."""
    gy = gy if other is None else add(gy, other)
    return _mapped2(gy, y, _relu_grad) if _fits(gy, y) else xp.where(y <= 0, gy.dtype.type(0), gy)


@formula
def _reciprocal(T):
    one = T(1)

    def each(x, p, q, r):
        return one / x

    return each


def reciprocal(x: Any) -> Any:
    """1 / x"""
    return _mapped(x, _reciprocal) if _fits(x) else _in_float32(reciprocal, x)


@formula
def _rsqrt(T):
    one = T(1)

    def each(x, p, q, r):
        return one / sqrt_of(x)

    return each


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)"""
    return _mapped(x, _rsqrt) if _fits(x) else _in_float32(rsqrt, x)


@formula
def _erf(T):
    def each(x, p, q, r):
        return math.erf(x)

    return each


def erf(x: Any) -> Any:
    """2 / sqrt(pi) times the integral of e**(-t*t) from 0 to x"""
    return _mapped(x, _erf) if _fits(x) else _in_float32(erf, x)


@formula
def _erfc(T):
    def each(x, p, q, r):
        return math.erfc(x)

    return each


def erfc(x: Any) -> Any:
    """1 - erf(x), without cancellation"""
    return _mapped(x, _erfc) if _fits(x) else _in_float32(erfc, x)


@formula
def _sigmoid(T):
    one = T(1)

    def each(x, p, q, r):
        return one / (one + exp_of(-x))

    return each


def sigmoid(x: Any) -> Any:
    """1 / (1 + e ** -x)"""
    return _mapped(x, _sigmoid) if _fits(x) else _in_float32(sigmoid, x)


@formula
def _sigmoid_grad(T):
    one = T(1)

    def each(gy, y, p, q, r):
        return gy * (y * (one - y))

    return each


def sigmoid_grad(gy: Any, y: Any) -> Any:
    """gy * y * (1 - y)"""
    return _mapped2(gy, y, _sigmoid_grad) if _fits(gy, y) else reference.sigmoid_grad(gy, y)


@formula
def _tanh_grad(T):
    one = T(1)

    def each(gy, y, p, q, r):
        return gy * (one - y * y)

    return each


def tanh_grad(gy: Any, y: Any) -> Any:
    """gy * (1 - y * y)"""
    return _mapped2(gy, y, _tanh_grad) if _fits(gy, y) else reference.tanh_grad(gy, y)


@formula
def _silu(T):
    one = T(1)

    def each(x, p, q, r):
        return x / (one + exp_of(-x))

    return each


def silu(x: Any) -> Any:
    """x * sigmoid(x)"""
    return _mapped(x, _silu) if _fits(x) else _in_float32(silu, x)


@formula
def _silu_grad(T):
    one = T(1)

    def each(gy, x, p, q, r):
        s = one / (one + exp_of(-x))
        return gy * (s * (one + x * (one - s)))

    return each


def silu_grad(gy: Any, x: Any) -> Any:
    """gy * s * (1 + x * (1 - s)) with s = sigmoid(x)"""
    return _mapped2(gy, x, _silu_grad) if _fits(gy, x) else _in_float32(silu_grad, gy, x)


@formula
def _gelu(T):
    one, half, root = T(1), T(0.5), T(math.sqrt(0.5))

    def each(x, p, q, r):
        return x * (one + T(math.erf(x * root))) * half

    return each


def gelu(x: Any) -> Any:
    """x * (1 + erf(x / sqrt(2))) / 2"""
    return _mapped(x, _gelu) if _fits(x) else _in_float32(gelu, x)


@formula
def _gelu_grad(T):
    one, half, root, density = T(1), T(0.5), T(math.sqrt(0.5)), T(1 / math.sqrt(2 * math.pi))

    def each(gy, x, p, q, r):
        below = (one + T(math.erf(x * root))) * half
        return gy * (below + x * (exp_of(-x * x * half) * density))

    return each


def gelu_grad(gy: Any, x: Any) -> Any:
    """gy * (Phi(x) + x * phi(x)), with the normal distribution's Phi and its density phi"""
    return _mapped2(gy, x, _gelu_grad) if _fits(gy, x) else _in_float32(gelu_grad, gy, x)


@formula
def _hardswish(T):
    zero, three, sixth = T(0), T(3), T(1 / 6)

    def each(x, p, q, r):
        if x <= -three:
            return zero
        return x * (x + three) * sixth if x < three else x

    return each


def hardswish(x: Any) -> Any:
    """0 up to -3, x from 3 on, x * (x + 3) / 6 in between"""
    return _mapped(x, _hardswish) if _fits(x) else _in_float32(hardswish, x)


@formula
def _hardswish_grad(T):
    zero, half, three, third = T(0), T(0.5), T(3), T(1 / 3)

    def each(gy, x, p, q, r):
        if x <= -three:
            return zero
        return gy * (x * third + half) if x < three else gy

    return each


def hardswish_grad(gy: Any, x: Any) -> Any:
    """0 up to -3, gy from 3 on, gy * (2 * x + 3) / 6 in between"""
    return _mapped2(gy, x, _hardswish_grad) if _fits(gy, x) else _in_float32(hardswish_grad, gy, x)


@formula
def _leaky_relu(T):
    zero = T(0)

    def each(x, slope, q, r):
        return x if x > zero else x * slope

    return each


def leaky_relu(x: Any, slope: float) -> Any:
    """x where x > 0, else slope * x"""
    return _mapped(x, _leaky_relu, slope) if _fits(x) else _in_float32(leaky_relu, x, slope)


@formula
def _leaky_relu_grad(T):
    zero = T(0)

    def each(gy, x, slope, q, r):
        return gy if x > zero else gy * slope

    return each


def leaky_relu_grad(gy: Any, x: Any, slope: float) -> Any:
    """gy where x > 0, else slope * gy"""
    return _mapped2(gy, x, _leaky_relu_grad, slope) if _fits(gy, x) else _in_float32(leaky_relu_grad, gy, x, slope)


@formula
def _clamp(T):
    def each(x, low, high, r):
        above = low if x < low else x  # NaN passes
        return high if above > high else above

    return each


def clamp(x: Any, low: float, high: float) -> Any:
    """x limited to [low, high], high where low > high; NaN stays NaN"""
    return _mapped(x, _clamp, low, high) if _fits(x) else xp.minimum(xp.maximum(x, low), high)


@formula
def _clamp_grad(T):
    zero = T(0)

    def each(gy, x, low, high, r):
        return gy if low <= x <= high else zero

    return each


def clamp_grad(gy: Any, x: Any, low: float, high: float) -> Any:
    """gy where low <= x <= high, else 0"""
    if _fits(gy, x):
        return _mapped2(gy, x, _clamp_grad, low, high)
    return xp.where((x >= low) & (x <= high), gy, gy.dtype.type(0))


@formula
def _elu(T):
    zero = T(0)

    def each(x, low, high, rate):
        return x * high if x > zero else expm1_of(x * rate) * low

    return each


def elu(x: Any, low: float, high: float, rate: float) -> Any:
    """high * x where x > 0, else low * (e ** (rate * x) - 1)"""
    return _mapped(x, _elu, low, high, rate) if _fits(x) else _in_float32(elu, x, low, high, rate)


@formula
def _elu_grad(T):
    zero = T(0)

    def each(gy, x, low, high, rate):
        return gy * high if x > zero else gy * (exp_of(x * rate) * (low * rate))

    return each


def elu_grad(gy: Any, x: Any, low: float, high: float, rate: float) -> Any:
    """high * gy where x > 0, else low * rate * e ** (rate * x) * gy"""
    if not _fits(gy, x):
        return _in_float32(elu_grad, gy, x, low, high, rate)
    return _mapped2(gy, x, _elu_grad, low, high, rate)


@formula
def _softplus(T):
    zero = T(0)

    def each(x, beta, threshold, r):
        t = x * beta
        if t > threshold:
            return x
        return (max(t, zero) + log1p_of(exp_of(-abs_of(t)))) / beta if t == t else t

    return each


def softplus(x: Any, beta: float, threshold: float) -> Any:
    """ln(1 + e ** (beta * x)) / beta, and x itself where beta * x > threshold"""
    return _mapped(x, _softplus, beta, threshold) if _fits(x) else _in_float32(softplus, x, beta, threshold)


@formula
def _softplus_grad(T):
    one = T(1)

    def each(gy, x, beta, threshold, r):
        return gy if x * beta > threshold else gy / (one + exp_of(-x * beta))

    return each


def softplus_grad(gy: Any, x: Any, beta: float, threshold: float) -> Any:
    """gy / (1 + e ** (-beta * x)), and gy itself where beta * x > threshold"""
    if not _fits(gy, x):
        return _in_float32(softplus_grad, gy, x, beta, threshold)
    return _mapped2(gy, x, _softplus_grad, beta, threshold)
