"""Pinned memory of the host, and copies from it on a stream of their own; what waits for what is noted."""

import gc

import numpy as np
import pytest

import tinycnn
from tinycnn import kernels
from tinycnn.kernels import settings
from tinycnn.kernels.cuda import copies
from tinycnn.utils.data import DataLoader, IterableDataset, TensorDataset

xp = kernels.column("cuda").xp


def test_memory_is_pinned_once():
    x = tinycnn.arange(6.0).reshape(2, 3).t()
    y = x.pin_memory()
    assert y.is_pinned() and not x.is_pinned() and y.tolist() == x.tolist() and y.is_contiguous()
    assert y.pin_memory() is y and y[1:].is_pinned() and y.view(-1).is_pinned() and not (y + 1).is_pinned()
    assert tinycnn.zeros(0, 3).pin_memory().is_pinned() and tinycnn.tensor(3).pin_memory().item() == 3
    with pytest.raises(RuntimeError, match="this tensor is on cuda:0"):
        x.cuda().pin_memory()
    assert not x.cuda().is_pinned()


class Stream(xp.Stream):
    """Notes what is asked of it."""

    def __init__(self, name, notes):
        self.name, self.notes = name, notes

    def record(self, event=None):
        event = Event(self.name, self.notes)
        return event

    def wait_event(self, event):
        self.notes.append(f"{self.name} waits for {event.name}")


class Event:
    done = False

    def __init__(self, name, notes):
        self.name = f"{name} {sum(n.startswith(f'mark {name}') for n in notes)}"
        notes.append(f"mark {self.name}")


@pytest.fixture
def lane(monkeypatch):
    """A lane whose stream is called copies, while kernels are launched on one called compute."""
    notes = []
    monkeypatch.setattr(xp.cuda, "get_current_stream", lambda: Stream("compute", notes))
    lane = copies._Lane(0)
    lane.stream, lane.notes = Stream("copies", notes), notes
    monkeypatch.setattr(copies, "_lane", lambda device: lane)
    return lane


def test_kernels_wait_for_the_copy_and_later_copies_for_the_kernels(lane):
    source = tinycnn.arange(5.0).pin_memory()
    x = source.to("cuda", non_blocking=True)
    assert x.tolist() == source.tolist() and x.device.type == "cuda"
    assert lane.notes == ["mark copies 0", "compute waits for copies 0"]
    view, x = x[1:], None
    gc.collect()
    assert len(lane.notes) == 2  # a view keeps it
    del view
    gc.collect()
    assert lane.notes[2:] == ["mark compute 0", "copies waits for compute 0"]


def test_the_hosts_memory_is_held_until_it_has_travelled(lane):
    source = tinycnn.arange(5.0).pin_memory()
    source.cuda(non_blocking=True)
    ((arrival, held),) = lane.travelling
    assert held is source.array
    arrival.done = True
    other = tinycnn.arange(4.0).pin_memory()
    other.to("cuda", non_blocking=True)
    assert [a is other.array for _, a in lane.travelling] == [True]


def test_while_a_graph_is_captured_nothing_is_recorded(lane, monkeypatch):
    source = tinycnn.arange(5.0).pin_memory()
    x = source.to("cuda", non_blocking=True)
    del lane.notes[:]
    with monkeypatch.context() as capture:
        capture.setattr(settings, "capturing", True)
        assert copies.send(source.array).get().tolist() == source.tolist()
        del x
        gc.collect()
        assert not lane.notes
    source.to("cuda", non_blocking=True)
    assert lane.notes[:2] == ["mark compute 0", "copies waits for compute 0"]


def test_other_memory_is_copied_as_ever(lane):
    for x in (tinycnn.ones(3), tinycnn.ones(4, 4).pin_memory().t()[1:], tinycnn.ones(0).pin_memory()):
        assert x.to("cuda", non_blocking=True).tolist() == x.tolist()
    source = tinycnn.ones(3).pin_memory()
    assert source.cuda().tolist() == source.to("cuda", True, True).detach().tolist()
    assert source.to("cpu", non_blocking=True) is source
    assert lane.notes.count("mark copies 0") == 1  # the one that said True


def test_gradients_come_back():
    x = tinycnn.ones(3).pin_memory().requires_grad_()
    (x.to("cuda", non_blocking=True) * 2).sum().backward()
    assert x.grad.tolist() == [2, 2, 2] and x.grad.device.type == "cpu"


class Numbers(IterableDataset):
    def __iter__(self):
        yield from ({"a": np.float32(i), "b": [tinycnn.ones(2), "text"]} for i in range(3))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_pinned(workers):
    data = TensorDataset(tinycnn.arange(6.0), tinycnn.arange(6))
    for x, y in DataLoader(data, 2, num_workers=workers, pin_memory=True):
        assert x.is_pinned() and y.is_pinned() and x.cuda(non_blocking=True).tolist() == y.tolist()
    for batch in DataLoader(Numbers(), 3, num_workers=workers // 2, pin_memory=True):
        assert batch["a"].is_pinned() and batch["b"][0].is_pinned() and batch["b"][1] == ("text",) * 3
    assert not any(x.is_pinned() for x, _ in DataLoader(data, 2))


class Pair:
    def pin_memory(self):
        return "pinned"


def test_a_batch_of_ones_own_pins_itself():
    assert list(DataLoader([1, 2], 2, collate_fn=lambda batch: Pair(), pin_memory=True)) == ["pinned"]
