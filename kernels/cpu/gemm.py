"""Matrix products on the register tile."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import prange

from .dots import dots, dots_here, dotted
from .gemv import gemv, gemv_here
from .jit import helper, kernel
from .memory import SMALLEST, empty
from .rows import add, copy
from .simd import COLUMNS32, COLUMNS64, LANES32, LANES64, ROWS, VECTORS, copy_rows, tile, turn
from .threads import launch, most_workers, scratch, workers

DEPTH = 416  # terms of a sum that a tile adds up at once: its rows of a stay in the first cache
PACKED = 256  # the same where they are packed,
SPAN = 11 * VECTORS  # and vectors of columns of b that are packed at once: so many rows fit in the second cache
STRIP = 2 * ROWS  # rows of a that are packed at once
CACHE = 1 << 20  # bytes; DEPTH rows of b that take no more are read where they are,
REUSED = 320  # unless there are more rows of a than this, for which a packed copy of a quarter of that pays as well
HERE = 1 << 20  # multiply-adds; below, waking other threads costs more than they spare
READ = 1 << 16  # the same where one operand is a vector
TILES = 64  # that a product has at least, if a long sum can be computed in parts
PARTS = 8  # of a long sum that are computed side by side, at most
RUN = 1024  # elements of which the parts are added up at a time

_LANES = {4: LANES32, 8: LANES64}
_ROOM = {size: PACKED * SPAN * lanes + STRIP * (PACKED + lanes) for size, lanes in _LANES.items()}  # for packed panels
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
def _share(count, parts, part):
    """Where an even part of `count` things begins."""
    return count * part // parts


@helper
def _panels(n, lanes):
    """(panels, vectors of each, how many have one more): n columns in as few panels of VECTORS vectors as will do."""
    vectors = (n + lanes - 1) // lanes
    panels = (vectors + VECTORS - 1) // VECTORS
    each = vectors // panels
    return panels, each, vectors - panels * each


@helper
def _panel(each, more, lanes, panel):
    """The first column of a panel. A tile takes little longer than two divisions: there are none here."""
    return (panel * each + min(panel, more)) * lanes


@helper
def _pack(b, bi, row, col, depth, n, lanes, out, o):
    """out[o:] = the panels of b one after the other, (panel, k, column), a few rows k of all panels at a time."""
    panels, each, more = _panels(n, lanes)
    for k in range(0, depth, lanes):
        few = min(lanes, depth - k)
        for panel in range(panels):
            j = _panel(each, more, lanes, panel)
            width = _panel(each, more, lanes, panel + 1) - j
            cols, to = min(width, n - j), o + j * depth + k * width
            if col == 1:
                copy_rows(b, bi + k * row + j, row, 1, 0, cols, out, to, width, cols, few)
            else:
                for some in range(0, cols, lanes):
                    turn(b, bi + k + (j + some) * col, col, min(lanes, cols - some), few, out, to + some, width)


@helper
def _tiles(a, ai, a_row, a_col, b, bi, b_row, b_col, c, ci, c_row, m, n, depth, add, lanes):
    """c (m, n) = (c if add) + a @ b. Columns of b are b_col apart, rows b_row (0: as far as a panel is wide)."""
    most = STRIP if n <= lanes else ROWS
    panels, each, more = _panels(n, lanes)
    for i in range(0, m, most):
        for panel in range(panels):
            j = _panel(each, more, lanes, panel)
            width = _panel(each, more, lanes, panel + 1) - j
            tile(
                a, ai + i * a_row, a_row, a_col, b, bi + j * b_col, b_row if b_row else width,
                c, ci + i * c_row + j, c_row, min(most, m - i), min(width, n - j), depth, add,
            )  # fmt: skip


@helper
def _portion(a, ai, a_row, a_col, b, bi, b_row, b_col, c, ci, n, rows, cols, k, pack, memory, mi):
    """c (rows, cols) = a (rows, k) @ b (k, cols) in this thread; c has n columns in all.

    for SPAN vectors of columns, for PACKED of k:
        pack that block of b into the second cache, panel by panel, so that the tile reads it in order
        for STRIP rows:
            pack those of a into the first cache
            for each panel: c += strip @ panel on the register tile

    Without packing, the tiles read a and b where they are, for DEPTH of k.
    """
    lanes = LANES32 if a.itemsize == 4 else LANES64
    span, most = SPAN * lanes, PACKED if pack else DEPTH
    blocks = (k + most - 1) // most
    left, left_row, left_col = a, a_row, a_col  # what the tiles read
    right, right_row, right_col = b, b_row, 1
    strip = mi + PACKED * span
    if pack:  # a's strip keeps its order
        left, left_row, left_col = memory, (PACKED + lanes if a_col == 1 else 1), (1 if a_col == 1 else STRIP)
        right, right_row = memory, 0
    for j in range(0, cols, span):
        some = min(span, cols - j)
        for block in range(blocks):
            start = _share(k, blocks, block)
            depth = _share(k, blocks, block + 1) - start
            from_b = bi + start * b_row + j * b_col
            if pack:
                _pack(b, from_b, b_row, b_col, depth, some, lanes, memory, mi)
                from_b, right_col = mi, depth
            for i in range(0, rows, STRIP):
                few, from_a = min(STRIP, rows - i), ai + start * a_col + i * a_row
                if pack:
                    lines, line, step = (few, depth, a_row) if a_col == 1 else (depth, few, a_col)
                    copy_rows(a, from_a, step, 1, 0, line, memory, strip, max(left_row, left_col), line, lines)
                    from_a = strip
                _tiles(
                    left, from_a, left_row, left_col, right, from_b, right_row, right_col, c, ci + j + i * n, n,
                    few, some, depth, block > 0, lanes,
                )  # fmt: skip


@helper
def _grid(workers, count, m, n, pack):
    """Into how many bands of rows and of columns each of `count` products is cut so that `workers` are done soonest.

    For each term a portion costs a multiply-add for each of its elements; 4 of them to read an element of b or of a, 16
    to pack one of b, and 12 instead of 4 where a row of c is cut: two workers may write to one line of the cache.
    """
    best, rows, cols = -1, 1, 1
    for r in range(1, workers + 1):
        for s in range(1, workers // r + 1):
            height, width = (m + r * ROWS - 1) // (r * ROWS) * ROWS, (n + s - 1) // s
            portion = height * width + (16 if pack else 4) * width + (4 if s == 1 else 12) * height
            cost = (count * r * s + workers - 1) // workers * portion
            if best < 0 or cost < best:
                best, rows, cols = cost, r, s
    return rows, cols


@helper
def _part(worker, workers, a, b, c, batches, flip_a, flip_b, pack, memory):
    """What one worker does: units of (part of the sum, product, band of rows, band of columns), every workers-th."""
    k = a.shape[0] // batches if flip_a else a.shape[1]
    m, n = a.shape[1] if flip_a else a.shape[0] // batches, c.shape[1]
    a_row, a_col = (1, m) if flip_a else (k, 1)
    b_row, b_col = (1, k) if flip_b else (n, 1)
    lanes = LANES32 if a.itemsize == 4 else LANES64
    room, count = memory.size // workers // lanes * lanes, c.shape[0] // m
    parts, strips, vectors = count // batches, (m + ROWS - 1) // ROWS, (n + lanes - 1) // lanes
    rows, cols = _grid(workers, count, m, n, pack)
    for unit in range(worker, count * rows * cols, workers):
        piece, place = unit // (rows * cols), unit % (rows * cols)
        part, x = piece // batches, piece % batches
        i, j = _share(strips, rows, place // cols) * ROWS, _share(vectors, cols, place % cols) * lanes
        height = min(_share(strips, rows, place // cols + 1) * ROWS, m) - i
        width = min(_share(vectors, cols, place % cols + 1) * lanes, n) - j
        start, stop = _share(k, parts, part), _share(k, parts, part + 1)
        if height > 0 and width > 0:
            _portion(
                a, x * m * k + i * a_row + start * a_col, a_row, a_col,
                b, x * k * n + start * b_row + j * b_col, b_row, b_col,
                c, (piece * m + i) * n + j, n, height, width, stop - start, pack, memory, worker * room,
            )  # fmt: skip


@helper
def add_some_parts(worker, workers, partial, c, parts):
    """What one worker does of `add_parts`."""
    for first in range(worker * RUN, c.size, workers * RUN):
        n = min(RUN, c.size - first)
        copy(partial, first, 1, c, first, n)
        for part in range(1, parts):
            add(partial, part * c.size + first, c, first, 1, n)


@kernel(parallel=True)
def add_parts(workers, partial, c, parts):
    """c = sum over parts of partial[part], in their order: a run of memory at a time, part after part"""
    for worker in prange(workers):
        add_some_parts(worker, workers, partial, c, parts)


@kernel(parallel=True)
def gemm(workers, a, b, c, partial, batches, flip_a, flip_b, pack, memory):
    """c[x] (m, n) = a[x] (m, k) @ b[x] (k, n); matrices one below the other.

    partial[part, x] = a[x] (m, its part of k) @ b[x] (its part of k, n), each cut into bands of rows and of columns,
    shared out to the workers; c = the sum over the parts, unless it is the only part itself. Every sum is added up in
    one order, whatever the number of workers.

    Args:
        flip_a, flip_b: a[x] is (k, m), b[x] is (n, k).
        memory: for the packed panels of each worker, if `pack`.
    """
    for worker in prange(workers):
        _part(worker, workers, a, b, partial, batches, flip_a, flip_b, pack, memory)
    if partial.size > c.size:
        for worker in prange(workers):
            add_some_parts(worker, workers, partial.reshape(partial.size), c.reshape(c.size), partial.size // c.size)


@kernel()
def gemm_here(a, b, c, partial, batches, flip_a, flip_b, pack, memory):
    """The same in the calling thread."""
    _part(0, 1, a, b, partial, batches, flip_a, flip_b, pack, memory)
    if partial.size > c.size:
        add_some_parts(0, 1, partial.reshape(partial.size), c.reshape(c.size), partial.size // c.size)


def packs(m: int, n: int, k: int, transpose_b: bool, itemsize: int) -> bool:
    """Whether the tiles read packed copies. They cannot read columns of b, and rows that lie far apart only slowly."""
    block = min(k, DEPTH) * n * itemsize
    return transpose_b or (m > 4 * STRIP and block > CACHE) or (m > REUSED and block > CACHE // 4)


def parts_of(batches: int, m: int, n: int, k: int) -> int:
    """Into how many parts a sum over k is cut, from the shape alone: more than one if it is long and tiles are few."""
    tiles, parts = batches * -(-m // ROWS) * -(-n // COLUMNS32), 1
    while tiles * parts < TILES and parts < PARTS and k >= 2 * DEPTH * parts:
        parts *= 2
    return parts


@lru_cache(maxsize=4096)
def _plan(
    a: tuple[int, ...], b: tuple[int, ...], transpose_a: bool, transpose_b: bool, itemsize: int
) -> tuple[str, tuple[int, ...], bool, int, int, bool, int]:
    """(how, shape of the result, whether it is small, batches, multiply-adds, whether to pack, parts)."""
    batches = 1 if len(a) == 2 else a[0]
    k, m = a[-2:] if transpose_a else a[:-3:-1]
    n = b[-2] if transpose_b else b[-1]
    work = batches * m * n * k
    how = "tiles"
    if not work:
        how = "zeros"
    elif m == 1:
        how = "row"
    elif n == 1:
        how = "column"
    elif transpose_b and not transpose_a and dotted(m, n, k):
        how = "dots"
    parts = 1 if work <= HERE else parts_of(batches, m, n, k)
    return (
        how,
        (*a[:-2], m, n),
        batches * m * n * itemsize < SMALLEST,
        batches,
        work,
        packs(m, n, k, transpose_b, itemsize),
        parts,
    )


def matmul_tile(a: np.ndarray, b: np.ndarray, transpose_a: bool, transpose_b: bool) -> np.ndarray:
    """The product of two C-contiguous matrices, or of batches (B, rows, cols), each transposed if so flagged."""
    how, shape, small, batches, work, pack, parts = _plan(a.shape, b.shape, transpose_a, transpose_b, a.itemsize)
    out = c = np.empty(shape, a.dtype) if small else empty(shape, a.dtype)
    if len(shape) == 3:
        a, b, out = (x.reshape(len(x) * x.shape[1], x.shape[2]) for x in (a, b, c))
    alone = work <= (READ if how == "row" or how == "column" else HERE) or workers() == 1
    if how == "tiles":
        memory = scratch(most_workers() * _ROOM[a.itemsize], a.dtype)[None] if pack else out
        partial = out if parts == 1 else empty((parts * out.shape[0], out.shape[1]), a.dtype)
        if alone:
            gemm_here(a, b, out, partial, batches, transpose_a, transpose_b, pack, memory)
        else:
            launch(gemm, a, b, out, partial, batches, transpose_a, transpose_b, pack, memory)
    elif how == "dots":
        if alone:
            dots_here(a, b, out, batches)
        else:
            launch(dots, a, b, out, batches)
    elif how == "zeros":
        c[...] = 0
    else:
        matrix, vector, down = (b, a, not transpose_b) if how == "row" else (a, b, transpose_a)
        if alone:
            gemv_here(matrix, vector, out, batches, down)
        else:
            launch(gemv, matrix, vector, out, batches, down)
    return c


def plain(array: np.ndarray) -> np.ndarray:
    """The array itself if a kernel can take it, else a copy: C-contiguous, aligned, writable, native."""
    return array if array.flags.carray else np.array(array, order="C")


def flat(array: np.ndarray) -> np.ndarray:
    """The same as one row of numbers; `ravel` takes half as long as `reshape(-1)`."""
    return array.ravel() if array.flags.carray else np.array(array, order="C").ravel()
