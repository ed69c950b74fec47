"""Fully convolutional nets: a class for every pixel."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from ... import nn
from ..._tensor import Tensor
from ...nn import functional as F
from . import resnet
from ._blocks import refuse_weights

__all__ = ["FCN", "FCNHead", "fcn_resnet101", "fcn_resnet50"]


class IntermediateLayers(nn.ModuleDict):
    """The children of `model` in turn, up to the last one wanted, under their names.

    Args:
        model: whose `forward` calls its children one after the other.
        wanted: from the name of a child to that of its output in the result.

    Raises:
        ValueError: if the model has no such child.
    """

    def __init__(self, model: nn.Module, wanted: dict[str, str]) -> None:
        children = dict(model.named_children())
        if missing := set(wanted) - set(children):
            raise ValueError(f"IntermediateLayers: the model has no {', '.join(sorted(missing))}")
        names = list(children)
        last = max(names.index(name) for name in wanted)
        super().__init__({name: children[name] for name in names[: last + 1]})
        self.wanted = dict(wanted)

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        found = OrderedDict()
        for name, layer in self.items():
            x = layer(x)
            if name in self.wanted:
                found[self.wanted[name]] = x
        return found


class FCNHead(nn.Sequential):
    """From maps to a score per class: conv 3x3 to a quarter of the channels, norm, ReLU, dropout, conv 1x1."""

    def __init__(self, in_channels: int, channels: int) -> None:
        inside = in_channels // 4
        super().__init__(
            nn.Conv2d(in_channels, inside, 3, padding=1, bias=False),
            nn.BatchNorm2d(inside),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(inside, channels, 1),
        )


class FCN(nn.Module):
    """Long, Shelhamer, Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015.

    Images (N, 3, H, W) to an OrderedDict: ``"out"``, the scores (N, num_classes, H, W), enlarged bilinearly from the
    backbone's maps of an eighth of the size; and ``"aux"``, the same from its last layer but one, if there is such
    a head (its loss is added with weight 0.5).

    Args:
        backbone: from images to a dict of maps, "out" and "aux".
        classifier, aux_classifier: heads on them.
    """

    def __init__(self, backbone: nn.Module, classifier: nn.Module, aux_classifier: nn.Module | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.aux_classifier = aux_classifier

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        """Images (N, 3, H, W) to ``{"out": (N, num_classes, H, W)}`` and perhaps "aux"."""
        maps = self.backbone(x)
        size = tuple(x.shape[-2:])
        heads = {"out": self.classifier, "aux": self.aux_classifier}
        return OrderedDict(
            (name, F.interpolate(head(maps[name]), size=size, mode="bilinear", align_corners=False))
            for name, head in heads.items()
            if head is not None
        )


def _fcn(
    name: str, make: Any, num_classes: int | None, aux_loss: bool | None, options: dict[str, Any], **weights: Any
) -> FCN:
    refuse_weights(name, options, **weights)
    backbone = make(replace_stride_with_dilation=[False, True, True], **options)
    classes = 21 if num_classes is None else num_classes
    wanted = {"layer4": "out", **({"layer3": "aux"} if aux_loss else {})}
    return FCN(
        IntermediateLayers(backbone, wanted), FCNHead(2048, classes), FCNHead(1024, classes) if aux_loss else None
    )


def fcn_resnet50(
    *,
    weights: Any = None,
    progress: bool = True,
    num_classes: int | None = None,
    aux_loss: bool | None = None,
    weights_backbone: Any = None,
    **kwargs: Any,
) -> FCN:
    """FCN on ResNet-50: 32,957,013 parameters (35,322,218 with `aux_loss`), 139 G MACs at 480x480.

    Args:
        weights, weights_backbone: must be None; torchvision downloads the backbone's weights, this does not.
        num_classes: 21 if None, those of Pascal VOC with the background.
        aux_loss: have the auxiliary head.
        kwargs: go to the backbone, `ResNet`.

    Raises:
        ValueError: for weights.
    """
    return _fcn(
        "fcn_resnet50",
        resnet.resnet50,
        num_classes,
        aux_loss,
        kwargs,
        weights=weights,
        weights_backbone=weights_backbone,
    )


def fcn_resnet101(
    *,
    weights: Any = None,
    progress: bool = True,
    num_classes: int | None = None,
    aux_loss: bool | None = None,
    weights_backbone: Any = None,
    **kwargs: Any,
) -> FCN:
    """FCN on ResNet-101: 51,949,141 parameters (54,314,346 with `aux_loss`); arguments as `fcn_resnet50`."""
    return _fcn(
        "fcn_resnet101",
        resnet.resnet101,
        num_classes,
        aux_loss,
        kwargs,
        weights=weights,
        weights_backbone=weights_backbone,
    )
