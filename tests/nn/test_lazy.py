"""Layers that learn their sizes from the first input."""

import pytest

import tinycnn as t
from tinycnn import nn


def lazy():
    return nn.Sequential(
        nn.LazyConv2d(4, 3, padding=1, groups=2),
        nn.LazyBatchNorm2d(),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(5),
        nn.LazyBatchNorm1d(affine=False),
    )


def plain():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 5),
        nn.BatchNorm1d(5, affine=False),
    )


def test_the_first_input_makes_them_ordinary_layers():
    net, x = lazy(), t.randn(3, 2, 4, 4)
    weight = net[0].weight
    assert isinstance(weight, nn.UninitializedParameter) and weight.numel() == 0
    t.manual_seed(0)
    y = net(x)
    assert y.shape == (3, 5) and repr(net) == repr(plain()) and net[0].weight is weight and type(weight) is nn.Parameter
    assert [p.shape for p in net.parameters()] == [p.shape for p in plain().parameters()]
    y.square().sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    assert net(x).shape == (3, 5)


def test_a_state_dict_makes_them_too():
    source, net = plain(), lazy()
    net.load_state_dict(source.state_dict())
    x = t.randn(2, 2, 4, 4)
    assert t.equal(net.eval()(x), source.eval()(x))


def test_one_dimension_and_refusals():
    layer = nn.LazyConv1d(2, 3)
    assert layer(t.ones(1, 4, 6)).shape == (1, 2, 4) and layer.in_channels == 4
    with pytest.raises(ValueError, match="must divide"):
        nn.LazyConv2d(4, 3, groups=2)(t.ones(1, 3, 4, 4))
    with pytest.raises(TypeError, match="expected a Tensor"):
        nn.LazyLinear(2)([1.0])
