"""Convolution, pooling, normalization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinycnn as t

from ...kernels.geometry import conv_spec, pool_spec
from ...kernels.reference import conv as conv_reference
from ...kernels.reference import norm as norm_reference
from ...kernels.reference import pool as pool_reference
from ...nn import functional as F
from ._op import Op


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
    name = "nn.functional.conv2d" + (": " if options else "") + ", ".join(f"{k}={v}" for k, v in options.items())
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
    called = f"nn.functional.{name}: {sizes} " + ", ".join(f"{k}={v}" for k, v in spec.items())
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
        "nn.functional.batch_norm",
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        _batch_norm,
        (((4, 2, 2, 2), (2,), (2,)), ((5, 3), (3,), (3,))),
        refuses=((lambda: F.batch_norm(t.ones(1, 2), None, None, training=True), ValueError, "more than 1 value"),),
    ),
    Op(
        "nn.functional.batch_norm: evaluation",
        lambda x, w, b: F.batch_norm(x, t.zeros_like(w).detach() + 0.5, t.ones_like(w).detach() * 2, w, b),
        lambda x, w, b: (x - 0.5) / np.sqrt(2 + 1e-5) * w[:, None, None] + b[:, None, None],
        (((2, 2, 2, 3), (2,), (2,)),),
        refuses=((lambda: F.batch_norm(t.ones(2, 2), None, None), RuntimeError, "running_mean"),),
    ),
)
