"""Batch normalization of x (N, C, L): for each channel, over N and L."""

from __future__ import annotations

import numpy as np

from . import silent


def _column(v: np.ndarray, rank: int = 3) -> np.ndarray:
    return v.reshape(-1, *(1,) * (rank - 2))


@silent
def batch_norm_train(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(y, mean, var): y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance."""
    mean, var = batch_norm_moments(x)
    return batch_norm_eval(x, mean, var, weight, bias, eps), mean, var


@silent
def batch_norm_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, var) of each channel; the biased variance."""
    count = x.shape[0] * x.shape[2]
    mean = (x.sum(axis=(0, 2), dtype=np.float64) / count).astype(x.dtype)
    var = (np.square(x - _column(mean)).sum(axis=(0, 2), dtype=np.float64) / count).astype(x.dtype)
    return mean, var


@silent
def batch_norm_train_grad(
    gy: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    weight: np.ndarray,
    eps: float,
    bias: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(gx, gweight, gbias). With xhat = (x - mean) / sqrt(var + eps) and means over N and L:

    gx = weight / sqrt(var + eps) * (gy - mean(gy) - xhat * mean(gy * xhat))

    Given the bias, gy is the gradient of max(y, 0), and counts as 0 where y <= 0.
    """
    if bias is not None:
        gy = np.where(batch_norm_eval(x, mean, var, weight, bias, eps) <= 0, x.dtype.type(0), gy)
    count = max(x.shape[0] * x.shape[2], 1)
    inverse = 1 / np.sqrt(var + x.dtype.type(eps))
    xhat = (x - _column(mean)) * _column(inverse)
    gbias = gy.sum(axis=(0, 2), dtype=np.float64).astype(x.dtype)
    gweight = (gy * xhat).sum(axis=(0, 2), dtype=np.float64).astype(x.dtype)
    gx = _column(weight * inverse) * (gy - _column(gbias / count) - xhat * _column(gweight / count))
    return gx.astype(x.dtype, copy=False), gweight, gbias


@silent
def batch_norm_eval(
    x: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    eps: float,
    other: np.ndarray | None = None,
    relu: bool = False,
) -> np.ndarray:
    """(x - mean) / sqrt(var + eps) * weight + bias, then plus `other` (of x's shape), then max(., 0), if asked for.

    Here x may be (N, C, ...), of any rank.
    """
    scale = weight / np.sqrt(var + x.dtype.type(eps))
    y = (x - _column(mean, x.ndim)) * _column(scale, x.ndim) + _column(bias, x.ndim)
    if other is not None:
        y = y + other
    return np.maximum(y, 0) if relu else y
