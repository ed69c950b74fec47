"""Autocast blocks for tensors on a simulated GPU."""

import sys
import warnings
from pathlib import Path

import pytest

import tinycnn
from tinycnn import nn
from tinycnn.nn import functional as F

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
sys.path.insert(0, str(GOLDEN))
from amp_cases import KINDS, letter, names  # noqa: E402

ROWS = [line.split(maxsplit=2)[1:] for line in (GOLDEN / "amp.txt").read_text().splitlines()]


@pytest.mark.parametrize(("letters", "expression"), ROWS, ids=[row[1] for row in ROWS])
def test_results_have_pytorchs_dtypes(letters, expression):
    for wanted, kinds in zip(letters[:2], KINDS, strict=False):
        if wanted != "!":
            with tinycnn.autocast("cuda"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert letter(eval(expression, names(tinycnn, *kinds, "cuda"))) == wanted, kinds


def test_binary_cross_entropy_is_refused():
    x = tinycnn.full((2,), 0.5, device="cuda")
    with tinycnn.autocast("cuda"), pytest.raises(RuntimeError, match="binary_cross_entropy_with_logits"):
        F.binary_cross_entropy(x, x)
    with tinycnn.autocast("cpu", dtype=tinycnn.float16):
        assert (x * x).sum().dtype is tinycnn.float32 and F.binary_cross_entropy(x, x).dtype is tinycnn.float32


def test_steps_with_a_scaler():
    tinycnn.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 4, 3)).cuda()
    optimizer, scaler = tinycnn.optim.SGD(model.parameters(), lr=0.1), tinycnn.cuda.amp.GradScaler(1024.0)
    x, target = tinycnn.randn(4, 1, 4, 4, device="cuda"), tinycnn.tensor([0, 1, 2, 0], device="cuda")
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        with tinycnn.cuda.amp.autocast():
            y = model(x)
            loss = F.cross_entropy(y, target)
        assert y.dtype is tinycnn.float16 and loss.dtype is tinycnn.float32
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert losses[2] < losses[1] < losses[0] and scaler.get_scale() == 1024
    assert {p.grad.dtype for p in model.parameters()} == {tinycnn.float32}
    optimizer.param_groups[0]["params"][0].grad[0] = float("inf")
    before = model[4].bias.tolist()
    scaler.step(optimizer)
    scaler.update()
    assert model[4].bias.tolist() == before and scaler.get_scale() == 512
