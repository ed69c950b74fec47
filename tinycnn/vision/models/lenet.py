"""LeNet-5."""

from __future__ import annotations

from ... import nn
from ..._tensor import Tensor
from ...ops.shape import flatten

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
_POOLINGS: dict[str, type[nn.MaxPool2d] | type[nn.AvgPool2d]] = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


class LeNet5(nn.Module):
    """LeNet-5 in the sizes of LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
    recognition", Proc. IEEE 86(11), 1998; 61,706 parameters with the defaults.

    =======  =========================  ==============  ==========
    layer    what                       output          parameters
    =======  =========================  ==============  ==========
    input                               (N, 1, 32, 32)
    conv1    6 filters 5x5, activation  (N, 6, 28, 28)         156
    pool     2x2                        (N, 6, 14, 14)
    conv2    16 filters 5x5, activation (N, 16, 10, 10)      2,416
    pool     2x2                        (N, 16, 5, 5)
    fc1      linear, activation         (N, 120)            48,120
    fc2      linear, activation         (N, 84)             10,164
    fc3      linear: the logits         (N, 10)                850
    =======  =========================  ==============  ==========

    The paper's net differs in what has since been dropped: conv2 sees chosen subsets of the maps, pooling has trained
    factors, the activation is 1.7159 tanh(2x/3), and the output compares with stored patterns. For one nearer to it:
    ``LeNet5(activation="tanh", pooling="avg")``.

    Args:
        num_classes: logits.
        in_channels: channels of the images, 1 for grey and 3 for colour.
        activation: "relu", "tanh" or "sigmoid".
        pooling: "max" or "avg".

    Raises:
        ValueError: for another activation or pooling; and for images that are not 32x32 when called.
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, *, activation: str = "relu", pooling: str = "max"
    ) -> None:
        super().__init__()
        for name, value, table in (("activation", activation, _ACTIVATIONS), ("pooling", pooling, _POOLINGS)):
            if value not in table:
                raise ValueError(f"LeNet5: {name} must be one of {', '.join(table)}, got {value!r}")
        self.conv1 = nn.Conv2d(in_channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)
        self.activation = _ACTIVATIONS[activation]()
        self.pool = _POOLINGS[pooling](2)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, 32, 32) to logits (N, num_classes)."""
        if tuple(x.shape[-2:]) != (32, 32):
            raise ValueError(
                f"LeNet5: images must be 32x32, got shape {tuple(x.shape)}; transforms.Resize(32) enlarges them, "
                "transforms.Pad(2) frames the 28x28 of MNIST"
            )
        x = self.pool(self.activation(self.conv1(x)))
        x = self.pool(self.activation(self.conv2(x)))
        x = flatten(x, -3)
        x = self.activation(self.fc1(x))
        x = self.activation(self.fc2(x))
        return self.fc3(x)
