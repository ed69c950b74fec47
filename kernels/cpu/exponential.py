"""exp, tanh, erf and their kin, for loops that LLVM vectorises: it cannot look into a library's functions.

In float32 they are polynomials without branches, good to two units in the last place; in float64 the library's.
Sums must not be reordered here: the reduction of the argument lives on its rounding.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from .jit import OPTIONS

_strict = numba.njit(fastmath={"contract"}, **OPTIONS)  # fused products, no other liberty
_ROUND = np.float32(1.5 * 2**23)  # added and taken off again, it rounds to a whole number
_PER_LN2 = np.float32(1 / math.log(2))
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # of few digits; their sum is ln 2
_E2, _E3, _E4 = np.float32(5.0000001201e-1), np.float32(1.6666665459e-1), np.float32(4.1665795894e-2)
_E5, _E6, _E7 = np.float32(8.3334519073e-3), np.float32(1.3981999507e-3), np.float32(1.9875691500e-4)
_HIGHEST, _LOWEST = np.float32(89), np.float32(-104)  # e**x is inf, and 0, from there on
_ONE, _TWO, _NIL = np.float32(1), np.float32(2), np.float32(0)


@intrinsic
def _times_power(typing: Any, p: Any, t: Any) -> Any:
    """p * 2**n for t = n + _ROUND: n stands in the last bits of t. In two steps, since 2**n alone may not exist."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        i32, f32 = ir.IntType(32), ir.FloatType()
        product, t = args
        n = b.sub(b.bitcast(t, i32), ir.Constant(i32, int(_ROUND.view(np.int32))))
        half = b.ashr(n, ir.Constant(i32, 1))
        for power in (half, b.sub(n, half)):
            bits = b.shl(b.add(power, ir.Constant(i32, 127)), ir.Constant(i32, 23))
            product = b.fmul(product, b.bitcast(bits, f32))
        return product

    return types.float32(types.float32, types.float32), codegen


@_strict
def _exp32(x):
    """e**x = 2**n * e**r with |r| <= ln(2) / 2 (Cody and Waite 1980), e**r by a polynomial (Cephes' coefficients)."""
    x = _HIGHEST if x > _HIGHEST else x
    x = _LOWEST if x < _LOWEST else x  # NaN passes both
    t = x * _PER_LN2 + _ROUND
    n = t - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = ((((_E7 * r + _E6) * r + _E5) * r + _E4) * r + _E3) * r + _E2
    return _times_power((p * (r * r) + r) + _ONE, t)


_LINEAR = np.float32(math.log(2) / 2)


@_strict
def _expm132(x):
    """the polynomial of e**r without its 1 near 0, else e**x - 1"""
    p = ((((_E7 * x + _E6) * x + _E5) * x + _E4) * x + _E3) * x + _E2
    near = p * (x * x) + x if x != _NIL else x  # -0.0 keeps its sign
    return near if abs(x) < _LINEAR else _exp32(x) - _ONE


_L3, _L5, _L7 = np.float32(2 / 3), np.float32(2 / 5), np.float32(2 / 7)
_L9, _L11, _L13 = np.float32(2 / 9), np.float32(2 / 11), np.float32(2 / 13)


@_strict
def _softplus32(x):
    """max(x, 0) + ln(1 + u) with u = e**-|x|; ln(1 + u) = 2 artanh(s), s = u / (2 + u) <= 1/3, by its series"""
    u = _exp32(-abs(x))
    s = u / (_TWO + u)
    z = s * s
    series = (((((_L13 * z + _L11) * z + _L9) * z + _L7) * z + _L5) * z + _L3) * z * s + _TWO * s
    return (x if x > _NIL else _NIL) + series


@_strict
def _softplus64(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


_T = [
    np.float32(c) for c in (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
]
_T0, _T1, _T2, _T3, _T4 = _T
_SMALL = np.float32(0.625)


@_strict
def _tanh32(x):
    """x + x**3 * polynomial(x**2) near 0 (Cephes), else 1 - 2 / (e**(2|x|) + 1) with the sign of x"""
    z = x * x
    near = ((((_T0 * z + _T1) * z + _T2) * z + _T3) * z + _T4) * z
    near = x * near + x if near != _NIL else x  # -0.0 keeps its sign
    size = abs(x)
    far = _ONE - _TWO / (_exp32(size + size) + _ONE)
    far = -far if x < _NIL else far
    return near if size < _SMALL else far


_P0, _P1, _P2, _P3 = (
    np.float32(c) for c in (-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05)
)
_P4, _P5, _P6 = (np.float32(c) for c in (-7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02))
_Q0, _Q1, _Q2 = (np.float32(c) for c in (-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03))
_Q3, _Q4 = (np.float32(c) for c in (-7.37332916720468e-03, -1.42647390514189e-02))
_FAR, _QUARTER = np.float32(4), np.float32(0.25)  # erf is 1 from 4 on


@_strict
def _erf32(x):
    """x * P(x**2) / Q(x**2), the minimax approximation on [-4, 4] that Eigen uses"""
    x = _FAR if x > _FAR else x
    x = -_FAR if x < -_FAR else x
    z = x * x
    p = (((((_P0 * z + _P1) * z + _P2) * z + _P3) * z + _P4) * z + _P5) * z + _P6
    q = (((_Q0 * z + _Q1) * z + _Q2) * z + _Q3) * z + _Q4
    return x * p / q if abs(x) < _FAR else x * _QUARTER


# What kernels call. The bodies are plain Python's; Numba compiles the overloads below in their place.


def exp(x):
    """e**x, for float32 and float64"""
    return np.exp(x)


def tanh(x):
    """the hyperbolic tangent of x"""
    return np.tanh(x)


def erf(x):
    """2 / sqrt(pi) times the integral of e**(-t*t) from 0 to x"""
    return math.erf(x)


def expm1(x):
    """e**x - 1, exact for small x"""
    return np.expm1(x)


def softplus(x):
    """ln(1 + e**x)"""
    return np.logaddexp(0, x)


@overload(expm1)
def _expm1(x):
    return (lambda x: _expm132(x)) if x == types.float32 else (lambda x: math.expm1(x))


@overload(softplus)
def _softplus(x):
    return (lambda x: _softplus32(x)) if x == types.float32 else (lambda x: _softplus64(x))


@overload(exp)
def _exp(x):
    return (lambda x: _exp32(x)) if x == types.float32 else (lambda x: math.exp(x))


@overload(tanh)
def _tanh(x):
    return (lambda x: _tanh32(x)) if x == types.float32 else (lambda x: math.tanh(x))


@overload(erf)
def _erf(x):
    return (lambda x: _erf32(x)) if x == types.float32 else (lambda x: math.erf(x))
