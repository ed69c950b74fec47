"""Normalizations, and measures of distance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from .._tensor import Tensor, host, need, wrap
from ..kernels.geometry import whole
from ..ops import norm as primitive
from ..ops.elementwise import cast, eq, has_kernels, where
from ..ops.group_norm import GroupNorm, RmsNorm
from ..ops.matmul import same_kind
from ..ops.reduce import mean, sum
from ..ops.shape import as_sizes, expand, reshape
from .math import clamp_min
from .pad import pad
from .pool import avg_pool2d
from .reduce import need_float, vector_norm
from .shape import broadcast_tensors


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, for each channel.

    In training, mean and variance are those of the batch (over all dimensions but 1), and the running ones move
    towards them: running = (1 - momentum) * running + momentum * batch, with the unbiased variance.

    Args:
        input: (N, C) or (N, C, ...).
        running_mean, running_var: (C,), changed in place in training; may be None in training only.
        weight, bias: (C,) or None for 1 and 0.
        training: use the statistics of the batch.

    Raises:
        ValueError: if training sees one value per channel only, or eps is not positive.
        RuntimeError: if sizes, dtypes or devices do not fit, or running statistics are missing in evaluation.
    """
    if isinstance(input, Tensor) and input.array.dtype.char == "e":
        wide = [None if t is None else cast(t, dtypes.float32) for t in (running_mean, running_var, weight, bias)]
        rule: Any = (*wide, training, momentum, eps)
        y = primitive.batch_norm(input if has_kernels(input) else cast(input, dtypes.float32), *rule)
        for old, new in zip((running_mean, running_var), wide, strict=False):
            if old is not None and new is not None and new is not old and training:
                old.copy_(new)
        return cast(y, input.dtype)
    return primitive.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def _check_weights(name: str, x: Tensor, weight: Any, bias: Any, shape: tuple[int, ...]) -> None:
    for what, t in (("weight", weight), ("bias", bias)):
        if t is not None:
            same_kind(name, x, t, f"the {what}")
            if t.array.shape != shape:
                raise RuntimeError(f"{name}: {what} must have shape {shape}, got {tuple(t.array.shape)}")


def _wide(name: str, input: Tensor, *others: Any) -> tuple[Any, ...]:
    need_float(name, input)
    if input.array.itemsize >= 4:
        return (input, *others)
    return tuple(None if t is None else cast(t, dtypes.float32) for t in (input, *others))


def _tail(name: str, input: Tensor, normalized_shape: Any) -> tuple[tuple[int, ...], tuple[int, int]]:
    """The normalized shape, checked against the end of the input's, and the input's shape as (rows, size)."""
    wanted = as_sizes((normalized_shape,), name)
    shape = input.array.shape
    if not wanted or tuple(shape[len(shape) - len(wanted) :]) != wanted or len(wanted) > len(shape):
        raise RuntimeError(
            f"{name}: normalized_shape {wanted} must be the end of the input's shape {tuple(shape)}, and not empty"
        )
    return wanted, (math.prod(shape[: len(shape) - len(wanted)]), math.prod(wanted))


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, over the last dimensions (Ba, Kiros and Hinton 2016).

    Args:
        normalized_shape: the sizes of those dimensions; `weight` and `bias` have that shape.

    Raises:
        RuntimeError: if it is not the end of the input's shape.
    """
    x, w, b = _wide("layer_norm", input, weight, bias)
    wanted, form = _tail("layer_norm", input, normalized_shape)
    _check_weights("layer_norm", x, w, b, wanted)
    return cast(GroupNorm.apply(x, w, b, (*form, 1), 1, eps), input.dtype)


def rms_norm(
    input: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / sqrt(mean(x**2) + eps) * weight, over the last dimensions; `eps` defaults to the dtype's."""
    x, w = _wide("rms_norm", input, weight)
    wanted, form = _tail("rms_norm", input, normalized_shape)
    _check_weights("rms_norm", x, w, None, wanted)
    small = float(np.finfo(x.array.dtype).eps) if eps is None else eps
    return cast(RmsNorm.apply(x, w, form, small), input.dtype)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Each of `num_groups` groups of channels of (N, C, ...) with mean 0 and variance 1, times weight plus bias (C,).

    Raises:
        RuntimeError: if the groups do not divide the channels, or there are fewer than two dimensions.
        ValueError: if a group has one value only.
    """
    x, w, b = _wide("group_norm", input, weight, bias)
    shape = x.array.shape
    if len(shape) < 2:
        raise RuntimeError(f"group_norm: expected (N, C, ...), got shape {tuple(shape)}")
    num_groups = whole("group_norm", "num_groups", num_groups)
    if num_groups < 1 or shape[1] % num_groups:
        raise RuntimeError(f"group_norm: num_groups = {num_groups} must divide the {shape[1]} channels")
    if shape[0] and x.array.size == shape[0] * num_groups:
        raise ValueError(f"group_norm: expected more than 1 value in each group, got input shape {tuple(shape)}")
    _check_weights("group_norm", x, w, b, (shape[1],))
    return cast(GroupNorm.apply(x, w, b, (*shape[:2], math.prod(shape[2:])), num_groups, eps), input.dtype)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of each image of (N, C, ...) with mean 0 and variance 1, times weight plus bias (C,).

    Running statistics, if given, follow the mean over the images; without `use_input_stats` they are used instead.

    Raises:
        ValueError: for one value per channel only.
        RuntimeError: if shapes do not fit, or running statistics are missing.
    """
    x, w, b = _wide("instance_norm", input, weight, bias)
    shape = x.array.shape
    if len(shape) < 2:
        raise RuntimeError(f"instance_norm: expected (N, C, ...), got shape {tuple(shape)}")
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError("instance_norm: use_input_stats=False needs running_mean and running_var")
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    n, c = shape[:2]
    if n * c and x.array.size == n * c:
        raise ValueError(f"instance_norm: expected more than 1 value per channel, got input shape {tuple(shape)}")
    for what, t in (("running_mean", running_mean), ("running_var", running_var)):
        if t is not None and t.array.shape != (c,):
            raise RuntimeError(f"instance_norm: {what} must have shape ({c},), got {tuple(t.array.shape)}")
    if (running_mean is not None or running_var is not None) and x.array.size:
        flat = reshape(x.detach(), (n, c, -1))
        center = mean(flat, 2, True)
        spread = sum((flat - center) * (flat - center), 2) / (flat.array.shape[2] - 1)
        for old, new in ((running_mean, reshape(center, (n, c))), (running_var, spread)):
            if old is not None:
                old.copy_(old * (1 - momentum) + cast(mean(new, 0), old.dtype) * momentum)
    _check_weights("instance_norm", x, w, b, (c,))
    return cast(GroupNorm.apply(x, w, b, (n, c, math.prod(shape[2:])), c, eps), input.dtype)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha * mean of x**2 over `size` neighbouring channels)**beta (Krizhevsky et al. 2012).

    (N, C, ...) with at least three dimensions; channels beyond the edge count as 0.
    """
    need_float("local_response_norm", input)
    shape = input.array.shape
    if len(shape) < 3:
        raise ValueError(f"local_response_norm: expected 3 or more dimensions (N, C, ...), got {tuple(shape)}")
    if not input.array.size:
        return input
    squares = reshape(input * input, (shape[0], 1, shape[1], -1))
    squares = pad(squares, (0, 0, size // 2, (size - 1) // 2))
    means = reshape(avg_pool2d(squares, (size, 1), 1), shape)
    return input / (means * alpha + k) ** beta


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """x / max(norm of order p over dim, eps)."""
    need_float("normalize", input)
    size = clamp_min(vector_norm(input, p, dim, True), eps)
    return input / expand(size, input.array.shape)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between x1 and x2 along `dim`: x1 . x2 / (max(|x1|, eps) * max(|x2|, eps))."""
    need("cosine_similarity", x1, x2)
    for t in (x1, x2):
        if t.array.dtype.kind != "f":
            raise RuntimeError(f"cosine_similarity: expected floating-point tensors, got {t.dtype}")
    a, b = (t / clamp_min(vector_norm(t, 2, dim, True), eps) for t in broadcast_tensors(x1, x2))
    return sum(a * b, dim)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The norm of order `p` of x1 - x2 + eps over the last dimension."""
    need("pairwise_distance", x1, x2)
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` (V, D) at the integers `input` (...): (..., D).

    Args:
        padding_idx: a row that gets no gradient.
        max_norm: rows that are used and longer than this (in the norm of order `norm_type`) are shortened, in place.
        scale_grad_by_freq: divide the gradient of a row by how often it is used here.

    Raises:
        IndexError: for an index outside [0, V).
        RuntimeError: for other dtypes and shapes; for ``sparse=True``.
    """
    need("embedding", input, weight)
    if sparse:
        raise RuntimeError("embedding: there are no sparse gradients here; use sparse=False")
    if weight.array.ndim != 2:
        raise RuntimeError(f"embedding: the weight must be (V, D), got shape {tuple(weight.array.shape)}")
    if input.array.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"embedding: indices must be int64 or int32, got {input.dtype}")
    count, index = weight.array.shape[0], input.array
    if index.size and (index.min() < 0 or index.max() >= count):
        raise IndexError(f"embedding: index {index.min()} to {index.max()} is out of range for {count} rows")
    if padding_idx is not None:
        padding_idx = whole("embedding", "padding_idx", padding_idx)
        if not -count <= padding_idx < count:
            raise RuntimeError(f"embedding: padding_idx {padding_idx} lies outside the {count} rows")
        padding_idx %= count
    if max_norm is not None:
        weight._overwrite("embedding")
        used = input.device.xp.unique(index)
        rows = weight.array[used]
        size = (np.abs(rows) ** norm_type).sum(1) ** (1 / norm_type)
        scale = np.where(size > max_norm, max_norm / (size + 1e-7), 1.0)
        weight.array[used] = (rows * scale[:, None]).astype(rows.dtype)
    result = weight[input]
    if padding_idx is not None:
        result = where(eq(input, padding_idx)[..., None], result.detach(), result)
    if scale_grad_by_freq:
        often = np.bincount(host(input).reshape(-1), minlength=count)[host(input)][..., None].astype(weight.array.dtype)
        fixed = result.detach()
        result = fixed + (result - fixed) / wrap(often, fixed.device)
    return result
