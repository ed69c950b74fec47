"""Plots: the numbers behind them by hand, and that every figure can be written."""

import io
import subprocess
import sys

import numpy as np
import pytest

import tinycnn as torch
from tinycnn import inspect, nn
from tinycnn.vision.models import LeNet5


def png(figure):
    """The figure as a file, which draws all of it."""
    file = io.BytesIO()
    figure.savefig(file)
    assert file.getvalue().startswith(b"\x89PNG")
    return figure


def titles(figure):
    return [a.get_title() for a in figure.axes]


class Linear(nn.Module):
    """Two maps, and two classes: score 0 is the mean of the first minus twice that of the second, score 1 -score 0."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Conv2d(1, 2, 1, bias=False)
        self.maps.weight.data[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout()

    def forward(self, x):
        a, b = self.drop(self.act(self.maps(x))).mean((2, 3)).unbind(1)
        return torch.stack([a - 2 * b, 2 * b - a], 1)


def test_saliency_and_grad_cam_by_hand():
    x = torch.tensor([[[[1.0, -1.0], [2.0, 0.5]]]])
    model = Linear()
    values, target = inspect.saliency_map(model, x)
    assert target == 0  # 3.5 / 4 - 2 / 4
    assert np.allclose(values, [[0.25, 0.5], [0.25, 0.25]])
    for layer in ("act", model.act, None):
        cam, target = inspect.grad_cam_map(model, x, layer)
        assert target == 0 and np.allclose(cam, [[0.5, 0], [1, 0.25]])
    cam, target = inspect.grad_cam_map(model, x[0], "act", target=1)
    assert target == 1 and np.allclose(cam, [[0, 1], [0, 0]])
    assert model.training and model.drop.training and model.maps.weight.grad is None
    assert torch.equal(x, torch.tensor([[[[1.0, -1.0], [2.0, 0.5]]]]))


def test_pictures_of_gradients():
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2)), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        figure = png(inspect.grad_cam(model, x, target=1, image=1, classes=["cat", "dog"], mean=(0.5,) * 3))
    assert titles(figure) == ["image", "Grad-CAM of dog", "both"]
    assert figure.axes[1].images[0].get_array().shape == (8, 8)
    assert titles(png(inspect.saliency(model, x[0], target=0))) == ["image", "saliency of 0"]
    assert all(p.grad is None for p in model.parameters())


def test_filters():
    assert len(png(inspect.filters(LeNet5())).axes) == 6 + 1  # and the scale
    assert len(png(inspect.filters(nn.Conv2d(3, 10, 3), limit=8)).axes) == 8
    figure = png(inspect.filters(nn.Conv2d(16, 5, 3), limit=3, channels=4))
    assert len(figure.axes) == 13 and "3 of 5; a filter in each row, 4 of its 16 channels" in figure.get_suptitle()
    (shown,) = inspect.filters(torch.tensor([[[[0.0, 1.0]]], [[[0.0, -1.0]]]])).axes[1].images
    assert shown.get_clim() == (-1, 1) and shown.get_array().tolist() == [[0, -1]]
    with pytest.raises(ValueError, match=r"no nn\.Conv2d"):
        inspect.filters(nn.ReLU())
    with pytest.raises(ValueError, match="expected a weight"):
        inspect.filters(torch.ones(3))


def test_feature_maps():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Sequential(nn.ReLU()))
    x = torch.randn(2, 1, 6, 6)
    figure = png(inspect.feature_maps(model, x, "1.0", image=1, limit=2))
    assert figure.get_suptitle() == "1.0: 2 of 3 channels, 4x4" and titles(figure) == ["0", "1"]
    assert np.allclose(figure.axes[1].images[0].get_array(), model(x)[1, 1].detach().numpy())
    with pytest.raises(AttributeError, match="no attribute '2'"):
        inspect.feature_maps(model, x, "2")
    with pytest.raises(ValueError, match="not a part of Sequential"):
        inspect.feature_maps(model, x, nn.ReLU())
    with pytest.raises(ValueError, match="the layer .0. returned no maps"):
        inspect.feature_maps(nn.Sequential(nn.Flatten()), x, "0")
    with pytest.raises(TypeError, match="expected images"):
        inspect.feature_maps(model, torch.ones(3))
    with pytest.raises(ValueError, match="expected class scores"):
        inspect.saliency_map(model, x)


def test_confusion():
    counts = inspect.confusion_counts(torch.tensor([0, 0, 1, 2]), [0, 1, 1, 1])
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    figure = png(inspect.confusion_matrix([0, 0, 1, 2], [0, 1, 1, 1], ["cat", "dog", "horse"], normalize=True))
    assert titles(figure) == ["50.00% of 4 right; numbers: % of the row"]
    assert sorted(t.get_text() for t in figure.axes[0].texts) == ["100", "100", "50", "50"]
    with pytest.raises(ValueError, match="nothing to draw"):
        inspect.confusion_matrix([], [])
    with pytest.raises(ValueError, match="2 labels but 1 predictions"):
        inspect.confusion_counts([0, 1], [0])
    with pytest.raises(ValueError, match="class numbers 0 to 3, expected 0 to 1"):
        inspect.confusion_counts([0, 3], [0, 1], 2)


def test_curves():
    history = {"loss": {"training": [2.0, 1.0], "test": torch.tensor([2.0, 1.5])}, "accuracy": [0.5, 0.75, 0.7]}
    figure = png(inspect.curves(history, best={"loss": "min", "accuracy": "max"}))
    left, right = figure.axes
    assert left.get_yscale() == "log" and right.get_yscale() == "linear"
    assert [t.get_text() for a in (left, right) for t in a.texts] == ["1.5", "0.75"]
    assert left.get_legend() and not right.get_legend()
    assert png(inspect.curves({"loss": [1.0, 0.0]})).axes[0].get_yscale() == "linear"
    with pytest.raises(ValueError, match="nothing to draw"):
        inspect.curves({})


def test_mistakes():
    images, labels = torch.rand(5, 3, 4, 4), torch.tensor([0, 1, 1, 0, 1])
    figure = png(
        inspect.mistakes(images, labels, [0, 0, 0, 1, 1], ["cat", "dog"], scores=[1, 0.6, 0.9, 0.7, 1], limit=2)
    )
    assert figure.get_suptitle().startswith("3 mistakes in 5 images, 2 of them")
    assert titles(figure) == ["cat (90%)", "dog (70%)"]
    assert np.allclose(figure.axes[0].images[0].get_array(), images[2].numpy().transpose(1, 2, 0))
    png(inspect.mistakes(torch.zeros(2, 4, 4, dtype=torch.uint8), [0, 1], [0, 1]))
    with pytest.raises(ValueError, match="5 images, 5 labels and 1 predictions"):
        inspect.mistakes(images, labels, [0])


def test_pyplot_stays_away_and_missing_matplotlib_is_named():
    code = "import sys, tinycnn; from tinycnn import inspect; print('matplotlib' in sys.modules)"
    code += "; inspect.curves({'a': [1]}); print('matplotlib.pyplot' in sys.modules)"
    code += (
        "; sys.modules['matplotlib.figure'] = None\ntry: inspect.curves({'a': [1]})\nexcept ImportError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "False",
        "False",
        "plots need matplotlib: pip install matplotlib, or tinycnn[examples]",
    ]
