"""Losses between x and t: one pass over both, whether each loss is kept or their sum."""

from __future__ import annotations

import numpy as np
from numba import prange, uintp

from . import exponential
from .gemm import plain
from .jit import helper, kernel
from .memory import empty
from .threads import launch

CHUNK = 1 << 14  # elements of one unit of work
RUN = 1 << 10  # of one sum in the dtype of x; such sums are added in float64
MSE, L1, HUBER, BCE_LOGITS = range(4)
_KINDS = {"mse": MSE, "l1": L1, "huber": HUBER, "bce_logits": BCE_LOGITS}

# `numbers` of a kernel are (beta, scale, 0, 1 / 2, 1) in the dtype of x: to Numba, 1 - a float32 is a float64. The kind
# does not change in a loop, so LLVM makes a loop for each.


@helper
def _loss(x, t, kind, numbers):
    beta, nil, half, one = numbers[0], numbers[2], numbers[3], numbers[4]
    d = x - t
    size = abs(d)
    if kind == MSE:
        return d * d
    if kind == L1:
        return size
    if kind == HUBER:
        bent, straight = half * d * d, beta * (size - half * beta)
        return bent if size <= beta else straight
    toward, away = x * (one - t), -(x * t)
    return (toward if x > nil else away) + exponential.softplus(-abs(x))


@helper
def _slope(x, t, kind, numbers):
    beta, nil, one = numbers[0], numbers[2], numbers[4]
    d = x - t
    if kind == MSE:
        return d + d
    if kind == L1:
        return (one if d > nil else nil) - (one if d < nil else nil)
    if kind == HUBER:
        d = -beta if d < -beta else d
        return beta if d > beta else d
    return one / (one + exponential.exp(-x)) - t


@kernel(parallel=True)
def losses(workers, x, t, kind, numbers, out):
    """out = scale * loss"""
    scale = numbers[1]
    for worker in prange(workers):
        for start in range(worker * CHUNK, x.size, workers * CHUNK):
            for i in range(uintp(start), uintp(min(start + CHUNK, x.size))):
                out[i] = scale * _loss(x[i], t[i], kind, numbers)


@kernel(parallel=True)
def sums(workers, x, t, kind, numbers, parts):
    """parts[k] = the sum of the losses of chunk k"""
    for worker in prange(workers):
        for k in range(worker, len(parts), workers):
            total = 0.0
            for start in range(k * CHUNK, min((k + 1) * CHUNK, x.size), RUN):
                run = numbers[2]
                for i in range(uintp(start), uintp(min(start + RUN, x.size))):
                    run += _loss(x[i], t[i], kind, numbers)
                total += run
            parts[k] = total


@kernel(parallel=True)
def slopes(workers, gy, x, t, kind, numbers, gx):
    """gx = scale * gy * slope; gy may be one number"""
    scale = numbers[1]
    for worker in prange(workers):
        for start in range(worker * CHUNK, x.size, workers * CHUNK):
            first, last = uintp(start), uintp(min(start + CHUNK, x.size))
            if len(gy) == 1:
                factor = scale * gy[0]
                for i in range(first, last):
                    gx[i] = factor * _slope(x[i], t[i], kind, numbers)
            else:
                for i in range(first, last):
                    gx[i] = scale * gy[i] * _slope(x[i], t[i], kind, numbers)


def _numbers(x: np.ndarray, beta: float, scale: float) -> np.ndarray:
    return np.array((beta, scale, 0, 0.5, 1), x.dtype)


def pair_loss(x: np.ndarray, t: np.ndarray, kind: str, beta: float, scale: float, reduced: bool) -> np.ndarray:
    """scale * loss for each element; `reduced`: their sum, without dimensions."""
    given = plain(x).reshape(-1), plain(t).reshape(-1), _KINDS[kind], _numbers(x, beta, scale)
    if reduced:
        parts = np.empty(-(-x.size // CHUNK))
        launch(sums, *given, parts, elements=x.size)
        return np.asarray(parts.sum() * scale, x.dtype)
    out = empty(x.shape, x.dtype)
    launch(losses, *given, out.reshape(-1), elements=x.size)
    return out


def pair_loss_grad(gy: np.ndarray, x: np.ndarray, t: np.ndarray, kind: str, beta: float, scale: float) -> np.ndarray:
    """gx of `pair_loss`; gy has the shape of x, or is a single element."""
    gx = empty(x.shape, x.dtype)
    given = plain(gy).reshape(-1), plain(x).reshape(-1), plain(t).reshape(-1)
    launch(slopes, *given, _KINDS[kind], _numbers(x, beta, scale), gx.reshape(-1), elements=x.size)
    return gx
