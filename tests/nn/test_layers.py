"""Layers and losses: against PyTorch's answers, their settings, and what they refuse."""

import json
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn as t
import tinycnn.nn.functional as F
from tinycnn import nn

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = json.loads((GOLDEN / "nn_cases.json").read_text())


@pytest.fixture(scope="module")
def answers():
    with np.load(GOLDEN / "nn.npz") as file:
        return dict(file)


def wave(shape, phase):
    return t.tensor(np.sin(1.7 * np.arange(int(np.prod(shape))) + phase).reshape(shape))


def tuples(values):
    return [tuple(v) if isinstance(v, list) else v for v in values]


def check(got, wanted):
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got.detach().numpy(), wanted, rtol=1e-9, atol=1e-12)


# -- against PyTorch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("i", range(len(CASES["layers"])), ids=lambda i: f"{i}-{CASES['layers'][i]['layer']}")
def test_layer_agrees_with_pytorch(i, answers):
    case = CASES["layers"][i]
    kwargs = dict(zip(case["kwargs"], tuples(case["kwargs"].values()), strict=True))
    layer = getattr(nn, case["layer"])(*tuples(case["args"]), **kwargs).double()
    layer.train(not case.get("eval", False))
    with t.no_grad():
        for k, p in enumerate(layer.parameters()):
            p.copy_(wave(p.shape, k + 2))
    x = wave(case["shape"], 0).requires_grad_()
    for _ in range(2):
        y = layer(x)
    (y * wave(y.shape, 1)).sum().backward()
    check(y, answers[f"layer{i}/y"])
    check(x.grad, answers[f"layer{i}/x.grad"])
    names = {n for n in answers if n.startswith(f"layer{i}/")} - {f"layer{i}/y", f"layer{i}/x.grad"}
    for name, p in layer.named_parameters():
        check(p.grad, answers[f"layer{i}/{name}.grad"])
        names.discard(f"layer{i}/{name}.grad")
    for name, b in layer.named_buffers():
        check(b, answers[f"layer{i}/{name}"])
        names.discard(f"layer{i}/{name}")
    assert not names  # PyTorch's layer has nothing that ours lacks


@pytest.mark.parametrize("i", range(len(CASES["losses"])), ids=lambda i: f"{i}-{CASES['losses'][i]['loss']}")
def test_loss_agrees_with_pytorch(i, answers):
    case = CASES["losses"][i]
    weight = {"weight": t.tensor(case["weight"], dtype=t.float64)} if "weight" in case else {}
    target = t.tensor(case["target"])
    target = target.double() if target.is_floating_point() else target
    x = wave(case["shape"], 0).requires_grad_()
    y = getattr(nn, case["loss"])(**case["kwargs"], **weight)(x, target)
    (y * wave(y.shape, 1)).sum().backward()
    check(y, answers[f"loss{i}/y"])
    check(x.grad, answers[f"loss{i}/x.grad"])


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Conv2d(3, 6, 5), "Conv2d(3, 6, kernel_size=(5, 5), stride=(1, 1))"),
        (
            nn.Conv2d(4, 8, (1, 3), 2, (0, 1), 3, groups=2, bias=False),
            "Conv2d(4, 8, kernel_size=(1, 3), stride=(2, 2), padding=(0, 1), dilation=(3, 3), groups=2, bias=False)",
        ),
        (nn.Conv2d(1, 1, 3, padding="same"), "Conv2d(1, 1, kernel_size=(3, 3), stride=(1, 1), padding=same)"),
        (nn.Linear(400, 120), "Linear(in_features=400, out_features=120, bias=True)"),
        (nn.Linear(4, 1, bias=False), "Linear(in_features=4, out_features=1, bias=False)"),
        (nn.MaxPool2d(2), "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"),
        (nn.AvgPool2d((2, 3), 1), "AvgPool2d(kernel_size=(2, 3), stride=1, padding=0)"),
        (
            nn.BatchNorm2d(6),
            "BatchNorm2d(6, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)",
        ),
        (nn.Dropout(), "Dropout(p=0.5, inplace=False)"),
        (nn.ReLU(), "ReLU()"),
        (nn.ReLU(inplace=True), "ReLU(inplace=True)"),
        (nn.Tanh(), "Tanh()"),
        (nn.Sigmoid(), "Sigmoid()"),
        (nn.Softmax(dim=1), "Softmax(dim=1)"),
        (nn.LogSoftmax(1), "LogSoftmax(dim=1)"),
        (nn.Identity(), "Identity()"),
        (nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
        (nn.CrossEntropyLoss(), "CrossEntropyLoss()"),
        (nn.NLLLoss(), "NLLLoss()"),
        (nn.MSELoss(), "MSELoss()"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else "",
)
def test_repr_is_that_of_pytorch(layer, text):
    assert repr(layer) == text


def test_names_shapes_and_dtypes_of_parameters():
    conv = nn.Conv2d(4, 6, (3, 2), groups=2, dtype=t.float64, device="cpu")
    assert {k: tuple(v.shape) for k, v in conv.state_dict().items()} == {"weight": (6, 2, 3, 2), "bias": (6,)}
    assert conv.weight.dtype is t.float64 and conv.bias.requires_grad
    assert nn.Conv2d(1, 1, 1, bias=False).bias is None
    assert sum(p.numel() for p in nn.Conv2d(3, 64, 5, bias=False).parameters()) == 4800
    norm = nn.BatchNorm2d(3)
    assert list(norm.state_dict()) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert norm.num_batches_tracked.dtype is t.int64 and norm.num_batches_tracked.shape == ()
    bare = nn.BatchNorm2d(3, affine=False, track_running_stats=False)
    assert bare.state_dict() == {} and bare.weight is None and bare.running_mean is None
    weighted = nn.CrossEntropyLoss(weight=t.ones(3))
    assert list(weighted.state_dict()) == ["weight"] and list(weighted.parameters()) == []


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), st.sampled_from([nn.Linear, nn.Conv2d]))
def test_default_initialisation_is_even_within_one_over_the_root_of_fan_in(fan, out, kernel, kind):
    t.manual_seed(fan)
    layer = nn.Linear(fan, out) if kind is nn.Linear else nn.Conv2d(fan, out, kernel)
    bound = 1 / math.sqrt(fan if kind is nn.Linear else fan * kernel * kernel)
    for p in layer.parameters():
        assert np.abs(p.detach().numpy()).max() <= bound * (1 + 1e-6)


def test_default_initialisation_fills_the_interval_and_repeats():
    t.manual_seed(3)
    a = nn.Linear(400, 200)
    t.manual_seed(3)
    b = nn.Linear(400, 200)
    assert np.array_equal(a.weight.detach().numpy(), b.weight.detach().numpy())
    w = a.weight.detach().numpy() * 20
    assert abs(w.mean()) < 0.01 and abs(w.var() - 1 / 3) < 0.01 and w.max() > 0.99 and w.min() < -0.99
    assert not np.array_equal(nn.Linear(4, 2).weight.detach().numpy(), nn.Linear(4, 2).weight.detach().numpy())
    assert nn.Linear(0, 3)(t.zeros(2, 0)).shape == (2, 3)


# -- batch normalization ----------------------------------------------------------------------------------------------


def test_batch_norm_with_momentum_none_averages_over_all_batches():
    norm = nn.BatchNorm2d(2, momentum=None)
    batches = [t.randn(4, 2, 3, 3) for _ in range(5)]
    for x in batches:
        norm(x)
    means = np.mean([x.numpy().mean((0, 2, 3)) for x in batches], 0)
    variances = np.mean([x.numpy().var((0, 2, 3), ddof=1) for x in batches], 0)
    assert norm.num_batches_tracked.item() == 5
    np.testing.assert_allclose(norm.running_mean.numpy(), means, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.running_var.numpy(), variances, rtol=1e-4)
    norm.reset_running_stats()
    assert norm.running_mean.tolist() == [0, 0] and norm.running_var.tolist() == [1, 1]
    assert norm.num_batches_tracked.item() == 0


def test_batch_norm_in_evaluation_changes_nothing():
    norm = nn.BatchNorm2d(2).eval()
    x = t.randn(1, 2, 1, 1)
    np.testing.assert_allclose(norm(x).detach().numpy(), x.numpy() / math.sqrt(1 + 1e-5), rtol=1e-6)
    assert norm.num_batches_tracked.item() == 0 and norm.running_mean.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((2, 3), r"expected 4D input \(N, C, H, W\), got 2D input of shape \(2, 3\)"),
        ((3, 4, 4), "expected 4D input"),
        ((2, 5, 4, 4), r"BatchNorm2d\(num_features=3\): the input has 5 channels .*make it BatchNorm2d\(5\)"),
        ((1, 3, 1, 1), r"Expected more than 1 value per channel when training, got input shape \(1, 3, 1, 1\)"),
    ],
)
def test_batch_norm_refuses(shape, text):
    norm = nn.BatchNorm2d(3)
    with pytest.raises(ValueError, match=text):
        norm(t.zeros(shape))
    assert norm.num_batches_tracked.item() == 0


# -- dropout, in place ------------------------------------------------------------------------------------------------


def test_dropout_in_training_and_evaluation():
    drop, x = nn.Dropout(0.25), t.ones(100, 100)
    t.manual_seed(0)
    y = drop(x).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)} and 0.23 < (y == 0).mean() < 0.27
    assert not np.array_equal(y, drop(x).numpy())
    t.manual_seed(0)
    assert np.array_equal(y, drop(x).numpy())
    assert drop.eval()(x) is x
    assert nn.Dropout(1.0)(x).numpy().max() == 0 and nn.Dropout(0.0)(x) is x


def test_inplace_layers_write_into_their_input():
    x = t.tensor([-1.0, 2.0])
    assert nn.ReLU(inplace=True)(x) is x and x.tolist() == [0, 2]
    y = t.ones(50)
    assert nn.Dropout(0.5, inplace=True)(y) is y and 0 in y.tolist()
    lin, other = nn.Linear(3, 3), nn.Linear(3, 3)
    other.load_state_dict(lin.state_dict())
    inputs = t.randn(4, 3)
    nn.Sequential(lin, nn.ReLU(inplace=True))(inputs).sum().backward()
    nn.Sequential(other, nn.ReLU())(inputs).sum().backward()
    assert np.array_equal(lin.weight.grad.numpy(), other.weight.grad.numpy())


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Conv2d(0, 1, 3), "Conv2d: in_channels must be at least 1, got 0"),
        (lambda: nn.Conv2d(1, -1, 3), "out_channels must be at least 1"),
        (lambda: nn.Conv2d(1.5, 1, 3), "in_channels must be an int, got float 1.5"),
        (lambda: nn.Conv2d(True, 1, 3), "in_channels must be an int, got bool"),
        (lambda: nn.Conv2d(1, 1, 0), "kernel_size must be at least 1"),
        (lambda: nn.Conv2d(1, 1, (3, 3, 3)), "kernel_size must be an int or a pair"),
        (lambda: nn.Conv2d(1, 1, 3, stride=0), "stride must be at least 1"),
        (lambda: nn.Conv2d(1, 1, 3, padding=-1), "padding must be at least 0"),
        (lambda: nn.Conv2d(1, 1, 3, padding="full"), "'same' or 'valid', got 'full'"),
        (lambda: nn.Conv2d(1, 1, 3, 2, "same"), "only with stride 1, got stride=2"),
        (lambda: nn.Conv2d(1, 1, 3, dilation=0), "dilation must be at least 1"),
        (lambda: nn.Conv2d(4, 6, 3, groups=4), "groups=4 must divide in_channels=4 and out_channels=6"),
        (lambda: nn.Conv2d(4, 6, 3, groups=0), "groups must be at least 1"),
        (lambda: nn.Conv2d(1, 1, 3, padding_mode="mirror"), "padding_mode must be one of"),
        (lambda: nn.Linear(-1, 2), "in_features must be at least 0"),
        (lambda: nn.Linear(2, "3"), "out_features must be an int, got str"),
        (lambda: nn.MaxPool2d(0), "MaxPool2d: kernel_size must be at least 1"),
        (lambda: nn.MaxPool2d(2, 0), "MaxPool2d: stride must be at least 1"),
        (lambda: nn.MaxPool2d(3, padding=2), "padding 2 may be at most half the kernel, 1 for a kernel of 3"),
        (lambda: nn.MaxPool2d(2, dilation=0), "dilation must be at least 1"),
        (lambda: nn.AvgPool2d((2, 2), padding=(1, 2)), "padding 2 may be at most half the kernel"),
        (lambda: nn.AvgPool2d(2, divisor_override=0), "divisor_override must not be 0"),
        (lambda: nn.BatchNorm2d(0), "num_features must be at least 1"),
        (lambda: nn.BatchNorm2d(2, eps=0), "eps must be positive"),
        (lambda: nn.BatchNorm2d(2, momentum=1.5), r"momentum must lie in \[0, 1\] or be None"),
        (lambda: nn.Dropout(1.1), r"p is a probability and must lie in \[0, 1\], got 1.1"),
        (lambda: nn.CrossEntropyLoss(reduction="avg"), "'none', 'mean' or 'sum', got 'avg'"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), r"must lie in \[0, 1\], got 2"),
        (lambda: nn.NLLLoss(reduction=None), "got None"),
        (lambda: nn.MSELoss(reduction="x"), "got 'x'"),
        (lambda: nn.Conv2d(1, 1, 3, device="gpu"), "expected 'cpu', 'cuda'"),
        (lambda: nn.Linear(1, 1, dtype=t.int64), "floating"),
    ],
    ids=lambda v: v[:30] if isinstance(v, str) else "",
)
def test_construction_refuses(make, text):
    with pytest.raises((ValueError, TypeError, RuntimeError), match=text):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (
            nn.Linear(120, 84),
            (64, 400),
            "Linear(in_features=120): the input's last dimension is 400 (input shape (64, 400)); "
            "make it Linear(400, 84) or change what comes before",
        ),
        (nn.Linear(400, 84), (64, 16, 5, 5), "put Flatten() or x.flatten(1) before it"),
        (nn.Linear(120, 84), (64, 16, 5, 5), "x.flatten(1) the input would fit Linear(400, 84)"),
        (nn.Linear(3, 1), (), "the input is a 0-d tensor, expected (..., 3)"),
        (
            nn.Conv2d(3, 6, 5),
            (8, 1, 28, 28),
            "Conv2d(in_channels=3): the input has 1 channels (input shape (8, 1, 28, 28)); "
            "make it Conv2d(1, 6, (5, 5)) or change what comes before",
        ),
        (nn.Conv2d(3, 6, 5), (8, 28, 28, 3), "the channels seem to be last: move them with .movedim(-1, -3)"),
        (nn.Conv2d(1, 6, 5), (8, 28, 28), "add it with .unsqueeze(1)"),
        (nn.Conv2d(1, 6, 5), (28, 28), "add the channel with .unsqueeze(-3)"),
        (nn.Conv2d(3, 6, 5), (28, 28), "got shape (28, 28)"),
        (nn.Conv2d(1, 6, 5), (2, 1, 4, 9), "the smallest padding that works is 1"),
        (nn.MaxPool2d(5), (1, 1, 4, 4), "output height = floor((4 + 2*0 - 1*(5-1) - 1)/5 + 1) = 0"),
        (nn.MaxPool2d(2), (4, 4), "expected a 4-D input (N, C, H, W), or (C, H, W)"),
    ],
    ids=lambda v: v[:30] if isinstance(v, str) else "",
)
def test_an_input_that_does_not_fit_is_explained(layer, shape, text):
    with pytest.raises((ValueError, RuntimeError), match=re.escape(text)):
        layer(t.zeros(shape))


@pytest.mark.parametrize("layer", [nn.Conv2d(1, 1, 1), nn.Linear(1, 1), nn.BatchNorm2d(1), nn.MaxPool2d(1), nn.ReLU()])
def test_arrays_are_refused_in_words(layer):
    with pytest.raises(TypeError, match="expected a Tensor, got ndarray"):
        layer(np.zeros((1, 1, 1, 1), np.float32))


def test_dtypes_must_agree():
    for layer in (nn.Conv2d(1, 1, 1), nn.Linear(1, 1), nn.BatchNorm2d(1)):
        with pytest.raises(RuntimeError, match="float64.*float32"):
            layer(t.zeros(2, 1, 1, 1, dtype=t.float64))


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (
            lambda x, y: nn.CrossEntropyLoss()(x, y + 5),
            IndexError,
            "target 5 is out of bounds, the 3 classes",
        ),
        (lambda x, y: nn.CrossEntropyLoss()(x, y[:1]), ValueError, r"the target must have shape \(2,\), got \(1,\)"),
        (lambda x, y: nn.NLLLoss()(x, y.int()), RuntimeError, "class numbers must be int64"),
        (lambda x, y: nn.CrossEntropyLoss(weight=t.ones(2))(x, y), RuntimeError, r"weight must have shape \(3,\)"),
        (lambda x, y: nn.Softmax(2)(x), IndexError, "out of range"),
    ],
)
def test_losses_refuse(act, error, text):
    with pytest.raises(error, match=text):
        act(t.zeros(2, 3), t.tensor([0, 0]))


def test_a_mean_over_nothing_is_nan_as_in_pytorch():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss = nn.CrossEntropyLoss()(t.zeros(2, 3), t.tensor([-100, -100]))
    assert math.isnan(loss.item())


# -- functional -------------------------------------------------------------------------------------------------------


def test_functional_has_pytorchs_signatures():
    x = t.randn(2, 3, 6, 6)
    assert F.relu(x, inplace=False) is not x
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    got = nn.MaxPool2d(2, return_indices=True)(x)
    assert np.array_equal(values.numpy(), got[0].numpy()) and np.array_equal(indices.numpy(), got[1].numpy())
    picked = x.flatten(2).gather(2, indices.flatten(2)).reshape(values.shape)
    assert np.array_equal(picked.numpy(), values.numpy()) and indices.dtype is t.int64
    assert F.pad(x, (1, 2)).shape == (2, 3, 6, 9) and F.flatten(x, 1).shape == (2, 108)
    logits, target = t.randn(4, 3), t.tensor([0, 1, 2, 1])
    np.testing.assert_allclose(
        F.cross_entropy(logits, target).item(), F.nll_loss(F.log_softmax(logits, dim=1), target).item(), rtol=1e-6
    )
    assert F.cross_entropy(logits, target, None, None, -100, None, "none").shape == (4,)
    assert F.mse_loss(logits, logits * 1, None, None, "sum").item() == 0
    np.testing.assert_allclose(F.softmax(logits, dim=-1).numpy().sum(1), 1, rtol=1e-6)


def test_the_textbooks_examples():
    image = t.tensor([[1.0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]])
    conv = nn.Conv2d(1, 1, 3, bias=False)
    with t.no_grad():
        conv.weight.copy_(t.tensor([[1.0, 0, 1], [0, 1, 0], [1, 0, 1]]))
    assert conv(image.reshape(1, 5, 5)).tolist() == [[[4, 3, 4], [2, 4, 3], [2, 3, 4]]]
    table = t.arange(1, 17).float().reshape(1, 4, 4)
    assert nn.MaxPool2d(2)(table).flatten().tolist() == [6, 8, 14, 16]
    assert nn.AvgPool2d(2)(table).flatten().tolist() == [3.5, 5.5, 11.5, 13.5]
    for stride, padding, size in ((1, 0, 5), (2, 0, 3), (1, 1, 7)):
        assert nn.Conv2d(1, 1, 3, stride, padding)(t.zeros(1, 7, 7)).shape == (1, size, size)
    assert nn.MaxPool2d(2, 2, 1)(-t.ones(1, 4, 4)).flatten().tolist() == [-1] * 9  # padding is -inf, not 0


def test_what_pytorch_warns_about():
    with pytest.warns(UserWarning, match="seldom meant"):
        assert nn.MSELoss()(t.zeros(2, 3), t.ones(2, 1)).item() == 1
    with pytest.warns(UserWarning, match="give dim="):
        assert nn.Softmax()(t.zeros(2, 4)).tolist() == [[0.25] * 4] * 2
    with pytest.warns(UserWarning, match="deprecated"):
        nn.L1Loss(reduce=False)


def test_integers_are_limited_in_place_too():
    for function, wanted in (
        (lambda x: F.relu6(x, inplace=True), [0, 3, 6]),
        (lambda x: F.hardtanh(x, -1, 2, inplace=True), [-1, 2, 2]),
        (lambda x: F.threshold(x, 0, 7, inplace=True), [7, 3, 9]),
    ):
        x = t.tensor([-5, 3, 9])
        assert function(x) is x and x.tolist() == wanted


def test_the_gradient_of_elu_far_below_0():
    x = t.tensor([-20.0], requires_grad=True)
    F.elu(x).sum().backward()
    assert x.grad.item() == pytest.approx(np.exp(-20.0), rel=1e-5)


def test_feature_alpha_dropout_takes_whole_channels_and_keeps_mean_and_variance():
    t.manual_seed(0)
    layer, x = nn.FeatureAlphaDropout(0.3), t.randn(200, 50, 3, 2)
    y = layer(x)
    a = 1 / np.sqrt(0.7 * (1 + 0.3 * 1.7580993408473766**2))
    b = a * 1.7580993408473766 * 0.3
    dropped = np.isclose(y.numpy(), b - a * 1.7580993408473766, atol=1e-6).all((2, 3))
    assert np.allclose(y.numpy()[~dropped], (a * x.numpy() + b)[~dropped], atol=1e-5)
    assert abs(dropped.mean() - 0.3) < 0.02 and abs(y.mean().item()) < 0.05 and abs(y.var().item() - 1) < 0.05
    assert layer.eval()(x) is x
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        F.feature_alpha_dropout(t.ones(3), training=True)
