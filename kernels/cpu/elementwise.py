"""Kernels on each element: NumPy's for small arrays; large ones are computed in parallel where that is memory's work.

The commonest families (arithmetic, bounds, relu, choice) run as Numba loops in all threads from PARALLEL elements on:
`..._flat`, on 1-D arrays of one dtype. There `prange` goes over the elements, which Numba cuts into a run for each
thread; the number of workers is not needed, and bits cannot depend on it. The rest is NumPy's ufunc, which writes large
results into memory of the pool.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange, uintp

from ..reference import IGNORE, restore, silence
from ..reference import elementwise as reference
from ..reference.elementwise import (
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
)
from . import exponential
from .jit import kernel
from .memory import SMALLEST, empty
from .threads import launch

FEW = 1 << 11  # elements; what NumPy does in several passes, or by a choice, takes longer than a launch from here on
PARALLEL = 1 << 15  # elements; fewer are computed by NumPy in less time than waking the threads takes
LARGE = SMALLEST // 4  # elements from which a result may be large enough for the pool

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clamp",
    "clamp_grad",
    "copysign",
    "cos",
    "cosh",
    "div",
    "elu",
    "elu_grad",
    "eq",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "ge",
    "gelu",
    "gelu_grad",
    "gt",
    "hardswish",
    "hardswish_grad",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "leaky_relu",
    "leaky_relu_grad",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logaddexp2",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "ne",
    "neg",
    "pow",
    "reciprocal",
    "relu",
    "relu_grad",
    "relu_of_sum",
    "remainder",
    "round",
    "rsqrt",
    "sigmoid",
    "sigmoid_grad",
    "sign",
    "signbit",
    "silu",
    "silu_grad",
    "sin",
    "sinh",
    "softplus",
    "softplus_grad",
    "sqrt",
    "square",
    "sub",
    "tan",
    "tanh",
    "tanh_grad",
    "trunc",
    "where",
]


@kernel(parallel=True)
def add_flat(workers, a, b, out):
    """out = a + b; b may be one number"""
    if b.size == 1:
        number = b[0]
        for i in prange(a.size):
            out[i] = a[i] + number
    else:
        for i in prange(a.size):
            out[i] = a[i] + b[i]


@kernel(parallel=True)
def sub_flat(workers, a, b, out):
    """out = a - b"""
    for i in prange(a.size):
        out[i] = a[i] - b[i]


@kernel(parallel=True)
def mul_flat(workers, a, b, out):
    """out = a * b; b may be one number"""
    if b.size == 1:
        number = b[0]
        for i in prange(a.size):
            out[i] = a[i] * number
    else:
        for i in prange(a.size):
            out[i] = a[i] * b[i]


@kernel(parallel=True)
def add_along(workers, a, b, out):
    """out = a (outer, middle, inner) + b (middle,): a value for each column, or for each channel"""
    outer, middle, inner = a.shape
    for worker in prange(workers):
        if inner == 1:
            for o in range(outer * worker // workers, outer * (worker + 1) // workers):
                row, to = a[o].reshape(middle), out[o].reshape(middle)
                for j in range(uintp(middle)):
                    to[j] = row[j] + b[j]
        else:
            for r in range(outer * middle * worker // workers, outer * middle * (worker + 1) // workers):
                run, to, number = a[r // middle, r % middle], out[r // middle, r % middle], b[r % middle]
                for j in range(uintp(inner)):
                    to[j] = run[j] + number


@kernel(parallel=True)
def mul_along(workers, a, b, out):
    """out = a (outer, middle, inner) * b (middle,)"""
    outer, middle, inner = a.shape
    for worker in prange(workers):
        if inner == 1:
            for o in range(outer * worker // workers, outer * (worker + 1) // workers):
                row, to = a[o].reshape(middle), out[o].reshape(middle)
                for j in range(uintp(middle)):
                    to[j] = row[j] * b[j]
        else:
            for r in range(outer * middle * worker // workers, outer * middle * (worker + 1) // workers):
                run, to, number = a[r // middle, r % middle], out[r // middle, r % middle], b[r % middle]
                for j in range(uintp(inner)):
                    to[j] = run[j] * number


@kernel(parallel=True, fast=False)
def div_flat(workers, a, b, out):
    """out = a / b; b may be one number. Divided, not multiplied by 1 / b, which would round twice."""
    if b.size == 1:
        number = b[0]
        for i in prange(a.size):
            out[i] = a[i] / number
    else:
        for i in prange(a.size):
            out[i] = a[i] / b[i]


@kernel(parallel=True)
def maximum_flat(workers, a, b, out):
    """out = the larger of a and b, NaN if one of them is; b may be one number"""
    if b.size == 1:
        number = b[0]
        for i in prange(a.size):
            out[i] = a[i] if a[i] > number or a[i] != a[i] else number
    else:
        for i in prange(a.size):
            out[i] = a[i] if a[i] > b[i] or a[i] != a[i] else b[i]


@kernel(parallel=True)
def minimum_flat(workers, a, b, out):
    """out = the smaller of a and b, NaN if one of them is; b may be one number"""
    if b.size == 1:
        number = b[0]
        for i in prange(a.size):
            out[i] = a[i] if a[i] < number or a[i] != a[i] else number
    else:
        for i in prange(a.size):
            out[i] = a[i] if a[i] < b[i] or a[i] != a[i] else b[i]


@kernel(parallel=True)
def erf_flat(workers, a, out):
    """out = erf(a)"""
    for i in prange(a.size):
        out[i] = exponential.erf(a[i])


@kernel(parallel=True)
def erfc_flat(workers, a, out):
    """out = erfc(a)"""
    for i in prange(a.size):
        out[i] = math.erfc(a[i])


# Below, whole numbers are written as numbers of the arrays' dtype: to Numba, 1 + a float32 is a float64.


@kernel(parallel=True)
def exp_flat(workers, a, out):
    """out = e**a"""
    for i in prange(a.size):
        out[i] = exponential.exp(a[i])


@kernel(parallel=True)
def tanh_flat(workers, a, out):
    """out = tanh(a)"""
    for i in prange(a.size):
        out[i] = exponential.tanh(a[i])


@kernel(parallel=True)
def tanh_grad_flat(workers, gy, y, out):
    """out = gy * (1 - y * y)"""
    one = gy.dtype.type(1)
    for i in prange(gy.size):
        out[i] = gy[i] * (one - y[i] * y[i])


@kernel(parallel=True)
def sigmoid_flat(workers, a, out):
    """out = 1 / (1 + e**-a)"""
    one = a.dtype.type(1)
    for i in prange(a.size):
        out[i] = one / (one + exponential.exp(-a[i]))


@kernel(parallel=True)
def sigmoid_grad_flat(workers, gy, y, out):
    """out = gy * y * (1 - y)"""
    one = gy.dtype.type(1)
    for i in prange(gy.size):
        out[i] = gy[i] * (y[i] * (one - y[i]))


@kernel(parallel=True)
def silu_flat(workers, a, out):
    """out = a * sigmoid(a)"""
    one = a.dtype.type(1)
    for i in prange(a.size):
        out[i] = a[i] / (one + exponential.exp(-a[i]))


@kernel(parallel=True)
def silu_grad_flat(workers, gy, x, out):
    """out = gy * s * (1 + x * (1 - s)) with s = sigmoid(x)"""
    one = gy.dtype.type(1)
    for i in prange(gy.size):
        s = one / (one + exponential.exp(-x[i]))
        out[i] = gy[i] * (s * (one + x[i] * (one - s)))


@kernel(parallel=True)
def gelu_flat(workers, a, out):
    """out = a * (1 + erf(a / sqrt(2))) / 2"""
    half = a.dtype.type(0.5)
    narrow = a.dtype.type(0.7071067811865476)
    one = a.dtype.type(1)
    for i in prange(a.size):
        out[i] = a[i] * (one + exponential.erf(a[i] * narrow)) * half


@kernel(parallel=True)
def gelu_grad_flat(workers, gy, x, out):
    """out = gy * (Phi(x) + x * phi(x))"""
    half = gy.dtype.type(0.5)
    narrow, density = gy.dtype.type(0.7071067811865476), gy.dtype.type(0.3989422804014327)
    one = gy.dtype.type(1)
    for i in prange(gy.size):
        below = (one + exponential.erf(x[i] * narrow)) * half
        out[i] = gy[i] * (below + x[i] * (exponential.exp(x[i] * x[i] * -half) * density))


@kernel(parallel=True)
def hardswish_flat(workers, a, out):
    """out = 0 up to -3, a from 3 on, a * (a + 3) / 6 in between"""
    sixth = a.dtype.type(1 / 6)
    three = a.dtype.type(3)
    for i in prange(a.size):
        inside = a[i] * (a[i] + three) * sixth if a[i] < three else a[i]
        out[i] = 0 if a[i] <= -three else inside


@kernel(parallel=True)
def hardswish_grad_flat(workers, gy, x, out):
    """out = 0 up to -3, gy from 3 on, gy * (2 * x + 3) / 6 in between"""
    third, half = gy.dtype.type(1 / 3), gy.dtype.type(0.5)
    three = gy.dtype.type(3)
    for i in prange(gy.size):
        inside = gy[i] * (x[i] * third + half) if x[i] < three else gy[i]
        out[i] = 0 if x[i] <= -three else inside


@kernel(parallel=True)
def leaky_relu_flat(workers, gy, x, numbers, out):
    """out = gy where x > 0, else numbers[0] * gy: the gradient; the function itself with x for gy"""
    slope = numbers[0]
    for i in prange(x.size):
        out[i] = gy[i] * slope if not x[i] > 0 else gy[i]


@kernel(parallel=True)
def clamp_flat(workers, x, numbers, out):
    """out = x limited to [low, high]; numbers = (low, high)"""
    low, high = numbers[0], numbers[1]
    for i in prange(x.size):
        above = low if x[i] < low else x[i]  # NaN passes
        out[i] = high if above > high else above


@kernel(parallel=True)
def clamp_grad_flat(workers, gy, x, numbers, out):
    """out = gy where low <= x <= high, else 0"""
    low, high = numbers[0], numbers[1]
    for i in prange(x.size):
        out[i] = gy[i] if x[i] >= low and x[i] <= high else 0


@kernel(parallel=True)
def elu_flat(workers, x, numbers, out):
    """out = high * x where x > 0, else low * (e**(rate * x) - 1); numbers = (low, high, rate)"""
    low, high, rate = numbers[0], numbers[1], numbers[2]
    for i in prange(x.size):
        below = exponential.expm1(x[i] * rate) * low
        out[i] = x[i] * high if x[i] > 0 else below


@kernel(parallel=True)
def elu_grad_flat(workers, gy, x, numbers, out):
    """out = high * gy where x > 0, else low * rate * e**(rate * x) * gy"""
    low, high, rate = numbers[0], numbers[1], numbers[2]
    for i in prange(x.size):
        below = exponential.exp(x[i] * rate) * (low * rate)
        out[i] = gy[i] * (high if x[i] > 0 else below)


@kernel(parallel=True)
def softplus_flat(workers, x, numbers, out):
    """out = ln(1 + e**(beta * x)) / beta, and x where beta * x > threshold; numbers = (beta, threshold)"""
    beta, threshold = numbers[0], numbers[1]
    for i in prange(x.size):
        z = x[i] * beta
        bent = exponential.softplus(z) / beta
        out[i] = x[i] if z > threshold else bent


@kernel(parallel=True)
def softplus_grad_flat(workers, gy, x, numbers, out):
    """out = gy / (1 + e**(-beta * x)), and gy where beta * x > threshold"""
    beta, threshold = numbers[0], numbers[1]
    one = gy.dtype.type(1)
    for i in prange(x.size):
        z = x[i] * beta
        bent = gy[i] / (one + exponential.exp(-z))
        out[i] = gy[i] if z > threshold else bent


@kernel(parallel=True)
def relu_flat(workers, a, out):
    """out = max(a, 0); NaN stays NaN"""
    for i in prange(a.size):
        out[i] = a[i] if not a[i] < 0 else 0


@kernel(parallel=True)
def relu_of_sum_flat(workers, a, b, out):
    """out = max(a + b, 0); NaN stays NaN"""
    for i in prange(a.size):
        total = a[i] + b[i]
        out[i] = total if not total < 0 else 0


@kernel(parallel=True)
def relu_grad_flat(workers, gy, y, out):
    """out = gy where not y <= 0, else 0"""
    for i in prange(gy.size):
        out[i] = gy[i] if not y[i] <= 0 else 0


@kernel(parallel=True)
def relu_grad_of_sum_flat(workers, gy, other, y, out):
    """out = gy + other where not y <= 0, else 0"""
    for i in prange(gy.size):
        out[i] = gy[i] + other[i] if not y[i] <= 0 else 0


@kernel(parallel=True)
def where_flat(workers, cond, a, b, out):
    """out = a where cond holds, else b; one of a and b may be one number"""
    if a.size == 1:
        number = a[0]
        for i in prange(cond.size):
            out[i] = number if cond[i] else b[i]
    elif b.size == 1:
        number = b[0]
        for i in prange(cond.size):
            out[i] = a[i] if cond[i] else number
    else:
        for i in prange(cond.size):
            out[i] = a[i] if cond[i] else b[i]


def in_parallel(*arrays: Any, least: int = PARALLEL) -> bool:
    """Whether the arrays are large, of one shape and floating dtype, and as a kernel takes them."""
    first = arrays[0]
    if first.size < least or first.dtype.char not in "fd":
        return False
    shape, dtype = first.shape, first.dtype
    for a in arrays:
        if not (isinstance(a, np.ndarray) and a.shape == shape and a.dtype == dtype and a.flags.carray):
            return False
    return True


def _run(kernel: Any, *arrays: np.ndarray) -> np.ndarray:
    out = empty(arrays[0].shape, arrays[0].dtype)
    launch(kernel, *[a.ravel() for a in arrays], out.ravel(), elements=out.size)
    return out


def _is_number(b: Any) -> bool:
    return not isinstance(b, np.ndarray) or not b.ndim


def _with_number(kernel: Any, a: np.ndarray, b: Any) -> np.ndarray:
    """As `_run`, on an array and a number (or an array without dimensions)."""
    out = empty(a.shape, a.dtype)
    token = silence(IGNORE)  # a number may be too large for the dtype: inf
    try:
        number = np.asarray(b, a.dtype).reshape(1)
    finally:
        restore(token)
    launch(kernel, a.reshape(-1), number, out.reshape(-1))
    return out


def _room(a: Any, b: Any, truth: bool) -> np.ndarray | None:
    """An array of the pool for the result of a ufunc; None if NumPy should choose its dtype."""
    like = a if isinstance(a, np.ndarray) and (a.ndim or not isinstance(b, np.ndarray)) else b
    if not truth and (
        like.dtype.kind != "f" or (isinstance(a, np.ndarray) and a.dtype != getattr(b, "dtype", a.dtype))
    ):
        return None
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        shape = a.shape if a.shape == b.shape else np.broadcast_shapes(a.shape, b.shape)
    else:
        shape = like.shape
    return empty(shape, np.bool_ if truth else like.dtype)


def along(a: Any, b: Any) -> tuple[int, int, int] | None:
    """(outer, middle, inner) if `b` is stretched to the shape of `a` from its middle; None if a kernel cannot do it."""
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)) or not in_parallel(a) or not 1 < b.size < a.size:
        return None
    if b.dtype != a.dtype or not b.flags.carray or b.ndim > a.ndim:
        return None
    shape = (1,) * (a.ndim - b.ndim) + b.shape
    long = [d for d, n in enumerate(shape) if n != 1]
    first, last = long[0], long[-1] + 1
    if shape[first:last] != a.shape[first:last]:
        return None
    return math.prod(a.shape[:first]), b.size, math.prod(a.shape[last:])


def _stretched(kernel: Any, a: np.ndarray, b: np.ndarray, form: tuple[int, int, int]) -> np.ndarray:
    """As `_run`, with `b` stretched as `along` says."""
    out = empty(a.shape, a.dtype)
    launch(kernel, a.reshape(form), b.reshape(-1), out.reshape(form))
    return out


def _binary(
    plain: Any, truth: bool = False, flat: Any = None, number: bool = False, swaps: bool = False, stretch: Any = None
) -> Callable[[Any, Any], np.ndarray]:
    """A kernel of two operands.

    Args:
        plain: the one of `reference`.
        truth: its results are bools.
        flat: the Numba loop for large arrays of one shape.
        number: it also takes a number as second operand,
        swaps: or as first.
        stretch: the Numba loop for an operand that is stretched, on either side.
    """
    ufunc = plain.function

    def large(a: Any, b: Any) -> np.ndarray:
        if flat is not None:
            if isinstance(a, np.ndarray) and in_parallel(a, b):
                return _run(flat, a, b)
            if number and _is_number(b) and in_parallel(a):
                return _with_number(flat, a, b)
            if swaps and _is_number(a) and in_parallel(b):
                return _with_number(flat, b, a)
        if stretch is not None:
            for one, other in ((a, b), (b, a)):
                form = along(one, other)
                if form is not None:
                    return _stretched(stretch, one, other, form)
        token = silence(IGNORE)
        try:
            result: np.ndarray = ufunc(a, b, out=_room(a, b, truth))
        finally:
            restore(token)
        return result

    def binary(a: Any, b: Any) -> np.ndarray:
        if (type(a) is np.ndarray and a.size >= LARGE) or (type(b) is np.ndarray and b.size >= LARGE):
            return large(a, b)
        token = silence(IGNORE)
        try:
            result = ufunc(a, b)
        finally:
            restore(token)
        return np.asarray(result) if isinstance(result, np.generic) else result

    return _named(binary, plain)


def _unary(plain: Any, truth: bool = False, into: Any = None, flat: Any = None) -> Callable[[Any], np.ndarray]:
    """A kernel of one operand.

    Args:
        plain: the one of `reference`.
        truth: its results are bools.
        into: ``into(x, out)`` writes the result into `out`; by default the ufunc itself.
        flat: the Numba loop for large arrays.
    """
    function = plain.function
    write = function if into is None else into
    border = LARGE if flat is None else FEW

    def large(x: np.ndarray) -> np.ndarray:
        if flat is not None and in_parallel(x, least=FEW):
            return _run(flat, x)
        token = silence(IGNORE)
        try:
            if not truth and x.dtype.kind != "f":
                result: np.ndarray = function(x)
            else:
                result = empty(x.shape, np.bool_ if truth else x.dtype)
                write(x, out=result)
        finally:
            restore(token)
        return result

    def unary(x: Any) -> np.ndarray:
        if x.size >= border:
            return large(x)
        token = silence(IGNORE)
        try:
            result = function(x)
        finally:
            restore(token)
        return np.asarray(result) if isinstance(result, np.generic) else result

    return _named(unary, plain)


def _named(kernel: Any, plain: Any) -> Any:
    kernel.__name__ = kernel.__qualname__ = plain.__name__
    kernel.__doc__ = plain.__doc__
    return kernel


add = _binary(reference.add, flat=add_flat, number=True, swaps=True, stretch=add_along)
sub = _binary(reference.sub, flat=sub_flat)
mul = _binary(reference.mul, flat=mul_flat, number=True, swaps=True, stretch=mul_along)
div = _binary(reference.div, flat=div_flat, number=True)
maximum = _binary(reference.maximum, flat=maximum_flat, number=True, swaps=True)
minimum = _binary(reference.minimum, flat=minimum_flat, number=True, swaps=True)
fmax = _binary(reference.fmax)
fmin = _binary(reference.fmin)
atan2 = _binary(reference.atan2)
hypot = _binary(reference.hypot)
copysign = _binary(reference.copysign)
floor_divide = _binary(reference.floor_divide)
remainder = _binary(reference.remainder)
fmod = _binary(reference.fmod)
logaddexp = _binary(reference.logaddexp)
logaddexp2 = _binary(reference.logaddexp2)

logical_and = _binary(reference.logical_and, truth=True)
logical_or = _binary(reference.logical_or, truth=True)
logical_xor = _binary(reference.logical_xor, truth=True)
eq = _binary(reference.eq, truth=True)
ne = _binary(reference.ne, truth=True)
lt = _binary(reference.lt, truth=True)
le = _binary(reference.le, truth=True)
gt = _binary(reference.gt, truth=True)
ge = _binary(reference.ge, truth=True)

abs = _unary(reference.abs)
acos = _unary(reference.acos)
acosh = _unary(reference.acosh)
asin = _unary(reference.asin)
asinh = _unary(reference.asinh)
atan = _unary(reference.atan)
atanh = _unary(reference.atanh)
ceil = _unary(reference.ceil)
cos = _unary(reference.cos)
cosh = _unary(reference.cosh)
exp = _unary(reference.exp, flat=exp_flat)
exp2 = _unary(reference.exp2)
expm1 = _unary(reference.expm1)
floor = _unary(reference.floor)
log = _unary(reference.log)
log10 = _unary(reference.log10)
log1p = _unary(reference.log1p)
log2 = _unary(reference.log2)
neg = _unary(reference.neg)
round = _unary(reference.round)
sin = _unary(reference.sin)
sinh = _unary(reference.sinh)
sqrt = _unary(reference.sqrt)
square = _unary(reference.square)
tan = _unary(reference.tan)
tanh = _unary(reference.tanh, flat=tanh_flat)
trunc = _unary(reference.trunc)

_pow = _binary(reference.pow)


def pow(a: Any, b: Any) -> np.ndarray:
    """a ** b; squares and cubes as products, which take a hundredth of the time."""
    if type(b) in (int, float) and b in (2, 3) and isinstance(a, np.ndarray) and a.dtype in (np.float32, np.float64):
        return square(a) if b == 2 else mul(square(a), a)
    return _pow(a, b)


isnan = _unary(reference.isnan, truth=True)
isinf = _unary(reference.isinf, truth=True)
isfinite = _unary(reference.isfinite, truth=True)
signbit = _unary(reference.signbit, truth=True)
logical_not = _unary(reference.logical_not, truth=True)


def _sign(x: np.ndarray, out: np.ndarray) -> None:
    np.sign(x, out)
    np.copyto(out, 0, where=np.isnan(x, empty(x.shape, np.bool_)))


def _reciprocal(x: np.ndarray, out: np.ndarray) -> None:
    np.divide(1, x, out)


def _rsqrt(x: np.ndarray, out: np.ndarray) -> None:
    np.sqrt(x, out)
    np.divide(1, out, out)


def _relu(x: np.ndarray, out: np.ndarray) -> None:
    np.maximum(x, 0, out=out)


sign = _unary(reference.sign, into=_sign)
reciprocal = _unary(reference.reciprocal, into=_reciprocal)
rsqrt = _unary(reference.rsqrt, into=_rsqrt)
relu = _unary(reference.relu, into=_relu, flat=relu_flat)


def relu_of_sum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """max(a + b, 0), of arrays of one shape"""
    return _run(relu_of_sum_flat, a, b) if in_parallel(a, b) else relu(add(a, b))


def _into(function: Any) -> Any:
    """`function` of one array, its result written into another: what has no ufunc."""

    def into(x: np.ndarray, out: np.ndarray) -> None:
        out[...] = function(x)

    return into


def _one_pass(plain: Any, flat: Any) -> Callable[[np.ndarray], np.ndarray]:
    """A kernel of one operand that would be several passes over memory in NumPy."""
    return _unary(plain, into=_into(plain.function), flat=flat)


sigmoid, silu = _one_pass(reference.sigmoid, sigmoid_flat), _one_pass(reference.silu, silu_flat)
hardswish = _one_pass(reference.hardswish, hardswish_flat)


def _grad(plain: Any, flat: Any) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The gradient of an operation of one operand: of gy and what was kept."""

    def grad(gy: np.ndarray, kept: np.ndarray) -> np.ndarray:
        large = gy.size >= FEW and in_parallel(gy, kept, least=FEW)
        return _run(flat, gy, kept) if large else plain(gy, kept)

    grad.__signature__ = inspect.signature(plain)  # type: ignore[attr-defined]
    result: Callable[[np.ndarray, np.ndarray], np.ndarray] = _named(grad, plain)
    return result


sigmoid_grad, tanh_grad = _grad(reference.sigmoid_grad, sigmoid_grad_flat), _grad(reference.tanh_grad, tanh_grad_flat)
silu_grad = _grad(reference.silu_grad, silu_grad_flat)
hardswish_grad = _grad(reference.hardswish_grad, hardswish_grad_flat)


def relu_grad(gy: np.ndarray, y: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """0 where y <= 0, else gy, plus `other` if there is one: it passes where y is NaN."""
    given = (gy, y) if other is None else (gy, other, y)
    if gy.size < FEW or not in_parallel(*given, least=FEW):
        return reference.relu_grad(gy, y, other)
    return _run(relu_grad_flat if other is None else relu_grad_of_sum_flat, *given)


def _ruled(plain: Any, flat: Any, arrays: tuple[np.ndarray, ...], numbers: tuple[float, ...]) -> np.ndarray:
    """A kernel with numbers of its own: `flat(*arrays, numbers)` for large arrays, else that of `reference`."""
    if arrays[0].size < FEW or not in_parallel(*arrays, least=FEW):
        result: np.ndarray = plain(*arrays, *numbers)
        return result
    out = empty(arrays[0].shape, arrays[0].dtype)
    launch(flat, *(a.reshape(-1) for a in arrays), np.array(numbers, out.dtype), out.reshape(-1), elements=out.size)
    return out


def leaky_relu(x: np.ndarray, slope: float) -> np.ndarray:
    """x where x > 0, else slope * x"""
    if x.size < FEW or not in_parallel(x, least=FEW):
        return reference.leaky_relu(x, slope)
    return _ruled(reference.leaky_relu_grad, leaky_relu_flat, (x, x), (slope,))


def leaky_relu_grad(gy: np.ndarray, x: np.ndarray, slope: float) -> np.ndarray:
    """gy where x > 0, else slope * gy"""
    return _ruled(reference.leaky_relu_grad, leaky_relu_flat, (gy, x), (slope,))


def clamp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """x limited to [low, high], high where low > high; NaN stays NaN"""
    return _ruled(reference.clamp, clamp_flat, (x,), (low, high))


def clamp_grad(gy: np.ndarray, x: np.ndarray, low: float, high: float) -> np.ndarray:
    """gy where low <= x <= high, else 0"""
    return _ruled(reference.clamp_grad, clamp_grad_flat, (gy, x), (low, high))


def elu(x: np.ndarray, low: float, high: float, rate: float) -> np.ndarray:
    """high * x where x > 0, else low * (e ** (rate * x) - 1)"""
    return _ruled(reference.elu, elu_flat, (x,), (low, high, rate))


def elu_grad(gy: np.ndarray, x: np.ndarray, low: float, high: float, rate: float) -> np.ndarray:
    """high * gy where x > 0, else low * rate * e ** (rate * x) * gy"""
    return _ruled(reference.elu_grad, elu_grad_flat, (gy, x), (low, high, rate))


def softplus(x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    """ln(1 + e ** (beta * x)) / beta, and x itself where beta * x > threshold"""
    return _ruled(reference.softplus, softplus_flat, (x,), (beta, threshold))


def softplus_grad(gy: np.ndarray, x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    """gy / (1 + e ** (-beta * x)), and gy itself where beta * x > threshold"""
    return _ruled(reference.softplus_grad, softplus_grad_flat, (gy, x), (beta, threshold))


def where(cond: np.ndarray, a: Any, b: Any) -> np.ndarray:
    """a where cond holds, else b."""
    if cond.size >= PARALLEL and cond.flags.carray and not (_is_number(a) and _is_number(b)):
        like = b if _is_number(a) else a
        other = a if like is b else b
        if cond.shape == like.shape and in_parallel(like) and (_is_number(other) or in_parallel(like, other)):
            out = empty(cond.shape, like.dtype)
            flat = [np.asarray(v, like.dtype).reshape(-1) for v in (a, b)]
            launch(where_flat, cond.reshape(-1), *flat, out.reshape(-1))
            return out
    return reference.where(cond, a, b)


def _special(kernel: Any, *arrays: np.ndarray) -> np.ndarray:
    """What NumPy has no function for, of arrays of one shape and floating dtype with any strides."""
    x = arrays[0]
    wide = [np.ascontiguousarray(a, np.float32 if x.dtype == np.float16 else x.dtype).reshape(-1) for a in arrays]
    out = empty(x.size, wide[0].dtype)
    launch(kernel, *wide, out, elements=16 * x.size)
    return out.reshape(x.shape).astype(x.dtype, copy=False)


def gelu(x: np.ndarray) -> np.ndarray:
    """x * (1 + erf(x / sqrt(2))) / 2"""
    return _special(gelu_flat, x)


def gelu_grad(gy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """gy * (Phi(x) + x * phi(x)), with the normal distribution's Phi and its density phi"""
    return _special(gelu_grad_flat, gy, x)


def erf(x: np.ndarray) -> np.ndarray:
    """2 / sqrt(pi) times the integral of e**(-t*t) from 0 to x"""
    return _special(erf_flat, x)


def erfc(x: np.ndarray) -> np.ndarray:
    """1 - erf(x), without cancellation"""
    return _special(erfc_flat, x)
