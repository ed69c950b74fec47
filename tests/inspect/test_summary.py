"""`summary` against numbers worked out by hand and figures that papers and lectures give."""

import math

import numpy as np
import pytest

import tinycnn as torch
from tinycnn import kernels, nn
from tinycnn.inspect import summary
from tinycnn.nn import functional as F
from tinycnn.vision import models


def field_of(model, *size):
    """Receptive field and stride at the end of a model."""
    layer = summary(model, size).layers[0]
    return layer.receptive_field, layer.stride


def test_lenet_layer_by_layer():
    s = summary(models.LeNet5(), (1, 32, 32))
    rows = [
        (layer.name, layer.output_shapes[0], layer.own_params, layer.own_macs, layer.receptive_field, layer.stride)
        for layer in s.layers
    ]
    whole = (math.inf, math.inf)
    assert rows == [
        ("", (1, 10), 0, 0, whole, None),
        ("conv1", (1, 6, 28, 28), 6 * 25 + 6, 28 * 28 * 6 * 25, (5, 5), (1, 1)),
        ("activation", (1, 6, 28, 28), 0, 0, (5, 5), (1, 1)),
        ("pool", (1, 6, 14, 14), 0, 0, (6, 6), (2, 2)),
        ("conv2", (1, 16, 10, 10), 16 * 6 * 25 + 16, 10 * 10 * 16 * 6 * 25, (14, 14), (2, 2)),
        ("activation", (1, 16, 10, 10), 0, 0, (14, 14), (2, 2)),
        ("pool", (1, 16, 5, 5), 0, 0, (16, 16), (4, 4)),
        ("fc1", (1, 120), 120 * 400 + 120, 120 * 400, whole, None),
        ("activation", (1, 120), 0, 0, whole, None),
        ("fc2", (1, 84), 84 * 120 + 84, 84 * 120, whole, None),
        ("activation", (1, 84), 0, 0, whole, None),
        ("fc3", (1, 10), 850, 840, whole, None),
    ]
    assert s["conv2"].formula == "floor((14 + 2*0 - 1*(5-1) - 1)/1 + 1) = 10"
    assert (s.params, s.trainable, s.param_bytes, s.macs) == (61_706, 61_706, 246_824, 416_520)
    assert s.input_bytes == 4096 and s["conv1"].nbytes == 6 * 28 * 28 * 4
    assert s.nbytes == 4 * (2 * 6 * 784 + 6 * 196 + 2 * 1600 + 400 + 2 * 120 + 2 * 84 + 10)


def test_64_filters_of_5x5x3_have_4800_weights():
    layer = summary(nn.Conv2d(3, 64, 5), (3, 32, 32)).layers[0]
    assert layer.params == 4_800 + 64 and layer.output_shapes == [(1, 64, 28, 28)]
    assert layer.macs == 28 * 28 * 64 * 75


def test_resnet50_has_the_published_figures():
    s = summary(models.resnet50(), (3, 224, 224))
    assert s.params == 25_557_032 and s.macs == 4_089_184_256
    assert s["layer4.2.conv2"].output_shapes == [(1, 512, 7, 7)]
    # two 3x3 in front, then 3, 4, 6, 3 blocks, each with one 3x3; the first of a stage moves by two
    size, jump = 7 + 2 * 2, 4
    for stage, blocks in enumerate((3, 4, 6, 3)):
        size, jump = size + 2 * jump, jump * (2 if stage else 1)
        size += 2 * jump * (blocks - 1)
    assert s["layer4"].receptive_field == (size, size) == (427, 427) and s["layer4"].stride == (32, 32)


def test_alexnet_s_layers_from_227_by_227():
    """Krizhevsky, Sutskever and Hinton 2012, without the two halves of the network: 96, 256, 384, 384, 256 channels."""
    model = nn.Sequential(
        *(nn.Conv2d(3, 96, 11, stride=4), nn.MaxPool2d(3, 2), nn.Conv2d(96, 256, 5, padding=2), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.Conv2d(384, 384, 3, padding=1), nn.Conv2d(384, 256, 3, padding=1)),
        nn.MaxPool2d(3, 2),
    )
    layers = summary(model, (3, 227, 227)).layers[1:]
    assert [layer.output_shapes[0][1:] for layer in layers] == [
        *((96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13)),
        *((384, 13, 13), (384, 13, 13), (256, 13, 13), (256, 6, 6)),
    ]
    assert [layer.receptive_field[0] for layer in layers] == [11, 19, 51, 67, 99, 131, 163, 195]
    assert layers[0].formula == "floor((227 + 2*0 - 1*(11-1) - 1)/4 + 1) = 55"


@pytest.mark.parametrize(
    ("name", "options", "size", "params", "macs", "maps", "field"),
    [
        ("alexnet", {}, 224, 61_100_840, 714_188_480, "features", 195),
        ("vgg16", {"init_weights": False}, 224, 138_357_544, 15_470_264_320, "features", 212),
        ("resnet110", {}, 32, 1.73e6, 253e6, "layer3", 3 + 36 * 2 + (2 + 35 * 4) + (4 + 35 * 8)),
        ("densenet_cifar", {"depth": 40, "growth": 12, "bc": False}, 32, 1.02e6, None, None, None),
        ("densenet_cifar", {"depth": 100, "growth": 12, "bc": True}, 32, 0.77e6, None, None, None),
        ("densenet121", {}, 224, 7_978_856, 2_834_161_664, "features", 2071),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_published_figures(name, options, size, params, macs, maps, field):
    """Parameters, multiply-adds and receptive fields of papers, of torchvision, and of Araujo, Norris and Sim 2019."""
    s = summary(models.get_model(name, **options), (3, size, size), depth=1)
    assert s.params == pytest.approx(params, rel=0.005 if isinstance(params, float) else 0)
    assert macs is None or s.macs == pytest.approx(macs, rel=0.005 if isinstance(macs, float) else 0)
    assert maps is None or s[maps].receptive_field == (field, field)


class Branches(nn.Module):
    """3x3 and 5x5 side by side, then a residual around 1x1, between functions."""

    def __init__(self):
        super().__init__()
        self.narrow, self.wide = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 5, padding=2)
        self.mix = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = torch.cat([F.relu(self.narrow(x)), self.wide(x).tanh()], 1)
        x = x + self.mix(x)
        x = F.max_pool2d(x, 2)
        gate = torch.sigmoid(F.adaptive_avg_pool2d(x, 1))
        return self.head((x * gate).mean((2, 3)))


def test_branches_count_by_the_largest_and_functions_between_layers_do_not_break():
    s = summary(Branches(), (1, 8, 8))
    found = {layer.name: (layer.kind, layer.receptive_field) for layer in s.layers}
    assert found["narrow"][1] == (3, 3) and found["wide"][1] == found["mix"][1] == (5, 5)
    assert found["max_pool2d"] == ("F.max_pool2d", (6, 6)) and s["max_pool2d"].stride == (2, 2)
    assert found["adaptive_avg_pool2d"] == ("F.adaptive_avg_pool2d", (6 + 3 * 2, 6 + 3 * 2))
    assert found["head"][1] == (math.inf, math.inf)
    assert [layer.name for layer in s.layers] == [
        *("", "narrow", "wide", "mix", "max_pool2d", "adaptive_avg_pool2d", "head")
    ]


class Sliced(nn.Module):
    """Every second row, pooled: a pixel sees rows 0 and 2."""

    def forward(self, x):
        return F.max_pool2d(x[..., ::2, :], 2) + x[:, :, ::4, ::2]


@pytest.mark.parametrize(
    ("model", "size", "field", "stride"),
    [
        (nn.Conv2d(1, 1, (1, 7)), (1, 9, 9), (1, 7), (1, 1)),
        (nn.Conv2d(1, 1, 3, dilation=2, stride=2), (1, 9, 9), (5, 5), (2, 2)),
        (nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(2)), (1, 12, 12), (5, 5), (4, 4)),
        (nn.Sequential(nn.Conv2d(1, 1, 3, 2, padding_mode="reflect", padding=1), nn.Upsample(scale_factor=2)),)
        + ((1, 8, 8), (3, 3), (1, 1)),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 4, 4), (2, 2), (0.5, 0.5)),
        (nn.ConvTranspose2d(1, 1, 4, 2, 1), (1, 4, 4), (2, 2), (0.5, 0.5)),
        (nn.ConvTranspose2d(1, 1, 3, 3, dilation=2), (1, 4, 4), (1, 1), (1 / 3, 1 / 3)),  # taps 0, 2, 4: never two
        (nn.ConvTranspose1d(1, 1, 5, 2, dilation=2), (1, 9), (1, 5), (1, 0.5)),
        (nn.AdaptiveAvgPool1d(3), (1, 8), (1, 4), (1, 8 / 3)),
        (nn.AdaptiveAvgPool2d((3, 2)), (1, 8, 8), (4, 4), (8 / 3, 4)),
        (nn.AdaptiveMaxPool2d(2), (1, 8, 8), (4, 4), (4, 4)),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.LocalResponseNorm(3)), (1, 8, 8), (3, 3), (1, 1)),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.PixelShuffle(2)), (1, 8, 8), (3, 3), (0.5, 0.5)),
        (nn.Sequential(nn.Conv1d(1, 2, 5, 2), nn.MaxPool1d(2)), (1, 20), (1, 7), (1, 4)),
        (nn.Flatten(), (1, 4, 4), (1, 1), (1, 1)),
        (Sliced(), (1, 8, 8), (3, 2), (4, 2)),
        (nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), (1, 4, 4), (math.inf, math.inf), None),
    ],
    ids=str,
)
def test_receptive_fields(model, size, field, stride):
    assert field_of(model, *size) == (field, stride)


def test_formulas_where_height_and_width_differ():
    assert summary(nn.Conv2d(1, 1, 3, padding=(0, 1)), (1, 8, 8)).layers[0].formula == (
        "floor((8 + 2*0 - 1*(3-1) - 1)/1 + 1) = 6, floor((8 + 2*1 - 1*(3-1) - 1)/1 + 1) = 8"
    )
    assert summary(nn.Conv1d(1, 1, 3), (1, 8)).layers[0].formula == "floor((8 + 2*0 - 1*(3-1) - 1)/1 + 1) = 6"
    assert summary(nn.ConvTranspose2d(1, 1, 3, 2, 1, 1), (1, 5, 5)).layers[0].formula == (
        "(5 - 1)*2 - 2*1 + 1*(3-1) + 1 + 1 = 10"
    )
    assert summary(nn.LocalResponseNorm(3), (4, 6, 6)).layers[0].formula == ""  # its windows go over channels
    dropped = summary(nn.MaxPool2d(1, 3, ceil_mode=True), (1, 5, 5)).layers[0]
    assert dropped.formula.endswith("a window in the padding = 2") and dropped.output_shapes == [(1, 1, 2, 2)]


class Tied(nn.Module):
    """One layer called twice, one weight in two layers, one frozen, one that takes no part in evaluation."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight
        self.b.bias.requires_grad_(False)
        self.extra = nn.ModuleList([nn.Sequential(nn.Linear(4, 2))])
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x):
        x = self.a(self.a(x)) * self.scale
        return self.b(x) if not self.training else self.extra[0](x)


def test_shared_parameters_count_once():
    s = summary(Tied(), (4,))
    assert (s.params, s.trainable) == (20 + 4 + 4 + 10, 20 + 4 + 10)
    assert [(r.name, r.own_params, r.again) for r in s.layers] == [
        *(("", 4, False), ("a", 20, False), ("a", 0, True), ("b", 4, False), ("extra", 10, False))
    ]
    assert s.layers[-1].output_shapes == [] and s.macs == 3 * 16
    assert sum(r.own_params for r in s.layers) == s.params
    text = str(s)
    assert "not called" in text and "again" in text and "4 of them frozen" in text


def test_nothing_is_changed():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Dropout())
    model[1].eval()
    model(torch.randn(2, 1, 8, 8)).sum().backward()
    x = torch.randn(2, 1, 8, 8)
    loss = model(x).sum()  # its graph needs the buffers as they are
    before = {k: v.clone() for k, v in model.state_dict().items()}
    grads = [p.grad.clone() for p in model.parameters()]
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with torch.no_grad():
        summary(nn.Sequential(nn.ReLU(inplace=True), model), input_data=x)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.rand(2), expected)
    assert [m.training for m in model.modules()] == [True, True, False, True, True]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), grads, strict=True))
    loss.backward()
    assert not kernels._observers and F.max_pool2d.__module__ == "tinycnn.composed.pool"
    assert not model._forward_hooks and not any("_summary_inside" in vars(m) for m in model.modules())


class Counting(nn.Module):
    """Writes to a buffer even in evaluation, and puts another in its place."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("last", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        self.last = x
        return x @ x.t() if x.shape[0] > 1 else x.reshape(7)


def test_buffers_come_back_also_after_an_error():
    model = nn.Sequential(Counting())
    last = model[0].last
    with pytest.raises(RuntimeError) as caught:
        summary(model, (4,))
    assert caught.value.__notes__[-1] == "summary: raised in 0 (Counting) in the model (Sequential)"
    assert model[0].calls.item() == 0 and model[0].last is last and model.training
    s = summary(model, input_data=torch.ones(3, 4))
    assert s.macs == 3 * 3 * 4 and model[0].calls.item() == 0
    assert not kernels._observers


def test_macs_do_not_depend_on_how_it_is_written():
    assert summary(nn.Conv2d(8, 16, 3, groups=4, padding=1), (8, 6, 6)).macs == 36 * 16 * 2 * 9
    assert summary(nn.ConvTranspose2d(8, 16, 2, 2), (8, 6, 6)).macs == 36 * 8 * 16 * 4
    assert summary(nn.Conv2d(8, 16, 1), (5, 8, 6, 6)).macs == 5 * 36 * 8 * 16
    assert summary(nn.Conv1d(8, 16, 3, groups=4, padding=1), (8, 6)).macs == 6 * 16 * 2 * 3
    assert summary(nn.ConvTranspose1d(8, 16, 3, 2, groups=2), (8, 6)).macs == 6 * 8 * 8 * 3
    for pool in (nn.AdaptiveAvgPool2d(3), nn.AdaptiveAvgPool2d(2), nn.AdaptiveMaxPool2d(3), nn.Upsample((7, 5))):
        assert summary(pool, (2, 8, 8)).macs == 0
    assert summary(nn.Linear(8, 3).double(), (8,)).param_bytes == 27 * 8


def test_several_inputs_and_outputs_and_integers():
    class Two(nn.Module):
        def forward(self, a, b):
            return {"sum": a + b, "parts": [a, b]}

    s = summary(Two(), [(3, 4, 4), (3, 4, 4)])
    assert s.layers[0].output_shapes == [(1, 3, 4, 4)] * 3 and s.layers[0].nbytes == 3 * 16 * 4
    s = summary(nn.Embedding(10, 4), input_data=torch.tensor([[1, 2]]))
    assert s.layers[0].output_shapes == [(1, 2, 4)] and s.layers[0].receptive_field is None
    pair = summary(nn.MaxPool2d(2, return_indices=True), (1, 4, 4)).layers[0]
    assert pair.output_shapes == [(1, 1, 2, 2)] * 2 and pair.receptive_field == (2, 2)


def test_text_html_and_data():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(2, 2, 3)))
    folded, full = summary(model, (1, 8, 8), depth=1), summary(model, (1, 8, 8), depth=None)
    assert "    1 (Conv2d)" in str(full) and "    1 (Conv2d)" not in str(folded)
    assert "1 (Sequential)" in str(folded) and str(folded).count("38") == 1  # 2*2*9 + 2, of the parts below
    page = full._repr_html_()
    assert page.startswith("<table>") and page.count("<tr>") == 6 and "&emsp;" in page
    assert full.to_dicts()[1]["params"] == 20
    with pytest.raises(KeyError, match="no layer 'x'; there are '', '0', '1'"):
        full["x"]


def test_what_is_refused():
    with pytest.raises(TypeError, match=r"expected an nn\.Module"):
        summary(3, (1,))
    for wrong in ({}, {"input_size": (1,), "input_data": torch.ones(1)}):
        with pytest.raises(TypeError, match="either input_size"):
            summary(nn.ReLU(), **wrong)
    with pytest.raises(TypeError, match="positive ints"):
        summary(nn.ReLU(), (3, 0))
    with pytest.raises(TypeError, match="must be a Tensor"):
        summary(nn.ReLU(), input_data=np.ones(3))
    with pytest.raises(RuntimeError, match=r"0\.weight, 0\.bias have no shape yet"):
        summary(nn.Sequential(nn.LazyLinear(3)), (4,))
