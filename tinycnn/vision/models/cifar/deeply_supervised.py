"""Deeply-supervised nets."""

from __future__ import annotations

from typing import NamedTuple

from .... import nn
from ...._tensor import Tensor
from ....nn import functional as F
from ....ops.elementwise import relu
from ....ops.shape import flatten
from .network_in_network import mlpconv


class DeeplySupervisedOutputs(NamedTuple):
    """What `DeeplySupervisedNet` returns in training: logits (N, num_classes), and those of the hidden layers."""

    logits: Tensor
    companions: tuple[Tensor, ...]


class DeeplySupervisedNet(nn.Module):
    """Lee, Xie, Gallagher, Zhang, Tu, "Deeply-supervised nets", AISTATS 2015: a classifier on each hidden layer.

    The body is `NetworkInNetwork`, as in the paper; its two hidden layers have a linear classifier each on their
    pooled maps of 8x8. 1,151,326 parameters, of which the 184,340 of those classifiers serve in training only, and
    222 M MACs. Images (N, 3, 32, 32) to logits (N, num_classes), in training to `DeeplySupervisedOutputs`.

    Args:
        num_classes: logits.
        dropout: after the first two layers.
    """

    def __init__(self, num_classes: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(*mlpconv(3, (192, 160, 96), 5), nn.MaxPool2d(3, 2, ceil_mode=True))
        self.layer2 = nn.Sequential(*mlpconv(96, (192, 192, 192), 5), nn.AvgPool2d(3, 2, ceil_mode=True))
        self.layer3 = nn.Sequential(*mlpconv(192, (192, 192, num_classes), 3))
        self.dropout = nn.Dropout(dropout)
        self.companion1 = nn.Linear(96 * 8 * 8, num_classes)
        self.companion2 = nn.Linear(192 * 8 * 8, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor | DeeplySupervisedOutputs:
        """Images (N, 3, 32, 32) to logits, or to logits and companions."""
        first = self.layer1(x)
        second = self.layer2(self.dropout(first))
        logits = flatten(F.adaptive_avg_pool2d(self.layer3(self.dropout(second)), 1), 1)
        if not self.training:
            return logits
        early = self.companion1(flatten(F.adaptive_avg_pool2d(first, 8), 1))
        late = self.companion2(flatten(F.adaptive_avg_pool2d(second, 8), 1))
        return DeeplySupervisedOutputs(logits, (early, late))


def squared_hinge(logits: Tensor, target: Tensor) -> Tensor:
    """The mean over images of the sum over classes of max(0, 1 - t * logit)**2; t is 1 for the right class, else -1."""
    signs = F.one_hot(target, logits.shape[1]).to(logits.dtype) * 2 - 1
    return relu(1 - signs * logits).square().sum(1).mean()


def deeply_supervised_loss(
    outputs: DeeplySupervisedOutputs, target: Tensor, alpha: float = 0.1, gamma: float = 0.0
) -> Tensor:
    """The paper's objective: loss(logits) + alpha * sum of max(0, loss(companion) - gamma), with squared hinge losses.

    Args:
        outputs: what the net returns in training.
        target: class numbers (N,).
        alpha: weight of the companions; the paper lets it fall to 0 during training.
        gamma: a companion that is this good no longer counts.
    """
    total = squared_hinge(outputs.logits, target)
    for companion in outputs.companions:
        total = total + alpha * relu(squared_hinge(companion, target) - gamma)
    return total
