"""Reductions: sums of floating-point numbers, also running ones, by Numba, the rest by NumPy."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange, uintp

from ..reference import reduce as reference
from ..reference.reduce import (
    Axes,
    all,
    any,
    cumprod,
    logcumsumexp,
    mean,
    prod,
)
from .bands import BAND, band, bands
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
LANES = 16  # running extremes of a row, side by side
SMALL = 1 << 12  # elements; below, NumPy takes less time than a launch
RUN = 1 << 14  # elements of one partial sum when everything is summed
WHOLE = 1 << 18  # elements; the extreme of fewer, all together, NumPy finds in less time than a launch takes
NOWHERE = np.empty(0, np.int64)  # the places are not asked for


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
    """out[n, j] = sum over i of x[n, i, j], BAND columns at a time: 16 rows in the dtype of x, their sums in float64"""
    batch, rows, columns = x.shape
    units = batch * bands(columns)
    for worker in prange(workers):
        totals, run = np.empty(BAND), np.empty(BAND, x.dtype)
        for unit in range(worker, units, workers):
            n, start, width = band(unit, columns)
            for j in range(width):
                totals[j] = 0
            for first in range(0, rows, 16):
                for j in range(width):
                    run[j] = 0
                for i in range(first, min(first + 16, rows)):
                    row = x[n, i, start : start + width]
                    for j in range(width):
                        run[j] += row[j]
                for j in range(width):
                    totals[j] += run[j]
            for j in range(width):
                out[n, start + j] = totals[j]


@lru_cache(maxsize=1024)
def merged(shape: tuple[int, ...], axes: Axes) -> tuple[tuple[int, ...], str]:
    """The sizes of the axes, those of size 1 left out and neighbours of one kind made one; and their kinds.

    The kinds are a letter each, in turn: "r" is reduced, "k" is kept.
    """
    sizes: list[int] = []
    kinds = ""
    for d, n in enumerate(shape):
        kind = "r" if d in axes else "k"
        if n > 1 and kinds[-1:] == kind:
            sizes[-1] *= n
        elif n > 1:
            sizes.append(n)
            kinds += kind
    return tuple(sizes), kinds


def sum(x: np.ndarray, axes: Axes, keepdims: bool) -> np.ndarray:
    """The sum; short runs are added up in the dtype, runs in float64."""
    if not _suits(x):
        return reference.sum(x, axes, keepdims)
    sizes, kinds = merged(x.shape, axes)
    shape = tuple(1 if d in axes else n for d, n in enumerate(x.shape) if keepdims or d not in axes)
    if kinds == "krk":
        out = empty(shape, x.dtype)
        launch(sum_rows, x.reshape(sizes), out.reshape(sizes[0], sizes[2]), elements=x.size)
        return out
    if len(kinds) > 3:
        return reference.sum(x, axes, keepdims)
    outer = sizes[0] if kinds in ("rk", "rkr") else 1
    length = sizes[-1] if kinds[-1:] == "r" else 1
    kept = x.size // (outer * length)
    out = empty(kept, x.dtype)
    if length == 1 and outer > 1:
        launch(sum_rows, x.reshape(1, outer, kept), out.reshape(1, kept), elements=x.size)
    elif kept == 1 and outer == 1 and length % RUN == 0:
        parts = np.empty(length // RUN, np.float64)
        launch(sum_runs, x.reshape(1, -1, RUN), parts)
        out[0] = parts.sum(dtype=np.float64)
    else:
        launch(sum_runs, x.reshape(outer, kept, length), out, elements=x.size)
    return out if out.shape == shape else out.reshape(shape)  # no view where none is needed: a leaf keeps it


# Extremes. `sign` is 1 for the largest, -1 for the smallest: that is the largest of -x. NaN wins.


@kernel(parallel=True)
def extremes_of_rows(workers, x, sign, out, places):
    """out[r] = the extreme of x[r]; if asked for, places[r] = where it is, the first of equals"""
    rows, columns = x.shape
    whole = uintp(columns // LANES * LANES)
    for worker in prange(workers):
        best = np.empty(LANES, x.dtype)
        for r in range(rows * worker // workers, rows * (worker + 1) // workers):
            row = x[r]
            for i in range(LANES):
                best[i] = row[0] * sign
            for k in range(uintp(0), whole, uintp(LANES)):
                for i in range(uintp(LANES)):
                    v = row[k + i] * sign
                    best[i] = v if v > best[i] or v != v else best[i]
            for k in range(whole, uintp(columns)):
                v = row[k] * sign
                best[0] = v if v > best[0] or v != v else best[0]
            step = LANES // 2
            while step:
                for i in range(step):
                    v = best[i + step]
                    best[i] = v if v > best[i] or v != v else best[i]
                step //= 2
            extreme = best[0] * sign
            out[r] = extreme
            if places.size:
                k = 0
                while row[k] != extreme and row[k] == row[k]:
                    k += 1
                places[r] = k


@kernel(parallel=True)
def extremes_of_columns(workers, x, sign, out, places):
    """out[n, j] = the extreme of x[n, :, j], and if asked for, places[n, j], BAND columns at a time"""
    batch, rows, columns = x.shape
    units = batch * bands(columns)
    for worker in prange(workers):
        best, at = np.empty(BAND, x.dtype), np.empty(BAND, np.int32)
        for unit in range(units * worker // workers, units * (worker + 1) // workers):
            n, first, width = band(unit, columns)
            row = x[n, 0, first : first + width]
            for j in range(width):
                best[j], at[j] = row[j] * sign, 0
            for i in range(1, rows):
                row, here = x[n, i, first : first + width], np.int32(i)
                if places.size:
                    for j in range(width):
                        v = row[j] * sign
                        wins = v > best[j] or (v != v and best[j] == best[j])
                        best[j] = v if wins else best[j]
                        at[j] = here if wins else at[j]
                else:
                    for j in range(width):
                        v = row[j] * sign
                        best[j] = v if v > best[j] or v != v else best[j]
            for j in range(width):
                out[n, first + j] = best[j] * sign
                if places.size:
                    places[n, first + j] = at[j]


def around(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """The shape as (before, size, behind): the axes in front of `axis`, >= 0, in one, it alone, those behind in one."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def _steps(shape: tuple[int, ...], axes: Axes) -> list[tuple[int, int, int]]:
    """The reduction over `axes` as steps over the middle of (outer, middle, inner), from the last axis to the first."""
    steps, inner = [], 1
    sizes, kinds = merged(shape, axes)
    for d in reversed(range(len(sizes))):
        if kinds[d] == "r":
            steps.append((math.prod(sizes[:d]), sizes[d], inner))
        else:
            inner *= sizes[d]
    return steps


def _suits(x: np.ndarray) -> bool:
    return x.size > SMALL and x.dtype in (np.float32, np.float64) and x.flags.carray


def _extremes(x: np.ndarray, sign: int, form: tuple[int, int, int], places: np.ndarray) -> np.ndarray:
    outer, middle, inner = form
    out = empty(outer * inner, x.dtype)
    if inner == 1:
        launch(extremes_of_rows, x.reshape(outer, middle), x.dtype.type(sign), out, places, elements=x.size)
    else:
        to = out.reshape(outer, inner), places.reshape(outer, inner) if places.size else places.reshape(0, 0)
        launch(extremes_of_columns, x.reshape(form), x.dtype.type(sign), *to, elements=x.size)
    return out


def _extreme(x: np.ndarray, axes: Axes, keepdims: bool, sign: int, plain: Any) -> np.ndarray:
    suits = _suits(x) and (x.size >= WHOLE or len(axes) < x.ndim)
    steps = _steps(x.shape, axes) if suits else []
    if not steps:
        result: np.ndarray = plain(x, axes, keepdims)
        return result
    shape = tuple(1 if d in axes else n for d, n in enumerate(x.shape) if keepdims or d not in axes)
    for outer, middle, inner in steps:
        if outer == inner == 1 and middle % RUN == 0:  # one long row: its parts first
            x, middle = _extremes(x, sign, (middle // RUN, RUN, 1), NOWHERE), middle // RUN
        x = _extremes(x, sign, (outer, middle, inner), NOWHERE)
    return x.reshape(shape)


def amax(x: np.ndarray, axes: Axes, keepdims: bool) -> np.ndarray:
    """The largest element; NaN wins."""
    return _extreme(x, axes, keepdims, 1, reference.amax)


def amin(x: np.ndarray, axes: Axes, keepdims: bool) -> np.ndarray:
    """The smallest element; NaN wins."""
    return _extreme(x, axes, keepdims, -1, reference.amin)


def _place(x: np.ndarray, axis: int | None, keepdims: bool, sign: int, plain: Any) -> np.ndarray:
    if axis is None or not _suits(x):
        result: np.ndarray = plain(x, axis, keepdims)
        return result
    axis %= x.ndim
    form = around(x.shape, axis)
    places = empty(form[0] * form[2], np.int64)
    _extremes(x, sign, form, places)
    return places.reshape((*x.shape[:axis], *(1,) * keepdims, *x.shape[axis + 1 :]))


def argmax(x: np.ndarray, axis: int | None, keepdims: bool) -> np.ndarray:
    """Where the largest element is, the first of equals; in the flattened array if `axis` is None."""
    return _place(x, axis, keepdims, 1, reference.argmax)


def argmin(x: np.ndarray, axis: int | None, keepdims: bool) -> np.ndarray:
    """Where the smallest element is, the first of equals; in the flattened array if `axis` is None."""
    return _place(x, axis, keepdims, -1, reference.argmin)


@kernel(parallel=True)
def running_sums(workers, x, out, back):
    """out[o, i, j] = sum over p <= i (p >= i with `back`) of x[o, p, j], in float64, BAND columns j at a time."""
    outer, length, inner = x.shape
    units = outer * bands(inner)
    for worker in prange(workers):
        totals = np.empty(BAND)
        for unit in range(units * worker // workers, units * (worker + 1) // workers):
            o, first, width = band(unit, inner)
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
    form = around(x.shape, axis % x.ndim)
    launch(running_sums, x.reshape(form), out.reshape(form), back, elements=x.size)
    return out
