"""Residual nets for CIFAR: the plain ones, with attention per channel (SE), and with blocks left out at random."""

from __future__ import annotations

from typing import Any

from .... import nn
from ...._tensor import Tensor
from ....composed.draw import rand
from ....nn import functional as F
from ....ops.elementwise import relu
from ....ops.shape import flatten
from .._blocks import SqueezeExcitation, refuse_weights


class PaddedShortcut(nn.Module):
    """Shortcut A: every `stride`-th pixel, and new channels of zeros, half before and half after; no parameters."""

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.stride, self.before = stride, (planes - in_planes) // 2
        self.after = planes - in_planes - self.before

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


class BasicBlock(nn.Module):
    """relu(shortcut(x) + attention(bn(conv3x3(relu(bn(conv3x3(x)))))))

    Args:
        in_planes, planes: channels in and out.
        stride: of the first convolution.
        option: "A" pads the shortcut with zero channels, "B" projects it with conv 1x1 and norm, where sizes change.
        reduction: attention through planes / reduction channels; none for 0.
        survival: in training, the probability that the block's branch is there; in evaluation it is weighed with it.
    """

    def __init__(
        self, in_planes: int, planes: int, stride: int, option: str, reduction: int = 0, survival: float = 1.0
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut: nn.Module = nn.Sequential()
        if stride != 1 or in_planes != planes:
            if option == "A":
                self.shortcut = PaddedShortcut(in_planes, planes, stride)
            else:
                project = nn.Conv2d(in_planes, planes, 1, stride, bias=False)
                self.shortcut = nn.Sequential(project, nn.BatchNorm2d(planes))
        if reduction:
            self.attention = SqueezeExcitation(planes, planes // reduction)
        self.reduction, self.survival = reduction, survival

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(x)
        if self.training and self.survival < 1 and rand(()).item() >= self.survival:
            return relu(shortcut)
        out = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if self.reduction:
            out = self.attention(out)
        if not self.training and self.survival < 1:
            out = out * self.survival
        return relu(shortcut + out)


class ResNet(nn.Module):
    """He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2: 6n+2 layers.

    =======  ======================================  ============
    layer    what                                    out at 32
    =======  ======================================  ============
    conv1    16 filters 3x3, norm, ReLU              16 x 32 x 32
    layer1   n blocks of 16                          16 x 32 x 32
    layer2   n blocks of 32, the first with stride   32 x 16 x 16
    layer3   n blocks of 64, the first with stride   64 x 8 x 8
    linear   mean over each map, linear              num_classes
    =======  ======================================  ============

    Images (N, 3, H, W) to logits (N, num_classes).

    Args:
        depth: 6n + 2.
        num_classes: logits.
        option: shortcut "A", zero channels, as in the paper's tables for CIFAR; "B", projections.
        reduction: of the attention per channel in each block (Hu, Shen, Sun, CVPR 2018); none for 0.
        survival: stochastic depth (Huang, Sun, Liu, Sedra, Weinberger, ECCV 2016): the probability of the last
            block, to which it falls in a straight line from 1.

    Raises:
        ValueError: for another depth, option, or a survival that is not in (0, 1].
    """

    def __init__(
        self, depth: int, num_classes: int = 10, option: str = "A", reduction: int = 0, survival: float = 1.0
    ) -> None:
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"ResNet: depth must be 6 n + 2, such as 20 or 56, got {depth}")
        if option not in ("A", "B"):
            raise ValueError(f"ResNet: option must be 'A' or 'B', got {option!r}")
        if not 0 < survival <= 1:
            raise ValueError(f"ResNet: survival is a probability in (0, 1], got {survival}")
        n = depth // 6
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        stages, channels, made = [], 16, 0
        for planes in (16, 32, 64):
            blocks = []
            for i in range(n):
                made += 1
                alive = 1 - made / (3 * n) * (1 - survival)
                stride = 2 if i == 0 and planes > 16 else 1
                blocks.append(BasicBlock(channels, planes, stride, option, reduction, alive))
                channels = planes
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3 = stages
        self.linear = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        x = relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(flatten(F.adaptive_avg_pool2d(x, 1), 1))


def _resnet(depth: int, weights: Any, options: dict[str, Any]) -> ResNet:
    refuse_weights(f"resnet{depth}", options, weights=weights)
    return ResNet(depth, **options)


def resnet20(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-20: 269,722 parameters, 40.6 M MACs at 32x32; `kwargs` go to `ResNet`, `weights` must be None."""
    return _resnet(20, weights, kwargs)


def resnet32(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-32: 464,154 parameters, 68.9 M MACs."""
    return _resnet(32, weights, kwargs)


def resnet44(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-44: 658,586 parameters, 97.2 M MACs."""
    return _resnet(44, weights, kwargs)


def resnet56(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-56: 853,018 parameters, 125 M MACs."""
    return _resnet(56, weights, kwargs)


def resnet110(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-110: 1,727,962 parameters, 253 M MACs."""
    return _resnet(110, weights, kwargs)


def resnet1202(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-1202: 19,421,274 parameters, 2.83 G MACs; the paper's net that is too large for CIFAR."""
    return _resnet(1202, weights, kwargs)


def senet(depth: int = 20, reduction: int = 16, **kwargs: Any) -> ResNet:
    """SE-ResNet (Hu, Shen, Sun, "Squeeze-and-excitation networks", CVPR 2018): `ResNet` whose blocks weigh their
    channels; 272,095 parameters, 40.6 M MACs at depth 20."""
    return ResNet(depth, reduction=reduction, **kwargs)


def stochastic_depth_resnet(depth: int = 110, survival: float = 0.5, **kwargs: Any) -> ResNet:
    """ResNet with stochastic depth (Huang et al., ECCV 2016): in training a block is skipped at random, the later the
    likelier; in evaluation all are there, weighed with their probability. Parameters and MACs as without."""
    return ResNet(depth, survival=survival, **kwargs)
