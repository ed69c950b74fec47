"""Convolution."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..kernels.geometry import GeometryError, _integer, _pair
from ..ops.create import empty
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class Conv2d(Module):
    """2-D convolution (cross-correlation, as everywhere in deep learning):

    y[n,o,i,j] = bias[o] + sum over c,u,v of weight[o,c,u,v] * x[n, c, i*S - P + u*D, j*S - P + v*D]

    Shapes: (N, in_channels, H, W) or (in_channels, H, W), to (N, out_channels, OH, OW) or (out_channels, OH, OW), with
    OH = floor((H + 2P - D(KH-1) - 1) / S) + 1, and OW likewise.

    Args:
        kernel_size, stride, dilation: an int, or a pair (height, width).
        padding: zeros around the image: an int, a pair, ``"valid"`` (none) or ``"same"`` (keeps the size; stride 1).
        groups: channels are split into so many groups, each with filters of its own; groups = in_channels is depthwise.
        bias: whether a number is added to each output channel.
        padding_mode: ``"zeros"``.

    Attributes:
        weight: (out_channels, in_channels / groups, KH, KW), at first even in [-b, b] with
            b = 1 / sqrt(in_channels / groups * KH * KW).
        bias: (out_channels,), from the same interval, or None.

    Raises:
        TypeError, ValueError: for arguments that no image could fit; when called, for an image that does not fit.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_channels = _integer("Conv2d", "in_channels", in_channels, 1)
        self.out_channels = _integer("Conv2d", "out_channels", out_channels, 1)
        self.kernel_size = _pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = _pair("Conv2d", "stride", stride, 1)
        self.padding = padding if isinstance(padding, str) else _pair("Conv2d", "padding", padding, 0)
        self.dilation = _pair("Conv2d", "dilation", dilation, 1)
        self.groups = _integer("Conv2d", "groups", groups, 1)
        self.padding_mode = padding_mode
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise GeometryError(
                f"Conv2d: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}"
            )
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise GeometryError(f"Conv2d: padding must be an int, a pair, 'same' or 'valid', got {padding!r}")
        if padding == "same" and self.stride != (1, 1):
            raise GeometryError(f"Conv2d: padding='same' keeps the size only with stride 1, got stride={stride}")
        if padding_mode != "zeros":
            raise ValueError(f"Conv2d: padding_mode must be 'zeros', the only one offered here; got {padding_mode!r}")
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(empty(self.out_channels, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.reset_weight_and_bias(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def _check(self, input: Tensor) -> None:
        """Refuse an input with the wrong number of dimensions or channels, and guess what was meant."""
        if not isinstance(input, Tensor):
            raise TypeError(
                f"Conv2d: expected a Tensor, got {type(input).__name__}; convert it with tinycnn.tensor(...)"
            )
        shape, wanted = tuple(input.array.shape), self.in_channels
        if len(shape) in (3, 4) and shape[-3] == wanted:
            return
        if len(shape) not in (3, 4):
            hint = "; add the channel with .unsqueeze(-3)" if len(shape) == 2 and wanted == 1 else ""
            raise GeometryError(
                f"Conv2d(in_channels={wanted}): expected images (N, {wanted}, H, W) or one (H, W) image with channels, "
                f"({wanted}, H, W); got shape {shape}{hint}"
            )
        if shape[-1] == wanted:
            hint = "the channels seem to be last: move them with .movedim(-1, -3)"
        elif len(shape) == 3 and wanted == 1:
            hint = "if these are N images without a channel, add it with .unsqueeze(1)"
        else:
            rest = f"{self.out_channels}, {self.kernel_size}"
            hint = f"make it Conv2d({shape[-3]}, {rest}) or change what comes before"
        raise GeometryError(
            f"Conv2d(in_channels={wanted}): the input has {shape[-3]} channels (input shape {shape}); {hint}"
        )

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"
