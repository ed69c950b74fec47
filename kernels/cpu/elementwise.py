"""Kernels on each element: NumPy's, and for large arrays in the hot families Numba's, in parallel.

A parallel kernel takes 1-D arrays of one dtype; below PARALLEL elements NumPy is as fast as a launch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..reference import elementwise as reference
from ..reference.elementwise import (
    abs,
    cos,
    div,
    eq,
    exp,
    ge,
    gt,
    le,
    log,
    lt,
    maximum,
    minimum,
    ne,
    neg,
    pow,
    reciprocal,
    sigmoid,
    sign,
    sin,
    sqrt,
    square,
    sub,
    tanh,
    where,
)
from .jit import kernel
from .threads import launch

PARALLEL = 1 << 15

__all__ = [
    "abs",
    "add",
    "cos",
    "div",
    "eq",
    "exp",
    "ge",
    "gt",
    "le",
    "log",
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
    "sigmoid",
    "sign",
    "sin",
    "sqrt",
    "square",
    "sub",
    "tanh",
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
    if type(first) is not np.ndarray or first.size < PARALLEL:
        return False
    return all(
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
    return _run(add_flat, a, b) if in_parallel(a, b) else reference.add(a, b)


def mul(a: Any, b: Any) -> np.ndarray:
    """a * b"""
    return _run(mul_flat, a, b) if in_parallel(a, b) else reference.mul(a, b)


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0); NaN stays NaN"""
    return _run(relu_flat, x) if in_parallel(x) else reference.relu(x)


def relu_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gy where y > 0, else 0"""
    return _run(relu_grad_flat, gy, y) if in_parallel(gy, y) else reference.relu_grad(gy, y)
