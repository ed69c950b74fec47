"""Products of a matrix and a vector: every number of the matrix is used once, so they take the time of reading it."""

from __future__ import annotations

from numba import prange

from .jit import helper, kernel
from .simd import LANES32, LANES64, WIDE, tile
from .simd_gemv import TOGETHER, row_dots

BLOCK = 64  # columns that one thread takes at least
DEPTH = 512  # rows whose columns are added up at once: each may lie in a page of its own, whose place is remembered


@helper
def _part(worker, workers, matrix, vector, out, batches, down):
    """What one worker does: its share of the units of TOGETHER rows, or of BLOCK columns, of all batches."""
    size, k = out.size // batches, vector.size // batches
    step, strip = BLOCK if down else TOGETHER, WIDE * (LANES32 if out.itemsize == 4 else LANES64)
    units = (size + step - 1) // step
    begin, end = batches * units * worker // workers, batches * units * (worker + 1) // workers
    while begin < end:
        x, first = begin // units, begin % units * step
        last = min(first + (end - begin) * step, size)
        if down:
            for p in range(x * k, (x + 1) * k, DEPTH):
                for j in range(first, last, strip):
                    tile(
                        vector, p, 0, 1, matrix, p * size + j, size, out, x * size + j, 0,
                        1, min(strip, last - j), min(DEPTH, (x + 1) * k - p), p > x * k,
                    )  # fmt: skip
        else:
            for r in range(first, last, TOGETHER):
                rows = min(TOGETHER, last - r)
                row_dots(matrix, (x * size + r) * k, k, vector, x * k, out, x * size + r, rows)
        begin = (x + 1) * units


@kernel(parallel=True)
def gemv(workers, matrix, vector, out, batches, down):
    """out[x] = vector[x] @ matrix[x] if down, else matrix[x] @ vector[x], the batches one after the other.

    The numbers of a sum are added in the same order whatever the number of workers.
    """
    for worker in prange(workers):
        _part(worker, workers, matrix, vector, out, batches, down)


@kernel()
def gemv_here(matrix, vector, out, batches, down):
    """The same in the calling thread."""
    _part(0, 1, matrix, vector, out, batches, down)
