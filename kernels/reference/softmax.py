"""Softmax of rows x (R, K), and the cross-entropy built on it."""

from __future__ import annotations

import numpy as np

from . import silent


def _shifted(x: np.ndarray) -> np.ndarray:
    """Rows with their largest element at 0: exp cannot overflow, and softmax does not change."""
    return x - x.max(axis=1, keepdims=True, initial=-np.inf)


@silent
def softmax(x: np.ndarray) -> np.ndarray:
    """y = exp(x) / sum(exp(x)), of rows x (R, K) or over the middle of x (N, K, L)"""
    e = np.exp(_shifted(x))
    return e / e.sum(axis=1, keepdims=True)


@silent
def softmax_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y * (gy - sum(gy * y))"""
    return y * (gy - (gy * y).sum(axis=1, keepdims=True))


@silent
def log_softmax(x: np.ndarray) -> np.ndarray:
    """y = x - log(sum(exp(x))), of rows x (R, K) or over the middle of x (N, K, L)"""
    s = _shifted(x)
    return s - np.log(np.exp(s).sum(axis=1, keepdims=True))


@silent
def log_softmax_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gy - exp(y) * sum(gy)"""
    return gy - np.exp(y) * gy.sum(axis=1, keepdims=True)


def class_count(target: np.ndarray, classes: int, ignore_index: int) -> tuple[int, int]:
    """How many targets are not ignored, and where the first is that is neither a class nor ignored; -1 for none."""
    counted = target != ignore_index
    wrong = np.flatnonzero(((target < 0) | (target >= classes)) & counted)
    return int(counted.sum()), int(wrong[0]) if wrong.size else -1


@silent
def cross_entropy(
    x: np.ndarray, target: np.ndarray, ignore_index: int, total: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(loss, lse): lse = log(sum(exp(x))) of each row, loss = lse - x[target], 0 where the target is ignored.

    With a `total`, loss is the sum of all divided by it.
    """
    largest = x.max(axis=1, initial=-np.inf)
    lse = largest + np.log(np.exp(x - largest[:, None]).sum(axis=1))
    valid = target != ignore_index
    picked = x[np.arange(len(x)), np.where(valid, target, 0)] if x.size else lse
    loss = np.where(valid, lse - picked, 0).astype(x.dtype)
    if total is not None:
        loss = np.asarray(loss.sum(dtype=np.float64).astype(x.dtype) / x.dtype.type(total))
    return loss, lse.astype(x.dtype)


@silent
def cross_entropy_grad(
    scale: np.ndarray, x: np.ndarray, lse: np.ndarray, target: np.ndarray, ignore_index: int
) -> np.ndarray:
    """gx = scale * (softmax(x) - onehot(target)) for each row, 0 where the target is ignored.

    Scale has one or as many elements.
    """
    gx = np.exp(x - lse[:, None])
    rows = np.flatnonzero(target != ignore_index)
    gx[rows, target[rows]] -= 1
    gx *= scale[:, None]
    gx[target == ignore_index] = 0
    return gx


def nll(x: np.ndarray, target: np.ndarray, ignore_index: int) -> np.ndarray:
    """-x[target] of each row, 0 where the target is ignored."""
    valid = target != ignore_index
    picked = x[np.arange(len(x)), np.where(valid, target, 0)] if x.size else np.zeros(len(x), x.dtype)
    return np.where(valid, -picked, 0)


def nll_grad(scale: np.ndarray, target: np.ndarray, ignore_index: int, classes: int) -> np.ndarray:
    """gx = -scale * onehot(target) for each row, 0 where the target is ignored; scale has one or as many elements."""
    gx = np.zeros((len(target), classes), scale.dtype)
    valid = target != ignore_index
    if classes:
        gx[np.arange(len(target)), np.where(valid, target, 0)] = np.where(valid, -scale, 0)
    return gx
