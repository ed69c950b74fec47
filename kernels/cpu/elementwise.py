"""Kernels on each element: NumPy's, and for large arrays in the hot families Numba's, in parallel.

A parallel kernel takes 1-D arrays of one dtype; below PARALLEL elements NumPy is as fast as a launch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from ..reference import elementwise as reference
from ..reference.elementwise import (
    abs,
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    ceil,
    copysign,
    cos,
    cosh,
    div,
    eq,
    exp,
    exp2,
    expm1,
    floor,
    floor_divide,
    fmax,
    fmin,
    fmod,
    ge,
    gt,
    hypot,
    isfinite,
    isinf,
    isnan,
    le,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logaddexp2,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    maximum,
    minimum,
    ne,
    neg,
    pow,
    reciprocal,
    remainder,
    round,
    rsqrt,
    sigmoid,
    sign,
    signbit,
    sin,
    sinh,
    sqrt,
    square,
    sub,
    tan,
    tanh,
    trunc,
    where,
)
from .jit import kernel
from .threads import launch

PARALLEL = 1 << 15

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
    "copysign",
    "cos",
    "cosh",
    "div",
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
    "gt",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "le",
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
    "remainder",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "tan",
    "tanh",
    "trunc",
    "where",
]


@kernel(parallel=True)
def add_flat(workers, a, b, out):
    """out = a + b"""
    for i in prange(a.size):
        out[i] = a[i] + b[i]


@kernel(parallel=True)
def mul_flat(workers, a, b, out):
    """out = a * b"""
    for i in prange(a.size):
        out[i] = a[i] * b[i]


@kernel(parallel=True)
def erf_flat(workers, a, out):
    """out = erf(a)"""
    for i in prange(a.size):
        out[i] = math.erf(a[i])


@kernel(parallel=True)
def erfc_flat(workers, a, out):
    """out = erfc(a)"""
    for i in prange(a.size):
        out[i] = math.erfc(a[i])


@kernel(parallel=True)
def relu_flat(workers, a, out):
    """out = max(a, 0); NaN stays NaN"""
    for i in prange(a.size):
        out[i] = a[i] if not a[i] < 0 else 0


@kernel(parallel=True)
def relu_grad_flat(workers, gy, y, out):
    """out = gy where y > 0, else 0"""
    for i in prange(gy.size):
        out[i] = gy[i] if y[i] > 0 else 0


def in_parallel(*arrays: Any) -> bool:
    """Whether the arrays are large, of one shape and floating dtype, and as a kernel takes them."""
    first = arrays[0]
    return first.size >= PARALLEL and all(
        isinstance(a, np.ndarray)
        and a.shape == first.shape
        and a.dtype == first.dtype
        and a.dtype in (np.float32, np.float64)
        and a.flags.carray
        for a in arrays
    )


def _run(kernel: Any, *arrays: np.ndarray) -> np.ndarray:
    out = np.empty(arrays[0].shape, arrays[0].dtype)
    launch(kernel, *(a.reshape(-1) for a in arrays), out.reshape(-1))
    return out


def add(a: Any, b: Any) -> np.ndarray:
    """a + b"""
    if type(a) is np.ndarray and a.size >= PARALLEL and in_parallel(a, b):
        return _run(add_flat, a, b)
    return reference.add(a, b)


def mul(a: Any, b: Any) -> np.ndarray:
    """a * b"""
    if type(a) is np.ndarray and a.size >= PARALLEL and in_parallel(a, b):
        return _run(mul_flat, a, b)
    return reference.mul(a, b)


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0); NaN stays NaN"""
    return _run(relu_flat, x) if x.size >= PARALLEL and in_parallel(x) else reference.relu(x)


def relu_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gy where y > 0, else 0"""
    return _run(relu_grad_flat, gy, y) if gy.size >= PARALLEL and in_parallel(gy, y) else reference.relu_grad(gy, y)


def _special(kernel: Any, x: np.ndarray) -> np.ndarray:
    """A function that NumPy does not have, for any floating dtype and strides."""
    wide = np.ascontiguousarray(x, np.float32 if x.dtype == np.float16 else x.dtype).reshape(-1)
    out = np.empty_like(wide)
    launch(kernel, wide, out, elements=16 * x.size)
    return out.reshape(x.shape).astype(x.dtype, copy=False)


def erf(x: np.ndarray) -> np.ndarray:
    """2 / sqrt(pi) times the integral of e**(-t*t) from 0 to x"""
    return _special(erf_flat, x)


def erfc(x: np.ndarray) -> np.ndarray:
    """1 - erf(x), without cancellation"""
    return _special(erfc_flat, x)
