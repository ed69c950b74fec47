"""Normalization of the groups of channels of x (N, C, L); a layer norm of rows (N, K) is one group of x (N, K, 1)."""

from __future__ import annotations

import numpy as np

from . import silent


def _grouped(x: np.ndarray, groups: int) -> np.ndarray:
    """x as (N, G, C / G, L)"""
    n, c, length = x.shape
    return x.reshape(n, groups, c // groups, length)


@silent
def group_norm(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, groups: int, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(y, mean, rstd): y = (x - mean) * rstd * weight + bias, with weight and bias (C,).

    mean and rstd = 1 / sqrt(variance + eps), with the biased variance, are those of each group: (N, G).
    """
    parts = _grouped(x, groups)
    count = parts.shape[2] * parts.shape[3]
    mean = parts.sum(axis=(2, 3), dtype=np.float64) / count
    var = np.square(parts - mean[..., None, None]).sum(axis=(2, 3)) / count
    rstd = 1 / np.sqrt(var + eps)
    xhat = ((parts - mean[..., None, None]) * rstd[..., None, None]).reshape(x.shape)
    y = xhat * weight[:, None] + bias[:, None]
    return y.astype(x.dtype, copy=False), mean.astype(x.dtype), rstd.astype(x.dtype)


@silent
def group_norm_grad(
    gy: np.ndarray, x: np.ndarray, mean: np.ndarray, rstd: np.ndarray, weight: np.ndarray, groups: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(gx, gweight, gbias). With xhat = (x - mean) * rstd, g = gy * weight and means over each group:

    gx = rstd * (g - mean(g) - xhat * mean(g * xhat))
    """
    xhat = (_grouped(x, groups) - mean[..., None, None]) * rstd[..., None, None]
    g = _grouped(gy * weight[:, None], groups)
    count = max(g.shape[2] * g.shape[3], 1)
    level = g.sum(axis=(2, 3), keepdims=True, dtype=np.float64) / count
    slope = (g * xhat).sum(axis=(2, 3), keepdims=True, dtype=np.float64) / count
    gx = (rstd[..., None, None] * (g - level - xhat * slope)).reshape(x.shape)
    gweight = (gy * xhat.reshape(x.shape)).sum(axis=(0, 2), dtype=np.float64)
    gbias = gy.sum(axis=(0, 2), dtype=np.float64)
    return gx.astype(x.dtype, copy=False), gweight.astype(x.dtype), gbias.astype(x.dtype)


@silent
def rms_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """(y, rstd) of rows x (R, K): y = x * rstd * weight with rstd = 1 / sqrt(mean(x**2) + eps), weight (K,)."""
    rstd = 1 / np.sqrt(np.square(x, dtype=np.float64).sum(axis=1) / x.shape[1] + eps)
    return (x * rstd[:, None] * weight).astype(x.dtype, copy=False), rstd.astype(x.dtype)


@silent
def rms_norm_grad(gy: np.ndarray, x: np.ndarray, rstd: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(gx, gweight). With xhat = x * rstd and g = gy * weight: gx = rstd * (g - xhat * mean(g * xhat))"""
    xhat, g = x * rstd[:, None], gy * weight
    slope = (g * xhat).sum(axis=1, keepdims=True, dtype=np.float64) / max(x.shape[1], 1)
    gx = rstd[:, None] * (g - xhat * slope)
    return gx.astype(x.dtype, copy=False), (gy * xhat).sum(axis=0, dtype=np.float64).astype(x.dtype)
