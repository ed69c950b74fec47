"""nn.init: bounds, moments, gains, generators."""

import math

import numpy as np
import pytest

import tinycnn as t
from tinycnn import nn
from tinycnn.nn import init


def moments(tensor):
    values = tensor.detach().numpy()
    return values.mean(), values.std(), values.min(), values.max()


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda w: init.uniform_(w, -0.3, 0.3), 0.3 / math.sqrt(3)),
        (lambda w: init.normal_(w, std=0.3), 0.3),
        (lambda w: init.xavier_uniform_(w, gain=2), 2 * math.sqrt(2 / (72 * 9 + 64 * 9))),
        (lambda w: init.xavier_normal_(w), math.sqrt(2 / (72 * 9 + 64 * 9))),
        (lambda w: init.kaiming_uniform_(w), math.sqrt(2 / (64 * 9))),
        (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / (72 * 9))),
        (lambda w: init.kaiming_normal_(w, a=2), math.sqrt(2 / 5 / (64 * 9))),
        (lambda w: init.trunc_normal_(w, std=0.1, a=-0.1, b=0.1), 0.1 * 0.5396),
    ],
)
@pytest.mark.parametrize("dtype", [t.float32, t.float64])
def test_moments(fill, std, dtype):
    t.manual_seed(1)
    w = nn.Parameter(t.empty(72, 64, 3, 3, dtype=dtype))
    assert fill(w) is w and w.requires_grad and w.grad_fn is None and w.dtype is dtype
    mean, deviation, low, high = moments(w)
    assert abs(mean) < 0.02 * std and abs(deviation / std - 1) < 0.02 and low < 0 < high


def test_bounds_are_kept():
    w = t.empty(50, 50)
    assert moments(init.uniform_(w, 2, 3))[2] >= 2 and moments(w)[3] <= 3
    _, _, low, high = moments(init.trunc_normal_(w, 0.5, 1.0, 0.0, 1.0))
    assert low >= 0 and high <= 1
    bound = math.sqrt(6 / 100)
    assert np.abs(init.xavier_uniform_(w).numpy()).max() <= bound * (1 + 1e-6)


def test_constants():
    w = nn.Parameter(t.empty(2, 2))
    assert init.constant_(w, 3).tolist() == [[3, 3], [3, 3]]
    assert init.ones_(w).tolist() == [[1, 1], [1, 1]]
    assert init.zeros_(w).tolist() == [[0, 0], [0, 0]]
    assert init.ones_(w.detach().t()).tolist() == [[1, 1], [1, 1]]


def test_generator_and_seed():
    a, b, c = t.empty(4), t.empty(4), t.empty(4)
    t.manual_seed(5)
    init.normal_(a)
    init.normal_(b, generator=t.Generator().manual_seed(5))
    t.manual_seed(5)
    init.normal_(c)
    assert a.tolist() == b.tolist() == c.tolist()


def test_gains():
    assert init.calculate_gain("linear") == init.calculate_gain("conv2d") == init.calculate_gain("sigmoid") == 1
    assert init.calculate_gain("tanh") == 5 / 3 and init.calculate_gain("selu") == 0.75
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    assert init.calculate_gain("leaky_relu", 1) == 1


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda: init.calculate_gain("swish"), "nonlinearity must be one of .*relu.*; got 'swish'"),
        (lambda: init.calculate_gain("leaky_relu", True), "slope must be a number"),
        (lambda: init.kaiming_uniform_(t.empty(3)), r"at least 2 dimensions \(O, I, ...\), got shape \(3,\)"),
        (lambda: init.xavier_normal_(t.empty(3)), "at least 2 dimensions"),
        (lambda: init.kaiming_normal_(t.empty(3, 3), mode="fan"), "'fan_in' or 'fan_out', got 'fan'"),
        (lambda: init.trunc_normal_(t.empty(3), a=8, b=9), "holds less than 1 %"),
    ],
)
def test_refusals(act, text):
    with pytest.raises(ValueError, match=text):
        act()
