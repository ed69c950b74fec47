"""MobileNet v3."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ... import nn
from ..._tensor import Tensor
from ...ops.shape import flatten
from ._blocks import ConvNormActivation, Layer, SqueezeExcitation, init_fan_out, make_divisible, refuse_weights

_HARDSWISH: Layer = nn.Hardswish

# kernel, channels inside and after, attention, activation (RE is ReLU, HS is hardswish), stride: tables 1 and 2
_Row = tuple[int, int, int, bool, str, int]
_LARGE: tuple[_Row, ...] = (
    (3, 16, 16, False, "RE", 1),
    (3, 64, 24, False, "RE", 2),
    (3, 72, 24, False, "RE", 1),
    (5, 72, 40, True, "RE", 2),
    (5, 120, 40, True, "RE", 1),
    (5, 120, 40, True, "RE", 1),
    (3, 240, 80, False, "HS", 2),
    (3, 200, 80, False, "HS", 1),
    (3, 184, 80, False, "HS", 1),
    (3, 184, 80, False, "HS", 1),
    (3, 480, 112, True, "HS", 1),
    (3, 672, 112, True, "HS", 1),
    (5, 672, 160, True, "HS", 2),
    (5, 960, 160, True, "HS", 1),
    (5, 960, 160, True, "HS", 1),
)
_SMALL: tuple[_Row, ...] = (
    (3, 16, 16, True, "RE", 2),
    (3, 72, 24, False, "RE", 2),
    (3, 88, 24, False, "RE", 1),
    (5, 96, 40, True, "HS", 2),
    (5, 240, 40, True, "HS", 1),
    (5, 240, 40, True, "HS", 1),
    (5, 120, 48, True, "HS", 1),
    (5, 144, 48, True, "HS", 1),
    (5, 288, 96, True, "HS", 2),
    (5, 576, 96, True, "HS", 1),
    (5, 576, 96, True, "HS", 1),
)


class InvertedResidualConfig:
    """What an `InvertedResidual` is made of; all channels are scaled by `width_mult`.

    Args:
        input_channels, expanded_channels, out_channels: before, inside and after the block.
        kernel, stride, dilation: of the convolution channel by channel.
        use_se: weigh the channels.
        activation: "RE" for ReLU, "HS" for hardswish.
    """

    def __init__(
        self,
        input_channels: int,
        kernel: int,
        expanded_channels: int,
        out_channels: int,
        use_se: bool,
        activation: str,
        stride: int,
        dilation: int,
        width_mult: float,
    ) -> None:
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.kernel, self.stride, self.dilation = kernel, stride, dilation
        self.use_se, self.use_hs = use_se, activation == "HS"

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        """So many channels, scaled and rounded to a multiple of 8."""
        return make_divisible(channels * width_mult, 8)


class InvertedResidual(nn.Module):
    """Widen with 1x1, filter each channel by itself, weigh the channels, narrow with 1x1; add x if it fits.

    Args:
        cnf: its sizes. With a dilation the stride is 1.
        norm_layer: from a number of channels to a layer.

    Raises:
        ValueError: for a stride other than 1 or 2.
    """

    def __init__(self, cnf: InvertedResidualConfig, norm_layer: Layer) -> None:
        super().__init__()
        if cnf.stride not in (1, 2):
            raise ValueError(f"InvertedResidual: stride must be 1 or 2, got {cnf.stride}")
        before, wide, out = cnf.input_channels, cnf.expanded_channels, cnf.out_channels
        stride = 1 if cnf.dilation > 1 else cnf.stride
        activation = _HARDSWISH if cnf.use_hs else nn.ReLU
        make = partial(ConvNormActivation, norm_layer=norm_layer, activation=activation)
        layers: list[nn.Module] = []
        if wide != before:
            layers.append(make(before, wide, 1))
        layers.append(make(wide, wide, cnf.kernel, stride, groups=wide, dilation=cnf.dilation))
        if cnf.use_se:
            layers.append(SqueezeExcitation(wide, make_divisible(wide // 4, 8), gate=nn.Hardsigmoid))
        layers.append(ConvNormActivation(wide, out, 1, norm_layer=norm_layer, activation=None))
        self.block = nn.Sequential(*layers)
        self.use_res_connect = cnf.stride == 1 and before == out
        self.out_channels = out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.use_res_connect else self.block(x)


class MobileNetV3(nn.Module):
    """Howard et al., "Searching for MobileNetV3", ICCV 2019.

    Images (N, 3, H, W) to logits (N, num_classes); made for 224x224.

    Args:
        inverted_residual_setting: the rows (`InvertedResidualConfig`).
        last_channel: width of the linear layer before the last.
        num_classes: logits.
        block: makes a block, as `InvertedResidual`.
        norm_layer: from a number of channels to a layer; batch norm with eps 0.001 and momentum 0.01 by default.
        dropout: before the last layer.

    Raises:
        ValueError: for an empty setting.
    """

    def __init__(
        self,
        inverted_residual_setting: Sequence[InvertedResidualConfig],
        last_channel: int,
        num_classes: int = 1000,
        block: Layer | None = None,
        norm_layer: Layer | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if not inverted_residual_setting:
            raise ValueError("MobileNetV3: inverted_residual_setting is empty")
        block = block or InvertedResidual
        norm_layer = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        channels = inverted_residual_setting[0].input_channels
        layers: list[nn.Module] = [ConvNormActivation(3, channels, 3, 2, norm_layer=norm_layer, activation=_HARDSWISH)]
        layers += [block(config, norm_layer) for config in inverted_residual_setting]
        channels = inverted_residual_setting[-1].out_channels
        wide = 6 * channels
        layers.append(ConvNormActivation(channels, wide, 1, norm_layer=norm_layer, activation=_HARDSWISH))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(wide, last_channel),
            _HARDSWISH(inplace=True),
            nn.Dropout(dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        init_fan_out(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        return self.classifier(flatten(self.avgpool(self.features(x)), 1))


def _mobilenet_v3(
    name: str,
    rows: Sequence[_Row],
    last_channel: int,
    weights: Any,
    width_mult: float,
    reduced_tail: bool,
    dilated: bool,
    options: dict[str, Any],
) -> MobileNetV3:
    """From the last row with stride 2 on: half the widths after it, or dilation 2, if that is wanted."""
    refuse_weights(name, options, weights=weights)
    tail = max(i for i, row in enumerate(rows) if row[-1] == 2)
    half = 2 if reduced_tail else 1
    setting, before = [], 16
    for i, (kernel, inside, out, use_se, activation, stride) in enumerate(rows):
        inside, out = inside // (half if i > tail else 1), out // (half if i >= tail else 1)
        dilation = 2 if dilated and i >= tail else 1
        setting.append(
            InvertedResidualConfig(before, kernel, inside, out, use_se, activation, stride, dilation, width_mult)
        )
        before = out
    last_channel = InvertedResidualConfig.adjust_channels(last_channel // half, width_mult)
    return MobileNetV3(setting, last_channel, **options)


def mobilenet_v3_large(
    *,
    weights: Any = None,
    progress: bool = True,
    width_mult: float = 1.0,
    reduced_tail: bool = False,
    dilated: bool = False,
    **kwargs: Any,
) -> MobileNetV3:
    """MobileNet v3 large: 5,483,032 parameters, 0.22 G MACs at 224x224; `kwargs` go to `MobileNetV3`, `weights` must
    be None.

    Args:
        width_mult: factor of all widths.
        reduced_tail: the last three blocks half as wide.
        dilated: the last three blocks with dilation 2 in place of stride 2, for segmentation.
    """
    return _mobilenet_v3("mobilenet_v3_large", _LARGE, 1280, weights, width_mult, reduced_tail, dilated, kwargs)


def mobilenet_v3_small(
    *,
    weights: Any = None,
    progress: bool = True,
    width_mult: float = 1.0,
    reduced_tail: bool = False,
    dilated: bool = False,
    **kwargs: Any,
) -> MobileNetV3:
    """MobileNet v3 small: 2,542,856 parameters, 0.06 G MACs; arguments as `mobilenet_v3_large`."""
    return _mobilenet_v3("mobilenet_v3_small", _SMALL, 1024, weights, width_mult, reduced_tail, dilated, kwargs)
