"""Differentiable operations, by family."""

from . import conv, create, elementwise, inplace, loss, matmul, norm, pool, random, reduce, shape

__all__ = [
    "conv",
    "create",
    "elementwise",
    "inplace",
    "loss",
    "matmul",
    "norm",
    "pool",
    "random",
    "reduce",
    "shape",
]
