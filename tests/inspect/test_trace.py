"""`trace` sees every operation while it is on, and leaves nothing behind."""

import json
import threading

import numba
import numpy as np
import pytest

import tinycnn as torch
from tinycnn import _device, autograd, kernels, nn, optim
from tinycnn._device import device
from tinycnn._tensor import Tensor
from tinycnn.inspect import trace
from tinycnn.kernels.cpu import direct, threads
from tinycnn.nn import functional as F


def step(model, optimizer, x):
    optimizer.zero_grad()
    model(x).square().mean().backward()
    optimizer.step()


@pytest.fixture(scope="module")
def traced():
    model = nn.Sequential(nn.Conv2d(3, 4, 5), nn.Sequential(nn.Tanh()))
    optimizer, x = optim.SGD(model.parameters(), lr=0.1), torch.randn(2, 3, 16, 16)
    step(model, optimizer, x)  # compiles
    with trace(model) as t:
        step(model, optimizer, x)
    return t


def test_operations_in_order_with_their_phase_and_module(traced):
    found = [(op.phase, op.name, op.module) for op in traced.ops]
    assert found[:3] == [("forward", "conv2d", "0"), ("forward", "tanh", "1.0"), ("forward", "square", "")]
    names = [(phase, name) for phase, name, _ in found]
    assert ("backward", "conv2d_weight_grad") in names and names[-1] == ("step", "sgd_step")
    assert ("backward", "conv2d_input_grad") not in names  # nobody asked for it
    assert [p for p, _ in names] == sorted((p for p, _ in names), key=["forward", "backward", "step"].index)
    assert [s.name for s in traced.spans] == ["Sequential", "0", "1", "1.0", "backward", "SGD.step"]


def test_kernel_bytes_times_and_shapes(traced):
    op = traced.ops[0]
    assert (op.device, op.kernel, op.thread) == ("cpu", "direct: sweep", 0)
    assert op.shapes == [(2, 3, 16, 16), (4, 3, 5, 5), (4,)]
    assert op.nbytes == 4 * (2 * 3 * 256 + 4 * 75 + 4 + 2 * 4 * 144)
    assert 0 < op.duration < traced.duration and op.compiling == 0
    assert all(a.start + a.duration <= b.start for a, b in zip(traced.ops, traced.ops[1:], strict=False))
    tiny = next(op for op in traced.ops if op.name == "sum")
    assert tiny.kernel == "numpy"


def test_compiling_is_told_apart():
    twice = numba.njit(lambda x: 2 * x)
    kernels.register("twice_for_the_trace", reference=lambda x: 2 * x, cpu=lambda x: twice(x))
    try:
        with trace() as t:
            for _ in range(2):
                device("cpu").kernels.twice_for_the_trace(np.ones(3, np.float32))
    finally:
        del kernels._registered["twice_for_the_trace"]
    first, second = t.ops
    assert 0.5 * first.duration < first.compiling < first.duration and second.compiling == 0
    assert " s" in str(t).splitlines()[1]


def test_grouped_and_the_tables(traced):
    groups = traced.grouped()
    assert sum(g["calls"] for g in groups) == len(traced.ops)
    assert sum(g["duration"] for g in groups) == pytest.approx(sum(op.duration for op in traced.ops))
    assert groups == sorted(groups, key=lambda g: -g["duration"])
    assert {g["module"] for g in traced.grouped(by=("module",))} == {"0", "1.0", ""}
    text, order = str(traced), traced.in_order()
    assert "direct: sweep" in text and f"{len(traced.ops)} operations" in text
    assert len(order.splitlines()) == 1 + len(traced.ops) and "2x3x16x16 4x3x5x5 4" in order
    assert traced.to_dicts()[0]["name"] == "conv2d"


def test_the_file_for_chrome(traced, tmp_path):
    traced.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert events[0]["ph"] == "M"
    pieces = {e["name"]: e for e in events if e["ph"] == "X"}
    assert len([e for e in events if e["ph"] == "X"]) == len(traced.ops) + len(traced.spans)
    inner, outer = pieces["conv2d"], pieces["0"]
    assert outer["ts"] <= inner["ts"] and inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"]
    assert inner["args"]["kernel"] == "direct: sweep" and inner["tid"] == outer["tid"] == 0


def test_nothing_stays_behind_also_after_an_error():
    before = (autograd._walk, direct.launch, threads.launch, optim.Optimizer.step, Tensor.item, _device.moved)
    model = nn.Sequential(nn.Conv2d(3, 1, 1))
    with pytest.raises(RuntimeError, match="channels"), trace() as t:
        F.relu(torch.ones(2))
        model(torch.ones(1, 2, 4, 4))
    assert [op.name for op in t.ops] == ["relu"] and t.ops[0].module == ""
    assert before == (autograd._walk, direct.launch, threads.launch, optim.Optimizer.step, Tensor.item, _device.moved)
    assert not kernels._observers and not hasattr(device("cpu").kernels.conv2d, "__wrapped__")
    F.relu(torch.ones(2))
    assert len(t.ops) == 1


def test_one_trace_at_a_time():
    with trace() as t:
        with pytest.raises(RuntimeError, match="another trace is running"), trace():
            pass
        F.relu(torch.ones(2))
    assert len(t.ops) == 1
    with pytest.raises(RuntimeError, match="has run already"), t:
        pass


def test_several_python_threads_keep_apart():
    models = [nn.Conv2d(2, 3, 3), nn.Linear(16, 8)]
    inputs = [torch.randn(4, 2, 8, 8), torch.randn(4, 16)]
    expected = [m(x).array.copy() for m, x in zip(models, inputs, strict=True)]
    results = [[], []]

    def work(i):
        for _ in range(20):
            y = models[i](inputs[i])
            results[i].append(y.detach().array)
            y.sum().backward()

    with trace() as t:
        workers = [threading.Thread(target=work, args=(i,)) for i in range(2)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
    for i in range(2):
        assert all(np.array_equal(y, expected[i]) for y in results[i])
    assert {op.thread for op in t.ops} == {1, 2}
    for op in t.ops:
        if op.name == "conv2d":
            assert (op.phase, op.module) == ("forward", "Conv2d")
    assert sum(op.name == "conv2d" for op in t.ops) == sum(s.name == "Linear" for s in t.spans) == 20


def test_numbers_that_are_on_the_cpu_are_not_copied_there():  # tests/cuda/simulated has those that are not
    with trace(synchronize=False) as t:
        torch.ones(1).to("cpu").item()
    assert not any(op.name == "transfer" for op in t.ops)
