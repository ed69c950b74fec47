"""The models under torchvision's names hold torchvision's parameters, and compute what torchvision's compute."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import nn
from tinycnn.vision import models

GOLDEN = Path(__file__).parent.parent / "golden"
TABLE = json.loads((GOLDEN / "models.json").read_text())
_spec = importlib.util.spec_from_file_location("models_recipe", GOLDEN / "models_recipe.py")
recipe = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(recipe)

# as the papers and torchvision's pages give them; with auxiliary heads where the published weights have some
PUBLISHED = {
    "alexnet": 61_100_840,
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "fcn_resnet101": 54_314_346,
    "fcn_resnet50": 35_322_218,
    "inception_v3": 27_161_264,
    "mnasnet0_5": 2_218_512,
    "mnasnet0_75": 3_170_208,
    "mnasnet1_0": 4_383_312,
    "mnasnet1_3": 6_282_256,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_large": 5_483_032,
    "mobilenet_v3_small": 2_542_856,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnext101_32x8d": 88_791_336,
    "resnext101_64x4d": 83_455_272,
    "resnext50_32x4d": 25_028_904,
    "shufflenet_v2_x0_5": 1_366_792,
    "shufflenet_v2_x1_0": 2_278_604,
    "shufflenet_v2_x1_5": 3_503_624,
    "shufflenet_v2_x2_0": 7_393_996,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
    "wide_resnet101_2": 126_886_696,
    "wide_resnet50_2": 68_883_240,
}


@pytest.fixture
def undrawn(monkeypatch):
    """Weights begin as 0: hundreds of millions of random numbers would take a while."""
    for name in ("uniform_", "normal_", "trunc_normal_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: nn.init.zeros_(tensor))


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", TABLE)
def test_state_dicts_are_torchvisions(name, undrawn):
    model = models.get_model(name, **recipe.options(name))
    state = model.state_dict()
    lines = "\n".join(f"{key}:{','.join(map(str, value.shape))}" for key, value in state.items())
    parameters, entries, checksum, *_ = TABLE[name]
    assert len(state) == entries and hashlib.sha256(lines.encode()).hexdigest()[:16] == checksum
    assert count(model) == parameters == PUBLISHED.get(name, parameters)


def test_published_sizes_without_auxiliary_heads(undrawn):
    assert set(PUBLISHED) | {"googlenet"} == set(TABLE)
    assert count(models.googlenet(aux_logits=False)) == 6_624_904
    assert count(models.inception_v3(aux_logits=False)) == 23_834_568
    assert count(models.fcn_resnet50()) == 32_957_013 and count(models.fcn_resnet101()) == 51_949_141


@pytest.mark.parametrize("name", recipe.RUNS)
def test_logits_and_gradients_are_torchvisions(name, undrawn):
    model = models.get_model(name, **recipe.options(name)).double()
    model.load_state_dict({key: tinycnn.from_numpy(value) for key, value in recipe.weights(model).items()})
    found = recipe.step(tinycnn, model, recipe.RUNS[name])
    assert found == pytest.approx(TABLE[name][3], rel=1e-8, abs=1e-11)


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "mobilenet_v3_small"])
def test_the_recipe_draws_weights_of_which_each_matters(name, undrawn):
    """Else the comparison above would not see a layer that is wrong."""
    model = models.get_model(name, **recipe.options(name)).double().eval()
    model.load_state_dict({key: tinycnn.from_numpy(value) for key, value in recipe.weights(model).items()})
    x = tinycnn.from_numpy(recipe.wave((1, 3, 32, 32), 0.5))
    with tinycnn.no_grad():
        before = model(x).numpy()
        for key, weight in model.named_parameters():
            if key.endswith("weight"):
                kept = weight.clone()
                weight.zero_()
                assert np.linalg.norm(model(x).numpy() - before) > 0.01 * np.linalg.norm(before), key
                weight.copy_(kept)


def macs(model, *shape):
    """Multiplications of all convolutions and linear layers for one image."""
    found = []

    def add(layer, args, output):
        found.append(math.prod(output.shape) * math.prod(layer.weight.shape[1:]))

    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(add)
    with tinycnn.no_grad():
        model.eval()(tinycnn.zeros(1, *shape))
    return sum(found)


@pytest.mark.parametrize(
    ("name", "size", "giga"),
    [
        ("alexnet", 224, 0.714),
        ("resnet18", 224, 1.814),
        ("densenet121", 224, 2.834),
        ("googlenet", 224, 1.498),
        ("squeezenet1_0", 224, 0.819),
        ("mobilenet_v2", 224, 0.301),
        ("mobilenet_v3_large", 224, 0.217),
        ("shufflenet_v2_x1_0", 224, 0.145),
        ("mnasnet1_0", 224, 0.314),
        ("inception_v3", 299, 5.713),
    ],
)
def test_published_multiplications(name, size, giga, undrawn):
    assert round(macs(models.get_model(name), 3, size, size) / 1e9, 3) == pytest.approx(giga, abs=0.0011)


def test_initial_distributions():
    tinycnn.manual_seed(0)

    def spread(module):
        return float(module.weight.detach().numpy().std())

    layers = nn.Sequential(*models.vgg.make_layers([[8], [64]]), nn.Linear(64, 512))
    models._blocks.init_fan_out(layers)
    assert spread(layers[3]) == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.05)
    assert spread(layers[-1]) == pytest.approx(0.01, rel=0.02)
    assert not layers[0].bias.detach().numpy().any() and not layers[-1].bias.detach().numpy().any()
    squeeze = models.squeezenet1_1()
    assert spread(squeeze.classifier[1]) == pytest.approx(0.01, rel=0.01)
    assert spread(squeeze.features[12].squeeze) == pytest.approx(math.sqrt(2 / 512), rel=0.02)
    dense = models.densenet121()
    assert spread(dense.features.denseblock4.denselayer1.conv1) == pytest.approx(math.sqrt(2 / 512), rel=0.02)
    assert not dense.classifier.bias.detach().numpy().any()
    mobile = models.mobilenet_v2()
    assert spread(mobile.features[18][0]) == pytest.approx(math.sqrt(2 / 1280), rel=0.02)
    assert spread(mobile.classifier[1]) == pytest.approx(0.01, rel=0.01)
    mnas = models.mnasnet0_5()
    assert spread(mnas.classifier[1]) == pytest.approx(1 / math.sqrt(1000), rel=0.02)
    inception = models.inception.InceptionAux(768, 10)
    models._inception.init_truncated(inception, 0.1)
    assert spread(inception.conv0.conv) == pytest.approx(0.1, rel=0.02)
    assert spread(inception.conv1.conv) == pytest.approx(0.01, rel=0.02)
    assert spread(inception.fc) == pytest.approx(0.001, rel=0.05)


def test_heads_beside_the_last(undrawn):
    x = tinycnn.rand(2, 3, 96, 96)
    net = models.googlenet(num_classes=5)
    made = net(x)
    assert type(made).__name__ == "GoogLeNetOutputs" and made._fields == ("logits", "aux_logits2", "aux_logits1")
    assert all(head.shape == (2, 5) for head in made)
    assert net.eval()(x).shape == (2, 5)
    assert models.googlenet(aux_logits=False)(x).shape == (2, 1000)
    head = models.inception.InceptionAux(768, 5)
    assert head(tinycnn.rand(2, 768, 17, 17)).shape == (2, 5)
    net = models.inception_v3(num_classes=5)
    net.AuxLogits = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(768, 5))  # fits smaller images
    made = net(tinycnn.rand(2, 3, 75, 75))
    assert type(made).__name__ == "InceptionOutputs" and made._fields == ("logits", "aux_logits")
    assert made.logits.shape == made.aux_logits.shape == (2, 5)


def test_transform_input():
    pixels = np.random.default_rng(0).random((1, 3, 4, 4))
    mean, std = (np.array(v).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    unit = models._inception.from_imagenet_to_unit(tinycnn.from_numpy((pixels - mean) / std))
    assert np.allclose(unit.numpy(), (pixels - 0.5) / 0.5)


def test_segmentation_returns_a_dict_of_scores_per_pixel(undrawn):
    x = tinycnn.rand(1, 3, 40, 48)
    made = models.segmentation.fcn_resnet50(num_classes=3, aux_loss=True).eval()(x)
    assert list(made) == ["out", "aux"] and made["out"].shape == made["aux"].shape == (1, 3, 40, 48)
    assert list(models.fcn_resnet50().eval()(x)) == ["out"]
    with pytest.raises(ValueError, match="fcn_resnet50: weights are not downloaded"):
        models.fcn_resnet50(weights_backbone="DEFAULT")
    with pytest.raises(ValueError, match="the model has no layer9"):
        models.segmentation.IntermediateLayers(nn.Sequential(), {"layer9": "out"})


def test_densenet_takes_the_published_names_and_saves_memory():
    tinycnn.manual_seed(0)
    net = models.DenseNet(4, (2, 2), 8, num_classes=3)
    old = {k.replace("norm1", "norm.1").replace("conv2", "conv.2"): v for k, v in net.state_dict().items()}
    assert any(".norm.1." in key for key in old)
    twin = models.DenseNet(4, (2, 2), 8, num_classes=3, memory_efficient=True)
    twin.load_state_dict(old)
    x = tinycnn.rand(2, 3, 32, 32)
    for model in (net, twin):
        model(x).square().sum().backward()
    for (name, a), b in zip(net.named_parameters(), twin.parameters(), strict=True):
        assert np.allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-4, atol=1e-6), name


def test_choices_of_mobilenet_v3(undrawn):
    small = models.mobilenet_v3_small(reduced_tail=True, dilated=True, width_mult=0.5, num_classes=2)
    assert small(tinycnn.rand(2, 3, 64, 64)).shape == (2, 2) and small.classifier[0].out_features == 256
    assert small.features[9].block[1][0].dilation == (2, 2) and small.features[9].block[1][0].stride == (1, 1)
    assert small.features[9].block[3][0].out_channels == 24


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: models.vgg16_bn(weights="DEFAULT"), "vgg16_bn: weights are not downloaded here.*load_state_dict"),
        (lambda: models.alexnet(pretrained=True), "alexnet: weights"),
        (lambda: models.SqueezeNet("2_0"), "version must be one of 1_0, 1_1, got '2_0'"),
        (lambda: models.MNASNet(0), "alpha must be positive, got 0"),
        (lambda: models.ShuffleNetV2([1], [1]), "three repeats and five"),
        (lambda: models.shufflenetv2.InvertedResidual(4, 6, 1), "equal to inp for stride 1; got stride 1, inp 4"),
        (lambda: models.MobileNetV2(inverted_residual_setting=[[1]]), "rows of four"),
        (lambda: models.MobileNetV3([], 8), "inverted_residual_setting is empty"),
        (lambda: models.mobilenetv2.InvertedResidual(1, 1, 3, 1), "stride must be 1 or 2, got 3"),
        (lambda: models.GoogLeNet(blocks=[]), "blocks needs three"),
        (lambda: models.Inception3(inception_blocks=[1]), "seven entries, got 1"),
    ],
)
def test_refusals(make, text, undrawn):
    with pytest.raises(ValueError, match=text):
        make()


def test_lists_of_names():
    assert models.list_models(include="vgg*", exclude="*_bn") == ["vgg11", "vgg13", "vgg16", "vgg19"]
    assert models.list_models(models.segmentation) == ["fcn_resnet101", "fcn_resnet50"]
    assert models.list_models(models.resnet, include=["wide*", "*18"]) == [
        "resnet18",
        "wide_resnet101_2",
        "wide_resnet50_2",
    ]
    assert models.get_model_builder("ResNet18") is models.resnet18
