"""Differentiable operations, by family. Importing this package binds them to Tensor (see `methods`)."""

from . import conv, create, elementwise, inplace, loss, matmul, methods, norm, pool, random, reduce, shape

__all__ = [
    "conv",
    "create",
    "elementwise",
    "inplace",
    "loss",
    "matmul",
    "methods",
    "norm",
    "pool",
    "random",
    "reduce",
    "shape",
]
