"""Softmax of rows x (R, K), and the cross-entropy built on it: a block for each row.

The threads of a block stride over its row; maxima and sums are reduced in shared memory, always in the same order.
Traffic: forward reads a row three times, the second and third from the cache, and writes it once.
"""

from __future__ import annotations

import math
from typing import Any

from numba import cuda

from .backend import xp
from .device import exp_of, log_of, max_in_block, sum_in_block
from .elementwise import div
from .launch import BLOCK, MOST_BLOCKS, kernel
from .reduce import sum

LEAST = min(BLOCK, 32)  # threads of a block for short rows
SIZES = ((LEAST,), (BLOCK,))


def _block(length: int) -> int:
    return LEAST if length <= 4 * LEAST else BLOCK


@cuda.jit(device=True)
def largest_and_total(x, start, length, parts, t, size, least, zero):
    """The largest element of a row, and the sum of exp(x - largest); for every thread of the block."""
    largest = least
    for k in range(t, length, size):
        here = zero + x[start + k]  # float16 as float32
        if here > largest:
            largest = here
    largest = max_in_block(parts, t, size, largest)
    total = zero
    for k in range(t, length, size):
        total += exp_of(zero + x[start + k] - largest)
    return largest, sum_in_block(parts, t, size, total)


@kernel("T* T* int64 int64 int64", "efd", SIZES)
def forward(T, B):
    """y = exp(x - max) / sum of them, for each row; or the logarithm of that."""
    zero, least = T(0), T(-math.inf)

    def body(x, y, rows, length, logarithm):
        parts = cuda.shared.array(B, T)
        t = cuda.threadIdx.x
        for r in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
            start = r * length
            largest, total = largest_and_total(x, start, length, parts, t, B, least, zero)
            log_total = log_of(total)
            for k in range(t, length, B):
                shifted = T(x[start + k]) - largest
                y[start + k] = shifted - log_total if logarithm else exp_of(shifted) / total

    return body


@kernel("T* T* T* int64 int64 int64", "efd", SIZES)
def backward(T, B):
    """gx = y * (gy - sum(gy * y)), for each row; or of the logarithm, gy - exp(y) * sum(gy)."""
    zero = T(0)

    def body(gy, y, gx, rows, length, logarithm):
        parts = cuda.shared.array(B, T)
        t = cuda.threadIdx.x
        for r in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
            start = r * length
            total = zero
            for k in range(t, length, B):
                total += T(gy[start + k]) if logarithm else T(gy[start + k]) * T(y[start + k])
            total = sum_in_block(parts, t, B, total)
            for k in range(t, length, B):
                i = start + k
                g, out = T(gy[i]), T(y[i])
                gx[i] = g - exp_of(out) * total if logarithm else out * (g - total)

    return body


@kernel("T* int64* T* T* int64 int64 int64", constants=SIZES)
def loss_forward(T, B):
    """lse = log(sum(exp(x))) of each row, loss = lse - x[target], 0 where the target is ignored."""
    zero, least = T(0), T(-math.inf)

    def body(x, target, loss, lse, rows, length, ignored):
        parts = cuda.shared.array(B, T)
        t = cuda.threadIdx.x
        for r in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
            start = r * length
            largest, total = largest_and_total(x, start, length, parts, t, B, least, zero)
            if t == 0:
                whole = largest + log_of(total)
                lse[r] = whole
                loss[r] = zero if target[r] == ignored else whole - x[start + target[r]]

    return body


@kernel("T* T* T* int64* T* int64 int64 int64 int64", constants=SIZES)
def loss_backward(T, B):
    """gx = scale * (softmax(x) - onehot(target)) for each row, 0 where the target is ignored."""
    zero, one = T(0), T(1)

    def body(scale, x, lse, target, gx, rows, length, ignored, each):
        t = cuda.threadIdx.x
        for r in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
            start, label, factor, whole = r * length, target[r], scale[r * each], lse[r]
            for k in range(t, length, B):
                if label == ignored:
                    gx[start + k] = zero
                else:
                    share = exp_of(x[start + k] - whole)
                    gx[start + k] = factor * (share - one if k == label else share)

    return body


def _as_rows(x: Any) -> Any:
    """x (R, K), or (N, K, L) with the middle axis moved to the end, C-contiguous."""
    return xp.ascontiguousarray(x if x.ndim == 2 else xp.moveaxis(x, 1, 2))


def _back(y: Any, ndim: int) -> Any:
    return y if ndim == 2 else xp.ascontiguousarray(xp.moveaxis(y, 2, 1))


def _forward(x: Any, logarithm: int) -> Any:
    ndim, x = x.ndim, _as_rows(x)
    y = xp.empty(x.shape, x.dtype)
    if x.size:
        length = x.shape[-1]
        rows, block = x.size // length, _block(length)
        forward.of(x.dtype, block)(min(rows, MOST_BLOCKS), block, x, y, rows, length, logarithm)
    return _back(y, ndim)


def _backward(gy: Any, y: Any, logarithm: int) -> Any:
    ndim, gy, y = y.ndim, _as_rows(gy), _as_rows(y)
    gx = xp.empty(y.shape, y.dtype)
    if y.size:
        length = y.shape[-1]
        rows, block = y.size // length, _block(length)
        backward.of(y.dtype, block)(min(rows, MOST_BLOCKS), block, gy, y, gx, rows, length, logarithm)
    return _back(gx, ndim)


def softmax(x: Any) -> Any:
    """y = exp(x) / sum(exp(x)), of rows x (R, K) or over the middle of x (N, K, L)"""
    return _forward(x, 0)


def softmax_grad(gy: Any, y: Any) -> Any:
    """y * (gy - sum(gy * y))"""
    return _backward(gy, y, 0)


def log_softmax(x: Any) -> Any:
    """y = x - log(sum(exp(x))), of rows x (R, K) or over the middle of x (N, K, L)"""
    return _forward(x, 1)


def log_softmax_grad(gy: Any, y: Any) -> Any:
    """gy - exp(y) * sum(gy)"""
    return _backward(gy, y, 1)


def class_count(target: Any, classes: int, ignore_index: int) -> tuple[int, int]:
    """How many targets are not ignored, and where the first is that is neither a class nor ignored; -1 for none."""
    counted = target != ignore_index
    wrong = ((target < 0) | (target >= classes)) & counted
    return int(counted.sum()), int(wrong.argmax()) if wrong.any() else -1


def cross_entropy(x: Any, target: Any, ignore_index: int, total: int | None = None) -> tuple[Any, Any]:
    """(loss, lse): lse = log(sum(exp(x))) of each row, loss = lse - x[target], 0 where the target is ignored.

    With a `total`, loss is the sum of all divided by it.
    """
    if total is not None:
        loss, lse = cross_entropy(x, target, ignore_index)
        return div(sum(loss, (0,), False), total), lse
    x, target = xp.ascontiguousarray(x), xp.ascontiguousarray(target)
    rows, length = x.shape
    if not x.size:
        nothing = xp.full((rows,), -math.inf, x.dtype)
        return xp.zeros((rows,), x.dtype), nothing
    loss, lse = xp.empty((rows,), x.dtype), xp.empty((rows,), x.dtype)
    block = _block(length)
    ready = loss_forward.of(x.dtype, block)
    ready(min(rows, MOST_BLOCKS), block, x, target, loss, lse, rows, length, ignore_index)
    return loss, lse


def cross_entropy_grad(scale: Any, x: Any, lse: Any, target: Any, ignore_index: int) -> Any:
    """gx = scale * (softmax(x) - onehot(target)) for each row, 0 where the target is ignored.

    Scale has one or as many elements.
    """
    scale, x, lse, target = [xp.ascontiguousarray(a) for a in (scale, x, lse, target)]
    gx = xp.empty(x.shape, x.dtype)
    if x.size:
        rows, length = x.shape
        block = _block(length)
        ready = loss_backward.of(x.dtype, block)
        ready(min(rows, MOST_BLOCKS), block, scale, x, lse, target, gx, rows, length, ignore_index, int(scale.size > 1))
    return gx


def nll(x: Any, target: Any, ignore_index: int) -> Any:
    """-x[target] of each row, 0 where the target is ignored."""
    if not x.size:
        return xp.zeros((x.shape[0],), x.dtype)
    valid = target != ignore_index
    picked = xp.take_along_axis(x, xp.where(valid, target, 0)[:, None], 1)[:, 0]
    return xp.where(valid, -picked, x.dtype.type(0))


def nll_grad(scale: Any, target: Any, ignore_index: int, classes: int) -> Any:
    """gx = -scale * onehot(target) for each row, 0 where the target is ignored; scale has one or as many elements."""
    label = target[:, None]
    hit = (xp.arange(classes) == label) & (label != ignore_index)
    return xp.where(hit, -scale.reshape(-1, 1), scale.dtype.type(0))
