"""Batch normalization of x (N, C, L): a channel at a time."""

from __future__ import annotations

import numpy as np
from numba import prange, uintp

from .gemm import plain
from .jit import helper, kernel
from .threads import launch

RUN = 1024  # elements of one sum in the dtype of x: short, so that float32 keeps its digits


@helper
def _roughly_mean(x, c):
    """The mean of a channel, good to the digits of its largest elements."""
    batch, _, length = x.shape
    total = 0.0
    for n in range(batch):
        for start in range(0, length, RUN):
            run = x.dtype.type(0)
            for p in range(uintp(start), uintp(min(start + RUN, length))):
                run += x[n, c, p]
            total += run
    return x.dtype.type(total / (batch * length))


@kernel(parallel=True)
def train(workers, x, weight, bias, y, mean, var, eps):
    """mean, var and y of each channel, in three passes; runs of RUN elements are added up in float64.

    Distances are taken from a first, rough mean, so that a mean far from 0 costs no digits of the variance.
    """
    batch, channels, length = x.shape
    for worker in prange(workers):
        for c in range(worker, channels, workers):
            origin = _roughly_mean(x, c)
            total, squares = 0.0, 0.0
            for n in range(batch):
                for start in range(0, length, RUN):
                    run, run_squares = x.dtype.type(0), x.dtype.type(0)
                    for p in range(uintp(start), uintp(min(start + RUN, length))):
                        distance = x[n, c, p] - origin
                        run += distance
                        run_squares += distance * distance
                    total += run
                    squares += run_squares
            count = batch * length
            mu = total / count
            mean[c] = origin + mu
            var[c] = max(squares / count - mu * mu, 0.0)
            scale = x.dtype.type(weight[c] / np.sqrt(np.float64(var[c]) + eps))
            centre, shift = mean[c], bias[c]
            for n in range(batch):
                for p in range(length):
                    y[n, c, p] = (x[n, c, p] - centre) * scale + shift


@kernel(parallel=True)
def train_grad(workers, gy, x, mean, var, weight, gx, gweight, gbias, eps):
    """gx = weight * inverse * (gy - mean(gy) - xhat * mean(gy * xhat)); the two sums are the other gradients."""
    batch, channels, length = x.shape
    for worker in prange(workers):
        for c in range(worker, channels, workers):
            inverse = 1.0 / np.sqrt(np.float64(var[c]) + eps)
            mu = mean[c]
            total, product = 0.0, 0.0
            for n in range(batch):
                for start in range(0, length, RUN):
                    run, run_product = x.dtype.type(0), x.dtype.type(0)
                    for p in range(uintp(start), uintp(min(start + RUN, length))):
                        run += gy[n, c, p]
                        run_product += gy[n, c, p] * (x[n, c, p] - mu)
                    total += run
                    product += run_product
            product *= inverse
            gbias[c], gweight[c] = total, product
            count = batch * length
            scale = x.dtype.type(weight[c] * inverse)
            slope, level = x.dtype.type(product * inverse / count), x.dtype.type(total / count)
            for n in range(batch):
                for p in range(length):
                    gx[n, c, p] = (gy[n, c, p] - level - (x[n, c, p] - mu) * slope) * scale


@kernel(parallel=True)
def evaluate(workers, x, mean, var, weight, bias, y, eps):
    """y = (x - mean) / sqrt(var + eps) * weight + bias"""
    batch, channels, length = x.shape
    for worker in prange(workers):
        for unit in range(worker, batch * channels, workers):
            n, c = unit // channels, unit % channels
            scale = x.dtype.type(weight[c] / np.sqrt(np.float64(var[c]) + eps))
            centre, shift = mean[c], bias[c]
            for p in range(length):
                y[n, c, p] = (x[n, c, p] - centre) * scale + shift


def batch_norm_train(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(y, mean, var): y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance."""
    y, mean, var = np.empty(x.shape, x.dtype), *np.full((2, x.shape[1]), np.nan, x.dtype)
    if x.size:
        launch(train, plain(x), plain(weight), plain(bias), y, mean, var, float(eps))
    return y, mean, var


def batch_norm_train_grad(
    gy: np.ndarray, x: np.ndarray, mean: np.ndarray, var: np.ndarray, weight: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(gx, gweight, gbias) of `batch_norm_train`."""
    gx = np.empty(x.shape, x.dtype)
    gweight, gbias = np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    if x.size:
        arrays = (plain(a) for a in (gy, x, mean, var, weight))
        launch(train_grad, *arrays, gx, gweight, gbias, float(eps))
    return gx, gweight, gbias


def batch_norm_eval(
    x: np.ndarray, mean: np.ndarray, var: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float
) -> np.ndarray:
    """(x - mean) / sqrt(var + eps) * weight + bias"""
    y = np.empty(x.shape, x.dtype)
    if x.size:
        launch(evaluate, *(plain(a) for a in (x, mean, var, weight, bias)), y, float(eps))
    return y
