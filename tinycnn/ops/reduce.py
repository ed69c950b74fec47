"""Reductions: operations that take many elements to one."""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from .._tensor import Tensor, wrap
from ..autograd import Function
from .elementwise import cast, eq, maximum, minimum, sqrt
from .shape import expand, gather, reshape, squeeze, wrap_dim

Dims = int | tuple[int, ...] | list[int] | None


class ValuesIndices(NamedTuple):
    """What `max` and `min` along a dimension return."""

    values: Tensor
    indices: Tensor


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
    target = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else tuple(size)
    shape = input.array.shape
    new = len(shape) - len(target)
    if new < 0 or not builtins.all(b in (1, a) for a, b in zip(shape[new:], target, strict=True)):
        raise RuntimeError(f"sum_to_size: {target} does not broadcast to shape {tuple(shape)}")
    axes = tuple(i for i, n in enumerate(shape) if i < new or (target[i - new] == 1 and n != 1))
    return reshape(Sum.apply(input, axes, True), target) if axes else reshape(input, target)


def mean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over the dimensions `dim` (all if None); NaN over nothing.

    Raises:
        RuntimeError: for integers and bools, unless `dtype` makes them floats.
    """
    if dtype is not None:
        input = cast(input, dtypes.as_dtype(dtype))
    if input.array.dtype.kind != "f":
        raise RuntimeError(
            f"mean: the input must be floating-point, got {input.dtype}; convert with .float() or pass dtype="
        )
    axes = _axes(dim, input.array.ndim, "mean")
    count = 1
    for a in axes:
        count *= input.array.shape[a]
    total = Sum.apply(input, axes, keepdim)
    return total / count if count else total * float("nan")


def var(
    input: Tensor, dim: Dims = None, *, correction: float = 1, keepdim: bool = False, unbiased: bool | None = None
) -> Tensor:
    """The variance: the sum of squared distances from the mean, divided by (count - correction).

    Args:
        correction: 1 for the unbiased estimate, 0 for the mean square.
        unbiased: PyTorch's older name for correction = 1 (True) or 0 (False).
    """
    if unbiased is not None:
        correction = int(unbiased)
    axes = _axes(dim, input.array.ndim, "var")
    count = 1
    for a in axes:
        count *= input.array.shape[a]
    distance = input - mean(input, axes or None, True)
    total = sum(distance * distance, axes or None, keepdim)
    degrees = count - correction
    return total / degrees if degrees > 0 else total * float("nan")


def std(
    input: Tensor, dim: Dims = None, *, correction: float = 1, keepdim: bool = False, unbiased: bool | None = None
) -> Tensor:
    """The square root of `var`."""
    return sqrt(var(input, dim, correction=correction, keepdim=keepdim, unbiased=unbiased))


class Extremum(Function):
    """amax or amin; equal extremes share the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, name: str, axes: tuple[int, ...], keepdim: bool) -> Tensor:
        y = wrap(getattr(x.device.kernels, name)(x.array, axes, keepdim), x.device)
        ctx.axes, ctx.kept = axes, _kept(x, axes)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, y = ctx.saved_tensors
        hit = cast(eq(x.detach(), reshape(y.detach(), ctx.kept)), x.dtype)
        return reshape(g, ctx.kept) * (hit / sum(hit, ctx.axes or None, True)), None, None, None


def _extremum(name: str, input: Tensor, dim: Dims, keepdim: bool) -> Tensor:
    axes = _axes(dim, input.array.ndim, name)
    if 0 in [input.array.shape[a] for a in axes]:
        raise IndexError(
            f"{name}: shape {tuple(input.array.shape)} has nothing along dimension {dim}, so there is no extreme"
        )
    return Extremum.apply(input, name, axes, keepdim)


def amax(input: Tensor, dim: Dims = (), keepdim: bool = False) -> Tensor:
    """The largest element over `dim` (all if empty); equal ones share the gradient, NaN wins."""
    return _extremum("amax", input, dim, keepdim)


def amin(input: Tensor, dim: Dims = (), keepdim: bool = False) -> Tensor:
    """The smallest element over `dim` (all if empty); equal ones share the gradient, NaN wins."""
    return _extremum("amin", input, dim, keepdim)


def _arg(name: str, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    axis = None if dim is None else wrap_dim(dim, input.array.ndim, name)
    if not (input.array.size if axis is None or not input.array.ndim else input.array.shape[axis]):
        raise IndexError(f"{name}: shape {tuple(input.array.shape)} has nothing along dimension {dim}")
    if not input.array.ndim:
        return wrap(np.zeros((), np.int64), input.device)
    return wrap(getattr(input.device.kernels, name)(input.array, axis, keepdim), input.device)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the largest element along `dim` (in the flattened tensor if None); the first of equals."""
    return _arg("argmax", input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the smallest element along `dim` (in the flattened tensor if None); the first of equals."""
    return _arg("argmin", input, dim, keepdim)


def _along(name: str, input: Tensor, dim: int, keepdim: bool) -> ValuesIndices:
    if not input.array.ndim:
        return ValuesIndices(reshape(input, ()), _arg("arg" + name, input, dim, keepdim))
    dim = wrap_dim(dim, input.array.ndim, name)
    indices = _arg("arg" + name, input, dim, True)
    values = gather(input, dim, indices)
    return ValuesIndices(values, indices) if keepdim else ValuesIndices(squeeze(values, dim), squeeze(indices, dim))


def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; or along `dim` the pair (values, indices), first of equals; or `maximum` of two tensors."""
    if isinstance(dim, Tensor):
        return maximum(input, dim)
    return _extremum("amax", input, None, False) if dim is None else _along("max", input, dim, keepdim)


def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; or along `dim` the pair (values, indices), first of equals; or `minimum` of two tensors."""
    if isinstance(dim, Tensor):
        return minimum(input, dim)
    return _extremum("amin", input, None, False) if dim is None else _along("min", input, dim, keepdim)


def _truth(name: str, input: Tensor, dim: Dims, keepdim: bool) -> Tensor:
    return wrap(
        getattr(input.device.kernels, name)(input.array, _axes(dim, input.array.ndim, name), keepdim), input.device
    )


def any(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether an element is not zero, over `dim` (all if None)."""
    return _truth("any", input, dim, keepdim)


def all(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether every element is not zero, over `dim` (all if None)."""
    return _truth("all", input, dim, keepdim)
