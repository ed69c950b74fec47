"""Models."""

from collections.abc import Callable
from typing import Any

from ...nn import Module
from . import resnet
from .cifar_tutorial import CifarNet
from .lenet import LeNet5
from .resnet import ResNet, resnet18, resnet34, resnet50, resnet101, resnet152, resnext50_32x4d, wide_resnet50_2

__all__ = [
    "CifarNet",
    "LeNet5",
    "ResNet",
    "get_model",
    "list_models",
    "resnet",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext50_32x4d",
    "wide_resnet50_2",
]

_MODELS: dict[str, Callable[..., Module]] = {
    "cifarnet": CifarNet,
    "lenet5": LeNet5,
    "resnet101": resnet101,
    "resnet152": resnet152,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnext50_32x4d": resnext50_32x4d,
    "wide_resnet50_2": wide_resnet50_2,
}


def list_models() -> list[str]:
    """The names that `get_model` knows."""
    return sorted(_MODELS)


def get_model(name: str, **config: Any) -> Module:
    """A model by its name, made with the arguments `config`.

    Raises:
        ValueError: for another name; the text lists those that there are.
    """
    if name.lower() not in _MODELS:
        raise ValueError(f"get_model: there is no {name!r}; there are {', '.join(list_models())}")
    return _MODELS[name.lower()](**config)
