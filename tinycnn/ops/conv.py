"""Convolution (cross-correlation, as everywhere in deep learning) and its two gradients.

The three functions are bilinear and each is a gradient of the others, which closes the circle for gradients of
gradients:

    y  = conv2d(x, w)            y[n,o,i,j]  = sum over c,u,v of x[n, c, i*s+u*d-p, j*s+v*d-p] * w[o,c,u,v]
    gx = input_grad(gy, w)       the adjoint in x: gy stretched by the stride, correlated with w turned by 180 degrees
    gw = weight_grad(gy, x)      the adjoint in w: x correlated with gy
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from .._tensor import Tensor, wrap
from ..autograd import Function, hang, is_grad_enabled, node_for
from ..kernels.geometry import conv_spec, remembered
from .elementwise import cast, has_kernels
from .matmul import same_kind
from .reduce import sum
from .shape import squeeze, unsqueeze

Ints = int | Sequence[int]


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


_spec_of = remembered(conv_spec)


def in_float(name: str, function: Callable[..., Tensor], *tensors: Any) -> Tensor:
    """``function(*tensors)`` for a dtype without kernels: float16 is computed in float32, integers in float64.

    Raises:
        RuntimeError: for bools.
    """
    kind = tensors[0].array.dtype
    if kind.kind in "bu":
        raise RuntimeError(f"{name}: not for {tensors[0].dtype} tensors; convert with .float()")
    for t in tensors[1:]:
        if t is not None:
            same_kind(name, tensors[0], t)
    wide = dtypes.float32 if kind == np.float16 else dtypes.float64
    return cast(function(*[None if t is None else cast(t, wide) for t in tensors]), tensors[0].dtype)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Any = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """2-D cross-correlation of `input` with `weight`, plus `bias`.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        weight: (O, C / groups, KH, KW).
        bias: (O,) or None.
        stride, dilation: an int or a pair (height, width).
        padding: zeros around the image: an int, a pair, ``"valid"`` (none) or ``"same"`` (stride 1 only).
        groups: channels are split into so many groups, each with its own filters; groups = C is depthwise.

    Returns:
        (N, O, OH, OW) with OH = floor((H + 2P - D(KH-1) - 1) / S) + 1, and OW likewise.

    Raises:
        TypeError, ValueError, RuntimeError: with the rule and the numbers, if the arguments do not fit.
    """
    if isinstance(input, Tensor) and not has_kernels(input):
        rule: Any = (stride, padding, dilation, groups)
        return in_float("conv2d", lambda x, w, b: conv2d(x, w, b, *rule), input, weight, bias)
    same_kind("conv2d", input, weight, "the weight")
    if bias is not None:
        same_kind("conv2d", input, bias, "the bias")
    single = input.array.ndim == 3
    if single:
        input = unsqueeze(input, 0)
    x, w, b, place = input.array, weight.array, None if bias is None else bias.array, input.device
    spec = _spec_of((x.shape, w.shape), stride, padding, dilation, groups)
    if b is not None and b.shape != (spec.out_channels,):
        raise ValueError(
            f"conv2d: the bias must have shape ({spec.out_channels},), one for each filter, got {tuple(b.shape)}"
        )
    y = wrap(place.kernels.conv2d(x, w, b, spec), place)
    ctx = node_for(Conv2d, input, weight, bias, None)
    if ctx is not None:
        ctx._saved = input, weight
        ctx.spec = spec
        hang(ctx, y)
    return squeeze(y, 0) if single else y
