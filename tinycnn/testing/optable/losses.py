"""Softmax, losses, dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinycnn as t

from ...kernels.reference import dropout as dropout_reference
from ...kernels.reference import softmax as softmax_reference
from ...nn import functional as F
from ...ops.random import dropout
from ._op import Op

LABELS = t.tensor([2, 0, -100, 1])


def _cross_entropy(x: np.ndarray) -> np.ndarray:
    return softmax_reference.cross_entropy(x, LABELS.numpy(), -100)[0].sum() / 3


def _pair(name: str, formula: Callable[..., Any], spaced: bool = False, **rule: Any) -> Op:
    function = getattr(F, name)
    refuses = ((lambda: function(t.ones(2), "x"), TypeError, "expected a Tensor"),)
    called = f"nn.functional.{name}" + (f": {rule}" if rule else "")
    samples = (((2, 3), (2, 3)),)
    return Op(called, lambda x, y: function(x, y, **rule), formula, samples, spaced=spaced, refuses=refuses)


def _smooth(d: np.ndarray, edge: float, scale: float) -> np.ndarray:
    return np.where(abs(d) < edge, d * d / 2, edge * (abs(d) - edge / 2)) * scale


def _cosine(x: np.ndarray, y: np.ndarray) -> Any:
    cosine = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    return (1 - cosine[0] + max(0, cosine[1] + 0.9)) / 2


def _triplet(a: np.ndarray, p: np.ndarray, n: np.ndarray) -> Any:
    near, far, other = (np.linalg.norm(d + 1e-6, axis=1) for d in (a - p, a - n, p - n))
    return np.maximum(0, near - np.minimum(far, other) + 1).mean()


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
        "nn.functional.cross_entropy",
        lambda x: F.cross_entropy(x, LABELS.to(x.device)),
        _cross_entropy,
        (((4, 3),),),
        refuses=(
            (lambda: F.cross_entropy(t.ones(1, 3), t.tensor([3])), IndexError, "out of bounds"),
            (lambda: F.cross_entropy(t.ones(2, 3), t.tensor([1])), ValueError, "target must have shape"),
            (lambda: F.cross_entropy(t.ones(1, 3), t.tensor([1]), reduction="x"), ValueError, "reduction"),
        ),
    ),
    Op(
        "nn.functional.cross_entropy: smoothing",
        lambda x: F.cross_entropy(x, LABELS.to(x.device), label_smoothing=0.3),
        lambda x: 0.7 * _cross_entropy(x) - 0.1 * (x - np.log(np.exp(x).sum(1, keepdims=True)))[[0, 1, 3]].sum() / 3,
        (((4, 3),),),
    ),
    Op(
        "nn.functional.nll_loss",
        lambda x: F.nll_loss(x, LABELS.to(x.device), reduction="sum"),
        lambda x: -(x[0, 2] + x[1, 0] + x[3, 1]),
        (((4, 3),),),
    ),
    Op(
        "nn.functional.mse_loss",
        F.mse_loss,
        lambda x, y: np.mean((x - y) ** 2),
        (((2, 3), (2, 3)),),
        refuses=((lambda: F.mse_loss(t.ones(2), t.ones(3)), RuntimeError, "do not broadcast"),),
    ),
    Op(
        "nn.functional.dropout",
        lambda x: dropout(x, 0.5, generator=t.Generator().manual_seed(1)),
        lambda x: dropout_reference.dropout(x, 0.5, t.Generator().manual_seed(1).key()),
        (((4, 3),), ((0,),)),
        refuses=((lambda: F.dropout(t.ones(2), 1.5), ValueError, "p"),),
    ),
    _pair("l1_loss", lambda x, y: abs(x - y).mean(), spaced=True),
    _pair("smooth_l1_loss", lambda x, y: _smooth(x - y, 0.7, 1 / 0.7).mean(), beta=0.7),
    _pair("huber_loss", lambda x, y: _smooth(x - y, 0.7, 1).sum(), delta=0.7, reduction="sum"),
    Op(
        "nn.functional.binary_cross_entropy",
        lambda x, y: F.binary_cross_entropy(x, y),
        lambda x, y: -(y * np.log(x) + (1 - y) * np.log(1 - x)).mean(),
        (((2, 3), (2, 3)),),
        low=0.1,
        high=0.9,
        refuses=(
            (lambda: F.binary_cross_entropy(t.ones(2) * 2, t.ones(2)), RuntimeError, "must lie in"),
            (lambda: F.binary_cross_entropy(t.ones(2), t.ones(3)), ValueError, "one shape"),
        ),
    ),
    Op(
        "nn.functional.binary_cross_entropy_with_logits",
        lambda x, y: F.binary_cross_entropy_with_logits(x, y, pos_weight=t.tensor(2.0, dtype=x.dtype)),
        lambda x, y: -(2 * y * np.log(1 / (1 + np.exp(-x))) + (1 - y) * np.log(1 / (1 + np.exp(x)))).mean(),
        (((2, 3), (2, 3)),),
    ),
    Op(
        "nn.functional.kl_div",
        lambda x, y: F.kl_div(x, y, reduction="batchmean"),
        lambda x, y: (y * (np.log(y) - x)).sum() / 2,
        (((2, 3), (2, 3)),),
        low=0.2,
    ),
    _pair("kl_div", lambda x, y: (np.exp(y) * (y - x)).sum(), reduction="sum", log_target=True),
    _pair("poisson_nll_loss", lambda x, y: (np.exp(x) - y * x).mean()),
    Op(
        "nn.functional.gaussian_nll_loss",
        F.gaussian_nll_loss,
        lambda x, y, v: 0.5 * (np.log(v) + (x - y) ** 2 / v).mean(),
        (((2, 3), (2, 3), (2, 1)),),
        low=0.3,
        refuses=((lambda: F.gaussian_nll_loss(t.ones(2), t.ones(2), -t.ones(2)), ValueError, "negative"),),
    ),
    Op(
        "nn.functional.margin_ranking_loss",
        lambda x, y: F.margin_ranking_loss(x, y, t.tensor([1.0, -1.0, 1.0], dtype=x.dtype), 0.15),
        lambda x, y: np.maximum(0, -np.array([1, -1, 1]) * (x - y) + 0.15).mean(),
        (((3,), (3,)),),
        spaced=True,
    ),
    Op(
        "nn.functional.hinge_embedding_loss",
        lambda x: F.hinge_embedding_loss(x, t.tensor([1.0, -1.0, 1.0], dtype=x.dtype)),
        lambda x: (x[0] + max(0, 1 - x[1]) + x[2]) / 3,
        (((3,),),),
    ),
    Op(
        "nn.functional.soft_margin_loss",
        lambda x: F.soft_margin_loss(x, t.tensor([1.0, -1.0, 1.0], dtype=x.dtype)),
        lambda x: np.log1p(np.exp(-np.array([1, -1, 1]) * x)).mean(),
        (((3,),),),
    ),
    Op(
        "nn.functional.cosine_embedding_loss",
        lambda x, y: F.cosine_embedding_loss(x, y, t.tensor([1, -1]), -0.9),
        _cosine,
        (((2, 3), (2, 3)),),
    ),
    Op(
        "nn.functional.triplet_margin_loss",
        lambda a, p, n: F.triplet_margin_loss(a, p, n, swap=True),
        _triplet,
        (((2, 3), (2, 3), (2, 3)),),
        refuses=((lambda: F.triplet_margin_loss(t.ones(2), t.ones(2), t.ones(2), margin=0), ValueError, "positive"),),
    ),
    Op(
        "nn.functional.triplet_margin_with_distance_loss",
        lambda a, p, n: F.triplet_margin_with_distance_loss(
            a, p, n, distance_function=lambda x, y: ((x - y) ** 2).sum(1), margin=5.0
        ),
        lambda a, p, n: np.maximum(0, ((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 5).mean(),
        (((2, 3), (2, 3), (2, 3)),),
    ),
    Op(
        "nn.functional.multi_margin_loss",
        lambda x: F.multi_margin_loss(x, t.tensor([2, 0]), p=2),
        lambda x: (
            sum(max(0, 1 - x[i, y] + x[i, j]) ** 2 / 3 for i, y in enumerate((2, 0)) for j in range(3) if j != y) / 2
        ),
        (((2, 3),),),
        refuses=((lambda: F.multi_margin_loss(t.ones(1, 2), t.tensor([2])), IndexError, "must lie in"),),
    ),
    Op(
        "nn.functional.multilabel_margin_loss",
        lambda x: F.multilabel_margin_loss(x, t.tensor([[2, 0, -1], [1, -1, 0]])),
        lambda x: (
            sum(
                max(0, 1 - x[i, y] + x[i, j]) / 3
                for i, (labels, others) in enumerate((((2, 0), (1,)), ((1,), (0, 2))))
                for y in labels
                for j in others
            )
            / 2
        ),
        (((2, 3),),),
        spaced=True,
    ),
    Op(
        "nn.functional.multilabel_soft_margin_loss",
        lambda x: F.multilabel_soft_margin_loss(x, t.tensor([[1.0, 0.0, 1.0]], dtype=x.dtype)),
        lambda x: np.log1p(np.exp(np.array([-1, 1, -1]) * x)).mean(),
        (((2, 3),),),
    ),
)
