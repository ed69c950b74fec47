"""Memory as a user sees it: steady training takes no fresh memory, and what is kept can be seen and limited."""

import subprocess
import sys

import numpy as np
import pytest

import tinycnn
from tinycnn import memory, nn, optim
from tinycnn.kernels.cpu.memory import SMALLEST, pool
from tinycnn.nn import functional as F

SIZE = SMALLEST // 4  # float32 elements of a large array


@pytest.fixture(autouse=True)
def clean():
    memory.release()
    yield
    memory.set_limit(None)


def training():
    """A step of training of a small net that has a skip connection."""
    tinycnn.manual_seed(0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
            self.second, self.last = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8 * 8 * 8, 10)

        def forward(self, x):
            x = F.relu(self.norm(self.first(x)))
            x = F.relu(self.second(x) + x)
            return self.last(F.max_pool2d(x, 2).flatten(1))

    model = Net()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, target = tinycnn.randn(64, 3, 16, 16), tinycnn.randint(0, 10, (64,))

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def test_steady_training_finds_all_its_memory_in_the_pool():
    step = training()
    first = step()
    for _ in range(3):
        step()
    before = memory.stats()
    for _ in range(5):
        last = step()
    after = memory.stats()
    assert last < first
    assert after.misses == before.misses and after.hits > before.hits + 25
    assert after.in_use == before.in_use and after.peak == before.peak > 5 * SMALLEST


CNN = (
    "model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),\n"
    "    nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 256, 10))\n"
    "optimizer = optim.Adam(model.parameters())\n"
    "x, target = tinycnn.randn(32, 3, 32, 32), tinycnn.randint(0, 10, (32,))\n"
    "def step():\n"
    "    optimizer.zero_grad()\n"
    "    F.cross_entropy(model(x), target).backward()\n"
    "    optimizer.step()\n"
)
ELEMENTWISE = (
    "norm, x = nn.BatchNorm2d(16), tinycnn.randn(32, 16, 32, 32)\n"
    "def step():\n"
    "    y = F.relu(norm(x * 2)) - x / 3\n"
    "    y = tinycnn.where(y > 0, y.sigmoid(), y.clone()) + F.pad(y[..., 1:], (1, 0))\n"
    "    (y * y).mean().backward()\n"
)


@pytest.mark.skipif(sys.platform != "linux", reason="counts Linux's page faults")
@pytest.mark.parametrize("work", [CNN, ELEMENTWISE], ids=["CNN", "elementwise"])
def test_steady_work_touches_no_fresh_pages(work):
    code = (
        "import resource, tinycnn\n"
        "from tinycnn import nn, optim\n"
        "from tinycnn.nn import functional as F\n"
        f"{work}"
        "def faults():\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(6):\n"
        "    step()\n"
        "before = faults()\n"
        "for _ in range(10):\n"
        "    step()\n"
        "print((faults() - before) / 10)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 20  # a step works through some twenty arrays of 512 pages each


def test_the_walk_drops_gradients_as_it_goes():
    x = tinycnn.ones(SIZE, requires_grad=True)
    most = []
    for length in (10, 40):
        y = x
        for _ in range(length):
            y = -y  # keeps nothing for the backward pass
        x.grad = None
        memory.release()
        before = memory.stats().in_use
        y.sum().backward()
        most.append(memory.stats().peak - before)
    assert most[0] == most[1] <= 3 * SMALLEST


def test_the_walk_drops_what_was_saved_as_it_goes():
    x = tinycnn.ones(SIZE, requires_grad=True)
    y = x
    for _ in range(20):
        y = y.sigmoid()  # keeps its output
    in_use = []
    x.register_hook(lambda g: in_use.append(memory.stats().in_use))
    before = memory.stats().in_use
    y.sum().backward()
    assert in_use[0] <= before - 16 * SMALLEST


def test_a_gradient_that_is_nobody_elses_is_not_copied():
    x = tinycnn.ones(SIZE, requires_grad=True)
    before = memory.stats()
    (x * 2).sum().backward()
    after = memory.stats()
    # two blocks: x * 2 and its gradient times 2, which becomes x.grad; the gradient of sum() is one number, stretched
    assert after.hits + after.misses == before.hits + before.misses + 2


def test_stats_release_and_limits():
    memory.set_limit(None)
    before = memory.stats()
    x = tinycnn.ones(SIZE) * 2
    during = memory.stats()
    assert during.in_use == before.in_use + SMALLEST and during.peak >= during.in_use
    view = x.reshape(2, -1)[1]
    del x
    assert memory.stats().in_use == during.in_use
    del view
    after = memory.stats()
    assert after.in_use == before.in_use and after.kept >= SMALLEST
    memory.release()
    assert memory.stats().kept == 0 and memory.stats().peak == before.in_use
    memory.set_limit(0)
    tinycnn.ones(SIZE) * 2
    assert memory.stats().kept == pool.kept == 0
    memory.set_limit(np.int64(10 * SMALLEST))
    tinycnn.ones(SIZE) * 2
    assert memory.stats().kept > 0


def test_limits_that_are_none():
    with pytest.raises(TypeError, match="expected an int or None, got float"):
        memory.set_limit(1e9)
    with pytest.raises(ValueError, match="from 0 on, got -1"):
        memory.set_limit(-1)


def test_keep_pages():
    code = "from tinycnn import memory; memory.keep_pages(); memory.keep_pages(False)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if sys.platform == "linux" and not done.returncode:
        assert done.stderr == ""
    else:
        assert "RuntimeError: keep_pages: only glibc" in done.stderr


def test_keep_pages_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(RuntimeError, match="only glibc"):
        memory.keep_pages()
