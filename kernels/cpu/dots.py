"""Products a @ b^T with few rows on one side, as in a linear layer: each result is the dot product of two rows.

Both rows lie in memory in order, so nothing is packed; for many rows on both sides the register tile of `gemm` is
faster, which turns b around once.
"""

from __future__ import annotations

from numba import prange

from .jit import helper, kernel
from .simd_gemv import DOT_COLS, DOT_ROWS, dot_tile

DEPTH = 1024  # terms of a sum that are added up at once: DOT_COLS rows of b stay in the first cache
FEW_ROWS = 32  # of a; with more, turning b around pays,
FEW_COLS = 16  # unless b has so few rows that a tile would leave most of its lanes empty;
TERMS = 4  # and sums have so many terms for each row of a, or of b: adding up the lanes costs more than a few terms


@helper
def _part(worker, workers, a, b, c, batches):
    """What one worker does: its share of the blocks of the operand with more rows, each with all rows of the other."""
    k, m, n = a.shape[1], a.shape[0] // batches, b.shape[0] // batches
    tall = m > n
    blocks = (m + DOT_ROWS - 1) // DOT_ROWS if tall else (n + DOT_COLS - 1) // DOT_COLS
    units = batches * blocks
    for start in range(0, k, DEPTH):
        depth = min(DEPTH, k - start)
        for unit in range(units * worker // workers, units * (worker + 1) // workers):
            x, block = unit // blocks, unit % blocks
            first, last = (block * DOT_ROWS, min((block + 1) * DOT_ROWS, m)) if tall else (0, m)
            left, right = (0, n) if tall else (block * DOT_COLS, min((block + 1) * DOT_COLS, n))
            for i in range(first, last, DOT_ROWS):
                for j in range(left, right, DOT_COLS):
                    dot_tile(
                        a, (x * m + i) * k + start, k, b, (x * n + j) * k + start, k, c, (x * m + i) * n + j, n,
                        min(DOT_ROWS, last - i), min(DOT_COLS, right - j), depth, start > 0,
                    )  # fmt: skip


@kernel(parallel=True)
def dots(workers, a, b, c, batches):
    """c[x] (m, n) = a[x] (m, k) @ b[x] (n, k)^T; matrices one below the other.

    The numbers of a sum are added in the same order whatever the number of workers.
    """
    for worker in prange(workers):
        _part(worker, workers, a, b, c, batches)


@kernel()
def dots_here(a, b, c, batches):
    """The same in the calling thread."""
    _part(0, 1, a, b, c, batches)


def dotted(m: int, n: int, k: int) -> bool:
    """Whether a (m, k) @ b (n, k)^T is computed here."""
    return (m <= FEW_ROWS and m * TERMS <= k) or (n <= FEW_COLS and n * TERMS <= k)
