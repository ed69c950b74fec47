"""Losses between x and t of one shape, in one pass; a sum in two steps, in a fixed order.

A kind of loss is a pair of formulas, of the loss and of its slope; `value`, `sum_of_values` and `gradient` are the
loops around them.
"""

from __future__ import annotations

from typing import Any

from numba import cuda

from ..reference import pair_loss as reference
from .backend import in_floats, xp
from .device import abs_of, exp_of, log1p_of, sum_in_block
from .launch import BLOCK, MOST_BLOCKS, flat, kernel
from .reduce import SEGMENT, sum


def _mse(T):
    return lambda x, t, beta: (x - t) * (x - t)


def _mse_slope(T):
    two = T(2)
    return lambda x, t, beta: two * (x - t)


def _l1(T):
    return lambda x, t, beta: abs_of(x - t)


def _l1_slope(T):
    zero, one = T(0), T(1)

    def slope(x, t, beta):
        d = x - t
        return one if d > zero else -one if d < zero else d  # NaN stays

    return slope


def _huber(T):
    half = T(0.5)

    def loss(x, t, beta):
        d = abs_of(x - t)
        return d * d * half if d <= beta else beta * (d - beta * half)

    return loss


def _huber_slope(T):
    def slope(x, t, beta):
        d = x - t
        return beta if d > beta else -beta if d < -beta else d

    return slope


def _bce_logits(T):
    zero, one = T(0), T(1)

    def loss(x, t, beta):
        return (x * (one - t) if x > zero else -x * t) + log1p_of(exp_of(-abs_of(x)))

    return loss


def _bce_logits_slope(T):
    one = T(1)
    return lambda x, t, beta: one / (one + exp_of(-x)) - t


LOSSES = {"mse": _mse, "l1": _l1, "huber": _huber, "bce_logits": _bce_logits}
SLOPES = {"mse": _mse_slope, "l1": _l1_slope, "huber": _huber_slope, "bce_logits": _bce_logits_slope}


@kernel("T* T* T* int64 T T", constants=tuple((loss,) for loss in LOSSES.values()))
def value(T, loss):
    """y = scale * loss, for each element."""
    each = cuda.jit(device=True)(loss(T))

    def body(x, t, y, n, beta, scale):
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            y[i] = each(x[i], t[i], beta) * scale

    return body


@kernel("T* T* T* int64 int64 T T", constants=tuple((loss, BLOCK) for loss in LOSSES.values()))
def sum_of_values(T, loss, B):
    """scale * the sum of the losses in each segment: a block for each."""
    each, zero = cuda.jit(device=True)(loss(T)), T(0)

    def body(x, t, sums, n, segment, beta, scale):
        parts = cuda.shared.array(B, T)
        thread = cuda.threadIdx.x
        for s in range(cuda.blockIdx.x, (n + segment - 1) // segment, cuda.gridDim.x):
            total = zero
            for i in range(s * segment + thread, min((s + 1) * segment, n), B):
                total += each(x[i], t[i], beta)
            total = sum_in_block(parts, thread, B, total)
            if thread == 0:
                sums[s] = total * scale

    return body


@kernel("T* T* T* T* int64 int64 T T", constants=tuple((slope,) for slope in SLOPES.values()))
def gradient(T, slope):
    """gx = gy * scale * slope, for each element; gy has one element for all if `gy_step` is 0."""
    each = cuda.jit(device=True)(slope(T))

    def body(gy, x, t, gx, n, gy_step, beta, scale):
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            gx[i] = gy[i * gy_step] * scale * each(x[i], t[i], beta)

    return body


@in_floats(reference.pair_loss)
def pair_loss(x: Any, t: Any, kind: str, beta: float, scale: float, reduced: bool) -> Any:
    """scale * loss for each element; `reduced`: their sum, without dimensions. For the kinds see `reference`."""
    x, t = xp.ascontiguousarray(x), xp.ascontiguousarray(t)
    loss, numbers = LOSSES[kind], (x.dtype.type(beta), x.dtype.type(scale))
    if not reduced:
        y = xp.empty(x.shape, x.dtype)
        if x.size:
            value.of(x.dtype, loss)(*flat(x.size), x, t, y, x.size, *numbers)
        return y
    segments = -(-x.size // SEGMENT)
    sums = xp.empty((segments,), x.dtype)
    if segments:
        ready = sum_of_values.of(x.dtype, loss, BLOCK)
        ready(min(segments, MOST_BLOCKS), BLOCK, x, t, sums, x.size, SEGMENT, *numbers)
    return sums.reshape(()) if segments == 1 else sum(sums, (0,), False)


@in_floats(reference.pair_loss_grad)
def pair_loss_grad(gy: Any, x: Any, t: Any, kind: str, beta: float, scale: float) -> Any:
    """gx of `pair_loss`; gy is of the shape of x, or a single element."""
    gy, x, t = xp.ascontiguousarray(gy), xp.ascontiguousarray(x), xp.ascontiguousarray(t)
    gx = xp.empty(x.shape, x.dtype)
    if x.size:
        numbers = x.dtype.type(beta), x.dtype.type(scale)
        ready = gradient.of(x.dtype, SLOPES[kind])
        ready(*flat(x.size), gy, x, t, gx, x.size, int(gy.size > 1), *numbers)
    return gx
