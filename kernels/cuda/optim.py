"""Optimizer steps, with CuPy's arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference.optim import (
    adadelta_step,
    adagrad_step,
    adam_step,
    adamax_step,
    nadam_step,
    radam_step,
    rmsprop_step,
    scale_arrays,
    sgd_step,
)
from .backend import xp

__all__ = [
    "adadelta_step",
    "adagrad_step",
    "adam_step",
    "adamax_step",
    "nadam_step",
    "radam_step",
    "rmsprop_step",
    "scale_arrays",
    "sgd_step",
    "sums_of_squares",
]


def sums_of_squares(arrays: list[Any]) -> np.ndarray:
    """The sum of squares of each array, in float64, on the host."""
    return xp.stack([xp.square(a.astype(np.float64)).sum() for a in arrays]).get()
