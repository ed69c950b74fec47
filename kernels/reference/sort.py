"""Order along the last axis. NaN counts as the largest number."""

from __future__ import annotations

import numpy as np


def argsort(x: np.ndarray, descending: bool) -> np.ndarray:
    """The positions of the entries in rising (or falling) order; equal ones stay in their order."""
    if not descending:
        return np.argsort(x, -1, kind="stable")
    back = np.argsort(np.flip(x, -1), -1, kind="stable")
    return x.shape[-1] - 1 - np.flip(back, -1)


def sort(x: np.ndarray) -> np.ndarray:
    """The entries in rising order."""
    return np.sort(x, -1)


def cummax_index(x: np.ndarray) -> np.ndarray:
    """For each entry the position of the largest one up to there: the last of equals, and NaN wins."""
    largest = np.maximum.accumulate(x, -1)
    here = (x == largest) | (x != x)
    return np.maximum.accumulate(np.where(here, np.arange(x.shape[-1]), 0), -1)
