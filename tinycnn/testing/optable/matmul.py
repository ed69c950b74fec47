"""Products of matrices."""

from __future__ import annotations

import numpy as np

import tinycnn as t

from ...nn import functional as F
from ._op import Op

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
        "nn.functional.linear",
        F.linear,
        lambda x, w, b: x @ w.T + b,
        (((4, 3), (2, 3), (2,)), ((3,), (2, 3), (2,)), ((2, 2, 3), (5, 3), (5,)), ((0, 3), (2, 3), (2,))),
        refuses=((lambda: F.linear(t.ones(2, 4), t.ones(3, 5)), RuntimeError, "in_features = 5"),),
    ),
)
