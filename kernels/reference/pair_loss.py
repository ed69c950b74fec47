"""Losses between x and t of one shape: kinds "mse", "l1", "huber" (with its bend at `beta`) and "bce_logits"."""

from __future__ import annotations

import numpy as np

from . import silent


@silent
def pair_loss(x: np.ndarray, t: np.ndarray, kind: str, beta: float, scale: float, reduced: bool) -> np.ndarray:
    """scale * loss for each element; `reduced`: their sum, without dimensions. With d = x - t, the loss is

    mse: d**2          l1: |d|          huber: d**2 / 2 where |d| <= beta, else beta * (|d| - beta / 2)
    bce_logits: -t * ln(s) - (1 - t) * ln(1 - s) with s = sigmoid(x)
    """
    d = x - t
    if kind == "mse":
        loss = d * d
    elif kind == "l1":
        loss = np.abs(d)
    elif kind == "huber":
        loss = np.where(np.abs(d) <= beta, d * d / 2, beta * (np.abs(d) - beta / 2))
    else:
        loss = np.where(x > 0, x * (1 - t), -x * t) + np.log1p(np.exp(-np.abs(x)))
    if reduced:
        return np.asarray(loss.sum(dtype=np.float64) * scale).astype(x.dtype)
    return (loss * scale).astype(x.dtype, copy=False)


@silent
def pair_loss_grad(gy: np.ndarray, x: np.ndarray, t: np.ndarray, kind: str, beta: float, scale: float) -> np.ndarray:
    """gx of `pair_loss`: scale * gy * (2 * d, sign(d), d within [-beta, beta], or sigmoid(x) - t).

    Args:
        gy: of the shape of x, or a single element.
    """
    d = x - t
    if kind == "mse":
        slope = 2 * d
    elif kind == "l1":
        slope = np.sign(d)
    elif kind == "huber":
        slope = np.clip(d, -beta, beta)
    else:
        slope = 1 / (1 + np.exp(-x)) - t
    return (gy * scale * slope).astype(x.dtype, copy=False)
