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

# `numbers` of a kernel are (beta, scale, 0, 1 / 2, 1) in the dtype of x: to Numba, 1 - a float32 is a float64. Each
# kind has loops of its own: LLVM makes vectors of those without a choice in them.


@helper
def _mse(x, t, numbers):
    return (x - t) * (x - t)


@helper
def _l1(x, t, numbers):
    return abs(x - t)


@helper
def _huber(x, t, numbers):
    beta, half = numbers[0], numbers[3]
    size = abs(x - t)
    bent, straight = half * size * size, beta * (size - half * beta)
    return bent if size <= beta else straight


@helper
def _bce_logits(x, t, numbers):
    toward, away = x * (numbers[4] - t), -(x * t)
    return (toward if x > numbers[2] else away) + exponential.softplus(-abs(x))


@helper
def _mse_slope(x, t, numbers):
    return (x - t) + (x - t)


@helper
def _l1_slope(x, t, numbers):
    nil, one = numbers[2], numbers[4]
    return (one if x > t else nil) - (one if x < t else nil)


@helper
def _huber_slope(x, t, numbers):
    beta = numbers[0]
    d = x - t
    d = -beta if d < -beta else d
    return beta if d > beta else d


@helper
def _bce_logits_slope(x, t, numbers):
    one = numbers[4]
    return one / (one + exponential.exp(-x)) - t


@kernel(parallel=True)
def losses(workers, x, t, kind, numbers, out):
    """out = scale * loss"""
    scale = numbers[1]
    for worker in prange(workers):
        for start in range(worker * CHUNK, x.size, workers * CHUNK):
            first, last = uintp(start), uintp(min(start + CHUNK, x.size))
            if kind == MSE:
                for i in range(first, last):
                    out[i] = scale * _mse(x[i], t[i], numbers)
            elif kind == L1:
                for i in range(first, last):
                    out[i] = scale * _l1(x[i], t[i], numbers)
            elif kind == HUBER:
                for i in range(first, last):
                    out[i] = scale * _huber(x[i], t[i], numbers)
            else:
                for i in range(first, last):
                    out[i] = scale * _bce_logits(x[i], t[i], numbers)


@kernel(parallel=True)
def sums(workers, x, t, kind, numbers, parts):
    """parts[k] = the sum of the losses of chunk k"""
    for worker in prange(workers):
        for k in range(worker, len(parts), workers):
            total = 0.0
            for start in range(k * CHUNK, min((k + 1) * CHUNK, x.size), RUN):
                run, first, last = numbers[2], uintp(start), uintp(min(start + RUN, x.size))
                if kind == MSE:
                    for i in range(first, last):
                        run += _mse(x[i], t[i], numbers)
                elif kind == L1:
                    for i in range(first, last):
                        run += _l1(x[i], t[i], numbers)
                elif kind == HUBER:
                    for i in range(first, last):
                        run += _huber(x[i], t[i], numbers)
                else:
                    for i in range(first, last):
                        run += _bce_logits(x[i], t[i], numbers)
                total += run
            parts[k] = total


@kernel(parallel=True)
def slopes(workers, gy, x, t, kind, numbers, gx):
    """gx = scale * gy * slope; gy may be one number"""
    scale = numbers[1]
    for worker in prange(workers):
        for start in range(worker * CHUNK, x.size, workers * CHUNK):
            first, last = uintp(start), uintp(min(start + CHUNK, x.size))
            if kind == MSE:
                for i in range(first, last):
                    gx[i] = _mse_slope(x[i], t[i], numbers)
            elif kind == L1:
                for i in range(first, last):
                    gx[i] = _l1_slope(x[i], t[i], numbers)
            elif kind == HUBER:
                for i in range(first, last):
                    gx[i] = _huber_slope(x[i], t[i], numbers)
            else:
                for i in range(first, last):
                    gx[i] = _bce_logits_slope(x[i], t[i], numbers)
            if len(gy) == 1:
                factor = scale * gy[0]
                for i in range(first, last):
                    gx[i] *= factor
            else:
                for i in range(first, last):
                    gx[i] *= scale * gy[i]


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
