"""Tensor's methods and operators, bound here and nowhere else: each is a function of `ops` or `composed`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import autograd, dtypes
from ._tensor import Tensor
from .ops import create, elementwise, inplace, loss, matmul, reduce, shape


def _to_dtype(dtype: dtypes.dtype | None) -> Any:
    def method(self: Any) -> Tensor:
        return elementwise.cast(self, dtype or dtypes.get_default_dtype())

    method.__doc__ = f"This tensor in {dtype}; itself if it is so already."
    return method


class TensorMethods:
    """What can be done with a Tensor."""

    # arithmetic
    add, sub = elementwise.add, elementwise.sub
    __add__ = __radd__ = elementwise.plus
    __sub__ = elementwise.sub
    mul = multiply = __mul__ = __rmul__ = elementwise.mul
    div = divide = true_divide = __truediv__ = elementwise.div
    pow = __pow__ = elementwise.pow
    __rsub__, __rtruediv__, __rpow__ = elementwise.rsub, elementwise.rdiv, elementwise.rpow
    neg = negative = __neg__ = elementwise.neg
    abs = absolute = __abs__ = elementwise.abs
    sign, square, exp, log, sqrt = (
        elementwise.sign,
        elementwise.square,
        elementwise.exp,
        elementwise.log,
        elementwise.sqrt,
    )
    reciprocal, sin, cos, tanh, sigmoid, relu = (
        elementwise.reciprocal,
        elementwise.sin,
        elementwise.cos,
        elementwise.tanh,
        elementwise.sigmoid,
        elementwise.relu,
    )
    maximum, minimum, clamp, clip = elementwise.maximum, elementwise.minimum, elementwise.clamp, elementwise.clamp

    # comparison
    eq, ne, lt, le, gt, ge = (
        elementwise.eq,
        elementwise.ne,
        elementwise.lt,
        elementwise.le,
        elementwise.gt,
        elementwise.ge,
    )
    __lt__, __le__, __gt__, __ge__ = elementwise.lt, elementwise.le, elementwise.gt, elementwise.ge

    def __eq__(self, other: Any) -> Any:
        return elementwise.eq(self, other)

    def __ne__(self, other: Any) -> Any:
        return elementwise.ne(self, other)

    def where(self: Any, condition: Tensor, other: Any) -> Tensor:
        """This tensor where `condition` holds, else `other`."""
        return elementwise.where(condition, self, other)

    # matrices
    mm, bmm, matmul, __matmul__ = matmul.mm, matmul.bmm, matmul.matmul, matmul.matmul

    # reductions
    sum, mean, var, std, sum_to_size = reduce.sum, reduce.mean, reduce.var, reduce.std, reduce.sum_to_size
    max, min, amax, amin, argmax, argmin = (
        reduce.max,
        reduce.min,
        reduce.amax,
        reduce.amin,
        reduce.argmax,
        reduce.argmin,
    )
    any, all = reduce.any, reduce.all
    softmax, log_softmax = loss.softmax, loss.log_softmax

    # shape and index
    reshape, view, view_as, flatten = shape.reshape, shape.view, shape.view_as, shape.flatten
    squeeze, unsqueeze, permute, transpose, movedim, t = (
        shape.squeeze,
        shape.unsqueeze,
        shape.permute,
        shape.transpose,
        shape.movedim,
        shape.t,
    )
    expand, expand_as, broadcast_to = shape.expand, shape.expand_as, shape.broadcast_to
    narrow, split, chunk, unbind, flip, gather = (
        shape.narrow,
        shape.split,
        shape.chunk,
        shape.unbind,
        shape.flip,
        shape.gather,
    )
    __getitem__, __setitem__ = shape.getitem, inplace.setitem
    T, mT = property(shape.reverse_dims), property(shape.matrix_transpose)

    def __iter__(self: Any) -> Iterator[Tensor]:
        if not self.array.ndim:
            raise TypeError("a 0-d tensor has nothing to iterate over")
        return iter(shape.unbind(self, 0))

    # copies and conversions
    clone, contiguous, to = elementwise.clone, elementwise.contiguous, elementwise.to
    half, float, double = _to_dtype(dtypes.float16), _to_dtype(dtypes.float32), _to_dtype(dtypes.float64)
    long, int, bool = _to_dtype(dtypes.int64), _to_dtype(dtypes.int32), _to_dtype(dtypes.bool_)

    def type_as(self: Any, other: Tensor) -> Tensor:
        """This tensor in the dtype of `other`."""
        return elementwise.cast(self, other.dtype)

    def cpu(self: Any) -> Tensor:
        """This tensor on the CPU; itself if it is there already."""
        return elementwise.to(self, "cpu")

    def cuda(self: Any, device: Any = None) -> Tensor:
        """This tensor on a GPU."""
        return elementwise.to(self, "cuda" if device is None else device)

    # in place
    add_, sub_, mul_, div_, pow_ = inplace.add_, inplace.sub_, inplace.mul_, inplace.div_, inplace.pow_
    __iadd__, __isub__, __imul__, __itruediv__ = inplace.add_, inplace.sub_, inplace.mul_, inplace.div_
    __ipow__ = inplace.pow_
    neg_, exp_, sqrt_, relu_, tanh_, sigmoid_ = (
        inplace.neg_,
        inplace.exp_,
        inplace.sqrt_,
        inplace.relu_,
        inplace.tanh_,
        inplace.sigmoid_,
    )
    copy_, fill_, zero_, clamp_ = inplace.copy_, inplace.fill_, inplace.zero_, inplace.clamp_

    # gradients
    backward, register_hook, retain_grad = autograd.backward, autograd.register_hook, autograd.retain_grad

    # new tensors like this one
    def new_zeros(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Tensor:
        """Zeros of shape `size` in this dtype and place."""
        return create.zeros(*size, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)

    def new_ones(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Tensor:
        """Ones of shape `size` in this dtype and place."""
        return create.ones(*size, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)


if not TYPE_CHECKING:  # type checkers know Tensor as a subclass of TensorMethods; here its methods move in
    for _name, _method in vars(TensorMethods).items():
        if _name not in ("__module__", "__dict__", "__weakref__", "__doc__", "__hash__", "__qualname__"):
            setattr(Tensor, _name, _method)
