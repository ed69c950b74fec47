"""Softmax, and losses of classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import dtypes
from .._tensor import Tensor, wrap
from ..autograd import Function, hang, is_grad_enabled, node_for
from .elementwise import cast, exp, neg, require_float, where
from .reduce import sum
from .shape import expand, reshape, unsqueeze, wrap_dim


def by_rows(name: str, derivative: Callable[..., Any]) -> type[Function]:
    """Make the Function of rows x (R, K), or over the middle of (N, K, L), from the kernels `name` and ``name_grad``.

    Args:
        derivative: ``(g, y) -> gradient``, in differentiable operations.
    """

    class Op(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            y = wrap(getattr(x.device.kernels, name)(x.array), x.device)
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            (y,) = ctx.saved_tensors
            if not is_grad_enabled():  # the same in one kernel
                return wrap(getattr(g.device.kernels, name + "_grad")(g.array, y.array), g.device)
            gx: Tensor = derivative(g, y)
            return gx

    Op.__name__ = Op.__qualname__ = "".join(part.capitalize() for part in name.split("_"))
    return Op


Softmax = by_rows("softmax", lambda g, y: y * (g - sum(g * y, 1, True)))
LogSoftmax = by_rows("log_softmax", lambda g, y: g - g.sum(1, True) * exp(y))


def _by_rows(function: type[Function], name: str, input: Tensor, dim: int | None, dtype: Any) -> Tensor:
    """Apply such a Function along any dimension."""
    if dtype is not None:
        input = cast(input, dtypes.as_dtype(dtype))
    require_float(name, input)
    ndim = input.array.ndim
    if dim is None:
        raise TypeError(f"{name}: dim is missing; for (N, classes) it is 1, for (N, classes, H, W) also 1")
    dim = wrap_dim(dim, ndim, name)
    if ndim == 2 and dim == 1:
        return function.apply(input)
    shape = input.array.shape or (1,)
    form = math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])
    return reshape(function.apply(reshape(input, form[:2] if dim == len(shape) - 1 else form)), input.array.shape)


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`, computed without overflow."""
    return _by_rows(Softmax, "softmax", input, dim, dtype)


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """x - log(sum(exp(x))) along `dim`, computed without overflow."""
    return _by_rows(LogSoftmax, "log_softmax", input, dim, dtype)


# -- classification ---------------------------------------------------------------------------------------------------


class CrossEntropy(Function):
    """The node that `cross_entropy` records."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, lse, target = ctx.saved_tensors
        if not is_grad_enabled():  # the same in one kernel
            kernels, scale = g.device.kernels, g.array
            if ctx.total is not None:
                scale = kernels.div(scale.reshape(1), ctx.total)
            gx = kernels.cross_entropy_grad(scale, x.array, lse.array, target.array, ctx.ignore_index)
            return wrap(gx, g.device)
        if ctx.total is not None:
            g = expand(g / ctx.total, target.array.shape)
        valid = target.array != ctx.ignore_index
        onehot = x.device.xp.arange(x.array.shape[1]) == target.array[:, None]
        scale = unsqueeze(g * wrap(valid.astype(x.array.dtype), x.device), 1)
        return scale * (softmax(x, 1) - wrap(onehot.astype(x.array.dtype), x.device))


def cross_entropy(x: Tensor, target: Tensor, ignore_index: int, total: int | None = None) -> Tensor:
    """-log softmax(x)[target] of each row of x (R, K), 0 where the target is `ignore_index`.

    With a `total`, their sum divided by it: the usual mean, without a node of its own for each step.
    """
    place = x.device
    loss, lse = place.kernels.cross_entropy(x.array, target.array, ignore_index, total)
    y = wrap(loss, place)
    ctx = node_for(CrossEntropy, x)
    if ctx is not None:
        ctx._saved = x, wrap(lse, place), target
        ctx.ignore_index, ctx.total = ignore_index, total
        hang(ctx, y)
    return y


class Nll(Function):
    """-x[target] of each row of x (R, K), 0 where the target is `ignore_index`; with a `total` as `CrossEntropy`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, target: Tensor, ignore_index: int, total: int | None = None) -> Tensor:
        kernels = x.device.kernels
        loss = kernels.nll(x.array, target.array, ignore_index)
        ctx.save_for_backward(target)
        ctx.ignore_index, ctx.total, ctx.classes = ignore_index, total, x.array.shape[1]
        return wrap(loss if total is None else kernels.div(kernels.sum(loss, (0,), False), total), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (target,) = ctx.saved_tensors
        if ctx.total is not None:
            g = g / ctx.total
        if not is_grad_enabled():  # the same in one kernel
            gx = g.device.kernels.nll_grad(g.array.reshape(-1), target.array, ctx.ignore_index, ctx.classes)
            return wrap(gx, g.device), None, None, None
        onehot = g.device.xp.arange(ctx.classes) == target.array[:, None]
        onehot &= target.array[:, None] != ctx.ignore_index
        return where(wrap(onehot, g.device), neg(reshape(g, (-1, 1))), 0.0), None, None, None
