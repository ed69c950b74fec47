"""What a thread that loads data knows: its number, and the generator that random transforms draw from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...random import Generator, generator_or_default, this_thread


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """Which worker of a `DataLoader` this thread is.

    Attributes:
        id: 0, ..., num_workers - 1.
        num_workers: how many there are.
        seed: the epoch's base seed plus `id`.
        dataset: the dataset that this worker reads; for an `IterableDataset` the worker's own shallow copy.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Local(threading.local):
    info: WorkerInfo | None = None


local = _Local()


def get_worker_info() -> WorkerInfo | None:
    """The `WorkerInfo` of the worker thread that calls, or None outside of workers."""
    return local.info


def current_generator() -> Generator:
    """The generator that random transforms draw from: the batch's while a `DataLoader` loads, else the default one."""
    return generator_or_default()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within, `current_generator` is a new generator with this seed, in this thread only.

    One generator per batch makes the samples independent of the number of workers and of their timing.
    """
    outer = this_thread.generator
    this_thread.generator = Generator().manual_seed(seed % 2**64)
    try:
        yield
    finally:
        this_thread.generator = outer
