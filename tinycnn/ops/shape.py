"""Operations that move numbers without changing them: views, joins, indexing.

A view shares memory with its base, as in PyTorch. Each gradient is the adjoint movement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._device import CPU, same_device
from .._tensor import Tensor, filled, need, view_of, wrap
from ..autograd import Function, is_grad_enabled
from ..kernels.cuda.bounds import checked_key, on_device, refusal
from ..kernels.geometry import whole
from .elementwise import cast, common


def wrap_dim(dim: Any, ndim: int, name: str) -> int:
    """`dim` counted from the front.

    Raises:
        TypeError: if it is not an int.
        IndexError: if it is out of range.
    """
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)):
        raise TypeError(f"{name}: a dimension must be an int, got {type(dim).__name__} {dim!r}")
    limit = max(ndim, 1)
    if not -limit <= dim < limit:
        raise IndexError(
            f"{name}: dimension {dim} is out of range for {ndim} dimensions, expected {-limit} to {limit - 1}"
        )
    return int(dim) % limit


def as_sizes(sizes: tuple[Any, ...], name: str) -> tuple[int, ...]:
    """Sizes given as ``(2, 3)`` or as ``2, 3``."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    for n in sizes:
        if isinstance(n, bool) or not (
            isinstance(n, (int, np.integer)) or (isinstance(n, Tensor) and n.array.size == 1)
        ):
            raise TypeError(f"{name}: sizes must be ints, got {n!r}")
    return tuple(int(n) for n in sizes)


# -- views ------------------------------------------------------------------------------------------------------------


class Reshape(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        ctx.shape = x.array.shape
        return view_of(x, x.array.reshape(shape))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        if is_grad_enabled():
            return Reshape.apply(g, ctx.shape), None
        return view_of(g, g.array.reshape(ctx.shape)), None


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in row-major order in another shape; one size may be -1. A view where the strides allow it.

    Raises:
        RuntimeError: if the number of elements does not fit.
    """
    if len(shape) == 1 and type(shape[0]) is tuple and all([type(n) is int and n >= 0 for n in shape[0]]):
        sizes = shape[0]
        if isinstance(input, Tensor) and math.prod(sizes) == input.array.size:  # as the engine itself asks
            return Reshape.apply(input, sizes)
    need("reshape", input)
    sizes = as_sizes(shape, "reshape")
    total, known, free = input.array.size, 1, -1
    for i, n in enumerate(sizes):
        if n == -1 and free < 0:
            free = i
        elif n < 0:
            raise RuntimeError(f"reshape: shape {sizes} has {'two sizes -1' if n == -1 else f'a negative size {n}'}")
        else:
            known *= n
    if free >= 0 and known and total % known == 0:
        sizes = (*sizes[:free], total // known, *sizes[free + 1 :])
    elif free >= 0 or known != total:
        raise RuntimeError(
            f"reshape: shape {tuple(input.array.shape)} has {total} elements, which do not fit into {sizes}"
        )
    return Reshape.apply(input, sizes)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions `start_dim` to `end_dim` made one; a 0-d tensor becomes 1-D."""
    need("flatten", input)
    shape = input.array.shape
    first, last = wrap_dim(start_dim, len(shape), "flatten"), wrap_dim(end_dim, len(shape), "flatten")
    if first > last:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    result: Tensor = Reshape.apply(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))
    return result


def squeeze(input: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """Without the dimensions of size 1: all of them, or those named by `dim`."""
    need("squeeze", input)
    shape = input.array.shape
    if dim is None:
        gone = set(range(len(shape)))
    else:
        gone = {wrap_dim(d, len(shape), "squeeze") for d in (dim if isinstance(dim, (tuple, list)) else (dim,))}
    return reshape(input, tuple(n for i, n in enumerate(shape) if not (i in gone and n == 1)))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new dimension of size 1 at `dim`."""
    need("unsqueeze", input)
    shape = input.array.shape
    at = wrap_dim(dim, len(shape) + 1, "unsqueeze")
    return reshape(input, (*shape[:at], 1, *shape[at:]))


class Permute(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...]) -> Tensor:
        ctx.dims = dims
        return view_of(x, x.array.transpose(dims))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        back = [0] * len(ctx.dims)
        for i, d in enumerate(ctx.dims):
            back[d] = i
        return Permute.apply(g, tuple(back)), None


def permute(input: Tensor, *dims: Any) -> Tensor:
    """A view with the dimensions in the order `dims`.

    Raises:
        RuntimeError: if `dims` does not name every dimension once.
    """
    need("permute", input)
    ndim = input.array.ndim
    order = tuple(wrap_dim(d, ndim, "permute") for d in as_sizes(dims, "permute"))
    if sorted(order) != list(range(ndim)):
        raise RuntimeError(f"permute: dims {order} must name each of the {ndim} dimensions once")
    return Permute.apply(input, order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two dimensions exchanged."""
    need("transpose", input)
    ndim = input.array.ndim
    a, b = wrap_dim(dim0, ndim, "transpose"), wrap_dim(dim1, ndim, "transpose")
    order = list(range(ndim))
    if ndim:
        order[a], order[b] = b, a
    return Permute.apply(input, tuple(order))


def movedim(input: Tensor, source: int, destination: int) -> Tensor:
    """A view with dimension `source` moved to place `destination`."""
    ndim = input.array.ndim
    a, b = wrap_dim(source, ndim, "movedim"), wrap_dim(destination, ndim, "movedim")
    order = [d for d in range(ndim) if d != a]
    order.insert(b, a)
    return Permute.apply(input, tuple(order))


def matrix_transpose(input: Tensor) -> Tensor:
    """The last two dimensions exchanged (``x.mT``).

    Raises:
        RuntimeError: for fewer than two dimensions.
    """
    if input.array.ndim < 2:
        raise RuntimeError(f"mT: expected at least 2 dimensions, got shape {tuple(input.array.shape)}")
    return transpose(input, -2, -1)


class Expand(Function):
    """Stretch sizes of 1; the walk sums the gradient back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        ctx.shape = x.array.shape
        return view_of(x, x.device.xp.broadcast_to(x.array, shape))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return g, None


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """A read-only view with sizes of 1 stretched, and new dimensions in front; -1 keeps a size.

    Raises:
        RuntimeError: if a size other than 1 would change.
    """
    need("expand", input)
    return stretched("expand", input, as_sizes(sizes, "expand"))


def stretched(name: str, input: Tensor, wanted: tuple[int, ...]) -> Tensor:
    """What `expand` does, for `name`."""
    shape = input.array.shape
    new = len(wanted) - len(shape)
    full = tuple(shape[i - new] if n == -1 and i >= new else n for i, n in enumerate(wanted))
    if new < 0 or any(n < 0 for n in full) or any(a not in (1, b) for a, b in zip(shape, full[new:], strict=True)):
        raise RuntimeError(
            f"{name}: shape {tuple(shape)} cannot become {tuple(wanted)}: counted from the right, only sizes of 1 "
            "stretch, and new dimensions come in front"
        )
    return Expand.apply(input, full)


# -- indexing ---------------------------------------------------------------------------------------------------------


def _index(key: Any) -> Any:
    """An index as NumPy takes it: tensors and lists become arrays."""
    if isinstance(key, tuple):
        return tuple([_index(k) for k in key])
    if isinstance(key, Tensor):
        if key.array.dtype.kind == "f":
            raise IndexError(f"tensors used as indices must be integers or bools, got {key.dtype}")
        return key.array
    if isinstance(key, list):
        parts = [k.tolist() if isinstance(k, Tensor) else k for k in key]
        return np.asarray(parts, None if key else np.int64)
    return key


BASIC = (int, np.integer, slice, type(None), type(Ellipsis))


def _is_basic(key: Any) -> bool:
    """True if the index gives a view: made of ints, slices, None and ... only."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(isinstance(k, BASIC) and not isinstance(k, bool) for k in parts)


def _exact(key: Any) -> Any:
    """A basic index that yields an array even when it picks one element."""
    parts = key if isinstance(key, tuple) else (key,)
    return parts if any(k is Ellipsis for k in parts) else (*parts, Ellipsis)


class Index(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, key: Any) -> Tensor:
        ctx.key, ctx.shape = key, x.array.shape
        try:
            if _is_basic(key):
                return view_of(x, x.array[_exact(key)])
            if x.device is not CPU:
                ctx.key = key = checked_key(key, x.array.shape, x.device.xp)
            return wrap(x.device.kernels.take(x.array, key), x.device)
        except IndexError as error:
            raise refusal(error, key, x.array.shape, x.device.xp) from None

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return IndexGrad.apply(g, ctx.key, ctx.shape), None


class IndexGrad(Function):
    """Zeros, with `g` added at the index: an element picked twice gets both."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, key: Any, shape: tuple[int, ...]) -> Tensor:
        ctx.key = key = key if g.device is CPU else on_device(key, g.device.xp)
        return wrap(g.device.kernels.index_add(g.array, key, shape, not _is_basic(key)), g.device)

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> Any:
        return Index.apply(gg, ctx.key), None, None


class IndexPut(Function):
    """A copy of x with `value` written at the index."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, key: Any) -> Tensor:
        key = key if x.device is CPU else checked_key(key, x.array.shape, x.device.xp)
        ctx.key, ctx.shape = key, value.array.shape
        result = x.device.kernels.copy(x.array)
        result[key] = value.array
        return wrap(result, x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        zero = filled((), g.array.dtype, g.device)
        picked = Index.apply(g, ctx.key)
        return IndexPut.apply(g, zero, ctx.key), picked, None


def getitem(input: Tensor, key: Any) -> Tensor:
    """``x[key]`` as in NumPy: ints, slices (negative steps too), None, ..., integer and bool tensors.

    Ints and slices give a view; the gradient of an element picked twice is counted twice.

    Raises:
        IndexError: if the index is out of range, has too many parts or the wrong dtype.
    """
    return Index.apply(input, _index(key))


def _as_strided(x: Tensor, array: Any, shape: tuple[int, ...], steps: tuple[int, ...]) -> Any:
    return x.device.xp.lib.stride_tricks.as_strided(array, shape, steps)


class Diagonal(Function):
    """The diagonal of the matrices in the last two dimensions, a view."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, offset: int) -> Tensor:
        ctx.shape, (rows, columns) = x.array.shape, x.array.shape[-2:]
        down, right = max(-offset, 0), max(offset, 0)
        k = max(min(rows - down, columns - right), 0)
        ctx.key = (Ellipsis, np.arange(k) + down, np.arange(k) + right)
        block = x.array[..., min(down, rows) :, min(right, columns) :]
        steps = (*block.strides[:-2], block.strides[-2] + block.strides[-1])
        return view_of(x, _as_strided(x, block, (*block.shape[:-2], k), steps))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return IndexGrad.apply(g, ctx.key, ctx.shape), None


class Gather(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, index: Tensor) -> Tensor:
        ctx.dim, ctx.shape = dim, x.array.shape
        ctx.save_for_backward(index)
        return wrap(x.device.kernels.gather(x.array, dim, index.array), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return GatherGrad.apply(g, ctx.dim, *ctx.saved_tensors, ctx.shape), None, None


class GatherGrad(Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, dim: int, index: Tensor, shape: tuple[int, ...]) -> Tensor:
        ctx.dim = dim
        ctx.save_for_backward(index)
        return wrap(g.device.kernels.gather_grad(g.array, dim, index.array, shape), g.device)

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> Any:
        return Gather.apply(gg, ctx.dim, *ctx.saved_tensors), None, None, None


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """out[i][j][k] = input[index[i][j][k]][j][k] for dim 0, and so on; the result has the shape of `index`.

    Raises:
        RuntimeError: if `index` is not int64, has another number of dimensions, is larger than `input` beside `dim`,
            or points outside.
    """
    need("gather", input, index)
    ndim = input.array.ndim
    dim = wrap_dim(dim, ndim, "gather")
    if index.array.dtype == np.int32 or not index.array.size:
        index = wrap(index.array.astype(np.int64), index.device)
    if not ndim and index.array.ndim == 1:
        return gather(reshape(input, (1,)), 0, index)
    if index.array.dtype != np.int64:
        raise RuntimeError(f"gather: the index must be int64, got {index.dtype}")
    same_device("gather", input, index)
    if index.array.ndim != ndim or any(
        i != dim and a > b for i, (a, b) in enumerate(zip(index.array.shape, input.array.shape, strict=True))
    ):
        raise RuntimeError(
            f"gather: index shape {tuple(index.array.shape)} must have the dimensions of the input "
            f"{tuple(input.array.shape)} and be no larger beside dim {dim}"
        )
    size = input.array.shape[dim] if ndim else 1
    if index.array.size and not (0 <= index.array.min() and index.array.max() < size):
        raise RuntimeError(
            f"gather: an index points outside dimension {dim} of size {size}: "
            f"{index.array.min()} to {index.array.max()}"
        )
    return Gather.apply(input, dim, index)


# -- joins ------------------------------------------------------------------------------------------------------------


class Cat(Function):
    @staticmethod
    def forward(ctx: Any, dim: int, *tensors: Tensor) -> Tensor:
        ctx.dim, ctx.sizes = dim, [t.array.shape[dim] for t in tensors]
        return wrap(tensors[0].device.kernels.concatenate([t.array for t in tensors], dim), tensors[0].device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        grads, start = [], 0
        for n, needed in zip(ctx.sizes, ctx.needs_input_grad[1:], strict=True):
            grads.append(narrow(g, ctx.dim, start, n) if needed else None)
            start += n
        return (None, *grads)


def sequence(name: str, tensors: Any) -> list[Tensor]:
    """The Tensors of a sequence.

    Raises:
        TypeError: if it is none, or holds something else.
        RuntimeError: if it is empty.
    """
    try:
        parts = list(tensors)
    except TypeError:
        raise TypeError(f"{name}: expected a sequence of Tensors, got {type(tensors).__name__}") from None
    if not parts:
        raise RuntimeError(f"{name}: expected at least one tensor")
    need(name, *parts)
    return parts


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors joined along an existing dimension.

    Raises:
        TypeError: if it is not a sequence of Tensors.
        RuntimeError: if it is empty, or shapes differ beside `dim`.
    """
    parts = given = sequence("cat", tensors)
    parts = [t for t in parts if t.array.shape != (0,)] or parts  # PyTorch skips empty vectors
    ndim = parts[0].array.ndim
    if not ndim:
        raise RuntimeError("cat: 0-d tensors have no dimension to join along; use stack")
    dim = wrap_dim(dim, ndim, "cat")
    if ndim > 1 and len(parts) < len(given):  # empty vectors join as slices without entries: they get gradients
        shape = parts[0].array.shape
        nothing = (*shape[:dim], 0, *shape[dim + 1 :])
        parts = [reshape(t, nothing) if t.array.shape == (0,) else t for t in given]
    shapes = [t.array.shape for t in parts]
    if any((*s[:dim], *s[dim + 1 :]) != (*shapes[0][:dim], *shapes[0][dim + 1 :]) or len(s) != ndim for s in shapes):
        raise RuntimeError(f"cat: shapes must be equal except in dimension {dim}, got {[tuple(s) for s in shapes]}")
    first = parts[0]
    if all([t.array.dtype == first.array.dtype and t.device is first.device for t in parts]):
        return Cat.apply(dim, *parts)
    for other in parts[1:]:
        first, _ = common("cat", first[:0].reshape(-1), other[:0].reshape(-1))
    return Cat.apply(dim, *[cast(t, first.dtype) for t in parts])


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A view of `length` entries from `start` along `dim`.

    Raises:
        RuntimeError: if they reach outside.
    """
    need("narrow", input)
    dim = wrap_dim(dim, input.array.ndim, "narrow")
    start, length = whole("narrow", "start", start), whole("narrow", "length", length)
    size = input.array.shape[dim]
    first = start + size if start < 0 else start
    if length < 0 or not 0 <= first <= size - length:
        raise RuntimeError(f"narrow: start {start} and length {length} reach outside dimension {dim} of size {size}")
    return Index.apply(input, (*[slice(None)] * dim, slice(first, first + length)))


class Flip(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...]) -> Tensor:
        ctx.dims = dims
        return wrap(x.device.kernels.copy(x.device.xp.flip(x.array, dims)), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return Flip.apply(g, ctx.dims), None


def flip(input: Tensor, *sizes: Any, dims: Any = None) -> Tensor:
    """A copy with the order reversed along `dims`: flip(x, 0, 1), flip(x, (0, 1)) or flip(x, dims=(0, 1)).

    Raises:
        RuntimeError: if a dimension is named twice.
    """
    need("flip", input)
    if dims is None and not sizes:
        raise TypeError("flip: the dimensions are missing; flip(x, 0) turns the first one round")
    dims = sizes if dims is None else (dims,)
    order = tuple(wrap_dim(d, input.array.ndim, "flip") for d in as_sizes(dims, "flip"))
    if len(set(order)) != len(order):
        raise RuntimeError(f"flip: a dimension is named twice in {order}")
    return Flip.apply(input, order)


class Pad(Function):
    """A frame of `value`, so many before and after along each dimension; negative numbers cut off."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, before: tuple[int, ...], after: tuple[int, ...], value: float) -> Tensor:
        ctx.sides, ctx.value = (before, after), value
        sizes = x.array.shape
        shape = tuple(n + b + a for n, b, a in zip(sizes, before, after, strict=True))
        inner = tuple(slice(max(b, 0), n - max(a, 0)) for n, b, a in zip(shape, before, after, strict=True))
        cut = tuple(slice(max(-b, 0), n - max(-a, 0)) for n, b, a in zip(sizes, before, after, strict=True))
        framed = filled(shape, x.array.dtype, x.device, value)
        x.device.kernels.assign(framed.array[inner], x.array[cut])
        return framed

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        before, after = (tuple([-n for n in side]) for side in ctx.sides)
        return Pad.apply(g, before, after, 0), None, None, None
