"""MobileNet v2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import nn
from ..._tensor import Tensor
from ...ops.shape import flatten
from ._blocks import ConvNormActivation, Layer, init_fan_out, make_divisible, refuse_weights

# expansion, channels, blocks, stride of the first: table 2 of the paper
_SETTING = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """Widen with 1x1, filter each channel by itself with 3x3, narrow with 1x1 without activation; add x if it fits.

    Args:
        inp, oup: channels in and out.
        stride: 1 or 2, of the 3x3.
        expand_ratio: how many times wider inside; 1 leaves the first convolution out.
        norm_layer: from a number of channels to a layer.

    Raises:
        ValueError: for another stride.
    """

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int, norm_layer: Layer | None = None) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"InvertedResidual: stride must be 1 or 2, got {stride}")
        norm_layer = norm_layer or nn.BatchNorm2d
        wide = round(inp * expand_ratio)
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(ConvNormActivation(inp, wide, 1, norm_layer=norm_layer, activation=nn.ReLU6))
        layers += [
            ConvNormActivation(wide, wide, 3, stride, groups=wide, norm_layer=norm_layer, activation=nn.ReLU6),
            nn.Conv2d(wide, oup, 1, bias=False),
            norm_layer(oup),
        ]
        self.conv = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and inp == oup
        self.stride, self.out_channels = stride, oup

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018.

    Images (N, 3, H, W) to logits (N, num_classes); made for 224x224, which becomes 7x7 in five steps of stride 2.

    Args:
        num_classes: logits.
        width_mult: factor of all channels but the last 1280, which only grow.
        inverted_residual_setting: rows (expansion, channels, blocks, stride of the first).
        round_nearest: channels are rounded to multiples of this.
        block: makes a block, as `InvertedResidual`.
        norm_layer: from a number of channels to a layer.
        dropout: before the last layer.

    Raises:
        ValueError: for a setting whose rows are not four numbers.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        block: Layer | None = None,
        norm_layer: Layer | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        setting = _SETTING if inverted_residual_setting is None else inverted_residual_setting
        if not setting or any(len(row) != 4 for row in setting):
            raise ValueError(f"MobileNetV2: inverted_residual_setting needs rows of four numbers, got {setting}")
        block, norm_layer = block or InvertedResidual, norm_layer or nn.BatchNorm2d
        channels = make_divisible(32 * width_mult, round_nearest)
        self.last_channel = make_divisible(1280 * max(1.0, width_mult), round_nearest)
        layers: list[nn.Module] = [ConvNormActivation(3, channels, 3, 2, norm_layer=norm_layer, activation=nn.ReLU6)]
        for expansion, width, blocks, stride in setting:
            out = make_divisible(width * width_mult, round_nearest)
            for i in range(blocks):
                layers.append(block(channels, out, 1 if i else stride, expand_ratio=expansion, norm_layer=norm_layer))
                channels = out
        layers.append(ConvNormActivation(channels, self.last_channel, 1, norm_layer=norm_layer, activation=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.last_channel, num_classes))
        init_fan_out(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        return self.classifier(flatten(nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1)), 1))


def mobilenet_v2(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MobileNetV2:
    """MobileNet v2: 3,504,872 parameters, 0.30 G MACs at 224x224; `kwargs` go to `MobileNetV2`, `weights` must be
    None."""
    refuse_weights("mobilenet_v2", kwargs, weights=weights)
    return MobileNetV2(**kwargs)
