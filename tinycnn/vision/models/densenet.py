"""DenseNets for ImageNet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ... import nn
from ..._tensor import Tensor
from ...autograd import is_grad_enabled
from ...nn import functional as F
from ...ops.elementwise import relu
from ...ops.shape import cat, flatten
from ...utils.checkpoint import checkpoint
from ._blocks import refuse_weights


class DenseLayer(nn.Module):
    """`growth_rate` new channels from all those before: norm, ReLU, conv 1x1, norm, ReLU, conv 3x3."""

    def __init__(
        self, channels: int, growth_rate: int, bn_size: int, drop_rate: float, memory_efficient: bool = False
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(channels, bn_size * growth_rate, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, 3, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def squeeze(self, *maps: Tensor) -> Tensor:
        """The first half, up to and with conv 1x1, of the maps beside each other."""
        return self.conv1(self.relu1(self.norm1(cat(maps, 1))))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        if self.memory_efficient and is_grad_enabled() and any(m.requires_grad for m in maps):
            squeezed = checkpoint(self.squeeze, *maps, use_reentrant=False)
        else:
            squeezed = self.squeeze(*maps)
        new = self.conv2(self.relu2(self.norm2(squeezed)))
        return F.dropout(new, self.drop_rate, self.training) if self.drop_rate > 0 else new


class DenseBlock(nn.ModuleDict):
    """Layers ``denselayer1``, ``denselayer2``, ..., each of which sees the input and all that came before it."""

    def __init__(self, layers: int, channels: int, growth_rate: int, **options: Any) -> None:
        super().__init__()
        for i in range(layers):
            self[f"denselayer{i + 1}"] = DenseLayer(channels + i * growth_rate, growth_rate, **options)

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for layer in self.values():
            maps.append(layer(maps))
        return cat(maps, 1)


class Transition(nn.Sequential):
    """Between two blocks: norm, ReLU, conv 1x1 to fewer channels, mean over 2x2."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.pool = nn.AvgPool2d(2, stride=2)


class DenseNet(nn.Module):
    """Huang, Liu, van der Maaten, Weinberger, "Densely connected convolutional networks", CVPR 2017 (DenseNet-BC).

    Images (N, 3, H, W), at least 29x29, to logits (N, num_classes); made for 224x224.

    Args:
        growth_rate: k, the channels that a layer adds.
        block_config: layers in each block; between blocks the channels are halved.
        num_init_features: filters of the first convolution, 7x7 / 2.
        bn_size: a layer's inner convolution 1x1 has bn_size * k filters.
        drop_rate: dropout after each layer.
        num_classes: logits.
        memory_efficient: compute the first half of each layer again on the way back instead of keeping it.
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, num_init_features, 7, stride=2, padding=3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(num_init_features))
        self.features.add_module("relu0", nn.ReLU(inplace=True))
        self.features.add_module("pool0", nn.MaxPool2d(3, stride=2, padding=1))
        channels = num_init_features
        options = {"bn_size": bn_size, "drop_rate": drop_rate, "memory_efficient": memory_efficient}
        for i, layers in enumerate(block_config, 1):
            self.features.add_module(f"denseblock{i}", DenseBlock(layers, channels, growth_rate, **options))
            channels += layers * growth_rate
            if i < len(block_config):
                self.features.add_module(f"transition{i}", Transition(channels, channels // 2))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self.get_parameter("classifier.bias"))
        self.register_load_state_dict_pre_hook(_rename_old_keys)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        return self.classifier(flatten(F.adaptive_avg_pool2d(relu(self.features(x)), (1, 1)), 1))


def _rename_old_keys(module: nn.Module, state_dict: dict[str, Any], *_: Any) -> None:
    """The published files are older than the rule that names hold no dots: they say norm.1 for norm1."""
    for key in [k for k in state_dict if ".denselayer" in k]:
        state_dict[re.sub(r"\.(norm|conv)\.([12])\.", r".\1\2.", key)] = state_dict.pop(key)


def _densenet(
    name: str, growth_rate: int, blocks: Sequence[int], first: int, weights: Any, options: dict[str, Any]
) -> DenseNet:
    refuse_weights(name, options, weights=weights)
    return DenseNet(growth_rate, blocks, first, **options)


def densenet121(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-121: 7,978,856 parameters, 2.83 G MACs at 224x224; `kwargs` go to `DenseNet`, `weights` must be None."""
    return _densenet("densenet121", 32, (6, 12, 24, 16), 64, weights, kwargs)


def densenet161(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-161: 28,681,000 parameters, 7.73 G MACs."""
    return _densenet("densenet161", 48, (6, 12, 36, 24), 96, weights, kwargs)


def densenet169(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-169: 14,149,480 parameters, 3.36 G MACs."""
    return _densenet("densenet169", 32, (6, 12, 32, 32), 64, weights, kwargs)


def densenet201(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-201: 20,013,928 parameters, 4.29 G MACs."""
    return _densenet("densenet201", 32, (6, 12, 48, 32), 64, weights, kwargs)
