"""Softmax, losses, dropout."""

from __future__ import annotations

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
        "nn.functional.cross_entropy: smoothing",
        lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.3),
        lambda x: 0.7 * _cross_entropy(x) - 0.1 * (x - np.log(np.exp(x).sum(1, keepdims=True)))[[0, 1, 3]].sum() / 3,
        (((4, 3),),),
    ),
    Op(
        "nn.functional.nll_loss",
        lambda x: F.nll_loss(x, LABELS, reduction="sum"),
        lambda x: -(x[0, 2] + x[1, 0] + x[3, 1]),
        (((4, 3),),),
    ),
    Op(
        "nn.functional.mse_loss",
        F.mse_loss,
        lambda x, y: np.mean((x - y) ** 2),
        (((2, 3), (2, 3)),),
        refuses=((lambda: F.mse_loss(t.ones(2), t.ones(3)), ValueError, "one shape"),),
    ),
    Op(
        "nn.functional.dropout",
        lambda x: dropout(x, 0.5, generator=t.Generator().manual_seed(1)),
        lambda x: dropout_reference.dropout(x, 0.5, t.Generator().manual_seed(1).key()),
        (((4, 3),), ((0,),)),
        refuses=((lambda: F.dropout(t.ones(2), 1.5), ValueError, "p"),),
    ),
)
