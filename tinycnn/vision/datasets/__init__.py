"""Image datasets. Each item is a pair (image, class number); `transform` and `target_transform` are applied to it.

The image is a PIL image if Pillow is installed, and else the uint8 array, which `transforms` take just as well.
"""

from .cifar import CIFAR10
from .digits import Digits
from .mnist import MNIST, FashionMNIST

__all__ = ["CIFAR10", "MNIST", "Digits", "FashionMNIST"]
