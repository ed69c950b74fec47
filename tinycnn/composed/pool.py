"""Poolings made of `ops.pool` and of matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from .._tensor import Tensor, filled, host, need, wrap
from ..kernels.geometry import _integer, _pair
from ..ops import elementwise as ew
from ..ops import pool as primitive
from ..ops.elementwise import cast, has_kernels
from ..ops.matmul import matmul
from ..ops.shape import IndexPut, flatten, matrix_transpose, reshape, squeeze, unsqueeze
from .conv import Ints, _one
from .reduce import max


def _single(op: str, input: Any, ndim: int, what: str) -> None:
    need(op, input)
    if input.array.ndim not in (ndim, ndim + 1):
        raise RuntimeError(f"{op}: expected {what}, got shape {tuple(input.array.shape)}")


def _wide(op: str, input: Tensor) -> Tensor:
    """float16 as float32; other floats as they are."""
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"{op}: expected a floating-point tensor, got {input.dtype}; convert with .float()")
    return cast(input, dtypes.float32) if input.array.itemsize < 4 else input


def max_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window. Padding counts as -inf; of equal ones the first gets the gradient.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        stride: defaults to `kernel_size`.
        ceil_mode: also keep a last window that reaches over the edge, unless it would start in the right padding.
        return_indices: also return, as int64, where in its image (i * W + j) each maximum was found.

    Returns:
        (N, C, OH, OW), or the pair (values, indices).

    Raises:
        TypeError, ValueError, RuntimeError: with the rule and the numbers, if the arguments do not fit.
    """
    if isinstance(input, Tensor) and not has_kernels(input):
        kind = input.dtype
        if kind.category == dtypes.BOOL:
            raise RuntimeError("max_pool2d: not for bool tensors; convert with .float()")
        wide = cast(input, dtypes.float64 if kind.category == dtypes.INT else dtypes.float32)
        y = primitive.max_pool2d(wide, kernel_size, stride, padding, dilation, ceil_mode, return_indices)  # type: ignore[arg-type]
        return (cast(y[0], kind), y[1]) if return_indices else cast(y, kind)
    return primitive.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)  # type: ignore[arg-type]


def max_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool2d` along one dimension: (N, C, L) or (C, L)."""
    op = "max_pool1d"
    _single(op, input, 2, "(N, C, L) or (C, L)")
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"{op}: not for {input.dtype} tensors; convert with .float()")
    k = _one(op, "kernel_size", kernel_size, 1)
    s = k if stride is None or stride == () or stride == [] else _one(op, "stride", stride, 1)
    p, d = _one(op, "padding", padding, 0), _one(op, "dilation", dilation, 1)
    y = max_pool2d(unsqueeze(input, -2), (1, k), (1, s), (0, p), (1, d), ceil_mode, return_indices)
    return (squeeze(y[0], -2), squeeze(y[1], -2)) if return_indices else squeeze(y, -2)


def avg_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        stride: defaults to `kernel_size`.
        ceil_mode: also keep a last window that reaches over the edge, unless it would start in the right padding.
        count_include_pad: whether padded zeros count as elements.
        divisor_override: divide by this number instead of the number of elements.

    Raises:
        TypeError, ValueError, RuntimeError: with the rule and the numbers, if the arguments do not fit.
    """
    rule: Any = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    if isinstance(input, Tensor) and not has_kernels(input):
        if input.array.dtype.kind != "f" and input.array.dtype != np.int64:
            raise RuntimeError(f"avg_pool2d: not for {input.dtype} tensors; convert with .float()")
        wide = cast(input, dtypes.float64 if input.array.dtype.kind != "f" else dtypes.float32)
        return cast(primitive.avg_pool2d(wide, *rule), input.dtype)
    return primitive.avg_pool2d(input, *rule)


def avg_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """`avg_pool2d` along one dimension: (N, C, L) or (C, L)."""
    op = "avg_pool1d"
    _single(op, input, 2, "(N, C, L) or (C, L)")
    k = _one(op, "kernel_size", kernel_size, 1)
    s = k if stride is None or stride == () or stride == [] else _one(op, "stride", stride, 1)
    p = _one(op, "padding", padding, 0)
    return squeeze(avg_pool2d(unsqueeze(input, -2), (1, k), (1, s), (0, p), ceil_mode, count_include_pad), -2)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x**p over each window)**(1/p)."""
    need("lp_pool2d", input)
    k = _pair("lp_pool2d", "kernel_size", kernel_size, 1)
    total = avg_pool2d(input**norm_type, k, stride, 0, ceil_mode)
    return (ew.sign(total) * ew.relu(ew.abs(total)) * (k[0] * k[1])) ** (1.0 / norm_type)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x**p over each window)**(1/p), along one dimension."""
    need("lp_pool1d", input)
    k = _one("lp_pool1d", "kernel_size", kernel_size, 1)
    total = avg_pool1d(input**norm_type, k, stride, 0, ceil_mode)
    return (ew.sign(total) * ew.relu(ew.abs(total)) * k) ** (1.0 / norm_type)


# -- to a given size --------------------------------------------------------------------------------------------------


def _targets(op: str, input: Tensor, output_size: Any, ndim: int) -> tuple[int, ...]:
    """The wanted size; None keeps that of the input."""
    _single(op, input, ndim + 1, f"{ndim + 2} dimensions, or {ndim + 1} without a batch")
    sizes = input.array.shape[-ndim:]
    if 0 in input.array.shape[-ndim - 1 :]:
        raise RuntimeError(f"{op}: only the batch size may be 0, got shape {tuple(input.array.shape)}")
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * ndim
    if len(given) != ndim:
        raise RuntimeError(f"{op}: output_size must be one number or {ndim}, got {output_size!r}")
    return tuple(
        n if wanted is None else _integer(op, "output_size", wanted, 0) for n, wanted in zip(sizes, given, strict=True)
    )


def _edges(size: int, count: int) -> list[tuple[int, int]]:
    """Where each of `count` windows begins and ends: floor(i * size / count) to ceil((i + 1) * size / count)."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _means(size: int, count: int, like: Tensor) -> Tensor:
    """The matrix (count, size) that takes the mean of each window."""
    matrix = np.zeros((count, size), like.array.dtype)
    for i, (a, b) in enumerate(_edges(size, count)):
        matrix[i, a:b] = 1 / (b - a)
    return wrap(matrix, like.device)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The mean of windows that divide the image evenly: (N, C, H, W) to (N, C, *output_size).

    Window i of n reaches from floor(i * H / n) to ceil((i + 1) * H / n), so windows may overlap by one.

    Args:
        output_size: a number, or a pair; None keeps the size.
    """
    h, w = _targets("adaptive_avg_pool2d", input, output_size, 2)
    x = _wide("adaptive_avg_pool2d", input)
    rows, columns = x.array.shape[-2:]
    if h and w and rows % h == 0 and columns % w == 0:
        return cast(avg_pool2d(x, (rows // h, columns // w)), input.dtype)
    y = matmul(matmul(_means(rows, h, x), x), matrix_transpose(_means(columns, w, x)))
    return cast(y, input.dtype)


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """`adaptive_avg_pool2d` along one dimension: (N, C, L) to (N, C, output_size)."""
    (n,) = _targets("adaptive_avg_pool1d", input, output_size, 1)
    return squeeze(adaptive_avg_pool2d(unsqueeze(input, -2), (1, n)), -2)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of windows as in `adaptive_avg_pool2d`; with `return_indices` also where, as i * W + j."""
    h, w = _targets("adaptive_max_pool2d", input, output_size, 2)
    x = _wide("adaptive_max_pool2d", input)
    rows, columns = x.array.shape[-2:]
    if x.array.size and h and w and not rows % h and not columns % w:  # windows side by side
        found = max_pool2d(x, (rows // h, columns // w), return_indices=return_indices)
        return (cast(found[0], input.dtype), found[1]) if return_indices else cast(found, input.dtype)
    places = []
    for size, count in ((rows, h), (columns, w)):
        edges = _edges(size, count)
        longest = int(np.max([b - a for a, b in edges], initial=1))
        places.append(
            np.array([[np.minimum(a + k, b - 1) for k in range(longest)] for a, b in edges]).reshape(-1, longest)
        )
    r, c = places[0].astype(np.int64), places[1].astype(np.int64)
    windows = x[..., r[:, None, :, None], c[None, :, None, :]]
    flat = flatten(windows, -2) if windows.array.size else reshape(windows, (*windows.array.shape[:-2], 1))[..., :0]
    if not flat.array.size:
        y = flat.sum(-1)
        best = cast(y.detach(), dtypes.int64)
    else:
        y, best = max(flat, -1)
    y = cast(y, input.dtype)
    if not return_indices:
        return y
    kh, kw = np.divmod(host(best), c.shape[1])
    i = np.take_along_axis(np.broadcast_to(r[:, None, :], (*y.array.shape[:-2], h, w, r.shape[1])), kh[..., None], -1)
    j = np.take_along_axis(np.broadcast_to(c[None], (*y.array.shape[:-2], h, w, c.shape[1])), kw[..., None], -1)
    return y, wrap((i * columns + j)[..., 0].astype(np.int64), input.device)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """`adaptive_max_pool2d` along one dimension: (N, C, L) to (N, C, output_size)."""
    (n,) = _targets("adaptive_max_pool1d", input, output_size, 1)
    y, indices = adaptive_max_pool2d(unsqueeze(input, -2), (1, n), True)
    return (squeeze(y, -2), squeeze(indices, -2)) if return_indices else squeeze(y, -2)


def _unpooled(op: str, input: Tensor, indices: Tensor, ndim: int, rule: Any, output_size: Any) -> Tensor:
    """The elements at their indices in images of zeros."""
    _single(op, input, ndim + 1, f"{ndim + 2} dimensions, or {ndim + 1} without a batch")
    need(op, indices)
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"{op}: not for {input.dtype} tensors; convert with .float()")
    if indices.array.dtype != np.int64 or indices.array.shape != input.array.shape:
        raise RuntimeError(
            f"{op}: the indices must be int64 of shape {tuple(input.array.shape)}, got {indices.dtype} of "
            f"{tuple(indices.array.shape)}"
        )
    if 0 in input.array.shape[-ndim:]:
        raise RuntimeError(f"{op}: only the batch size may be 0, got shape {tuple(input.array.shape)}")
    sizes = input.array.shape[-ndim:]
    default = tuple((n - 1) * s + k - 2 * p for n, k, s, p in zip(sizes, *rule, strict=True))
    if output_size is None:
        target = default
    else:
        target = tuple(output_size)[-ndim:]
        for wanted, n, s in zip(target, default, rule[1], strict=True):
            if not n - s < wanted < n + s:
                raise ValueError(f"{op}: output_size {target} is too far from {default}, at most a stride {rule[1]}")
    count = int(np.prod(target))
    if indices.array.size and (indices.array.min() < 0 or indices.array.max() >= count):
        raise RuntimeError(
            f"{op}: index {indices.array.min()} to {indices.array.max()} lies outside an output of {target}"
        )
    planes = int(np.prod(input.array.shape[:-ndim]))
    x = reshape(input, (planes, int(np.prod(sizes))))
    key = (x.device.xp.arange(planes)[:, None], indices.array.reshape(x.array.shape))
    frame = filled((planes, count), x.array.dtype, x.device)
    return reshape(IndexPut.apply(frame, x, key), (*input.array.shape[:-ndim], *target))


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Any = None,
) -> Tensor:
    """The elements of `input` at the `indices` that `max_pool2d` returned, in images of zeros.

    Args:
        output_size: which of the sizes that pool to that of `input`; (H - 1) * S + K - 2P by default.
    """
    op = "max_unpool2d"
    k = _pair(op, "kernel_size", kernel_size, 1)
    s = k if stride is None else _pair(op, "stride", stride, 1)
    return _unpooled(op, input, indices, 2, (k, s, _pair(op, "padding", padding, 0)), output_size)


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Any = None,
) -> Tensor:
    """`max_unpool2d` along one dimension."""
    op = "max_unpool1d"
    k = _one(op, "kernel_size", kernel_size, 1)
    s = k if stride is None else _one(op, "stride", stride, 1)
    return _unpooled(op, input, indices, 1, ((k,), (s,), (_one(op, "padding", padding, 0),)), output_size)
