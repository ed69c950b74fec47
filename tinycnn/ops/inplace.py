"""Operations that write to a tensor's own memory.

Recorded, such an operation rewrites the tensor's history: the tensor becomes the output of the operation, and views of
it take their history anew. A write to a view rewrites the history of its base.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from .._device import CPU
from .._tensor import Tensor, filled, need, wrap
from ..autograd import Function, is_grad_enabled
from ..kernels.cuda.bounds import checked_key, refusal
from . import elementwise
from .elementwise import cast, named
from .shape import Index, IndexPut, _exact, _index, _is_basic, expand, stretched


class ViewPut(Function):
    """x with `value` written into a view of it; `path` says how the view is taken: (Function, arguments) in turn.

    With `written`, the memory of x holds the value already, and is not copied.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, path: Any, written: bool) -> Tensor:
        ctx.path, ctx.shape = path, value.array.shape
        if written:
            return wrap(x.array, x.device)
        places = _follow(wrap(x.device.xp.arange(x.array.size).reshape(x.array.shape), x.device), path).array
        result = x.device.kernels.copy(x.array)
        result.reshape(-1)[places] = value.array
        return wrap(result, x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        gx, gv, _, _ = ctx.needs_input_grad
        zero = filled(ctx.shape, g.array.dtype, g.device)
        elsewhere = ViewPut.apply(g, zero, ctx.path, False) if gx else None
        return elsewhere, _follow(g, ctx.path) if gv else None, None, None


def _follow(x: Tensor, path: Any) -> Tensor:
    for function, arguments in path:
        x = function.apply(x, *arguments)
    return x


def _path(name: str, view: Tensor) -> Any:
    """How `view` is taken from its base."""
    steps: list[Any] = []
    t = view
    while t._base is not None:
        if t._source is None:
            raise RuntimeError(
                f"{name}: this view was taken while gradients were not recorded (under no_grad), and is written to "
                "while they are; take the view and write to it in the same mode"
            )
        steps.append((t._source.function, t._source.args[1:]))
        t = t._source.args[0]
    return steps[::-1]


def write(name: str, target: Tensor, operation: Callable[..., Tensor], *operands: Any) -> Tensor:
    """Replace the numbers in `target` by ``operation(target, *operands)``, and its history too if that is recorded.

    A view is written through to its base: the base becomes the output of `ViewPut`, and every view of it takes its
    history anew when it is used next.

    Raises:
        RuntimeError: for a leaf that requires grad, or a view of one, while recording; if shape or dtype would change;
            or if the memory is read-only.
    """
    need(name, target)
    target._guard(name)
    recording = is_grad_enabled() and (
        target.requires_grad or any([isinstance(o, Tensor) and o.requires_grad for o in operands])
    )
    source, path = target, None
    if recording:
        _check_writable(name, target)
        if target._base is not None:
            path = _path(name, target)
        source = _history_of(target)  # a twin on the old numbers, which the operation may save
        if target._version_counter is not None:
            source.array = target.device.kernels.copy(target.array)
    result = operation(source, *operands)
    if result.shape != target.shape:
        raise RuntimeError(
            f"{name}: the result has shape {tuple(result.shape)} and does not fit into shape {tuple(target.shape)}"
        )
    if result.dtype != target.dtype:
        if result.dtype.category > target.dtype.category:
            raise RuntimeError(f"{name}: a result of {result.dtype} cannot be written into {target.dtype}")
        result = cast(result, target.dtype)
    if (recording or target._later) and target._version_counter is None and result._base is None:
        target._take(result)  # nobody else sees the old memory
        target._version_counter = result._version_counter  # of the new memory, if the operation saved its output
        target._bump()
        if result._node is not None:
            result._node.output_is_current()
    else:
        target.device.kernels.assign(target.array, result.array)
        target._bump()
    if recording:
        owner = target
        if target._base is not None:
            owner = target._base
            result = ViewPut.apply(_history_of(owner), result, path, True)
        owner._counter().rewrites += 1
        owner._node, owner._output, owner._requires_grad = result._node, result._output, result._requires_grad
    return target


def _history_of(t: Tensor) -> Tensor:
    """The memory of `t` with its history, in a tensor that is not `t`."""
    twin = wrap(None, t.device)
    twin._take(t)
    twin._node, twin._output, twin._requires_grad = t._node, t._output, t._requires_grad
    return twin


def _check_writable(name: str, target: Tensor) -> None:
    owner = target if target._base is None else target._base
    if owner._requires_grad and owner._node is None:
        what = "a leaf" if owner is target else "a view of a leaf"
        raise RuntimeError(
            f"{name}: {what} that requires grad cannot be changed in place while gradients are recorded; "
            "do it under no_grad(), or use the operation that returns a new tensor"
        )


def twin(operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The operation that writes what `operation` returns into its first argument."""
    name = operation.__name__ + "_"

    def method(input: Tensor, *args: Any, **options: Any) -> Tensor:
        def apply(x: Tensor, *operands: Any) -> Tensor:
            return operation(x, *operands[: len(args)], **dict(zip(options, operands[len(args) :], strict=True)))

        return write(name, input, apply, *args, *options.values())

    return named(method, name, f"`{operation.__name__}`, written into this tensor.")


add_, sub_ = twin(elementwise.add), twin(elementwise.sub)
mul_, div_, pow_ = twin(elementwise.mul), twin(elementwise.div), twin(elementwise.pow)
neg_, exp_, sqrt_ = twin(elementwise.neg), twin(elementwise.exp), twin(elementwise.sqrt)
relu_, tanh_, sigmoid_ = twin(elementwise.relu), twin(elementwise.tanh), twin(elementwise.sigmoid)


def _stretched(source: Tensor, shape: tuple[int, ...], dtype: dtypes.dtype) -> Tensor:
    """`source` in `shape` and `dtype`: a view, which `write` copies from."""
    return expand(cast(source, dtype), shape)


def copy_(input: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Write the numbers of `src`, converted and broadcast, into this tensor.

    Raises:
        RuntimeError: if the shape of `src` does not broadcast to this one.
    """
    need("copy_", src)
    src = elementwise.to(src, device=input.device)
    return write("copy_", input, lambda x, y: _stretched(y, x.array.shape, x.dtype), src)


def fill_(input: Tensor, value: Any) -> Tensor:
    """Write one number into every element."""
    need("fill_", input)
    if not isinstance(value, Tensor):
        value = dtypes.number("fill_", value, input.array.dtype)
        if not (is_grad_enabled() and input.requires_grad):
            input._overwrite("fill_")
            input.array.fill(value)
            return input
        value = wrap(np.asarray(value), input.device)
    if value.array.ndim:
        raise RuntimeError(f"fill_: expected one number, got shape {tuple(value.array.shape)}")
    return write("fill_", input, lambda x, y: _stretched(y, x.array.shape, x.dtype), value)


def zero_(input: Tensor) -> Tensor:
    """Write 0 into every element."""
    need("zero_", input)
    return fill_(input, 0)


def reshaped(operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The operation after which the tensor itself is the view that `operation` takes of it."""
    name = operation.__name__ + "_"

    def method(input: Tensor, *args: Any) -> Tensor:
        if is_grad_enabled() and input.requires_grad:
            _check_writable(name, input)
        if input._base is not None:
            raise RuntimeError(f"{name}: this tensor is a view; use {name[:-1]}()")
        counter = input._version_counter
        if counter is not None:  # views taken before cannot be taken anew
            counter.reshaped = True
        result = operation(input, *args)
        input.array = result.array
        input._node, input._output, input._requires_grad = result._node, result._output, result._requires_grad
        return input

    return named(method, name, f"`{operation.__name__}` of the tensor itself.")


def detach_(input: Tensor) -> Tensor:
    """Cut this tensor off from the graph.

    Raises:
        RuntimeError: for a view, whose base would keep its history.
    """
    if input._base is not None:
        raise RuntimeError("detach_: a view cannot be detached in place; use detach()")
    input._node, input._output, input._requires_grad = None, -1, False
    return input


def setitem(input: Tensor, key: Any, value: Any) -> None:
    """``x[key] = value``: written into the memory of x, with the gradient of both where they are recorded.

    Raises:
        IndexError: if the index does not fit.
        RuntimeError: if the value does not broadcast to the indexed shape; or as for every in-place operation.
    """
    index = _index(key)
    if input.device is not CPU:
        index = checked_key(index, input.array.shape, input.device.xp)
    if input.array.dtype.kind in "iu" and isinstance(value, (int, float)):
        value = dtypes.number("x[...] = v", value, input.array.dtype)
    source = value if isinstance(value, Tensor) else wrap(np.asarray(value), input.device)
    if source.array.dtype.kind not in "fiub":
        raise TypeError(f"x[...] = v: expected a Tensor, a number or an array of numbers, got {type(value).__name__}")
    try:
        shape = input.array[_exact(index) if _is_basic(index) else index].shape
    except IndexError as error:
        raise refusal(error, index, input.array.shape, input.device.xp) from None
    while source.array.ndim > len(shape) and source.array.shape[0] == 1:
        source = Index.apply(source, (0,))  # leading sizes of 1 are dropped, as in NumPy
    source = cast(source, input.dtype)
    if source.array.shape != shape:
        source = stretched("x[...] = v", source, shape)
    if not (is_grad_enabled() and (input.requires_grad or source.requires_grad)):
        input._overwrite("x[...] = v")
        input.array[index] = source.array
    elif _is_basic(index):
        write("x[...] = v", Index.apply(input, index), lambda x, v: elementwise.clone(v), source)
    else:
        write("x[...] = v", input, lambda x, v: IndexPut.apply(x, v, index), source)
