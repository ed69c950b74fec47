"""Graphs: what was launched once, launched again as one piece.

A small training step is a hundred launches of a few microseconds each, and Python needs longer to ask for them than the
GPU to do them. Captured as a graph, the step is one launch::

    x, target = tinycnn.zeros(64, 1, 28, 28, device="cuda"), tinycnn.zeros(64, dtype=tinycnn.int64, device="cuda")
    step = tinycnn.cuda.graphs.captured(lambda: train(x, target))    # runs it three times, then captures it
    for images, labels in loader:
        x.copy_(images)
        target.copy_(labels)
        step.replay()

What is captured reads and writes the same memory at every replay, takes the same branches, and uses the same numbers:
new inputs are written into the old tensors, and dropout zeroes the same elements. An optimizer's numbers are its own:
every replay counts a step, and takes the learning rate and the rest as they are in ``param_groups`` by then. Nothing in
a graph may ask the GPU for a number (`item()`, printing), and class numbers are not checked.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

from .. import kernels
from ..kernels import settings
from ..kernels.cuda import probe


class CUDAGraph:
    """Launches that were captured, with the memory that they use.

    Raises:
        RuntimeError: if there is no GPU, or only Numba's simulator, which captures nothing.
    """

    def __init__(self) -> None:
        xp = kernels.column("cuda").xp
        if probe.simulated():
            raise RuntimeError("cuda.graph: Numba's simulator captures nothing; a graph needs a GPU")
        self._cuda = xp.cuda
        self._pool: Any = xp.cuda.MemoryPool()  # its own: nobody else gets this memory between replays
        self._stream: Any = xp.cuda.Stream(non_blocking=True)
        self._graph: Any = None
        self._held: list[object] = []  # memory of the host that a replay reads
        self._steps: list[Any] = []  # of optimizers: what asks for their numbers, and where these are
        self._travelling: list[tuple[Any, list[object]]] = []  # such numbers, and when they have arrived

    @contextlib.contextmanager
    def memory(self) -> Iterator[None]:
        """A block whose tensors lie in the graph's memory, launched on the graph's stream."""
        with self._stream, self._cuda.using_allocator(self._pool.malloc):
            yield
        self._stream.synchronize()

    def capture_begin(self) -> None:
        """Capture from now on; everything must be launched on the graph's stream, as inside of `graph`."""
        self._stream.begin_capture()
        self._steps = []
        settings.capturing, settings.held, settings.steps = True, self._held, self._steps

    def capture_end(self) -> None:
        """End the capture; the graph is ready."""
        _no_capture()
        self._graph = self._stream.end_capture()

    def replay(self) -> None:
        """Launch everything again, on the current stream; the steps of optimizers with the numbers that they have now.

        Raises:
            RuntimeError: if nothing was captured, or an optimizer has other parameters by now.
        """
        if self._graph is None:
            raise RuntimeError("CUDAGraph.replay: nothing was captured")
        stream = self._cuda.get_current_stream()
        if self._steps:
            self._travelling = [(arrival, held) for arrival, held in self._travelling if not arrival.done]
            held = refresh(self._steps)
            self._travelling.append((stream.record(), held))
        self._graph.launch(stream)

    def reset(self) -> None:
        """Forget what was captured, and give its memory back."""
        self._graph = None
        self._held.clear()
        self._steps.clear()
        self._pool.free_all_blocks()


def _no_capture() -> None:
    settings.capturing, settings.held, settings.steps = False, [], []


def refresh(steps: list[Any]) -> list[object]:
    """Count captured steps (`settings.steps`), and write their numbers before what is launched next.

    Returns the memory of the host that the numbers are copied from.
    """
    fill = importlib.import_module("tinycnn.kernels.cuda.optim").fill
    held: list[object] = []
    settings.held = held
    try:
        for again, launches in steps:
            settings.filling = places = iter(launches)
            again()
            if next(places, None) is not None:
                fill(None, ())
    finally:
        settings.filling, settings.held = None, []
    return held


@contextlib.contextmanager
def graph(cuda_graph: CUDAGraph, pool: Any = None, stream: Any = None, **options: Any) -> Iterator[None]:
    """A block whose launches are captured into `cuda_graph` instead of done (``torch.cuda.graph``).

    Run what is captured a few times before, so that its kernels are compiled. `pool` and `stream` are taken as in
    PyTorch and change nothing: a graph has its own.

    Raises:
        RuntimeError: if something in the block cannot be captured, such as ``item()``.
    """
    with cuda_graph.memory():
        cuda_graph.capture_begin()
        try:
            yield
        except Exception as error:
            _no_capture()
            with contextlib.suppress(Exception):
                cuda_graph._stream.end_capture()
            raise RuntimeError(
                f"cuda.graph: this cannot be captured: {error}. Inside, nothing may wait for the GPU (item(), "
                "printing, boolean indices), and everything must have run once before"
            ) from error
        cuda_graph.capture_end()


def captured(step: Callable[[], Any], warmup: int = 3) -> CUDAGraph:
    """The graph of what ``step()`` launches, after `warmup` calls that compile its kernels and fill its caches.

    The calls are real: parameters have made `warmup` steps when this returns.

    Raises:
        RuntimeError: as `graph`.
    """
    made = CUDAGraph()
    for _ in range(max(warmup, 1)):
        with made.memory():
            step()
    with graph(made):
        step()
    return made


def is_current_stream_capturing() -> bool:
    """Whether launches are being captured."""
    return settings.capturing
