"""Operations on each element."""

from __future__ import annotations

import math

import numpy as np

import tinycnn as t

from ._op import ONE, PAIRS, Op, binary, unary


def _logit(x: np.ndarray) -> np.ndarray:
    return np.log(x / (1 - x))


def _truth(name: str) -> Op:
    ours, theirs = getattr(t, name), getattr(np, name)
    return Op(
        name,
        lambda x, y: ours(t.round(x).bool(), t.round(y).bool()),
        lambda x, y: theirs(np.round(x).astype(bool), np.round(y).astype(bool)),
        PAIRS,
        gradient=False,
        refuses=((lambda: ours("x", t.ones(2)), TypeError, "expected a Tensor"),),
    )


ELEMENTWISE = (
    unary("neg", t.neg, np.negative),
    unary("abs", t.abs, np.abs, spaced=True),
    unary("sign", t.sign, np.sign, spaced=True),
    unary("square", t.square, np.square),
    unary("exp", t.exp, np.exp),
    unary("log", t.log, np.log, low=0.5),
    unary("sqrt", t.sqrt, np.sqrt, low=0.5),
    unary("reciprocal", t.reciprocal, np.reciprocal, low=0.5),
    unary("sin", t.sin, np.sin),
    unary("cos", t.cos, np.cos),
    unary("tanh", t.tanh, np.tanh),
    unary("sigmoid", t.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    unary("relu", t.relu, lambda x: np.maximum(x, 0), spaced=True),
    binary("add", t.add, np.add),
    binary("sub", t.sub, np.subtract),
    binary("mul", t.mul, np.multiply),
    binary("div", t.div, np.divide, low=0.5),
    binary("pow", t.pow, np.power, low=0.5),
    binary("maximum", t.maximum, np.maximum, numbers=False),
    binary("minimum", t.minimum, np.minimum, numbers=False),
    unary("rsqrt", t.rsqrt, lambda x: 1 / np.sqrt(x), low=0.5),
    unary("exp2", t.exp2, np.exp2),
    unary("expm1", t.expm1, np.expm1),
    unary("log2", t.log2, np.log2, low=0.5),
    unary("log10", t.log10, np.log10, low=0.5),
    unary("log1p", t.log1p, np.log1p, low=-0.5),
    unary("tan", t.tan, np.tan, low=-1.0, high=1.0),
    unary("asin", t.asin, np.arcsin, low=-0.8, high=0.8),
    unary("acos", t.acos, np.arccos, low=-0.8, high=0.8),
    unary("atan", t.atan, np.arctan),
    unary("sinh", t.sinh, np.sinh),
    unary("cosh", t.cosh, np.cosh),
    unary("asinh", t.asinh, np.arcsinh),
    unary("acosh", t.acosh, np.arccosh, low=1.5, high=3.0),
    unary("atanh", t.atanh, np.arctanh, low=-0.8, high=0.8),
    unary("erf", t.erf, np.vectorize(math.erf, otypes=[float])),
    unary("erfc", t.erfc, np.vectorize(math.erfc, otypes=[float])),
    unary("floor", t.floor, np.floor, spaced=True),
    unary("ceil", t.ceil, np.ceil, spaced=True),
    unary("trunc", t.trunc, np.trunc, spaced=True),
    unary("round", t.round, np.round, spaced=True),
    Op("round: decimals", lambda x: t.round(x, decimals=1), lambda x: np.round(x, 1), ONE, gradient=False),
    unary("frac", t.frac, lambda x: x - np.trunc(x), spaced=True),
    unary("deg2rad", t.deg2rad, np.deg2rad),
    unary("rad2deg", t.rad2deg, np.rad2deg),
    unary("sinc", t.sinc, np.sinc, spaced=True),
    unary("logit", t.logit, lambda x: np.log(x / (1 - x)), low=0.1, high=0.9),
    Op("logit: eps", lambda x: t.logit(x, 0.21), lambda x: _logit(np.clip(x, 0.21, 0.79)), ONE, low=0.1, high=0.9),
    unary("sgn", t.sgn, np.sign, spaced=True),
    unary("positive", t.positive, np.positive),
    unary("resolve_neg", t.resolve_neg, np.positive),
    unary("resolve_conj", t.resolve_conj, np.positive),
    unary("isnan", t.isnan, np.isnan, gradient=False),
    unary("isinf", t.isinf, np.isinf, gradient=False),
    unary("isfinite", t.isfinite, np.isfinite, gradient=False),
    unary("isposinf", t.isposinf, np.isposinf, gradient=False),
    unary("isneginf", t.isneginf, np.isneginf, gradient=False),
    unary("isreal", t.isreal, np.isreal, gradient=False),
    unary("signbit", t.signbit, np.signbit, gradient=False),
    unary("logical_not", t.logical_not, np.logical_not, gradient=False),
    unary("nan_to_num", t.nan_to_num, np.nan_to_num),
    binary("fmax", t.fmax, np.fmax, numbers=False),
    binary("fmin", t.fmin, np.fmin, numbers=False),
    binary("atan2", t.atan2, np.arctan2, numbers=False, low=0.5),
    binary("hypot", t.hypot, np.hypot, numbers=False, low=0.5),
    binary("copysign", t.copysign, np.copysign, spaced=True),
    binary("logaddexp", t.logaddexp, np.logaddexp, numbers=False),
    binary("logaddexp2", t.logaddexp2, np.logaddexp2, numbers=False),
    binary("floor_divide", t.floor_divide, np.floor_divide, low=0.5, gradient=False),
    binary("remainder", t.remainder, np.remainder, low=0.6, gradient=False),
    Op("remainder: number", lambda x: t.remainder(x, 0.7), lambda x: np.remainder(x, 0.7), ONE, spaced=True),
    Op("fmod", lambda x: t.fmod(x, -0.7), lambda x: np.fmod(x, -0.7), ONE, spaced=True),
    Op(
        "div: rounded",
        lambda x, y: t.div(x, y, rounding_mode="trunc") + t.div(x, y, rounding_mode="floor"),
        lambda x, y: np.trunc(x / y) + np.floor(x / y),
        PAIRS,
        low=0.5,
        gradient=False,
        refuses=(
            (lambda: t.div(t.ones(2), 2, rounding_mode="up"), RuntimeError, "'trunc' or 'floor'"),
            (lambda: t.tensor([1]) // 0, RuntimeError, "by 0"),
        ),
    ),
    binary("float_power", t.float_power, np.float_power, numbers=False, low=0.5, gradient=False),
    binary("xlogy", t.xlogy, lambda x, y: x * np.log(y), low=0.5),
    *(
        binary(name, getattr(t, name), getattr(np, wanted), gradient=False)
        for name, wanted in (
            *(("eq", "equal"), ("ne", "not_equal"), ("lt", "less"), ("le", "less_equal")),
            *(("gt", "greater"), ("ge", "greater_equal")),
        )
    ),
    *(
        _truth(name)
        for name in ("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor")
    ),
    Op(
        "bitwise_left_shift",
        lambda x: t.bitwise_left_shift((x * 10).long(), 2) + (2 << (x * 0).long()),
        lambda x: ((x * 10).astype(np.int64) << 2) + 2,
        ONE,
        gradient=False,
        refuses=((lambda: t.ones(2) << 1, RuntimeError, "expected integers"),),
    ),
    Op(
        "bitwise_right_shift",
        lambda x: (x * 10).long() >> 1,
        lambda x: (x * 10).astype(np.int64) >> 1,
        ONE,
        gradient=False,
        refuses=((lambda: t.ones(2) >> 1, RuntimeError, "expected integers"),),
    ),
    Op("bitwise_not", lambda x: ~(x > 0), lambda x: ~(x > 0), ONE, gradient=False),
    Op("isclose", lambda x, y: t.isclose(x, y, 0.5), lambda x, y: np.isclose(x, y, 0.5), PAIRS, gradient=False),
    Op(
        "allclose",
        lambda x: t.tensor(t.allclose(x, x + 1e-9)),
        lambda x: np.asarray(True),
        ONE,
        gradient=False,
        refuses=((lambda: t.allclose(t.ones(1), t.ones(1).double()), RuntimeError, "one dtype"),),
    ),
    Op("equal", lambda x: t.tensor(t.equal(x, x + 1)), lambda x: np.asarray(x.size == 0), ONE, gradient=False),
    Op(
        "heaviside",
        lambda x, y: t.heaviside(t.round(x), y),
        lambda x, y: np.heaviside(np.round(x), y),
        PAIRS,
        gradient=False,
        refuses=((lambda: t.heaviside(t.ones(1), t.ones(1).double()), RuntimeError, "one dtype"),),
    ),
    Op("lerp", lambda x, y: t.lerp(x, y, 0.3), lambda x, y: x + 0.3 * (y - x), PAIRS),
    Op(
        "lerp: weights",
        t.lerp,
        lambda x, y, w: x + w * (y - x),
        (((2, 3), (3,), (2, 1)),),
        refuses=((lambda: t.lerp(t.ones(2), t.ones(2).double(), 0.5), RuntimeError, "one dtype"),),
    ),
    Op(
        "addcmul",
        lambda x, y, z: t.addcmul(x, y, z, value=2.5),
        lambda x, y, z: x + 2.5 * y * z,
        (((2, 3), (3,), (2, 1)), ((), (2,), ())),
        refuses=((lambda: t.addcmul(t.tensor([True]), t.tensor([True]), t.tensor([True])), RuntimeError, "bools"),),
    ),
    Op(
        "addcdiv",
        lambda x, y, z: t.addcdiv(x, y, z, value=2.5),
        lambda x, y, z: x + 2.5 * y / z,
        (((2, 3), (3,), (2, 1)), ((), (2,), ())),
        low=0.5,
        refuses=((lambda: t.addcdiv(t.tensor([1]), t.tensor([1]), t.tensor([1])), RuntimeError, "integers"),),
    ),
    Op(
        "masked_fill",
        lambda x: t.masked_fill(x, t.tensor([True, False, True]), 7.0),
        lambda x: np.where([True, False, True], 7.0, x),
        (((2, 3),), ((3,),), ((),), ((2, 1),)),
        refuses=(
            (lambda: t.ones(2).masked_fill(t.ones(2), 1), RuntimeError, "bool"),
            (lambda: t.tensor([1]).byte().masked_fill(t.tensor([True]), 300), RuntimeError, "does not fit"),
        ),
    ),
    Op("clamp_min", lambda x: t.clamp_min(x, 0.95), lambda x: np.maximum(x, 0.95), ONE, spaced=True),
    Op("clamp_max", lambda x: t.clamp_max(x, 0.95), lambda x: np.minimum(x, 0.95), ONE, spaced=True),
    Op(
        "clamp: tensors",
        lambda x, y: t.clamp(x, y - 0.51, y + 0.51),
        lambda x, y: np.clip(x, y - 0.51, y + 0.51),
        PAIRS,
        spaced=True,
        refuses=((lambda: t.clamp(t.ones(2), 0.0, t.ones(2)), TypeError, "both"),),
    ),
    Op("clone", t.clone, lambda x: x, ONE),
    Op(
        "Tensor.__rmod__",
        lambda x: 5 % x + 5 // x + 5**x,
        lambda x: 5 % x + 5 // x + 5**x,
        ONE,
        low=0.5,
        gradient=False,
    ),
    Op("add: alpha", lambda x, y: t.add(x, y, alpha=3), lambda x, y: x + 3 * y, PAIRS),
    Op("pow: numbers", lambda x: x**3 + 2**x, lambda x: x**3 + 2**x, ONE),
    Op("Tensor.__rsub__: numbers on the left", lambda x: 1 - (2 / (3 + x)) * 4, lambda x: 1 - (2 / (3 + x)) * 4, ONE),
    Op(
        "clamp",
        lambda x: t.clamp(x, -1.05, 0.95),
        lambda x: np.clip(x, -1.05, 0.95),
        ONE,
        spaced=True,
        refuses=((lambda: t.clamp(t.ones(2)), RuntimeError, "at least one"),),
    ),
    Op(
        "where",
        lambda x, y: t.where(t.tensor([True, False, True]), x, y),
        lambda x, y: np.where([True, False, True], x, y),
        (((3,), (3,)), ((2, 3), (1,)), ((), (3,))),
        refuses=((lambda: t.where(t.ones(2), t.ones(2), 0), TypeError, "bool"),),
    ),
    Op(
        "Tensor.to: dtype",
        lambda x: x.float().double(),
        lambda x: x.astype(np.float32).astype(np.float64),
        ONE,
        gradient=False,
    ),
)
