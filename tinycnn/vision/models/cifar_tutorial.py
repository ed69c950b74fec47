"""The small net of PyTorch's tutorial on CIFAR-10."""

from __future__ import annotations

from ... import nn
from ..._tensor import Tensor
from ...ops.elementwise import relu
from ...ops.shape import flatten


class CifarNet(nn.Module):
    """The net of the tutorial "Training a Classifier" (pytorch.org, Deep Learning with PyTorch: A 60 Minute Blitz);
    62,006 parameters with the defaults. Its layers bear the tutorial's names, so its state_dict fits here.

    =======  ====================  ===============  ==========
    layer    what                  output           parameters
    =======  ====================  ===============  ==========
    input                          (N, 3, 32, 32)
    conv1    6 filters 5x5, ReLU   (N, 6, 28, 28)          456
    pool     max 2x2               (N, 6, 14, 14)
    conv2    16 filters 5x5, ReLU  (N, 16, 10, 10)       2,416
    pool     max 2x2               (N, 16, 5, 5)
    fc1      linear, ReLU          (N, 120)             48,120
    fc2      linear, ReLU          (N, 84)              10,164
    fc3      linear: the logits    (N, 10)                 850
    =======  ====================  ===============  ==========

    Args:
        num_classes: logits.

    Raises:
        ValueError: when called with images that are not 32x32.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, 32, 32) to logits (N, num_classes)."""
        if tuple(x.shape[-2:]) != (32, 32):
            raise ValueError(f"CifarNet: images must be 32x32, got shape {tuple(x.shape)}; see transforms.Resize")
        x = self.pool(relu(self.conv1(x)))
        x = self.pool(relu(self.conv2(x)))
        x = flatten(x, -3)
        x = relu(self.fc1(x))
        x = relu(self.fc2(x))
        return self.fc3(x)
