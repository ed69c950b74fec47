"""MNASNet."""

from __future__ import annotations

from typing import Any

from ... import nn
from ..._tensor import Tensor
from ._blocks import make_divisible, refuse_weights

_MOMENTUM = 1 - 0.9997  # TensorFlow counts momentum from the other end
# channels, kernel, stride of the first block, expansion, blocks: figure 7 of the paper
_STACKS = ((24, 3, 2, 3, 3), (40, 5, 2, 3, 3), (80, 5, 2, 6, 3), (96, 3, 1, 6, 2), (192, 5, 2, 6, 4), (320, 3, 1, 6, 1))


def _conv_norm(
    inp: int, oup: int, kernel: int = 1, stride: int = 1, groups: int = 1, activation: bool = True
) -> list[nn.Module]:
    layers: list[nn.Module] = [
        nn.Conv2d(inp, oup, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(oup, momentum=_MOMENTUM),
    ]
    return [*layers, nn.ReLU(inplace=True)] if activation else layers


class InvertedResidual(nn.Module):
    """Widen with 1x1, filter each channel by itself, narrow with 1x1 without activation; add x if it fits."""

    def __init__(self, in_ch: int, out_ch: int, kernel_size: int, stride: int, expansion_factor: int) -> None:
        super().__init__()
        wide = in_ch * expansion_factor
        self.apply_residual = in_ch == out_ch and stride == 1
        self.layers = nn.Sequential(
            *_conv_norm(in_ch, wide),
            *_conv_norm(wide, wide, kernel_size, stride, groups=wide),
            *_conv_norm(wide, out_ch, activation=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.apply_residual else self.layers(x)


class MNASNet(nn.Module):
    """Tan et al., "MnasNet: platform-aware neural architecture search for mobile", CVPR 2019 (its B1 net).

    Images (N, 3, H, W) to logits (N, num_classes); made for 224x224.

    Args:
        alpha: factor of all channels but the last 1280.
        num_classes: logits.
        dropout: before the last layer.

    Raises:
        ValueError: if `alpha` is not positive.
    """

    def __init__(self, alpha: float, num_classes: int = 1000, dropout: float = 0.2) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"MNASNet: alpha must be positive, got {alpha}")
        self.alpha, self.num_classes = alpha, num_classes
        first, second = (make_divisible(channels * alpha, 8) for channels in (32, 16))
        layers = [
            *_conv_norm(3, first, 3, 2),
            *_conv_norm(first, first, 3, groups=first),
            *_conv_norm(first, second, activation=False),
        ]
        channels = second
        for width, kernel, stride, expansion, blocks in _STACKS:
            out = make_divisible(width * alpha, 8)
            rest = [InvertedResidual(out, out, kernel, 1, expansion) for _ in range(blocks - 1)]
            layers.append(nn.Sequential(InvertedResidual(channels, out, kernel, stride, expansion), *rest))
            channels = out
        layers += _conv_norm(channels, 1280)
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout, inplace=True), nn.Linear(1280, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.kaiming_uniform_(module.weight, mode="fan_out", nonlinearity="sigmoid")
                nn.init.zeros_(module.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        return self.classifier(self.layers(x).mean((2, 3)))


def _mnasnet(name: str, alpha: float, weights: Any, options: dict[str, Any]) -> MNASNet:
    refuse_weights(name, options, weights=weights)
    return MNASNet(alpha, **options)


def mnasnet0_5(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MNASNet:
    """MNASNet 0.5: 2,218,512 parameters, 0.10 G MACs at 224x224; `kwargs` go to `MNASNet`, `weights` must be None."""
    return _mnasnet("mnasnet0_5", 0.5, weights, kwargs)


def mnasnet0_75(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MNASNet:
    """MNASNet 0.75: 3,170,208 parameters, 0.21 G MACs."""
    return _mnasnet("mnasnet0_75", 0.75, weights, kwargs)


def mnasnet1_0(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MNASNet:
    """MNASNet 1.0: 4,383,312 parameters, 0.31 G MACs."""
    return _mnasnet("mnasnet1_0", 1.0, weights, kwargs)


def mnasnet1_3(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MNASNet:
    """MNASNet 1.3: 6,282,256 parameters, 0.53 G MACs."""
    return _mnasnet("mnasnet1_3", 1.3, weights, kwargs)
