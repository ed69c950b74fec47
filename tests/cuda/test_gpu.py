"""On a GPU: pytest -m gpu. Every operation against float64 and the CPU, bits that repeat, memory that does not grow."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from on_devices import SAMPLES, drawn, on
from tolerances import GRADIENTS, VALUES, close

import tinycnn
from tinycnn import nn
from tinycnn.kernels.cuda import probe

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("TINYCNN_DATA") or ROOT.parent / "shared" / "data")
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(probe.problem()), reason=probe.problem() or "there is a GPU")]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("op", "sample"), SAMPLES)
def test_value_and_gradient(op, sample, dtype):
    arrays = drawn(op, sample, dtype)
    result, grads = on("cuda", op, arrays)
    expected, host = np.asarray(op.reference(*[x.astype(np.float64) for x in arrays])), result.cpu().numpy()
    close(host, expected, dtype if host.dtype.kind == "f" else np.float64, VALUES)
    again, grads_again = on("cuda", op, arrays)
    if "empty" not in op.name:
        np.testing.assert_array_equal(host, again.cpu().numpy())
    for mine, mine_again, cpus in zip(grads, grads_again, on("cpu", op, arrays)[1], strict=True):
        assert (mine is None) == (cpus is None)
        if mine is not None:
            close(mine.cpu().numpy(), cpus.numpy(), table=GRADIENTS)
            np.testing.assert_array_equal(mine.cpu().numpy(), mine_again.cpu().numpy())


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
    image = x[: 1 << 31].view(1 << 15, 1, 256, 256)
    assert nn.functional.max_pool2d(image, 256).sum().item() == -(1 << 15)
    y = nn.functional.avg_pool2d(image[-2:], 2)  # the end of it, at offsets that 32 bits do not count
    assert y.shape == (2, 1, 128, 128) and (y == -1).all().item()


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
def test_the_custom_operation_runs():
    done = subprocess.run([sys.executable, "custom_op.py"], cwd=ROOT / "examples", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


CIFAR = ["cifar10.py", "--data-dir", str(DATA), "--batches", "1", "--epochs", "3"]
NOT_HERE = pytest.mark.skipif(not (DATA / "cifar-10-batches-py").is_dir(), reason="CIFAR-10 is not here")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["lenet.py"], pytest.param(CIFAR, marks=NOT_HERE)], ids=lambda a: a[0])
def test_examples_reach_the_accuracy_of_the_cpu(arguments, tmp_path):
    found = []
    for device in ("cpu", "cuda"):
        command = [sys.executable, *arguments, "--device", device, "--out", str(tmp_path / device)]
        done = subprocess.run(command, cwd=ROOT / "examples", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(float(done.stdout.split("test accuracy ")[-1].split("%")[0]))
    assert found[1] > found[0] - 2.5, found  # 500 digits, or three passes over 10,000 images: rounding moves a percent


def test_winograds_convolution_is_close_to_plain_sums():
    tinycnn.manual_seed(0)
    x, w, b = [tinycnn.randn(*s, device="cuda", requires_grad=True) for s in ((8, 64, 57, 55), (48, 64, 3, 3), (48,))]
    upstream, switches, results = tinycnn.randn(8, 48, 57, 55, device="cuda"), tinycnn.backends.cuda, []
    try:
        for allowed in (True, True, False):
            switches.allow_winograd = allowed
            y = nn.functional.conv2d(x, w, b, padding=1)
            results.append([t.detach().cpu().numpy() for t in (y, *tinycnn.autograd.grad(y, (x, w, b), upstream))])
    finally:
        switches.allow_winograd = True
    for first, second, plain in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)
        assert np.square(first - plain).mean() <= 1e-10 * np.square(plain).mean()
    assert (results[0][0] != results[2][0]).any()  # it was taken


def test_products_on_two_streams_do_not_disturb_each_other():
    tinycnn.manual_seed(0)
    operands = [tinycnn.randn(64, 50_000, device="cuda") for _ in range(2)]  # long sums, which need workspace
    expected = [x @ x.T for x in operands]
    tinycnn.cuda.synchronize()
    streams = [tinycnn.cuda.Stream() for _ in operands]
    for _ in range(50):
        found = []
        for stream, x in zip(streams, operands, strict=True):
            with tinycnn.cuda.stream(stream):
                found.append(x @ x.T)
        tinycnn.cuda.synchronize()
        for mine, alone in zip(found, expected, strict=True):
            close(mine.cpu().numpy() / 1000, alone.cpu().numpy() / 1000)


@pytest.mark.parametrize("length", [512, 100_000])
def test_long_rows_keep_their_digits(length):
    x = tinycnn.tensor(np.random.default_rng(0).standard_normal((4, length)).astype(np.float32) + 100, device="cuda")
    rows = x.cpu().numpy().astype(np.float64)
    mean, deviation = rows.mean(1, keepdims=True), rows.std(1, keepdims=True)
    normalized = nn.functional.layer_norm(x, (length,)).cpu().numpy()
    assert np.abs(normalized - (rows - mean) / deviation).max() < 1e-3
    assert nn.functional.mse_loss(x, tinycnn.zeros_like(x)).item() == pytest.approx(np.square(rows).mean(), rel=1e-6)
