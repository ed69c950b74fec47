"""GoogLeNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ... import nn
from ..._tensor import Tensor
from ...nn import functional as F
from ...ops.elementwise import relu
from ...ops.shape import cat, flatten
from ._blocks import Layer, refuse_weights
from ._inception import BasicConv2d, from_imagenet_to_unit, init_truncated


class GoogLeNetOutputs(NamedTuple):
    """What `GoogLeNet` returns in training: (N, num_classes) each, None for heads that it has not."""

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


class Inception(nn.Module):
    """Four ways beside each other: 1x1; 1x1 then 3x3; 1x1 then 3x3; max pool then 1x1.

    The third way of the paper is 5x5; the published weights have 3x3 there, so it is 3x3 here.

    Args:
        in_channels: of the input.
        ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj: the filters, in the columns of the paper's table 1.
        conv_block: makes a convolution with its norm and activation.
    """

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        conv_block: Layer = BasicConv2d,
    ) -> None:
        super().__init__()
        self.branch1 = conv_block(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            conv_block(in_channels, ch3x3red, kernel_size=1), conv_block(ch3x3red, ch3x3, kernel_size=3, padding=1)
        )
        self.branch3 = nn.Sequential(
            conv_block(in_channels, ch5x5red, kernel_size=1), conv_block(ch5x5red, ch5x5, kernel_size=3, padding=1)
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), conv_block(in_channels, pool_proj, kernel_size=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """A classifier on maps half way: mean to 4x4, conv 1x1, linear, dropout, linear."""

    def __init__(
        self, in_channels: int, num_classes: int, conv_block: Layer = BasicConv2d, dropout: float = 0.7
    ) -> None:
        super().__init__()
        self.conv = conv_block(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = flatten(self.conv(F.adaptive_avg_pool2d(x, (4, 4))), 1)
        return self.fc2(self.dropout(relu(self.fc1(x))))


class GoogLeNet(nn.Module):
    """Szegedy et al., "Going deeper with convolutions", CVPR 2015, with batch norm as it was trained since.

    Images (N, 3, H, W), at least 15x15, to logits (N, num_classes); made for 224x224. In training with auxiliary
    heads it returns `GoogLeNetOutputs`; the paper adds their losses with weight 0.3.

    ========================  ===============
    what                      out at 224
    ========================  ===============
    64 filters 7x7 / 2        64 x 112 x 112
    max pool 3x3 / 2          64 x 56 x 56
    64 of 1x1, 192 of 3x3     192 x 56 x 56
    max pool, 3a, 3b          480 x 28 x 28
    max pool, 4a ... 4e       832 x 14 x 14
    max pool, 5a, 5b          1024 x 7 x 7
    mean, dropout, linear     1000
    ========================  ===============

    Args:
        num_classes: logits.
        aux_logits: have the two auxiliary heads (after 4a and 4d).
        transform_input: take images normalised as for torchvision's other models; see `from_imagenet_to_unit`.
        init_weights: weights from a normal distribution of deviation 0.01; else the layers' defaults.
        blocks: makers of the convolution, the inception block and the auxiliary head.
        dropout, dropout_aux: before the last linear layers.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool | None = None,
        blocks: Sequence[Layer] | None = None,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ) -> None:
        super().__init__()
        ours = BasicConv2d, Inception, InceptionAux
        blocks = ours if blocks is None else blocks
        if len(blocks) != 3:
            raise ValueError(f"GoogLeNet: blocks needs three entries, got {len(blocks)}")
        conv, inception, aux = blocks
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.conv1 = conv(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = conv(64, 64, kernel_size=1)
        self.conv3 = conv(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = aux(512, num_classes, dropout=dropout_aux) if aux_logits else None
        self.aux2 = aux(528, num_classes, dropout=dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights is None or init_weights:
            init_truncated(self, 0.01)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        """Images (N, 3, H, W) to logits (N, num_classes), in training with auxiliary heads to `GoogLeNetOutputs`."""
        if self.transform_input:
            x = from_imagenet_to_unit(x)
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.inception3b(self.inception3a(x))
        x = self.inception4a(self.maxpool3(x))
        early = self.aux1(x) if self.aux1 is not None and self.training else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        late = self.aux2(x) if self.aux2 is not None and self.training else None
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        logits = self.fc(self.dropout(flatten(self.avgpool(x), 1)))
        return GoogLeNetOutputs(logits, late, early) if self.training and self.aux_logits else logits


def googlenet(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> GoogLeNet:
    """GoogLeNet: 6,624,904 parameters (13,004,888 with its auxiliary heads, which it has by default), 1.50 G MACs at
    224x224; `kwargs` go to `GoogLeNet`, `weights` must be None."""
    refuse_weights("googlenet", kwargs, weights=weights)
    return GoogLeNet(**kwargs)
