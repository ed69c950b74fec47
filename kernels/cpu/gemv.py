"""Products of a matrix and a vector: every number of the matrix is used once, so they take the time of reading it."""

from __future__ import annotations

from numba import prange

from .jit import helper, kernel
from .simd_gemv import TOGETHER, add_rows, row_dots

BLOCK = 64  # columns that one thread takes at least: whole vectors, so that a sum has its bits from its column alone


@helper
def _part(worker, workers, matrix, vector, out, batches, down):
    """What one worker does: its share of the units of TOGETHER rows, or of BLOCK columns, of all batches."""
    sums = out.reshape(out.size)
    size, k = out.size // batches, vector.size // batches
    step = BLOCK if down else TOGETHER
    units = (size + step - 1) // step
    begin, end = batches * units * worker // workers, batches * units * (worker + 1) // workers
    while begin < end:
        x, first = begin // units, begin % units * step
        last = min(first + (end - begin) * step, size)
        if down:
            sums[x * size + first : x * size + last] = 0
            add_rows(matrix, x * k * size + first, size, vector, x * k, out, x * size + first, last - first, k)
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
