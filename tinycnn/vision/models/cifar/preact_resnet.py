"""Residual nets whose norms and activations come before the convolutions; narrow and wide."""

from __future__ import annotations

from typing import Any

from .... import nn
from ...._tensor import Tensor
from ....nn import functional as F
from ....ops.elementwise import relu
from ....ops.shape import flatten


class PreactBlock(nn.Module):
    """shortcut(x) + conv(relu(bn(conv(relu(bn(x)))))), both 3x3; where sizes change, the shortcut is a conv 1x1 of
    relu(bn(x)).

    Args:
        in_planes, planes, stride: channels in and out, and the stride of the first convolution.
        dropout: between the convolutions.
    """

    def __init__(self, in_planes: int, planes: int, stride: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_planes)
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        changes = stride != 1 or in_planes != planes
        self.shortcut = nn.Conv2d(in_planes, planes, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        ready = relu(self.bn1(x))
        out = self.conv2(self.dropout(relu(self.bn2(self.conv1(ready)))))
        return out + (x if self.shortcut is None else self.shortcut(ready))


class PreactBottleneck(nn.Module):
    """The same of 1x1, 3x3, 1x1, which end four times as wide as they are inside."""

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        inside = planes // 4
        self.bn1 = nn.BatchNorm2d(in_planes)
        self.conv1 = nn.Conv2d(in_planes, inside, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv2 = nn.Conv2d(inside, inside, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(inside)
        self.conv3 = nn.Conv2d(inside, planes, 1, bias=False)
        changes = stride != 1 or in_planes != planes
        self.shortcut = nn.Conv2d(in_planes, planes, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        ready = relu(self.bn1(x))
        out = self.conv2(relu(self.bn2(self.conv1(ready))))
        out = self.conv3(relu(self.bn3(out)))
        return out + (x if self.shortcut is None else self.shortcut(ready))


class PreactResNet(nn.Module):
    """conv 3x3, three groups of `blocks` blocks (the second and the third begin with stride 2), norm, ReLU, mean,
    linear. Images (N, 3, H, W) to logits (N, num_classes).

    Args:
        blocks: in each group.
        widths: channels of the first convolution and at the end of each group.
        bottleneck: blocks of three convolutions in place of two.
        dropout: between the convolutions of a block of two.
        num_classes: logits.
    """

    def __init__(
        self,
        blocks: int,
        widths: tuple[int, int, int, int] = (16, 16, 32, 64),
        bottleneck: bool = False,
        dropout: float = 0.0,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {} if bottleneck else {"dropout": dropout}
        block: Any = PreactBottleneck if bottleneck else PreactBlock
        first, *groups = widths
        self.conv1 = nn.Conv2d(3, first, 3, padding=1, bias=False)
        layers, channels = [], first
        for group, planes in enumerate(groups):
            for i in range(blocks):
                layers.append(block(channels, planes, 2 if group and not i else 1, **options))
                channels = planes
        self.blocks = nn.Sequential(*layers)
        self.bn = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        x = relu(self.bn(self.blocks(self.conv1(x))))
        return self.linear(flatten(F.adaptive_avg_pool2d(x, 1), 1))


def preact_resnet(depth: int = 110, bottleneck: bool | None = None, num_classes: int = 10) -> PreactResNet:
    """He, Zhang, Ren, Sun, "Identity mappings in deep residual networks", ECCV 2016.

    1.7 M parameters at depths 110 (blocks of two convolutions) and 164 (of three), 10.3 M at 1001 (of
    three; the paper says 10.2). 253 M MACs at depth 110, 248 M at 164.

    Args:
        depth: 6n + 2, or 9n + 2 with bottlenecks.
        bottleneck: blocks of three convolutions; if None, where the depth is 9n + 2 and above 110.
        num_classes: logits.

    Raises:
        ValueError: for another depth.
    """
    if bottleneck is None:
        bottleneck = depth > 110 and depth % 9 == 2
    blocks, rest = divmod(depth - 2, 9 if bottleneck else 6)
    if blocks < 1 or rest:
        rule = "9 n + 2 with bottlenecks" if bottleneck else "6 n + 2"
        raise ValueError(f"preact_resnet: depth must be {rule}, got {depth}")
    return PreactResNet(blocks, (16, 64, 128, 256) if bottleneck else (16, 16, 32, 64), bottleneck, 0.0, num_classes)


def wide_resnet(depth: int = 28, width: int = 10, dropout: float = 0.0, num_classes: int = 10) -> PreactResNet:
    """WRN-depth-width: Zagoruyko, Komodakis, "Wide residual networks", BMVC 2016.

    36.5 M parameters and 5.2 G MACs for WRN-28-10; 11.0 M for WRN-16-8, 17.2 M for WRN-22-8,
    0.6 M for WRN-40-1.

    Args:
        depth: 6n + 4, where the convolutions of the shortcuts count.
        width: k, the factor of the groups' 16, 32 and 64 channels.
        dropout: between the convolutions of a block; the paper takes 0.3 for CIFAR.
        num_classes: logits.

    Raises:
        ValueError: for another depth.
    """
    blocks, rest = divmod(depth - 4, 6)
    if blocks < 1 or rest:
        raise ValueError(f"wide_resnet: depth must be 6 n + 4, such as 16, 28 or 40, got {depth}")
    return PreactResNet(blocks, (16, 16 * width, 32 * width, 64 * width), False, dropout, num_classes)
