"""Matrix products on the register tile."""

from __future__ import annotations

import numpy as np
from numba import prange

from .jit import helper, kernel
from .memory import empty
from .simd import COLUMNS32, COLUMNS64, ROWS, VECTORS, copy_rows, tile, turn
from .threads import launch, scratch, workers

DEPTH = 256  # rows of a packed panel of b: with the width of a tile it stays in the first or second cache
PANEL = 2 * ROWS  # rows of a packed panel of a
UNIT = 192  # rows and columns of one unit of work, at most: what is packed is used so often
UNITS = 16  # of work, at least, where the shape allows it
PARTS = 8  # of a long sum that are computed side by side, at most

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
def _pack_rows(a, i, row, col, rows, depth, out, o, lanes):
    """out[o + (r // PANEL * depth + k) * PANEL + r % PANEL] = a[i + r*row + k*col], where row or col is 1."""
    for r in range(0, rows, lanes):
        some, target = min(lanes, rows - r), o + r // PANEL * depth * PANEL + r % PANEL
        if row == 1:
            copy_rows(a, i + r, col, 1, 0, some, out, target, PANEL, some, depth)
        else:
            for k in range(0, depth, lanes):
                turn(a, i + r * row + k, row, some, min(lanes, depth - k), out, target + k * PANEL, PANEL)


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
    """c[part, x] (m, n) = a[x] (m, its part of k) @ b[x] (its part of k, n), c row-major; of a and b one stride is 1.

    sizes: (batches, parts, rows and columns of a unit, width of a tile, whether to pack a, whether to pack b)

    for unit = (part, x, band of rows, strip of columns), shared out to the workers:
        for block of DEPTH of k:
            pack the block of a
            for panel of columns: pack the block of b; for tile of rows: c += a @ b on the register tile

    Every c is summed in one order, whatever the number of workers.
    """
    batches, parts, band, strip, width, pack_a, pack_b = sizes
    lanes = width // VECTORS
    bands, strips = (m + band - 1) // band, (n + strip - 1) // strip
    size = (band + PANEL) * DEPTH * pack_a + DEPTH * width * pack_b
    for worker in prange(workers):
        left = worker * size
        right = left + size - DEPTH * width
        for unit in range(worker, parts * batches * bands * strips, workers):
            number, rest = unit // (bands * strips), unit % (bands * strips)
            part, x = number // batches, number % batches
            i0, j0 = rest // strips * band, rest % strips * strip
            rows, begin = min(band, m - i0), k * part // parts
            end = k * (part + 1) // parts
            for start in range(begin, end, DEPTH):
                depth = min(DEPTH, end - start)
                source = x * a_batch + i0 * a_row + start * a_col
                if pack_a:
                    _pack_rows(a, source, a_row, a_col, rows, depth, memory, left, lanes)
                for j in range(j0, min(j0 + strip, n), width):
                    cols = min(width, n - j)
                    panel = x * b_batch + start * b_row + j * b_col
                    if pack_b:
                        _pack_columns(b, panel, b_row, b_col, depth, cols, memory, right, width, lanes)
                    most = 2 * ROWS if cols * VECTORS <= width else ROWS
                    for i in range(0, rows, most):
                        target, some = (number * m + i0 + i) * n + j, min(most, rows - i)
                        if pack_a:
                            tile(
                                memory, left + i // PANEL * depth * PANEL + i % PANEL, 1, PANEL, memory, right, width,
                                c, target, n, some, cols, depth, start > begin,
                            )  # fmt: skip
                        elif pack_b:
                            tile(
                                a, source + i * a_row, a_row, a_col, memory, right, width,
                                c, target, n, some, cols, depth, start > begin,
                            )  # fmt: skip
                        else:
                            tile(
                                a, source + i * a_row, a_row, a_col, b, panel, b_row,
                                c, target, n, some, cols, depth, start > begin,
                            )  # fmt: skip


@kernel(parallel=True)
def add_parts(workers, partial, c, parts):
    """c = sum over parts of partial[part]"""
    for i in prange(c.size):
        total = partial[i]
        for part in range(1, parts):
            total += partial[part * c.size + i]
        c[i] = total


def portions(batches: int, m: int, n: int, k: int, width: int) -> tuple[int, int, int]:
    """(parts of k, rows, columns) of one unit of work, from the shape alone: large, but enough of them."""

    def units() -> int:
        return batches * parts * -(-m // rows) * -(-n // columns)

    parts, rows, columns = 1, min(m, UNIT), min(-(-n // width) * width, UNIT // width * width)
    while units() < UNITS and max(rows, columns) > width:
        if columns > rows:
            columns = -(-columns // 2 // width) * width
        else:
            rows = -(-rows // 2 // PANEL) * PANEL
    while units() < UNITS // 2 and parts < PARTS and k >= 4 * DEPTH * parts:
        parts *= 2
    return parts, rows, columns


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
    parts, rows, columns = portions(len(a), m, n, k, width)
    # A block of b is packed where it is used by several tiles of rows, a block of a by several panels of b.
    pack_a = columns > width and rows > ROWS
    pack_b = pack_a or rows > 2 * ROWS or b_col != 1
    if not pack_b and m == 1:  # one row: wide tiles
        columns = width = width * 8 // VECTORS
    size = (rows + PANEL) * DEPTH * pack_a + DEPTH * width * pack_b
    partial = empty(parts * c.size, a.dtype) if parts > 1 else c
    launch(
        gemm, a.reshape(-1), a_row, a_col, m * k, b.reshape(-1), b_row, b_col, k * n, partial.reshape(-1), m, n, k,
        (len(a), parts, rows, columns, width, int(pack_a), int(pack_b)), scratch(workers() * size, a.dtype),
        elements=m * n * k,
    )  # fmt: skip
    if parts > 1:
        launch(add_parts, partial, c.reshape(-1), parts, elements=c.size)
    return c


def plain(array: np.ndarray) -> np.ndarray:
    """The array itself if a kernel can take it, else a copy: C-contiguous, aligned, writable, native."""
    return array if array.flags.carray else np.array(array, order="C")
