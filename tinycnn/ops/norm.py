"""Batch normalization (Ioffe and Szegedy 2015).

Its last pass over memory is put off (`Later`): a sum and a ReLU that follow do their work in the same pass, and the
gradient of the ReLU is taken in the passes of batch norm's own (`Masked`).
"""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from .._tensor import Later, Tensor, filled, wrap
from ..autograd import Function, hang, is_grad_enabled, node_for
from .elementwise import cast, put_off, require_float, unmasked
from .matmul import same_kind
from .reduce import mean, sum
from .shape import reshape


def _column(v: Tensor, rank: int) -> Tensor:
    """A value for each channel, to broadcast against (N, C, ...) of that rank."""
    return reshape(v, (1, -1, *(1,) * (rank - 2)))


def _flat(a: Any) -> Any:
    """An array (N, C, ...) as (N, C, L), which the kernels take."""
    return a.reshape(*a.shape[:2], math.prod(a.shape[2:]))


class Normalized(Later):
    """(x - mean) / sqrt(var + eps) * weight + bias, plus `other` if there is one.

    Args:
        x: what is normalized, watched for writes.
        rule: mean, var, weight, bias: arrays that nobody writes to.
        other: an array of x's shape, watched as well.
    """

    def __init__(self, x: Tensor, rule: tuple[Any, ...], eps: float, other: Any = None) -> None:
        super().__init__(x.device, x.array)
        self.x, self.rule, self.eps, self.other = x, rule, eps, other

    def _run(self, relu: bool) -> Any:
        (source,) = self.given  # x may have come to show other memory
        return self.kernels.batch_norm_eval(source, *self.rule, self.eps, self.other, relu)

    def compute(self) -> Any:
        return self._run(False)

    def relu(self) -> Any:
        return self._run(True) if self._array is None else None

    def plus(self, other: Tensor) -> Later | None:
        like = other._later or other.array
        if self.other is not None or self._array is not None or like.shape != self.shape or like.dtype != self.dtype:
            return None
        total = Normalized(self.x, self.rule, self.eps, other.array)
        return total if total.reads(self.x, other) else None


def _later(later: Normalized) -> Tensor:
    """A tensor whose array is put off, if nobody can write unseen to what it will be computed from."""
    place = later.x.device
    return put_off(later, place) if later.reads(later.x) else wrap(later.compute(), place)


class BatchNormTrain(Function):
    """The node that `batch_norm` records for the statistics of the batch; the variance is the biased one."""

    takes_masks = True

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight, mu, var = ctx.saved_tensors
        if not is_grad_enabled():  # the same in one kernel
            grad, (gy, y) = g.device.kernels.batch_norm_train_grad, unmasked(g, ctx)
            bias = None if y is None else ctx.bias
            gx, *others = grad(_flat(gy), _flat(x.array), mu.array, var.array, weight.array, ctx.eps, bias)
            return wrap(gx.reshape(x.array.shape), g.device), *[wrap(a, g.device) for a in others]
        rank = x.array.ndim
        axes = (0, *range(2, rank))
        x, g = cast(x, weight.dtype), cast(g, weight.dtype)
        centred = x - mean(x, axes, True)
        xhat = centred / (mean(centred * centred, axes, True) + ctx.eps) ** 0.5
        gx = g - mean(g, axes, True) - xhat * mean(g * xhat, axes, True)
        scale = _column(weight, rank) / (mean(centred * centred, axes, True) + ctx.eps) ** 0.5
        return gx * scale, sum(g * xhat, axes), sum(g, axes)


class BatchNormEval(Function):
    """The node that `batch_norm` records for statistics that are given."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, mu, var, weight = ctx.saved_tensors
        inverse = (var + ctx.eps) ** -0.5
        x, g = cast(x, weight.dtype), cast(g, weight.dtype)
        rank, needed = x.array.ndim, ctx.needs_input_grad
        axes = (0, *range(2, rank))
        return (
            g * _column(weight * inverse, rank) if needed[0] else None,
            None,
            None,
            sum(g * ((x - _column(mu, rank)) * _column(inverse, rank)), axes) if needed[3] else None,
            sum(g, axes) if needed[4] else None,
        )


def follow(running: Tensor, keep: float, more: Any) -> None:
    """running = keep * running + more, in place, on the arrays: it has no gradient."""
    running._overwrite("batch_norm")
    array = running.array
    if keep != 1:
        array *= keep
    array += more


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
    """`functional.batch_norm` for float32 and float64.

    Raises:
        ValueError: if training sees one value per channel only, or eps is not positive.
        RuntimeError: if sizes, dtypes or devices do not fit, or running statistics are missing in evaluation.
    """
    require_float("batch_norm", input, half=True)
    shape = input.array.shape
    if len(shape) < 2:
        raise RuntimeError(f"batch_norm: expected at least 2 dimensions (N, C, ...), got shape {tuple(shape)}")
    if type(eps) is not float or type(momentum) is not float:
        eps, momentum = dtypes.real("batch_norm", "eps", eps), dtypes.real("batch_norm", "momentum", momentum)
    if not eps > 0:
        raise ValueError(f"batch_norm: eps must be positive, got {eps}")
    channels = shape[1]
    half = input.array.dtype.itemsize == 2  # what is normalized; all that goes with it is float32
    like = filled((0,), dtypes.float32.numpy, input.device) if half else input
    kind, place, row = like.array.dtype, input.device, (channels,)
    for t, name in (running_mean, "running_mean"), (running_var, "running_var"), (weight, "weight"), (bias, "bias"):
        if t is not None:
            if not isinstance(t, Tensor) or t.array.dtype is not kind or t.device is not place:
                same_kind("batch_norm", like, t, name)
            if t.array.shape != row:
                raise RuntimeError(
                    f"batch_norm: {name} must have shape ({channels},), one for each channel, "
                    f"got {tuple(t.array.shape)}"
                )
    w = filled((channels,), kind, place, 1) if weight is None else weight
    b = filled((channels,), kind, place) if bias is None else bias
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "batch_norm: evaluation needs running_mean and running_var; pass training=True to use the batch"
            )
        rule = running_mean, running_var, w, b
        y = _later(Normalized(input, tuple([t.array.copy() for t in rule]), eps))
        ctx = node_for(BatchNormEval, input, *rule)
        if ctx is not None:
            ctx._saved, ctx.eps = (input, running_mean, running_var, w), eps
            hang(ctx, y)
        return y
    count = shape[0] * math.prod(shape[2:])
    if count == 1:
        raise ValueError(
            f"batch_norm: Expected more than 1 value per channel when training, got input shape {tuple(shape)}; "
            "use a larger batch (drop_last=True in the DataLoader), or eval()"
        )
    flat, kernels, scaling = _flat(input.array), place.kernels, (w.array.copy(), b.array.copy())
    if flat.shape[2] > 1 and flat.size:
        mu, var = kernels.batch_norm_moments(flat)
        y = _later(Normalized(input, (mu, var, *scaling), eps))
    else:
        array, mu, var = kernels.batch_norm_train(flat, *scaling, eps)
        y = wrap(array.reshape(shape), place)
    ctx = node_for(BatchNormTrain, input, w, b)
    if ctx is not None:
        ctx._saved, ctx.eps, ctx.bias = (input, w, wrap(mu, place), wrap(var, place)), eps, scaling[1]
        hang(ctx, y)
    if count and running_mean is not None:
        follow(running_mean, 1 - momentum, momentum * mu)
    if count and running_var is not None:
        follow(running_var, 1 - momentum, momentum * (count / (count - 1)) * var)
    return y
