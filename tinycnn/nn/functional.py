"""The operations behind the layers, with PyTorch's signatures; most come straight from `ops`."""

from __future__ import annotations

from .._tensor import Tensor
from ..composed.index import one_hot
from ..composed.pad import pad
from ..ops import elementwise, inplace, loss
from ..ops.conv import conv2d
from ..ops.loss import log_softmax, softmax
from ..ops.matmul import linear
from ..ops.norm import batch_norm
from ..ops.pool import avg_pool2d, max_pool2d
from ..ops.random import dropout
from ..ops.shape import flatten

sigmoid, tanh = elementwise.sigmoid, elementwise.tanh
relu_ = inplace.relu_


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0), for each element; the gradient at 0 is 0, and NaN stays NaN.

    Args:
        inplace: write the result into `input`, which saves its memory.
    """
    return relu_(input) if inplace else elementwise.relu(input)


def _reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction meant by PyTorch's two old arguments, if one of them is given."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-weight[target] * log softmax(input)[target], reduced.

    Args:
        input: scores (logits) (C,), (N, C) or (N, C, d1, ...).
        target: class numbers, int64, (), (N,) or (N, d1, ...); or probabilities of the shape of `input`.
        weight: (C,), a factor for each class.
        size_average, reduce: old spellings of `reduction`.
        ignore_index: targets of this value do not count.
        reduction: ``"mean"`` (divided by the weights that took part), ``"sum"`` or ``"none"``.
        label_smoothing: in [0, 1]: so much of the target is spread evenly over the classes.

    Raises:
        TypeError, ValueError, IndexError, RuntimeError: if shapes, dtypes or class numbers do not fit.
    """
    reduction = _reduction(size_average, reduce, reduction)
    return loss.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-weight[target] * input[target] for log-probabilities `input`; arguments as `cross_entropy`."""
    return loss.nll_loss(input, target, weight, ignore_index, _reduction(size_average, reduce, reduction))


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """(input - target)**2 for two tensors of one shape, reduced; ``"mean"`` divides by the number of elements."""
    return loss.mse_loss(input, target, _reduction(size_average, reduce, reduction))


__all__ = [
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "cross_entropy",
    "dropout",
    "flatten",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "relu",
    "relu_",
    "sigmoid",
    "softmax",
    "tanh",
]
