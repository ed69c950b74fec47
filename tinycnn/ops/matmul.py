"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._tensor import Tensor, need, wrap
from ..autograd import Function, hang, is_grad_enabled, node_for
from .elementwise import unmasked
from .reduce import sum
from .shape import expand, matrix_transpose, reshape, unsqueeze


def _plain(x: Tensor, flip: bool) -> tuple[Any, bool]:
    """A row-major array and whether the kernel has to transpose it: a transposed view costs no copy."""
    if x.array.flags.c_contiguous:
        return x.array, flip
    flipped = x.array.swapaxes(-1, -2)
    return (flipped, not flip) if flipped.flags.c_contiguous else (x.device.kernels.copy(x.array), flip)


def _product(a: Tensor, b: Tensor, flip_a: bool = False, flip_b: bool = False) -> Tensor:
    """a @ b without history, the last two dimensions of each exchanged if so flagged."""
    x, y = a.array, b.array
    if not (x.flags.c_contiguous and y.flags.c_contiguous):
        (x, flip_a), (y, flip_b) = _plain(a, flip_a), _plain(b, flip_b)
    return wrap(a.device.kernels.matmul(x, y, flip_a, flip_b), a.device)


class MatMul(Function):
    """a (M, K) @ b (K, N), or the same for each of B matrices: (B, M, K) @ (B, K, N)."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return _product(a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        a, b = ctx.saved_tensors
        for_a, for_b = ctx.edges
        if is_grad_enabled():
            ga = None if for_a is None else MatMul.apply(g, matrix_transpose(b))
            gb = None if for_b is None else MatMul.apply(matrix_transpose(a), g)
        else:
            ga = None if for_a is None else _product(g, b, flip_b=True)
            gb = None if for_b is None else _product(a, g, flip_a=True)
        return ga, gb


def same_kind(name: str, a: Any, b: Any, what: str = "the second operand") -> None:
    """Refuse operands that are not Tensors of one dtype on one device.

    Raises:
        TypeError, RuntimeError: in words, with both.
    """
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        raise TypeError(f"{name}: expected Tensors, got {type(a).__name__} and {type(b).__name__} ({what})")
    if a.device is not b.device and a.device != b.device:
        raise RuntimeError(f"{name}: the input is on {a.device}, {what} on {b.device}; move one with .to(...)")
    if a.array.dtype is not b.array.dtype and a.array.dtype != b.array.dtype:
        raise RuntimeError(
            f"{name}: the input is {a.dtype}, {what} {b.dtype}; they must be equal, convert one with .to(...)"
        )


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product over the last two dimensions; the ones in front are batches and broadcast.

    A vector counts as a row on the left and as a column on the right, and that dimension is dropped from the result:
    (K,) @ (K,) is the inner product, (M, K) @ (K,) is (M,).

    Raises:
        TypeError: if an operand is not a Tensor.
        RuntimeError: for a 0-d operand, different dtypes, or inner sizes that differ.
    """
    same_kind("matmul", input, other)
    if input.array.dtype.kind == "b":
        raise RuntimeError("matmul: bool tensors have no products; convert with .float() or .long()")
    shape_a, shape_b = input.array.shape, other.array.shape
    if len(shape_a) == len(shape_b) == 2 and shape_a[1] == shape_b[0]:
        y = _product(input, other)
        ctx = node_for(MatMul, input, other)
        if ctx is not None:
            ctx._saved = input, other
            hang(ctx, y)
        return y
    if not shape_a or not shape_b:
        raise RuntimeError(
            f"matmul: both operands need at least one dimension, got shapes {tuple(shape_a)} and {tuple(shape_b)}"
        )
    row, column = len(shape_a) == 1, len(shape_b) == 1
    a, b = unsqueeze(input, 0) if row else input, unsqueeze(other, 1) if column else other
    m, k, n = a.array.shape[-2], a.array.shape[-1], b.array.shape[-1]
    if k != b.array.shape[-2]:
        raise RuntimeError(
            f"matmul: shapes {tuple(shape_a)} and {tuple(shape_b)} cannot be multiplied: "
            f"the inner sizes {k} and {b.array.shape[-2]} must be equal"
        )
    if b.array.ndim == 2:  # one matrix on the right: the batches on the left are just more rows
        batch = a.array.shape[:-2]
        result = MatMul.apply(reshape(a, (math.prod(batch) * m, k)) if len(batch) else a, b)
    else:
        try:
            batch = np.broadcast_shapes(a.array.shape[:-2], b.array.shape[:-2])
        except ValueError:
            raise RuntimeError(
                f"matmul: the batch sizes of shapes {tuple(shape_a)} and {tuple(shape_b)} do not broadcast"
            ) from None
        a = reshape(expand(a, (*batch, m, k)), (math.prod(batch), m, k))
        b = reshape(expand(b, (*batch, k, n)), (math.prod(batch), k, n))
        result = MatMul.apply(a, b)
    return reshape(result, (*batch, *(() if row else (m,)), *(() if column else (n,))))


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """(M, K) @ (K, N), for matrices only."""
    need("mm", input, mat2)
    if input.array.ndim != 2 or mat2.array.ndim != 2:
        raise RuntimeError(
            f"mm: expected two matrices, got shapes {tuple(input.array.shape)} and {tuple(mat2.array.shape)}"
        )
    return matmul(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """(B, M, K) @ (B, K, N), for equal batches only."""
    need("bmm", input, mat2)
    if input.array.ndim != 3 or mat2.array.ndim != 3 or input.array.shape[0] != mat2.array.shape[0]:
        raise RuntimeError(
            f"bmm: expected (B, M, K) and (B, K, N), got {tuple(input.array.shape)} and {tuple(mat2.array.shape)}"
        )
    return matmul(input, mat2)


class Linear(Function):
    """The node that `linear` records: x (R, I) @ weight (O, I)^T + bias (O,)."""

    takes_masks = True

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.edges
        if is_grad_enabled():
            gx = None if for_x is None else MatMul.apply(g, weight)
            gw = None if for_weight is None else MatMul.apply(matrix_transpose(g), x)
            gb = None if for_bias is None else sum(g, 0)
        else:
            wanted, (gy, y) = ctx.needs_input_grad, unmasked(g, ctx)
            found = g.device.kernels.linear_grad(gy, x.array, weight.array, wanted, y)
            gx, gw, gb = [None if a is None else wrap(a, g.device) for a in found]
        return gx, gw, gb


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight^T + bias.

    Args:
        input: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,) or None.

    Returns:
        (..., out_features).

    Raises:
        RuntimeError: if the sizes or dtypes do not fit.
    """
    same_kind("linear", input, weight, "the weight")
    if input.array.dtype.kind == "b":
        raise RuntimeError("linear: bool tensors have no products; convert with .float()")
    if weight.array.ndim != 2:
        raise RuntimeError(
            f"linear: the weight must be (out_features, in_features), got shape {tuple(weight.array.shape)}"
        )
    shape, (out_features, in_features) = input.array.shape, weight.array.shape
    if not shape or shape[-1] != in_features:
        raise RuntimeError(
            f"linear: the input's last dimension must be in_features = {in_features}, got shape {tuple(shape)} "
            f"for a weight of shape {(out_features, in_features)}"
        )
    if bias is not None:
        same_kind("linear", input, bias, "the bias")
        if bias.array.shape != (out_features,):
            raise RuntimeError(f"linear: the bias must have shape ({out_features},), got {tuple(bias.array.shape)}")
    x = input if len(shape) == 2 else reshape(input, (math.prod(shape[:-1]), in_features))
    y = _product(x, weight, flip_b=True)
    if bias is not None:
        y.array += bias.array
    ctx = node_for(Linear, x, weight, bias)
    if ctx is not None:
        ctx._saved = x, weight
        hang(ctx, y)
    return y if len(shape) == 2 else reshape(y, (*shape[:-1], out_features))
