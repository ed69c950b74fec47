"""Nets for CIFAR: the papers' sizes, their rules, and one accuracy that was published."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import nn
from tinycnn.vision import datasets, models
from tinycnn.vision.models import cifar

ROOT = Path(tinycnn.__file__).resolve().parent.parent
DATA = Path(os.environ.get("TINYCNN_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture
def undrawn(monkeypatch):
    """Weights are left as they lie in memory: drawing them would take a while."""
    for name in ("uniform_", "normal_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)


def count(model):
    return sum(p.numel() for p in model.parameters())


# who printed the number of parameters
HE15 = "He et al. 2015, table 6"
WIDE = "Zagoruyko and Komodakis 2016, tables 4 and 5"
DENSE = "Huang et al. 2017, table 2"
ALL_CNN = "Springenberg et al. 2015, comparison on CIFAR-10"
CHOLLET = "Chollet 2021, listing 8.2"
HIGHWAY = "Srivastava et al. 2015, table 1"
FRACTAL = "Larsson et al. 2017, table 3"


def table_3(columns):
    return cifar.FractalNet(columns, (16, 32, 64, 128, 128), num_classes=100)


@pytest.mark.parametrize(
    ("make", "published", "exact", "source"),
    [
        (cifar.resnet20, "0.27 M", 269_722, HE15),
        (cifar.resnet32, "0.46 M", 464_154, HE15),
        (cifar.resnet44, "0.66 M", 658_586, HE15),
        (cifar.resnet56, "0.85 M", 853_018, HE15),
        (cifar.resnet110, "1.7 M", 1_727_962, HE15),
        (cifar.resnet1202, "19.4 M", 19_421_274, HE15),
        (cifar.stochastic_depth_resnet, "1.7 M", 1_727_962, WIDE),
        (lambda: cifar.resnet20(option="B"), None, 269_722 + 16 * 32 + 32 * 64 + 2 * (32 + 64), None),
        (cifar.senet, None, 272_095, None),
        (cifar.preact_resnet, "1.7 M", 1_730_522, WIDE),
        (lambda: cifar.preact_resnet(164), "1.7 M", 1_703_258, WIDE),
        (cifar.wide_resnet, "36.5 M", 36_479_194, WIDE),
        (lambda: cifar.wide_resnet(16, 8), "11.0 M", 10_961_370, WIDE),
        (lambda: cifar.wide_resnet(22, 8), "17.2 M", 17_158_106, WIDE),
        (lambda: cifar.wide_resnet(40, 1), "0.6 M", 563_930, WIDE),
        (lambda: cifar.densenet_cifar(40, 12, bc=False), "1.0 M", 1_019_722, DENSE),
        (lambda: cifar.densenet_cifar(100, 12, bc=False), "7.0 M", 6_979_642, DENSE),
        (lambda: cifar.densenet_cifar(100, 24, bc=False), "27.2 M", 27_249_082, DENSE),
        (cifar.densenet_cifar, "0.8 M", 769_162, DENSE),
        (lambda: cifar.densenet_cifar(250, 24), "15.3 M", 15_324_406, DENSE),
        (lambda: cifar.densenet_cifar(190, 40), "25.6 M", 25_624_430, DENSE),
        (cifar.NetworkInNetwork, "1 M", 966_986, ALL_CNN),
        (cifar.DeeplySupervisedNet, None, 966_986 + 184_340, None),
        (cifar.AllCNN, "1.4 M", 1_369_738, ALL_CNN),
        (cifar.KerasConvNet, "104.202 k", 104_202, CHOLLET),
        (cifar.HighwayNet, None, 39_250 + 8 * 5100 + 510, None),
        (cifar.ConvHighway, None, 509_194, None),
        (cifar.conv_highway_mnist, "39 k", 38_730, HIGHWAY),
        (lambda: cifar.conv_highway_mnist(32), "151 k", 151_178, HIGHWAY),
        (lambda: table_3(1), "0.3 M", 258_292, FRACTAL),
        (lambda: table_3(2), "0.8 M", 847_716, FRACTAL),
        (lambda: table_3(3), "2.1 M", 2_125_204, FRACTAL),
        (lambda: table_3(4), "4.8 M", 4_778_820, FRACTAL),
        (lambda: table_3(5), "10.2 M", 10_184_692, FRACTAL),
        (lambda: table_3(6), "21.1 M", 21_095_076, FRACTAL),
        (cifar.FractalNet, None, 33_724_618, None),  # printed is 38.6 M, see its docstring
    ],
)
def test_published_sizes(make, published, exact, source, undrawn):
    parameters = count(make())
    assert parameters == exact
    assert (published is None) == (source is None)
    if published is not None:
        number, unit = published.split()
        digits = len(number.partition(".")[2])
        assert f"{parameters / {'k': 1e3, 'M': 1e6}[unit]:.{digits}f}" == number, source


SMALL = {
    "resnet A": (lambda: cifar.ResNet(8), (3, 16, 16)),
    "resnet B": (lambda: cifar.ResNet(8, option="B"), (3, 16, 16)),
    "senet": (lambda: cifar.senet(8, 4), (3, 16, 16)),
    "preact": (lambda: cifar.preact_resnet(8), (3, 16, 16)),
    "preact bottleneck": (lambda: cifar.preact_resnet(11, bottleneck=True), (3, 16, 16)),
    "wide": (lambda: cifar.wide_resnet(10, 2, dropout=0.1), (3, 16, 16)),
    "densenet": (lambda: cifar.densenet_cifar(7, 4, bc=False), (3, 16, 16)),
    "densenet bc": (lambda: cifar.densenet_cifar(10, 4), (3, 16, 16)),
    "nin": (cifar.NetworkInNetwork, (3, 16, 16)),
    "all_cnn": (cifar.AllCNN, (3, 16, 16)),
    "highway": (lambda: cifar.HighwayNet(5), (1, 28, 28)),
    "conv highway": (lambda: cifar.ConvHighway(1, (4, 8)), (3, 16, 16)),
    "highway mnist": (lambda: cifar.conv_highway_mnist(4), (1, 28, 28)),
    "fractalnet": (lambda: cifar.FractalNet(3, (4, 8), drop_path=0), (3, 4, 4)),
    "deeply supervised": (cifar.DeeplySupervisedNet, (3, 32, 32)),
    "keras": (cifar.KerasConvNet, (1, 28, 28)),
}


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_gets_a_gradient(name):
    tinycnn.manual_seed(0)
    make, shape = SMALL[name]
    model = make()
    x = tinycnn.rand(4, *shape)
    made = model(x)
    if isinstance(made, tuple):
        cifar.deeply_supervised_loss(made, tinycnn.tensor([0, 1, 2, 3])).backward()
    else:
        made.square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and np.isfinite(parameter.grad.numpy()).all(), key
    assert sum(bool(p.grad.numpy().any()) for p in model.parameters()) > 0.8 * len(list(model.parameters()))
    assert model.eval()(x).shape == (4, 10)


def test_shortcut_a_takes_every_second_pixel_between_zero_channels():
    x = tinycnn.rand(1, 4, 5, 6)
    y = cifar.resnet.PaddedShortcut(4, 8, 2)(x).numpy()
    assert y.shape == (1, 8, 3, 3)
    assert np.array_equal(y[:, 2:6], x.numpy()[:, :, ::2, ::2]) and not y[:, :2].any() and not y[:, 6:].any()


def test_stochastic_depth_skips_in_training_and_weighs_in_evaluation():
    tinycnn.manual_seed(0)
    net = cifar.stochastic_depth_resnet(20, survival=0.4)
    chances = [block.survival for stage in (net.layer1, net.layer2, net.layer3) for block in stage]
    assert chances[-1] == pytest.approx(0.4) and np.allclose(np.diff(chances), -0.6 / 9)
    block = net.layer3[2]
    x = tinycnn.rand(2, 64, 4, 4)  # not negative, so that relu(x) = x
    skipped = sum(np.array_equal(block(x).detach().numpy(), x.numpy()) for _ in range(200))
    assert 90 < skipped < 150  # of 200 with probability 0.6
    block.eval()
    weighed = block(x).detach().numpy()
    block.survival = 1.0
    branch = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
    assert np.allclose(weighed, (x + 0.4 * branch).relu().detach().numpy(), atol=1e-6)


def test_fractal_joins():
    tinycnn.manual_seed(0)
    block = cifar.fractalnet.FractalBlock(2, 3, 3, 0.0).eval()
    x = tinycnn.rand(1, 2, 5, 5)
    deep, middle, flat = block.columns
    half = (deep[1](deep[0](x)) + middle[0](x)) / 2
    whole = (deep[3](deep[2](half)) + middle[1](half) + flat[0](x)) / 3
    assert np.allclose(block(x).detach().numpy(), whole.detach().numpy(), atol=1e-6)
    assert np.allclose(block(x, only=2).detach().numpy(), flat[0](x).detach().numpy())
    block.drop_path = 1.0
    kept = block.train().join([tinycnn.full((1,), 1.0), tinycnn.full((1,), 2.0)]).item()
    assert kept in (1.0, 2.0)


def test_highway_carries_where_the_gate_is_shut():
    layer = cifar.Highway(nn.Linear(3, 3), nn.Linear(3, 3), gate_bias=-50.0)
    x = tinycnn.randn(2, 3)
    assert np.allclose(layer(x).detach().numpy(), x.numpy())
    layer = cifar.Highway(nn.Linear(3, 3), nn.Linear(3, 3), gate_bias=50.0)
    assert np.allclose(layer(x).detach().numpy(), layer.transform(x).relu().detach().numpy())


def test_the_companions_of_deep_supervision():
    logits = tinycnn.tensor([[2.0, -2.0], [0.5, -3.0]])
    target = tinycnn.tensor([0, 0])
    assert cifar.deeply_supervised.squared_hinge(logits, target).item() == pytest.approx(0.5**2 / 2)
    outputs = cifar.DeeplySupervisedOutputs(logits, (logits * 0, logits))
    total = cifar.deeply_supervised_loss(outputs, target, alpha=0.5, gamma=0.2).item()
    assert total == pytest.approx(0.125 + 0.5 * (2 - 0.2) + 0)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: cifar.ResNet(21), r"depth must be 6 n \+ 2.*got 21"),
        (lambda: cifar.resnet20(option="C"), "option must be 'A' or 'B', got 'C'"),
        (lambda: cifar.stochastic_depth_resnet(20, 0.0), "survival is a probability"),
        (lambda: cifar.resnet56(weights="DEFAULT"), "resnet56: weights are not downloaded"),
        (lambda: cifar.preact_resnet(100), r"6 n \+ 2, got 100"),
        (lambda: cifar.wide_resnet(20), r"6 n \+ 4"),
        (lambda: cifar.densenet_cifar(41), r"6 n \+ 4, got 41"),
        (lambda: cifar.HighwayNet(2), "at least 3, got 2"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_their_names():
    assert isinstance(models.get_model("resnet20"), cifar.ResNet)
    assert {"resnet110", "senet", "wide_resnet", "fractalnet"} < set(models.list_models(cifar))


@pytest.mark.skipif(
    not ((DATA / "weights" / "resnet20-cifar10.safetensors").is_file() and (DATA / "cifar-10-batches-py").is_dir()),
    reason="CIFAR-10 and the weights are not here",
)
@pytest.mark.parametrize("file", ["resnet20-cifar10.safetensors", "resnet20-12fca82f.th"])
def test_published_weights_score_what_was_published(file):
    """Yerlan Idelbayev's ResNet-20 (github akamaster/pytorch_resnet_cifar10): 91.73 % on the 10,000 test images."""
    loaded = tinycnn.load(DATA / "weights" / file)
    state = {key.removeprefix("module."): value for key, value in loaded.get("state_dict", loaded).items()}
    model = cifar.resnet20()
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing)
    data = datasets.CIFAR10(DATA, train=False)
    mean, std = (np.array(v, np.float32).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    images = (data.data.transpose(0, 3, 1, 2).astype(np.float32) / 255 - mean) / std
    right, whole = 0, file.endswith("safetensors")
    with tinycnn.no_grad():
        for begin in range(0, 10_000 if whole else 500, 500):
            found = model.eval()(tinycnn.from_numpy(images[begin : begin + 500])).argmax(1).numpy()
            right += int((found == np.array(data.targets[begin : begin + 500])).sum())
    assert right == 9173 if whole else right / 500 > 0.88
