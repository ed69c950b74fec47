"""Convolution and its transpose."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..composed.conv import _one
from ..kernels.geometry import GeometryError, _integer, _pair
from ..ops.create import empty
from . import functional as F
from . import init
from .module import Module, weight_and_bias
from .parameter import Parameter

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def _padded(layer: Any, input: Tensor) -> Tensor:
    """The input with the border that a padding_mode other than zeros puts around it."""
    sides: list[int] = []
    for i, d, k in zip(range(len(layer.kernel_size)), layer.dilation, layer.kernel_size, strict=True):
        total = d * (k - 1)
        if isinstance(layer.padding, str):
            before, after = (total // 2, total - total // 2) if layer.padding == "same" else (0, 0)
        else:
            before = after = layer.padding[i]
        sides = [before, after, *sides]
    return F.pad(input, sides, layer.padding_mode)


class _AnyConv(Module):
    """What convolutions and their transposes have in common; `_ndim` says along how many dimensions they go."""

    weight: Parameter
    bias: Parameter | None
    _ndim = 2

    def _hold(self, channels: tuple[Any, Any], kernel_size: Any, stride: Any, dilation: Any, groups: Any) -> None:
        """Keep the arguments that have one rule in all of them.

        Raises:
            TypeError, GeometryError: if they are not such numbers, or `groups` does not divide both channels.
        """
        name = type(self).__name__
        self.in_channels = _integer(name, "in_channels", channels[0], 1)
        self.out_channels = _integer(name, "out_channels", channels[1], 1)
        self.kernel_size = self._sizes("kernel_size", kernel_size, 1)
        self.stride = self._sizes("stride", stride, 1)
        self.dilation = self._sizes("dilation", dilation, 1)
        self.groups = _integer(name, "groups", groups, 1)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise GeometryError(
                f"{name}: groups={groups} must divide in_channels={channels[0]} and out_channels={channels[1]}"
            )

    def _sizes(self, what: str, value: Any, least: int) -> tuple[int, ...]:
        """One number for each dimension."""
        name = type(self).__name__
        return _pair(name, what, value, least) if self._ndim == 2 else (_one(name, what, value, least),)

    def _make(self, shape: tuple[int, ...], bias: bool, device: Any, dtype: Any) -> None:
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        number = empty(self.out_channels, device=device, dtype=dtype) if bias else None
        self.register_parameter("bias", None if number is None else Parameter(number))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.reset_weight_and_bias(self.weight, self.bias)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        zero, one = (0,) * self._ndim, (1,) * self._ndim
        for name, usual in (("padding", zero), ("dilation", one), ("output_padding", zero), ("groups", 1)):
            value = getattr(self, name, usual)
            if value != usual:
                text += f", {name}={value}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else text + f", padding_mode={self.padding_mode}"


class _Conv(_AnyConv):
    """The arguments of `Conv2d` and `Conv1d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._hold((in_channels, out_channels), kernel_size, stride, dilation, groups)
        self.padding = padding if isinstance(padding, str) else self._sizes("padding", padding, 0)
        self.padding_mode = padding_mode
        name = type(self).__name__
        if isinstance(padding, str) and padding not in ("same", "valid"):
            forms = "an int, a pair" if self._ndim == 2 else "an int"
            raise GeometryError(f"{name}: padding must be {forms}, 'same' or 'valid', got {padding!r}")
        if padding == "same" and self.stride != (1,) * self._ndim:
            raise GeometryError(f"{name}: padding='same' keeps the size only with stride 1, got stride={stride}")
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"{name}: padding_mode must be one of {PADDING_MODES}, got {padding_mode!r}")
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self._make(shape, bias, device, dtype)


class Conv2d(_Conv):
    """2-D convolution (cross-correlation, as everywhere in deep learning):

    y[n,o,i,j] = bias[o] + sum over c,u,v of weight[o,c,u,v] * x[n, c, i*S - P + u*D, j*S - P + v*D]

    Shapes: (N, in_channels, H, W) or (in_channels, H, W), to (N, out_channels, OH, OW) or (out_channels, OH, OW), with
    OH = floor((H + 2P - D(KH-1) - 1) / S) + 1, and OW likewise.

    Args:
        kernel_size, stride, dilation: an int, or a pair (height, width).
        padding: zeros around the image: an int, a pair, ``"valid"`` (none) or ``"same"`` (keeps the size; stride 1).
        groups: channels are split into so many groups, each with filters of its own; groups = in_channels is depthwise.
        bias: whether a number is added to each output channel.
        padding_mode: what stands around the image: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.

    Attributes:
        weight: (out_channels, in_channels / groups, KH, KW), at first even in [-b, b] with
            b = 1 / sqrt(in_channels / groups * KH * KW).
        bias: (out_channels,), from the same interval, or None.

    Raises:
        TypeError, ValueError: for arguments that no image could fit; when called, for an image that does not fit.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not isinstance(input, Tensor) or input.array.ndim != 4 or input.array.shape[1] != self.in_channels:
            self._check(input)
        weight, bias = weight_and_bias(self)
        if self.padding_mode != "zeros":
            return F.conv2d(_padded(self, input), weight, bias, self.stride, 0, self.dilation, self.groups)
        return F.conv2d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)

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


class Conv1d(_Conv):
    """1-D convolution of (N, in_channels, L) or (in_channels, L); arguments and attributes as `Conv2d`, with one number
    where that has a pair."""

    _ndim = 1

    def forward(self, input: Tensor) -> Tensor:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input, padding = _padded(self, input), 0
        return F.conv1d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class _ConvTranspose(_AnyConv):
    """The arguments of `ConvTranspose2d` and `ConvTranspose1d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._hold((in_channels, out_channels), kernel_size, stride, dilation, groups)
        self.padding = self._sizes("padding", padding, 0)
        self.output_padding = self._sizes("output_padding", output_padding, 0)
        self.padding_mode = padding_mode
        if padding_mode != "zeros":
            raise ValueError(f"{type(self).__name__}: only padding_mode='zeros' has a transpose, got {padding_mode!r}")
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        self._make(shape, bias, device, dtype)

    def _output_padding(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """What makes the output as large as `output_size` asks."""
        if output_size is None:
            return self.output_padding
        wanted = tuple(output_size)[-self._ndim :]
        extra = []
        axes = input.array.shape[-self._ndim :], wanted, self.stride, self.padding, self.dilation, self.kernel_size
        for n, target, s, p, d, k in zip(*axes, strict=True):
            least = (n - 1) * s - 2 * p + d * (k - 1) + 1
            if not least <= target < least + s:
                raise ValueError(f"{type(self).__name__}: output_size {target} must lie in [{least}, {least + s - 1}]")
            extra.append(target - least)
        return tuple(extra)

    def _run(self, function: Any, input: Tensor, output_size: Any) -> Any:
        extra = self._output_padding(input, output_size)
        return function(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)


class ConvTranspose2d(_ConvTranspose):
    """The transpose of a 2-D convolution, with parameters of its own: (N, in_channels, H, W) to
    (N, out_channels, OH, OW) with OH = (H - 1) * S - 2P + D(KH-1) + output_padding + 1, and OW likewise.

    Args:
        output_padding: rows and columns added at the end.
        kernel_size, stride, padding, dilation, groups: of the convolution that is transposed.

    Attributes:
        weight: (in_channels, out_channels / groups, KH, KW).
        bias: (out_channels,) or None.
    """

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        return self._run(F.conv_transpose2d, input, output_size)


class ConvTranspose1d(_ConvTranspose):
    """`ConvTranspose2d` along one dimension: (N, in_channels, L)."""

    _ndim = 1

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        return self._run(F.conv_transpose1d, input, output_size)
