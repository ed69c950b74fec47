"""`python -m tinycnn warmup` compiles what training needs, and a later process compiles nothing."""

import os
import subprocess
import sys

import pytest

import tinycnn
from tinycnn._warmup import TASKS, warm_up

TRAINING = """
from tinycnn import nn, no_grad, ones, optim, randn, zeros, int64
from tinycnn.kernels.cpu import jit
from tinycnn.vision.models import LeNet5
from tinycnn.vision.models.resnet import BasicBlock, conv1x1, conv3x3

def resnet20():
    layers, channels = [conv3x3(3, 16), nn.BatchNorm2d(16), nn.ReLU()], 16
    for width in (16, 32, 64):
        for _ in range(3):
            fit = None if channels == width else nn.Sequential(conv1x1(channels, width, 2), nn.BatchNorm2d(width))
            layers.append(BasicBlock(channels, width, 2 if fit else 1, fit))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))

for model, shape in ((LeNet5(), (32, 1, 32, 32)), (resnet20(), (64, 3, 32, 32)), (resnet20(), (4, 3, 32, 32))):
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(randn(*shape)), zeros(shape[0], dtype=int64)).backward()
        optimizer.step()
    model.eval()
    with no_grad():
        model(randn(*shape)), model(randn(1, *shape[1:]))
print(*jit.counts())

# Numba can still compile: what loading kernels leaves out is made up for
import numba
import numpy as np

@numba.njit
def double_sorted(x):
    return np.sort(x)[::-1] + np.sort(x)

assert list(double_sorted(np.array([2.0, 0.0, 1.0]))) == [2, 2, 2]
"""


def start(*arguments, cache):
    env = {k: v for k, v in os.environ.items() if not k.startswith("TINYCNN")}
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**env, "NUMBA_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process):
    out, error = process.communicate()
    assert process.returncode == 0, error
    return out, error


@pytest.mark.slow
def test_after_warming_up_training_and_inference_compile_nothing(tmp_path):
    warming = [start("-m", "tinycnn", "warmup", "--only", name, cache=tmp_path) for name in ("LeNet", "ResNet")]
    for process in warming:  # side by side, to save time
        out, error = end(process)
        assert " compiled, " in out and str(tmp_path) in out
        assert "tinycnn: compiling" not in error  # the bar says it

    out, error = end(start("-c", TRAINING, cache=tmp_path))
    compiled, loaded = map(int, out.split())
    assert compiled == 0 and loaded > 10
    assert error == ""

    out, _ = end(start("-m", "tinycnn", "warmup", "--only", "Net", cache=tmp_path))
    assert out.startswith("nothing to compile")


def test_warming_up_keeps_the_random_numbers_and_says_what_it_did():
    tinycnn.manual_seed(1)
    expected = tinycnn.rand(3)
    tinycnn.manual_seed(1)
    text = warm_up(("float32", "float64"), only="Adam", show=False)
    assert tinycnn.equal(tinycnn.rand(3), expected)
    assert "on disk already" in text and "(float32, float64)" in text


def test_every_task_has_a_name_that_can_be_asked_for():
    assert {"LeNet-5", "ResNet-20", "Adam", "max_pool2d 2x2"} <= set(TASKS)
