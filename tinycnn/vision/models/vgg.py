"""VGG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import nn
from ..._tensor import Tensor
from ...ops.shape import flatten
from ._blocks import init_fan_out, refuse_weights

# convolutions 3x3 with so many filters; a max pool 2x2 after each row
_STAGES: dict[int, tuple[tuple[int, ...], ...]] = {
    11: ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    13: ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    16: ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
    19: ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}


def make_layers(stages: Sequence[Sequence[int]], batch_norm: bool = False) -> nn.Sequential:
    """Convolutions 3x3, each with ReLU (after batch norm if that is wanted), and a max pool after each stage."""
    layers: list[nn.Module] = []
    channels = 3
    for stage in stages:
        for filters in stage:
            layers.append(nn.Conv2d(channels, filters, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(filters))
            layers.append(nn.ReLU(inplace=True))
            channels = filters
        layers.append(nn.MaxPool2d(2, stride=2))
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """The nets of Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition",
    ICLR 2015: convolutions 3x3 and nothing else, then three linear layers.

    Images (N, 3, H, W), at least 32x32, to logits (N, num_classes); made for 224x224, where the five stages leave
    112, 56, 28, 14 and 7 pixels a side.

    Args:
        features: what `make_layers` makes; 512 channels at its end.
        num_classes: logits.
        init_weights: Kaiming's normal distribution for convolutions, deviation 0.01 for linear layers, biases 0;
            else the layers' defaults.
        dropout: after the first and the second linear layer.
    """

    def __init__(
        self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            init_fan_out(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        return self.classifier(flatten(self.avgpool(self.features(x)), 1))


def _vgg(depth: int, batch_norm: bool, weights: Any, options: dict[str, Any]) -> VGG:
    refuse_weights(f"vgg{depth}" + "_bn" * batch_norm, options, weights=weights)
    return VGG(make_layers(_STAGES[depth], batch_norm), **options)


def vgg11(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11: 132,863,336 parameters, 7.61 G MACs at 224x224; `kwargs` go to `VGG`, `weights` must be None."""
    return _vgg(11, False, weights, kwargs)


def vgg11_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11 with batch norm: 132,868,840 parameters, 7.61 G MACs."""
    return _vgg(11, True, weights, kwargs)


def vgg13(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13: 133,047,848 parameters, 11.3 G MACs."""
    return _vgg(13, False, weights, kwargs)


def vgg13_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13 with batch norm: 133,053,736 parameters, 11.3 G MACs."""
    return _vgg(13, True, weights, kwargs)


def vgg16(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16: 138,357,544 parameters, 15.5 G MACs."""
    return _vgg(16, False, weights, kwargs)


def vgg16_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16 with batch norm: 138,365,992 parameters, 15.5 G MACs."""
    return _vgg(16, True, weights, kwargs)


def vgg19(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19: 143,667,240 parameters, 19.6 G MACs."""
    return _vgg(19, False, weights, kwargs)


def vgg19_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19 with batch norm: 143,678,248 parameters, 19.6 G MACs."""
    return _vgg(19, True, weights, kwargs)
