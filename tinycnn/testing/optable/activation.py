"""Nonlinearities."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tinycnn as t

from ...nn import functional as F
from ._op import ONE, Op

Array = np.ndarray
_erf = np.vectorize(math.erf, otypes=[float])


def _plain(name: str, formula: Callable[[Array], Array], *rule: Any, **options: Any) -> Op:
    function = getattr(F, name)
    refuses = (
        (lambda: function(t.tensor([True]), *rule), RuntimeError, "bool"),
        (lambda: function([1.0], *rule), TypeError, "expected a Tensor"),
    )
    called = f"nn.functional.{name}" + (f": {rule}" if rule else "")
    return Op(called, lambda x: function(x, *rule), formula, ONE, spaced=True, refuses=refuses, **options)


def _softplus(x: Array) -> Array:
    return np.log1p(np.exp(x))


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _elu(x: Array, alpha: float = 1.0, scale: float = 1.0, inner: float = 1.0) -> Array:
    return scale * np.where(x > 0, x, alpha * (np.exp(x * inner) - 1))


def _written(x: t.Tensor) -> t.Tensor:
    """Every function that can write into its input, one after the other."""
    y = x * 1
    for function in (F.elu_, F.celu_, F.selu_, F.leaky_relu_, F.hardtanh_, t.sigmoid_, t.tanh_, F.relu_):
        function(y)
    return F.threshold_(y, -1.0, 0.0)


def _written_formula(x: Array) -> Array:
    x = _elu(_elu(_elu(x)), 1.6732632423543772, 1.0507009873554805)
    x = np.clip(np.where(x > 0, x, 0.01 * x), -1, 1)
    return np.maximum(np.tanh(_sigmoid(x)), 0)


ACTIVATIONS = (
    _plain("relu6", lambda x: np.clip(x, 0, 6), low=-2, high=8),
    _plain("leaky_relu", lambda x: np.where(x > 0, x, 0.2 * x), 0.2),
    _plain("elu", lambda x: _elu(x, 1.5), 1.5),
    _plain("selu", lambda x: _elu(x, 1.6732632423543772, 1.0507009873554805)),
    _plain("celu", lambda x: _elu(x, 2.0, 1.0, 0.5), 2.0),
    _plain("gelu", lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2)))),
    _plain("gelu", lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), "tanh"),
    _plain("silu", lambda x: x * _sigmoid(x)),
    _plain("mish", lambda x: x * np.tanh(_softplus(x))),
    _plain("hardtanh", lambda x: np.clip(x, -0.53, 1.03), -0.53, 1.03),
    _plain("hardsigmoid", lambda x: np.clip(x + 3, 0, 6) / 6, low=-5, high=5),
    _plain("hardswish", lambda x: x * np.clip(x + 3, 0, 6) / 6, low=-5, high=5),
    _plain("hardshrink", lambda x: np.where(abs(x) > 0.53, x, 0), 0.53),
    _plain("softshrink", lambda x: np.sign(x) * np.maximum(abs(x) - 0.53, 0), 0.53),
    _plain("softplus", lambda x: _softplus(2 * x) / 2, 2.0),
    _plain("logsigmoid", lambda x: -_softplus(-x)),
    _plain("threshold", lambda x: np.where(x > 0.53, x, -7), 0.53, -7.0),
    Op("nn.functional.softsign", F.softsign, lambda x: x / (1 + abs(x)), ONE, spaced=True),
    Op("nn.functional.tanhshrink", F.tanhshrink, lambda x: x - np.tanh(x), ONE),
    Op(
        "nn.functional.prelu",
        F.prelu,
        lambda x, w: np.where(x > 0, x, x * (w if x.ndim < 2 else w[:, None])),
        (((2, 3, 2), (3,)), ((4,), (1,))),
        spaced=True,
        refuses=((lambda: F.prelu(t.ones(2, 3), t.ones(2)), RuntimeError, "expected 1 weight, or 3"),),
    ),
    Op(
        "nn.functional.glu",
        lambda x: F.glu(x, 1),
        lambda x: x[:, :2] * _sigmoid(x[:, 2:]),
        (((2, 4),),),
        refuses=((lambda: F.glu(t.ones(3)), RuntimeError, "even"),),
    ),
    Op(
        "nn.functional.softmin",
        lambda x: F.softmin(x, 1),
        lambda x: np.exp(-x) / np.exp(-x).sum(1, keepdims=True),
        (((2, 3),),),
    ),
    Op(
        "nn.functional.gumbel_softmax",
        lambda x: F.gumbel_softmax(x, 0.7, True, dim=1).sum(1) + F.gumbel_softmax(x, dim=1).sum(1) * 0,
        lambda x: np.ones(len(x)),
        (((4, 3),),),
        gradient=False,
    ),
    Op("relu_: all that write", _written, _written_formula, (((3, 4),),), spaced=True, second=False),
)
