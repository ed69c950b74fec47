"""Losses. `reduction` is ``"mean"`` over all elements, ``"sum"`` or ``"none"``; `size_average` and `reduce` are its
old spellings."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from .._tensor import Tensor, filled, host, need, wrap
from ..autograd import Function
from ..ops import elementwise as ew
from ..ops.elementwise import cast, where
from ..ops.pair_loss import PairLoss
from ..ops.reduce import mean, sum
from ..ops.shape import expand, gather, reshape, squeeze, unsqueeze
from . import classes
from .activation import _softplus, logsigmoid
from .classes import check_reduction
from .math import clamp_min, xlogy
from .norm import pairwise_distance
from .shape import broadcast_tensors


class BinaryCrossEntropy(Function):
    """-(t ln x + (1 - t) ln(1 - x)), with logarithms not below -100."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, t: Tensor) -> Tensor:
        ctx.save_for_backward(x, t)
        with np.errstate(divide="ignore"):
            log_x, log_rest = np.log(x.array), np.log1p(-x.array)
        return wrap(-(t.array * np.maximum(log_x, -100) + (1 - t.array) * np.maximum(log_rest, -100)), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, t = ctx.saved_tensors
        needed = ctx.needs_input_grad
        gx = g * ((x - t) / ew.clamp(x * (1 - x), 1e-12)) if needed[0] else None
        return gx, g * (ew.log1p(-x) - ew.log(x)) if needed[1] else None


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction meant by PyTorch's two old arguments, if one of them is given."""
    if size_average is None and reduce is None:
        return reduction
    if isinstance(size_average, Tensor) or isinstance(reduce, Tensor):
        raise TypeError(
            "size_average and reduce are bools, got a Tensor; a loss module is made first and then called, as in "
            "nn.MSELoss()(input, target)"
        )
    warnings.warn("size_average and reduce are deprecated; use reduction=", stacklevel=3)
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def _reduced(name: str, loss: Tensor, reduction: str) -> Tensor:
    check_reduction(name, reduction)
    return loss if reduction == "none" else mean(loss) if reduction == "mean" else sum(loss)


def _narrow(function: Callable[..., Tensor], *tensors: Any) -> Tensor:
    """float16 computed in float32."""
    first = tensors[0]
    if isinstance(first, Tensor) and first.array.dtype == np.float16:
        wide = [
            cast(t, dtypes.float32) if isinstance(t, Tensor) and t.array.dtype == np.float16 else t for t in tensors
        ]
        return cast(function(*wide), dtypes.float16)
    return function(*tensors)


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
    kind = reduction_of(size_average, reduce, reduction)
    rule = (ignore_index, kind, label_smoothing)
    return _narrow(lambda x, t, w: classes.cross_entropy(x, t, w, *rule), input, target, weight)


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
    kind = reduction_of(size_average, reduce, reduction)
    return _narrow(lambda x, t, w: classes.nll_loss(x, t, w, ignore_index, kind), input, target, weight)


# -- distances --------------------------------------------------------------------------------------------------------


def _pair(name: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Two tensors in one shape and dtype; different shapes broadcast with a warning."""
    need(name, input, target)
    if input.array.shape != target.array.shape:
        warnings.warn(
            f"{name}: the input has shape {tuple(input.array.shape)}, the target {tuple(target.array.shape)}: they "
            "are broadcast, which is seldom meant; give both one shape",
            stacklevel=4,
        )
        input, target = broadcast_tensors(input, target)
    return ew.common(name, input, target)


def _no_bools(name: str, *tensors: Tensor) -> None:
    if all(t.array.dtype.kind == "b" for t in tensors):
        raise RuntimeError(f"{name}: not for bool tensors; convert with .float()")


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)**2, reduced; `weight`, of the same shape, multiplies each element and divides the mean."""
    kind = reduction_of(size_average, reduce, reduction)
    x, t = _pair("mse_loss", input, target)
    _floats("mse_loss", x)
    return _compared("mse_loss", "mse", x, t, weight, kind)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|, reduced; `weight` as in `mse_loss`."""
    kind = reduction_of(size_average, reduce, reduction)
    x, t = _pair("l1_loss", input, target)
    _floats("l1_loss", x)
    return _compared("l1_loss", "l1", x, t, weight, kind)


def _floats(name: str, x: Tensor) -> None:
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"{name}: expected floating-point tensors, got {x.dtype}; convert with .float()")


def _compared(
    name: str,
    which: str,
    x: Tensor,
    t: Tensor,
    weight: Tensor | None,
    reduction: str,
    beta: float = 1.0,
    scale: float = 1.0,
) -> Tensor:
    """scale * `PairLoss` of x and t, in one pass if there is no weight."""
    check_reduction(name, reduction)
    if weight is not None:
        loss = _narrow(lambda x, t: PairLoss.apply(x, t, which, beta, scale, False), x, t)
        return _weighted(name, loss, weight, reduction)
    if reduction == "mean":
        scale = scale / x.array.size if x.array.size else math.nan
    return _narrow(lambda x, t: PairLoss.apply(x, t, which, beta, scale, reduction != "none"), x, t)


def _weighted(name: str, loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    if weight.array.shape != loss.array.shape:
        raise ValueError(f"{name}: weight must have shape {tuple(loss.array.shape)}, got {tuple(weight.array.shape)}")
    loss = loss * weight
    check_reduction(name, reduction)
    return sum(loss) / sum(weight) if reduction == "mean" else loss if reduction == "none" else sum(loss)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d**2 / (2 * beta) where d = |input - target| < beta, else d - beta / 2; reduced.

    Raises:
        RuntimeError: if beta is negative.
    """
    kind = reduction_of(size_average, reduce, reduction)
    x, t = _pair("smooth_l1_loss", input, target)
    _floats("smooth_l1_loss", x)
    if not beta >= 0:
        raise RuntimeError(f"smooth_l1_loss: beta must be 0 or more, got {beta}")
    if beta == 0:
        return _compared("smooth_l1_loss", "l1", x, t, None, kind)
    return _compared("smooth_l1_loss", "huber", x, t, None, kind, beta, 1 / beta)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d**2 / 2 where d = |input - target| <= delta, else delta * (d - delta / 2); reduced.

    Raises:
        RuntimeError: if delta is not positive.
    """
    x, t = _pair("huber_loss", input, target)
    _floats("huber_loss", x)
    if delta <= 0:
        raise RuntimeError(f"huber_loss: delta must be positive, got {delta}")
    return _compared("huber_loss", "huber", x, t, weight, reduction, delta)


# -- probabilities ----------------------------------------------------------------------------------------------------


def _same_shape(name: str, input: Tensor, target: Tensor) -> None:
    need(name, input, target)
    if input.array.shape != target.array.shape:
        raise ValueError(
            f"{name}: input and target must have one shape, got {tuple(input.array.shape)} and "
            f"{tuple(target.array.shape)}"
        )


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(target * ln(input) + (1 - target) * ln(1 - input)) * weight, reduced; logarithms end at -100.

    Args:
        input: probabilities.
        target: probabilities, of one shape with `input`.
        weight: factors that broadcast.

    Raises:
        RuntimeError: for an input outside [0, 1].
        ValueError: if the shapes differ.
    """
    kind = reduction_of(size_average, reduce, reduction)
    _same_shape("binary_cross_entropy", input, target)
    _floats("binary_cross_entropy", input)
    if target.array.dtype != input.array.dtype:
        raise RuntimeError(f"binary_cross_entropy: the input is {input.dtype}, the target {target.dtype}")
    if input.array.size and not (0 <= input.array.min() and input.array.max() <= 1):
        raise RuntimeError(
            f"binary_cross_entropy: the input must lie in [0, 1], got {input.array.min()} to {input.array.max()}; for "
            "logits there is binary_cross_entropy_with_logits"
        )
    if target.array.size and not (0 <= target.array.min() and target.array.max() <= 1):
        raise RuntimeError(
            f"binary_cross_entropy: the target must lie in [0, 1], got {target.array.min()} to {target.array.max()}"
        )
    loss = _narrow(BinaryCrossEntropy.apply, input, target)
    if weight is not None:
        loss = loss * expand(weight, loss.array.shape)
    return _reduced("binary_cross_entropy", loss, kind)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(input), without overflow.

    Args:
        pos_weight: factors of the positive part, that broadcast.
    """
    kind = reduction_of(size_average, reduce, reduction)
    _same_shape("binary_cross_entropy_with_logits", input, target)
    _floats("binary_cross_entropy_with_logits", input)
    if pos_weight is None:
        x, t = ew.common("binary_cross_entropy_with_logits", input, target)
        if weight is None:
            return _compared("binary_cross_entropy_with_logits", "bce_logits", x, t, None, kind)
        loss = _compared("binary_cross_entropy_with_logits", "bce_logits", x, t, None, "none")
    else:
        loss = (1 - target) * input + ((pos_weight - 1) * target + 1) * _softplus(-input)
    if weight is not None:
        loss = loss * weight
    return _reduced("binary_cross_entropy_with_logits", loss, kind)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target * (ln(target) - input), for log-probabilities `input`: the Kullback-Leibler divergence.

    Args:
        log_target: `target` is given as logarithms too.
        reduction: also ``"batchmean"``: the sum divided by the size of the batch, which is the divergence itself.
    """
    kind = reduction_of(size_average, reduce, reduction)
    need("kl_div", input, target)
    if input.array.dtype.kind != "f" and target.array.dtype.kind != "f":
        raise RuntimeError(f"kl_div: expected floating-point tensors, got {input.dtype} and {target.dtype}")
    loss = ew.exp(target) * (target - input) if log_target else xlogy(target, target) - target * input
    if kind == "batchmean":
        return sum(loss) / (input.array.shape[0] if input.array.ndim else 1)
    if kind == "mean":
        warnings.warn("kl_div: 'mean' is not the divergence per sample; 'batchmean' is", stacklevel=2)
    return _reduced("kl_div", loss, kind)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """e**input - target * input, or input - target * ln(input + eps) without `log_input`; reduced.

    Args:
        full: add Stirling's approximation of ln(target!).
    """
    kind = reduction_of(size_average, reduce, reduction)
    need("poisson_nll_loss", input, target)
    check_reduction("poisson_nll_loss", kind)
    if input.array.dtype.kind == "b":
        raise RuntimeError("poisson_nll_loss: not for bool tensors; convert with .float()")
    loss = ew.exp(input) - target * input if log_input else input - target * ew.log(input + eps)
    if full:
        above = ew.gt(target, 1)
        t = where(above, target, 1.0)
        loss = loss + where(above, t * ew.log(t) - t + ew.log(t * (2 * math.pi)) * 0.5, 0.0)
    return _reduced("poisson_nll_loss", loss, kind)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(ln(var) + (input - target)**2 / var) / 2, with var at least eps; reduced.

    Args:
        var: of the shape of `input`, or with a last size of 1, or without it; or a number.
        full: add ln(2 pi) / 2.

    Raises:
        ValueError: if var is negative or does not fit.
    """
    need("gaussian_nll_loss", input, target)
    if isinstance(var, (int, float)):
        var = filled(input.array.shape, input.array.dtype, input.device, var)
    need("gaussian_nll_loss", var)
    shape, given = input.array.shape, var.array.shape
    if given != shape:
        if given == shape[:-1]:
            var = unsqueeze(var, -1)
        elif not (len(given) == len(shape) and given[:-1] == shape[:-1] and given[-1] == 1):
            raise ValueError(f"gaussian_nll_loss: var of shape {tuple(given)} does not fit input {tuple(shape)}")
    check_reduction("gaussian_nll_loss", reduction)
    if (var.array < 0).any():
        raise ValueError("gaussian_nll_loss: var must not be negative")
    safe = var + wrap(np.maximum(eps - var.array, 0).astype(var.array.dtype), var.device)
    d = input - target
    loss = (ew.log(safe) + d * d / safe) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduced("gaussian_nll_loss", loss, reduction)


# -- margins ----------------------------------------------------------------------------------------------------------


def _margin(x: Tensor) -> Tensor:
    return clamp_min(x, 0)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -target * (input1 - input2) + margin), with a target of 1 or -1; reduced."""
    kind = reduction_of(size_average, reduce, reduction)
    need("margin_ranking_loss", input1, input2, target)
    if not input1.array.ndim == input2.array.ndim == target.array.ndim:
        raise RuntimeError(
            "margin_ranking_loss: inputs and target must have equally many dimensions, got "
            f"{[tuple(t.array.shape) for t in (input1, input2, target)]}"
        )
    _no_bools("margin_ranking_loss", input1, input2)
    return _reduced("margin_ranking_loss", _margin(-target * (input1 - input2) + margin), kind)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """input where target = 1, max(0, margin - input) where it is -1; reduced."""
    kind = reduction_of(size_average, reduce, reduction)
    need("hinge_embedding_loss", input, target)
    away = where(ew.ne(target, 1), _margin(margin - input), 0)
    return _reduced("hinge_embedding_loss", away + where(ew.ne(target, -1), input, 0), kind)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """ln(1 + e**(-target * input)), reduced."""
    kind = reduction_of(size_average, reduce, reduction)
    need("soft_margin_loss", input, target)
    x = -target * input
    _floats("soft_margin_loss", x)
    return _reduced("soft_margin_loss", _narrow(_softplus, x), kind)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(input1, input2) where target = 1, max(0, cos - margin) where it is -1; reduced.

    Args:
        input1, input2: (N, D) or (D,).
        target: (N,) or ().
    """
    name = "cosine_embedding_loss"
    kind = reduction_of(size_average, reduce, reduction)
    need(name, input1, input2, target)
    ndim = target.array.ndim
    if ndim > 1 or input1.array.ndim != ndim + 1 or input2.array.ndim != ndim + 1:
        raise RuntimeError(
            f"{name}: expected inputs (N, D) and a target (N,), or (D,) and (); got "
            f"{[tuple(t.array.shape) for t in (input1, input2, target)]}"
        )
    a, b = (cast(t, dtypes.get_default_dtype()) if t.array.dtype.kind != "f" else t for t in (input1, input2))
    small = 1e-12
    cosine = sum(a * b, -1) / ew.sqrt((sum(a * a, -1) + small) * (sum(b * b, -1) + small))
    loss = where(ew.eq(target, 1), 1 - cosine, 0.0) + where(ew.eq(target, -1), _margin(cosine - margin), 0.0)
    return _reduced(name, loss, kind)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, |anchor - positive| - |anchor - negative| + margin), with norms of order `p`; reduced.

    Args:
        swap: use |positive - negative| where it is smaller (Balntas et al. 2016).
    """
    kind = reduction_of(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"triplet_margin_loss: margin must be positive, got {margin}")
    need("triplet_margin_loss", anchor, positive, negative)
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda x, y: pairwise_distance(x, y, p, eps),
        margin=margin,
        swap=swap,
        reduction=kind,
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with any distance (`pairwise_distance` by default)."""
    name = "triplet_margin_loss"
    need("triplet_margin_with_distance_loss", anchor, positive, negative)
    check_reduction(name, reduction)
    if margin <= 0:
        raise ValueError(f"{name}: margin must be positive, got {margin}")
    if not anchor.array.ndim == positive.array.ndim == negative.array.ndim:
        raise RuntimeError(
            f"{name}: the three must have equally many dimensions, got "
            f"{[tuple(t.array.shape) for t in (anchor, positive, negative)]}"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ew.minimum(far, distance(positive, negative))
    return _reduced(name, _margin(near - far + margin), reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum over other classes j of max(0, margin - input[target] + input[j])**p, divided by C; reduced.

    Args:
        input: (N, C) or (C,).
        target: class numbers (N,) or ().
        weight: (C,), a factor for each class.
    """
    name = "multi_margin_loss"
    kind = reduction_of(size_average, reduce, reduction)
    need(name, input, target)
    _floats(name, input)
    if p not in (1, 2):
        raise ValueError(f"{name}: p must be 1 or 2, got {p}")
    if input.array.ndim > 2 or 0 in input.array.shape[-1:]:
        raise RuntimeError(f"{name}: expected scores (N, C) or (C,), got shape {tuple(input.array.shape)}")
    x = reshape(input, (1, -1)) if input.array.ndim < 2 else input
    labels = target.array.reshape(-1)
    n, classes = x.array.shape
    if labels.shape != (n,) or target.array.ndim > 1:
        raise RuntimeError(f"{name}: expected {n} class numbers, got shape {tuple(target.array.shape)}")
    if labels.dtype != np.int64:
        raise RuntimeError(f"{name}: class numbers must be int64, got {target.dtype}")
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise IndexError(f"{name}: class numbers must lie in [0, {classes}), got {labels.min()} to {labels.max()}")
    if weight is not None and weight.array.shape != (classes,):
        raise RuntimeError(f"{name}: weight must have shape ({classes},), got {tuple(weight.array.shape)}")
    own = squeeze(gather(x, 1, wrap(labels[:, None], x.device)), 1)
    gap = _margin(margin - unsqueeze(own, 1) + x)
    if p == 2:
        gap = gap * gap
    if weight is not None:
        gap = gap * unsqueeze(weight[wrap(labels, x.device)], 1)
    others = wrap(x.device.xp.arange(classes) != labels[:, None], x.device)
    loss = sum(where(others, gap, 0.0), 1) / classes
    return _reduced(name, loss if input.array.ndim == 2 else reshape(loss, ()), kind)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum over classes y of the sample and others j of max(0, 1 - input[y] + input[j]), divided by C; reduced.

    Args:
        input: (N, C) or (C,).
        target: int64 of the same shape: the sample's classes, then -1, then what does not count.
    """
    name = "multilabel_margin_loss"
    kind = reduction_of(size_average, reduce, reduction)
    need(name, input, target)
    _floats(name, input)
    if input.array.shape != target.array.shape or input.array.ndim > 2 or not input.array.shape[-1:] != (0,):
        raise RuntimeError(
            f"{name}: input and target must have one shape (N, C) or (C,), got {tuple(input.array.shape)} and "
            f"{tuple(target.array.shape)}"
        )
    if target.array.dtype != np.int64:
        raise RuntimeError(f"{name}: class numbers must be int64, got {target.dtype}")
    x = reshape(input, (-1, input.array.shape[-1] if input.array.ndim else 1)) if input.array.ndim != 2 else input
    labels = host(target).reshape(x.array.shape)
    classes = x.array.shape[1]
    if labels.size and (labels.min() < -1 or labels.max() >= classes):
        raise RuntimeError(f"{name}: class numbers must lie in [-1, {classes}), got {labels.min()} to {labels.max()}")
    counted = np.logical_and.accumulate(labels >= 0, 1)
    among = np.zeros(labels.shape, bool)
    rows = np.broadcast_to(np.arange(len(labels))[:, None], labels.shape)
    among[rows[counted], labels[counted]] = True
    own = gather(x, 1, wrap(np.where(counted, labels, 0), x.device))
    gap = _margin(1 - unsqueeze(own, 2) + unsqueeze(x, 1))
    pairs = wrap(counted[:, :, None] & ~among[:, None, :], x.device)
    loss = sum(where(pairs, gap, 0.0), (1, 2)) / classes
    return _reduced(name, loss if input.array.ndim == 2 else reshape(loss, ()), kind)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(target * ln sigmoid(input) + (1 - target) * ln sigmoid(-input)) * weight, averaged over classes; reduced."""
    kind = reduction_of(size_average, reduce, reduction)
    need("multilabel_soft_margin_loss", input, target)
    check_reduction("multilabel_soft_margin_loss", kind)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return _reduced("multilabel_soft_margin_loss", mean(loss, -1), kind)
