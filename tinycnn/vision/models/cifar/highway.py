"""Highway networks: gates that carry the input past a layer, a year before residual nets."""

from __future__ import annotations

from .... import nn
from ...._tensor import Tensor
from ....nn import functional as F
from ....ops.elementwise import relu, sigmoid
from ....ops.shape import flatten


class Highway(nn.Module):
    """y = T * relu(transform(x)) + (1 - T) * x with T = sigmoid(gate(x)).

    Args:
        transform, gate: layers that keep the shape of their input.
        gate_bias: of the gate at first; below 0, so that at first the input is carried.
    """

    def __init__(self, transform: nn.Module, gate: nn.Module, gate_bias: float = -1.0) -> None:
        super().__init__()
        self.transform, self.gate = transform, gate
        nn.init.constant_(gate.get_parameter("bias"), gate_bias)

    def forward(self, x: Tensor) -> Tensor:
        t = sigmoid(self.gate(x))
        return t * relu(self.transform(x)) + (1 - t) * x


class HighwayNet(nn.Module):
    """Srivastava, Greff, Schmidhuber, "Training very deep networks", NIPS 2015, section 4.1: for MNIST.

    linear, `depth` - 2 highway layers of `width`, linear. Images (N, ...) of `pixels` elements to logits
    (N, num_classes); 80,560 parameters and 80 k MACs with the defaults, 5,100 parameters in each highway layer.

    Args:
        depth: 10, 20, 50 or 100 in the paper.
        width: of each layer.
        pixels: elements of an image.
        num_classes: logits.
        gate_bias: of the gates at first; the paper takes -1 to -10, the deeper the lower.

    Raises:
        ValueError: for a depth below 3.
    """

    def __init__(
        self, depth: int = 10, width: int = 50, pixels: int = 784, num_classes: int = 10, gate_bias: float = -1.0
    ) -> None:
        super().__init__()
        if depth < 3:
            raise ValueError(f"HighwayNet: depth must be at least 3, got {depth}")
        self.first = nn.Linear(pixels, width)
        inner = [Highway(nn.Linear(width, width), nn.Linear(width, width), gate_bias) for _ in range(depth - 2)]
        self.layers = nn.Sequential(*inner)
        self.last = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, ...) to logits (N, num_classes)."""
        return self.last(self.layers(relu(self.first(flatten(x, 1)))))


class ConvHighway(nn.Module):
    """A highway net of convolutions for CIFAR, in three stages with max pools between them.

    A stage is conv 3x3 with ReLU, which changes the channels, then `layers` highway layers of 3x3. 509,194 parameters
    and 73.6 M MACs with the defaults, which are not the paper's: it turns the maxout layers of FitNets into highway
    layers and does not give their sizes. For the paper's nets for MNIST see `conv_highway_mnist`. Images (N, 3, H, W)
    to logits (N, num_classes).

    Args:
        layers: highway layers in each stage.
        widths: channels of the stages.
        num_classes: logits.
        gate_bias: of the gates at first.
    """

    def __init__(
        self,
        layers: int = 5,
        widths: tuple[int, ...] = (16, 32, 64),
        num_classes: int = 10,
        gate_bias: float = -2.0,
    ) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        channels = 3
        for i, width in enumerate(widths):
            if i:
                steps.append(nn.MaxPool2d(2))
            steps += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            for _ in range(layers):
                transform, gate = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
                steps.append(Highway(transform, gate, gate_bias))
            channels = width
        self.features = nn.Sequential(*steps)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        return self.linear(flatten(F.adaptive_avg_pool2d(self.features(x), 1), 1))


def conv_highway_mnist(width: int = 16, num_classes: int = 10, gate_bias: float = -2.0) -> nn.Sequential:
    """The nets of ten layers for MNIST (Srivastava et al. 2015, section 4.2, table 1): conv 3x3 with ReLU, eight
    highway layers of 3x3, a linear layer on maps of 3x3.

    38,730 parameters with 16 channels and 151,178 with 32; 14.1 M and 56.2 M MACs at 28x28. The paper gives
    these counts (39 k, 151 k); where the max pools stand is a choice made here. Images (N, 1, 28, 28) to logits
    (N, num_classes).

    Args:
        width: channels of every layer.
        num_classes: logits.
        gate_bias: of the gates at first.
    """
    steps: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU()]
    for layers in (3, 3, 2):  # of 28, 14 and 7 pixels a side
        for _ in range(layers):
            transform, gate = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
            steps.append(Highway(transform, gate, gate_bias))
        steps.append(nn.MaxPool2d(2))
    return nn.Sequential(*steps, nn.Flatten(), nn.Linear(width * 9, num_classes))
