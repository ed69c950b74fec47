"""Softmax of rows x (R, K), and the cross-entropy built on it: one pass for the largest, one for the sum.

Softmax over channels, of x (N, K, L), takes BAND columns side by side: their channels stay in the cache meanwhile.
"""

from __future__ import annotations

import numpy as np
from numba import prange, uintp

from ..reference.softmax import nll
from .bands import BAND, band, bands
from .exponential import exp
from .gemm import plain
from .jit import helper, kernel
from .memory import empty, zeros
from .threads import launch

__all__ = [
    "class_count",
    "cross_entropy",
    "cross_entropy_grad",
    "log_softmax",
    "log_softmax_grad",
    "nll",
    "nll_grad",
    "softmax",
    "softmax_grad",
]
LANES = 16  # running maxima of a row, side by side


@helper
def _largest(row, lanes):
    """The largest element of a row, NaN left out: the sum of the exponentials will be NaN then.

    LLVM does not make vectors of a running maximum, which NaN would upset; of sixteen side by side it does.
    """
    whole = uintp(len(row) // LANES * LANES)
    for i in range(LANES):
        lanes[i] = -np.inf
    for k in range(uintp(0), whole, uintp(LANES)):
        for i in range(uintp(LANES)):
            lanes[i] = row[k + i] if row[k + i] > lanes[i] else lanes[i]
    largest = lanes[0]
    for i in range(1, LANES):
        largest = lanes[i] if lanes[i] > largest else largest
    for k in range(whole, uintp(len(row))):
        largest = row[k] if row[k] > largest else largest
    return largest


@helper
def _sum_of_exp(row, largest):
    """sum(exp(x - largest))"""
    total = row.dtype.type(0)
    for k in range(uintp(len(row))):
        total += exp(row[k] - largest)
    return total


@kernel(parallel=True)
def forward(workers, x, y, logarithm):
    """softmax of each row, or its logarithm"""
    rows = x.shape[0]
    for worker in prange(workers):
        lanes = np.empty(LANES, x.dtype)
        for r in range(rows * worker // workers, rows * (worker + 1) // workers):
            row, out = x[r], y[r]
            largest = _largest(row, lanes)
            if logarithm:
                log_total = np.log(_sum_of_exp(row, largest))
                for k in range(uintp(len(row))):
                    out[k] = row[k] - largest - log_total
            else:
                for k in range(uintp(len(row))):
                    out[k] = exp(row[k] - largest)
                total = x.dtype.type(0)
                for k in range(uintp(len(row))):
                    total += out[k]
                for k in range(uintp(len(row))):
                    out[k] /= total


@kernel(parallel=True)
def backward(workers, gy, y, gx, logarithm):
    """y * (gy - sum(gy * y)), or for the logarithm gy - exp(y) * sum(gy)"""
    rows = gy.shape[0]
    for worker in prange(workers):
        for r in range(rows * worker // workers, rows * (worker + 1) // workers):
            g, p, out = gy[r], y[r], gx[r]
            total = gy.dtype.type(0)
            if logarithm:
                for k in range(uintp(len(g))):
                    total += g[k]
                for k in range(uintp(len(g))):
                    out[k] = g[k] - exp(p[k]) * total
            else:
                for k in range(uintp(len(g))):
                    total += g[k] * p[k]
                for k in range(uintp(len(g))):
                    out[k] = p[k] * (g[k] - total)


@kernel(parallel=True)
def forward_channels(workers, x, y, logarithm):
    """As `forward`, over the middle of x (N, K, L): for image, BAND columns, shared out to the workers: channels"""
    batch, channels, length = x.shape
    units = batch * bands(length)
    for worker in prange(workers):
        top, total = np.empty(BAND, x.dtype), np.empty(BAND, x.dtype)
        for unit in range(units * worker // workers, units * (worker + 1) // workers):
            n, start, width = band(unit, length)
            for j in range(width):
                top[j], total[j] = -np.inf, 0
            for k in range(channels):
                row = x[n, k, start : start + width]
                for j in range(width):
                    top[j] = row[j] if row[j] > top[j] else top[j]
            for k in range(channels):
                row, out = x[n, k, start : start + width], y[n, k, start : start + width]
                for j in range(width):
                    power = exp(row[j] - top[j])
                    total[j] += power
                    out[j] = power
            if logarithm:
                for j in range(width):
                    total[j] = np.log(total[j])
            for k in range(channels):
                row, out = x[n, k, start : start + width], y[n, k, start : start + width]
                if logarithm:
                    for j in range(width):
                        out[j] = row[j] - top[j] - total[j]
                else:
                    for j in range(width):
                        out[j] /= total[j]


@kernel(parallel=True)
def backward_channels(workers, gy, y, gx, logarithm):
    """As `backward`, over the middle of y (N, K, L)"""
    batch, channels, length = y.shape
    units = batch * bands(length)
    for worker in prange(workers):
        total = np.empty(BAND, y.dtype)
        for unit in range(units * worker // workers, units * (worker + 1) // workers):
            n, start, width = band(unit, length)
            for j in range(width):
                total[j] = 0
            for k in range(channels):
                g, p = gy[n, k, start : start + width], y[n, k, start : start + width]
                if logarithm:
                    for j in range(width):
                        total[j] += g[j]
                else:
                    for j in range(width):
                        total[j] += g[j] * p[j]
            for k in range(channels):
                g, p = gy[n, k, start : start + width], y[n, k, start : start + width]
                out = gx[n, k, start : start + width]
                if logarithm:
                    for j in range(width):
                        out[j] = g[j] - exp(p[j]) * total[j]
                else:
                    for j in range(width):
                        out[j] = p[j] * (g[j] - total[j])


@kernel(parallel=True)
def loss_forward(workers, x, target, ignore_index, loss, lse, mean, total):
    """lse = log(sum(exp(x))) and loss = lse - x[target], or 0; mean = the sum of the losses / total, if asked for"""
    rows = x.shape[0]
    for worker in prange(workers):
        lanes = np.empty(LANES, x.dtype)
        for r in range(rows * worker // workers, rows * (worker + 1) // workers):
            largest = _largest(x[r], lanes)
            log_total = np.log(_sum_of_exp(x[r], largest))
            lse[r] = largest + log_total
            if target[r] == ignore_index:
                loss[r] = 0
            else:
                loss[r] = (largest - x[r, target[r]]) + log_total
    if mean.size:
        add_up = 0.0
        for r in range(uintp(rows)):
            add_up += loss[r]
        mean[0] = x.dtype.type(add_up) / x.dtype.type(total)


@kernel(parallel=True)
def loss_backward(workers, scale, x, lse, target, ignore_index, gx):
    """gx = scale * (softmax(x) - onehot(target)), or 0"""
    rows = x.shape[0]
    each = 0 if scale.size == 1 else 1
    for worker in prange(workers):
        for r in range(rows * worker // workers, rows * (worker + 1) // workers):
            row, out, shift, factor = x[r], gx[r], lse[r], scale[r * each]
            if target[r] == ignore_index:
                for k in range(uintp(len(row))):
                    out[k] = 0
            else:
                for k in range(uintp(len(row))):
                    out[k] = factor * exp(row[k] - shift)
                gx[r, target[r]] -= factor


def _forward(x: np.ndarray, logarithm: bool) -> np.ndarray:
    y = empty(x.shape, x.dtype)
    if x.size:
        launch(forward if x.ndim == 2 else forward_channels, plain(x), y, logarithm, elements=x.size)
    return y


def _backward(gy: np.ndarray, y: np.ndarray, logarithm: bool) -> np.ndarray:
    gx = empty(y.shape, y.dtype)
    if y.size:
        launch(backward if y.ndim == 2 else backward_channels, plain(gy), plain(y), gx, logarithm, elements=y.size)
    return gx


def softmax(x: np.ndarray) -> np.ndarray:
    """y = exp(x) / sum(exp(x)), of rows x (R, K) or over the middle of x (N, K, L)"""
    return _forward(x, False)


def softmax_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y * (gy - sum(gy * y))"""
    return _backward(gy, y, False)


def log_softmax(x: np.ndarray) -> np.ndarray:
    """y = x - log(sum(exp(x))), of rows x (R, K) or over the middle of x (N, K, L)"""
    return _forward(x, True)


def log_softmax_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gy - exp(y) * sum(gy)"""
    return _backward(gy, y, True)


@kernel()
def count_classes(target, classes, ignore_index):
    """`class_count`"""
    count, wrong = 0, -1
    for i in range(len(target)):
        label = target[i]
        if label != ignore_index:
            count += 1
            if wrong < 0 and not 0 <= label < classes:
                wrong = i
    return count, wrong


def class_count(target: np.ndarray, classes: int, ignore_index: int) -> tuple[int, int]:
    """How many targets are not ignored, and where the first is that is neither a class nor ignored; -1 for none."""
    count, wrong = count_classes(plain(target), classes, int(ignore_index))
    return count, wrong


def cross_entropy(
    x: np.ndarray, target: np.ndarray, ignore_index: int, total: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(loss, lse): lse = log(sum(exp(x))) of each row, loss = lse - x[target], 0 where the target is ignored.

    With a `total`, loss is the sum of all divided by it.
    """
    rows, dtype = len(x), x.dtype
    loss, lse, mean = np.empty(rows, dtype), np.empty(rows, dtype), np.empty(0 if total is None else 1, dtype)
    launch(loss_forward, plain(x), plain(target), int(ignore_index), loss, lse, mean, total or 0, elements=x.size)
    return loss if total is None else mean.reshape(()), lse


def cross_entropy_grad(
    scale: np.ndarray, x: np.ndarray, lse: np.ndarray, target: np.ndarray, ignore_index: int
) -> np.ndarray:
    """gx = scale * (softmax(x) - onehot(target)) for each row, 0 where the target is ignored.

    Scale has one or as many elements.
    """
    gx = empty(x.shape, x.dtype)
    if x.size:
        scale, x, lse, target = plain(scale), plain(x), plain(lse), plain(target)
        launch(loss_backward, scale, x, lse, target, int(ignore_index), gx, elements=x.size)
    return gx


def nll_grad(scale: np.ndarray, target: np.ndarray, ignore_index: int, classes: int) -> np.ndarray:
    """gx = -scale * onehot(target) for each row, 0 where the target is ignored; scale has one or as many elements."""
    gx = zeros((len(target), classes), scale.dtype)
    rows = np.flatnonzero(target != ignore_index)
    gx[rows, target[rows]] = -(scale[rows] if scale.size > 1 else scale)
    return gx
