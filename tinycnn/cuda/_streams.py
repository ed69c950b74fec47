"""Queues of work on a GPU, and moments in them. Everything is launched on the current stream."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .. import kernels


def _cuda() -> Any:
    return kernels.column("cuda").xp.cuda


class Stream:
    """A queue of work: what is launched on one runs in order, what is on two may run at once.

    Args:
        device: the GPU; the current one if None.
        priority: lower numbers run first.

    Attributes:
        cuda_stream: its address.
    """

    def __init__(self, device: Any = None, priority: int = 0, *, stream: Any = None) -> None:
        self._stream = _cuda().Stream(non_blocking=True, priority=priority) if stream is None else stream
        self.cuda_stream: int = self._stream.ptr

    def synchronize(self) -> None:
        """Wait until all that was launched here is done."""
        self._stream.synchronize()

    def query(self) -> bool:
        """Whether all that was launched here is done."""
        return bool(self._stream.done)

    def record_event(self, event: Event | None = None) -> Event:
        """Mark the moment when all that is here now is done."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let what is launched here from now on begin after `event`."""
        self._stream.wait_event(event._event)

    def wait_stream(self, stream: Stream) -> None:
        """Let what is launched here from now on begin after all that is on `stream` now."""
        self.wait_event(stream.record_event())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.cuda_stream == self.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)

    def __repr__(self) -> str:
        return f"<tinycnn.cuda.Stream {self.cuda_stream:#x}>"


class Event:
    """A moment in a stream.

    Args:
        enable_timing: whether `elapsed_time` can be asked.
        blocking: whether a thread that waits sleeps instead of spinning.
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self._event = _cuda().Event(block=blocking, disable_timing=not enable_timing)
        self._timing = enable_timing

    def record(self, stream: Stream | None = None) -> None:
        """Mark the moment when all that is on `stream` (the current one) now is done."""
        self._event.record(None if stream is None else stream._stream)

    def wait(self, stream: Stream | None = None) -> None:
        """Let what is launched on `stream` (the current one) from now on begin after this."""
        (current_stream() if stream is None else stream).wait_event(self)

    def synchronize(self) -> None:
        """Wait for this moment."""
        self._event.synchronize()

    def query(self) -> bool:
        """Whether it has come."""
        return bool(self._event.done)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this to another event, both of which must have come.

        Raises:
            RuntimeError: if one was made without ``enable_timing=True``.
        """
        if not (self._timing and end_event._timing):
            raise RuntimeError("elapsed_time: both events must be made with enable_timing=True")
        return _cuda().get_elapsed_time(self._event, end_event._event)


def current_stream(device: Any = None) -> Stream:
    """The stream that everything is launched on now.

    Raises:
        RuntimeError: if there is no GPU.
    """
    return Stream(stream=_cuda().get_current_stream())


def default_stream(device: Any = None) -> Stream:
    """The stream that is current at first.

    Raises:
        RuntimeError: if there is no GPU.
    """
    return Stream(stream=_cuda().Stream(null=True))


@contextlib.contextmanager
def stream(stream: Stream | None) -> Iterator[None]:
    """A block in which everything is launched on `stream`; None changes nothing."""
    if stream is None:
        yield
    else:
        with stream._stream:
            yield
