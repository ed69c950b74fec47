"""Optimizers inside graphs: launches are noted instead of made, as in a capture, and made again at every replay."""

import numpy as np
import pytest

import tinycnn
from tinycnn.cuda import graphs
from tinycnn.kernels import settings
from tinycnn.kernels.cuda import launch
from tinycnn.optim import lr_scheduler

KINDS = {
    "SGD": dict(lr=0.1, momentum=0.9),
    "Adam": dict(lr=0.1),
    "AdamW": dict(lr=0.1, amsgrad=True),
    "NAdam": dict(lr=0.1),
    "RAdam": dict(lr=0.1),
    "Adamax": dict(lr=0.1),
    "Adagrad": dict(lr=0.1, lr_decay=0.1),
    "Adadelta": dict(lr=0.1),
    "RMSprop": dict(lr=0.1),
}


class Graph:
    """What stands in for a CUDAGraph."""

    def __init__(self, monkeypatch):
        self.launches, self.steps = [], []
        self.make, self.monkeypatch = launch.Launcher.__call__, monkeypatch

    def capture(self, step):
        with self.monkeypatch.context() as noted:
            noted.setattr(launch.Launcher, "__call__", lambda *call: self.launches.append(call))
            noted.setattr(settings, "capturing", True)
            noted.setattr(settings, "steps", self.steps)
            step()

    def replay(self):
        graphs.refresh(self.steps)
        for call in self.launches:
            self.make(*call)


@pytest.fixture(autouse=True)
def tables(monkeypatch):
    """A capture copies its tables from pinned memory; here at once."""
    from tinycnn.kernels.cuda import backend, optim

    plain = lambda values: backend.xp.asarray(np.array(values, np.int64).reshape(-1))  # noqa: E731
    monkeypatch.setattr(optim, "table", plain)


def parameters():
    made = [tinycnn.ones(3, device="cuda"), tinycnn.ones(2, 2, dtype=tinycnn.float64, device="cuda")]
    for p in made:
        p.requires_grad_().grad = p.detach() * 0.3
    return made


def trained(name, run):
    params = parameters()
    optimizer = getattr(tinycnn.optim, name)(params, **KINDS[name])
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.5)
    run(optimizer, schedule)
    state = optimizer.state_dict()["state"]
    return [p.tolist() for p in params], [float(s.get("step", 0)) for s in state.values()]


@pytest.mark.parametrize("name", KINDS)
def test_replays_step_as_without_a_graph(name, monkeypatch):
    def plain(optimizer, schedule):
        for _ in range(3):
            optimizer.step()
            schedule.step()

    def graphed(optimizer, schedule):
        graph = Graph(monkeypatch)
        optimizer.step()  # the warm-up
        graph.capture(optimizer.step)
        schedule.step()
        for _ in range(2):
            graph.replay()
            schedule.step()

    assert trained(name, graphed) == trained(name, plain)


def test_what_would_be_frozen_is_refused(monkeypatch):
    p = tinycnn.ones(3, device="cuda", requires_grad=True)
    p.grad = tinycnn.ones(3, device="cuda")
    centered = tinycnn.optim.RMSprop([p], centered=True)
    centered.step()
    with pytest.raises(RuntimeError, match="learning rate.*repeat for ever"):
        Graph(monkeypatch).capture(centered.step)
    assert settings.numbers is None


def test_gradients_may_be_forgotten_and_parameters_not_added(monkeypatch):
    params = parameters()
    optimizer, graph = tinycnn.optim.SGD(params, lr=0.1), Graph(monkeypatch)
    graph.capture(optimizer.step)
    graph.replay()
    optimizer.zero_grad()
    graph.replay()
    assert params[0].grad is None and abs(params[1][0, 0].item() - 0.94) < 1e-12
    optimizer.add_param_group({"params": [added := tinycnn.ones(1, device="cuda", requires_grad=True)]})
    added.grad = added.detach()
    with pytest.raises(RuntimeError, match="capture anew"):
        graph.replay()
    assert settings.filling is None
