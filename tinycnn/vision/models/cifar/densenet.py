"""DenseNets for CIFAR."""

from __future__ import annotations

from .... import nn
from ...._tensor import Tensor
from ....nn import functional as F
from ....ops.shape import cat, flatten


class DenseLayer(nn.Module):
    """x and beside it `growth` new channels: norm, ReLU, conv 3x3; with a bottleneck norm, ReLU, conv 1x1 before."""

    def __init__(self, channels: int, growth: int, bottleneck: bool, dropout: float) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        if bottleneck:
            steps += [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 4 * growth, 1, bias=False)]
            steps += [nn.Dropout(dropout)]
            channels = 4 * growth
        steps += [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, growth, 3, padding=1, bias=False)]
        self.steps = nn.Sequential(*steps, nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        return cat([x, self.steps(x)], 1)


class DenseNet(nn.Module):
    """Three blocks of as many dense layers, between them norm, ReLU, conv 1x1 and a mean over 2x2.

    Images (N, 3, H, W) to logits (N, num_classes); see `densenet_cifar`.
    """

    def __init__(
        self, layers: int, growth: int, bottleneck: bool, compression: float, dropout: float, num_classes: int
    ) -> None:
        super().__init__()
        channels = 2 * growth if bottleneck else 16
        steps: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1, bias=False)]
        for block in range(3):
            for _ in range(layers):
                steps.append(DenseLayer(channels, growth, bottleneck, dropout))
                channels += growth
            steps += [nn.BatchNorm2d(channels), nn.ReLU()]
            if block < 2:
                out = int(channels * compression)
                steps += [nn.Conv2d(channels, out, 1, bias=False), nn.Dropout(dropout), nn.AvgPool2d(2)]
                channels = out
        self.features = nn.Sequential(*steps)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        return self.classifier(flatten(F.adaptive_avg_pool2d(self.features(x), 1), 1))


def densenet_cifar(
    depth: int = 100, growth: int = 12, bc: bool = True, dropout: float = 0.0, num_classes: int = 10
) -> DenseNet:
    """Huang, Liu, van der Maaten, Weinberger, "Densely connected convolutional networks", CVPR 2017, table 2.

    Parameters: 1.0 M for DenseNet (depth 40, growth 12), 7.0 M (100, 12), 27.2 M (100, 24); 0.8 M for DenseNet-BC
    (100, 12), 15.3 M (250, 24), 25.6 M (190, 40). MACs at 32x32: 265 M for DenseNet (40, 12), 288 M for DenseNet-BC
    (100, 12).

    Args:
        depth: 3n + 4, with `bc` 6n + 4.
        growth: k, the channels that a layer adds.
        bc: bottlenecks in the layers, and half the channels after each block.
        dropout: after each convolution but the first; the paper takes 0.2 where images are not augmented.
        num_classes: logits.

    Raises:
        ValueError: for another depth.
    """
    layers, rest = divmod(depth - 4, 6 if bc else 3)
    if layers < 1 or rest:
        raise ValueError(f"densenet_cifar: depth must be {'6' if bc else '3'} n + 4, got {depth}")
    return DenseNet(layers, growth, bc, 0.5 if bc else 1.0, dropout, num_classes)
