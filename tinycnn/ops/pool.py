"""Pooling: the largest or the mean element of each window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._tensor import Later, Tensor, wrap
from ..autograd import Function, hang, is_grad_enabled, node_for
from ..kernels.geometry import pool_spec, remembered
from .elementwise import put_off, require_float
from .shape import squeeze, unsqueeze

PairArg = int | tuple[int, int]

_spec_of = remembered(pool_spec)


class MaxPool2d(Function):
    """The node that `max_pool2d` records; its argmax counts inside the window, kh * KW + kw.

    If a ReLU in front was taken along, its output is saved too, which may never have been computed.
    """

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        argmax, rectified = ctx.saved_tensors
        kernels, spec = g.device.kernels, ctx.spec
        if is_grad_enabled():
            if rectified is not None:
                argmax = wrap(kernels.max_pool2d(rectified.array, spec)[1], g.device)
            return MaxPool2dGrad.apply(g, argmax.array, spec)
        if rectified is not None:
            return put_off(Unpooled(g, argmax, rectified, spec), g.device)
        return wrap(kernels.max_pool2d_grad(g.array, argmax.array, spec), g.device)


class Unpooled(Later):
    """The gradient of a ReLU's output that max pooling took along.

    The ReLU asks for it masked: then `argmax` serves, which names no element of a window without positive ones.
    Somebody else sees it where the first of the equal elements is, as if there had been two operations.
    """

    def __init__(self, g: Tensor, argmax: Tensor, rectified: Tensor, spec: Any) -> None:
        super().__init__(g.device, g.array)
        self.shape, self.argmax, self.rectified, self.spec = spec.input_shape, argmax.array, rectified, spec

    def compute(self) -> Any:
        winners = self.kernels.max_pool2d(self.rectified.array, self.spec)[1]
        return self.kernels.max_pool2d_grad(*self.given, winners, self.spec)

    def masked(self, y: Tensor) -> Any:
        return self.kernels.max_pool2d_grad(*self.given, self.argmax, self.spec) if self._array is None else None


def adjoints(*kernels: str) -> Iterator[type[Function]]:
    """Make the Functions of two kernels that are linear in x, ``kernel(x, *rule)``, and each other's gradient."""

    def function(name: str) -> type[Function]:
        class Op(Function):
            @staticmethod
            def forward(ctx: Any, x: Tensor, *rule: Any) -> Tensor:
                ctx.rule = rule
                return wrap(getattr(x.device.kernels, name)(x.array, *rule), x.device)

            @staticmethod
            def backward(ctx: Any, g: Tensor) -> Any:
                return (other[ctx.function].apply(g, *ctx.rule), *[None] * len(ctx.rule))

        Op.__name__ = Op.__qualname__ = "".join(part.capitalize() for part in name.split("_"))
        return Op

    there, back = (function(name) for name in kernels)
    other = {there: back, back: there}
    return iter(other)


MaxPool2dGrad, MaxPool2dTake = adjoints("max_pool2d_grad", "max_pool2d_take")  # g added and x picked at the winners
AvgPool2d, AvgPool2dGrad = adjoints("avg_pool2d", "avg_pool2d_grad")


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
    require_float("max_pool2d", input, half=True)
    single = len((input._later or input.array).shape) == 3
    x = unsqueeze(input, 0) if single else input
    spec = _spec_of(((x._later or x.array).shape,), kernel_size, stride, padding, dilation, ceil_mode, "max_pool2d")
    place, before = x.device, None
    if x._later is not None and not return_indices and spec.dilation == (1, 1):  # no window of padding alone
        before = x._later.before_relu()
    rectified = before is not None
    largest, position = place.kernels.max_pool2d(before if rectified else x.array, spec, rectified)
    y, argmax = wrap(largest, place), wrap(position, place)
    ctx = node_for(MaxPool2d, x)
    if ctx is not None:
        ctx._saved, ctx.spec = (argmax, x if rectified else None), spec
        hang(ctx, y)
    if single:
        y = squeeze(y, 0)
    if not return_indices:
        return y
    indices = _plane_indices(argmax, spec)
    return y, squeeze(indices, 0) if single else indices


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
    require_float("avg_pool2d", input, half=True)
    if divisor_override is not None and (
        isinstance(divisor_override, bool) or not isinstance(divisor_override, int) or divisor_override == 0
    ):
        raise ValueError(f"avg_pool2d: divisor_override must be an int other than 0, got {divisor_override!r}")
    single = input.array.ndim == 3
    x = unsqueeze(input, 0) if single else input
    spec = pool_spec(x.array.shape, kernel_size, stride, padding, 1, ceil_mode, "avg_pool2d")
    y = AvgPool2d.apply(x, spec, bool(count_include_pad), divisor_override)
    return squeeze(y, 0) if single else y
