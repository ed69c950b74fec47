"""Reductions: operations that take many elements to one."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from .. import dtypes
from .._tensor import Tensor, need, wrap
from ..autograd import Function, is_grad_enabled
from .elementwise import cast, eq, logical_and, where
from .shape import expand, reshape, unsqueeze, wrap_dim

Dims = int | tuple[int, ...] | list[int] | None


def _axes(dim: Dims, ndim: int, name: str) -> tuple[int, ...]:
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    axes = tuple(wrap_dim(d, ndim, name) for d in (dim if isinstance(dim, (tuple, list)) else (dim,)))
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"{name}: a dimension appears twice in {dim}")
    return axes if ndim else ()


def _kept(x: Tensor, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with reduced dimensions kept as 1."""
    return tuple(1 if i in axes else n for i, n in enumerate(x.array.shape))


class Sum(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, axes: tuple[int, ...], keepdim: bool) -> Tensor:
        ctx.shape, ctx.kept = x.array.shape, _kept(x, axes)
        return wrap(x.device.kernels.sum(x.array, axes, keepdim), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return expand(reshape(g, ctx.kept), ctx.shape), None, None


def sum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over the dimensions `dim` (all if None). Integers and bools add up as int64.

    Args:
        keepdim: keep the reduced dimensions with size 1.
        dtype: convert to it first.

    Raises:
        IndexError, RuntimeError: if a dimension does not exist or appears twice.
    """
    need("sum", input)
    if dtype is not None:
        input = cast(input, dtypes.as_dtype(dtype))
    elif input.array.dtype.kind != "f":
        input = cast(input, dtypes.int64)
    return Sum.apply(input, _axes(dim, input.array.ndim, "sum"), keepdim)


def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """The sum over what broadcasting `size` to the shape of `input` would stretch.

    Raises:
        RuntimeError: if `size` does not broadcast to that shape.
    """
    need("sum_to_size", input)
    target = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else tuple(size)
    shape = input.array.shape
    new = len(shape) - len(target)
    if new < 0 or not builtins.all(b in (1, a) for a, b in zip(shape[new:], target, strict=True)):
        raise RuntimeError(f"sum_to_size: {target} does not broadcast to shape {tuple(shape)}")
    axes = tuple(i for i, n in enumerate(shape) if i < new or (target[i - new] == 1 and n != 1))
    if not axes:
        return reshape(input, target)
    if input.array.dtype.kind != "f":
        input = cast(input, dtypes.int64)
    return reshape(Sum.apply(input, axes, True), target)


def mean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over the dimensions `dim` (all if None); NaN over nothing.

    Raises:
        RuntimeError: for integers and bools, unless `dtype` makes them floats.
    """
    need("mean", input)
    if dtype is not None:
        input = cast(input, dtypes.as_dtype(dtype))
    if input.array.dtype.kind != "f":
        raise RuntimeError(
            f"mean: the input must be floating-point, got {input.dtype}; convert with .float() or pass dtype="
        )
    axes = _axes(dim, input.array.ndim, "mean")
    count = math.prod([input.array.shape[a] for a in axes])
    total = Sum.apply(input, axes, keepdim)
    return total / count if count else total * float("nan")


class Extremum(Function):
    """amax or amin; equal extremes share the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, name: str, axes: tuple[int, ...], keepdim: bool) -> Tensor:
        y = wrap(getattr(x.device.kernels, "a" + name.removeprefix("a"))(x.array, axes, keepdim), x.device)
        ctx.axes, ctx.kept = axes, _kept(x, axes)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, y = ctx.saved_tensors
        hit = cast(eq(x.detach(), reshape(y.detach(), ctx.kept)), x.dtype)
        return reshape(g, ctx.kept) * (hit / sum(hit, ctx.axes or None, True)), None, None, None


def _extremum(name: str, input: Tensor, dim: Dims, keepdim: bool) -> Tensor:
    need(name, input)
    axes = _axes(dim, input.array.ndim, name)
    for a in axes:
        if not input.array.shape[a]:
            _refuse_empty(name, input, None if len(axes) == input.array.ndim else a)
    return Extremum.apply(input, name, axes, keepdim)


def amax(input: Tensor, dim: Dims = (), keepdim: bool = False) -> Tensor:
    """The largest element over `dim` (all if empty); equal ones share the gradient, NaN wins."""
    return _extremum("amax", input, dim, keepdim)


def amin(input: Tensor, dim: Dims = (), keepdim: bool = False) -> Tensor:
    """The smallest element over `dim` (all if empty); equal ones share the gradient, NaN wins."""
    return _extremum("amin", input, dim, keepdim)


def _refuse_empty(name: str, input: Tensor, dim: int | None) -> None:
    """Raise the error for a search among no elements: of the whole tensor if `dim` is None, else along it."""
    shape = tuple(input.array.shape)
    if dim is None:
        kind = IndexError if name.startswith("arg") else RuntimeError
        raise kind(f"{name}: the tensor of shape {shape} is empty, there is no extreme; pass a dim whose size is not 0")
    raise IndexError(f"{name}: shape {shape} has size 0 along dimension {dim}, where there is no extreme")


def _arg(name: str, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    need(name, input)
    if input.array.dtype.kind == "b" and name.startswith("arg") and dim is None:
        raise RuntimeError(f"{name}: bool tensors have no order here; convert with .long()")
    axis = None if dim is None else wrap_dim(dim, input.array.ndim, name)
    if not (input.array.size if axis is None or not input.array.ndim else input.array.shape[axis]):
        _refuse_empty(name, input, axis)
    if not input.array.ndim:
        return wrap(np.zeros((), np.int64), input.device)
    return wrap(getattr(input.device.kernels, name)(input.array, axis, keepdim), input.device)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the largest element along `dim` (in the flattened tensor if None); the first of equals."""
    return _arg("argmax", input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the smallest element along `dim` (in the flattened tensor if None); the first of equals."""
    return _arg("argmin", input, dim, keepdim)


def _truth(name: str, input: Tensor, dim: Dims, keepdim: bool) -> Tensor:
    need(name, input)
    axes = () if dim == () and not isinstance(dim, int) else _axes(dim, input.array.ndim, name)
    result = getattr(input.device.kernels, name)(input.array, axes, keepdim)
    return wrap(result.astype(np.uint8) if input.array.dtype == np.uint8 else result, input.device)


def any(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether an element is not zero, over `dim` (all if None)."""
    return _truth("any", input, dim, keepdim)


def all(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether every element is not zero, over `dim` (all if None)."""
    return _truth("all", input, dim, keepdim)


# -- running results --------------------------------------------------------------------------------------------------


class CumSum(Function):
    """Sums of the first 1, 2, ... entries along an axis; of the last ones with `back`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, axis: int, back: bool) -> Tensor:
        ctx.axis, ctx.back = axis, back
        return wrap(x.device.kernels.cumsum(x.array, axis, back), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return CumSum.apply(g, ctx.axis, not ctx.back), None, None


class CumProd(Function):
    """Products of the first 1, 2, ... entries along the last axis."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = wrap(x.device.kernels.cumprod(x.array), x.device)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        if x.array.all():
            return CumSum.apply(g * y, x.array.ndim - 1, True) / x
        n = x.array.shape[-1]  # with zeros: the products without entry k, for each k
        k = np.arange(n)
        products = CumProd.apply(where(wrap(k[:, None] == k, x.device), 1.0, unsqueeze(x, -2)))
        return sum(where(wrap(k[:, None] <= k, x.device), products, 0.0) * unsqueeze(g, -2), -1)


class Prod(Function):
    """The product over the last axis."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = wrap(x.device.kernels.prod(x.array, (x.array.ndim - 1,), False), x.device)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        g = unsqueeze(g, -1)
        if x.array.all():
            return g * (unsqueeze(y, -1) / x)
        if is_grad_enabled():  # the products without entry k, for each k, so that they can be differentiated again
            k = np.arange(x.array.shape[-1])
            return g * Prod.apply(where(wrap(k[:, None] == k, x.device), 1.0, unsqueeze(x, -2)))
        zero = eq(x, 0)
        zeros = sum(zero, -1, True)
        others = unsqueeze(Prod.apply(where(zero, 1.0, x)), -1)
        lone = where(logical_and(zero, eq(zeros, 1)), others, 0.0)
        return g * where(eq(zeros, 0), others / where(zero, 1.0, x), lone)
