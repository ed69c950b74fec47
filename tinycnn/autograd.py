"""Reverse-mode differentiation: `Function` records, `backward` walks.

Every differentiable operation, ours and yours, is a `Function` with two static methods::

    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, grad_output):
            (x,) = ctx.saved_tensors
            return 2 * x * grad_output

    y = Square.apply(x)

`forward` runs without recording. If an input requires grad, `apply` hangs a `Node` behind the outputs: it holds what
`forward` saved, and points to the nodes that made the inputs. `backward` receives the gradients of the outputs and
returns one for each input of `forward`, computed in differentiable operations, so that gradients have gradients.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import operator
import os
import threading
import traceback
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from . import dtypes
from ._tensor import Tensor, filled, wrap


class _Mode(threading.local):
    """What a Python thread records and looks for."""

    recording = True
    inference = False
    anomalies: Any = False

    def __init__(self) -> None:
        self.before: list[tuple[bool, bool]] = []  # recording and inference in front of each ``with`` block, inner last


_mode = _Mode()
_birth = itertools.count()


def next_birth() -> int:
    """A number above those of all nodes recorded so far, and below those still to come."""
    return next(_birth)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded, in this Python thread."""
    return _mode.recording


class _Switch:
    """The common part of `no_grad` and its kin: a ``with`` block and a decorator.

    What was before is kept with the thread, so that one of them may be entered several times, by several threads too.
    """

    _wanted = False

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return object.__new__(cls) if function is None else object.__new__(cls)(function)

    def __enter__(self) -> None:
        _mode.before.append((_mode.recording, _mode.inference))
        _mode.recording = self._wanted

    def __exit__(self, *exc: object) -> None:
        _mode.recording, _mode.inference = _mode.before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        @functools.wraps(function)
        def steps(*args: Any, **kwargs: Any) -> Any:  # of a generator: what goes on between them is not ours
            generator, sent = function(*args, **kwargs), None
            while True:
                with self:
                    try:
                        item = generator.send(sent)
                    except StopIteration as end:
                        return end.value
                sent = yield item

        return steps if inspect.isgeneratorfunction(function) else wrapper


class no_grad(_Switch):
    """Do not record: ``with no_grad(): ...`` or ``@no_grad()``."""


class enable_grad(_Switch):
    """Record again, inside a `no_grad` block."""

    _wanted = True


class set_grad_enabled(_Switch):
    """Switch recording on or off: as a function at once, as a ``with`` block for its length, or as a decorator."""

    def __new__(cls, mode: bool) -> Any:
        return object.__new__(cls)

    def __init__(self, mode: bool) -> None:
        self._wanted = bool(mode)
        self._switched = {threading.get_ident(): _mode.recording}  # by a call: what was before, for the block to come
        _mode.recording = self._wanted

    def _switch_back(self) -> None:
        _mode.recording = self._switched.pop(threading.get_ident(), _mode.recording)

    def __enter__(self) -> None:
        self._switch_back()
        super().__enter__()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self._switch_back()
        return super().__call__(function)


class inference_mode(_Switch):
    """As `no_grad`; ``inference_mode(False)`` changes nothing. Tensors made inside are ordinary ones, unlike PyTorch's.

    Args:
        mode: whether to switch recording off.
    """

    _on = True

    def __new__(cls, mode: Any = True) -> Any:
        return super().__new__(cls, None if isinstance(mode, bool) else mode)

    def __init__(self, mode: bool = True) -> None:
        self._on = mode

    def __enter__(self) -> None:
        super().__enter__()
        _mode.recording, _mode.inference = (False, True) if self._on else _mode.before[-1]


def is_inference_mode_enabled() -> bool:
    """Whether this Python thread is inside an `inference_mode` block."""
    return _mode.inference


class set_detect_anomaly:
    """Look for NaN in every gradient, as a call for good or as a ``with`` block for its length.

    While it is on, each recorded operation remembers where in the program it stood, and a backward pass that computes
    a NaN raises a RuntimeError that names the operation of the forward pass, its file and its line. It is slow.

    Args:
        mode: on or off.
        check_nan: as in PyTorch: with False, only places are remembered.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = _mode.anomalies
        _mode.anomalies = mode and ("check" if check_nan else "trace")

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        _mode.anomalies = self._before


class detect_anomaly(set_detect_anomaly):
    """`set_detect_anomaly` for the length of a ``with`` block."""

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan

    def __enter__(self) -> None:
        super().__init__(True, self._check_nan)


def is_anomaly_enabled() -> bool:
    """Whether gradients are being searched for NaN, in this Python thread."""
    return bool(_mode.anomalies)


class Node:
    """One recorded call: the ``ctx`` of `Function.forward` and `backward`, and a node of the graph.

    Attributes:
        function: the `Function` that was called.
        edges: for each input, ``(node that made it, which output)``, ``(leaf, -1)``, or None if it needs no gradient.
        outputs: shape, dtype and device of each output.
    """

    # Defaults live on the class, so that a call that is not recorded writes two attributes only.
    edges: Sequence[tuple[Any, int] | None] = ()
    outputs: list[tuple[tuple[int, ...], Any, Any]]
    birth: int
    hooks: dict[int, OrderedDict[int, Any]] | None = None
    _saved: Any = ()
    _versions: Sequence[int] = ()
    _constant: tuple[Tensor, ...] = ()
    _dirty: tuple[Tensor, ...] = ()
    _materialize: bool = True
    trace: Any = None  # where the call stood, if anomalies are looked for

    def __init__(self, function: type[Function]) -> None:
        self.function = function

    @property
    def needs_input_grad(self) -> tuple[bool, ...]:
        """For each input, whether a gradient is wanted."""
        return tuple([edge is not None for edge in self.edges])

    def name(self) -> str:
        """The name of the operation, as `repr(tensor)` shows it."""
        return self.function.__name__ + "Backward"

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for `backward`. Other things may be kept as attributes of ``ctx``."""
        self._saved = tensors

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Say that these outputs have no gradient (integer outputs never have one)."""
        self._constant = outputs

    def mark_dirty(self, *inputs: Tensor) -> None:
        """Say that `forward` wrote to these inputs; it has to return them."""
        self._dirty = inputs

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (True, as by default) or None for outputs that no gradient arrived at."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept.

        Raises:
            RuntimeError: if it was freed by an earlier backward pass, or overwritten in place since.
        """
        saved = self._saved
        if saved is None:
            raise RuntimeError(
                f"backward through {self.name()} a second time: what it had saved was freed by the first pass. "
                "Pass retain_graph=True to the first backward() if the graph is needed again"
            )
        for t, version in zip(saved, self._versions):  # noqa: B905  (without keyword arguments it is faster)
            if t is not None and (counter := t._version_counter) is not None and counter.writes != version:
                raise RuntimeError(
                    f"{self.name()} needs a tensor of shape {t.array.shape} that was overwritten by an in-place "
                    f"operation: it is at version {t._version}, expected {version}. Use the operation that returns "
                    "a new tensor, or clone() before writing"
                )
        if _mode.recording:
            return tuple([t if t is None or t._saved_output is None else self._relink(t) for t in saved])
        return saved

    def _without_history(self, out: Tensor, i: int) -> Tensor:
        """Keep output `i` without its history, which is this node itself: no reference cycle."""
        twin = wrap(None, out.device)  # as `detach()`, but what is put off stays so
        twin._take(out)
        twin._version_counter = out._counter()
        twin._saved_output = i
        self._saved = (twin,) if len(self._saved) == 1 else tuple([twin if t is out else t for t in self._saved])
        return twin

    def _relink(self, twin: Any) -> Tensor:
        t = twin._twin()
        t._node, t._output, t._requires_grad = self, twin._saved_output, True
        return t

    def output_is_current(self) -> None:
        """Take the saved output as it is now for unchanged: it moved into the tensor that an in-place op wrote to."""
        self._versions = [
            t._version if t is not None and t._saved_output is not None else version
            for t, version in zip(self._saved, self._versions, strict=False)
        ]

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes behind the inputs, as in PyTorch."""
        return tuple((None, 0) if e is None else e for e in self.edges)

    def register_hook_for(self, output: int, hook: Callable[[Tensor], Any]) -> RemovableHandle:
        """Call `hook` with the gradient of output number `output` before `backward` gets it."""
        if self.hooks is None:
            self.hooks = {}
        return RemovableHandle(self.hooks.setdefault(output, OrderedDict()), hook)

    def __repr__(self) -> str:
        return f"<{self.name()}>"


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away again."""

    def __init__(self, hooks: OrderedDict[int, Any], hook: Any) -> None:
        self._hooks = hooks
        self.id = next(_birth)
        hooks[self.id] = hook

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class Function:
    """Base of every differentiable operation; see the head of this file. Call it through `apply`.

    In PyTorch's newer manner, ``forward(*args)`` has no ctx, and ``setup_context(ctx, inputs, output)`` saves.
    """

    ours = False  # one of the engine's own, whose gradients nobody else holds
    takes_masks = False  # `backward` takes the gradient of a ReLU behind it as `ops.elementwise.Masked`

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.ours = cls.__module__.startswith("tinycnn.ops.")
        if "setup_context" in vars(cls):
            cls.forward = staticmethod(_joined(cls.forward, cls.setup_context))  # type: ignore[method-assign, attr-defined]

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """Compute the outputs. `ctx.save_for_backward` keeps what `backward` needs."""
        raise TypeError("a Function needs a static method forward(ctx, ...)")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Return the gradient for each input of `forward` (None where there is none)."""
        raise TypeError("a Function needs a static method backward(ctx, ...) to be differentiated")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run `forward` on `args`, and record it if gradients are on and an argument requires grad."""
        ctx = Node(cls)
        mode = _mode
        if not cls.ours:
            _settle(args)
        if not mode.recording:
            ctx.edges = (None,) * len(args)
            result = cls.forward(ctx, *args)
            for t in ctx._dirty:
                t._bump()
            return result
        ctx.edges, recorded = _edges(args)
        mode.recording = False
        try:
            result = cls.forward(ctx, *args)
        finally:
            mode.recording = True
        if ctx._dirty:
            _adopt(ctx)
        if recorded:
            _record(ctx, args, result if isinstance(result, tuple) else (result,))
        if isinstance(result, Tensor) and result._base is not None and result._source is None and not ctx._dirty:
            result._source = Source(cls, args)
        return result


def _edges(args: tuple[Any, ...]) -> tuple[list[Any], bool]:
    """For each argument of a call where its gradient goes, and whether there is any."""
    edges = [
        (a._node or a, a._output)
        if isinstance(a, Tensor) and (a._requires_grad if a._base is None else a.requires_grad)
        else None
        for a in args
    ]
    return edges, edges.count(None) < len(edges)


def node_for(function: type[Function], *inputs: Tensor | None) -> Any:
    """A node for a call of `function` with `inputs`, or None if there is nothing to record.

    For the operations of small nets, which call their kernel themselves: what `Function.apply` does, without its
    detours. The caller fills in what `forward` would save and calls `hang`.
    """
    if not _mode.recording:
        return None
    edges, recorded = _edges(inputs)
    if not recorded:
        return None
    ctx = Node(function)
    ctx.edges = edges
    return ctx


def _joined(forward: Callable[..., Any], setup_context: Callable[..., Any]) -> Callable[..., Any]:
    def both(ctx: Any, *args: Any) -> Any:
        output = forward(*args)
        setup_context(ctx, args, output)
        return output

    return both


def _settle(args: tuple[Any, ...]) -> None:
    """Before foreign code, which may write to what it gets: see `Later`."""
    for a in args:
        if isinstance(a, Tensor) and a._version_counter is not None:
            a._version_counter.settle()


class Source:
    """How a view was taken, so that it can be taken again when its base has a new history."""

    __slots__ = ("function", "args")

    def __init__(self, function: type[Function], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args

    def retake(self, view: Tensor) -> None:
        """Give `view` the history that it would have if it were taken now."""
        if view._version_counter is not None and view._version_counter.reshaped:
            raise RuntimeError(
                f"this view of shape {tuple(view.array.shape)} was taken before its base changed its shape in place "
                "and was written to; take the view again"
            )
        before, _mode.recording = _mode.recording, True
        try:
            fresh = self.function.apply(*self.args)
        finally:
            _mode.recording = before
        view._node, view._output, view._requires_grad = fresh._node, fresh._output, fresh._requires_grad
        view._seen_rewrites = fresh._seen_rewrites


def _adopt(ctx: Node) -> None:
    """Check what `forward` marked as written in place, and count the writes."""
    for t in ctx._dirty:
        if t._requires_grad and t._node is None:
            raise RuntimeError(
                f"{ctx.function.__name__}: a leaf that requires grad cannot be changed in place while gradients are "
                "recorded; do it under no_grad()"
            )
        if t._base is not None:
            raise RuntimeError(f"{ctx.function.__name__}: mark_dirty of a view is not possible; clone() it first")
        t._bump()
        t._counter().rewrites += 1


def hang(ctx: Node, out: Tensor, number: int = 0) -> None:
    """Make `ctx`, whose edges are known, the node behind one output."""
    array = out._later or out.array
    kind = array.dtype
    if number:
        ctx.outputs.append((array.shape, kind, out.device))
    else:
        ctx.birth = next(_birth)
        ctx.outputs = [(array.shape, kind, out.device)]
        if _mode.anomalies:
            ctx.trace = traceback.extract_stack()
    if ctx._saved:
        versions = []
        for t in ctx._saved:
            if t is out:
                t = ctx._without_history(out, number)
            versions.append(0 if t is None or (counter := t._version_counter) is None else counter.writes)
        ctx._versions = versions
    if kind.kind == "f" and not (ctx._constant and any(out is c for c in ctx._constant)):
        out._node, out._output, out._requires_grad = ctx, number, True


def _record(ctx: Node, args: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
    """Hang `ctx` behind the outputs of a call, after a look at what they are."""
    for i, out in enumerate(outputs):
        if not isinstance(out, Tensor):
            raise TypeError(f"{ctx.function.__name__}.forward must return Tensors, got {type(out).__name__}")
        for a in args:
            if a is out and not any(out is d for d in ctx._dirty):
                raise RuntimeError(
                    f"{ctx.function.__name__}.forward returned an input itself; return input.clone() or a view, or "
                    "call ctx.mark_dirty(input) if it was written in place"
                )
        hang(ctx, out, i)


# -- the walk ---------------------------------------------------------------------------------------------------------


_by_birth = operator.attrgetter("birth")


def _reachable(roots: Iterable[Node]) -> list[Node]:
    """All nodes behind `roots`, oldest first. A node is younger than its inputs: age is a topological order."""
    found = set(roots)
    stack = list(found)
    while stack:
        for edge in stack.pop().edges:
            if edge is not None and edge[1] >= 0 and edge[0] not in found:
                found.add(edge[0])
                stack.append(edge[0])
    return sorted(found, key=_by_birth)


def _call_hooks(hooks: OrderedDict[int, Any], grad: Tensor) -> Tensor:
    for hook in list(hooks.values()):
        grad.array  # noqa: B018  (what a hook gets is computed)
        changed = hook(grad)
        if changed is None:
            continue
        if not isinstance(changed, Tensor) or (changed.shape, changed.dtype) != (grad.shape, grad.dtype):
            got = f"shape {tuple(changed.shape)}, {changed.dtype}" if isinstance(changed, Tensor) else repr(changed)
            raise RuntimeError(
                f"a hook must return None or a gradient of shape {tuple(grad.shape)}, {grad.dtype}; got {got}"
            )
        grad = changed
    return grad


def _fit(node: Node, i: int, grad: Any, meta: tuple[tuple[int, ...], Any, Any]) -> Tensor:
    """The gradient for input `i` in that input's shape and dtype: what broadcasting stretched is summed."""
    shape, kind, place = meta
    if not isinstance(grad, Tensor):
        raise TypeError(
            f"{node.name()} returned {type(grad).__name__} as gradient of input {i}; expected a Tensor or None"
        )
    if grad.array.shape != shape:
        try:
            matches = np.broadcast_shapes(grad.array.shape, shape) == grad.array.shape
        except ValueError:
            matches = False
        if not matches:
            raise RuntimeError(
                f"{node.name()} returned a gradient of shape {tuple(grad.array.shape)} "
                f"for input {i} of shape {tuple(shape)}"
            )
        grad = grad.sum_to_size(shape)
    if grad.array.dtype is not kind and grad.array.dtype != kind:
        grad = grad.to(dtypes.FROM_NUMPY[kind])
    if grad.device != place:
        raise RuntimeError(f"{node.name()} returned a gradient on {grad.device} for input {i} on {place}")
    return grad


def _accumulate(leaf: Tensor, grad: Tensor, mine: bool, create_graph: bool) -> None:
    """Add `grad` to `leaf.grad`; `mine` says that nobody else holds the memory of `grad`."""
    if leaf._hooks:
        grad, mine = _call_hooks(leaf._hooks, grad), False
    before = leaf._grad
    if before is None:
        if create_graph:
            leaf._grad = grad.clone()  # recorded, and in memory that no other leaf shares
        else:
            leaf._grad = grad if mine else wrap(grad.device.kernels.copy(grad.array), grad.device)
    elif create_graph:
        leaf._grad = before + grad
    else:
        before += grad


def _is_alone(grad: Tensor, *groups: Sequence[Any]) -> bool:
    """Whether `grad` is found once only among all members of the groups."""
    return sum(map(operator.is_, itertools.chain(*groups), itertools.repeat(grad))) == 1


def _walk(
    roots: Sequence[Tensor],
    root_grads: Sequence[Tensor],
    retain_graph: bool,
    create_graph: bool,
    wanted: Sequence[Tensor] | None = None,
    since: int = 0,
) -> list[Tensor | None]:
    """Carry gradients from `roots` back: into `.grad` of the leaves, or to the `wanted` tensors only.

    A node is younger than its inputs, so the youngest one that a gradient has arrived at has got all of them.
    Nodes whose birth was before `since` end the way to the wanted ones.
    """
    capture: dict[Any, int] = {}
    captured: list[Tensor | None] = []
    needed: set[Node] | None = None
    if wanted is not None:
        captured = [None] * len(wanted)
        for k, t in enumerate(wanted):
            capture[id(t) if t._node is None else (t._node, t._output)] = k
        needed = set()  # only nodes on a path to a wanted tensor
        for node in _reachable({t._node for t in roots if t._node is not None}):
            for edge in node.edges if node.birth >= since else ():
                if edge is not None and (edge[0] in needed if edge[1] >= 0 else False) or _captures(edge, capture):
                    needed.add(node)
                    break

    pending: dict[Node, list[Tensor | None]] = {}
    ready: list[tuple[int, Node]] = []  # a heap of those that have gradients pending, by age

    def deliver(target: Any, output: int, grad: Tensor, mine: bool) -> None:
        if output >= 0:
            slots = pending.get(target)
            if slots is None:
                slots = pending[target] = [None] * len(target.outputs)
                heappush(ready, (-target.birth, target))
            there = slots[output]
            slots[output] = grad if there is None else there + grad
        elif wanted is None:
            _accumulate(target, grad, mine, create_graph)
        elif id(target) in capture:
            if target._hooks:
                grad = _call_hooks(target._hooks, grad)
            k = capture[id(target)]
            there = captured[k]
            if there is not None:
                grad = there + grad
                grad.array  # noqa: B018  (what leaves the walk is computed)
            captured[k] = grad

    mode = _mode
    recording = mode.recording
    mode.recording = create_graph
    try:
        for root, grad in zip(roots, root_grads, strict=True):
            if root._node is None:
                deliver(root, -1, grad, False)
            else:
                deliver(root._node, root._output, grad, False)
        while ready:
            node = heappop(ready)[1]
            grads = pending.pop(node)
            if node.hooks:
                for i, hooks in node.hooks.items():
                    given = grads[i]
                    if given is not None:
                        grads[i] = _call_hooks(hooks, given)
            if capture:
                for i, given in enumerate(grads):
                    if (node, i) in capture:
                        if given is not None:
                            given.array  # noqa: B018  (what leaves the walk is computed)
                        captured[capture[node, i]] = given
            if needed is not None and node not in needed:
                continue
            if len(grads) > 1 and node._materialize:
                grads = [filled(*node.outputs[i]) if g is None else g for i, g in enumerate(grads)]
            function, edges, saved = node.function, node.edges, node._saved
            results = function.backward(node, *grads)
            if not isinstance(results, tuple):
                results = (results,)
            if node.trace is not None and mode.anomalies == "check":
                _check_for_nan(node, results)
            if len(results) != len(edges):
                if len(results) < len(edges) or any(r is not None for r in results[len(edges) :]):
                    raise RuntimeError(
                        f"{node.name()} returned {len(results)} gradients; forward had {len(edges)} inputs, "
                        "each needs one (or None)"
                    )
            if saved and not retain_graph:
                node._saved = None  # only a second use of something saved is an error
            for i, result in enumerate(results):
                if result is None or (edge := edges[i]) is None:
                    continue
                target, output = edge
                if output >= 0:
                    outputs = target.outputs
                    meta = outputs[output]
                else:
                    array = target.array
                    meta = array.shape, array.dtype, target.device
                grad = result
                like = (result._later or result.array) if isinstance(result, Tensor) else None
                if like is None or like.shape != meta[0] or like.dtype is not meta[1] or result.device is not meta[2]:
                    grad = _fit(node, i, result, meta)
                if output < 0:
                    array = grad.array
                    # A leaf may keep the memory of a gradient that was made just now for it alone.
                    mine = (
                        function.ours
                        and grad._version_counter is None
                        and (array.base is None or not isinstance(array.base, type(array)))  # a view's base is an array
                        and (grad is not result or _is_alone(grad, grads, saved, results))
                    )
                    deliver(target, -1, grad, mine)
                elif len(outputs) == 1 and target not in pending:  # `deliver` for a chain, without the call
                    pending[target] = [grad]
                    heappush(ready, (-target.birth, target))
                else:
                    deliver(target, output, grad, False)
            # What the next node does not need must not live while it computes: its memory is used again.
            grads = saved = results = result = like = grad = given = array = None  # type: ignore[assignment]
    finally:
        mode.recording = recording
    return captured


def _check_for_nan(node: Node, results: tuple[Any, ...]) -> None:
    for i, result in enumerate(results):
        if isinstance(result, Tensor) and result.array.dtype.kind == "f" and np.isnan(result.array).any():
            frames = [f for f in node.trace if f"{os.sep}tinycnn{os.sep}" not in f.filename] or node.trace
            where = "".join(traceback.format_list(frames[-1:])).strip()
            raise RuntimeError(
                f"{node.name()} computed a NaN as the gradient of input {i}; in the forward pass this operation was "
                f"called here:\n{where}"
            )


def _captures(edge: tuple[Any, int] | None, capture: dict[Any, int]) -> bool:
    return edge is not None and ((id(edge[0]) if edge[1] < 0 else edge) in capture)


def _root_grad(tensor: Tensor, grad: Any, caller: str) -> Tensor:
    """Check the start of a walk."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{caller}: expected a Tensor to differentiate, got {type(tensor).__name__}")
    if not tensor.requires_grad:
        raise RuntimeError(
            f"{caller}: this tensor does not require grad and was not computed from one that does; "
            "set requires_grad on the inputs before computing it, and check that no_grad() was off"
        )
    shape = tensor.array.shape
    if grad is None:
        if tensor.array.size != 1:
            raise RuntimeError(
                f"{caller}: grad can be created implicitly only for a tensor with one element; this one has shape "
                f"{tuple(shape)}. Reduce it first, for example with .sum() or .mean(), or pass gradient= of that shape"
            )
        return filled(shape, tensor.array.dtype, tensor.device, 1)
    if not isinstance(grad, Tensor):
        raise TypeError(f"{caller}: the gradient must be a Tensor or None, got {type(grad).__name__}")
    if grad.array.shape != shape:
        raise RuntimeError(
            f"{caller}: the gradient has shape {tuple(grad.array.shape)}, the tensor {tuple(shape)}; they must be equal"
        )
    return grad if grad.array.dtype == tensor.array.dtype else grad.to(tensor.dtype)


def backward(
    tensor: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Sequence[Tensor] | Tensor | None = None,
) -> None:
    """Add to ``.grad`` of every leaf the gradient of this tensor with respect to it.

    Args:
        gradient: the gradient arriving at this tensor, of its shape; may be left out for a single element.
        retain_graph: keep what the graph saved, to walk it again; defaults to `create_graph`.
        create_graph: record the walk itself, so that the gradients can be differentiated.
        inputs: accumulate into these leaves only.

    Raises:
        RuntimeError: if the tensor has no history, is not a scalar and no `gradient` is given, if the graph was
            already freed, or if something it needs was overwritten in place.
    """
    grad = _root_grad(tensor, gradient, "backward()")
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        _walk([tensor], [grad], keep, create_graph)
        return
    leaves = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not leaves:
        raise RuntimeError("backward(): inputs= is empty")
    for leaf, g in zip(leaves, _walk([tensor], [grad], keep, create_graph, leaves), strict=True):
        if g is not None:
            _accumulate(leaf, g, False, create_graph)


def grad(
    outputs: Sequence[Tensor] | Tensor,
    inputs: Sequence[Tensor] | Tensor,
    grad_outputs: Sequence[Tensor | None] | Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the sum of `outputs` with respect to `inputs`, returned instead of accumulated.

    Args:
        grad_outputs: the gradient arriving at each output; None where it is a single element.
        allow_unused: give None for an input that the outputs do not depend on, instead of an error.
        materialize_grads: give zeros for it.

    Raises:
        RuntimeError: as `Tensor.backward`, and for an unused or constant input.
    """
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    given = [grad_outputs] if isinstance(grad_outputs, Tensor) or grad_outputs is None else list(grad_outputs)
    if grad_outputs is None:
        given = [None] * len(outs)
    if len(given) != len(outs):
        raise RuntimeError(f"grad: {len(outs)} outputs but {len(given)} grad_outputs")
    for i, t in enumerate(ins):
        if not isinstance(t, Tensor) or not t.requires_grad:
            raise RuntimeError(f"grad: input {i} does not require grad")
    grads = [_root_grad(o, g, "grad") for o, g in zip(outs, given, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    found: list[Any] = _walk(outs, grads, keep, create_graph, ins)
    known = {id(t): g for t, g in zip(ins, found, strict=True) if g is not None}
    for i, t in enumerate(ins):
        found[i] = known.get(id(t))  # the same tensor may be asked for twice
        if found[i] is None and materialize_grads:
            found[i] = filled(t.array.shape, t.array.dtype, t.device)
        if found[i] is None and not allow_unused:
            raise RuntimeError(
                f"grad: the outputs do not depend on input {i}; pass allow_unused=True to get None for it"
            )
    return tuple(found)


def grad_since(
    since: int, outputs: Sequence[Tensor], inputs: Sequence[Tensor], grads: Sequence[Tensor], create_graph: bool
) -> list[Tensor | None]:
    """As `grad`, through what was recorded since the birth `since`: as if all tensors older than that were leaves."""
    return _walk(outputs, grads, create_graph, create_graph, inputs, since)


# -- Tensor's part ----------------------------------------------------------------------------------------------------


def register_hook(tensor: Tensor, hook: Callable[[Tensor], Any]) -> RemovableHandle:
    """Call ``hook(grad)`` whenever the gradient of this tensor is computed; what it returns (if not None) replaces it.

    Raises:
        RuntimeError: if the tensor does not require grad.
    """
    if not tensor.requires_grad:
        raise RuntimeError("register_hook: the tensor does not require grad, its gradient is never computed")
    if tensor._node is not None:
        return tensor._node.register_hook_for(tensor._output, hook)
    if tensor._hooks is None:
        tensor._hooks = OrderedDict()
    return RemovableHandle(tensor._hooks, hook)


def retain_grad(tensor: Tensor) -> None:
    """Let a computed tensor keep its gradient in ``.grad``, as leaves do.

    Raises:
        RuntimeError: if the tensor does not require grad.
    """
    if not tensor.requires_grad:
        raise RuntimeError("retain_grad: the tensor does not require grad")
    if tensor._node is None or tensor._retains_grad:
        return
    tensor._retains_grad = True
    reference = weakref.ref(tensor)

    def keep(g: Tensor) -> None:
        t = reference()
        if t is not None:
            _accumulate(t, g, False, _mode.recording)

    tensor._node.register_hook_for(tensor._output, keep)


class _AnyTensor(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_AnyTensor):
    """The older name of a Tensor: ``Variable(data)`` is `data` without its history, on the same memory."""

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Tensor:  # type: ignore[misc]
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable: expected a Tensor, got {type(data).__name__}")
        return data.detach().requires_grad_(requires_grad)
