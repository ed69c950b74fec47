"""Tensors on a simulated GPU: making, moving, refusing, sharing."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import kernels, nn


def test_making_and_moving():
    for x in (
        tinycnn.ones(2, device="cuda"),
        tinycnn.tensor([1.0, 1.0], device="cuda:0"),
        tinycnn.ones(2).cuda(),
        tinycnn.ones(2).to("cuda"),
        tinycnn.ones(2).to(0),
        tinycnn.ones(2, device=tinycnn.device("cuda", 0)),
        tinycnn.ones_like(tinycnn.zeros(2, device="cuda")),
        tinycnn.zeros(3, device="cuda").new_ones(2),
    ):
        assert x.device == tinycnn.device("cuda:0") and x.is_cuda and not x.is_cpu
        assert x.cpu().numpy().tolist() == x.tolist() == [1.0, 1.0]
    assert x.to("cuda") is x and x.cpu().device == tinycnn.device("cpu")
    assert "device='cuda:0'" in repr(x)


def test_moving_is_differentiable():
    x = tinycnn.ones(2, requires_grad=True)
    (x.cuda() * 3).sum().backward()
    assert x.grad.device.type == "cpu" and x.grad.tolist() == [3, 3]


def test_the_default_device():
    with tinycnn.device("cuda"):
        assert tinycnn.zeros(1).is_cuda and tinycnn.tensor(1.0).is_cuda and tinycnn.randn(2).is_cuda
        assert nn.Linear(1, 1).weight.is_cuda and tinycnn.arange(3).is_cuda
    assert tinycnn.zeros(1).is_cpu
    tinycnn.set_default_device("cuda")
    try:
        assert tinycnn.get_default_device() == tinycnn.device("cuda:0") and tinycnn.eye(2).is_cuda
    finally:
        tinycnn.set_default_device(None)


@pytest.mark.parametrize(
    "act",
    [
        lambda x, y: x + y,
        lambda x, y: x < y,
        lambda x, y: tinycnn.where(y > 0, x, x),
        lambda x, y: tinycnn.logical_and(x, y),
        lambda x, y: x @ y.T,
        lambda x, y: nn.functional.linear(x, y),
        lambda x, y: nn.functional.mse_loss(x, y),
        lambda x, y: nn.functional.cross_entropy(x, y.argmax(1)),
        lambda x, y: tinycnn.cat([x, y]),
        lambda x, y: x.gather(0, y.long()),
    ],
)
def test_two_devices_are_an_error_that_names_both(act):
    x, y = tinycnn.ones(2, 2, device="cuda"), tinycnn.ones(2, 2)
    for a, b in ((x, y), (y, x)):
        with pytest.raises(RuntimeError, match="cuda:0.*cpu|cpu.*cuda:0"):
            act(a, b)


def test_refusals():
    x = tinycnn.ones(3, device="cuda")
    with pytest.raises(TypeError, match="use tensor.cpu"):
        x.numpy()
    assert x.numpy(force=True).tolist() == [1, 1, 1]
    with pytest.raises(RuntimeError, match="there is 1 GPU, numbered from 0, and none with number 3"):
        tinycnn.ones(1, device="cuda:3")
    for index in (tinycnn.tensor([3]), tinycnn.tensor([0, -4], device="cuda"), [0, 7]):
        with pytest.raises(IndexError, match="out of bounds"):
            x[index]
    with pytest.raises(RuntimeError, match="read-only"):
        tinycnn.ones(1, device="cuda").expand(3).add_(1)
    with pytest.raises(IndexError, match="does not fit"):
        x[tinycnn.tensor([True, False])]


def test_strides_of_all_kinds():
    x = tinycnn.arange(12.0, device="cuda").reshape(3, 4)
    host = x.cpu()
    for view in (lambda t: t.T, lambda t: t[:, 1:3], lambda t: t[::2], lambda t: t[:, None].expand(3, 2, 4)):
        a, b = view(x), view(host)
        assert tinycnn.equal(tinycnn.relu(a - 5).cpu(), tinycnn.relu(b - 5))
        assert tinycnn.allclose(tinycnn.softmax(a, -1).cpu(), tinycnn.softmax(b, -1))
        assert tinycnn.allclose(a.sum(0).cpu(), b.sum(0))


def test_views_share_memory():
    x = tinycnn.zeros(2, 3, device="cuda")
    x[0].fill_(1)
    x.T[2] += 5
    x.view(-1)[1] = 7
    assert x.tolist() == [[1, 7, 6], [0, 0, 5]]


def test_batches_of_none():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)).cuda()
    y = model(tinycnn.zeros(0, 1, 6, 6, device="cuda"))
    assert y.shape == (0, 3) and y.is_cuda
    y.sum().backward()
    assert model[0].weight.grad.abs().sum().item() == 0


def test_files_remember_no_device(tmp_path):
    model = nn.Linear(2, 2).cuda()
    tinycnn.save(model.state_dict(), tmp_path / "m")
    assert tinycnn.load(tmp_path / "m")["weight"].is_cpu
    loaded = tinycnn.load(tmp_path / "m", map_location="cuda")
    assert loaded["weight"].is_cuda and tinycnn.equal(loaded["weight"], model.weight)


def test_the_same_training_on_both():
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((4, 1, 6, 6)).astype(np.float32), [0, 1, 2, 0]
    losses = []
    for place in ("cpu", "cuda"):
        tinycnn.manual_seed(1)
        layers = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.3), nn.Flatten()
        model = nn.Sequential(*layers, nn.Linear(8, 3)).to(place)
        optimizer = tinycnn.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            output = model(tinycnn.tensor(x, device=place))
            loss = nn.functional.cross_entropy(output, tinycnn.tensor(labels, device=place))
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_what_is_said_of_the_gpu():
    cuda = tinycnn.cuda
    assert cuda.is_available() and cuda.device_count() == 1 and cuda.current_device() == 0
    assert cuda.get_device_name() == "Numba's simulator" and cuda.get_device_capability() == (9, 0)
    assert tinycnn.accelerator.current_accelerator() == tinycnn.device("cuda")
    first, last = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    stream = cuda.Stream()
    with cuda.stream(stream):
        first.record()
        tinycnn.ones(2, device="cuda").sum()
        last.record()
    stream.synchronize()
    cuda.synchronize()
    assert first.elapsed_time(last) >= 0 and stream.query()
    assert isinstance(cuda.FloatTensor(2), cuda.FloatTensor) and not isinstance(tinycnn.ones(1), cuda.FloatTensor)
    assert cuda.memory_allocated() >= 0 and cuda.max_memory_allocated() >= 0
    cuda.empty_cache()


def test_the_simulator_captures_nothing():
    with pytest.raises(RuntimeError, match="simulator captures nothing"):
        tinycnn.cuda.CUDAGraph()


def test_kernels_of_users(monkeypatch):
    """The example runs its kernel for GPUs; a kernel without one is served by its reference, on the host."""
    monkeypatch.setattr(kernels, "_registered", {})
    example = runpy.run_path(str(Path(__file__).resolve().parents[3] / "examples/custom_op.py"))
    x = tinycnn.tensor([[-1.0, 0.0], [1.0, 3.0]], device="cuda", requires_grad=True)
    y = example["softsign"](x)
    assert y.device == x.device and y.tolist() == [[-0.5, 0.0], [0.5, 0.75]]
    y.sum().backward()
    assert x.grad.tolist() == [[0.25, 1.0], [0.25, 0.0625]]
    kernels.register("twice", reference=lambda a: a * 2)
    assert type(x.device.kernels.twice(x.array)) is type(x.array)


def test_memory_is_shared_with_what_speaks_cuda():
    x = tinycnn.zeros(2, device="cuda")
    assert x.__cuda_array_interface__["shape"] == (2,)
    again = tinycnn.as_tensor(x.array)
    again += 1
    assert again.is_cuda and x.tolist() == [1, 1]
    assert not hasattr(tinycnn.zeros(2), "__cuda_array_interface__")
