"""What several families of models share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import nn
from ..._tensor import Tensor

Layer = Callable[..., nn.Module]


def refuse_weights(name: str, options: dict[str, Any], **weights: Any) -> None:
    """Nothing is downloaded: `weights` other than None (or the old ``pretrained=True`` among `options`) is an error.

    Raises:
        ValueError: that says how to load a file instead.
    """
    old = [options.pop(key, False) for key in ("pretrained", "pretrained_backbone")]
    if any(old) or any(value is not None for value in weights.values()):
        raise ValueError(
            f"{name}: weights are not downloaded here; make the model with weights=None and load a file, PyTorch's "
            f"or safetensors: model.load_state_dict(tinycnn.load(path))"
        )


def make_divisible(value: float, divisor: int) -> int:
    """`value` rounded to a multiple of `divisor`, but at least one of them and at most a tenth below `value`."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


class ConvNormActivation(nn.Sequential):
    """A convolution without bias that keeps the size at stride 1, a norm, and an activation unless it is None.

    Args:
        norm_layer: from a number of channels to a layer.
        activation: a class that takes ``inplace``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        norm_layer: Layer | None = None,
        activation: Layer | None = nn.ReLU,
    ) -> None:
        padding = (kernel_size - 1) // 2 * dilation
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias=False),
            (norm_layer or nn.BatchNorm2d)(out_channels),
        ]
        if activation is not None:
            layers.append(activation(inplace=True))
        super().__init__(*layers)
        self.out_channels = out_channels


class SqueezeExcitation(nn.Module):
    """Attention per channel (Hu, Shen, Sun, CVPR 2018): x times gate(fc2(activation(fc1(mean of each map)))).

    The two layers are 1x1 convolutions with bias on a map of one pixel. Shapes: (N, C, H, W) to the same.

    Args:
        channels, squeezed: C, and the channels between the two layers.
        activation, gate: classes of layers.
    """

    def __init__(self, channels: int, squeezed: int, activation: Layer = nn.ReLU, gate: Layer = nn.Sigmoid) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = activation()
        self.scale_activation = gate()

    def forward(self, x: Tensor) -> Tensor:
        scale = self.fc2(self.activation(self.fc1(self.avgpool(x))))
        return x * self.scale_activation(scale)


def init_fan_out(model: nn.Module) -> None:
    """Convolutions: Kaiming normal, by fan out. Linear layers: normal with deviation 0.01. Biases: 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
