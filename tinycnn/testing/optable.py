"""The table of operations: for each its samples, what it must refuse, and what it must equal.

The tests walk over it: value and dtype against `reference`, gradients and gradients of gradients against finite
differences, every memory layout, every refusal. A new operation is tested by one entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinycnn as t

from ..kernels.geometry import conv_spec, pool_spec
from ..kernels.reference import conv as conv_reference
from ..kernels.reference import dropout as dropout_reference
from ..kernels.reference import norm as norm_reference
from ..kernels.reference import pool as pool_reference
from ..kernels.reference import softmax as softmax_reference
from ..nn import functional as F
from ..ops.random import dropout

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Op:
    """One operation.

    Attributes:
        name: how it is called in messages.
        function: takes the sample tensors.
        reference: the same on float64 arrays, in plain NumPy.
        samples: the shapes of the inputs, for each sample.
        low, high: the range of the inputs.
        spaced: inputs must not be close to each other or to 0 (kinks and ties).
        gradient, second: whether gradients, and gradients of gradients, exist.
        refuses: calls that must fail, with the type of the error and a piece of its text.
    """

    name: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    samples: tuple[tuple[Shape, ...], ...]
    low: float = -2.0
    high: float = 2.0
    spaced: bool = False
    gradient: bool = True
    second: bool = True
    refuses: tuple[tuple[Callable[[], Any], type[Exception], str], ...] = ()


ONE = (((2, 3),), ((4,),), ((),), ((0, 2),), ((2, 1, 3),))
PAIRS = (
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((2, 1), (1, 3)),
    ((), (2,)),
    ((3,), ()),
    ((0, 2), (2,)),
    ((2, 1, 2), (3, 1)),
)
_NOT_A_TENSOR = "expected a Tensor"


def _unary(name: str, function: Callable[..., Any], formula: Callable[..., Any], **options: Any) -> Op:
    refuses = ((lambda: function("x"), TypeError, _NOT_A_TENSOR),)
    return Op(name, function, formula, ONE, refuses=refuses, **options)


def _binary(name: str, function: Callable[..., Any], formula: Callable[..., Any], **options: Any) -> Op:
    refuses = (
        (lambda: function(t.ones(2), "x"), TypeError, "Tensor or a number"),
        (lambda: function(t.ones(2), t.ones(3)), RuntimeError, "do not broadcast"),
        (lambda: function(1.0, 2.0), TypeError, _NOT_A_TENSOR),
    )
    return Op(name, function, formula, PAIRS, refuses=refuses, **options)


ELEMENTWISE = (
    _unary("neg", t.neg, np.negative),
    _unary("abs", t.abs, np.abs, spaced=True),
    _unary("sign", t.sign, np.sign, spaced=True),
    _unary("square", t.square, np.square),
    _unary("exp", t.exp, np.exp),
    _unary("log", t.log, np.log, low=0.5),
    _unary("sqrt", t.sqrt, np.sqrt, low=0.5),
    _unary("reciprocal", t.reciprocal, np.reciprocal, low=0.5),
    _unary("sin", t.sin, np.sin),
    _unary("cos", t.cos, np.cos),
    _unary("tanh", t.tanh, np.tanh),
    _unary("sigmoid", t.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    _unary("relu", t.relu, lambda x: np.maximum(x, 0), spaced=True),
    _binary("add", t.add, np.add),
    _binary("sub", t.sub, np.subtract),
    _binary("mul", t.mul, np.multiply),
    _binary("div", t.div, np.divide, low=0.5),
    _binary("pow", t.pow, np.power, low=0.5),
    _binary("maximum", t.maximum, np.maximum),
    _binary("minimum", t.minimum, np.minimum),
    Op("add with alpha", lambda x, y: t.add(x, y, alpha=3), lambda x, y: x + 3 * y, PAIRS),
    Op("pow with numbers", lambda x: x**3 + 2**x, lambda x: x**3 + 2**x, ONE),
    Op("numbers on the left", lambda x: 1 - (2 / (3 + x)) * 4, lambda x: 1 - (2 / (3 + x)) * 4, ONE),
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
    Op("cast", lambda x: x.float().double(), lambda x: x.astype(np.float32).astype(np.float64), ONE, gradient=False),
)

REDUCTIONS = (
    Op("sum", lambda x: x.sum(), np.sum, ONE),
    Op(
        "sum over dims",
        lambda x: x.sum((0, -1), keepdim=True),
        lambda x: x.sum((0, -1), keepdims=True),
        (((2, 3, 2),),),
    ),
    Op(
        "mean",
        lambda x: x.mean(-1),
        lambda x: x.mean(-1),
        (((2, 3),), ((4,),)),
        refuses=((lambda: t.ones(2, dtype=t.int64).mean(), RuntimeError, "floating-point"),),
    ),
    Op("var", lambda x: x.var(1, correction=1), lambda x: x.var(1, ddof=1), (((2, 3),), ((2, 4, 2),))),
    Op("std", lambda x: x.std(), lambda x: x.std(ddof=1), (((2, 3),),)),
    Op("amax", lambda x: x.amax(1), lambda x: x.max(1), (((2, 3),), ((2, 3, 2),)), spaced=True),
    Op("amin", lambda x: x.amin((0, 1)), lambda x: x.min((0, 1)), (((2, 3),), ((2, 3, 2),)), spaced=True),
    Op(
        "max along a dim",
        lambda x: x.max(1)[0],
        lambda x: x.max(1),
        (((2, 3),), ((2, 3, 2),)),
        spaced=True,
        refuses=((lambda: t.ones(2, 3).max(2), IndexError, "out of range"),),
    ),
    Op("min of all", lambda x: x.min(), lambda x: x.min(), (((2, 3),),), spaced=True),
    Op("argmax", lambda x: x.argmax(1), lambda x: x.argmax(1), (((2, 3),),), gradient=False),
    Op("any", lambda x: (x > 0).any(1), lambda x: (x > 0).any(1), (((2, 3),),), gradient=False),
)

SHAPES = (
    Op(
        "reshape",
        lambda x: x.reshape(3, -1),
        lambda x: x.reshape(3, -1),
        (((2, 3),), ((3, 1, 2),)),
        refuses=((lambda: t.ones(2, 3).reshape(4, 2), RuntimeError, "do not fit"),),
    ),
    Op("flatten", lambda x: x.flatten(1), lambda x: x.reshape(2, -1), (((2, 3, 2),), ((2, 1),))),
    Op("transpose", lambda x: x.transpose(0, -1), lambda x: x.swapaxes(0, -1), (((2, 3),), ((2, 3, 4),))),
    Op(
        "permute",
        lambda x: x.permute(2, 0, 1),
        lambda x: x.transpose(2, 0, 1),
        (((2, 3, 4),),),
        refuses=((lambda: t.ones(2, 3).permute(0, 0), RuntimeError, "once"),),
    ),
    Op("squeeze", lambda x: x.squeeze(), np.squeeze, (((2, 1, 3),), ((1, 1),))),
    Op("unsqueeze", lambda x: x.unsqueeze(-1), lambda x: x[..., None], ONE),
    Op(
        "expand",
        lambda x: x.expand(2, -1, 3),
        lambda x: np.broadcast_to(x, (2, x.shape[-2], 3)),
        (((4, 1),), ((1, 4, 1),)),
        refuses=((lambda: t.ones(2).expand(3), RuntimeError, "stretch"),),
    ),
    Op("index", lambda x: x[1:, None, ::-1], lambda x: x[1:, None, ::-1], (((3, 4),),)),
    Op("index by integers", lambda x: x[t.tensor([0, 2, 0])], lambda x: x[[0, 2, 0]], (((3, 2),),)),
    Op("index by bools", lambda x: x[t.tensor([True, False, True])], lambda x: x[[0, 2]], (((3, 2),),)),
    Op(
        "cat",
        lambda x, y: t.cat([x, y], 1),
        lambda x, y: np.concatenate([x, y], 1),
        (((2, 3), (2, 1)), ((2, 0), (2, 2))),
        refuses=((lambda: t.cat([t.ones(2, 2), t.ones(3, 3)]), RuntimeError, "equal except"),),
    ),
    Op("stack", lambda x, y: t.stack([x, y], -1), lambda x, y: np.stack([x, y], -1), (((2, 3), (2, 3)),)),
    Op("split", lambda x: x.split(2, 1)[1] * 2, lambda x: x[:, 2:4] * 2, (((2, 3),), ((1, 5),))),
    Op("flip", lambda x: x.flip(0, 1), lambda x: x[::-1, ::-1], (((2, 3),),)),
    Op("pad", lambda x: F.pad(x, (1, 2, -1, 0)), lambda x: np.pad(x[1:], ((0, 0), (1, 2))), (((2, 3),),)),
    Op(
        "gather",
        lambda x: x.gather(1, t.tensor([[0, 0], [2, 1]])),
        lambda x: np.take_along_axis(x, np.array([[0, 0], [2, 1]]), 1),
        (((2, 3),),),
        refuses=((lambda: t.ones(2, 3).gather(1, t.tensor([[3]])), RuntimeError, "outside"),),
    ),
)

PRODUCTS = (
    Op(
        "matmul",
        t.matmul,
        np.matmul,
        (((2, 3), (3, 4)), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 1, 2, 3), (4, 3, 2)), ((0, 3), (3, 2))),
        refuses=(
            (lambda: t.ones(2, 3) @ t.ones(2, 3), RuntimeError, "inner sizes"),
            (lambda: t.ones(2, 3) @ t.ones(3, dtype=t.float64), RuntimeError, "convert"),
        ),
    ),
    Op(
        "linear",
        F.linear,
        lambda x, w, b: x @ w.T + b,
        (((4, 3), (2, 3), (2,)), ((3,), (2, 3), (2,)), ((2, 2, 3), (5, 3), (5,)), ((0, 3), (2, 3), (2,))),
        refuses=((lambda: F.linear(t.ones(2, 4), t.ones(3, 5)), RuntimeError, "in_features = 5"),),
    ),
)


def _conv(**options: Any) -> Op:
    def formula(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
        return conv_reference.conv2d(x, w, b, conv_spec(x.shape, w.shape, **options))

    groups = options.get("groups", 1)
    samples = (
        ((2, 2 * groups, 5, 4), (2 * groups, 2, 3, 2), (2 * groups,)),
        ((1, groups, 6, 7), (groups, 1, 2, 3), (groups,)),
        ((0, groups, 5, 5), (groups, 1, 3, 3), (groups,)),
    )
    refuses = (
        (lambda: F.conv2d(t.ones(1, 1, 4, 4), t.ones(1, 1, 5, 5)), ValueError, "smallest padding that works is 1"),
        (lambda: F.conv2d(t.ones(1, 3, 4, 4), t.ones(1, 2, 3, 3)), RuntimeError, "input channels"),
        (lambda: F.conv2d(t.ones(1, 1, 4, 4), t.ones(1, 1, 3, 3), stride=0), ValueError, "at least 1"),
    )
    name = "conv2d " + ", ".join(f"{k}={v}" for k, v in options.items())
    return Op(name, lambda x, w, b: F.conv2d(x, w, b, **options), formula, samples, refuses=refuses)


def _pool(name: str, function: Callable[..., Any], kernel: Callable[..., Any], *sizes: Any, **spec: Any) -> Op:
    def formula(x: np.ndarray) -> np.ndarray:
        return kernel(x, pool_spec(x.shape, *sizes, **spec))

    samples = (((2, 2, 5, 6),), ((1, 1, 4, 4),), ((0, 1, 4, 4),))
    refuses = (
        (lambda: function(t.ones(1, 1, 2, 2), 5), ValueError, "must be at least 1"),
        (lambda: function(t.ones(1, 1, 4, 4), 2, padding=2), RuntimeError, "half"),
        (lambda: function(t.ones(2, 2), 2), RuntimeError, "4-D"),
    )
    called = f"{name}{sizes} " + ", ".join(f"{k}={v}" for k, v in spec.items())
    return Op(called, lambda x: function(x, *sizes, **spec), formula, samples, spaced=True, refuses=refuses)


def _max(x: np.ndarray, spec: Any) -> np.ndarray:
    return pool_reference.max_pool2d(x, spec)[0]


def _mean(x: np.ndarray, spec: Any) -> np.ndarray:
    return pool_reference.avg_pool2d(x, spec, True, None)


def _batch_norm(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return norm_reference.batch_norm_train(x.reshape(*x.shape[:2], -1), w, b, 1e-5)[0].reshape(x.shape)


LAYERS = (
    _conv(),
    _conv(stride=2, padding=1),
    _conv(padding=(2, 1), dilation=2),
    _conv(padding="same"),
    _conv(stride=(1, 2), groups=2),
    _pool("max_pool2d", F.max_pool2d, _max, 2),
    _pool("max_pool2d", F.max_pool2d, _max, 3, 1, padding=1),
    _pool("max_pool2d", F.max_pool2d, _max, 2, 1, dilation=2),
    _pool("max_pool2d", F.max_pool2d, _max, 3, 2, ceil_mode=True),
    _pool("avg_pool2d", F.avg_pool2d, _mean, 2),
    _pool("avg_pool2d", F.avg_pool2d, _mean, 3, 2, padding=1),
    _pool("avg_pool2d", F.avg_pool2d, _mean, 3, 2, ceil_mode=True),
    Op(
        "batch_norm",
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        _batch_norm,
        (((4, 2, 2, 2), (2,), (2,)), ((5, 3), (3,), (3,))),
        refuses=((lambda: F.batch_norm(t.ones(1, 2), None, None, training=True), ValueError, "more than 1 value"),),
    ),
    Op(
        "batch_norm in evaluation",
        lambda x, w, b: F.batch_norm(x, t.zeros_like(w).detach() + 0.5, t.ones_like(w).detach() * 2, w, b),
        lambda x, w, b: (x - 0.5) / np.sqrt(2 + 1e-5) * w[:, None, None] + b[:, None, None],
        (((2, 2, 2, 3), (2,), (2,)),),
        refuses=((lambda: F.batch_norm(t.ones(2, 2), None, None), RuntimeError, "running_mean"),),
    ),
)

LABELS = t.tensor([2, 0, -100, 1])


def _cross_entropy(x: np.ndarray) -> np.ndarray:
    return softmax_reference.cross_entropy(x, LABELS.numpy(), -100)[0].sum() / 3


LOSSES = (
    Op(
        "softmax",
        lambda x: t.softmax(x, -1),
        lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
        (((2, 3),), ((4,),), ((2, 3, 2),)),
        refuses=((lambda: t.softmax(t.ones(2)), TypeError, "dim is missing"),),
    ),
    Op(
        "log_softmax",
        lambda x: t.log_softmax(x, 1),
        lambda x: x - np.log(np.exp(x).sum(1, keepdims=True)),
        (((2, 3, 2),),),
    ),
    Op(
        "cross_entropy",
        lambda x: F.cross_entropy(x, LABELS),
        _cross_entropy,
        (((4, 3),),),
        refuses=(
            (lambda: F.cross_entropy(t.ones(1, 3), t.tensor([3])), IndexError, "out of bounds"),
            (lambda: F.cross_entropy(t.ones(2, 3), t.tensor([1])), ValueError, "target must have shape"),
            (lambda: F.cross_entropy(t.ones(1, 3), t.tensor([1]), reduction="x"), ValueError, "reduction"),
        ),
    ),
    Op(
        "cross_entropy with smoothing",
        lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.3),
        lambda x: 0.7 * _cross_entropy(x) - 0.1 * (x - np.log(np.exp(x).sum(1, keepdims=True)))[[0, 1, 3]].sum() / 3,
        (((4, 3),),),
    ),
    Op(
        "nll_loss",
        lambda x: F.nll_loss(x, LABELS, reduction="sum"),
        lambda x: -(x[0, 2] + x[1, 0] + x[3, 1]),
        (((4, 3),),),
    ),
    Op(
        "mse_loss",
        F.mse_loss,
        lambda x, y: np.mean((x - y) ** 2),
        (((2, 3), (2, 3)),),
        refuses=((lambda: F.mse_loss(t.ones(2), t.ones(3)), ValueError, "one shape"),),
    ),
    Op(
        "dropout",
        lambda x: dropout(x, 0.5, generator=t.Generator().manual_seed(1)),
        lambda x: dropout_reference.dropout(x, 0.5, t.Generator().manual_seed(1).key()),
        (((4, 3),), ((0,),)),
        refuses=((lambda: F.dropout(t.ones(2), 1.5), ValueError, "p"),),
    ),
)

OPS: tuple[Op, ...] = (*ELEMENTWISE, *REDUCTIONS, *SHAPES, *PRODUCTS, *LAYERS, *LOSSES)
