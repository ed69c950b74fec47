"""Layers and models: ``torch.nn`` is `tinycnn.nn`, ``torch.nn.functional`` is `tinycnn.nn.functional`."""

from .._switches import refuse
from . import common_types, functional, init, modules, parallel
from .activation import LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from .containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from .conv import Conv2d
from .dropout import Dropout
from .flatten import Flatten
from .linear import Identity, Linear
from .loss import CrossEntropyLoss, MSELoss, NLLLoss
from .module import Module
from .norm import BatchNorm2d
from .parallel import DataParallel
from .parameter import Buffer, Parameter
from .pool import AvgPool2d, MaxPool2d

__all__ = [
    "DataParallel",
    "common_types",
    "modules",
    "parallel",
    "AvgPool2d",
    "BatchNorm2d",
    "Buffer",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
    "init",
]


def __getattr__(name: str) -> object:
    raise refuse("tinycnn.nn", name)
