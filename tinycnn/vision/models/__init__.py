"""Models under torchvision's names; nets for images of CIFAR's size are in `cifar`.

Each maker takes ``weights=None``, as nothing is downloaded; ``model.load_state_dict(tinycnn.load(path))`` loads a file.
"""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from ...nn import Module
from . import (
    cifar,
    densenet,
    inception,
    mnasnet,
    mobilenetv2,
    mobilenetv3,
    resnet,
    segmentation,
    shufflenetv2,
    squeezenet,
    vgg,
)
from .alexnet import AlexNet, alexnet
from .cifar_tutorial import CifarNet
from .densenet import DenseNet, densenet121, densenet161, densenet169, densenet201
from .googlenet import GoogLeNet, GoogLeNetOutputs, googlenet
from .inception import Inception3, InceptionOutputs, inception_v3
from .lenet import LeNet5
from .mnasnet import MNASNet, mnasnet0_5, mnasnet0_75, mnasnet1_0, mnasnet1_3
from .mobilenetv2 import MobileNetV2, mobilenet_v2
from .mobilenetv3 import MobileNetV3, mobilenet_v3_large, mobilenet_v3_small
from .resnet import (
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    resnext101_64x4d,
    wide_resnet50_2,
    wide_resnet101_2,
)
from .segmentation import fcn_resnet50, fcn_resnet101
from .shufflenetv2 import (
    ShuffleNetV2,
    shufflenet_v2_x0_5,
    shufflenet_v2_x1_0,
    shufflenet_v2_x1_5,
    shufflenet_v2_x2_0,
)
from .squeezenet import SqueezeNet, squeezenet1_0, squeezenet1_1
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

__all__ = [
    "AlexNet",
    "CifarNet",
    "DenseNet",
    "GoogLeNet",
    "GoogLeNetOutputs",
    "Inception3",
    "InceptionOutputs",
    "LeNet5",
    "MNASNet",
    "MobileNetV2",
    "MobileNetV3",
    "ResNet",
    "ShuffleNetV2",
    "SqueezeNet",
    "VGG",
    "alexnet",
    "cifar",
    "densenet",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "fcn_resnet101",
    "fcn_resnet50",
    "get_model",
    "get_model_builder",
    "googlenet",
    "inception",
    "inception_v3",
    "list_models",
    "mnasnet",
    "mnasnet0_5",
    "mnasnet0_75",
    "mnasnet1_0",
    "mnasnet1_3",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "mobilenetv2",
    "mobilenetv3",
    "resnet",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "resnext50_32x4d",
    "segmentation",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
    "shufflenetv2",
    "squeezenet",
    "squeezenet1_0",
    "squeezenet1_1",
    "vgg",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "wide_resnet101_2",
    "wide_resnet50_2",
]

Maker = Callable[..., Module]

_MAKERS: tuple[Maker, ...] = (
    *(alexnet, googlenet, inception_v3, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small),
    *(vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn),
    *(resnet18, resnet34, resnet50, resnet101, resnet152),
    *(resnext50_32x4d, resnext101_32x8d, resnext101_64x4d, wide_resnet50_2, wide_resnet101_2),
    *(densenet121, densenet161, densenet169, densenet201),
    *(squeezenet1_0, squeezenet1_1, mnasnet0_5, mnasnet0_75, mnasnet1_0, mnasnet1_3),
    *(shufflenet_v2_x0_5, shufflenet_v2_x1_0, shufflenet_v2_x1_5, shufflenet_v2_x2_0),
    *(fcn_resnet50, fcn_resnet101),
)
_MODELS: dict[str, Maker] = {
    **{maker.__name__: maker for maker in _MAKERS},
    "cifarnet": CifarNet,
    "lenet5": LeNet5,
    "all_cnn": cifar.AllCNN,
    "conv_highway": cifar.ConvHighway,
    "conv_highway_mnist": cifar.conv_highway_mnist,
    "deeply_supervised_net": cifar.DeeplySupervisedNet,
    "densenet_cifar": cifar.densenet_cifar,
    "fractalnet": cifar.FractalNet,
    "highway_net": cifar.HighwayNet,
    "keras_convnet": cifar.KerasConvNet,
    "network_in_network": cifar.NetworkInNetwork,
    "preact_resnet": cifar.preact_resnet,
    "resnet110": cifar.resnet110,
    "resnet1202": cifar.resnet1202,
    "resnet20": cifar.resnet20,
    "resnet32": cifar.resnet32,
    "resnet44": cifar.resnet44,
    "resnet56": cifar.resnet56,
    "senet": cifar.senet,
    "stochastic_depth_resnet": cifar.stochastic_depth_resnet,
    "wide_resnet": cifar.wide_resnet,
}


def list_models(
    module: Any = None, include: str | Iterable[str] | None = None, exclude: str | Iterable[str] | None = None
) -> list[str]:
    """The names that `get_model` knows.

    Args:
        module: only those made in this module, such as ``models.resnet`` or ``models.segmentation``.
        include, exclude: patterns such as ``"resnet*"``; names that fit one of `include` and none of `exclude`.
    """
    inside = module.__name__ if module is not None else ""

    def fits(name: str, patterns: str | Iterable[str]) -> bool:
        return any(fnmatchcase(name, p) for p in ([patterns] if isinstance(patterns, str) else patterns))

    return sorted(
        name
        for name, maker in _MODELS.items()
        if maker.__module__.startswith(inside)
        and (include is None or fits(name, include))
        and not (exclude is not None and fits(name, exclude))
    )


def get_model_builder(name: str) -> Maker:
    """The function that makes the model of this name.

    Raises:
        ValueError: for another name; the text lists those that there are.
    """
    if name.lower() not in _MODELS:
        raise ValueError(f"get_model: there is no {name!r}; there are {', '.join(list_models())}")
    return _MODELS[name.lower()]


def get_model(name: str, **config: Any) -> Module:
    """A model by its name, made with the arguments `config`.

    Raises:
        ValueError: for another name; the text lists those that there are.
    """
    return get_model_builder(name)(**config)
