"""ShuffleNet v2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import nn
from ..._tensor import Tensor
from ...composed.shape import chunk
from ...nn.functional import channel_shuffle
from ...ops.shape import cat
from ._blocks import Layer, refuse_weights


def _pointwise(inp: int, oup: int) -> list[nn.Module]:
    return [nn.Conv2d(inp, oup, 1, bias=False), nn.BatchNorm2d(oup), nn.ReLU(inplace=True)]


def _depthwise(channels: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
    ]


class InvertedResidual(nn.Module):
    """Half of the channels pass, the other half go through 1x1, 3x3 channel by channel, 1x1; then all are shuffled.

    With stride 2 both halves see the whole input, and the first goes through 3x3 / 2 and 1x1.

    Args:
        inp, oup: channels in and out; equal for stride 1, `oup` even.
        stride: 1 or 2.

    Raises:
        ValueError: for another stride or such channels.
    """

    def __init__(self, inp: int, oup: int, stride: int) -> None:
        super().__init__()
        if stride not in (1, 2) or oup % 2 or (stride == 1 and inp != oup):
            raise ValueError(
                f"InvertedResidual: stride must be 1 or 2, oup even, and equal to inp for stride 1; "
                f"got stride {stride}, inp {inp}, oup {oup}"
            )
        self.stride, half = stride, oup // 2
        self.branch1 = nn.Sequential(*(_depthwise(inp, stride) + _pointwise(inp, half) if stride > 1 else []))
        self.branch2 = nn.Sequential(
            *_pointwise(inp if stride > 1 else half, half), *_depthwise(half, stride), *_pointwise(half, half)
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            passed, rest = chunk(x, 2, 1)
        else:
            passed, rest = self.branch1(x), x
        return channel_shuffle(cat([passed, self.branch2(rest)], 1), 2)


class ShuffleNetV2(nn.Module):
    """Ma, Zhang, Zheng, Sun, "ShuffleNet V2: practical guidelines for efficient CNN architecture design", ECCV 2018.

    Images (N, 3, H, W) to logits (N, num_classes); made for 224x224.

    Args:
        stages_repeats: blocks in each of the three stages; the first block of each has stride 2.
        stages_out_channels: channels after the first convolution, the three stages and the last convolution.
        num_classes: logits.
        inverted_residual: makes a block, as `InvertedResidual`.

    Raises:
        ValueError: unless there are three repeats and five numbers of channels.
    """

    def __init__(
        self,
        stages_repeats: Sequence[int],
        stages_out_channels: Sequence[int],
        num_classes: int = 1000,
        inverted_residual: Layer = InvertedResidual,
    ) -> None:
        super().__init__()
        if len(stages_repeats) != 3 or len(stages_out_channels) != 5:
            raise ValueError(
                f"ShuffleNetV2: needs three repeats and five numbers of channels, got {stages_repeats} and "
                f"{stages_out_channels}"
            )
        first, *widths, last = stages_out_channels
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, first, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU(inplace=True)
        )
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        stages, channels = [], first
        for repeats, width in zip(stages_repeats, widths, strict=True):
            rest = [inverted_residual(width, width, 1) for _ in range(repeats - 1)]
            stages.append(nn.Sequential(inverted_residual(channels, width, 2), *rest))
            channels = width
        self.stage2, self.stage3, self.stage4 = stages
        self.conv5 = nn.Sequential(*_pointwise(channels, last))
        self.fc = nn.Linear(last, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        x = self.maxpool(self.conv1(x))
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
        return self.fc(x.mean((2, 3)))


def _shufflenet(name: str, widths: Sequence[int], weights: Any, options: dict[str, Any]) -> ShuffleNetV2:
    refuse_weights(name, options, weights=weights)
    return ShuffleNetV2((4, 8, 4), widths, **options)


def shufflenet_v2_x0_5(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ShuffleNetV2:
    """ShuffleNet v2 x0.5: 1,366,792 parameters, 0.04 G MACs at 224x224; `kwargs` go to `ShuffleNetV2`, `weights` must
    be None."""
    return _shufflenet("shufflenet_v2_x0_5", (24, 48, 96, 192, 1024), weights, kwargs)


def shufflenet_v2_x1_0(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ShuffleNetV2:
    """ShuffleNet v2 x1.0: 2,278,604 parameters, 0.14 G MACs."""
    return _shufflenet("shufflenet_v2_x1_0", (24, 116, 232, 464, 1024), weights, kwargs)


def shufflenet_v2_x1_5(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ShuffleNetV2:
    """ShuffleNet v2 x1.5: 3,503,624 parameters, 0.30 G MACs."""
    return _shufflenet("shufflenet_v2_x1_5", (24, 176, 352, 704, 1024), weights, kwargs)


def shufflenet_v2_x2_0(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ShuffleNetV2:
    """ShuffleNet v2 x2.0: 7,393,996 parameters, 0.58 G MACs."""
    return _shufflenet("shufflenet_v2_x2_0", (24, 244, 488, 976, 2048), weights, kwargs)
