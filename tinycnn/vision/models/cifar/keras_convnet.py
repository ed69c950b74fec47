"""The small convnet with which Keras's books and courses begin."""

from __future__ import annotations

from .... import nn
from ...._tensor import Tensor
from ....ops.shape import flatten


class KerasConvNet(nn.Module):
    """The convnet of Chollet, "Deep learning with Python", 2nd edition, 2021, chapter 8: 104,202 parameters,
    3.1 M MACs at 28x28.

    =====================  ===============  ==========
    what                   output           parameters
    =====================  ===============  ==========
    input                  (N, 1, 28, 28)
    32 filters 3x3, ReLU   (N, 32, 26, 26)         320
    max pool 2x2           (N, 32, 13, 13)
    64 filters 3x3, ReLU   (N, 64, 11, 11)      18,496
    max pool 2x2           (N, 64, 5, 5)
    128 filters 3x3, ReLU  (N, 128, 3, 3)       73,856
    linear: the logits     (N, 10)              11,530
    =====================  ===============  ==========

    Weights as Keras draws them: Glorot's even distribution, biases 0. Keras orders the inputs of its dense layer
    (row, column, channel), PyTorch and this (channel, row, column).

    Args:
        num_classes: logits.
        in_channels: of the images.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 3),
            nn.ReLU(),
        )
        self.linear = nn.Linear(128 * 3 * 3, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, 28, 28) to logits (N, num_classes)."""
        return self.linear(flatten(self.features(x), 1))
