"""Pooling: the largest or the mean element of each window."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .._tensor import Tensor, wrap
from ..autograd import Function, hang, is_grad_enabled, node_for
from ..kernels.geometry import pool_spec
from .conv import is_plain
from .elementwise import require_float
from .shape import squeeze, unsqueeze

PairArg = int | tuple[int, int]

_known_spec = functools.lru_cache(1024)(pool_spec)


class MaxPool2d(Function):
    """The node that `max_pool2d` records; its argmax counts inside the window, kh * KW + kw."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (argmax,) = ctx.saved_tensors
        if is_grad_enabled():
            return MaxPool2dGrad.apply(g, argmax, ctx.spec)
        return wrap(g.device.kernels.max_pool2d_grad(g.array, argmax.array, ctx.spec), g.device)


class MaxPool2dGrad(Function):
    """g added at the winners."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, argmax: Tensor, spec: Any) -> Tensor:
        ctx.save_for_backward(argmax)
        ctx.spec = spec
        return wrap(g.device.kernels.max_pool2d_grad(g.array, argmax.array, spec), g.device)

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> Any:
        return MaxPool2dTake.apply(gg, *ctx.saved_tensors, ctx.spec), None, None


class MaxPool2dTake(Function):
    """x picked at the winners: the adjoint of `MaxPool2dGrad`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, argmax: Tensor, spec: Any) -> Tensor:
        ctx.save_for_backward(argmax)
        ctx.spec = spec
        return wrap(x.device.kernels.max_pool2d_take(x.array, argmax.array, spec), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return MaxPool2dGrad.apply(g, *ctx.saved_tensors, ctx.spec), None, None


def _plane_indices(argmax: Tensor, spec: Any) -> Tensor:
    """Positions inside the window as positions inside the (unpadded) image, i * W + j."""
    (sh, sw), (ph, pw), (dh, dw) = spec.stride, spec.padding, spec.dilation
    oh, ow = spec.output_size
    xp = argmax.device.xp
    kh, kw = xp.divmod(argmax.array.astype(np.int64), spec.kernel_size[1])
    rows = (xp.arange(oh) * sh - ph)[:, None] + kh * dh
    columns = xp.arange(ow) * sw - pw + kw * dw
    return wrap(rows * spec.input_size[1] + columns, argmax.device)


def max_pool2d(
    input: Tensor,
    kernel_size: PairArg,
    stride: PairArg | None = None,
    padding: PairArg = 0,
    dilation: PairArg = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`functional.max_pool2d` for float32 and float64.

    Raises:
        TypeError, ValueError, RuntimeError: with the rule and the numbers, if the arguments do not fit.
    """
    require_float("max_pool2d", input)
    single = input.array.ndim == 3
    x = unsqueeze(input, 0) if single else input
    known = is_plain(kernel_size) and (stride is None or is_plain(stride)) and is_plain(padding) and is_plain(dilation)
    find: Any = _known_spec if known and type(ceil_mode) is bool else pool_spec
    spec = find(x.array.shape, kernel_size, stride, padding, dilation, ceil_mode, "max_pool2d")
    place = x.device
    largest, position = place.kernels.max_pool2d(x.array, spec)
    y, argmax = wrap(largest, place), wrap(position, place)
    ctx = node_for(MaxPool2d, x)
    if ctx is not None:
        ctx._saved, ctx.spec = (argmax,), spec
        hang(ctx, y)
    if single:
        y = squeeze(y, 0)
    if not return_indices:
        return y
    indices = _plane_indices(argmax, spec)
    return y, squeeze(indices, 0) if single else indices


class AvgPool2d(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, spec: Any, count_include_pad: bool, divisor: int | None) -> Tensor:
        ctx.rule = spec, count_include_pad, divisor
        return wrap(x.device.kernels.avg_pool2d(x.array, *ctx.rule), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return AvgPool2dGrad.apply(g, *ctx.rule), None, None, None


class AvgPool2dGrad(Function):
    """Each g spread evenly over its window: the adjoint of `AvgPool2d`."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, spec: Any, count_include_pad: bool, divisor: int | None) -> Tensor:
        ctx.rule = spec, count_include_pad, divisor
        return wrap(g.device.kernels.avg_pool2d_grad(g.array, *ctx.rule), g.device)

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> Any:
        return AvgPool2d.apply(gg, *ctx.rule), None, None, None


def avg_pool2d(
    input: Tensor,
    kernel_size: PairArg,
    stride: PairArg | None = None,
    padding: PairArg = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """`functional.avg_pool2d` for float32 and float64.

    Raises:
        TypeError, ValueError, RuntimeError: with the rule and the numbers, if the arguments do not fit.
    """
    require_float("avg_pool2d", input)
    if divisor_override is not None and (
        isinstance(divisor_override, bool) or not isinstance(divisor_override, int) or divisor_override == 0
    ):
        raise ValueError(f"avg_pool2d: divisor_override must be an int other than 0, got {divisor_override!r}")
    single = input.array.ndim == 3
    x = unsqueeze(input, 0) if single else input
    spec = pool_spec(x.array.shape, kernel_size, stride, padding, 1, ceil_mode, "avg_pool2d")
    y = AvgPool2d.apply(x, spec, bool(count_include_pad), divisor_override)
    return squeeze(y, 0) if single else y
