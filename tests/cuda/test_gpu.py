"""On a GPU: pytest -m gpu. Every operation against float64 and the CPU, bits that repeat, memory that does not grow."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tolerances import GRADIENTS, VALUES, close

import tinycnn
from tinycnn import nn
from tinycnn.kernels.cuda import probe
from tinycnn.testing.optable import OPS

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(probe.problem()), reason=probe.problem() or "there is a GPU")]
HOST = ("as_tensor", "from_numpy", "prod: zeros", "cumprod: zeros")  # they are about NumPy's arrays
SAMPLES = [
    pytest.param(op, sample, id=f"{op.name}-{i}")
    for op in OPS
    if op.name not in HOST
    for i, sample in enumerate(op.samples)
]


def drawn(op, sample, dtype):
    rng = np.random.default_rng(0)
    result = []
    for shape in sample:
        count = int(np.prod(shape))
        spread = (rng.permutation(count) + 0.5 + 0.3 * rng.random()) / max(count, 1)
        numbers = op.low + (op.high - op.low) * (spread if op.spaced else rng.random(count))
        result.append(numbers.reshape(shape).astype(dtype))
    return result


def on(place, op, arrays):
    with tinycnn.device(place):
        tinycnn.manual_seed(0)
        inputs = [tinycnn.tensor(x, requires_grad=op.gradient) for x in arrays]
        result = op.function(*inputs)
        assert result.device.type == place
        if op.gradient:
            result.sum().backward()
    return result.detach().cpu().numpy(), [None if x.grad is None else x.grad.cpu().numpy() for x in inputs]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("op", "sample"), SAMPLES)
def test_value_and_gradient(op, sample, dtype):
    arrays = drawn(op, sample, dtype)
    result, grads = on("cuda", op, arrays)
    expected = np.asarray(op.reference(*[x.astype(np.float64) for x in arrays]))
    close(result, expected, dtype if result.dtype.kind == "f" else np.float64, VALUES)
    again, grads_again = on("cuda", op, arrays)
    if "empty" not in op.name:
        np.testing.assert_array_equal(result, again)
    for mine, mine_again, cpus in zip(grads, grads_again, on("cpu", op, arrays)[1], strict=True):
        assert (mine is None) == (cpus is None)
        if mine is not None:
            close(mine, cpus, table=GRADIENTS)
            np.testing.assert_array_equal(mine, mine_again)


def small_net():
    layers = nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(6 * 144, 10)).cuda()


def trainer(model, x, target):
    optimizer = tinycnn.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    return step


def batch():
    rng = np.random.default_rng(0)
    x = tinycnn.tensor(rng.standard_normal((64, 1, 28, 28)).astype(np.float32), device="cuda")
    return x, tinycnn.tensor(rng.integers(0, 10, 64), device="cuda")


def test_training_repeats_bit_for_bit():
    results = []
    for _ in range(2):
        tinycnn.manual_seed(0)
        model = small_net()
        step = trainer(model, *batch())
        for _ in range(20):
            step()
        results.append([p.detach().cpu().numpy() for p in model.parameters()])
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_memory_stays_flat_over_10000_steps():
    step = trainer(small_net(), *batch())
    for _ in range(100):
        step()
    tinycnn.cuda.synchronize()
    before = tinycnn.cuda.memory_reserved()
    for _ in range(10_000):
        step()
    assert tinycnn.cuda.memory_reserved() == before


def test_batches_beyond_the_limits_of_a_grid():
    x = tinycnn.ones(70_000, 1, 3, 3, device="cuda", requires_grad=True)
    y = nn.functional.max_pool2d(nn.functional.conv2d(x, tinycnn.ones(1, 1, 2, 2, device="cuda")), 2)
    nn.functional.log_softmax(y.flatten(1), 1).sum().backward()
    assert y.shape == (70_000, 1, 1, 1) and (y == 4).all().item() and x.grad.shape == x.shape


@pytest.mark.slow
def test_tensors_of_more_than_2_to_the_31_elements():
    if tinycnn.cuda.mem_get_info()[0] < 20 << 30:
        pytest.skip("needs 20 GiB of free memory on the GPU")
    x = tinycnn.full((2**31 + 5,), -1.0, device="cuda")
    x[-1] = 3
    assert tinycnn.relu(x).sum().item() == 3


def test_memory_that_does_not_suffice_is_explained():
    with pytest.raises(tinycnn.cuda.OutOfMemoryError, match=r"The GPU has \d+ MiB"):
        tinycnn.zeros(1 << 45, device="cuda")


def test_a_captured_step_is_the_step():
    tinycnn.manual_seed(0)
    plain = small_net().eval()
    graphed = small_net().eval()
    graphed.load_state_dict(plain.state_dict())
    x, target = batch()
    graph = tinycnn.cuda.graphs.captured(trainer(graphed, x, target))
    step = trainer(plain, x, target)
    for _ in range(3):
        step()
    for _ in range(5):
        step()
        graph.replay()
    tinycnn.cuda.synchronize()
    for a, b in zip(plain.parameters(), graphed.parameters(), strict=True):
        close(b.detach().cpu().numpy(), a.detach().cpu().numpy())


def test_a_replay_counts_a_step_and_takes_the_rate_of_now():
    results = []
    for graphed in (False, True):
        p = tinycnn.ones(5, device="cuda", requires_grad=True)
        optimizer = tinycnn.optim.Adam([p], lr=0.1)

        def step(p=p, optimizer=optimizer):
            optimizer.zero_grad()
            (p * p).sum().backward()
            optimizer.step()

        again = tinycnn.cuda.graphs.captured(step).replay if graphed else step
        for _ in range(0 if graphed else 3):
            step()
        for rate in (0.3, 0.05, 0.2):
            optimizer.param_groups[0]["lr"] = rate
            again()
        tinycnn.cuda.synchronize()
        results.append(p.detach().cpu().numpy())
    close(*results)


def test_pinned_memory_travels_beside_kernels():
    x = tinycnn.randn(1 << 20).pin_memory()
    assert x.is_pinned() and x[5:].is_pinned()
    total = tinycnn.zeros(1 << 20, device="cuda")
    for _ in range(20):
        y = x.to("cuda", non_blocking=True)
        total += y
        del y
    tinycnn.cuda.synchronize()
    close(total.cpu().numpy(), 20 * x.numpy().astype(float))


def test_half_precision_trains():
    net, (x, target) = small_net(), batch()
    optimizer, scaler = tinycnn.optim.SGD(net.parameters(), lr=0.1), tinycnn.amp.GradScaler("cuda")
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        with tinycnn.autocast("cuda"):
            loss = nn.functional.cross_entropy(net(x), target)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_memory_is_shared_with_cupy():
    import cupy

    x = tinycnn.zeros(3, device="cuda")
    for theirs in (cupy.asarray(x), cupy.from_dlpack(x)):
        theirs += 1
    assert x.tolist() == [2, 2, 2]
    theirs = cupy.arange(3.0)
    for mine in (tinycnn.as_tensor(theirs), tinycnn.from_dlpack(theirs)):
        mine += 1
    assert theirs.tolist() == [2, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["lenet.py", "--device", "cuda"], ["custom_op.py"]])
def test_examples(arguments):
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT / "examples", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
