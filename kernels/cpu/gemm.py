"""Matrix products on the register tile."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .jit import helper, kernel
from .rows import copy
from .simd import COLUMNS32, COLUMNS64, ROWS, VECTORS, tile
from .threads import launch, scratch, workers

DEPTH = 256  # a packed panel is (DEPTH, columns of a tile): 32 KB, it stays in the first or second cache
BAND = 96  # rows of one unit of work: the panel is packed once for so many

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


@kernel(parallel=True)
def gemm(workers, a, a_row, a_col, a_batch, b, b_row, b_col, b_batch, c, batches, m, n, k, width, panels):
    """c[x] (m, n) = a[x] (m, k) @ b[x] (k, n) for each x of the batch; a and b with any strides, c row-major.

    for unit = (x, band of rows, panel of columns), shared out to the workers:
        for block of DEPTH of k:
            pack b's block of the panel to panels[worker] (row-major, so that the tile reads it in order)
            for tile of rows: c += a block @ panel

    Every c is summed in one order, whatever the number of workers.
    """
    bands, strips = (m + BAND - 1) // BAND, (n + width - 1) // width
    units = batches * bands * strips
    for w in prange(workers):
        panel = w * DEPTH * width
        for unit in range(w, units, workers):
            x, rest = unit // (bands * strips), unit % (bands * strips)
            j, i = (rest // bands) * width, (rest % bands) * BAND
            cols, rows = min(width, n - j), min(BAND, m - i)
            for start in range(0, k, DEPTH):
                depth = min(DEPTH, k - start)
                source = x * b_batch + start * b_row + j * b_col
                if b_col == 1:
                    for q in range(depth):
                        copy(b, source + q * b_row, 1, panels, panel + q * width, cols)
                else:
                    for q in range(depth):
                        copy(b, source + q * b_row, b_col, panels, panel + q * width, cols)
                product(
                    a, x * a_batch + i * a_row + start * a_col, a_row, a_col, panels, panel, width,
                    c, x * m * n + i * n + j, n, rows, cols, depth, start > 0, width,
                )  # fmt: skip


def matmul_tile(a: np.ndarray, b: np.ndarray, transpose_a: bool, transpose_b: bool) -> np.ndarray:
    """The product of two C-contiguous batches (B, rows, cols), each transposed if so flagged."""
    (m, k), n = a.shape[:0:-1] if transpose_a else a.shape[1:], b.shape[1 if transpose_b else 2]
    c = np.empty((len(a), m, n), a.dtype)
    if not c.size:
        return c
    if not k:
        c[...] = 0
        return c
    width = tile_columns(a.dtype)
    a_row, a_col = (1, a.shape[2]) if transpose_a else (a.shape[2], 1)
    b_row, b_col = (1, b.shape[2]) if transpose_b else (b.shape[2], 1)
    panels = scratch(workers() * DEPTH * width, a.dtype)
    launch(
        gemm, a.reshape(-1), a_row, a_col, m * k, b.reshape(-1), b_row, b_col, k * n,
        c.reshape(-1), len(a), m, n, k, width, panels,
    )  # fmt: skip
    return c


def plain(array: np.ndarray) -> np.ndarray:
    """The array itself if a kernel can take it, else a copy: C-contiguous, aligned, writable, native."""
    return array if array.flags.carray else np.array(array, order="C")


__all__: list[Any] = ["gemm", "matmul_tile", "plain", "product", "tile_columns"]
