"""Operations on each element."""

from __future__ import annotations

import numpy as np

import tinycnn as t

from ._op import ONE, PAIRS, Op, binary, unary

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
    binary("maximum", t.maximum, np.maximum),
    binary("minimum", t.minimum, np.minimum),
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
