"""Training agrees with PyTorch: the same weights and batches give the same first 100 losses."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import nn, optim
from tinycnn.vision import models

GOLDEN = Path(__file__).parent / "golden"


def load_recipe():
    spec = importlib.util.spec_from_file_location("golden_recipe", GOLDEN / "recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recipe = load_recipe()
NETS = {"lenet": models.LeNet5, "cifar": models.CifarNet}


def losses(name, dtype):
    make_batches, seed, lr, momentum = recipe.RUNS[name]
    model = NETS[name]().to(dtype)
    parameters = list(model.parameters())
    with tinycnn.no_grad():
        for p, w in zip(parameters, recipe.weights([tuple(p.shape) for p in parameters], seed), strict=True):
            p.copy_(tinycnn.from_numpy(w))
    optimizer = optim.SGD(parameters, lr=lr, momentum=momentum)
    result = []
    for images, labels in make_batches():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(tinycnn.from_numpy(images).to(dtype)), tinycnn.from_numpy(labels))
        loss.backward()
        optimizer.step()
        result.append(loss.item())
    return np.array(result)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-8), ("float32", 1e-3)])
@pytest.mark.parametrize("name", list(NETS))
def test_the_first_100_losses_are_pytorchs(name, dtype, tolerance):
    with np.load(GOLDEN / "losses.npz", allow_pickle=False) as golden:
        expected = golden[f"{name}_{dtype}"]
    got = losses(name, getattr(tinycnn, dtype))
    assert len(got) == recipe.STEPS
    assert abs(got - expected).max() <= tolerance, f"they part most at step {abs(got - expected).argmax()}"


def test_the_golden_runs_learn():
    """Losses that stand still would agree whatever the gradients are."""
    with np.load(GOLDEN / "losses.npz", allow_pickle=False) as golden:
        for name in golden.files:
            if name != "torch":
                assert golden[name][-20:].mean() < 0.8 * golden[name][:20].mean(), name
