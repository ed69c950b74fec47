"""Exported models compute in onnxruntime what they compute here."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tinycnn
from tinycnn import nn
from tinycnn.nn import functional as F
from tinycnn.vision import models


def test_without_the_package_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'tinycnn\[onnx\]'"):
        tinycnn.onnx.export(nn.Linear(1, 1), tinycnn.zeros(1, 1), tmp_path / "a.onnx")


def disturb(model):
    """Weights that keep the variance, scales and statistics near the usual values, so that every layer shows."""
    rng = np.random.default_rng(0)
    for name, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        drawn = rng.standard_normal(value.shape, np.float32)
        if value.ndim > 1:
            drawn *= np.float32(np.sqrt(2 / np.prod(value.shape[1:])))
        elif name.endswith(("running_var", "weight")):
            drawn = np.exp(0.3 * drawn)
        else:
            drawn *= np.float32(0.2)
        value.copy_(tinycnn.from_numpy(drawn))


@pytest.fixture
def undrawn(monkeypatch):
    """Weights begin as 0, as `disturb` draws them: hundreds of millions of random numbers would take a while."""
    for name in ("uniform_", "normal_", "trunc_normal_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: nn.init.zeros_(tensor))


def exported(model, x, path):
    """What onnxruntime makes of the file, for each output."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    tinycnn.onnx.export(model, x, path)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = x if isinstance(x, tuple) else (x,)
    return session.run(None, {i.name: v.numpy() for i, v in zip(session.get_inputs(), inputs, strict=True)}), session


def small_vgg():
    """VGG's parts, with a classifier that does not fill half a gigabyte."""
    model = models.VGG(models.vgg.make_layers(((8, 8), (16,), (512,)), batch_norm=True), init_weights=False)
    for at, sizes in ((0, (512 * 7 * 7, 32)), (3, (32, 32)), (6, (32, 10))):
        model.classifier[at] = nn.Linear(*sizes)
    return model


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (models.LeNet5, (2, 1, 32, 32)),
        (models.resnet18, (1, 3, 64, 64)),
        (models.cifar.resnet20, (2, 3, 32, 32)),
        (models.cifar.senet, (1, 3, 16, 16)),
        (models.squeezenet1_0, (1, 3, 64, 64)),
        (models.mobilenet_v2, (1, 3, 64, 64)),
        (models.mobilenet_v3_small, (1, 3, 64, 64)),
        (models.shufflenet_v2_x0_5, (2, 3, 64, 64)),
        (lambda: models.googlenet(transform_input=True), (1, 3, 64, 64)),
        (lambda: models.DenseNet(4, (2, 2), 8), (1, 3, 64, 64)),
        (lambda: models.inception_v3(init_weights=False, transform_input=True), (1, 3, 80, 90)),
        (models.mnasnet0_5, (1, 3, 64, 64)),
        (small_vgg, (1, 3, 60, 44)),  # 7x5 pixels, which the adaptive pool makes 7x7
        (models.alexnet, (1, 3, 96, 80)),
        (lambda: models.fcn_resnet50(num_classes=3, aux_loss=True), (1, 3, 40, 48)),
    ],
)
def test_models(make, shape, tmp_path, undrawn):
    tinycnn.manual_seed(0)
    model = make()
    disturb(model)
    x = tinycnn.randn(*shape)
    found, session = exported(model.train(), x, tmp_path / "model.onnx")
    assert model.training and all(p.requires_grad for p in model.parameters())
    assert not any(b.requires_grad for b in model.buffers())
    with tinycnn.no_grad():
        made = model.eval()(x)
    made = made if isinstance(made, dict) else {"output": made}
    assert [o.name for o in session.get_outputs()] == list(made)
    for mine, theirs in zip(made.values(), found, strict=True):
        wanted = mine.numpy()
        assert wanted.std() > 0 and np.abs(theirs - wanted).max() < 1e-4 * np.abs(wanted).max()


class Functional(nn.Module):
    """What layers do not show: functions, numbers, several inputs and outputs, frozen weights."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=(1, 0), dilation=(1, 2), groups=2)
        self.conv.weight.requires_grad_(False)
        self.norm = nn.BatchNorm2d(4, affine=False)
        self.register_buffer("shift", tinycnn.tensor([[0.5]]))

    def forward(self, x, y):
        x = F.leaky_relu(self.norm(self.conv(F.pad(x, (1, 2, 0, 1), value=0.25))), 0.2)
        small = F.max_pool2d(x, 3, stride=2, ceil_mode=True) + 1
        mean = x[:, ::2, 1:].mean((2, 3)) - 0.5
        wide = F.interpolate(small, size=(7, 9), mode="bilinear")
        hidden = F.avg_pool2d(wide, 3, padding=1, count_include_pad=False).flatten(1) * self.shift
        return {"logits": (3 - hidden.tanh()) @ y, "mean": F.hardtanh(mean / 2, -0.1, 0.3).sigmoid()}


def test_functions_numbers_inputs_and_outputs(tmp_path):
    tinycnn.manual_seed(0)
    model, args = Functional(), (tinycnn.randn(2, 2, 12, 13), tinycnn.randn(4 * 3 * 3, 5))
    wanted = model.eval()(*args)
    found, session = exported(model, args, tmp_path / "model.onnx")
    assert [o.name for o in session.get_outputs()] == ["logits", "mean"]
    assert [i.name for i in session.get_inputs()] == ["input_0", "input_1"]
    for mine, theirs in zip(wanted.values(), found, strict=True):
        assert np.allclose(mine.detach().numpy(), theirs, rtol=1e-4, atol=1e-5)
    assert not model.conv.weight.requires_grad and not model.shift.requires_grad


def test_what_cannot_be_written_is_refused(tmp_path):
    pytest.importorskip("onnx")

    class Sorted(nn.Module):
        def forward(self, x):
            return x.cumsum(1)

    with pytest.raises(NotImplementedError, match="onnx.export: CumSum cannot be written"):
        tinycnn.onnx.export(Sorted(), tinycnn.zeros(1, 2), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())
