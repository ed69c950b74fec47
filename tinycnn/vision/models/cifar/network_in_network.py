"""Network in Network."""

from __future__ import annotations

from .... import nn
from ...._tensor import Tensor
from ....ops.shape import flatten


def mlpconv(channels: int, widths: tuple[int, int, int], kernel: int) -> list[nn.Module]:
    """A convolution and two of 1x1: a small perceptron of three layers that slides over the image."""
    first, second, third = widths
    return [
        nn.Conv2d(channels, first, kernel, padding=kernel // 2),
        nn.ReLU(),
        nn.Conv2d(first, second, 1),
        nn.ReLU(),
        nn.Conv2d(second, third, 1),
        nn.ReLU(),
    ]


class NetworkInNetwork(nn.Module):
    """Lin, Chen, Yan, "Network in network", ICLR 2014: 966,986 parameters, 222 M MACs at 32x32.

    Three `mlpconv` layers, the last with one map for each class; a class's logit is the mean of its map, without a
    linear layer. Images (N, 3, H, W) to logits (N, num_classes).

    Args:
        num_classes: logits.
        dropout: after the first two layers.
    """

    def __init__(self, num_classes: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *mlpconv(3, (192, 160, 96), 5),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            nn.Dropout(dropout),
            *mlpconv(96, (192, 192, 192), 5),
            nn.AvgPool2d(3, stride=2, ceil_mode=True),
            nn.Dropout(dropout),
            *mlpconv(192, (192, 192, num_classes), 3),
            nn.AdaptiveAvgPool2d(1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        return flatten(self.features(x), 1)
