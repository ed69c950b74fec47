"""Convolution (cross-correlation, as everywhere in deep learning) and its two gradients.

The three functions are bilinear and each is a gradient of the others, which closes the circle for gradients of
gradients:

    y  = conv2d(x, w)            y[n,o,i,j]  = sum over c,u,v of x[n, c, i*s+u*d-p, j*s+v*d-p] * w[o,c,u,v]
    gx = input_grad(gy, w)       the adjoint in x: gy stretched by the stride, correlated with w turned by 180 degrees
    gw = weight_grad(gy, x)      the adjoint in w: x correlated with gy
"""

from __future__ import annotations

import functools
from typing import Any

from .._tensor import Tensor, wrap
from ..autograd import Function, hang, is_grad_enabled, node_for
from ..kernels.geometry import conv_spec
from .matmul import same_kind
from .reduce import sum
from .shape import squeeze, unsqueeze


class Conv2d(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor | None, spec: Any) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.spec = spec
        return wrap(x.device.kernels.conv2d(x.array, w.array, None if b is None else b.array, spec), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, w = ctx.saved_tensors
        for_x, for_w, for_b, _ = ctx.edges
        spec = ctx.spec
        if is_grad_enabled():
            gx = None if for_x is None else Conv2dInputGrad.apply(g, w, spec)
            gw = None if for_w is None else Conv2dWeightGrad.apply(g, x, spec)
            gb = None if for_b is None else sum(g, (0, 2, 3))
        else:
            place = g.device
            kernels = place.kernels
            gx = None if for_x is None else wrap(kernels.conv2d_input_grad(g.array, w.array, spec), place)
            gw = None if for_w is None else wrap(kernels.conv2d_weight_grad(g.array, x.array, spec), place)
            gb = None if for_b is None else wrap(kernels.sum(g.array, (0, 2, 3), False), place)
        return gx, gw, gb, None


class Conv2dInputGrad(Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, w: Tensor, spec: Any) -> Tensor:
        ctx.save_for_backward(g, w)
        ctx.spec = spec
        return wrap(g.device.kernels.conv2d_input_grad(g.array, w.array, spec), g.device)

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> Any:
        g, w = ctx.saved_tensors
        for_g, for_w, _ = ctx.edges
        to_g = None if for_g is None else Conv2d.apply(gg, w, None, ctx.spec)
        return to_g, None if for_w is None else Conv2dWeightGrad.apply(g, gg, ctx.spec), None


class Conv2dWeightGrad(Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, spec: Any) -> Tensor:
        ctx.save_for_backward(g, x)
        ctx.spec = spec
        return wrap(g.device.kernels.conv2d_weight_grad(g.array, x.array, spec), g.device)

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> Any:
        g, x = ctx.saved_tensors
        for_g, for_x, _ = ctx.edges
        to_g = None if for_g is None else Conv2d.apply(x, gg, None, ctx.spec)
        return to_g, None if for_x is None else Conv2dInputGrad.apply(g, gg, ctx.spec), None


_known_spec = functools.lru_cache(1024)(conv_spec)


def is_plain(value: Any) -> bool:
    """Whether this is an int or a pair of ints: what equals another key of the cache only if it means the same."""
    return type(value) is int or (
        type(value) is tuple and len(value) == 2 and type(value[0]) is int and type(value[1]) is int
    )


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | str = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    """`functional.conv2d` for float32 and float64: checks, the spec, and the kernel.

    Raises:
        TypeError, ValueError, RuntimeError: with the rule and the numbers, if the arguments do not fit.
    """
    same_kind("conv2d", input, weight, "the weight")
    if bias is not None:
        same_kind("conv2d", input, bias, "the bias")
    single = input.array.ndim == 3
    if single:
        input = unsqueeze(input, 0)
    known = type(groups) is int and is_plain(stride) and is_plain(padding) and is_plain(dilation)
    find: Any = _known_spec if known else conv_spec
    spec = find(input.array.shape, weight.array.shape, stride, padding, dilation, groups, "conv2d")
    if bias is not None and bias.array.shape != (spec.out_channels,):
        raise ValueError(
            f"conv2d: the bias must have shape ({spec.out_channels},), one for each filter, "
            f"got {tuple(bias.array.shape)}"
        )
    place = input.device
    y = wrap(place.kernels.conv2d(input.array, weight.array, None if bias is None else bias.array, spec), place)
    ctx = node_for(Conv2d, input, weight, bias, None)
    if ctx is not None:
        ctx._saved = input, weight
        ctx.spec = spec
        hang(ctx, y)
    return squeeze(y, 0) if single else y
