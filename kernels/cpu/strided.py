"""Copies between arrays of any strides, for every dtype: joins, frames, permuted and reversed axes are all of them.

A copy moves words, whatever they mean: elements of 1, 2, 4 or 8 bytes. Axes are put in the order in which they lie in
the result, and neighbours that are one run of memory in both arrays become one axis. Then there are two ways:

    copy_rows   rows along the innermost axis, with whatever steps
    turn_rows   where the result is contiguous along one axis and the source along another: a transposition, by squares
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange, uintp

from .jit import helper, kernel
from .pointers import chunk
from .simd import turn_inside
from .threads import launch

FEW = 1 << 15  # elements; NumPy copies fewer in less time than finding the way and a launch take
RUN = 1 << 18  # likewise where both are one run of memory, which it leaves to the C library
SPAN = 1 << 14  # elements of a piece of a long row
SHORT = 8  # elements of an innermost row; along a shorter one no loop gets going
SQUARE = 16  # rows and columns that are turned together: lanes of a vector, or twice as many in float64
WORDS: dict[int, Any] = {n: np.dtype(k).type(0) for n, k in ((1, "B"), (2, "H"), (4, "f"), (8, "d"))}  # by bytes

Axes = list[list[int]]  # [size, step of the result, step of the source], in elements


@helper
def rows_of(axes, dims):
    """How many rows there are: indices of the first `dims` axes."""
    count = 1
    for d in range(dims):
        count *= axes[d, 0]
    return count


@helper
def start_of(row, axes, dims, index):
    """Where row number `row` begins in the result and in the source; `index` becomes its index along the first axes."""
    o = i = 0
    for d in range(dims - 1, -1, -1):
        index[d] = row % axes[d, 0]
        row //= axes[d, 0]
        o += index[d] * axes[d, 1]
        i += index[d] * axes[d, 2]
    return o, i


@kernel(parallel=True)
def copy_rows(workers, to, of, word, axes):
    """out[k . out_steps] = x[k . x_steps] for every index k; `to` and `of` are the addresses of the array objects.

    for row of all axes but the last, for piece of it, shared out to the workers: one loop
    """
    last = axes.shape[0] - 1
    length, out_step, x_step = axes[last, 0], axes[last, 1], axes[last, 2]
    pieces = (length + SPAN - 1) // SPAN
    units = pieces * rows_of(axes, last)
    for worker in prange(workers):
        out, x = chunk(to, 0, 1, word), chunk(of, 0, 1, word)
        index = np.empty(last + 1, np.int64)
        first, stop = units * worker // workers, units * (worker + 1) // workers
        piece = first % pieces
        o, i = start_of(first // pieces, axes, last, index)
        for _ in range(first, stop):
            start = piece * SPAN
            count = uintp(min(SPAN, length - start))
            source, target = uintp(i + start * x_step), uintp(o + start * out_step)
            if out_step == 1 and x_step == 1:
                for j in range(count):
                    out[target + j] = x[source + j]
            elif out_step == 1 and x_step == -1:
                for j in range(count):
                    out[target + j] = x[source - j]
            else:
                for j in range(count):
                    out[target + j * uintp(out_step)] = x[source + j * uintp(x_step)]
            piece += 1
            if piece == pieces:  # the next row
                piece, d = 0, last - 1
                while d >= 0:
                    index[d] += 1
                    o += axes[d, 1]
                    i += axes[d, 2]
                    if index[d] < axes[d, 0]:
                        break
                    index[d] = 0
                    o -= axes[d, 0] * axes[d, 1]
                    i -= axes[d, 0] * axes[d, 2]
                    d -= 1


@kernel(parallel=True)
def turn_rows(workers, to, of, word, axes):
    """As `copy_rows`; x is contiguous along the last axis but one, the result along the last.

    for index of the outer axes, for SQUARE rows of the result, shared out to the workers: squares along these rows
    """
    outer = axes.shape[0] - 2
    rows, out_row, columns, x_column = axes[outer, 0], axes[outer, 1], axes[outer + 1, 0], axes[outer + 1, 2]
    strips = (rows + SQUARE - 1) // SQUARE
    units = strips * rows_of(axes, outer)
    for worker in prange(workers):
        out, x = chunk(to, 0, 1, word), chunk(of, 0, 1, word)
        index = np.empty(outer, np.int64)
        lanes = 64 // out.itemsize
        for unit in range(units * worker // workers, units * (worker + 1) // workers):
            strip = unit % strips * SQUARE
            o, i = start_of(unit // strips, axes, outer, index)
            o, i = o + strip * out_row, i + strip
            for row in range(0, min(SQUARE, rows - strip), lanes):
                high = min(SQUARE, rows - strip) - row
                for column in range(0, columns, lanes):
                    source, target = i + row + column * x_column, o + row * out_row + column
                    turn_inside(x, source, x_column, columns - column, high, out, target, out_row)


def axes_of(out: np.ndarray, x: np.ndarray) -> Axes:
    """The axes of two arrays of one shape, those with the longest steps of the result first; neighbours merged."""
    each = [
        [n, a // out.itemsize, b // x.itemsize]
        for n, a, b in zip(out.shape, out.strides, x.strides, strict=True)
        if n > 1
    ]
    each.sort(key=lambda axis: -abs(axis[1]))
    merged: Axes = []
    for size, step, source in each:
        if merged and merged[-1][1:] == [size * step, size * source]:
            merged[-1] = [merged[-1][0] * size, step, source]
        else:
            merged.append([size, step, source])
    return merged or [[1, 1, 1]]


def turns(axes: Axes, itemsize: int) -> bool:
    """Whether a copy is a transposition of words that `turn` knows. Moves the axis along which the source is contiguous
    to the last place but one, and else an innermost axis that is too short out of its place."""
    last = axes[-1]
    if itemsize >= 4 and last[1] == 1 and last[2] != 1:
        for d, (_, _, source) in enumerate(axes[:-1]):
            if source == 1:
                axes.insert(-1, axes.pop(d))
                return True
    if len(axes) > 1 and last[0] < SHORT < axes[-2][0]:
        axes.insert(-1, axes.pop())
    return False


def assign(out: np.ndarray, x: np.ndarray) -> None:
    """Write the numbers of x, which broadcasts to the shape of `out`, into `out`."""
    if (
        out.size < (RUN if out.flags.c_contiguous and x.flags.c_contiguous else FEW)
        or x.dtype is not out.dtype
        or out.itemsize not in WORDS
        or not (out.flags.aligned and x.flags.aligned)
        or np.may_share_memory(out, x)
    ):
        np.copyto(out, x, casting="unsafe")
        return
    if x.shape != out.shape:
        x = np.broadcast_to(x, out.shape)
    axes = axes_of(out, x)
    way = turn_rows if turns(axes, out.itemsize) else copy_rows
    launch(way, id(out), id(x), WORDS[out.itemsize], np.array(axes), elements=out.size)
