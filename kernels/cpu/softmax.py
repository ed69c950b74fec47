"""Softmax of rows x (R, K), and the cross-entropy built on it: one pass for the largest, one for the sum."""

from __future__ import annotations

import numpy as np
from numba import prange

from .gemm import plain
from .jit import helper, kernel
from .threads import launch


@helper
def _largest_and_sum(x, r):
    """The largest element of a row (NaN if there is one), and the sum of exp(x - largest)."""
    largest = x.dtype.type(-np.inf)
    for k in range(x.shape[1]):
        if x[r, k] > largest or x[r, k] != x[r, k]:
            largest = x[r, k]
    total = x.dtype.type(0)
    for k in range(x.shape[1]):
        total += np.exp(x[r, k] - largest)
    return largest, total


@kernel(parallel=True)
def forward(workers, x, y, logarithm):
    """softmax of each row, or its logarithm"""
    for worker in prange(workers):
        for r in range(worker, x.shape[0], workers):
            largest, total = _largest_and_sum(x, r)
            if logarithm:
                log_total = np.log(total)
                for k in range(x.shape[1]):
                    y[r, k] = x[r, k] - largest - log_total
            else:
                for k in range(x.shape[1]):
                    y[r, k] = np.exp(x[r, k] - largest) / total


@kernel(parallel=True)
def backward(workers, gy, y, gx, logarithm):
    """y * (gy - sum(gy * y)), or for the logarithm gy - exp(y) * sum(gy)"""
    for worker in prange(workers):
        for r in range(worker, gy.shape[0], workers):
            total = gy.dtype.type(0)
            if logarithm:
                for k in range(gy.shape[1]):
                    total += gy[r, k]
                for k in range(gy.shape[1]):
                    gx[r, k] = gy[r, k] - np.exp(y[r, k]) * total
            else:
                for k in range(gy.shape[1]):
                    total += gy[r, k] * y[r, k]
                for k in range(gy.shape[1]):
                    gx[r, k] = y[r, k] * (gy[r, k] - total)


@kernel(parallel=True)
def loss_forward(workers, x, target, ignore_index, loss, lse):
    """lse = log(sum(exp(x))) and loss = lse - x[target], or 0"""
    for worker in prange(workers):
        for r in range(worker, x.shape[0], workers):
            largest, total = _largest_and_sum(x, r)
            log_total = np.log(total)
            lse[r] = largest + log_total
            if target[r] == ignore_index:
                loss[r] = 0
            else:
                loss[r] = (largest - x[r, target[r]]) + log_total


@kernel(parallel=True)
def loss_backward(workers, scale, x, lse, target, ignore_index, gx):
    """gx = scale * (softmax(x) - onehot(target)), or 0"""
    for worker in prange(workers):
        for r in range(worker, x.shape[0], workers):
            if target[r] == ignore_index:
                for k in range(x.shape[1]):
                    gx[r, k] = 0
            else:
                for k in range(x.shape[1]):
                    gx[r, k] = scale[r] * np.exp(x[r, k] - lse[r])
                gx[r, target[r]] -= scale[r]


def _forward(x: np.ndarray, logarithm: bool) -> np.ndarray:
    y = np.empty(x.shape, x.dtype)
    if x.size:
        launch(forward, plain(x), y, logarithm, elements=x.size)
    return y


def _backward(gy: np.ndarray, y: np.ndarray, logarithm: bool) -> np.ndarray:
    gx = np.empty(y.shape, y.dtype)
    if y.size:
        launch(backward, plain(gy), plain(y), gx, logarithm, elements=y.size)
    return gx


def softmax(x: np.ndarray) -> np.ndarray:
    """y = exp(x) / sum(exp(x))"""
    return _forward(x, False)


def softmax_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y * (gy - sum(gy * y))"""
    return _backward(gy, y, False)


def log_softmax(x: np.ndarray) -> np.ndarray:
    """y = x - log(sum(exp(x)))"""
    return _forward(x, True)


def log_softmax_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gy - exp(y) * sum(gy)"""
    return _backward(gy, y, True)


def cross_entropy(x: np.ndarray, target: np.ndarray, ignore_index: int) -> tuple[np.ndarray, np.ndarray]:
    """(loss, lse): lse = log(sum(exp(x))) of each row, loss = lse - x[target], 0 where the target is ignored."""
    loss, lse = np.empty(len(x), x.dtype), np.empty(len(x), x.dtype)
    if len(x):
        launch(loss_forward, plain(x), plain(target), int(ignore_index), loss, lse, elements=x.size)
    return loss, lse


def cross_entropy_grad(
    scale: np.ndarray, x: np.ndarray, lse: np.ndarray, target: np.ndarray, ignore_index: int
) -> np.ndarray:
    """gx = scale * (softmax(x) - onehot(target)) for each row, 0 where the target is ignored."""
    gx = np.empty(x.shape, x.dtype)
    if x.size:
        arrays = (plain(a) for a in (scale, x, lse, target))
        launch(loss_backward, *arrays, int(ignore_index), gx, elements=x.size)
    return gx
