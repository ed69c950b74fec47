"""AlexNet, in the sizes of its author's second report."""

from __future__ import annotations

from typing import Any

from ... import nn
from ..._tensor import Tensor
from ...ops.shape import flatten
from ._blocks import refuse_weights


class AlexNet(nn.Module):
    """AlexNet on one device (Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014).

    Images (N, 3, H, W), at least 63x63, to logits (N, num_classes); made for 224x224. The net of 2012, with groups
    and local response norm, is in ``examples/history``.

    =========================  ============
    what                       out at 224
    =========================  ============
    64 filters 11x11 / 4       64 x 55 x 55
    max pool 3x3 / 2           64 x 27 x 27
    192 filters 5x5            192 x 27 x 27
    max pool 3x3 / 2           192 x 13 x 13
    384 filters 3x3            384 x 13 x 13
    256 filters 3x3, twice     256 x 13 x 13
    max pool 3x3 / 2           256 x 6 x 6
    linear, linear, linear     4096, 4096, 1000
    =========================  ============

    Args:
        num_classes: logits.
        dropout: before the first and the second linear layer.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))  # other sizes than 224 fit too
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        return self.classifier(flatten(self.avgpool(self.features(x)), 1))


def alexnet(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> AlexNet:
    """AlexNet: 61,100,840 parameters, 0.71 G MACs at 224x224; `kwargs` go to `AlexNet`, `weights` must be None."""
    refuse_weights("alexnet", kwargs, weights=weights)
    return AlexNet(**kwargs)
