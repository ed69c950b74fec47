"""Reductions: sums of floating-point numbers, also running ones, by Numba, the rest by NumPy."""

from __future__ import annotations

import math

import numpy as np
from numba import prange, uintp

from ..reference import reduce as reference
from ..reference.reduce import (
    Axes,
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    cumprod,
    logcumsumexp,
    mean,
    prod,
)
from .jit import kernel
from .memory import empty
from .threads import launch

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "logcumsumexp",
    "mean",
    "prod",
    "sum",
]
SMALL = 1 << 12  # elements; below, NumPy takes less time than a launch
BAND = 128  # columns that are summed side by side
RUN = 1 << 14  # elements of one partial sum when everything is summed


@kernel(parallel=True)
def sum_runs(workers, x, out):
    """out[k] = sum over i, j of x[i, k, j]: each run along j in eight or more lanes of the dtype, runs in float64."""
    outer, kept, length = x.shape
    for worker in prange(workers):
        for k in range(worker, kept, workers):
            total = 0.0
            for i in range(outer):
                for start in range(0, length, 1024):  # short runs, so that float32 keeps its digits
                    run = x.dtype.type(0)
                    for j in range(uintp(start), uintp(min(start + 1024, length))):
                        run += x[i, k, j]
                    total += run
            out[k] = total


@kernel(parallel=True)
def sum_rows(workers, x, out):
    """out[j] = sum over i of x[i, j], BAND columns at a time: 16 rows in the dtype of x, these sums in float64."""
    rows, columns = x.shape
    for worker in prange(workers):
        totals, run = np.empty(BAND), np.empty(BAND, x.dtype)
        for start in range(worker * BAND, columns, workers * BAND):
            width = uintp(min(BAND, columns - start))
            for j in range(width):
                totals[j] = 0
            for first in range(0, rows, 16):
                for j in range(width):
                    run[j] = 0
                for i in range(first, min(first + 16, rows)):
                    row = x[i, start : start + width]
                    for j in range(width):
                        run[j] += row[j]
                for j in range(width):
                    totals[j] += run[j]
            for j in range(width):
                out[start + j] = totals[j]


def as_runs(shape: tuple[int, ...], axes: Axes) -> tuple[int, int, int] | None:
    """The shape as (summed, kept, summed) with neighbouring axes merged; None if it does not have that form."""
    sizes: list[int] = []
    kinds: list[bool] = []
    for d, n in enumerate(shape):
        if n == 1:
            continue
        if kinds and kinds[-1] == (d in axes):
            sizes[-1] *= n
        else:
            sizes.append(n)
            kinds.append(d in axes)
    if kinds and not kinds[0]:
        sizes, kinds = [1, *sizes], [True, *kinds]
    if not kinds:
        return 1, 1, 1
    if len(kinds) > 3:
        return None
    if len(kinds) == 1:  # everything is summed
        return 1, 1, sizes[0]
    return sizes[0], sizes[1], sizes[2] if len(sizes) == 3 else 1


def sum(x: np.ndarray, axes: Axes, keepdims: bool) -> np.ndarray:
    """The sum; short runs are added up in the dtype, runs in float64."""
    form = as_runs(x.shape, axes) if x.size > SMALL and x.dtype in (np.float32, np.float64) and x.flags.carray else None
    if form is None:
        return reference.sum(x, axes, keepdims)
    outer, kept, length = form
    out = empty(kept, x.dtype)
    if length == 1 and outer > 1:
        launch(sum_rows, x.reshape(outer, kept), out, elements=x.size)
    elif kept == 1 and outer == 1 and length % RUN == 0:
        parts = np.empty(length // RUN, np.float64)
        launch(sum_runs, x.reshape(1, -1, RUN), parts)
        out[0] = parts.sum(dtype=np.float64)
    else:
        launch(sum_runs, x.reshape(outer, kept, length), out, elements=x.size)
    shape = tuple(1 if d in axes else n for d, n in enumerate(x.shape) if keepdims or d not in axes)
    return out.reshape(shape)


@kernel(parallel=True)
def running_sums(workers, x, out, back):
    """out[o, i, j] = sum over p <= i (p >= i with `back`) of x[o, p, j], in float64, BAND columns j at a time."""
    outer, length, inner = x.shape
    bands = (inner + BAND - 1) // BAND
    units = outer * bands
    for worker in prange(workers):
        totals = np.empty(BAND)
        for unit in range(units * worker // workers, units * (worker + 1) // workers):
            o, first = unit // bands, unit % bands * BAND
            width = uintp(min(BAND, inner - first))
            total = 0.0
            for j in range(width):
                totals[j] = 0
            for step in range(length):
                i = length - 1 - step if back else step
                if inner == 1:
                    total += x[o, i, 0]
                    out[o, i, 0] = total
                else:
                    row, to = x[o, i, first : first + width], out[o, i, first : first + width]
                    for j in range(width):
                        totals[j] += row[j]
                        to[j] = totals[j]


def cumsum(x: np.ndarray, axis: int, back: bool) -> np.ndarray:
    """Sums of the first 1, 2, ... entries along `axis`; with `back` of the last ones. Added up in float64."""
    if x.size <= SMALL or x.dtype not in (np.float32, np.float64) or not x.flags.carray:
        return reference.cumsum(x, axis, back)
    out = empty(x.shape, x.dtype)
    axis %= x.ndim
    form = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
    launch(running_sums, x.reshape(form), out.reshape(form), back, elements=x.size)
    return out
