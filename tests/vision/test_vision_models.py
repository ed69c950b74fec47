"""LeNet-5 and the CIFAR tutorial net: sizes, names, options."""

import numpy as np
import pytest

import tinycnn
from tinycnn import nn
from tinycnn.vision.models import CifarNet, LeNet5


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_lenet5_has_the_papers_sizes():
    model = LeNet5()
    assert count(model) == 61706
    layers = (model.conv1, model.conv2, model.fc1, model.fc2, model.fc3)
    assert [count(layer) for layer in layers] == [156, 2416, 48120, 10164, 850]
    assert model(tinycnn.zeros(2, 1, 32, 32)).shape == (2, 10)


def test_cifar_net_has_the_tutorials_sizes_and_names():
    model = CifarNet()
    assert count(model) == 62006
    assert {name: tuple(p.shape) for name, p in model.named_parameters()} == {
        "conv1.weight": (6, 3, 5, 5),
        "conv1.bias": (6,),
        "conv2.weight": (16, 6, 5, 5),
        "conv2.bias": (16,),
        "fc1.weight": (120, 400),
        "fc1.bias": (120,),
        "fc2.weight": (84, 120),
        "fc2.bias": (84,),
        "fc3.weight": (10, 84),
        "fc3.bias": (10,),
    }
    assert model(tinycnn.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert CifarNet(7)(tinycnn.zeros(1, 3, 32, 32)).shape == (1, 7)


def test_lenet5_options():
    model = LeNet5(num_classes=3, in_channels=2, activation="tanh", pooling="avg")
    assert model(tinycnn.zeros(1, 2, 32, 32)).shape == (1, 3)
    assert isinstance(model.activation, nn.Tanh) and isinstance(model.pool, nn.AvgPool2d)
    with pytest.raises(ValueError, match="activation must be one of relu, tanh, sigmoid, got 'gelu'"):
        LeNet5(activation="gelu")
    with pytest.raises(ValueError, match="pooling must be one of max, avg, got 'min'"):
        LeNet5(pooling="min")


def test_unbatched_images():
    tinycnn.manual_seed(0)
    for model, channels in ((LeNet5(), 1), (CifarNet(), 3)):
        x = tinycnn.rand(channels, 32, 32)
        one, batch = model(x), model(x.reshape(1, channels, 32, 32))
        assert one.shape == (10,)
        assert np.allclose(one.detach().numpy(), batch.detach().numpy()[0], atol=1e-6)


def test_other_image_sizes_are_explained():
    with pytest.raises(ValueError, match=r"must be 32x32, got shape \(4, 1, 28, 28\).*Pad\(2\)"):
        LeNet5()(tinycnn.zeros(4, 1, 28, 28))
    with pytest.raises(ValueError, match=r"must be 32x32, got shape \(3, 31, 32\)"):
        CifarNet()(tinycnn.zeros(3, 31, 32))


@pytest.mark.parametrize("make", [LeNet5, lambda: LeNet5(activation="tanh", pooling="avg"), CifarNet])
def test_every_parameter_gets_a_gradient(make):
    tinycnn.manual_seed(0)
    model = make()
    channels = model.conv1.weight.shape[1]
    x = tinycnn.rand(2, channels, 32, 32, generator=tinycnn.Generator())
    model(x).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum().item() > 0, name
