"""Normalization of groups of channels, of layers, and by the root of the mean square."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor, wrap
from ..autograd import Function, is_grad_enabled
from .reduce import mean, sum
from .shape import reshape


def _vector(t: Tensor | None, size: int, like: Tensor, fill: int) -> Any:
    """The array of `t` as a vector of `size` elements, or one of `fill`."""
    return like.device.kernels.full((size,), fill, like.array.dtype) if t is None else t.array.reshape(size)


def _fused(inputs: tuple[Any, ...], found: tuple[Any, ...]) -> list[Tensor | None]:
    """What a kernel found, as the gradients of these inputs; None where there is none."""
    return [None if t is None else wrap(a.reshape(t.array.shape), t.device) for t, a in zip(inputs, found, strict=True)]


def _composed(inputs: tuple[Any, ...], found: tuple[Tensor, ...]) -> list[Tensor | None]:
    return [None if t is None else reshape(g, t.array.shape) for t, g in zip(inputs, found, strict=True)]


class GroupNorm(Function):
    """(x - mean) / sqrt(var + eps) * weight + bias, with the mean and biased variance of each group.

    x is seen as `form` = (N, C, L), and cut into `groups` groups of channels; weight and bias have C elements, or are
    None. A layer norm of K numbers has the form (rows, K, 1) and one group.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        form: tuple[int, int, int],
        groups: int,
        eps: float,
    ) -> Tensor:
        w, b = _vector(weight, form[1], x, 1), _vector(bias, form[1], x, 0)
        y, *ctx.moments = x.device.kernels.group_norm(x.array.reshape(form), w, b, groups, eps)
        ctx.save_for_backward(x, weight, bias)
        ctx.form, ctx.groups, ctx.eps = form, groups, eps
        return wrap(y.reshape(x.array.shape), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight, bias = inputs = ctx.saved_tensors
        form, groups = ctx.form, ctx.groups
        if not is_grad_enabled():  # the same in one kernel
            arrays = g.array.reshape(form), x.array.reshape(form), *ctx.moments, _vector(weight, form[1], x, 1)
            return *_fused(inputs, g.device.kernels.group_norm_grad(*arrays, groups)), None, None, None
        apart = form[0], groups, form[1] // groups, form[2]
        centred = reshape(x, apart)
        centred = centred - mean(centred, (2, 3), True)
        inverse = (mean(centred * centred, (2, 3), True) + ctx.eps) ** -0.5
        xhat, upstream = centred * inverse, reshape(g, apart)
        weighed = upstream if weight is None else upstream * reshape(weight, (1, *apart[1:3], 1))
        gx = (weighed - mean(weighed, (2, 3), True) - xhat * mean(weighed * xhat, (2, 3), True)) * inverse
        return *_composed(inputs, (gx, sum(upstream * xhat, (0, 3)), sum(upstream, (0, 3)))), None, None, None


class RmsNorm(Function):
    """x / sqrt(mean(x**2) + eps) * weight for x seen as `form` = (rows, K); weight has K elements, or is None."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, form: tuple[int, int], eps: float) -> Tensor:
        y, ctx.rstd = x.device.kernels.rms_norm(x.array.reshape(form), _vector(weight, form[1], x, 1), eps)
        ctx.save_for_backward(x, weight)
        ctx.form, ctx.eps = form, eps
        return wrap(y.reshape(x.array.shape), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight = inputs = ctx.saved_tensors
        form = ctx.form
        if not is_grad_enabled():  # the same in one kernel
            arrays = g.array.reshape(form), x.array.reshape(form), ctx.rstd, _vector(weight, form[1], x, 1)
            return *_fused(inputs, g.device.kernels.rms_norm_grad(*arrays)), None, None
        row, upstream = reshape(x, form), reshape(g, form)
        inverse = (mean(row * row, 1, True) + ctx.eps) ** -0.5
        xhat = row * inverse
        weighed = upstream if weight is None else upstream * reshape(weight, form[1:])
        gx = (weighed - xhat * mean(weighed * xhat, 1, True)) * inverse
        return *_composed(inputs, (gx, sum(upstream * xhat, 0))), None, None
