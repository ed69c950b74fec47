"""`trace`: which operations ran, on what, by which kernel, and how long each took."""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import _device, _tensor, autograd, kernels
from .._tensor import Tensor
from ..nn._hooks import register_module_forward_hook, register_module_forward_pre_hook
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ._replace import replaced
from ._text import aligned

Shape = tuple[int, ...]


@dataclass
class Op:
    """One operation: a call of the kernel table, or a copy from one device to another.

    Attributes:
        name: of the kernel in the table, ``conv2d``; or ``transfer``, a copy from one device to another.
        phase: ``forward``, ``backward`` (inside a backward pass) or ``step`` (inside an optimizer's step).
        device: ``cpu`` or ``cuda``; for a transfer ``cpu -> cuda:0``.
        kernel: the file and the compiled functions in it that were launched, ``winograd: weights, private``; ``numpy``
            if there were none.
        shapes: of the arrays that it was given.
        nbytes: of the arrays given and returned.
        start: when it began, in microseconds from the beginning of the trace.
        duration: how long it took, in microseconds; on a GPU only until it was launched, unless the trace synchronizes.
        compiling: how many microseconds of that went into compiling.
        module: the module in whose forward it ran: its name if `trace` was given the model, else its class.
        thread: the number of the Python thread, 0 for the one that opened the trace.
    """

    name: str
    phase: str
    device: str
    kernel: str
    shapes: list[Shape]
    nbytes: int
    start: float
    duration: float
    compiling: float
    module: str
    thread: int


@dataclass
class Span:
    """A longer piece of time, in the terms of `Op`: a call of a module, a backward pass, an optimizer's step."""

    name: str
    phase: str
    start: float
    duration: float
    thread: int


class _Here(threading.local):
    """What one Python thread is doing."""

    phase = "forward"
    launched: list[tuple[str, str]] | None = None  # files and functions, while a kernel of the table runs
    compiling = 0.0  # microseconds, of the operation that runs
    depth = 0  # of compilations inside compilations
    began = 0.0
    modules: list[tuple[str, float]]

    def __init__(self) -> None:
        self.modules = []


_running = threading.Lock()


class trace:
    """Record every operation while the block runs, in all Python threads.

        with trace(model) as t:
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        print(t)  # grouped; t.in_order() is the list
        t.save("trace.json")  # for chrome://tracing, or https://ui.perfetto.dev

    Outside of such blocks nothing is recorded and nothing is slower: kernels are wrapped when the block begins, and
    unwrapped at its end. Inside, an operation takes some ten microseconds more. What happens in no kernel (views,
    Python) is the time between the operations. Batch norm and ReLU may be put off to be done together with what comes
    next; they are listed where that is.

    Args:
        model: gives the operations the names of its modules.
        synchronize: wait for a GPU after each operation, so that times are those of the computation.

    Attributes:
        ops: a list of `Op`, by the time when they began.
        spans: a list of `Span`: calls of modules, backward passes, steps of optimizers.
        duration: the whole block, in microseconds.

    Raises:
        RuntimeError: if another trace is running, or this one ran before.
    """

    def __init__(self, model: Module | None = None, synchronize: bool = True) -> None:
        self.ops: list[Op] = []
        self.spans: list[Span] = []
        self.duration = 0.0
        self._names = {} if model is None else {m: name or type(m).__name__ for name, m in model.named_modules()}
        self._synchronize = synchronize
        self._here = _Here()
        self._threads: dict[int, int] = {}
        self._stack: ExitStack | None = None
        self._zero = 0

    # -- recording ------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return (time.perf_counter_ns() - self._zero) / 1000

    def _thread(self) -> int:
        return self._threads.setdefault(threading.get_ident(), len(self._threads))

    def __enter__(self) -> trace:
        if self._zero:
            raise RuntimeError("trace: this one has run already; open a new one")
        if not _running.acquire(blocking=False):
            raise RuntimeError("trace: another trace is running, in this thread or in another")
        self._zero = time.perf_counter_ns()
        self._thread()
        try:
            with ExitStack() as stack:
                self._install(stack)
                self._stack = stack.pop_all()
        except BaseException:
            _running.release()
            raise
        self._zero = time.perf_counter_ns()
        return self

    def __exit__(self, *exc: object) -> None:
        self.duration = self._now()
        assert self._stack is not None
        self._stack.close()
        _running.release()
        self.ops.sort(key=lambda op: op.start)
        self.spans.sort(key=lambda span: span.start)

    def _install(self, stack: ExitStack) -> None:
        """Put a wrapper around everything that is recorded."""
        if kernels.column("cpu").name == "cpu":
            for family in kernels.FAMILIES:  # before the first of them is timed
                importlib.import_module(f"tinycnn.kernels.cpu.{family}")
            stack.enter_context(self._hearing_compilers())
        launchers = [
            (module, "launch")
            for name, module in list(sys.modules.items())
            if name.startswith("tinycnn.kernels.cpu.") and callable(vars(module).get("launch"))
        ]
        stack.enter_context(replaced(launchers, self._launching))
        if "tinycnn.kernels.cuda.launch" in sys.modules:
            gpu: Any = sys.modules["tinycnn.kernels.cuda.launch"]
            stack.enter_context(replaced([(gpu.Kernel, "of")], self._choosing))
        stack.enter_context(kernels.observed(self._timed))
        stack.enter_context(replaced([(autograd, "_walk")], self._in_phase("backward")))
        stack.enter_context(replaced([(Optimizer, "step")], self._in_phase("step")))
        stack.enter_context(replaced([(_device, "moved"), (_tensor, "moved")], self._moving))
        stack.enter_context(replaced([(Tensor, "item"), (Tensor, "tolist")], self._reading))
        for handle in (
            register_module_forward_pre_hook(self._enter_module),
            register_module_forward_hook(self._leave_module, always_call=True),
        ):
            stack.callback(handle.remove)

    @contextmanager
    def _hearing_compilers(self) -> Iterator[None]:
        event: Any = importlib.import_module("numba.core.event")
        here, now = self._here, self._now

        class Listener(event.Listener):
            def on_start(self, e: Any) -> None:
                here.depth += 1
                if here.depth == 1:
                    here.began = now()

            def on_end(self, e: Any) -> None:
                here.depth -= 1
                if here.depth == 0:
                    here.compiling += now() - here.began

        listener = Listener()
        event.register("numba:compile", listener)
        try:
            yield
        finally:
            event.unregister("numba:compile", listener)

    def _launching(self, name: str, launch: Callable[..., Any]) -> Callable[..., Any]:
        def launching(kernel: Callable[..., Any], *args: Any, **options: Any) -> Any:
            names = self._here.launched
            if names is not None:
                function: Any = getattr(kernel, "py_func", kernel)
                names.append((function.__module__.rpartition(".")[2], function.__name__))
            return launch(kernel, *args, **options)

        return launching

    def _timed(self, column: str, name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
        """`kernel`, which puts down an `Op` for each call."""
        here = self._here

        @functools.wraps(kernel)
        def timed(*args: Any, **kwargs: Any) -> Any:
            outer, before, here.launched = here.launched, here.compiling, []
            result = None
            start = self._now()
            try:
                result = kernel(*args, **kwargs)
                if column == "cuda" and self._synchronize:
                    _wait()
                return result
            finally:
                end = self._now()
                arrays = list(_arrays((args, kwargs)))
                launched = _by_file(here.launched) or (column if column == "cuda" else "numpy")
                self.ops.append(
                    Op(
                        name,
                        here.phase,
                        "cuda" if column == "cuda" else "cpu",
                        launched,
                        [tuple(a.shape) for a in arrays],
                        sum(a.nbytes for a in arrays) + sum(a.nbytes for a in _arrays(result)),
                        start,
                        end - start,
                        here.compiling - before,
                        self._module(),
                        self._thread(),
                    )
                )
                here.launched = outer

        return timed

    def _in_phase(self, phase: str) -> Callable[[str, Callable[..., Any]], Callable[..., Any]]:
        """A maker of functions during which operations count to `phase`."""

        def maker(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def phased(*args: Any, **kwargs: Any) -> Any:
                before, self._here.phase = self._here.phase, phase
                start = self._now()
                try:
                    return function(*args, **kwargs)
                finally:
                    self._here.phase = before
                    what = f"{type(args[0]).__name__}.step" if phase == "step" else phase
                    self.spans.append(Span(what, phase, start, self._now() - start, self._thread()))

            return phased

        return maker

    def _choosing(self, name: str, of: Callable[..., Any]) -> Callable[..., Any]:
        """A GPU kernel's `of`, which gives the launcher for a dtype, and compiles it if there is none yet."""

        def choosing(kernel: Any, *key: Any) -> Any:
            names = self._here.launched
            if names is not None:
                names.append((kernel.factory.__module__.rpartition(".")[2], kernel.name))
            known, start = len(kernel._made), self._now()
            made = of(kernel, *key)
            if len(kernel._made) > known:
                self._here.compiling += self._now() - start
            return made

        return choosing

    def _moving(self, name: str, moved: Callable[..., Any]) -> Callable[..., Any]:
        """The function that copies arrays between devices."""

        def moving(array: Any, source: Any, place: Any, *options: Any) -> Any:
            start = self._now()
            result = moved(array, source, place, *options)
            self._transfer(array, f"{source} -> {place}", "moved", start)
            return result

        return moving

    def _reading(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method of Tensor that gives its numbers to Python."""

        @functools.wraps(method)
        def reading(tensor: Tensor) -> Any:
            start = self._now()
            result = method(tensor)
            if tensor.device.type != "cpu":
                self._transfer(tensor.array, f"{tensor.device} -> cpu", name, start)
            return result

        return reading

    def _transfer(self, array: Any, places: str, how: str, start: float) -> None:
        if self._synchronize:
            _wait()
        rest = (start, self._now() - start, 0.0, self._module(), self._thread())
        self.ops.append(Op("transfer", self._here.phase, places, how, [tuple(array.shape)], array.nbytes, *rest))

    def _module(self) -> str:
        return self._here.modules[-1][0] if self._here.modules else ""

    def _enter_module(self, module: Module, args: Any) -> None:
        name = self._names.get(module, type(module).__name__)
        self._here.modules.append((name, self._now()))

    def _leave_module(self, module: Module, args: Any, output: Any) -> None:
        if self._here.modules:  # empty for a module that was entered before the trace
            name, start = self._here.modules.pop()
            self.spans.append(Span(name, self._here.phase, start, self._now() - start, self._thread()))

    # -- showing --------------------------------------------------------------------------------------------------

    def grouped(self, by: Sequence[str] = ("phase", "name", "device", "kernel")) -> list[dict[str, Any]]:
        """Operations that are equal in these attributes together: calls, microseconds, bytes, compiling.

        The group that took longest comes first. ``by=("module",)`` shows what each layer costs on the way forward.
        """
        groups: dict[tuple[Any, ...], dict[str, Any]] = {}
        for op in self.ops:
            key = tuple(getattr(op, attribute) for attribute in by)
            start = {**dict(zip(by, key, strict=True)), "calls": 0, "duration": 0.0, "nbytes": 0, "compiling": 0.0}
            group = groups.setdefault(key, start)
            group["calls"] += 1
            for what in ("duration", "nbytes", "compiling"):
                group[what] += getattr(op, what)
        return sorted(groups.values(), key=lambda group: -group["duration"])

    def to_dicts(self) -> list[dict[str, Any]]:
        """The operations as dicts, for `pandas.DataFrame` and the like."""
        return [asdict(op) for op in self.ops]

    def __str__(self) -> str:
        total = sum(op.duration for op in self.ops)
        rows: list[tuple[str, ...]] = [
            ("phase", "operation", "device", "kernel", "calls", "us", "%", "us/call", "MB", "GB/s", "compiling")
        ]
        for g in self.grouped():
            run = g["duration"] - g["compiling"]
            rows.append(
                (
                    *(g["phase"], g["name"], g["device"], g["kernel"], str(g["calls"]), f"{g['duration']:,.0f}"),
                    *(f"{100 * g['duration'] / (total or 1):.1f}", f"{g['duration'] / g['calls']:,.1f}"),
                    *(f"{g['nbytes'] / 1e6:,.1f}", f"{g['nbytes'] / run / 1e3:.1f}" if run > 0 else ""),
                    f"{g['compiling'] / 1e6:.1f} s" if g["compiling"] else "",
                )
            )
        phases = []
        for phase in ("forward", "backward", "step"):
            spent = sum(op.duration for op in self.ops if op.phase == phase)
            if spent:
                phases.append(f"{phase} {spent:,.0f} us")
        return "\n".join(
            [
                *aligned(rows, 4),
                f"{len(self.ops)} operations, {total:,.0f} us ({', '.join(phases)}); "
                f"the block took {self.duration:,.0f} us",
            ]
        )

    def in_order(self) -> str:
        """The operations one after the other, as a table."""
        rows: list[tuple[str, ...]] = [
            ("start us", "phase", "module", "operation", "device", "kernel", "shapes", "us", "MB", "compiling")
        ]
        for op in self.ops:
            rows.append(
                (
                    *(f"{op.start:,.0f}", op.phase, op.module, op.name, op.device, op.kernel),
                    " ".join("x".join(map(str, s)) or "()" for s in op.shapes[:4]) + " ..." * (len(op.shapes) > 4),
                    *(f"{op.duration:,.0f}", f"{op.nbytes / 1e6:.2f}"),
                    f"{op.compiling / 1e6:.1f} s" if op.compiling else "",
                )
            )
        return "\n".join(aligned(rows, 7))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file for Chrome's chrome://tracing or https://ui.perfetto.dev: time from left to right, each Python
        thread a lane, operations inside the modules that called them."""
        pid = os.getpid()
        events: list[dict[str, Any]] = [
            {"ph": "M", "name": "thread_name", "pid": pid, "tid": n, "args": {"name": f"Python thread {n}"}}
            for n in self._threads.values()
        ]
        for span in self.spans:
            place = {"ph": "X", "pid": pid, "tid": span.thread, "ts": span.start, "dur": span.duration}
            events.append({**place, "name": span.name, "cat": span.phase})
        for op in self.ops:
            place = {"ph": "X", "pid": pid, "tid": op.thread, "ts": op.start, "dur": op.duration}
            about = {"kernel": op.kernel, "device": op.device, "shapes": op.shapes, "bytes": op.nbytes}
            about |= {"module": op.module, "compiling us": op.compiling}
            events.append({**place, "name": op.name, "cat": op.phase, "args": about})
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))


def _by_file(launched: list[tuple[str, str]]) -> str:
    """``file: function, function; file: function`` in the order of the launches, each once."""
    files: dict[str, dict[str, None]] = {}
    for file, function in launched:
        files.setdefault(file, {})[function] = None
    return "; ".join(f"{file}: {', '.join(functions)}" for file, functions in files.items())


def _arrays(value: Any) -> Iterator[Any]:
    """The arrays in what a kernel is given or returns."""
    if hasattr(value, "nbytes") and hasattr(value, "shape"):
        yield value
    elif isinstance(value, dict):
        for v in value.values():
            yield from _arrays(v)
    elif isinstance(value, (tuple, list)):
        for v in value:
            yield from _arrays(v)


def _wait() -> None:
    """Until the GPU has done all that it was told."""
    from ..cuda import synchronize

    synchronize()
