"""`explain` against the layers themselves, and against sums done by hand."""

import math

import numpy as np
import pytest

import tinycnn as torch
from tinycnn import nn
from tinycnn.inspect import explain

LAYERS = [
    nn.Conv2d(4, 6, 3),
    nn.Conv2d(4, 6, (2, 3), stride=(2, 1), padding=(1, 2), dilation=(2, 1), groups=2),
    nn.Conv2d(4, 4, 3, padding="same", groups=4, bias=False, dilation=2),
    *(nn.Conv2d(4, 2, 3, padding=2, stride=2, padding_mode=mode) for mode in ("reflect", "replicate", "circular")),
    nn.MaxPool2d(3, 2, 1),
    nn.MaxPool2d((3, 2), 2, 1, dilation=2, ceil_mode=True),
    nn.AvgPool2d(3, 2, 1),
    nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    nn.AvgPool2d(2, divisor_override=3),
    nn.ConvTranspose2d(4, 6, 3),
    nn.ConvTranspose2d(4, 6, (2, 5), (3, 2), (1, 2), output_padding=(0, 1), groups=2, dilation=(2, 1)),
    nn.ConvTranspose2d(4, 4, 1, 2, groups=4, bias=False),  # most of its elements see nothing
    nn.AdaptiveAvgPool2d((3, 5)),
    nn.AdaptiveAvgPool2d((None, 1)),
    nn.AdaptiveMaxPool2d((2, 9)),
]
SIGNALS = [
    nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2),
    nn.Conv1d(4, 2, 3, padding="same", padding_mode="circular"),
    nn.ConvTranspose1d(4, 6, 4, stride=3, padding=1, output_padding=1, groups=2),
    nn.MaxPool1d(3, 2, 1),
    nn.MaxPool1d(2, ceil_mode=True, return_indices=True),
    nn.AvgPool1d(3, 2, 1, count_include_pad=False),
    nn.AdaptiveAvgPool1d(3),
    nn.AdaptiveMaxPool1d((4,)),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_every_element_is_the_layer_s_own(layer):
    layer, x = layer.double(), torch.randn(2, 4, 7, 6, dtype=torch.float64)
    y = layer(x).detach().numpy()
    for out in np.ndindex(*y.shape):
        if out[0] == 1 and sum(out) % 2:
            assert explain(layer, x, out).value == pytest.approx(y[out], abs=1e-12), out


@pytest.mark.parametrize("layer", SIGNALS, ids=str)
def test_every_element_of_a_signal_is_the_layer_s_own(layer):
    layer, x = layer.double(), torch.randn(2, 4, 11, dtype=torch.float64)
    y = layer(x)
    y = (y[0] if isinstance(y, tuple) else y).detach().numpy()
    for out in np.ndindex(*y.shape):
        assert explain(layer, x, out).value == pytest.approx(y[out], abs=1e-12), out
    assert explain(layer, x[1], (0, 1, 1)).value == pytest.approx(y[1, 1, 1], abs=1e-12)


def test_a_signal_in_words():
    layer = nn.Conv1d(2, 1, 2, stride=2, padding=1, bias=False)
    layer.load_state_dict({"weight": torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])})
    it = explain(layer, torch.arange(10.0).reshape(1, 2, 5), (0, 0, 0))
    assert (it.rows, it.columns, it.value) == ([0], [-1, 0], 20)
    assert (
        str(it)
        == """\
Conv1d(2, 1, kernel_size=(2,), stride=(2,), padding=(1,), bias=False): output[0, 0, 0] = 20

along   floor((5 + 2*1 - 1*(2-1) - 1)/2 + 1) = 3 in all; i = 0 sees 0*2 - 1 + (0..1)*1 = -1, 0
        [in brackets]: padding

x[0, 0]     weight[0, 0]     products
-1  0
[0] 0    *  1 2           =  0 0

x[0, 1]     weight[0, 1]     products
-1  0
[0] 5    *  3 4           =  0 20

channel 0          0
channel 1         20
bias               0
                  --
output            20"""
    )
    it = explain(nn.MaxPool1d(3, 2), torch.tensor([[0.0, 3, 1, 7, 2]]), (0, 0, 1))
    assert "largest: 7, at column 3" in str(it) and "*7" in str(it)


def test_a_transposed_convolution_gathers_what_others_spread():
    layer = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1)
    layer.load_state_dict({"weight": torch.arange(9.0).reshape(1, 1, 3, 3), "bias": torch.tensor([0.5])})
    it = explain(layer, torch.arange(9.0).reshape(1, 1, 3, 3), (0, 0, 1, 2))
    assert (it.rows, it.columns) == ([0, 1], [1])
    assert it.kernel.tolist() == [[[7], [1]]] and it.products.tolist() == [[[7], [4]]] and it.value == 11.5
    text = str(it)
    assert "(3 - 1)*2 - 2*1 + 1*(3-1) + 0 + 1 = 5 in all; i = 1 sees q with q*2 - 1 + tap*1 = 1: 0, 1 for tap 2, 0" in (
        text
    )
    assert "j = 2 sees q with q*2 - 1 + tap*1 = 2: 1 for tap 1" in text and "weight[0, 0]" in text
    lonely = explain(nn.ConvTranspose2d(1, 1, 1, 2, bias=False), torch.ones(1, 2, 2), (0, 0, 0, 1))
    assert lonely.value == 0 and lonely.patch.shape == (1, 1, 0) and "nothing of the input reaches it" in str(lonely)


def test_adaptive_pools_show_their_uneven_windows():
    x = torch.arange(35.0).reshape(1, 1, 5, 7)
    it = explain(nn.AdaptiveAvgPool2d((2, 3)), x, (0, 0, 1, 1))
    assert (it.rows, it.columns, it.divisor) == ([2, 3, 4], [2, 3, 4], 9) and it.value == 24
    assert "output_size = 3 in all; j = 1 sees floor(1*7/3) to ceil(2*7/3) - 1: 2, 3, 4" in str(it)
    it = explain(nn.AdaptiveMaxPool2d(1), x, (0, 0, 0, 0))
    assert it.winner == (4, 6) and "largest: 34, at row 4, column 6" in str(it)


def test_a_sum_done_by_hand():
    layer = nn.Conv2d(1, 1, 2, padding=1, stride=2)
    layer.load_state_dict({"weight": torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), "bias": torch.tensor([0.5])})
    it = explain(layer, torch.arange(16.0).reshape(1, 1, 4, 4), (0, 0, 0, 1))
    assert (it.rows, it.columns) == ([-1, 0], [1, 2])
    assert it.patch.tolist() == [[[0, 0], [1, 2]]] and it.padding.tolist() == [[True, True], [False, False]]
    assert it.products.tolist() == [[[0, 0], [3, 8]]] and it.bias == 0.5 and it.value == 11.5
    assert it.formulas == ("floor((4 + 2*1 - 1*(2-1) - 1)/2 + 1) = 3",) * 2
    assert (
        str(it)
        == """\
Conv2d(1, 1, kernel_size=(2, 2), stride=(2, 2), padding=(1, 1)): output[0, 0, 0, 1] = 11.5000

rows    floor((4 + 2*1 - 1*(2-1) - 1)/2 + 1) = 3 in all; i = 0 sees 0*2 - 1 + (0..1)*1 = -1, 0
columns floor((4 + 2*1 - 1*(2-1) - 1)/2 + 1) = 3 in all; j = 1 sees 1*2 - 1 + (0..1)*1 = 1, 2
        [in brackets]: padding

x[0, 0]          weight[0, 0]     products
   |  1   2
-1 | [0] [0]     1 2              0 0
 0 |  1   2   *  3 4           =  3 8

channel 0              11
bias               0.5000
                  -------
output            11.5000"""
    )


def test_groups_see_their_own_channels():
    x = torch.randn(1, 6, 3, 3)
    it = explain(nn.Conv2d(6, 4, 1, groups=2), x, (0, 2, 1, 1))
    assert it.channels == range(3, 6) and it.patch.shape == it.kernel.shape == (3, 1, 1)
    assert np.array_equal(it.patch[:, 0, 0], x.numpy()[0, 3:, 1, 1])
    text = it.text(channels=1)
    assert "x[0, 3]" in text and "weight[2, 0]" in text and "2 more channels" in text and "x[0, 4]" not in text


def test_pooling():
    x = torch.arange(25.0).reshape(1, 5, 5)  # one image
    it = explain(nn.MaxPool2d(3, 2, 1), x, (0, 0, 2, 2))
    assert it.winner == (1, 1) and it.value == 24 and "*24" in str(it) and "[-inf]" in str(it)
    assert "largest: 24, at row 4, column 4" in str(it)
    assert explain(nn.AvgPool2d(3, 2, 1), x, (0, 0, 0, 0)).divisor == 9
    it = explain(nn.AvgPool2d(3, 2, 1, count_include_pad=False), x, (0, 0, 0, 0))
    assert it.divisor == 4 and it.value == 3 and "sum 12 / 4 = 3" in str(it)
    x[0, 1, 1] = math.nan
    assert math.isnan(explain(nn.MaxPool2d(3), x, (0, 0, 0, 0)).value)
    nothing = explain(nn.MaxPool2d(2, padding=1, dilation=2), torch.ones(1, 1, 1), (0, 0, 0, 0))
    assert nothing.winner is None and nothing.value == -math.inf and str(nothing)


def test_what_is_refused():
    conv, x = nn.Conv2d(2, 3, 3), torch.zeros(1, 2, 5, 5)
    for out, text in (
        ((1, 0, 0, 0), "n = 1 is out of range, it goes from 0 to 0: there are 1 images"),
        ((0, 3, 0, 0), "c = 3 is out of range, it goes from 0 to 2: there are 3 filters"),
        ((0, 0, 3, 0), r"i = 3 .* the output height is floor\(\(5 \+ 2\*0 - 1\*\(3-1\) - 1\)/1 \+ 1\) = 3"),
        ((0, 0, 0, -1), "j = -1 .* the output width is"),
    ):
        with pytest.raises(IndexError, match=text):
            explain(conv, x, out)
    with pytest.raises(TypeError, match="four ints"):
        explain(conv, x, (0, 0))
    with pytest.raises(TypeError, match="j must be an int"):
        explain(conv, x, (0, 0, 0, 1.0))
    with pytest.raises(TypeError, match="expected a Tensor"):
        explain(conv, x.numpy(), (0, 0, 0, 0))
    with pytest.raises(TypeError, match="expected a convolution or a max or average pool, got Linear"):
        explain(nn.Linear(2, 2), x, (0, 0, 0, 0))
    with pytest.raises(TypeError, match="three ints"):
        explain(nn.MaxPool1d(2), x[0], (0, 0, 0, 0))
    with pytest.raises(ValueError, match=r"MaxPool1d takes \(N, C, L\) or \(C, L\), got shape \(1, 2, 5, 5\)"):
        explain(nn.MaxPool1d(2), x, (0, 0, 0))
    with pytest.raises(IndexError, match=r"i = 2 .* the output length is floor"):
        explain(nn.MaxPool1d(2), x[0], (0, 0, 2))
    with pytest.raises(IndexError, match="j = 3 is out of range.* the output width is output_size = 3"):
        explain(nn.AdaptiveAvgPool2d((4, 3)), x, (0, 0, 0, 3))
    with pytest.raises(ValueError, match="input channels"):
        explain(conv, torch.zeros(1, 3, 5, 5), (0, 0, 0, 0))
