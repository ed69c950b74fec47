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


def _gradient(p: np.ndarray, grad: np.ndarray, weight_decay: float, maximize: bool) -> np.ndarray:
    g = -grad if maximize else grad
    return g + weight_decay * p if weight_decay else g


@silent
def nadam_step(
    params: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    exp_avg_sqs: Arrays,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    mu: float,
    next_mu: float,
    mu_product: float,
) -> None:
    """Adam with Nesterov's momentum (Dozat 2016; PyTorch's form), with m and v as in `adam_step`:

    p = p - lr * ((1 - mu) / (1 - mu_product) * g + next_mu / (1 - mu_product * next_mu) * m)
            / (sqrt(v / (1 - beta2**step)) + eps)

    Args:
        mu, next_mu: the momentum of this step and of the next.
        mu_product: of the momenta of all steps so far.
    """
    for p, grad, m, v in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
        if weight_decay and decoupled:
            p *= 1 - lr * weight_decay
        g = _gradient(p, grad, 0 if decoupled else weight_decay, maximize)
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * (g * g)
        move = (1 - mu) / (1 - mu_product) * g + next_mu / (1 - mu_product * next_mu) * m
        p -= lr * move / (np.sqrt(v / (1 - beta2**step)) + eps)


@silent
def radam_step(
    params: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    exp_avg_sqs: Arrays,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    rectification: float | None,
) -> None:
    """Rectified Adam (Liu et al. 2020; PyTorch's form), with m and v as in `adam_step`:

    p = p - lr * m / (1 - beta1**step) * rectification / (sqrt(v) + eps)

    Args:
        rectification: None while the variance of v has no bound: then the last fraction is left out.
    """
    for p, grad, m, v in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
        if weight_decay and decoupled:
            p *= 1 - lr * weight_decay
        g = _gradient(p, grad, 0 if decoupled else weight_decay, maximize)
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * (g * g)
        move = m / (1 - beta1**step)
        p -= lr * (move if rectification is None else move * (rectification / (np.sqrt(v) + eps)))


@silent
def adamax_step(
    params: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    exp_infs: Arrays,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """Adamax (Kingma and Ba 2015), with m as in `adam_step`:

    u = max(beta2 * u, |g| + eps)          p = p - lr / (1 - beta1**step) * m / u
    """
    for p, grad, m, u in zip(params, grads, exp_avgs, exp_infs, strict=True):
        g = _gradient(p, grad, weight_decay, maximize)
        m += (1 - beta1) * (g - m)
        np.maximum(beta2 * u, np.abs(g) + eps, out=u)
        p -= lr / (1 - beta1**step) * (m / u)


@silent
def adagrad_step(
    params: Arrays, grads: Arrays, sums: Arrays, *, rate: float, eps: float, weight_decay: float, maximize: bool
) -> None:
    """Adagrad (Duchi et al. 2011): s = s + g**2          p = p - rate * g / (sqrt(s) + eps)"""
    for p, grad, total in zip(params, grads, sums, strict=True):
        g = _gradient(p, grad, weight_decay, maximize)
        total += g * g
        p -= rate * g / (np.sqrt(total) + eps)


@silent
def adadelta_step(
    params: Arrays,
    grads: Arrays,
    square_avgs: Arrays,
    acc_deltas: Arrays,
    *,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """Adadelta (Zeiler 2012):

    v = rho * v + (1 - rho) * g**2          d = g * sqrt((u + eps) / (v + eps))
    u = rho * u + (1 - rho) * d**2          p = p - lr * d
    """
    for p, grad, v, u in zip(params, grads, square_avgs, acc_deltas, strict=True):
        g = _gradient(p, grad, weight_decay, maximize)
        v *= rho
        v += (1 - rho) * (g * g)
        d = g * np.sqrt((u + eps) / (v + eps))
        u *= rho
        u += (1 - rho) * (d * d)
        p -= lr * d


@silent
def rmsprop_step(
    params: Arrays,
    grads: Arrays,
    square_avgs: Arrays,
    grad_avgs: Arrays,
    buffers: Arrays,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    maximize: bool,
) -> None:
    """RMSprop (Hinton): v = alpha * v + (1 - alpha) * g**2          p = p - lr * g / (sqrt(v) + eps)

    Args:
        grad_avgs: means of g, whose squares are taken from v first; or empty.
        buffers: b = momentum * b + g / (sqrt(v) + eps), with p = p - lr * b; or empty.
    """
    for i, (p, grad, v) in enumerate(zip(params, grads, square_avgs, strict=True)):
        g = _gradient(p, grad, weight_decay, maximize)
        v *= alpha
        v += (1 - alpha) * (g * g)
        spread = v
        if grad_avgs:
            grad_avgs[i] += (1 - alpha) * (g - grad_avgs[i])
            spread = v - grad_avgs[i] * grad_avgs[i]
        d = g / (np.sqrt(spread) + eps)
        if buffers:
            buffers[i] *= momentum
            buffers[i] += d
            d = buffers[i]
        p -= lr * d


@silent
def sums_of_squares(arrays: Arrays) -> np.ndarray:
    """The sum of squares of each array, in float64."""
    return np.array([np.square(a, dtype=np.float64).sum() for a in arrays])


@silent
def scale_arrays(arrays: Arrays, factor: float) -> None:
    """Multiply every array by `factor`, in place."""
    for a in arrays:
        a *= a.dtype.type(factor)
