"""Losses against class numbers, or against probabilities of classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from .._device import same_device
from .._tensor import Tensor, need, wrap
from ..kernels import settings
from ..kernels.geometry import whole
from ..ops import loss as ops
from ..ops.elementwise import cast, mul, neg, require_float, where
from ..ops.loss import Nll, log_softmax
from ..ops.matmul import same_kind
from ..ops.reduce import sum
from ..ops.shape import movedim, reshape


def check_reduction(name: str, reduction: str) -> None:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{name}: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")


def _class_rows(
    name: str, input: Tensor, target: Tensor, ignore_index: int, weight: Tensor | None
) -> tuple[Tensor, Tensor, int]:
    """Scores as rows (R, C) and class numbers as (R,), from (C,), (N, C) or (N, C, d1, ...) and what belongs to it.

    And how many of the class numbers are not ignored; -1 while a graph is captured, since nothing may wait for it.

    Raises:
        TypeError, ValueError, IndexError, RuntimeError: if shapes, dtypes or class numbers do not fit.
    """
    require_float(name, input)
    if not isinstance(target, Tensor):
        raise TypeError(f"{name}: the target must be a Tensor, got {type(target).__name__}")
    same_device(name, input, target)
    shape = input.array.shape
    if not shape:
        raise ValueError(f"{name}: expected scores (C,), (N, C) or (N, C, ...), got a 0-d tensor")
    axis = 0 if len(shape) == 1 else 1
    classes, expected = shape[axis], (*shape[:axis], *shape[axis + 1 :])
    if target.array.dtype not in (np.int64, np.uint8):
        raise RuntimeError(f"{name}: class numbers must be int64, got {target.dtype}; convert with .long()")
    if target.array.shape != expected:
        raise ValueError(
            f"{name}: for scores of shape {tuple(shape)} the target must have shape {tuple(expected)}, "
            f"got {tuple(target.array.shape)}"
        )
    if weight is not None:
        same_kind(name, input, weight, "the weight")
        if weight.array.shape != (classes,):
            raise RuntimeError(
                f"{name}: weight must have shape ({classes},), one for each class, got {tuple(weight.array.shape)}"
            )
    rows, labels = input, cast(target, dtypes.int64)
    if len(shape) != 2:
        size = math.prod(expected)
        rows, labels = reshape(movedim(input, axis, -1), (size, classes)), reshape(labels, (size,))
    if settings.capturing:
        return rows, labels, -1
    count, wrong = labels.device.kernels.class_count(labels.array, classes, ignore_index)
    if wrong >= 0:
        _refuse_no_classes(name, shape, axis)
        raise IndexError(
            f"{name}: target {labels.array[wrong]} is out of bounds, the {classes} classes are 0 to {classes - 1}"
        )
    return rows, labels, count


def _refuse_no_classes(name: str, shape: tuple[int, ...], axis: int) -> None:
    if not shape[axis]:
        raise IndexError(
            f"{name}: scores of shape {tuple(shape)} have no classes: dimension {axis} must have one entry for each "
            "class, at least 1"
        )


def _reduce_classes(
    loss: Tensor, target: Tensor, shape: tuple[int, ...], ignore_index: int, weight: Tensor | None, reduction: str
) -> Tensor:
    """Weigh the losses (R,) and reduce them; the mean divides by the weight that took part."""
    valid = target.array != ignore_index
    if weight is None:
        total: Any = valid.sum()  # while a graph is captured, nothing may wait for the number
        total = wrap(total.astype(loss.array.dtype), loss.device) if settings.capturing else int(total)
    else:
        safe = np.where(valid, target.array, 0)
        factors = wrap(np.where(valid, weight.array[safe], 0).astype(weight.array.dtype), weight.device)
        loss, total = loss * factors, sum(factors)
    if reduction == "none":
        return reshape(loss, shape)
    return sum(loss) / total if reduction == "mean" else sum(loss)


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """-weight[target] * input[target]: the negative log-likelihood, for `input` from `log_softmax`.

    Args:
        input: log-probabilities (C,), (N, C) or (N, C, d1, ...).
        target: class numbers, int64, (), (N,) or (N, d1, ...).
        weight: (C,), a factor for each class.
        ignore_index: targets of this value do not count.
        reduction: ``"mean"`` (divided by the weights that took part), ``"sum"`` or ``"none"``.

    Raises:
        TypeError, ValueError, IndexError, RuntimeError: if shapes, dtypes or class numbers do not fit.
    """
    check_reduction("nll_loss", reduction)
    rows, labels, count = _class_rows("nll_loss", input, target, ignore_index, weight)
    if weight is None and reduction == "mean" and count >= 0:
        return Nll.apply(rows, labels, ignore_index, count)
    loss = Nll.apply(rows, labels, ignore_index)
    return _reduce_classes(loss, labels, target.array.shape, ignore_index, weight, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input)[target], weighed and reduced as in `nll_loss`.

    Args:
        input: scores (logits) (C,), (N, C) or (N, C, d1, ...).
        target: class numbers, int64, (), (N,) or (N, d1, ...); or probabilities of the shape of `input`.
        label_smoothing: in [0, 1): so much of the target is spread evenly over the classes.

    Raises:
        TypeError, ValueError, IndexError, RuntimeError: if shapes, dtypes or class numbers do not fit.
    """
    need("cross_entropy", input, target)
    check_reduction("cross_entropy", reduction)
    if type(ignore_index) is not int:
        ignore_index = whole("cross_entropy", "ignore_index", ignore_index)
    if not 0.0 <= dtypes.real("cross_entropy", "label_smoothing", label_smoothing) <= 1.0:
        raise ValueError(f"cross_entropy: label_smoothing must lie in [0, 1], got {label_smoothing}")
    if isinstance(target, Tensor) and target.array.dtype.kind == "f" and target.array.shape == input.array.shape:
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    rows, labels, count = _class_rows("cross_entropy", input, target, ignore_index, weight)
    shape = target.array.shape
    if weight is None and reduction == "mean" and not label_smoothing and count >= 0:
        return ops.cross_entropy(rows, labels, ignore_index, count)
    hard = ops.cross_entropy(rows, labels, ignore_index)
    hard = _reduce_classes(hard, labels, shape, ignore_index, weight, reduction)
    if not label_smoothing:
        return hard
    logp = log_softmax(rows, 1)
    spread = neg(sum(logp if weight is None else logp * weight, 1))
    spread = where(wrap(labels.array != ignore_index, labels.device), spread, 0.0)
    if reduction == "none":
        smooth = reshape(spread, shape)
    elif reduction == "sum":
        smooth = sum(spread)
    else:
        valid = labels.array != ignore_index
        total = int(valid.sum()) if weight is None else weight.array[labels.array[valid]].sum().item()
        smooth = sum(spread) / total
    return hard * (1 - label_smoothing) + smooth * (label_smoothing / rows.array.shape[1])


def _soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float
) -> Tensor:
    """Against probabilities: -sum over classes of weight * target * log softmax."""
    same_kind("cross_entropy", input, target, "the target")
    axis = 0 if input.array.ndim == 1 else 1
    _refuse_no_classes("cross_entropy", input.array.shape, axis)
    classes = input.array.shape[axis]
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    logp = log_softmax(input, axis)
    if weight is not None:
        same_kind("cross_entropy", input, weight, "the weight")
        if weight.array.shape != (classes,):
            raise RuntimeError(f"cross_entropy: weight must have shape ({classes},), got {tuple(weight.array.shape)}")
        logp = logp * reshape(weight, (-1, *[1] * (input.array.ndim - 1 - axis)))
    loss = neg(sum(mul(target, logp), axis))
    if reduction == "mean":
        return sum(loss) / (loss.array.size if loss.array.ndim else 1)
    return sum(loss) if reduction == "sum" else loss
