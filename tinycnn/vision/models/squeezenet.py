"""SqueezeNet."""

from __future__ import annotations

from typing import Any

from ... import nn
from ..._tensor import Tensor
from ...ops.shape import cat, flatten
from ._blocks import refuse_weights


class Fire(nn.Module):
    """Squeeze to few channels with 1x1, then expand with 1x1 beside 3x3; ReLU after each of the three."""

    def __init__(self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        one = self.expand1x1_activation(self.expand1x1(x))
        return cat([one, self.expand3x3_activation(self.expand3x3(x))], 1)


# squeeze, expand 1x1 (as many 3x3); None is a max pool 3x3 / 2
_PLANS: dict[str, tuple[tuple[int, int] | None, ...]] = {
    "1_0": (None, (16, 64), (16, 64), (32, 128), None, (32, 128), (48, 192), (48, 192), (64, 256), None, (64, 256)),
    "1_1": (None, (16, 64), (16, 64), None, (32, 128), (32, 128), None, (48, 192), (48, 192), (64, 256), (64, 256)),
}


class SqueezeNet(nn.Module):
    """Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", 2016.

    Images (N, 3, H, W), at least 21x21 (17x17 for 1.1), to logits (N, num_classes); made for 224x224. The last
    convolution has a filter per class, and a class's logit is the mean of its map, after ReLU.

    Args:
        version: "1_0" begins with 96 filters 7x7 / 2, "1_1" with 64 filters 3x3 / 2 and pools earlier.
        num_classes: logits.
        dropout: before the last convolution.

    Raises:
        ValueError: for another version.
    """

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        if version not in _PLANS:
            raise ValueError(f"SqueezeNet: version must be one of {', '.join(_PLANS)}, got {version!r}")
        self.num_classes = num_classes
        channels, size = (96, 7) if version == "1_0" else (64, 3)
        layers: list[nn.Module] = [nn.Conv2d(3, channels, size, stride=2), nn.ReLU(inplace=True)]
        for plan in _PLANS[version]:
            if plan is None:
                layers.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
            else:
                squeeze, expand = plan
                layers.append(Fire(channels, squeeze, expand, expand))
                channels = 2 * expand
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(channels, num_classes, 1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is last:
                    nn.init.normal_(module.weight, 0.0, 0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        return flatten(self.classifier(self.features(x)), 1)


def squeezenet1_0(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> SqueezeNet:
    """SqueezeNet 1.0: 1,248,424 parameters, 0.82 G MACs at 224x224; `kwargs` go to `SqueezeNet`, `weights` must be
    None."""
    refuse_weights("squeezenet1_0", kwargs, weights=weights)
    return SqueezeNet("1_0", **kwargs)


def squeezenet1_1(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> SqueezeNet:
    """SqueezeNet 1.1: 1,235,496 parameters, 0.35 G MACs."""
    refuse_weights("squeezenet1_1", kwargs, weights=weights)
    return SqueezeNet("1_1", **kwargs)
