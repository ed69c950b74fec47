"""Models."""

from .cifar_tutorial import CifarNet
from .lenet import LeNet5

__all__ = ["CifarNet", "LeNet5"]
