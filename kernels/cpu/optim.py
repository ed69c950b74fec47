"""Optimizer steps: one pass over each parameter with all that belongs to it."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ..reference import optim as reference
from .jit import kernel
from .threads import launch

Arrays = list[np.ndarray]


@kernel(parallel=True)
def sgd(workers, p, grad, b, sign, lr, momentum, kept, weight_decay, nesterov, use_buffer):
    """One parameter of `reference.optim.sgd_step`; `kept` is the share of the gradient that enters the buffer."""
    for i in prange(p.size):
        g = sign * grad[i]
        if weight_decay != 0:  # 0 * inf would be NaN
            g += weight_decay * p[i]
        if use_buffer:
            b[i] = momentum * b[i] + kept * g
            g = g + momentum * b[i] if nesterov else b[i]
        p[i] -= lr * g


@kernel(parallel=True)
def adam(
    workers, p, grad, m, v, largest, sign, rate, shrink, beta1, new1, beta2, new2, root, eps, weight_decay, amsgrad
):
    """One parameter of `reference.optim.adam_step`; rate and root hold the bias corrections.

    new1 = 1 - beta1 and new2 = 1 - beta2 come rounded from float64: in float32, 1 - 0.999 keeps three digits only.
    """
    for i in prange(p.size):
        p[i] *= shrink
        g = sign * grad[i]
        if weight_decay != 0:  # 0 * inf would be NaN
            g += weight_decay * p[i]
        m[i] = beta1 * m[i] + new1 * g
        v[i] = beta2 * v[i] + new2 * g * g
        second = v[i]
        if amsgrad:
            if second > largest[i] or second != second:  # NaN wins, as in np.maximum
                largest[i] = second
            second = largest[i]
        p[i] -= rate * m[i] / (np.sqrt(second) * root + eps)


def _flat(*arrays: np.ndarray) -> list[np.ndarray] | None:
    """The arrays as 1-D views, or None if a kernel cannot write to one of them."""
    return [a.reshape(-1) for a in arrays] if all(a.flags.carray for a in arrays) else None


def sgd_step(
    params: Arrays,
    grads: Arrays,
    buffers: Arrays,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    first: bool,
) -> None:
    """Stochastic gradient descent in place; see `reference.optim`."""
    for i, (p, grad) in enumerate(zip(params, grads, strict=True)):
        b = buffers[i] if buffers else grad
        flat = _flat(p, grad, b)
        if flat is None or p.dtype not in (np.float32, np.float64):
            reference.sgd_step(
                [p], [grad], [b] if buffers else [], lr=lr, momentum=momentum, dampening=dampening,
                weight_decay=weight_decay, nesterov=nesterov, maximize=maximize, first=first,
            )  # fmt: skip
        elif p.size:
            if first and buffers:
                b[...] = 0
            kept = 1.0 if first else 1 - dampening
            numbers = (p.dtype.type(x) for x in (-1 if maximize else 1, lr, momentum, kept, weight_decay))
            launch(sgd, *flat, *numbers, bool(nesterov), bool(buffers), elements=p.size)


def adam_step(
    params: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    exp_avg_sqs: Arrays,
    max_exp_avg_sqs: Arrays,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    amsgrad: bool,
    maximize: bool,
) -> None:
    """Adam in place; see `reference.optim`."""
    rate, root = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    for i, (p, grad) in enumerate(zip(params, grads, strict=True)):
        largest = [max_exp_avg_sqs[i]] if amsgrad else []
        flat = _flat(p, grad, exp_avgs[i], exp_avg_sqs[i], *(largest or [exp_avg_sqs[i]]))
        if flat is None or p.dtype not in (np.float32, np.float64):
            reference.adam_step(
                [p], [grad], [exp_avgs[i]], [exp_avg_sqs[i]], largest, step=step, lr=lr, beta1=beta1, beta2=beta2,
                eps=eps, weight_decay=weight_decay, decoupled=decoupled, amsgrad=amsgrad, maximize=maximize,
            )  # fmt: skip
        elif p.size:
            numbers = (-1 if maximize else 1, rate, shrink, beta1, 1 - beta1, beta2, 1 - beta2, root, eps, decay)
            launch(adam, *flat, *(p.dtype.type(x) for x in numbers), bool(amsgrad), elements=p.size)
