"""Convolution with 3 x 3 kernels and stride 1 by Winograd's algorithm: `winograd_simd` has the arithmetic.

The output is cut into tiles of m x m, numbered through (image, row of tiles, tile), and a unit of work is a block of
consecutive tiles. V, U and M are what the transforms make of input, weights and output; k counts the s*s positions,
s = m + 2:

    V[k] (C, tiles)   from the patches of the input        U[k] (O, C)   from the weights
    M[k] (O, tiles) = U[k] @ V[k]                          y from M

Padding 1 is the natural case: the patch of a tile begins one element above and left of it. With padding 0 the tiles
are laid out as with padding 1 and the outermost output is not stored; with padding 2 they begin one element earlier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import prange

from ..geometry import ConvSpec, adjoint
from .gemm import add_parts, plain, product
from .jit import helper, kernel
from .memory import empty
from .simd import COLUMNS32, LANES32, ROWS, turn
from .threads import launch, scratch, workers
from .winograd_simd import (
    input_tiles,
    join_tiles,
    output_grad_tiles,
    output_tiles,
    split_tiles,
    weight_grad_tiles,
    weight_tiles,
)

PANEL = max(LANES32, 2 * ROWS)  # filters whose weights lie side by side in U
BLOCK = COLUMNS32  # tiles of a block are a multiple of it
FEW = 6 * BLOCK  # tiles whose V may be read from the third cache for every panel of filters
CHUNK = 16  # channels that are transformed at a time
SHARE = 128  # filters of which a thread computes all products of one k
SHARED = 3 << 20  # elements of V and M that are made at a time: they stay in the third cache
KEPT = 64 * 1024  # elements of U, and of M, that a thread keeps for several panels
NEAR = 56 * 1024  # elements of V of a block, if that is more than the least: best measured
PRIVATE = 160 * 1024  # elements of V that a thread keeps to itself: they stay in its second cache
RUN = 1024  # tiles of one partial sum of a weight gradient: short, so that float32 keeps its digits
LONG = 192  # tiles of a block of a weight gradient, at most
PARTS = 8  # partial sums of a weight gradient, at most
SMALL_SUMS = 64 * 64  # channels times filters whose sums a thread keeps beside V
SOME, SEVERAL = 64, 3 * LANES32  # channels and filters whose sums a thread keeps, at most
UNITS = 8  # of work, at least, where there are so many channels and filters


def apart(size: int) -> int:
    """The elements from one k to the next of a matrix of that size, a little more than it holds.

    A transform writes all k in turn. At distances near a multiple of 1 KB the addresses agree in their low bits: they
    share few lines of the first cache, and loads wait for stores that they seem to read. Measured over all remainders,
    112 of 256 is among the best: a transform takes 90 ns, 270 at the worst.
    """
    return size + (112 - size) % 256


_apart = helper(apart)


@dataclass(frozen=True)
class Plan:
    """How a convolution is cut up.

    Attributes:
        numbers: what the kernels unpack with `_geometry`.
        edges: for every tile of an image, which neighbours it has; see `input_tiles`. Long enough to begin at any tile
            and to run for a block.
        blocks: how many blocks of tiles there are.
    """

    numbers: tuple[int, ...]
    edges: np.ndarray
    blocks: int


@lru_cache(maxsize=256)
def plan(spec: ConvSpec, m: int, longest: int = 0) -> Plan:
    """The tiles of a convolution and the size of their blocks, from its shape alone.

    Args:
        longest: equal blocks of at most so many tiles, instead of what suits the forward pass.
    """
    (height, width), (oh, ow) = spec.input_size, spec.output_size
    (top, _), (left, _) = spec.padding
    # The first tile begins at row `up` of the image, and tiles reach to its end and to the end of the output.
    up, back = min(0, 1 - top), min(0, 1 - left)
    high = -(-(max(oh + 1 - top, height) - up) // m)
    wide = -(-(max(ow + 1 - left, width) - back) // m)
    channels, filters = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    tiles = spec.batch * high * wide
    room = NEAR // ((m + 2) ** 2 * channels) // BLOCK
    block = BLOCK * max(1, min(room, 4, -(-tiles // BLOCK // 16)))
    if longest:
        block = -(-_even(tiles, longest) // LANES32) * LANES32
    row, col = np.divmod(np.arange(high * wide), wide)
    edges = (row > 0) + 2 * (row < high - 1) + 4 * (col > 0) + 8 * (col < wide - 1)
    return Plan(
        numbers=(
            *(spec.batch, spec.groups, channels, filters, height, width, oh, ow),
            *(up, back, top, left, m, high, wide, block),
        ),
        edges=np.resize(edges, high * wide + block + LANES32).astype(np.uint8),
        blocks=-(-tiles // block),
    )


def _planes(numbers: tuple[int, ...]) -> tuple[int, int]:
    """(elements of one plane of `split_tiles` for a block and the rows of tiles around it, of two times m * m)."""
    m, wide, block = numbers[12], numbers[14], numbers[15]
    plane = ((block + wide - 2) // wide + 3) * wide + 2 * LANES32
    return plane, 2 * m * m * plane


@helper
def _split(x, i, height, width, up, back, t, count, halo, planes, o, plane, g):
    """Fill the m * m planes of tiles t : t + count from the images x[i], x[i + i_step] ..., each (height, width).

    The first tile of an image begins at (up, back) of it. Tile t lies at place o + LANES32 + its position in the row +
    a row; with a halo of 1 the planes also hold what touches the tiles above and below.
    """
    i, i_step = i
    m, high, wide = g
    first, last = t // wide, (t + count - 1) // wide
    image, ty = first // high, first % high
    row = first
    while row <= last:  # image after image
        rows = min(high - ty, last + 1 - row)
        begin = m * (row - first + 1)  # rows are counted from the row of tiles before the first
        end = begin + m * rows
        y = up + ty * m - begin  # of row 0
        split_tiles(
            m, x, i + image * i_step + y * width + back, width, -back, width - back, -y, height - y,
            begin - (halo if ty > 0 else 0), end + (halo if ty + rows < high else 0),
            planes, o + LANES32, plane, wide,
        )  # fmt: skip
        row += rows
        image, ty = image + 1, 0


@helper
def gather(x, group, c0, c1, t, count, v, vi, step, edges, planes, o, plane, g):
    """v[vi + k*step + (c - c0)*block + j] = element k of B^T d B for tile t + j of channel c, c0 <= c < c1."""
    _, groups, channels, _, height, width, _, _, up, back, _, _, m, high, wide, block = g
    first, size = o + LANES32 + wide + t % wide, height * width
    for c in range(c0, c1 + 1):  # split one channel ahead: what has just been stored in parts is slow to load whole
        ahead, behind = c % 2 * m * m * plane, (c - 1) % 2 * m * m * plane
        if c < c1:
            images = (group * channels + c) * size, groups * channels * size
            _split(x, images, height, width, up, back, t, count, 1, planes, o + ahead, plane, (m, high, wide))
        if c > c0:
            for j in range(0, count, LANES32):
                input_tiles(
                    m, planes, first + behind + j, plane, wide, edges, t % (high * wide) + j,
                    v, vi + (c - 1 - c0) * block + j, step,
                )  # fmt: skip


@helper
def gather_grad(gy, group, begin, end, t, count, out, oi, step, row, memory, o, plane, turned, g):
    """out[oi + k*step + j*row + filter - begin] = element k of A gy A^T for tile t + j of filters begin : end.

    The transform has its tiles side by side; a panel of filters of it is kept at memory[turned], then transposed.
    """
    _, groups, _, filters, _, _, oh, ow, up, back, top, left, m, high, wide, block = g
    first, size = o + LANES32 + wide + t % wide, oh * ow
    for o0 in range(begin, end, LANES32):
        some = min(LANES32, end - o0)
        for lane in range(some + 1):  # one filter ahead, as in `gather`
            ahead, behind = lane % 2 * m * m * plane, (lane - 1) % 2 * m * m * plane
            if lane < some:
                images = (group * filters + o0 + lane) * size, groups * filters * size
                place = up - 1 + top, back - 1 + left
                _split(gy, images, oh, ow, *place, t, count, 0, memory, o + ahead, plane, (m, high, wide))
            if lane > 0:
                for j in range(0, count, LANES32):
                    output_grad_tiles(
                        m, memory, first + behind + j, plane,
                        memory, turned + (lane - 1) * block + j, _apart(LANES32 * block),
                    )  # fmt: skip
        for k in range((m + 2) ** 2):
            for j in range(0, count, LANES32):
                turn(
                    memory, turned + k * _apart(LANES32 * block) + j, block, some, min(LANES32, count - j),
                    out, oi + k * step + j * row + o0 - begin, row,
                )  # fmt: skip


@helper
def scatter(products, i, step, group, o0, o1, t, count, b, y, rows, r, g):
    """y = A^T M A + b for tiles t : t + count of filters o0 : o1; M's element k is products[i + k*step + ...].

    rows[r:] holds the m rows of pixels of one filter's tiles before they are written where they belong.
    """
    _, groups, _, filters, _, _, oh, ow, up, back, top, left, m, high, wide, block = g
    first, pixels = t // wide, block * m
    for o in range(o0, o1 + 1):  # written one filter behind, as in `gather`
        ahead, behind = r + o % 2 * m * pixels, r + (o - 1) % 2 * m * pixels
        if o < o1:
            bias = b[group * filters + o] if b.size else products.dtype.type(0)
            for j in range(0, count, LANES32):
                output_tiles(m, products, i + (o - o0) * block + j, step, bias, rows, ahead + j * m, pixels)
        if o > o0:
            image, ty = first // high, first % high
            begin, start, left_over = t % wide, behind, count  # the first tile in its row; where its pixels are
            while left_over > 0:
                # a part of a row of tiles, or as many whole rows as there are in this image
                whole = begin == 0 and left_over >= wide
                some = min(wide - begin, left_over)
                tall = min(high - ty, left_over // wide) if whole else 1
                down, across = up - 1 + top + ty * m, back - 1 + left + begin * m  # where the output lies
                before = max(-across, 0)
                target = ((image * groups + group) * filters + o - 1) * oh + down
                join_tiles(
                    m, rows, start + before, pixels, y, target * ow + across + before, ow,
                    min(some * m, ow - across) - before, max(-down, 0), min(tall * m, oh - down), wide,
                )  # fmt: skip
                left_over -= some * tall
                start += some * tall * m
                begin, ty = 0, ty + tall
                if ty == high:
                    image, ty = image + 1, 0


@helper
def transform_panel(w, i, o_step, c_step, filters, c0, c1, m, flip, u, ui, u_step, taps):
    """u[ui + k*u_step + (c - c0)*PANEL + o] = element k of G w G^T for filters o < PANEL and channels c0 <= c < c1.

    Filter o and channel c of w are at w[i + o*o_step + c*c_step]; there are `filters` of them, the rest of u is 0.
    `flip` turns the nine taps round. Some channels at a time are transposed to taps: filters in lanes, tap after tap.
    """
    together = LANES32 if c_step == 9 else 1  # channels whose taps follow each other
    for o in range(0, PANEL, LANES32):
        rows = max(min(filters - o, LANES32), 0)
        source = i + (o if rows else 0) * o_step
        for c in range(c0, c1, together):
            some = min(together, c1 - c)
            for q in range(0, 9 * some, LANES32):
                columns = min(LANES32, 9 * some - q)
                turn(w, source + c * c_step + q, o_step, rows, columns, taps, q * LANES32, LANES32)
            for n in range(some):
                first, tap = n * 9 * LANES32, LANES32
                if flip:
                    first, tap = first + 8 * LANES32, -LANES32
                weight_tiles(m, taps, first, tap, u, ui + (c - c0 + n) * PANEL + o, u_step)


@kernel(parallel=True)
def weights(workers, w, u, filters, channels, m, o_step, c_step, flip):
    """u[panel][k][c][PANEL] = element k of G w G^T, filters in lanes.

    Filter o and channel c of w are at o*o_step + c*c_step; `flip` turns the nine taps round, for the gradient.
    for panel of filters, CHUNK channels, shared out to the workers: transpose the taps; transform
    """
    panels, chunks = (filters + PANEL - 1) // PANEL, (channels + CHUNK - 1) // CHUNK
    u_step = _apart(channels * PANEL)
    for worker in prange(workers):
        taps = np.empty(9 * LANES32 * LANES32, w.dtype)
        for unit in range(worker, panels * chunks, workers):
            panel, c0 = unit // chunks, unit % chunks * CHUNK
            transform_panel(
                w, panel * PANEL * o_step, o_step, c_step, filters - panel * PANEL, c0, min(c0 + CHUNK, channels), m,
                flip, u, panel * (m + 2) ** 2 * u_step + c0 * PANEL, u_step, taps,
            )  # fmt: skip


@kernel(parallel=True)
def private(workers, x, u, b, y, blocks, edges, planes, plane, memory, g):
    """y for few channels: a thread keeps V and M of a block of tiles in its second cache.

    for unit = (group, block of tiles), shared out to the workers:
        V = the transforms of the block, all channels
        for panel of filters:
            for k: M[k] (PANEL, tiles) = U[panel, k] @ V[k]
            y = the transform of M
    """
    _, groups, channels, filters, _, _, _, _, _, _, _, _, m, high, wide, block = g
    depth, panels = (m + 2) ** 2, (filters + PANEL - 1) // PANEL
    tiles = g[0] * high * wide
    v_step, m_step = _apart(channels * block), _apart(PANEL * block)
    size = planes + depth * (v_step + m_step) + 2 * m * m * block
    for worker in prange(workers):
        o = worker * size
        v, products = o + planes, o + planes + depth * v_step
        rows = products + depth * m_step
        for unit in range(worker, groups * blocks, workers):
            group, t = unit // blocks, unit % blocks * block
            count = min(block, tiles - t)
            gather(x, group, 0, channels, t, count, memory, v, v_step, edges, memory, o, plane, g)
            for panel in range(panels):
                o0, o1 = panel * PANEL, min((panel + 1) * PANEL, filters)
                for k in range(depth):
                    product(
                        u, ((group * panels + panel) * depth + k) * _apart(channels * PANEL), 1, PANEL,
                        memory, v + k * v_step, block, memory, products + k * m_step, block,
                        o1 - o0, count, channels, False, COLUMNS32,
                    )  # fmt: skip
                scatter(memory, products, m_step, group, o0, o1, t, count, b, y, memory, rows, g)


@kernel(parallel=True)
def gather_all(workers, x, v, first, blocks, edges, planes, plane, memory, g):
    """v[group, block, k] (C, tiles) = the transforms of the input, blocks first : first + blocks of tiles.

    for unit = (group, block, CHUNK channels), shared out to the workers
    """
    _, groups, channels, _, _, _, _, _, _, _, _, _, m, high, wide, block = g
    tiles, step = g[0] * high * wide, _apart(channels * block)
    chunks = (channels + CHUNK - 1) // CHUNK
    for worker in prange(workers):
        for unit in range(worker, groups * blocks * chunks, workers):
            number, c0 = unit // chunks, unit % chunks * CHUNK
            group, t = number // blocks, (first + number % blocks) * block
            gather(
                x, group, c0, min(c0 + CHUNK, channels), t, min(block, tiles - t), v,
                number * (m + 2) ** 2 * step + c0 * block, step, edges, memory, worker * planes, plane, g,
            )  # fmt: skip


@kernel(parallel=True)
def multiply_all(workers, u, v, products, first, blocks, g):
    """products[group, block, k] (O, tiles) = U[k] @ V[block, k]

    for unit = (group, k, SHARE filters), shared out to the workers: its part of U[k] stays in the second cache
        for block of tiles: for panel of filters
    """
    _, groups, channels, filters, _, _, _, _, _, _, _, _, m, high, wide, block = g
    depth, tiles = (m + 2) ** 2, g[0] * high * wide
    v_step, m_step = _apart(channels * block), _apart(filters * block)
    shares, panels = (filters + SHARE - 1) // SHARE, (filters + PANEL - 1) // PANEL
    for worker in prange(workers):
        for unit in range(worker, groups * depth * shares, workers):
            group, rest = unit // (depth * shares), unit % (depth * shares)
            k, begin = rest // shares, rest % shares * SHARE
            for number in range(group * blocks, (group + 1) * blocks):
                count = min(block, tiles - (first + number % blocks) * block)
                for o in range(begin, min(begin + SHARE, filters), PANEL):
                    product(
                        u, ((group * panels + o // PANEL) * depth + k) * _apart(channels * PANEL), 1, PANEL,
                        v, (number * depth + k) * v_step, block, products, (number * depth + k) * m_step + o * block,
                        block, min(PANEL, filters - o), count, channels, False, COLUMNS32,
                    )  # fmt: skip


@kernel(parallel=True)
def scatter_all(workers, products, b, y, first, blocks, memory, g):
    """y from products[group, block]; for unit = (group, block, PANEL filters), shared out to the workers"""
    _, groups, _, filters, _, _, _, _, _, _, _, _, m, high, wide, block = g
    tiles, step = g[0] * high * wide, _apart(filters * block)
    panels = (filters + PANEL - 1) // PANEL
    for worker in prange(workers):
        for unit in range(worker, groups * blocks * panels, workers):
            number, o = unit // panels, unit % panels * PANEL
            group, t = number // blocks, (first + number % blocks) * block
            scatter(
                products, number * (m + 2) ** 2 * step + o * block, step, group, o, min(o + PANEL, filters), t,
                min(block, tiles - t), b, y, memory, worker * 2 * m * m * block, g,
            )  # fmt: skip


@kernel(parallel=True)
def by_panels(workers, w, v, b, y, o_step, c_step, flip, several, chunk, memory, size, g):
    """y for few tiles: what costs is to transform the weights, so panels of them are transformed where they are used.

    for unit = (group, `several` panels of filters), shared out to the workers:
        for chunk of channels:
            U of the panels, in the thread's second cache
            for block of tiles: for k: for panel: M[k] += U[k] @ V[k]; y from M after the last chunk
    """
    batch, groups, channels, filters, _, _, _, _, _, _, _, _, m, high, wide, block = g
    depth, tiles = (m + 2) ** 2, batch * high * wide
    blocks, panels = (tiles + block - 1) // block, (filters + PANEL - 1) // PANEL
    units = (panels + several - 1) // several
    v_step, m_step, u_step = _apart(channels * block), _apart(PANEL * block), _apart(chunk * PANEL)
    kept = blocks if chunk < channels else 1  # blocks whose M is kept
    for worker in prange(workers):
        taps = np.empty(9 * LANES32 * LANES32, w.dtype)
        u = worker * size
        products = u + several * depth * u_step
        rows = products + several * kept * depth * m_step
        for unit in range(worker, groups * units, workers):
            group, lowest = unit // units, unit % units * several
            members = min(several, panels - lowest)
            for c0 in range(0, channels, chunk):
                c1 = min(c0 + chunk, channels)
                for p in range(members):
                    o = (lowest + p) * PANEL
                    transform_panel(
                        w, group * channels * filters * 9 + o * o_step, o_step, c_step, filters - o, c0, c1, m, flip,
                        memory, u + p * depth * u_step, u_step, taps,
                    )  # fmt: skip
                for number in range(blocks):
                    t = number * block
                    count = min(block, tiles - t)
                    place = products + number % kept * members * depth * m_step
                    for k in range(depth):
                        for p in range(members):
                            product(
                                memory, u + (p * depth + k) * u_step, 1, PANEL,
                                v, ((group * blocks + number) * depth + k) * v_step + c0 * block, block,
                                memory, place + (p * depth + k) * m_step, block,
                                min(PANEL, filters - (lowest + p) * PANEL), count, c1 - c0, c0 > 0, COLUMNS32,
                            )  # fmt: skip
                    if c1 == channels:
                        for p in range(members):
                            o = (lowest + p) * PANEL
                            scatter(
                                memory, place + p * depth * m_step, m_step, group, o, min(o + PANEL, filters), t, count,
                                b, y, memory, rows, g,
                            )  # fmt: skip


def transform_weights(w: np.ndarray, groups: int, m: int, flip: bool) -> np.ndarray:
    """U [group][panel][k][channel][PANEL] of w (O, C / groups, 3, 3).

    Args:
        flip: for the gradient of the input: channels and filters change places, the taps are turned round.
    """
    filters, channels = w.shape[0] // groups, w.shape[1]
    steps = channels * 9, 9
    if flip:
        filters, channels, steps = channels, filters, steps[::-1]
    size = -(-filters // PANEL) * (m + 2) ** 2 * apart(channels * PANEL)
    u = empty((groups, size), w.dtype)
    taps = plain(w).reshape(groups, -1)
    for group in range(groups):
        launch(weights, taps[group], u[group], filters, channels, m, *steps, flip, elements=size)
    return u.reshape(-1)


def choose(channels: int, filters: int, tiles: int, m: int) -> str:
    """How the work is shared out, from the sizes of one group:

    ``"panels"``: there are few tiles and several panels of filters; ``"private"``: V of a block of tiles fits a cache
    of the thread; ``"shared"``.
    """
    if tiles <= FEW and filters > 3 * PANEL:
        return "panels"
    return "private" if (m + 2) ** 2 * channels * BLOCK <= PRIVATE else "shared"


def forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, spec: ConvSpec, m: int, flip: bool = False, way: str = ""
) -> np.ndarray:
    """y (N, O, OH, OW): the convolution `spec` of float32 x with w, by tiles of m x m.

    Args:
        flip: w is that of the convolution whose gradient this one is.
        way: one of those of `choose`, instead of its choice.
    """
    cut = plan(spec, m)
    batch, groups, channels, filters, *_, high, wide, _ = cut.numbers
    way = way or choose(channels, filters, batch * high * wide, m)
    x, w, y = plain(x).reshape(-1), plain(w), empty(spec.output_shape, x.dtype)
    bias = np.empty(0, x.dtype) if b is None else plain(b)
    if way == "private":
        _private(x, transform_weights(w, groups, m, flip), bias, y.reshape(-1), cut)
    elif way == "shared":
        _shared(x, transform_weights(w, groups, m, flip), bias, y.reshape(-1), cut)
    else:
        _panels(x, w, bias, y.reshape(-1), cut, flip)
    return y


def _private(x: np.ndarray, u: np.ndarray, b: np.ndarray, y: np.ndarray, cut: Plan) -> None:
    channels, m, block = cut.numbers[2], cut.numbers[12], cut.numbers[15]
    plane, planes = _planes(cut.numbers)
    size = planes + (m + 2) ** 2 * (apart(channels * block) + apart(PANEL * block)) + 2 * m * m * block
    memory = scratch(workers() * size + LANES32, x.dtype)
    launch(private, x, u, b, y, cut.blocks, cut.edges, planes, plane, memory, cut.numbers)


def _shared(x: np.ndarray, u: np.ndarray, b: np.ndarray, y: np.ndarray, cut: Plan) -> None:
    groups, channels, filters, m, block = (cut.numbers[i] for i in (1, 2, 3, 12, 15))
    plane, planes = _planes(cut.numbers)
    depth = (m + 2) ** 2
    v_size, m_size = (groups * depth * apart(c * block) for c in (channels, filters))
    together = _even(cut.blocks, SHARED // (v_size + m_size))
    v, products = empty(together * v_size, x.dtype), empty(together * m_size, x.dtype)
    memory = scratch(workers() * max(planes, 2 * m * m * block) + LANES32, x.dtype)
    for first in range(0, cut.blocks, together):
        blocks = min(together, cut.blocks - first)
        launch(gather_all, x, v, first, blocks, cut.edges, planes, plane, memory, cut.numbers)
        launch(multiply_all, u, v, products, first, blocks, cut.numbers)
        launch(scatter_all, products, b, y, first, blocks, memory, cut.numbers)


def _even(count: int, most: int) -> int:
    """How many at a time, if `most` are allowed: equal portions."""
    return -(-count // -(-count // max(1, most)))


def _panels(x: np.ndarray, w: np.ndarray, b: np.ndarray, y: np.ndarray, cut: Plan, flip: bool) -> None:
    groups, channels, filters, m, block = (cut.numbers[i] for i in (1, 2, 3, 12, 15))
    plane, planes = _planes(cut.numbers)
    depth = (m + 2) ** 2
    v = empty(cut.blocks * groups * depth * apart(channels * block), x.dtype)
    # Each chunk of V comes from the third cache once for all panels of a unit, as many as leave room for their M and U.
    several = max(1, min(4, -(-filters // PANEL) // 8, KEPT // (cut.blocks * depth * apart(PANEL * block))))
    chunk = channels if several == 1 else min(channels, max(16, KEPT // (several * depth * PANEL) // 16 * 16))
    kept = cut.blocks if chunk < channels else 1
    size = several * depth * (apart(chunk * PANEL) + kept * apart(PANEL * block)) + 2 * m * m * block
    memory = scratch(workers() * max(size, planes) + LANES32, x.dtype)
    launch(gather_all, x, v, 0, cut.blocks, cut.edges, planes, plane, memory, cut.numbers)
    steps = (9, filters * 9) if flip else (channels * 9, 9)
    launch(by_panels, w.reshape(-1), v, b, y, *steps, flip, several, chunk, memory, size, cut.numbers)


@helper
def finish_grad(sums, i, step, row, m, filters, channels, taps, gw, target, target_row):
    """gw[target + o*target_row + 9*c + tap] = G^T S G; element k of S for (c, o) is sums[i + k*step + c*row + o].

    Filters are in lanes; the taps of as many channels as there are lanes are transposed together, in whole squares.
    """
    for o in range(0, filters, LANES32):
        some = min(LANES32, filters - o)
        for c in range(0, channels, LANES32):
            count = min(LANES32, channels - c)
            for n in range(count):
                weight_grad_tiles(m, sums, i + (c + n) * row + o, step, taps, n * 9 * LANES32)
            first, whole = target + o * target_row + 9 * c, 9 * count // LANES32 * LANES32
            for q in range(0, whole, LANES32):
                turn(taps, q * LANES32, LANES32, LANES32, some, gw, first + q, target_row)
            for q in range(whole, 9 * count):
                for lane in range(some):
                    gw[first + lane * target_row + q] = taps[q * LANES32 + lane]


@kernel(parallel=True)
def private_grad(workers, gy, x, gw, parts, blocks, edges, planes, plane, padded, memory, size, g):
    """gw[part] = what the part's tiles contribute to it.

    for unit = (part, group), shared out to the workers; all in the thread's second cache:
        for block of tiles of the part: V and the transform of gy; for k: S[k] (C, filters) += V[k] @ (A gy A^T)[k]
        gw[part, group] from S
    """
    _, groups, channels, filters, _, _, _, _, _, _, _, _, m, high, wide, block = g
    depth, tiles = (m + 2) ** 2, g[0] * high * wide
    v_step, y_step, s_step = _apart(channels * block), _apart(block * padded), _apart(channels * padded)
    for worker in prange(workers):
        o = worker * size
        v = o + planes
        y = v + depth * v_step
        turned = y + depth * y_step
        sums = turned + depth * _apart(LANES32 * block)
        taps = np.empty(9 * LANES32 * LANES32, gw.dtype)
        for unit in range(worker, parts * groups, workers):
            part, group = unit // groups, unit % groups
            begin = blocks * part // parts
            for number in range(begin, blocks * (part + 1) // parts):
                t = number * block
                count = min(block, tiles - t)
                gather(x, group, 0, channels, t, count, memory, v, v_step, edges, memory, o, plane, g)
                gather_grad(gy, group, 0, filters, t, count, memory, y, y_step, padded, memory, o, plane, turned, g)
                for k in range(depth):
                    product(
                        memory, v + k * v_step, block, 1, memory, y + k * y_step, padded,
                        memory, sums + k * s_step, padded, channels, padded, count, number > begin, COLUMNS32,
                    )  # fmt: skip
            target = unit * filters * channels * 9
            finish_grad(memory, sums, s_step, padded, m, filters, channels, taps, gw, target, channels * 9)


@kernel(parallel=True)
def gather_all_grad(workers, gy, y, first, blocks, planes, plane, padded, several, memory, size, g):
    """y[group, block, k, panel] (tiles, several) = A gy A^T, panels of `several` filters.

    for unit = (group, block, LANES32 filters), shared out to the workers
    """
    _, groups, _, filters, _, _, _, _, _, _, _, _, m, high, wide, block = g
    tiles, step = g[0] * high * wide, _apart(block * ((padded + several - 1) // several * several))
    vectors = padded // LANES32
    for worker in prange(workers):
        o = worker * size
        for unit in range(worker, groups * blocks * vectors, workers):
            number, o0 = unit // vectors, unit % vectors * LANES32
            group, t = number // blocks, (first + number % blocks) * block
            target = number * (m + 2) ** 2 * step + o0 // several * several * block + o0 % several
            gather_grad(
                gy, group, o0, min(o0 + LANES32, filters), t, min(block, tiles - t), y, target, step, several,
                memory, o, plane, o + planes, g,
            )  # fmt: skip


@kernel(parallel=True)
def multiply_all_grad(workers, v, y, gw, first, blocks, some, several, padded, memory, size, g):
    """gw = what these blocks of tiles contribute to it.

    for unit = (group, `some` channels, `several` filters), shared out to the workers:
        for k: for block of tiles: S[k] += V[block, k] @ y[block, k], in the thread's second cache
        gw from S
    """
    _, groups, channels, filters, _, _, _, _, _, _, _, _, m, high, wide, block = g
    depth, tiles = (m + 2) ** 2, g[0] * high * wide
    pieces, panels = (channels + some - 1) // some, (padded + several - 1) // several
    v_step, y_step, s_step = _apart(channels * block), _apart(block * panels * several), _apart(some * several)
    for worker in prange(workers):
        sums = worker * size
        taps = np.empty(9 * LANES32 * LANES32, gw.dtype)
        for unit in range(worker, groups * pieces * panels, workers):
            group, rest = unit // (pieces * panels), unit % (pieces * panels)
            c, o = rest // panels * some, rest % panels * several
            here, width = min(some, channels - c), min(several, padded - o)
            for k in range(depth):
                for number in range(blocks):
                    place = (group * blocks + number) * depth + k
                    product(
                        v, place * v_step + c * block, block, 1, y, place * y_step + o * block, several,
                        memory, sums + k * s_step, several, here, width,
                        min(block, tiles - (first + number) * block), number > 0, COLUMNS32,
                    )  # fmt: skip
            finish_grad(
                memory, sums, s_step, several, m, min(width, filters - o), here, taps,
                gw, ((group * filters + o) * channels + c) * 9, channels * 9,
            )  # fmt: skip


def weight_grad(gy: np.ndarray, x: np.ndarray, spec: ConvSpec, m: int, way: str = "") -> np.ndarray:
    """gw (O, C / groups, 3, 3) of the convolution `spec` of float32 x, by tiles of m x m.

    Args:
        way: ``"private"`` or ``"shared"``, instead of what the sizes suggest: private if all sums fit a thread's cache.
    """
    channels, filters = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    padded = -(-filters // LANES32) * LANES32
    way = way or ("private" if channels * padded <= SMALL_SUMS else "shared")
    gy, x = plain(gy).reshape(-1), plain(x).reshape(-1)
    parts = (_private_grad if way == "private" else _shared_grad)(gy, x, spec, m, padded)
    if len(parts) == 1:
        return parts.reshape(spec.weight_shape)
    gw = empty(spec.weight_shape, x.dtype)
    launch(add_parts, parts.reshape(-1), gw.reshape(-1), len(parts), elements=parts.size)
    return gw


def _private_grad(gy: np.ndarray, x: np.ndarray, spec: ConvSpec, m: int, padded: int) -> np.ndarray:
    """What each part of the tiles contributes."""
    cut = plan(spec, m)
    channels, block = cut.numbers[2], cut.numbers[15]
    plane, planes = _planes(cut.numbers)
    sizes = channels * block, padded * block, LANES32 * block, channels * padded
    size = planes + (m + 2) ** 2 * sum(apart(s) for s in sizes)
    memory = scratch(workers() * size + LANES32, x.dtype)
    parts = max(1, min(PARTS, cut.blocks))
    gw = empty((parts, math.prod(spec.weight_shape)), x.dtype)
    launch(
        private_grad, gy, x, gw.reshape(-1), parts, cut.blocks, cut.edges, planes, plane, padded, memory, size,
        cut.numbers,
    )  # fmt: skip
    return gw


def _shared_grad(gy: np.ndarray, x: np.ndarray, spec: ConvSpec, m: int, padded: int) -> np.ndarray:
    """What each round over some blocks of tiles contributes."""
    cut = plan(spec, m, LONG)
    groups, channels, block = (cut.numbers[i] for i in (1, 2, 15))
    plane, planes = _planes(cut.numbers)
    depth = (m + 2) ** 2
    some, several = min(channels, SOME), min(padded, SEVERAL)
    while max(some, several) > LANES32 and groups * -(-channels // some) * -(-padded // several) < UNITS:
        if some >= several:
            some = -(-some // 2 // LANES32) * LANES32
        else:
            several = -(-several // 2 // LANES32) * LANES32
    v_size, y_size = (groups * depth * apart(c * block) for c in (channels, -(-padded // several) * several))
    together = _even(cut.blocks, min(SHARED // (v_size + y_size), RUN // block))
    v, y = empty(together * v_size, x.dtype), empty(together * y_size, x.dtype)
    size, s_size = planes + depth * apart(LANES32 * block), depth * apart(some * several)
    memory = scratch(workers() * max(size, s_size) + LANES32, x.dtype)
    firsts = range(0, cut.blocks, together)
    gw = empty((len(firsts), math.prod(spec.weight_shape)), x.dtype)
    for number, first in enumerate(firsts):
        blocks = min(together, cut.blocks - first)
        launch(gather_all, x, v, first, blocks, cut.edges, planes, plane, memory, cut.numbers)
        launch(gather_all_grad, gy, y, first, blocks, planes, plane, padded, several, memory, size, cut.numbers)
        launch(multiply_all_grad, v, y, gw[number], first, blocks, some, several, padded, memory, s_size, cut.numbers)
    return gw


def input_grad(gy: np.ndarray, w: np.ndarray, spec: ConvSpec, m: int) -> np.ndarray:
    """gx (N, C, H, W) of float32 gy (N, O, OH, OW), by tiles of m x m."""
    return forward(gy, w, None, adjoint(spec), m, flip=True)
