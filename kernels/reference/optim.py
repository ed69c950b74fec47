"""Optimizer steps over lists of arrays, which change in place."""

from __future__ import annotations

import math

import numpy as np

from . import silent

Arrays = list[np.ndarray]


@silent
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
    """Stochastic gradient descent (PyTorch's form): with g = +-grad + weight_decay * p and a buffer b for each p,

    b = momentum * b + (1 - dampening) * g   (b = g the first time)
    p = p - lr * (g + momentum * b if nesterov else b)

    Args:
        buffers: one for each parameter, or empty if momentum is 0.
        first: the buffers hold nothing yet.
    """
    for i, (p, grad) in enumerate(zip(params, grads, strict=True)):
        g = -grad if maximize else grad
        if weight_decay:
            g = g + weight_decay * p
        if buffers:
            b = buffers[i]
            if first:
                b[...] = g
            else:
                b *= momentum
                b += (1 - dampening) * g
            g = g + momentum * b if nesterov else b
        p -= lr * g


@silent
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
    """Adam (Kingma and Ba 2015; PyTorch's form), step number `step` from 1 on:

    m = beta1 * m + (1 - beta1) * g          v = beta2 * v + (1 - beta2) * g**2
    p = p - lr / (1 - beta1**step) * m / (sqrt(v) / sqrt(1 - beta2**step) + eps)

    Args:
        max_exp_avg_sqs: with `amsgrad`, the largest v so far, used in its place; else empty.
        decoupled: shrink p by lr * weight_decay (AdamW) instead of adding weight_decay * p to g.
    """
    correction1, correction2 = 1 - beta1**step, math.sqrt(1 - beta2**step)
    for i, (p, grad) in enumerate(zip(params, grads, strict=True)):
        g = -grad if maximize else grad
        if weight_decay and decoupled:
            p *= 1 - lr * weight_decay
        elif weight_decay:
            g = g + weight_decay * p
        m, v = exp_avgs[i], exp_avg_sqs[i]
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * (g * g)
        if amsgrad:
            np.maximum(max_exp_avg_sqs[i], v, out=max_exp_avg_sqs[i])
            v = max_exp_avg_sqs[i]
        p -= (lr / correction1) * (m / (np.sqrt(v) / correction2 + eps))
