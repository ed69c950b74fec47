"""What GoogLeNet and Inception v3 share."""

from __future__ import annotations

from typing import Any

from ... import nn
from ..._tensor import Tensor
from ...ops.elementwise import relu
from ...ops.shape import cat

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class BasicConv2d(nn.Module):
    """relu(bn(conv(x))), with eps = 0.001 as in TensorFlow; `options` go to the convolution."""

    def __init__(self, in_channels: int, out_channels: int, **options: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **options)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


def from_imagenet_to_unit(x: Tensor) -> Tensor:
    """Images that were normalised with ImageNet's mean and deviation, to those of (pixel - 0.5) / 0.5.

    The published weights were trained in TensorFlow on the latter.
    """
    channels = [x[:, i : i + 1] * (_STD[i] / 0.5) + (_MEAN[i] - 0.5) / 0.5 for i in range(3)]
    return cat(channels, 1)


def init_truncated(model: nn.Module, default: float) -> None:
    """Weights from the normal distribution within 2, with the deviation `module.stddev` or else `default`."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(module.weight, 0.0, getattr(module, "stddev", default), -2, 2)
