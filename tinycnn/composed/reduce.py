"""Reductions and running results made of others."""

from __future__ import annotations

import builtins
import math
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from .._device import CPU
from .._tensor import Tensor, host, need, wrap
from ..autograd import Function, is_grad_enabled
from ..kernels.geometry import whole
from ..ops import elementwise as ew
from ..ops import reduce as r
from ..ops.elementwise import cast, where
from ..ops.reduce import Dims
from ..ops.shape import cat, flatten, flip, gather, movedim, reshape, squeeze, unsqueeze, wrap_dim


class ValuesIndices(NamedTuple):
    """What `max` and `min` along a dimension return."""

    values: Tensor
    indices: Tensor


class MinMax(NamedTuple):
    """What `aminmax` returns."""

    min: Tensor
    max: Tensor


class SingularValues(Function):
    """The singular values of matrices, largest first. Their gradient u @ diag(g) @ v^T is not differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        u, s, v = x.device.xp.linalg.svd(x.array, full_matrices=False)
        ctx.vectors = u, v
        return wrap(s, x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        if is_grad_enabled():
            raise RuntimeError("singular values: there is no second derivative here; use create_graph=False")
        u, v = ctx.vectors
        return wrap((u * g.array[..., None, :]) @ v, g.device)


class LogCumSumExp(Function):
    """ln of the sums of e**x over the first 1, 2, ... entries along an axis."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, axis: int) -> Tensor:
        y = wrap(x.device.kernels.logcumsumexp(x.array, axis), x.device)
        ctx.axis = axis
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, y = ctx.saved_tensors
        if is_grad_enabled():  # to be differentiated again: the plain form, which large numbers overflow
            return r.CumSum.apply(g * ew.exp(-y), ctx.axis, True) * ew.exp(x), None
        total = None
        for part in (g, -g):  # what is positive, what is negative: sums of e**(x - y), in logarithms
            there = part > 0
            size = where(there, ew.log(where(there, part, 1.0)), float("-inf")) - y
            back = flip(LogCumSumExp.apply(flip(size, ctx.axis), ctx.axis), ctx.axis)
            term = ew.exp(back + x)
            total = term if total is None else total - term
        return total, None


def need_float(name: str, input: Any) -> None:
    """Refuse what is not a floating-point tensor.

    Raises:
        TypeError, RuntimeError: with what it is.
    """
    need(name, input)
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"{name}: expected a floating-point tensor, got {input.dtype}; convert with .float()")


def _last(input: Tensor, dim: int, name: str) -> tuple[Tensor, int]:
    """`input` with `dim` moved to the end, and that dimension counted from the front; a 0-d tensor becomes 1-D."""
    dim = wrap_dim(dim, input.array.ndim, name)
    return (movedim(input, dim, -1) if input.array.ndim else reshape(input, (1,))), dim


def _back(result: Tensor, input: Tensor, dim: int) -> Tensor:
    return movedim(result, -1, dim) if input.array.ndim else reshape(result, ())


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product over `dim` (over all if None). Integers and bools multiply as int64."""
    need("prod", input)
    if dtype is not None:
        input = cast(input, dtypes.as_dtype(dtype))
    elif input.array.dtype.kind != "f":
        input = cast(input, dtypes.int64)
    if dim is None:
        return r.Prod.apply(reshape(input, (-1,)) if input.array.size else reshape(input, (0,)))
    x, dim = _last(input, dim, "prod")
    result = r.Prod.apply(x)
    return unsqueeze(result, dim) if keepdim and input.array.ndim else result


def nansum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of what is not NaN."""
    need("nansum", input)
    return r.sum(
        where(ew.isnan(input), 0, input) if input.array.dtype.kind == "f" else input, dim, keepdim, dtype=dtype
    )


def nanmean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of what is not NaN."""
    need_float("nanmean", input)
    count = r.sum(ew.logical_not(ew.isnan(input)), dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / count


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The pair (min, max), over everything or along `dim`."""
    need("aminmax", input)
    axes: Any = () if dim is None else dim
    if dim is None and not input.array.size:
        raise RuntimeError("aminmax: an empty tensor has no extremes")
    low, high = r.amin(input, axes, keepdim), r.amax(input, axes, keepdim)
    if dim is None and keepdim:
        low, high = (reshape(t, (1,) * input.array.ndim) for t in (low, high))
    return MinMax(low, high)


def count_nonzero(input: Tensor, dim: Dims = None) -> Tensor:
    """How many elements are not 0, over `dim` (all if None), int64."""
    need("count_nonzero", input)
    return r.sum(ew.ne(input, 0), dim)


def logsumexp(input: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    """ln of the sum of e**x over `dim`, without overflow."""
    need("logsumexp", input)
    x = input if input.array.dtype.kind == "f" else cast(input, dtypes.get_default_dtype())
    axes = r._axes(dim, x.array.ndim, "logsumexp")
    if not x.array.size and 0 in [x.array.shape[a] for a in axes]:
        return ew.log(r.sum(ew.exp(x), dim, keepdim))
    top = r.amax(x.detach(), axes, True)
    top = where(ew.isfinite(top), top, 0.0)
    total = ew.log(r.sum(ew.exp(x - top), axes or None, True)) + top
    return total if keepdim else squeeze(total, axes)


# -- along one dimension ----------------------------------------------------------------------------------------------


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Sums of the first 1, 2, ... entries along `dim`. Integers and bools add up as int64."""
    need("cumsum", input)
    input = _summable(input, dtype)
    dim = wrap_dim(dim, input.array.ndim, "cumsum")
    return r.CumSum.apply(input, dim, False) if input.array.ndim else ew.clone(input)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Products of the first 1, 2, ... entries along `dim`. Integers and bools multiply as int64."""
    need("cumprod", input)
    input = _summable(input, dtype)
    x, dim = _last(input, dim, "cumprod")
    return _back(r.CumProd.apply(x), input, dim)


def _summable(input: Tensor, dtype: Any) -> Tensor:
    if dtype is not None:
        if dtypes.as_dtype(dtype) is dtypes.bool_:
            raise RuntimeError("running sums and products are not bools; pass another dtype")
        return cast(input, dtypes.as_dtype(dtype))
    return input if input.array.dtype.kind == "f" else cast(input, dtypes.int64)


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """ln of the sums of e**x over the first 1, 2, ... entries along `dim`."""
    need_float("logcumsumexp", input)
    dim = wrap_dim(dim, input.array.ndim, "logcumsumexp")
    return LogCumSumExp.apply(input, dim) if input.array.ndim else ew.clone(input)


def _along(name: str, input: Tensor, dim: int, keepdim: bool) -> ValuesIndices:
    if not input.array.ndim:
        return ValuesIndices(reshape(input, ()), r._arg("arg" + name, input, dim, keepdim))
    dim = wrap_dim(dim, input.array.ndim, name)
    indices = r._arg("arg" + name, input, dim, True)
    values = gather(input, dim, indices)
    return ValuesIndices(values, indices) if keepdim else ValuesIndices(squeeze(values, dim), squeeze(indices, dim))


def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; or along `dim` the pair (values, indices), first of equals; or `maximum` of two tensors."""
    need("max", input)
    if isinstance(dim, Tensor):
        return ew.maximum(input, dim)
    return r._extremum("max", input, None, False) if dim is None else _along("max", input, dim, keepdim)


def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; or along `dim` the pair (values, indices), first of equals; or `minimum` of two tensors."""
    need("min", input)
    if isinstance(dim, Tensor):
        return ew.minimum(input, dim)
    return r._extremum("min", input, None, False) if dim is None else _along("min", input, dim, keepdim)


def _running(name: str, input: Tensor, dim: int, sign: int) -> ValuesIndices:
    need(name, input)
    x, dim = _last(input, dim, name)
    numbers = x.array if sign > 0 else (-x.array if x.array.dtype.kind in "fi" else ~x.array)
    indices = wrap(input.device.kernels.cummax_index(numbers), input.device) if x.array.size else cast(x, dtypes.int64)
    return ValuesIndices(_back(gather(x, -1, indices), input, dim), _back(indices, input, dim))


def cummax(input: Tensor, dim: int) -> ValuesIndices:
    """The largest entry so far along `dim`, and where it is (the last of equals); NaN wins."""
    return _running("cummax", input, dim, 1)


def cummin(input: Tensor, dim: int) -> ValuesIndices:
    """The smallest entry so far along `dim`, and where it is (the last of equals); NaN wins."""
    return _running("cummin", input, dim, -1)


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesIndices:
    """The entries in order along `dim`, and where they came from; equal ones keep their order. NaN is the largest."""
    need("sort", input)
    x, dim = _last(input, dim, "sort")
    indices = wrap(input.device.kernels.argsort(x.array, bool(descending)), input.device)
    return ValuesIndices(_back(gather(x, -1, indices), input, dim), _back(indices, input, dim))


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The positions of the entries in order along `dim`; equal ones keep their order. NaN is the largest."""
    need("argsort", input)
    return sort(input.detach(), dim, descending).indices


def msort(input: Tensor) -> Tensor:
    """The entries in rising order along the first dimension."""
    need("msort", input)
    return sort(input, 0).values


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The `k` largest (or smallest) entries along `dim`, and where they are.

    Raises:
        RuntimeError: if there are fewer than `k`.
    """
    need("topk", input)
    x, dim = _last(input, dim, "topk")
    k = whole("topk", "k", k)
    if x.array.dtype.kind == "b":
        raise RuntimeError("topk: bools have no order here; convert with .long()")
    if not 0 <= k <= x.array.shape[-1]:
        raise RuntimeError(f"topk: k = {k} must lie between 0 and {x.array.shape[-1]}, the size of dimension {dim}")
    indices = wrap(input.device.kernels.argsort(x.array, bool(largest))[..., :k].copy(), input.device)
    return ValuesIndices(_back(gather(x, -1, indices), input, dim), _back(indices, input, dim))


def _picked(name: str, input: Tensor, dim: int, keepdim: bool, position: Any) -> ValuesIndices:
    """The entry whose place in the order along `dim` is ``position(sorted positions, numbers)``."""
    need(name, input)
    x, dim = _last(input, dim, name)
    if not x.array.shape[-1]:
        raise IndexError(f"{name}: shape {tuple(input.array.shape)} has nothing along dimension {dim}")
    order = input.device.kernels.argsort(x.array, False)
    order, numbers = (host(wrap(a, input.device)) for a in (order, x.array))
    indices = wrap(np.asarray(position(order, numbers))[..., None], input.device)
    values = gather(x, -1, indices)
    if not input.array.ndim:
        return ValuesIndices(reshape(values, ()), reshape(indices, ()))
    if keepdim:
        return ValuesIndices(movedim(values, -1, dim), movedim(indices, -1, dim))
    return ValuesIndices(squeeze(values, -1), squeeze(indices, -1))


def _middle(order: Any, x: Any) -> Any:
    """The place of the lower median; that of a NaN if there is one."""
    middle = order[..., (x.shape[-1] - 1) // 2]
    return np.where(np.isnan(x).any(-1), np.isnan(x).argmax(-1), middle) if x.dtype.kind == "f" else middle


def _nan_middle(order: Any, x: Any) -> Any:
    count = (~np.isnan(x)).sum(-1, keepdims=True) if x.dtype.kind == "f" else np.full((*x.shape[:-1], 1), x.shape[-1])
    return np.take_along_axis(order, np.maximum(count - 1, 0) // 2, -1)[..., 0]


def _median(name: str, input: Tensor, dim: int | None, keepdim: bool, position: Any) -> Any:
    need(name, input)
    if input.array.dtype.kind == "b":
        raise RuntimeError(f"{name}: bools have no median; convert with .long()")
    if dim is not None:
        return _picked(name, input, dim, keepdim, position)
    if not input.array.size:
        return wrap(np.asarray(math.nan, input.array.dtype), input.device)
    middle = _picked(name, reshape(input.detach(), (-1,)), 0, False, position).values
    hit = ew.eq(input.detach(), middle) if not ew.isnan(middle).array.any() else ew.isnan(input.detach())
    share = cast(hit, input.dtype) / r.sum(cast(hit, input.dtype)) if input.array.dtype.kind == "f" else None
    if share is None or not input.requires_grad:
        return middle
    return r.sum(where(hit, input, 0.0) * share)  # equal ones share the gradient


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, the lower one of two; along `dim` the pair (values, indices). NaN if there is one."""
    return _median("median", input, dim, keepdim, _middle)


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element of those that are not NaN; along `dim` the pair (values, indices)."""
    return _median("nanmedian", input, dim, keepdim, _nan_middle)


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The k-th smallest entry along `dim`, counted from 1, and where it is.

    Raises:
        RuntimeError: if there are fewer than `k`.
    """
    need("kthvalue", input)
    axis = wrap_dim(dim, input.array.ndim, "kthvalue")
    size = input.array.shape[axis] if input.array.ndim else 1
    if input.array.dtype.kind == "b":
        raise RuntimeError("kthvalue: bools have no order here; convert with .long()")
    if not 1 <= k <= size:
        raise RuntimeError(f"kthvalue: k = {k} must lie between 1 and {size}, the size of dimension {dim}")
    return _picked("kthvalue", input, dim, keepdim, lambda order, x: order[..., k - 1])


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The most frequent entry along `dim`, the smallest of several, and the last place where it is."""

    def position(order: Any, x: Any) -> Any:
        ranked = np.take_along_axis(x, order, -1)
        n = x.shape[-1]
        start = np.ones(x.shape, bool)
        start[..., 1:] = ranked[..., 1:] != ranked[..., :-1]
        first = np.maximum.accumulate(np.where(start, np.arange(n), 0), -1)
        best = (np.arange(n) - first).argmax(-1)[..., None]  # the end of the longest run, the first of several
        return np.take_along_axis(order, best, -1)[..., 0]

    return _picked("mode", input, dim, keepdim, position)


def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The value below which a share `q` of the entries lies; several `q` come first in the shape.

    Args:
        interpolation: between two entries ``"linear"``, ``"lower"``, ``"higher"``, ``"midpoint"`` or ``"nearest"``.

    Raises:
        RuntimeError, ValueError: if q is outside [0, 1], the input is empty, or the dtypes differ.
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of what is not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


def _quantile(
    name: str, input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip_nan: bool
) -> Tensor:
    need(name, input)
    if input.array.dtype.kind != "f" or input.array.itemsize < 4:
        raise RuntimeError(f"{name}: expected float32 or float64, got {input.dtype}")
    if not input.array.size:
        raise RuntimeError(f"{name}: the input is empty")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{name}: interpolation must be 'linear', 'lower', 'higher', 'midpoint' or 'nearest', got {interpolation!r}"
        )
    if isinstance(q, Tensor):
        if q.array.ndim > 1 or q.array.dtype != input.array.dtype:
            raise RuntimeError(
                f"{name}: q must be a number or a 1-D tensor of {input.dtype}, got shape {tuple(q.array.shape)} "
                f"of {q.dtype}"
            )
    elif not isinstance(q, (int, float)):
        raise TypeError(f"{name}: q must be a number or a Tensor, got {type(q).__name__}")
    shares = np.atleast_1d(host(q) if isinstance(q, Tensor) else np.asarray(q, np.float64)).astype(np.float64)
    if ((shares < 0) | (shares > 1)).any():
        raise (RuntimeError if isinstance(q, Tensor) else RuntimeError)(f"{name}: q must lie in [0, 1], got {q}")
    ndim = input.array.ndim
    x, axis = (reshape(input, (-1,)), 0) if dim is None else _last(input, dim, name)
    ordered = sort(x, -1).values
    array, place_of = host(ordered), input.device
    count = (~np.isnan(array)).sum(-1) if skip_nan else np.full(array.shape[:-1], array.shape[-1])
    results = []
    asked = isinstance(q, Tensor) and q.requires_grad and interpolation == "linear"
    for number, share in enumerate(shares):
        place = share * np.maximum(count - 1, 0)
        low, high = np.floor(place).astype(np.int64), np.ceil(place).astype(np.int64)
        weight = place - low
        if interpolation == "lower":
            weight = weight * 0
        elif interpolation == "higher":
            low = high
        elif interpolation == "nearest":
            low, weight = np.round(place).astype(np.int64), weight * 0
        elif interpolation == "midpoint":
            weight = np.where(low == high, 0.0, 0.5)
        if not skip_nan:
            low = np.where(np.isnan(array).any(-1), array.shape[-1] - 1, low)
            high = np.where(np.isnan(array).any(-1), array.shape[-1] - 1, high)
        a, b = (squeeze(gather(ordered, -1, wrap(np.asarray(i)[..., None], place_of)), -1) for i in (low, high))
        part = wrap(np.asarray(weight, array.dtype), place_of)
        if asked:  # the weight as a function of q, for its gradient
            one = q[number] if q.array.ndim else q
            steps = wrap(np.asarray(np.maximum(count - 1, 0), array.dtype), place_of)
            part = one * steps - wrap(low.astype(array.dtype), place_of)
        part = a + part * (b - a)
        if keepdim:
            part = unsqueeze(part, axis) if dim is not None and ndim else reshape(part, (1,) * ndim)
        results.append(part)
    if isinstance(q, Tensor) and q.array.ndim:
        return cat([unsqueeze(part, 0) for part in results], 0)
    return results[0]


# -- norms ------------------------------------------------------------------------------------------------------------


def vector_norm(x: Tensor, ord: Any = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """(sum |x|**ord)**(1/ord) over `dim`; the largest for inf, the smallest for -inf, the count for 0.

    Where the norm is 0, its gradient is 0.

    Raises:
        RuntimeError: for integers without dtype=; for an extreme of nothing.
    """
    need("vector_norm", x)
    if dtype is not None:
        x = cast(x, dtypes.as_dtype(dtype))
    need_float("vector_norm", x)
    if isinstance(ord, Tensor):
        ord = ord.item()
    if isinstance(ord, bool) or not isinstance(ord, (int, float)):
        raise TypeError(f"vector_norm: ord must be a number, got {ord!r}")
    axes = r._axes(dim, x.array.ndim, "vector_norm")
    if 0 in [x.array.shape[a] for a in axes] and (ord < 0 or ord == math.inf):
        raise RuntimeError(f"vector_norm: shape {tuple(x.array.shape)} has nothing over {dim}, order {ord} needs it")
    if ord == 0:
        return cast(r.sum(ew.ne(x, 0), axes or None, keepdim), x.dtype) + r.sum(x * 0, axes or None, keepdim)
    if ord in (math.inf, -math.inf):
        return (r.amax if ord > 0 else r.amin)(ew.abs(x), axes, keepdim)
    if ord == 1:
        return r.sum(ew.abs(x), axes or None, keepdim) if axes else ew.abs(x)
    wide = cast(x, dtypes.float32) if x.array.dtype == np.float16 else x
    if not axes:
        return ew.abs(x)
    if ord == 2:
        total = r.sum(wide * wide, axes, keepdim)
        zero = ew.eq(total, 0)
        return cast(where(zero, 0.0, ew.sqrt(where(zero, 1.0, total))), x.dtype)
    size = ew.abs(wide)
    if 0 < ord:  # 0 has no gradient
        size = where(ew.eq(size, 0), 0.0, where(ew.eq(size, 0), 1.0, size) ** ord)
    else:
        size = where(ew.eq(size, 0), math.inf, where(ew.eq(size, 0), 1.0, size) ** ord)
    total = r.sum(size, axes, keepdim)
    zero = ew.eq(total, 0)
    return cast(where(zero, 0.0 if ord > 0 else math.inf, where(zero, 1.0, total) ** (1.0 / ord)), x.dtype)


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: tuple[int, int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm of matrices, by `ord`: ``"fro"`` the root of the sum of squares, 1 (-1) the largest (smallest) sum of a
    column, inf (-inf) of a row, 2 (-2) the largest (smallest) singular value, ``"nuc"`` their sum.

    Raises:
        RuntimeError: for integers, fewer than two dimensions, or another `ord`.
    """
    need("matrix_norm", A)
    if dtype is not None:
        A = cast(A, dtypes.as_dtype(dtype))
    need_float("matrix_norm", A)
    if A.array.ndim < 2 or len(dim) != 2:
        raise RuntimeError(f"matrix_norm: expected two dimensions, got dim = {dim} of shape {tuple(A.array.shape)}")
    rows, columns = (wrap_dim(d, A.array.ndim, "matrix_norm") for d in dim)
    if rows == columns:
        raise RuntimeError(f"matrix_norm: dim = {dim} must name two dimensions")
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim)
    if ord in (2, -2, "nuc"):
        wide = cast(A, dtypes.float32) if A.array.dtype == np.float16 else A
        values = SingularValues.apply(movedim(movedim(wide, rows, -1), columns - (columns > rows), -1))
        picked = r.sum(values, -1) if ord == "nuc" else r.amax(values, -1) if ord == 2 else r.amin(values, -1)
        if keepdim:
            for d in builtins.sorted((rows, columns)):
                picked = unsqueeze(picked, d)
        return cast(picked, A.dtype)
    if ord not in (1, -1, math.inf, -math.inf):
        raise RuntimeError(f"matrix_norm: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}")
    first, second = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = r.sum(ew.abs(A), first, True)
    result = (r.amax if ord > 0 else r.amin)(sums, second, True)
    return result if keepdim else squeeze(result, (rows, columns))


def linalg_norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """`vector_norm` over one dimension or, without `ord`, over all; `matrix_norm` over two."""
    need("linalg.norm", A)
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    dims = tuple(range(A.array.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if isinstance(ord, str) or len(dims) == 2:
        if len(dims) != 2:
            raise RuntimeError(f"linalg.norm: the order {ord!r} is that of matrices, but dim = {dim}")
        return matrix_norm(A, ord, (dims[0], dims[1]), keepdim, dtype=dtype)
    if len(dims) != 1:
        raise RuntimeError(f"linalg.norm: with ord = {ord!r} expected one or two dimensions, got {len(dims)}")
    return vector_norm(A, ord, dims, keepdim, dtype=dtype)


def norm(input: Tensor, p: Any = "fro", dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """`vector_norm` of order `p` over `dim` (of everything if None); ``"fro"`` is 2, ``"nuc"`` that of a matrix."""
    need("norm", input)
    if p == "nuc":
        dims = tuple(range(input.array.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
        if len(dims) != 2:
            raise RuntimeError(f"norm: 'nuc' needs two dimensions, got {dims}")
        return matrix_norm(input, "nuc", (dims[0], dims[1]), keepdim, dtype=dtype)
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm: p must be a number or 'fro', got {p!r}")
    if p == "fro" and isinstance(dim, (tuple, list)) and len(dim) > 2:
        raise RuntimeError(f"norm: 'fro' takes at most two dimensions, got dim = {dim}")
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The norm of order `p` of input - other."""
    need("dist", input, other)
    return vector_norm(input - other, p)


# -- sets and counts: no gradient -------------------------------------------------------------------------------------


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Where the elements are not 0: (count, dimensions) int64; with `as_tuple` one index tensor per dimension."""
    need("nonzero", input)
    if as_tuple:
        return tuple(wrap(i.astype(np.int64), input.device) for i in np.atleast_1d(input.array).nonzero())
    return wrap(np.argwhere(host(input)).astype(np.int64), input.device)


def argwhere(input: Tensor) -> Tensor:
    """Where the elements are not 0: (count, dimensions) int64."""
    need("argwhere", input)
    return nonzero(input)


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements in rising order, or the different slices along `dim`.

    Args:
        return_inverse: also, for each element, which of them it is.
        return_counts: also how often each occurs.
    """
    need("unique", input)
    axis = None if dim is None else wrap_dim(dim, input.array.ndim, "unique")
    values, inverse, counts = np.unique(
        host(input), return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    if axis is None:
        inverse = inverse.reshape(input.array.shape)
    parts = [values, *([inverse.reshape(-1) if axis is not None else inverse] if return_inverse else ())]
    parts += [counts] if return_counts else []
    tensors = tuple(wrap(np.asarray(p if i == 0 else p.astype(np.int64)), input.device) for i, p in enumerate(parts))
    return tensors if len(tensors) > 1 else tensors[0]


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The first of each run of equal elements (or of equal slices along `dim`); arguments as `unique`."""
    need("unique_consecutive", input)
    axis = None if dim is None else wrap_dim(dim, input.array.ndim, "unique_consecutive")
    array = host(input).reshape(-1) if axis is None else np.moveaxis(host(input), axis, 0)
    rows = array.reshape(len(array), math.prod(array.shape[1:]))
    start = np.ones(len(rows), bool)
    start[1:] = (rows[1:] != rows[:-1]).any(1)
    values = array[start] if axis is None else np.moveaxis(array[start], 0, axis)
    inverse = start.cumsum() - 1
    counts = np.diff(np.append(np.flatnonzero(start), len(rows)))
    if axis is None:
        inverse = inverse.reshape(input.array.shape)
    parts = [values, *([inverse] if return_inverse else ()), *([counts] if return_counts else ())]
    arrays = [np.array(p if i == 0 else p.astype(np.int64), order="C") for i, p in enumerate(parts)]
    tensors = tuple(wrap(a, input.device) for a in arrays)
    return tensors if len(tensors) > 1 else tensors[0]


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... occurs in a 1-D tensor of integers, or the sum of its `weights`.

    Raises:
        RuntimeError: for negative numbers, other dtypes or shapes.
    """
    need("bincount", input)
    if input.array.ndim != 1 or input.array.dtype.kind not in "iu" or (input.array < 0).any():
        raise RuntimeError(
            "bincount: expected a 1-D tensor of integers from 0 on, got shape "
            f"{tuple(input.array.shape)} of {input.dtype}"
        )
    if minlength < 0:
        raise RuntimeError(f"bincount: minlength must not be negative, got {minlength}")
    if weights is None:
        return wrap(np.bincount(host(input), minlength=minlength).astype(np.int64), input.device)
    if weights.array.shape != input.array.shape:
        raise RuntimeError(
            f"bincount: weights have shape {tuple(weights.array.shape)}, the input {tuple(input.array.shape)}"
        )
    kind = np.float32 if weights.array.dtype == np.float32 else np.float64
    return wrap(np.bincount(host(input), host(weights), minlength).astype(kind), input.device)


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` equal steps from `min` to `max` (of the input, if both are equal)."""
    need_float("histc", input)
    if bins < 1:
        raise RuntimeError(f"histc: bins must be at least 1, got {bins}")
    low, high = builtins.float(min), builtins.float(max)
    if low == high and input.array.size:
        low, high = builtins.float(input.array.min()), builtins.float(input.array.max())
    if low == high:
        low, high = low - 1, high + 1
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise RuntimeError(f"histc: the range from {low} to {high} must be finite and rising")
    counts = np.histogram(host(input).astype(np.float64), bins, (low, high))[0]
    return wrap(counts.astype(input.array.dtype), input.device)


def _tensor_or_number(name: str, value: Any) -> None:
    if not isinstance(value, (Tensor, int, float, np.generic)):
        raise TypeError(f"{name}: expected a Tensor or a number, got {type(value).__name__}")


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where to insert each value so that the last dimension of `sorted_sequence` stays in order."""
    need("searchsorted", sorted_sequence)
    _tensor_or_number("searchsorted", input)
    if side not in (None, "left", "right"):
        raise RuntimeError(f"searchsorted: side must be 'left' or 'right', got {side!r}")
    if side == "left" and right:
        raise RuntimeError("searchsorted: side='left' contradicts right=True")
    values = input if isinstance(input, Tensor) else wrap(np.asarray(input))
    places, numbers = host(sorted_sequence), host(values)
    if isinstance(input, Tensor) and numbers.dtype != places.dtype:
        raise RuntimeError(f"searchsorted: the sequence is {sorted_sequence.dtype}, the values {values.dtype}")
    if places.ndim == 0 or (places.ndim > 1 and places.shape[:-1] != numbers.shape[:-1]):
        raise RuntimeError(
            f"searchsorted: sequence {tuple(places.shape)} and values {tuple(numbers.shape)} must have equal sizes in "
            "front of the last dimension"
        )
    if sorter is not None:
        if sorter.array.shape != places.shape or sorter.array.dtype != np.int64:
            raise RuntimeError(
                f"searchsorted: the sorter must be int64 of shape {tuple(places.shape)}, got "
                f"{tuple(sorter.array.shape)} of {sorter.dtype}"
            )
        if sorter.array.size and (sorter.array.min() < 0 or sorter.array.max() >= places.shape[-1]):
            raise RuntimeError("searchsorted: the sorter points outside the sequence")
        places = np.take_along_axis(places, host(sorter), -1)
    where_to: Any = "right" if right or side == "right" else "left"
    if places.ndim == 1:
        result = np.searchsorted(places, numbers, where_to)
    else:
        count = math.prod(places.shape[:-1])
        rows = zip(*(v.reshape(count, v.shape[-1]) for v in (places, numbers)), strict=True)
        found = [np.searchsorted(p, v, where_to) for p, v in rows]
        result = np.asarray(found, np.int64).reshape(numbers.shape)
    return wrap(np.asarray(result).astype(np.int32 if out_int32 else np.int64), sorted_sequence.device)


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the interval between 1-D `boundaries` that each value lies in."""
    need("bucketize", boundaries)
    _tensor_or_number("bucketize", input)
    if boundaries.array.ndim != 1:
        raise RuntimeError(f"bucketize: boundaries must be 1-D, got shape {tuple(boundaries.array.shape)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is among `test_elements`, as a bool tensor."""
    for values in (elements, test_elements):
        _tensor_or_number("isin", values)
    a, b = (host(v) if isinstance(v, Tensor) else np.asarray(v) for v in (elements, test_elements))
    if a.dtype.kind == "b" or b.dtype.kind == "b":
        raise RuntimeError("isin: not for bool tensors; convert with .long()")
    place = next((v.device for v in (elements, test_elements) if isinstance(v, Tensor)), CPU)
    return wrap(np.asarray(np.isin(a, b, assume_unique=assume_unique, invert=invert)), place)


def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix.

    Raises:
        RuntimeError: if it is not a matrix.
    """
    need("trace", input)
    if input.array.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, got shape {tuple(input.array.shape)}")
    if input.array.dtype.kind == "b":
        raise RuntimeError("trace: bools are not added up here; convert with .long()")
    n = builtins.min(input.array.shape)
    k = wrap(np.arange(n), input.device)
    return r.sum(flatten(input)[k * (input.array.shape[1] + 1)])
