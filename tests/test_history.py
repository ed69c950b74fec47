"""The nets of examples/history: the papers' numbers, and that they run."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import nn

FOLDER = Path(tinycnn.__file__).resolve().parent.parent / "examples" / "history"


def load(name):
    spec = importlib.util.spec_from_file_location(f"history_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.fixture
def undrawn(monkeypatch):
    for name in ("uniform_", "normal_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: nn.init.zeros_(tensor))


def test_alexnet_of_2012(undrawn):
    net = load("alexnet_2012").AlexNet2012().eval()
    sizes = [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000]
    assert [count(layer) for layer in net.children() if count(layer)] == sizes and sum(sizes) == 60_965_224
    assert net(tinycnn.rand(1, 3, 227, 227)).shape == (1, 1000)
    with pytest.raises(ValueError, match=r"227x227, got shape \(1, 3, 224, 224\)"):
        net(tinycnn.rand(1, 3, 224, 224))


def test_its_response_norm_is_the_papers():
    x = np.random.default_rng(0).standard_normal((1, 7, 2, 2)).astype(np.float32) * 30
    wanted = np.empty_like(x)
    for c in range(7):
        wanted[:, c] = x[:, c] / (2 + 1e-4 * (x[:, max(0, c - 2) : c + 3] ** 2).sum(1)) ** 0.75
    assert np.allclose(load("alexnet_2012").response_norm()(tinycnn.from_numpy(x)).numpy(), wanted, rtol=1e-5)


def test_lenet5_of_1998():
    module = load("lenet5_1998")
    net = module.LeNet5Of1998()
    assert [count(part) for part in net.children()] == [156, 12, 1516, 32, 48_120, 10_164] and count(net) == 60_000
    assert net.patterns.shape == (10, 84) and len({tuple(row) for row in net.patterns.tolist()}) == 10
    assert np.allclose(module.squash(tinycnn.tensor([1.0, -1.0])).numpy(), [1, -1], atol=1e-4)
    distances = net(tinycnn.rand(3, 1, 32, 32))
    assert distances.shape == (3, 10)
    module.loss(distances, tinycnn.tensor([1, 2, 3])).backward()
    assert all(p.grad is not None and p.grad.numpy().any() for p in net.parameters())
    value = module.loss(tinycnn.tensor([[2.0, 3.0]]), tinycnn.tensor([0]), j=0.1).item()
    assert value == pytest.approx(2 + np.log(np.exp(-0.1) + np.exp(-2) + np.exp(-3)))


def test_yolo_has_the_papers_sizes():
    module = load("yolo_v1")
    convolutions = [step for step in module.BODY if step != "M"]
    assert len(convolutions) == 24
    size, channels, total = 448, 3, 0
    for step in module.BODY:
        if step == "M":
            size //= 2
            continue
        filters, kernel, stride = step
        total += filters * (channels * kernel**2 + 1)
        channels, size = filters, size // stride
    assert (channels, size) == (1024, 7)
    assert total + 4096 * (1024 * 49 + 1) + 1470 * 4097 == 271_703_550


def test_yolo_finds_what_the_loss_asks_for():
    """Descending the loss on the output itself makes it decode to the objects."""
    module = load("yolo_v1")
    tinycnn.manual_seed(0)
    objects = [[(0.3, 0.4, 0.3, 0.2, 1), (0.8, 0.7, 0.2, 0.5, 0)], [(0.5, 0.95, 0.9, 0.1, 2)]]
    output = (tinycnn.rand(2, 4, 4, 13) * 0.3).requires_grad_()
    for _ in range(300):
        loss = module.yolo_loss(output, objects, 2)
        loss.backward()
        with tinycnn.no_grad():
            output -= 0.1 * output.grad
        output.grad = None
    assert loss.item() < 0.02
    for things, found in zip(objects, module.decode(output, 2), strict=True):
        assert sorted(t[4] for t in things) == sorted(f.label for f in found)
        for x, y, w, h, label in things:
            (box,) = [f for f in found if f.label == label]
            assert np.allclose(box[:4], [x - w / 2, y - h / 2, x + w / 2, y + h / 2], atol=0.03) and box.score > 0.8


def test_yolo_loss_by_hand():
    module = load("yolo_v1")
    output = tinycnn.zeros(1, 1, 1, 7)  # one cell, one box, two classes
    output[0, 0, 0] = tinycnn.tensor([0.5, 0.5, 0.5, 0.5, 0.6, 0.2, 0.3])
    object = (0.5, 0.5, 0.25, 0.0625, 0)  # a quarter of the guessed 0.25 x 0.25 box
    wanted = 5 * (0.25 - 0.5) ** 2 + (0.6 - 0.25) ** 2 + 0.8**2 + 0.3**2
    assert module.yolo_loss(output, [[object]], 1).item() == pytest.approx(wanted)
    assert module.yolo_loss(output, [[]], 1).item() == pytest.approx(0.5 * 0.6**2)


def test_suppression():
    module = load("yolo_v1")
    a, b = module.Detection(0, 0, 1, 1, 0, 0.5), module.Detection(0, 0, 1, 0.9, 0, 0.9)
    other, far = module.Detection(0, 0, 1, 1, 1, 0.3), module.Detection(2, 2, 3, 3, 0, 0.1)
    assert module.suppress([a, b, other, far], 0.5) == [b, other, far]
    assert module.suppress([a, b], 0.95) == [b, a]
    assert module.overlap(np.array([0, 0, 2, 2.0]), np.array([1, 1, 3, 3.0])) == pytest.approx(1 / 7)


@pytest.mark.parametrize(("name", "options", "text"), [
    ("lenet5_1998", ["--epochs", "2"], "60,000 trained parameters"),
    ("yolo_v1", ["--steps", "2"], "rectangles"),
])  # fmt: skip
def test_they_run(name, options, text):
    done = subprocess.run([sys.executable, FOLDER / f"{name}.py", *options], capture_output=True, text=True)
    assert done.returncode == 0 and text in done.stdout, done.stderr
