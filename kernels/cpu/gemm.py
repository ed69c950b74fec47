"""Matrix products on the register tile."""

from __future__ import annotations

import numpy as np
from numba import prange

from .jit import helper, kernel
from .memory import empty
from .rows import add, copy
from .simd import COLUMNS32, COLUMNS64, ROWS, VECTORS, WIDE, copy_rows, tile, turn
from .threads import launch, scratch, workers

DEPTH = 256  # rows of a packed panel of b: with the width of a tile it stays in the first or second cache
BAND = 96  # rows of one unit of work: the panel is packed once for so many
UNITS = 8  # of work, at least, if a long sum can be computed in parts
PARTS = 8  # of a long sum that are computed side by side, at most
RUN = 1024  # elements of which the parts are added up at a time

_COLUMNS = {4: COLUMNS32, 8: COLUMNS64}


def tile_columns(dtype: np.dtype) -> int:
    """The width of a tile."""
    return _COLUMNS[dtype.itemsize]


@helper
def product(a, ai, a_row, a_col, b, bi, b_row, c, ci, c_row, m, n, k, add, width):
    """c (m, n) = (c if add) + a (m, k) @ b (k, n), tile by tile; addresses as in `simd.tile`."""
    for j in range(0, n, width):
        cols = min(width, n - j)
        rows = 2 * ROWS if cols * VECTORS <= width else ROWS
        for i in range(0, m, rows):
            tile(
                a, ai + i * a_row, a_row, a_col, b, bi + j, b_row, c, ci + i * c_row + j, c_row,
                min(rows, m - i), cols, k, add,
            )  # fmt: skip


@helper
def _pack_columns(b, i, row, col, depth, cols, out, o, width, lanes):
    """out[o + k*width + j] = b[i + k*row + j*col], where row or col is 1."""
    if col == 1:
        copy_rows(b, i, row, 1, 0, cols, out, o, width, cols, depth)
    else:
        for k in range(0, depth, lanes):
            for j in range(0, cols, lanes):
                some = min(lanes, cols - j)
                turn(b, i + j * col + k, col, some, min(lanes, depth - k), out, o + k * width + j, width)


@kernel(parallel=True)
def gemm(workers, a, a_row, a_col, a_batch, b, b_row, b_col, b_batch, c, m, n, k, sizes, memory):
    """c[part, x] (m, n) = a[x] (m, its part of k) @ b[x] (its part of k, n), c row-major; of b one stride is 1.

    sizes: (batches, parts, rows of a unit, width of a tile, whether to pack b)

    for unit = (part, x, band of rows, panel of columns), shared out to the workers:
        for block of DEPTH of k:
            pack b's block of the panel, row-major, so that the tile reads it in order
            for tile of rows: c += a @ panel on the register tile

    Every c is summed in one order, whatever the number of workers.
    """
    batches, parts, band, width, pack = sizes
    bands, panels = (m + band - 1) // band, (n + width - 1) // width
    for worker in prange(workers):
        packed = worker * DEPTH * width
        for unit in range(worker, parts * batches * bands * panels, workers):
            number, rest = unit // (bands * panels), unit % (bands * panels)
            part, x = number // batches, number % batches
            i0, j = rest // panels * band, rest % panels * width
            rows, cols = min(band, m - i0), min(width, n - j)
            most = 2 * ROWS if cols * VECTORS <= width else ROWS
            begin, end = k * part // parts, k * (part + 1) // parts
            for start in range(begin, end, DEPTH):
                depth = min(DEPTH, end - start)
                left, panel = x * a_batch + i0 * a_row + start * a_col, x * b_batch + start * b_row + j * b_col
                if pack:
                    _pack_columns(b, panel, b_row, b_col, depth, cols, memory, packed, width, width // VECTORS)
                right, first, step = (memory, packed, width) if pack else (b, panel, b_row)
                for i in range(0, rows, most):
                    tile(
                        a, left + i * a_row, a_row, a_col, right, first, step,
                        c, (number * m + i0 + i) * n + j, n, min(most, rows - i), cols, depth, start > begin,
                    )  # fmt: skip


@kernel(parallel=True)
def add_parts(workers, partial, c, parts):
    """c = sum over parts of partial[part], in their order: a run of memory at a time, part after part"""
    for run in prange((c.size + RUN - 1) // RUN):
        first = run * RUN
        n = min(RUN, c.size - first)
        copy(partial, first, 1, c, first, n)
        for part in range(1, parts):
            add(partial, part * c.size + first, c, first, 1, n)


def parts_of(batches: int, m: int, n: int, k: int, width: int) -> int:
    """Into how many parts a sum over k is cut, from the shape alone: more than one if it is long and units are few."""
    units, parts = batches * -(-m // BAND) * -(-n // width), 1
    while units * parts < UNITS and parts < PARTS and k >= 4 * DEPTH * parts:
        parts *= 2
    return parts


def matmul_tile(a: np.ndarray, b: np.ndarray, transpose_a: bool, transpose_b: bool) -> np.ndarray:
    """The product of two C-contiguous batches (B, rows, cols), each transposed if so flagged."""
    (m, k), n = a.shape[:0:-1] if transpose_a else a.shape[1:], b.shape[1 if transpose_b else 2]
    c = empty((len(a), m, n), a.dtype)
    if not c.size:
        return c
    if not k:
        c[...] = 0
        return c
    width = tile_columns(a.dtype)
    a_row, a_col = (1, a.shape[2]) if transpose_a else (a.shape[2], 1)
    b_row, b_col = (1, b.shape[2]) if transpose_b else (b.shape[2], 1)
    pack = m > 2 * ROWS or b_col != 1  # else there is nothing that would use a panel again
    if m == 1 and not pack:
        width = width // VECTORS * WIDE
    parts = parts_of(len(a), m, n, k, width)
    partial = empty(parts * c.size, a.dtype) if parts > 1 else c
    launch(
        gemm, a.reshape(-1), a_row, a_col, m * k, b.reshape(-1), b_row, b_col, k * n, partial.reshape(-1), m, n, k,
        (len(a), parts, min(m, BAND), width, int(pack)), scratch(workers() * DEPTH * width * pack, a.dtype),
        elements=m * n * k,
    )  # fmt: skip
    if parts > 1:
        launch(add_parts, partial, c.reshape(-1), parts, elements=c.size)
    return c


def plain(array: np.ndarray) -> np.ndarray:
    """The array itself if a kernel can take it, else a copy: C-contiguous, aligned, writable, native."""
    return array if array.flags.carray else np.array(array, order="C")
