"""Picking and placing by index, made of ``x[key]`` and its counterparts `IndexPut` and `IndexGrad`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from .._device import CPU
from .._tensor import Tensor, host, need, wrap
from ..kernels.cuda.bounds import checked_key
from ..kernels.geometry import whole
from ..ops.elementwise import abs, cast, check_broadcast, clone, eq, exp, log, where
from ..ops.shape import Index, IndexGrad, IndexPut, as_sizes, expand, gather, reshape, wrap_dim
from .shape import ravel


def _one_dtype(name: str, input: Tensor, other: Tensor, what: str) -> None:
    if input.array.dtype != other.array.dtype:
        raise RuntimeError(f"{name}: the input is {input.dtype}, {what} {other.dtype}; they must be equal")


def _vector(name: str, index: Any, size: int) -> Any:
    """The indices as an array, checked."""
    need(name, index)
    if index.array.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"{name}: the index must be int64 or int32, got {index.dtype}")
    if index.array.ndim > 1:
        raise IndexError(f"{name}: the index must be a vector, got shape {tuple(index.array.shape)}")
    places = index.array.reshape(-1)
    if places.size and (places.min() < 0 or places.max() >= size):
        raise IndexError(f"{name}: index {places.min()} to {places.max()} is out of range for size {size}")
    return places


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along `dim` that a vector of indices names.

    Raises:
        IndexError, RuntimeError: if an index is out of range, not a vector or not of integers.
    """
    need("index_select", input)
    at = wrap_dim(dim, input.array.ndim, "index_select")
    x = input if input.array.ndim else reshape(input, (1,))
    places = _vector("index_select", index, x.array.shape[at])
    result = Index.apply(x, (*(slice(None),) * at, places))
    return result if input.array.ndim else reshape(result, ())


def _placed(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor) -> tuple[Tensor, Any]:
    """Check a source whose slices go to `index` along `dim`, and give the key."""
    need(name, input, source)
    _one_dtype(name, input, source, "the source")
    at = wrap_dim(dim, input.array.ndim, name)
    x = input if input.array.ndim else reshape(input, (1,))
    places = _vector(name, index, x.array.shape[at])
    wanted = (*x.array.shape[:at], len(places), *x.array.shape[at + 1 :])
    given = source.array.shape if source.array.ndim else (1,)
    if tuple(given) != wanted and not (source.array.ndim == 0 and wanted == (1,)):
        raise RuntimeError(f"{name}: the source must have shape {wanted}, got {tuple(source.array.shape)}")
    return x, (*(slice(None),) * at, places)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """`input` with slices of alpha * `source` added along `dim`; an index that occurs twice gets both."""
    x, key = _placed("index_add", input, dim, index, source)
    if isinstance(alpha, float) and input.array.dtype.kind != "f":
        raise RuntimeError(f"index_add: alpha = {alpha!r} is not an integer, but the input is {input.dtype}")
    part = source if alpha == 1 else source * alpha
    shape = (*x.array.shape[: len(key) - 1], len(key[-1]), *x.array.shape[len(key) :])
    added = IndexGrad.apply(reshape(part, shape), key, x.array.shape)
    return input + reshape(added, input.array.shape)


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`input` with slices of `source` written along `dim`."""
    x, key = _placed("index_copy", input, dim, index, source)
    shape = (*x.array.shape[: len(key) - 1], len(key[-1]), *x.array.shape[len(key) :])
    return reshape(IndexPut.apply(x, reshape(source, shape), key), input.array.shape)


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """`input` with one number written into slices along `dim`."""
    need("index_fill", input)
    if isinstance(value, Tensor):
        if value.array.ndim:
            raise RuntimeError(f"index_fill: expected one number, got shape {tuple(value.array.shape)}")
        number = cast(value, input.dtype)
    else:
        number = wrap(np.asarray(value).astype(input.array.dtype), input.device)
    at = wrap_dim(dim, input.array.ndim, "index_fill")
    x = input if input.array.ndim else reshape(input, (1,))
    places = np.unique(_vector("index_fill", index, x.array.shape[at]))
    key = (*(slice(None),) * at, places)
    shape = (*x.array.shape[:at], len(places), *x.array.shape[at + 1 :])
    return reshape(IndexPut.apply(x, expand(number, shape), key), input.array.shape)


def index_put(input: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False) -> Tensor:
    """``input[indices] = values`` on a copy, or ``+=`` with `accumulate`, where repeated indices add up."""
    need("index_put", input, values)
    _one_dtype("index_put", input, values, "values")
    key = tuple(slice(None) if i is None else i.array if isinstance(i, Tensor) else i for i in indices)
    if len(key) > input.array.ndim:
        raise IndexError(f"index_put: {len(key)} indices for {input.array.ndim} dimensions")
    if input.device is not CPU:
        key = checked_key(key, input.array.shape, input.device.xp)
    try:
        shape = input.array[key].shape
    except IndexError as error:
        raise IndexError(f"index_put: {error}") from None
    part = expand(values, shape) if values.array.shape != shape else values
    return input + IndexGrad.apply(part, key, input.array.shape) if accumulate else IndexPut.apply(input, part, key)


def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at `index` of the flattened tensor, in the shape of `index`; negative ones count from the end."""
    need("take", input, index)
    return Index.apply(ravel(input), (_flat("take", index, input.array.size),))


def _flat(name: str, index: Tensor, size: int) -> Any:
    if index.array.dtype != np.int64:
        raise RuntimeError(f"{name}: the index must be int64, got {index.dtype}")
    if index.array.size and (index.array.min() < -size or index.array.max() >= size):
        raise IndexError(
            f"{name}: index {index.array.min()} to {index.array.max()} is out of range for {size} elements"
        )
    return index.array


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with `source` written (or added, with `accumulate`) at `index` of the flattened tensor."""
    need("put", input, index, source)
    _one_dtype("put", input, source, "the source")
    if index.array.size != source.array.size:
        raise RuntimeError(f"put: {index.array.size} indices for {source.array.size} elements")
    key = (_flat("put", index, input.array.size).reshape(-1),)
    return reshape(index_put(ravel(input), key, ravel(source), accumulate), input.array.shape)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather`, with sizes beside `dim` that broadcast; over the flattened tensor if `dim` is None."""
    need("take_along_dim", input, indices)
    if indices.array.dtype != np.int64:
        raise RuntimeError(f"take_along_dim: the indices must be int64, got {indices.dtype}")
    size = input.array.size if dim is None else input.array.shape[wrap_dim(dim, input.array.ndim, "take_along_dim")]
    if indices.array.size and indices.array.min() < 0:
        indices = wrap(np.where(indices.array < 0, indices.array + size, indices.array), indices.device)
    if dim is None:
        return gather(ravel(input), 0, ravel(indices))
    if input.array.ndim != indices.array.ndim:
        raise RuntimeError(
            f"take_along_dim: input and indices must have equally many dimensions, got {input.array.ndim} and "
            f"{indices.array.ndim}"
        )
    at = wrap_dim(dim, input.array.ndim, "take_along_dim")
    a, b = list(input.array.shape), list(indices.array.shape)
    size, count = a[at], b[at]
    a[at] = b[at] = 1
    try:
        shape = list(np.broadcast_shapes(tuple(a), tuple(b)))
    except ValueError:
        raise RuntimeError(
            f"take_along_dim: shapes {tuple(input.array.shape)} and {tuple(indices.array.shape)} do not broadcast "
            f"beside dimension {dim}"
        ) from None
    x = expand(input, (*shape[:at], size, *shape[at + 1 :]))
    return gather(x, at, expand(indices, (*shape[:at], count, *shape[at + 1 :])))


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where `mask` holds, as a vector; shapes broadcast."""
    need("masked_select", input, mask)
    if mask.array.dtype.kind != "b":
        raise RuntimeError(f"masked_select: the mask must be a bool tensor, got {mask.dtype}")
    check_broadcast("masked_select", input, mask)
    shape = np.broadcast_shapes(input.array.shape, mask.array.shape)
    x = expand(input, shape) if input.array.shape != shape else input
    return reshape(Index.apply(x, x.device.xp.broadcast_to(mask.array, shape)), (-1,))


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The elements of `source`, in order, where `mask` holds; else `input`.

    Raises:
        RuntimeError: if there are too few of them.
    """
    need("masked_scatter", input, mask, source)
    _one_dtype("masked_scatter", input, source, "the source")
    if mask.array.dtype.kind != "b":
        raise RuntimeError(f"masked_scatter: the mask must be a bool tensor, got {mask.dtype}")
    check_broadcast("masked_scatter", input, mask)
    shape = np.broadcast_shapes(input.array.shape, mask.array.shape)
    there = input.device.xp.broadcast_to(mask.array, shape)
    count = int(there.sum())
    if source.array.size < count:
        raise RuntimeError(f"masked_scatter: the mask holds {count} times, the source has {source.array.size} elements")
    x = expand(input, shape) if input.array.shape != shape else input
    return IndexPut.apply(x, ravel(source)[:count], there)


# -- scatter ----------------------------------------------------------------------------------------------------------


def _grid(name: str, input: Tensor, dim: int, index: Tensor, src: Tensor | None) -> tuple[Tensor, Tensor | None, Any]:
    """The key of the elements that `index` names along `dim`, checked, and 1-D forms of 0-d tensors."""
    need(name, input, index)
    if index.array.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"{name}: the index must be int64, got {index.dtype}")
    at = wrap_dim(dim, input.array.ndim, name)
    x, i = (t if t.array.ndim else reshape(t, (1,)) for t in (input, index))
    if src is not None:
        _one_dtype(name, input, src, "the source")
        src = src if src.array.ndim else reshape(src, (1,))
    if not i.array.size:
        return x, src, None
    if i.array.ndim != x.array.ndim or (src is not None and src.array.ndim != x.array.ndim):
        raise RuntimeError(
            f"{name}: index, source and input must have equally many dimensions, got {tuple(index.array.shape)}, "
            f"{None if src is None else tuple(src.array.shape)} and {tuple(input.array.shape)}"
        )
    for d, n in enumerate(i.array.shape):
        if (d != at and n > x.array.shape[d]) or (src is not None and n > src.array.shape[d]):
            raise RuntimeError(
                f"{name}: index shape {tuple(i.array.shape)} must be no larger than the input {tuple(x.array.shape)} "
                f"beside dimension {dim}, and than the source {None if src is None else tuple(src.array.shape)}"
            )
    size = x.array.shape[at]
    if i.array.min() < 0 or i.array.max() >= size:
        raise RuntimeError(
            f"{name}: index {i.array.min()} to {i.array.max()} is out of range for dimension {dim} of size {size}"
        )
    count = x.device.xp.arange
    key = [count(n).reshape([-1 if k == d else 1 for k in range(i.array.ndim)]) for d, n in enumerate(i.array.shape)]
    key[at] = i.array
    if src is not None and src.array.shape != i.array.shape:
        src = src[tuple(slice(n) for n in i.array.shape)]
    return x, src, tuple(key)


def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """A copy of `input` with out[index[i][j]][j] = src[i][j] for dim 0, and so on.

    Args:
        src: a tensor at least as large as `index`, or one number (also as value=).
        reduce: ``"add"`` or ``"multiply"`` instead of writing.

    Raises:
        RuntimeError: if shapes or dtypes do not fit, or an index is out of range.
    """
    need("scatter", input, index)
    if src is None:
        src = value
    if not isinstance(src, Tensor):
        number = np.asarray(dtypes.number("scatter", src, input.array.dtype))
        src = expand(wrap(number, input.device), index.array.shape)
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError(f"scatter: reduce must be 'add' or 'multiply', got {reduce!r}")
        return scatter_reduce(input, dim, index, src, "sum" if reduce == "add" else "prod")
    x, part, key = _grid("scatter", input, dim, index, src)
    return clone(input) if key is None else reshape(IndexPut.apply(x, part, key), input.array.shape)


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy of `input` with out[index[i][j]][j] += src[i][j] for dim 0, and so on."""
    need("scatter_add", input, index, src)
    x, part, key = _grid("scatter_add", input, dim, index, src)
    if key is None:
        return clone(input)
    return input + reshape(IndexGrad.apply(part, key, x.array.shape), input.array.shape)


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """As `scatter_add`, where what meets at one place is combined by `reduce`.

    Args:
        reduce: ``"sum"``, ``"prod"``, ``"mean"``, ``"amax"`` or ``"amin"``; equal extremes share the gradient.
        include_self: whether the elements of `input` take part where something is placed.
    """
    need("scatter_reduce", input, index, src)
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"scatter_reduce: reduce must be 'sum', 'prod', 'mean', 'amax' or 'amin', got {reduce!r}")
    x, part, key = _grid("scatter_reduce", input, dim, index, src)
    if key is None or part is None:
        return clone(input)
    one = wrap(np.ones((1,) * part.array.ndim, np.int64), x.device)
    hits = IndexGrad.apply(expand(one, part.array.shape), key, x.array.shape)
    touched = hits > 0
    neutral: Any = {"sum": 0, "mean": 0, "prod": 1}.get(reduce)
    if neutral is None:
        kind = x.array.dtype
        limits = (False, True) if kind.kind == "b" else (-np.inf, np.inf) if kind.kind == "f" else None
        limits = limits or (np.iinfo(kind).min, np.iinfo(kind).max)
        neutral = limits[0] if reduce == "amax" else limits[1]
    own = x if include_self else where(touched, wrap(np.asarray(neutral, x.array.dtype), x.device), x)
    if reduce in ("sum", "mean"):
        total = own + IndexGrad.apply(part, key, x.array.shape)
        if reduce == "mean":
            count = cast((hits + (1 if include_self else 0)).clamp(1), x.dtype)
            total = total / count if x.array.dtype.kind == "f" else cast(total // count, x.dtype)
        return reshape(total, input.array.shape)
    ufunc = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}[reduce]
    result = np.array(host(own))
    ufunc.at(result, tuple(host(wrap(k, x.device)) for k in key), host(part))
    y = wrap(result, x.device)
    if x.array.dtype.kind != "f" or not (x.requires_grad or part.requires_grad):
        return reshape(y, input.array.shape)
    if reduce == "prod":  # +-e**L, where L is a sum of logarithms; e**(L - L) is 1, and has the derivatives
        if not (own.array.all() and part.array.all()):
            raise RuntimeError("scatter_reduce: reduce='prod' has no gradient here where a factor is 0")
        logs = log(abs(own)) + IndexGrad.apply(log(abs(part)), key, x.array.shape)
        return reshape(y * exp(logs - logs.detach()), input.array.shape)
    mine = cast(eq(own.detach(), y), x.dtype)
    theirs = cast(eq(part.detach(), Index.apply(y, key)), x.dtype)
    share = mine + IndexGrad.apply(theirs, key, x.array.shape)
    moved = x - x.detach() if include_self else where(touched, 0.0, x - x.detach())
    move = mine * moved + IndexGrad.apply(theirs * (part - part.detach()), key, x.array.shape)
    return reshape(y + move / share, input.array.shape)


def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """As `index_add`, where slices that meet are combined by `reduce`: ``"prod"``, ``"mean"``, ``"amax"``, ``"amin"``.

    Args:
        include_self: whether the elements of `input` take part where something is placed.

    Raises:
        IndexError, RuntimeError: if shapes or dtypes do not fit, or an index is out of range.
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        need("index_reduce", input)
        raise RuntimeError(f"index_reduce: reduce must be 'prod', 'mean', 'amax' or 'amin', got {reduce!r}")
    x, key = _placed("index_reduce", input, dim, index, source)
    part = reshape(source, (*x.array.shape[: len(key) - 1], len(key[-1]), *x.array.shape[len(key) :]))
    places = wrap(key[-1].astype(np.int64), x.device)
    everywhere = expand(reshape(places, (-1, *(1,) * (x.array.ndim - len(key)))), part.array.shape)
    result = scatter_reduce(x, len(key) - 1, everywhere, part, reduce, include_self=include_self)
    return reshape(result, input.array.shape)


def unravel_index(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """For positions in the flattened tensor of `shape`: the index in each dimension, int64.

    Raises:
        TypeError: if the positions are not integers.
        ValueError: if a size is not positive.
    """
    need("unravel_index", indices)
    if indices.array.dtype.kind not in "iu":
        raise TypeError(f"unravel_index: expected an integer tensor, got {indices.dtype}")
    sizes = as_sizes((shape,) if isinstance(shape, int) else (tuple(shape),), "unravel_index")
    if min(sizes, default=1) < 1:
        raise ValueError(f"unravel_index: sizes must be positive, got {sizes}")
    steps = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
    flat = host(indices).astype(np.int64)
    return tuple(wrap(np.asarray(flat // step % n), indices.device) for step, n in zip(steps, sizes, strict=True))


def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The first `size` rows of `nonzero`; where there are fewer, rows of `fill_value`.

    Raises:
        RuntimeError: if `size` is negative.
    """
    need("nonzero_static", input)
    if size < 0:
        raise RuntimeError(f"nonzero_static: size must not be negative, got {size}")
    places = np.full((size, input.array.ndim), fill_value, np.int64)
    found = np.argwhere(host(input))[:size]
    places[: len(found)] = found
    return wrap(places, input.device)


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of `input` with `src` at `index` along `dim`."""
    need("select_scatter", input, src)
    at = wrap_dim(dim, input.array.ndim, "select_scatter")
    key = (*(slice(None),) * at, index)
    if src.array.shape != input.array[key].shape:
        raise RuntimeError(
            f"select_scatter: expected shape {tuple(input.array[key].shape)}, got {tuple(src.array.shape)}"
        )
    return IndexPut.apply(input, src, key)


def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy of `input` with `src` in a slice along `dim`."""
    need("slice_scatter", input, src)
    at = wrap_dim(dim, input.array.ndim, "slice_scatter")
    key = (*(slice(None),) * at, slice(start, end, step))
    if src.array.shape != input.array[key].shape:
        raise RuntimeError(
            f"slice_scatter: expected shape {tuple(input.array[key].shape)}, got {tuple(src.array.shape)}"
        )
    return IndexPut.apply(input, src, key)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """(...) class numbers as (..., num_classes) of 0 and 1, int64.

    Raises:
        RuntimeError: for other dtypes than int64, negative classes, or classes from `num_classes` on.
    """
    need("one_hot", tensor)
    if tensor.array.dtype != np.int64:
        raise RuntimeError(f"one_hot: class numbers must be int64, got {tensor.dtype}")
    num_classes = whole("one_hot", "num_classes", num_classes)
    if not tensor.array.size and num_classes <= 0:
        raise RuntimeError("one_hot: without elements, num_classes must be given and positive")
    if tensor.array.size and tensor.array.min() < 0:
        raise RuntimeError(f"one_hot: class numbers must not be negative, got {tensor.array.min()}")
    count = int(tensor.array.max()) + 1 if num_classes == -1 else num_classes
    if num_classes != -1 and (num_classes < 1 or (tensor.array.size and tensor.array.max() >= num_classes)):
        raise RuntimeError(f"one_hot: class numbers must lie below num_classes = {num_classes}")
    return cast(eq(tensor[..., None], wrap(np.arange(count), tensor.device)), dtypes.int64)
