"""Inception v3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ... import nn
from ..._tensor import Tensor
from ...nn import functional as F
from ...ops.shape import cat, flatten
from ._blocks import Layer, refuse_weights
from ._inception import BasicConv2d, from_imagenet_to_unit, init_truncated


class InceptionOutputs(NamedTuple):
    """What `Inception3` returns in training: (N, num_classes) each, None for a head that it has not."""

    logits: Tensor
    aux_logits: Tensor | None


def _mean3x3(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1)


class InceptionA(nn.Module):
    """1x1; 1x1, 5x5; 1x1, 3x3, 3x3; mean, 1x1 (figure 5 of the paper, on 35x35)."""

    def __init__(self, in_channels: int, pool_features: int, conv_block: Layer = BasicConv2d) -> None:
        super().__init__()
        self.branch1x1 = conv_block(in_channels, 64, kernel_size=1)
        self.branch5x5_1 = conv_block(in_channels, 48, kernel_size=1)
        self.branch5x5_2 = conv_block(48, 64, kernel_size=5, padding=2)
        self.branch3x3dbl_1 = conv_block(in_channels, 64, kernel_size=1)
        self.branch3x3dbl_2 = conv_block(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = conv_block(96, 96, kernel_size=3, padding=1)
        self.branch_pool = conv_block(in_channels, pool_features, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        threes = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return cat([self.branch1x1(x), five, threes, self.branch_pool(_mean3x3(x))], 1)


class InceptionB(nn.Module):
    """From 35x35 to 17x17: 3x3 / 2; 1x1, 3x3, 3x3 / 2; max pool (figure 10)."""

    def __init__(self, in_channels: int, conv_block: Layer = BasicConv2d) -> None:
        super().__init__()
        self.branch3x3 = conv_block(in_channels, 384, kernel_size=3, stride=2)
        self.branch3x3dbl_1 = conv_block(in_channels, 64, kernel_size=1)
        self.branch3x3dbl_2 = conv_block(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = conv_block(96, 96, kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        threes = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return cat([self.branch3x3(x), threes, F.max_pool2d(x, 3, stride=2)], 1)


class InceptionC(nn.Module):
    """7x7 taken apart into 1x7 and 7x1: 1x1; once; twice; mean, 1x1 (figure 6, on 17x17)."""

    def __init__(self, in_channels: int, channels_7x7: int, conv_block: Layer = BasicConv2d) -> None:
        super().__init__()
        c = channels_7x7
        row: dict[str, Any] = {"kernel_size": (1, 7), "padding": (0, 3)}
        column: dict[str, Any] = {"kernel_size": (7, 1), "padding": (3, 0)}
        self.branch1x1 = conv_block(in_channels, 192, kernel_size=1)
        self.branch7x7_1 = conv_block(in_channels, c, kernel_size=1)
        self.branch7x7_2 = conv_block(c, c, **row)
        self.branch7x7_3 = conv_block(c, 192, **column)
        self.branch7x7dbl_1 = conv_block(in_channels, c, kernel_size=1)
        self.branch7x7dbl_2 = conv_block(c, c, **column)
        self.branch7x7dbl_3 = conv_block(c, c, **row)
        self.branch7x7dbl_4 = conv_block(c, c, **column)
        self.branch7x7dbl_5 = conv_block(c, 192, **row)
        self.branch_pool = conv_block(in_channels, 192, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return cat([self.branch1x1(x), once, twice, self.branch_pool(_mean3x3(x))], 1)


class InceptionD(nn.Module):
    """From 17x17 to 8x8: 1x1, 3x3 / 2; 1x1, 1x7, 7x1, 3x3 / 2; max pool."""

    def __init__(self, in_channels: int, conv_block: Layer = BasicConv2d) -> None:
        super().__init__()
        self.branch3x3_1 = conv_block(in_channels, 192, kernel_size=1)
        self.branch3x3_2 = conv_block(192, 320, kernel_size=3, stride=2)
        self.branch7x7x3_1 = conv_block(in_channels, 192, kernel_size=1)
        self.branch7x7x3_2 = conv_block(192, 192, kernel_size=(1, 7), padding=(0, 3))
        self.branch7x7x3_3 = conv_block(192, 192, kernel_size=(7, 1), padding=(3, 0))
        self.branch7x7x3_4 = conv_block(192, 192, kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        sevens = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return cat([self.branch3x3_2(self.branch3x3_1(x)), self.branch7x7x3_4(sevens), F.max_pool2d(x, 3, stride=2)], 1)


class InceptionE(nn.Module):
    """Wide, before the end: 1x1; 1x1 to 1x3 beside 3x1; 1x1, 3x3 to 1x3 beside 3x1; mean, 1x1 (figure 7, on 8x8)."""

    def __init__(self, in_channels: int, conv_block: Layer = BasicConv2d) -> None:
        super().__init__()
        self.branch1x1 = conv_block(in_channels, 320, kernel_size=1)
        self.branch3x3_1 = conv_block(in_channels, 384, kernel_size=1)
        self.branch3x3_2a = conv_block(384, 384, kernel_size=(1, 3), padding=(0, 1))
        self.branch3x3_2b = conv_block(384, 384, kernel_size=(3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = conv_block(in_channels, 448, kernel_size=1)
        self.branch3x3dbl_2 = conv_block(448, 384, kernel_size=3, padding=1)
        self.branch3x3dbl_3a = conv_block(384, 384, kernel_size=(1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = conv_block(384, 384, kernel_size=(3, 1), padding=(1, 0))
        self.branch_pool = conv_block(in_channels, 192, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.branch3x3_1(x)
        three = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        split = [self.branch3x3_2a(one), self.branch3x3_2b(one)]
        split += [self.branch3x3dbl_3a(three), self.branch3x3dbl_3b(three)]
        return cat([self.branch1x1(x), *split, self.branch_pool(_mean3x3(x))], 1)


class InceptionAux(nn.Module):
    """A classifier on the 17x17 maps: mean over 5x5 / 3, conv 1x1, conv 5x5, linear."""

    def __init__(self, in_channels: int, num_classes: int, conv_block: Layer = BasicConv2d) -> None:
        super().__init__()
        self.conv0 = conv_block(in_channels, 128, kernel_size=1)
        self.conv1: Any = conv_block(128, 768, kernel_size=5)
        self.conv1.conv.stddev = 0.01  # read by init_truncated
        self.fc: Any = nn.Linear(768, num_classes)
        self.fc.stddev = 0.001

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.conv0(F.avg_pool2d(x, 5, stride=3)))
        return self.fc(flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class Inception3(nn.Module):
    """Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture for computer vision", CVPR 2016.

    Images (N, 3, H, W), at least 75x75, to logits (N, num_classes); made for **299x299**. In training with the
    auxiliary head, which needs 299x299, it returns `InceptionOutputs`; the paper's weight for the head's loss is 0.4.

    ===========================  ==============
    what                         out at 299
    ===========================  ==============
    3x3 / 2, 3x3, 3x3, max pool  64 x 73 x 73
    1x1, 3x3, max pool           192 x 35 x 35
    Mixed_5b, 5c, 5d             288 x 35 x 35
    Mixed_6a ... 6e              768 x 17 x 17
    Mixed_7a, 7b, 7c             2048 x 8 x 8
    mean, dropout, linear        1000
    ===========================  ==============

    Args:
        num_classes: logits.
        aux_logits: have the auxiliary head (after Mixed_6e).
        transform_input: take images normalised as for torchvision's other models; see `from_imagenet_to_unit`.
        inception_blocks: makers of the convolution, of the blocks A to E, and of the head.
        init_weights: weights from a normal distribution of deviation 0.1 (0.01 and 0.001 at the end of the head);
            else the layers' defaults.
        dropout: before the last layer.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        inception_blocks: Sequence[Layer] | None = None,
        init_weights: bool | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        ours = BasicConv2d, InceptionA, InceptionB, InceptionC, InceptionD, InceptionE, InceptionAux
        blocks: Sequence[Layer] = ours if inception_blocks is None else inception_blocks
        if len(blocks) != 7:
            raise ValueError(f"Inception3: inception_blocks needs seven entries, got {len(blocks)}")
        conv, a, b, c, d, e, aux = blocks
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.Conv2d_1a_3x3 = conv(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = conv(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = conv(32, 64, kernel_size=3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = conv(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = conv(80, 192, kernel_size=3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b = a(192, pool_features=32)
        self.Mixed_5c = a(256, pool_features=64)
        self.Mixed_5d = a(288, pool_features=64)
        self.Mixed_6a = b(288)
        self.Mixed_6b = c(768, channels_7x7=128)
        self.Mixed_6c = c(768, channels_7x7=160)
        self.Mixed_6d = c(768, channels_7x7=160)
        self.Mixed_6e = c(768, channels_7x7=192)
        self.AuxLogits = aux(768, num_classes) if aux_logits else None
        self.Mixed_7a = d(768)
        self.Mixed_7b = e(1280)
        self.Mixed_7c = e(2048)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, num_classes)
        if init_weights is None or init_weights:
            init_truncated(self, 0.1)

    def forward(self, x: Tensor) -> Tensor | InceptionOutputs:
        """Images (N, 3, H, W) to logits (N, num_classes), in training with the head to `InceptionOutputs`."""
        if self.transform_input:
            x = from_imagenet_to_unit(x)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(self.maxpool1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(self.maxpool2(x))))
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))
        x = self.Mixed_6e(self.Mixed_6d(x))
        head = self.AuxLogits(x) if self.AuxLogits is not None and self.training else None
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        logits = self.fc(flatten(self.dropout(self.avgpool(x)), 1))
        return InceptionOutputs(logits, head) if self.training and self.aux_logits else logits


def inception_v3(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> Inception3:
    """Inception v3: 27,161,264 parameters (23,834,568 without its auxiliary head), 5.71 G MACs at 299x299; `kwargs` go
    to `Inception3`, `weights` must be None."""
    refuse_weights("inception_v3", kwargs, weights=weights)
    return Inception3(**kwargs)
