"""Copies from the host to a GPU that run beside the kernels.

A GPU copies by itself what lies in page-locked (pinned) memory of the host: nobody waits. Such a copy is made on a
stream of its own, so that the next batch travels while kernels work on this one. Three things must not go wrong:

    kernels read the array before it is there     the current stream waits for the copy
    the copy writes where kernels still read      memory of these arrays is used again for these arrays only, and when
                                                  one is freed the copies to come wait for the kernels launched so far
    the host's memory is used again too early     it is held until the copy is done
"""

from __future__ import annotations

import functools
import threading
import weakref
from typing import Any

import numpy as np

from .. import settings
from .backend import to_device, xp


def pinned(x: np.ndarray) -> np.ndarray:
    """A copy in page-locked memory of the host, C-contiguous."""
    memory = xp.cuda.alloc_pinned_memory(max(x.nbytes, 1))
    made = np.frombuffer(memory, x.dtype, x.size).reshape(x.shape)
    made[...] = x
    return made


def is_pinned(x: np.ndarray) -> bool:
    """Whether x, or what it is a view of, was made by `pinned`."""
    base: Any = x
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    base = base.obj if isinstance(base, memoryview) else base
    return isinstance(base, xp.cuda.PinnedMemoryPointer)


class _Lane:
    """The stream for copies to one GPU."""

    def __init__(self, device: int) -> None:
        self.device, self.stream = device, xp.cuda.Stream(non_blocking=True)
        self.lock = threading.RLock()  # a freed array may be collected while another is sent
        self.late: Any = None  # a stream that was captured when an array was freed
        self.travelling: list[tuple[Any, np.ndarray]] = []  # with the event of their arrival

    def send(self, x: np.ndarray) -> Any:
        compute = xp.cuda.get_current_stream()
        with self.lock:
            if self.late is not None:
                self.stream.wait_event(self.late.record())
                self.late = None
            self.travelling = [(arrival, a) for arrival, a in self.travelling if not arrival.done]
            with self.stream:
                made = xp.empty(x.shape, x.dtype)
                made.set(x, stream=self.stream)
            arrival = self.stream.record()
            compute.wait_event(arrival)
            self.travelling.append((arrival, x))
        weakref.finalize(made, self.freed, compute).atexit = False
        return made

    def freed(self, compute: Any) -> None:
        """Let copies that are asked for from now on begin after what `compute` has been given."""
        with self.lock, xp.cuda.Device(self.device):
            if settings.capturing:  # the event would be part of the capture; what was launched before it is waited for
                self.late = compute
            else:
                self.stream.wait_event(compute.record())


@functools.cache
def _lane(device: int) -> _Lane:
    return _Lane(device)


def send(x: np.ndarray) -> Any:
    """x on the current device; if it is pinned, without waiting: it must not be written to before it has arrived."""
    if settings.capturing or not x.size or not x.flags.c_contiguous or not is_pinned(x):
        return to_device(x)
    return _lane(xp.cuda.Device().id).send(x)
