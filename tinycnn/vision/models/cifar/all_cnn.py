"""All-CNN."""

from __future__ import annotations

from .... import nn
from ...._tensor import Tensor
from ....ops.shape import flatten

# filters, kernel, stride: table 2 of the paper, All-CNN-C
_LAYERS = ((96, 3, 1), (96, 3, 1), (96, 3, 2), (192, 3, 1), (192, 3, 1), (192, 3, 2), (192, 3, 1), (192, 1, 1))


class AllCNN(nn.Module):
    """All-CNN-C of Springenberg, Dosovitskiy, Brox, Riedmiller, "Striving for simplicity: the all convolutional net",
    ICLR workshop 2015: 1,369,738 parameters, 281 M MACs at 32x32.

    Convolutions with stride 2 where others pool, and the mean of a map per class where others have linear layers.
    Images (N, 3, H, W) to logits (N, num_classes).

    Args:
        num_classes: logits.
        input_dropout, dropout: on the image, and after each convolution with stride 2.
    """

    def __init__(self, num_classes: int = 10, input_dropout: float = 0.2, dropout: float = 0.5) -> None:
        super().__init__()
        steps: list[nn.Module] = [nn.Dropout(input_dropout)]
        channels = 3
        for filters, kernel, stride in _LAYERS:
            steps += [nn.Conv2d(channels, filters, kernel, stride, padding=kernel // 2), nn.ReLU()]
            if stride == 2:
                steps.append(nn.Dropout(dropout))
            channels = filters
        steps += [nn.Conv2d(channels, num_classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
        self.features = nn.Sequential(*steps)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        return flatten(self.features(x), 1)
