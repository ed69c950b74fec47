"""Whole training runs: memory stays flat, a seed repeats, both columns agree."""

import gc
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import nn, optim

ROOT = Path(tinycnn.__file__).resolve().parent.parent


def small_net():
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2)),
        *(nn.Flatten(), nn.Linear(64, 10)),
    )


def steps(count, seed=0):
    """Train a small net; yields the loss of every step."""
    tinycnn.manual_seed(seed)
    model = small_net()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    rng = np.random.default_rng(seed)
    patterns = rng.standard_normal((10, 1, 8, 8))
    for _ in range(count):
        labels = rng.integers(0, 10, 32)
        images = tinycnn.tensor(patterns[labels] + 0.3 * rng.standard_normal((32, 1, 8, 8)), dtype=tinycnn.float32)
        loss = nn.functional.cross_entropy(model(images), tinycnn.tensor(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def test_a_small_net_learns_and_a_seed_repeats():
    first, second = list(steps(60)), list(steps(60))
    assert first == second != list(steps(60, seed=1))
    assert np.mean(first[-10:]) < 0.3 * np.mean(first[:5])


def test_memory_stays_flat_and_nothing_waits_for_the_garbage_collector():
    run = steps(500)
    for _ in range(100):
        next(run)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(10):
            next(run)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(300):
            next(run)
        cycles = gc.collect()  # also empties Python's lists of free objects
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        gc.enable()
    assert cycles == 0
    assert grown < 20_000, f"{grown} bytes in 300 steps; one batch alone is 8 KB"


def test_the_reference_column_trains_alike():
    code = "import sys; sys.path.insert(0, 'tests'); import test_training as t; print(*t.steps(25))"
    results = []
    for backend in ("cpu", "reference"):
        env = {**os.environ, "TINYCNN_BACKEND": backend}
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        results.append([float(x) for x in done.stdout.split()])
    assert len(results[0]) == 25
    np.testing.assert_allclose(*results, rtol=1e-3)


def test_an_unknown_backend_is_refused():
    env = {**os.environ, "TINYCNN_BACKEND": "fast"}
    code = "import tinycnn; tinycnn.ones(2) + 1"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode != 0 and "reference" in done.stderr


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_modes_leave_recording_alone(mode):
    model = small_net()
    getattr(model, mode)()
    assert tinycnn.is_grad_enabled() and model(tinycnn.randn(2, 1, 8, 8)).requires_grad
