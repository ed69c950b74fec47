"""ResNets: torchvision's sizes, names and arguments."""

from __future__ import annotations

import numpy as np
import pytest

import tinycnn
from tinycnn import nn
from tinycnn.vision import models


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032), ("resnext50_32x4d", 25_028_904)],
)
def test_numbers_of_parameters(name, parameters):
    assert count(models.get_model(name, weights=None)) == parameters


def test_resnet18_has_torchvisions_names():
    model = models.resnet18()
    names = list(model.state_dict())
    assert len(names) == 122 and names[:3] == ["conv1.weight", "bn1.weight", "bn1.bias"] and names[-1] == "fc.bias"
    expected = ["conv1.weight"] + [
        f"bn1.{n}" for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ]
    assert names[:6] == expected
    block = [
        name.removeprefix("layer2.0.") for name in names if name.startswith("layer2.0.") and name.endswith("weight")
    ]
    assert block == [
        "conv1.weight",
        "bn1.weight",
        "conv2.weight",
        "bn2.weight",
        "downsample.0.weight",
        "downsample.1.weight",
    ]
    children = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc"]
    assert [name for name, _ in model.named_children()] == children


def test_forward_and_backward():
    model = models.resnet18(num_classes=7)
    x = tinycnn.rand(2, 3, 32, 40)
    logits = model(x)
    assert logits.shape == (2, 7)
    logits.sum().backward()
    assert all(p.grad is not None and np.isfinite(p.grad.numpy()).all() for p in model.parameters())


def test_options():
    model = models.ResNet(
        models.resnet.Bottleneck, [1, 1, 1, 1], 5, True, replace_stride_with_dilation=[False, True, True]
    )
    assert all(not layer[0].bn3.weight.detach().numpy().any() for layer in (model.layer1, model.layer4))
    assert model.layer4[0].conv2.dilation == (2, 2) and model.layer4[0].conv2.stride == (1, 1)
    maps = model.layer4(model.layer3(model.layer2(model.layer1(tinycnn.rand(1, 64, 8, 8)))))
    assert maps.shape == (1, 2048, 4, 4)
    plain = models.resnet18(norm_layer=lambda channels: nn.Identity())
    assert len(plain.state_dict()) == 22


def test_refusals():
    with pytest.raises(ValueError, match=r"resnet50: weights are not downloaded.*load_state_dict"):
        models.resnet50(weights="DEFAULT")
    with pytest.raises(ValueError, match="resnet18: weights"):
        models.resnet18(pretrained=True)
    with pytest.raises(ValueError, match="there is no 'vgg99'; there are alexnet"):
        models.get_model("vgg99")
    with pytest.raises(ValueError, match="BasicBlock: only groups=1"):
        models.resnet18(groups=2)
    with pytest.raises(ValueError, match="three entries"):
        models.resnet18(replace_stride_with_dilation=[True])
