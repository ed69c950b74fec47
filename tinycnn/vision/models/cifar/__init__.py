"""Nets for small images, CIFAR's 32x32 and MNIST's 28x28, one file per family.

They begin with a stride of 1, where the nets for ImageNet begin with 4. All take images (N, 3, H, W) and give logits
(N, num_classes), unless their docstrings say otherwise.
"""

from .all_cnn import AllCNN
from .deeply_supervised import DeeplySupervisedNet, DeeplySupervisedOutputs, deeply_supervised_loss
from .densenet import DenseNet, densenet_cifar
from .fractalnet import FractalNet
from .highway import ConvHighway, Highway, HighwayNet, conv_highway_mnist
from .keras_convnet import KerasConvNet
from .network_in_network import NetworkInNetwork
from .preact_resnet import PreactResNet, preact_resnet, wide_resnet
from .resnet import (
    ResNet,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
    resnet1202,
    senet,
    stochastic_depth_resnet,
)

__all__ = [
    "AllCNN",
    "ConvHighway",
    "DeeplySupervisedNet",
    "DeeplySupervisedOutputs",
    "DenseNet",
    "FractalNet",
    "Highway",
    "HighwayNet",
    "KerasConvNet",
    "NetworkInNetwork",
    "PreactResNet",
    "ResNet",
    "conv_highway_mnist",
    "deeply_supervised_loss",
    "densenet_cifar",
    "preact_resnet",
    "resnet110",
    "resnet1202",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "senet",
    "stochastic_depth_resnet",
    "wide_resnet",
]
