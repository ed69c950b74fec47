"""The operations behind the layers, with PyTorch's signatures; most come straight from `ops`."""

from __future__ import annotations

from .._tensor import Tensor
from ..composed.conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d, fold, unfold
from ..composed.index import one_hot
from ..composed.norm import (
    batch_norm,
    cosine_similarity,
    embedding,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    normalize,
    pairwise_distance,
    rms_norm,
)
from ..composed.pad import pad
from ..composed.pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    lp_pool1d,
    lp_pool2d,
    max_pool1d,
    max_pool2d,
    max_unpool1d,
    max_unpool2d,
)
from ..composed.resample import (
    alpha_dropout,
    channel_shuffle,
    dropout1d,
    dropout2d,
    interpolate,
    pixel_shuffle,
    pixel_unshuffle,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)
from ..ops import elementwise, inplace, loss
from ..ops.loss import log_softmax, softmax
from ..ops.matmul import linear
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
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "embedding",
    "flatten",
    "fold",
    "group_norm",
    "instance_norm",
    "interpolate",
    "layer_norm",
    "linear",
    "local_response_norm",
    "log_softmax",
    "lp_pool1d",
    "lp_pool2d",
    "max_pool1d",
    "max_pool2d",
    "max_unpool1d",
    "max_unpool2d",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pixel_shuffle",
    "pixel_unshuffle",
    "relu",
    "relu_",
    "rms_norm",
    "sigmoid",
    "softmax",
    "tanh",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]
