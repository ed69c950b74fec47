"""Convolution with stride 1 by Winograd's algorithm, 3 x 3 and 5 x 5 to 7 x 7: `winograd_simd` has the arithmetic.

The output is cut into tiles of m x m, numbered through (image, row of tiles, tile), and a unit of work is a block of
consecutive tiles. V, U and M are what the transforms make of input, weights and output; k counts the s*s positions:

    V[k] (tiles, C)   from the patches of the input        U[k] (C, O)   from the weights
    M[k] (tiles, O) = V[k] @ U[k]                          y from M

All transforms have channels (or filters) side by side in the lanes of a vector: the pixels are first transposed in
squares, [pixel][lane], so that a tile may begin anywhere, images may have any width, and what lies outside is a mask
for a column or a row of zeros. In memory V[k] is [C / LANES32][tile][lane], U[k] and M[k] are in panels of one or two
vectors of filters: [panel][channel][filter], [panel][tile][filter].

Kernels larger than 3 x 3 are cut into 2 x 2 pieces of up to 4 x 4 taps, with tiles of 3 x 3. What piece (p, q) sees of
the image is the patch of the tile p rows further down and q to the right, and that is p * wide + q tiles later, if each
row has one tile more than there are outputs, and each image one row. So V is computed once for all pieces:

    M[k, tile] = sum over pieces of V[k, tile + p * wide + q] @ U[k, p, q]

which is 144 products for 9 outputs of a channel, where 7 x 7 taps are 441.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numba import prange

from ..geometry import ConvSpec, adjoint
from .gemm import add_parts, add_some_parts, flat, plain, product
from .jit import helper, kernel
from .memory import empty
from .rows import copy
from .simd import COLUMNS32, LANES32, ROWS, VECTORS, ask, turn, turn_inside
from .threads import launch, most_workers, scratch
from .winograd_simd import (
    HEIGHTS,
    TAPS,
    input_tile,
    lane_tile,
    output_grad_tile,
    output_tile,
    weight_grad_tiles,
    weight_tiles,
)

PANEL = 2 * LANES32  # filters whose weights lie side by side in U, if there are more than LANES32
TILES = ROWS * VECTORS  # memory is for a multiple of so many tiles, for the rows that a register tile computes in vain
BLOCK = TILES  # tiles of a block, at least, if there are so many
LONGER = 2 * BLOCK  # of a block, where its tiles share the transforms of the weights
FEW = 288  # tiles whose V may be read from the third cache for every panel of filters
CHUNK = 16  # channels that are transformed at a time
SHARE = 128  # filters of which a thread computes all products of one k
SHARED = 3 << 20  # elements of V and M that are made at a time: they stay in the third cache
KEPT = 96 * 1024  # elements of U, and of M, that a thread keeps for several panels
NEAR = 56 * 1024  # elements of V of a block, if that is more than the least: best measured
PRIVATE = 160 * 1024  # elements of V that a thread keeps to itself: they stay in its second cache
TURNED = 8 * 1024  # elements of transposed pixels, if that is more than a row of tiles: they stay in the first cache
RUN = 1024  # tiles of one partial sum of a weight gradient: short, so that float32 keeps its digits
LONG = 192  # tiles of a block of a weight gradient, at most
PARTS = 8  # partial sums of a weight gradient, at most
SMALL_SUMS = 64 * 64  # channels times filters whose sums a thread keeps beside V
SOME, SEVERAL = 64, 3 * LANES32  # channels and filters whose sums a thread keeps, at most
TURNED_TAPS = 9 * LANES32 * LANES32  # elements of transposed taps; behind them those of a channel in pieces
TAPS_ROOM = TURNED_TAPS + 64 * LANES32
UNITS = 8  # of work, at least, where there are so many channels and filters
_NOTHING = np.empty(0, np.float32)  # in place of a missing bias


def apart(size: int) -> int:
    """The elements from one k to the next of a matrix of that size, a little more than it holds.

    A transform writes all k in turn. At distances near a multiple of 1 KB the addresses agree in their low bits: they
    share few lines of the first cache, and loads wait for stores that they seem to read. Measured over all remainders,
    112 of 256 is among the best: a transform takes 90 ns, 270 at the worst.
    """
    return size + (112 - size) % 256


_apart = helper(apart)


def filled(channels: int) -> int:
    """The channels that fill whole vectors."""
    return -(-channels // LANES32) * LANES32


def room(tiles: int) -> int:
    """The tiles that fill whole register tiles."""
    return -(-tiles // TILES) * TILES


def panel_of(filters: int) -> int:
    """The filters of a panel."""
    return LANES32 if filters <= LANES32 else PANEL


def depth_of(m: int) -> int:
    """How many k there are."""
    return 16 if m == 2 else 36


def pieces_of(m: int) -> int:
    """Into how many pieces each side of a kernel is cut."""
    return 2 if m == 3 else 1


_filled, _room, _panel_of = helper(filled), helper(room), helper(panel_of)
_depth_of, _pieces_of = helper(depth_of), helper(pieces_of)


def rows_of(block: int, m: int, wide: int) -> int:
    """The tiles of V that there is memory for with each block: some of the next ones, if there are several pieces."""
    return room(block) + room((pieces_of(m) - 1) * (wide + 1))


@helper
def _rows_of(block, m, wide):
    return _room(block) + _room((_pieces_of(m) - 1) * (wide + 1))


@helper
def _seen(count, m, wide, left):
    """How many tiles of V `count` tiles of M see, if there are `left` more until the last of all images."""
    return min(count + (_pieces_of(m) - 1) * (wide + 1), left)


@dataclass(frozen=True)
class Plan:
    """How a convolution is cut up, and what follows from that, computed when it is first asked for.

    Attributes:
        numbers: what the kernels unpack: (0 batch, 1 groups, 2 channels and 3 filters of a group, 4 height and 5 width
            of x, 6 and 7 of y, 8 zeros above and 9 to the left, 10 m, 11 rows of tiles of an image, 12 tiles of such a
            row, 13 tiles of a block).
        blocks: how many blocks of tiles there are.
    """

    numbers: tuple[int, ...]
    blocks: int

    @cached_property
    def way(self) -> str:
        """What `choose` says."""
        batch, _, channels, filters, *_, m, high, wide, _ = self.numbers
        return choose(channels, filters, batch * high * wide, m)

    @cached_property
    def pixels(self) -> int:
        """Elements of memory for transposed pixels, and for the bias beside them."""
        width, ow, m, wide, block = (self.numbers[i] for i in (5, 7, 10, 12, 13))
        more = TAPS[m] - 1
        row = min(max(width, ow) + 2 * m, m * rows_of(block, m, wide) + more) * LANES32
        return max(TURNED, (m + more) * row) + 2 * LANES32

    @cached_property
    def private(self) -> tuple[int, int]:
        """Elements of memory for a thread of `private`, and of U."""
        groups, channels, filters, m, wide, block = (self.numbers[i] for i in (1, 2, 3, 10, 12, 13))
        v_size, m_size = rows_of(block, m, wide) * filled(channels), room(block) * panel_of(filters)
        size = self.pixels + depth_of(m) * (apart(v_size) + apart(m_size))
        return size, room_of_weights(groups, channels, filters, m)

    @cached_property
    def private_grad(self) -> tuple[int, int]:
        """Elements of memory for a thread of `private_grad`, and into how many parts the sum is cut."""
        channels, padded, m, block = self.numbers[2], filled(self.numbers[3]), self.numbers[10], self.numbers[13]
        sizes = filled(channels) * block, padded * block, channels * padded
        return self.pixels + depth_of(m) * sum(apart(size) for size in sizes), max(1, min(PARTS, self.blocks))


@lru_cache(maxsize=256)
def plan(spec: ConvSpec, m: int, longest: int = 0) -> Plan:
    """The tiles of a convolution and the size of their blocks, from its shape alone.

    Args:
        longest: equal blocks of at most so many tiles, instead of what suits the forward pass.
    """
    (height, width), (oh, ow) = spec.input_size, spec.output_size
    (top, _), (left, _) = spec.padding
    more = pieces_of(m) - 1
    high, wide = -(-oh // m) + more, -(-ow // m) + more
    channels, filters = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    tiles = spec.batch * high * wide
    if longest:
        block = -(-even(tiles, longest) // HEIGHTS[1]) * HEIGHTS[1]
    else:
        near = NEAR // (depth_of(m) * filled(channels) * BLOCK)
        # at most four times the least, and some 16 blocks, so that there is work for several threads
        block = min(BLOCK * max(1, min(near, 4)), -(-tiles // 16 // HEIGHTS[1]) * HEIGHTS[1])
    return Plan(
        numbers=(
            *(spec.batch, spec.groups, channels, filters, height, width, oh, ow),
            *(top, left, m, high, wide, block),
        ),
        blocks=-(-tiles // block),
    )


@helper
def _rows_of_tiles(t, count, pitch, g):
    """The next tiles that are transposed together, of `count` from t on: (image, row, tile, rows, tiles in each row).

    As many whole rows of an image as there is room for, if one of their pixel rows takes `pitch` pixels (a patch has up
    to 3 such rows more than its tile); or a part of a row.
    """
    m, high, wide = g
    image, ty, tx = t // (high * wide), t // wide % high, t % wide
    if tx > 0 or count < wide:
        return image, ty, tx, 1, min(wide - tx, count)
    fit = (TURNED // (LANES32 * pitch) - 3) // m
    return image, ty, 0, max(1, min(high - ty, count // wide, fit)), wide


@helper
def _turn_pixels(x, i, plane, members, shape, top, bottom, left, right, out, o):
    """out[o + (y - top, p - left) * LANES32 + c] = pixel (y, p) of image x[i + c*plane], 0 where there is no row y."""
    height, width = shape
    pitch, size = right - left, (right - left) * LANES32
    begin, end = min(max(top, 0), bottom), max(min(bottom, height), top)
    for j in range((begin - top) * size):
        out[o + j] = 0
    for j in range((end - top) * size, (bottom - top) * size):
        out[o + j] = 0
    rows, run = end - begin, pitch
    if pitch == width:  # the rows follow each other
        rows, run = 1, pitch * rows
    for r in range(rows):
        source, target = i + (begin + r) * width + left, o + (begin - top + r) * size
        for p in range(0, run, LANES32):
            turn(x, source + p, plane, members, min(LANES32, run - p), out, target + p * LANES32, LANES32)


@helper
def gather(x, of_input, group, c0, c1, t, count, after, v, vi, row, panel, step, memory, o, g):
    """The transforms of tiles t : t + count of channels c0 : c1, where memory[o:] is for transposed pixels.

    Pixels are asked for one round ahead: the caches do not foresee sixteen images at once. Tile `after` comes next. A
    line of memory is LANES32 pixels, those of LANES32 // m tiles, the first m of which ask for one pixel row each.

    B^T d B of the input; or else A gy A^T of the gradient of the output (filters are channels then).
    Element k of tile t + j and channel c0 + c goes to v[vi + k*step + j*row + c // LANES32 * panel + c % LANES32].
    """
    _, groups, channels, filters, height, width, oh, ow, top, left, m, high, wide, _ = g
    first, across = -top, -left  # where the patch of an image's first tile begins
    more = 3 if m == 3 else 2  # pixels of a patch beyond a tile
    if not of_input:
        channels, height, width, first, across, more = filters, oh, ow, 0, 0, 0
    size = height * width
    for c in range(c0, c1, LANES32):
        target = vi + (c - c0) // LANES32 * panel
        done = 0
        while done < count:
            image, ty, tx, tall, many = _rows_of_tiles(t + done, count - done, width, (m, high, wide))
            y, begin = first + m * ty, max(across + m * tx, 0)
            end = max(min(across + m * (tx + many) + more, width), begin)
            _turn_pixels(
                x, ((image * groups + group) * channels + c) * size, size, min(LANES32, c1 - c), (height, width),
                y, y + m * tall + more, begin, end, memory, o,
            )  # fmt: skip
            pitch = (end - begin) * LANES32
            ahead, channel = t + done + tall * many, c  # what comes next
            if done + tall * many == count:
                ahead, channel = (t, c + LANES32) if c + LANES32 < c1 else (after, c0)
            image, ty, p = ahead // (high * wide), ahead // wide % high, across + m * (ahead % wide)
            following = ((image * groups + group) * channels + channel) * size + (first + m * ty) * width + p
            for i in range(tall):
                for j in range(many):
                    r, p = j % (LANES32 // m), across + m * (tx + j)
                    if r < m:
                        ask(x, following + (i * m + r) * width + (j - r) * m, size, False)
                    source, place = o + i * m * pitch + (p - begin) * LANES32, target + (done + i * many + j) * row
                    if of_input:
                        input_tile(2 if m == 2 else 4, memory, source, pitch, -p, width - p, v, place, step)
                    else:
                        output_grad_tile(m, memory, source, pitch, -p, width - p, v, place, step)
            done += tall * many


@helper
def scatter(products, i, step, group, o0, o1, t, count, b, y, memory, o, g):
    """y = A^T M A + b for tiles t : t + count of filters o0 : o1, where memory[o:] is for transposed pixels.

    They are those of a panel of some width. Element k of M is products[i + k*step + tile*width + filter - o0].
    """
    _, groups, _, filters, _, _, oh, ow, top, left, m, high, wide, _ = g
    size, width = oh * ow, _panel_of(filters)
    pixels = o + LANES32
    for f in range(o0, o1, LANES32):
        some = min(LANES32, o1 - f)
        for lane in range(LANES32):
            memory[o + lane] = b[group * filters + f + lane] if lane < some and b.size else products.dtype.type(0)
        source = i + f - o0
        done = 0
        while done < count:
            image, ty, tx, tall, many = _rows_of_tiles(t + done, count - done, m * wide, (m, high, wide))
            pitch = many * m
            for r in range(tall):
                for j in range(many):
                    output_tile(
                        m, products, source + (done + r * many + j) * width, step, memory, o,
                        memory, pixels + (r * pitch + j) * m * LANES32, pitch * LANES32,
                    )  # fmt: skip
            down, p = m * ty, m * tx  # where the first pixel belongs
            rows, run = min(m * tall, oh - down), min(pitch, ow - p)
            if run == ow and run == pitch:  # the rows follow each other
                rows, run = 1, rows * run
            target = ((image * groups + group) * filters + f) * size + down * ow + p
            for r in range(rows):
                from_pixel, to = pixels + r * pitch * LANES32, target + r * ow
                for q in range(0, run, LANES32):
                    turn_inside(memory, from_pixel + q * LANES32, LANES32, min(LANES32, run - q), some, y, to + q, size)
            done += tall * many


@helper
def multiply(v, vi, panel, seen, u, ui, products, place, rows, width, depth, add, m, wide):
    """M[k] = (M[k] if add) + V[k] @ U[k] for `rows` tiles, a panel of filters of that width, and `depth` channels.

    U[k] is (pieces, depth, width); there are `seen` tiles of V.
    """
    height = HEIGHTS[0] if width == LANES32 else HEIGHTS[1]
    pieces = _pieces_of(m)
    for r in range(0, rows, height):
        for piece in range(pieces * pieces):
            tile = r + piece // pieces * wide + piece % pieces
            few = min(height, rows - r, seen - tile)
            if few > 0:
                lane_tile(
                    v, vi + tile * LANES32, panel, u, ui + piece * depth * width, products, place + r * width, few,
                    depth, add or piece > 0, width,
                )  # fmt: skip


@helper
def _in_pieces(taps, first, tap, kernel, out, o):
    """out[o + (8*r + c)*LANES32 + lane] = tap (u, v), at taps[first + (u*KW + v)*tap + lane].

    The four pieces of 4 x 4 taps make a square of 8 x 8, in which (r, c) is element (r % 4, c % 4) of piece (r // 4,
    c // 4). The first pieces have 3 taps on a side, the last the others; what is left over is 0.
    """
    kh, kw = kernel
    for q in range(64 * LANES32):
        out[o + q] = 0
    for u in range(kh):
        for v in range(kw):
            source, target = first + (u * kw + v) * tap, o + (8 * (u + min(u // 3, 1)) + v + min(v // 3, 1)) * LANES32
            copy(taps, source, 1, out, target, LANES32)


@helper
def transform_panel(w, i, o_step, c_step, filters, width, c0, c1, members, m, kernel, flip, u, ui, u_step, taps):
    """u[ui + k*u_step + (piece*members + c - c0)*width + o] = element k of G w G^T, w a piece of the taps,
    for filters o < width and channels c0 <= c < c1.

    Filter o and channel c of w are at w[i + o*o_step + c*c_step]; there are `filters` of them, the rest of u is 0.
    `flip` turns the taps round. Some channels at a time are transposed to taps: filters in lanes, tap after tap. What
    comes next, four channels or two vectors of taps later, is asked for: the caches do not foresee so many short runs.
    """
    pieces, count = _pieces_of(m), kernel[0] * kernel[1]
    together = max(9 * LANES32 // count, 1) if c_step == count else 1  # channels whose taps follow each other
    for o in range(0, width, LANES32):
        rows = max(min(filters - o, LANES32), 0)
        source = i + (o if rows else 0) * o_step
        for c in range(c0, c1, together):
            some = min(together, c1 - c)
            if together == 1:
                ask(w, source + (c + 4) * c_step, LANES32, False)
            for q in range(0, count * some, LANES32):
                if together > 1:
                    ask(w, source + c * c_step + q + 2 * LANES32, o_step, False)
                columns = min(LANES32, count * some - q)
                turn(w, source + c * c_step + q, o_step, rows, columns, taps, q * LANES32, LANES32)
            for n in range(some):
                first, tap, to = n * count * LANES32, LANES32, ui + (c - c0 + n) * width + o
                if flip:
                    first, tap = first + (count - 1) * LANES32, -LANES32
                if pieces == 1:
                    weight_tiles(m, taps, first, tap, 3 * tap, u, to, u_step)
                    continue
                _in_pieces(taps, first, tap, kernel, taps, TURNED_TAPS)
                for piece in range(4):
                    from_tap = TURNED_TAPS + (piece // 2 * 32 + piece % 2 * 4) * LANES32
                    weight_tiles(m, taps, from_tap, LANES32, 8 * LANES32, u, to + piece * members * width, u_step)


@helper
def _some_weights(worker, workers, w, u, groups, filters, channels, m, kernel, flip):
    """What one worker does of `weights`."""
    width, chunks, count = _panel_of(filters), (channels + CHUNK - 1) // CHUNK, kernel[0] * kernel[1]
    panels, u_step = (filters + width - 1) // width, _apart(_pieces_of(m) ** 2 * channels * width)
    o_step, c_step = (count, count * filters) if flip else (count * channels, count)
    taps = np.empty(TAPS_ROOM, w.dtype)
    for unit in range(worker, groups * panels * chunks, workers):
        panel, c0 = unit // chunks, unit % chunks * CHUNK
        group, o = panel // panels, panel % panels * width
        transform_panel(
            w, group * filters * channels * count + o * o_step, o_step, c_step, filters - o, width,
            c0, min(c0 + CHUNK, channels), channels, m, kernel, flip,
            u, panel * _depth_of(m) * u_step + c0 * width, u_step, taps,
        )  # fmt: skip


@kernel(parallel=True)
def weights(workers, w, u, groups, filters, channels, m, kernel, flip):
    """u[group][panel][k][piece][c][filter] = element k of G w G^T, filters in lanes.

    w is (group, filter, channel, tap), or with `flip` (group, channel, filter, tap), whose taps are turned round.
    for unit = (group, panel of filters, CHUNK channels), shared out to the workers: transpose the taps; transform
    """
    for worker in prange(workers):
        _some_weights(worker, workers, w, u, groups, filters, channels, m, kernel, flip)


@kernel(parallel=True)
def private(workers, x, w, kernel, flip, u, b, y, blocks, pixels, memory, size, g):
    """y for few channels: a thread keeps V and M of a block of tiles in its second cache.

    U as `weights` says, in the same launch
    for unit = (group, block of tiles), shared out to the workers:
        V = the transforms of the block, all channels
        for panel of filters:
            for k: M[k] (tiles, filters) = V[k] @ U[panel, k]
            y = the transform of M
    """
    _, groups, channels, filters, _, _, _, _, _, _, m, high, wide, block = g
    depth, width = _depth_of(m), _panel_of(filters)
    rows, tiles, panels = _rows_of(block, m, wide), g[0] * high * wide, (filters + width - 1) // width
    v_step, m_step, lanes = _apart(rows * _filled(channels)), _apart(_room(block) * width), rows * LANES32
    u_step = _apart(_pieces_of(m) ** 2 * channels * width)
    for worker in prange(workers):
        _some_weights(worker, workers, w, u, groups, filters, channels, m, kernel, flip)
    for worker in prange(workers):
        o = worker * size
        v = o + pixels
        products = v + depth * v_step
        for unit in range(worker, groups * blocks, workers):
            group, t = unit // blocks, unit % blocks * block
            count, after = min(block, tiles - t), (unit + workers) % blocks * block
            seen = _seen(count, m, wide, tiles - t)
            gather(x, True, group, 0, channels, t, seen, after, memory, v, LANES32, lanes, v_step, memory, o, g)
            for panel in range(panels):
                for k in range(depth):
                    multiply(
                        memory, v + k * v_step, lanes, seen, u, ((group * panels + panel) * depth + k) * u_step,
                        memory, products + k * m_step, count, width, channels, False, m, wide,
                    )  # fmt: skip
                o0, o1 = panel * width, min((panel + 1) * width, filters)
                scatter(memory, products, m_step, group, o0, o1, t, count, b, y, memory, o, g)


@kernel(parallel=True)
def gather_all(workers, x, v, first, blocks, pixels, memory, g):
    """v[group, block, k] (tiles, C) = the transforms of the input, blocks first : first + blocks of tiles.

    for unit = (group, block, CHUNK channels), shared out to the workers
    """
    _, groups, channels, _, _, _, _, _, _, _, m, high, wide, block = g
    tiles, lanes = g[0] * high * wide, _rows_of(block, m, wide) * LANES32
    step = _apart(_rows_of(block, m, wide) * _filled(channels))
    chunks = (channels + CHUNK - 1) // CHUNK
    for worker in prange(workers):
        for unit in range(worker, groups * blocks * chunks, workers):
            number, c0 = unit // chunks, unit % chunks * CHUNK
            group, t = number // blocks, (first + number % blocks) * block
            target = number * _depth_of(m) * step + c0 // LANES32 * lanes
            c1, count = min(c0 + CHUNK, channels), _seen(min(block, tiles - t), m, wide, tiles - t)
            o = worker * pixels
            gather(x, True, group, c0, c1, t, count, t + block, v, target, LANES32, lanes, step, memory, o, g)


@kernel(parallel=True)
def multiply_all(workers, u, v, products, first, blocks, g):
    """products[group, block, k] (tiles, O) = V[block, k] @ U[k]

    for unit = (group, k, SHARE filters), shared out to the workers: its part of U[k] stays in the second cache
        for block of tiles: for panel of filters
    """
    _, groups, channels, filters, _, _, _, _, _, _, m, high, wide, block = g
    depth, tiles, rows, width = _depth_of(m), g[0] * high * wide, _room(block), _panel_of(filters)
    shares, panels, sees = (filters + SHARE - 1) // SHARE, (filters + width - 1) // width, _rows_of(block, m, wide)
    v_step, m_step = _apart(sees * _filled(channels)), _apart(rows * panels * width)
    u_step = _apart(_pieces_of(m) ** 2 * channels * width)
    for worker in prange(workers):
        for unit in range(worker, groups * depth * shares, workers):
            group, rest = unit // (depth * shares), unit % (depth * shares)
            k, begin = rest // shares, rest % shares * SHARE
            for number in range(group * blocks, (group + 1) * blocks):
                left = tiles - (first + number % blocks) * block
                count = min(block, left)
                for o in range(begin, min(begin + SHARE, filters), width):
                    multiply(
                        v, (number * depth + k) * v_step, sees * LANES32, _seen(count, m, wide, left),
                        u, ((group * panels + o // width) * depth + k) * u_step, products,
                        (number * depth + k) * m_step + o * rows, count, width, channels, False, m, wide,
                    )  # fmt: skip


@kernel(parallel=True)
def scatter_all(workers, products, b, y, first, blocks, pixels, memory, g):
    """y from products[group, block]; for unit = (group, block, panel of filters), shared out to the workers"""
    _, groups, _, filters, _, _, _, _, _, _, m, high, wide, block = g
    rows, width = _room(block), _panel_of(filters)
    panels = (filters + width - 1) // width
    tiles, step = g[0] * high * wide, _apart(rows * panels * width)
    for worker in prange(workers):
        for unit in range(worker, groups * blocks * panels, workers):
            number, o = unit // panels, unit % panels * width
            group, t = number // blocks, (first + number % blocks) * block
            scatter(
                products, number * _depth_of(m) * step + o * rows, step, group, o, min(o + width, filters), t,
                min(block, tiles - t), b, y, memory, worker * pixels, g,
            )  # fmt: skip


@kernel(parallel=True)
def by_panels(workers, w, v, b, y, kernel, o_step, c_step, flip, several, chunk, memory, size, g):
    """y for few tiles: what costs is to transform the weights, so panels of them are transformed where they are used.

    for unit = (group, `several` panels of filters), shared out to the workers:
        for chunk of channels:
            U of the panels, in the thread's second cache
            for block of tiles: for k: for panel: M[k] += V[k] @ U[k]; y from M after the last chunk
    """
    batch, groups, channels, filters, _, _, _, _, _, _, m, high, wide, block = g
    depth, tiles, rows, width = _depth_of(m), batch * high * wide, _rows_of(block, m, wide), _panel_of(filters)
    blocks, panels = (tiles + block - 1) // block, (filters + width - 1) // width
    units = (panels + several - 1) // several
    v_step, m_step = _apart(rows * _filled(channels)), _apart(_room(block) * width)
    u_step = _apart(_pieces_of(m) ** 2 * chunk * width)
    kept = blocks if chunk < channels else 1  # blocks whose M is kept
    for worker in prange(workers):
        taps = np.empty(TAPS_ROOM, w.dtype)
        u = worker * size
        products = u + several * depth * u_step
        pixels = products + several * kept * depth * m_step
        for unit in range(worker, groups * units, workers):
            group, lowest = unit // units, unit % units * several
            members = min(several, panels - lowest)
            for c0 in range(0, channels, chunk):
                c1 = min(c0 + chunk, channels)
                for p in range(members):
                    o = (lowest + p) * width
                    transform_panel(
                        w, group * channels * filters * kernel[0] * kernel[1] + o * o_step, o_step, c_step, filters - o,
                        width, c0, c1, c1 - c0, m, kernel, flip, memory, u + p * depth * u_step, u_step, taps,
                    )  # fmt: skip
                for number in range(blocks):
                    t = number * block
                    count = min(block, tiles - t)
                    seen = _seen(count, m, wide, tiles - t)
                    place = products + number % kept * members * depth * m_step
                    for k in range(depth):
                        for p in range(members):
                            multiply(
                                v, ((group * blocks + number) * depth + k) * v_step + c0 * rows, rows * LANES32, seen,
                                memory, u + (p * depth + k) * u_step, memory, place + (p * depth + k) * m_step,
                                count, width, c1 - c0, c0 > 0, m, wide,
                            )  # fmt: skip
                    if c1 == channels:
                        for p in range(members):
                            o = (lowest + p) * width
                            scatter(
                                memory, place + p * depth * m_step, m_step, group, o, min(o + width, filters), t,
                                count, b, y, memory, pixels, g,
                            )  # fmt: skip


def room_of_weights(groups: int, channels: int, filters: int, m: int) -> int:
    """The elements of U."""
    width = panel_of(filters)
    return groups * -(-filters // width) * depth_of(m) * apart(pieces_of(m) ** 2 * channels * width)


def _steps(w: np.ndarray) -> tuple[int, int]:
    """The elements from one filter of w (O, C, KH, KW) to the next, and from one channel."""
    taps = w.shape[2] * w.shape[3]
    return w.shape[1] * taps, taps


def choose(channels: int, filters: int, tiles: int, m: int) -> str:
    """How the work is shared out, from the sizes of one group:

    ``"panels"``: there are few tiles and several panels of filters; ``"private"``: V of a block of tiles fits a cache
    of the thread; ``"shared"``.
    """
    if tiles <= FEW and filters > 3 * PANEL:
        return "panels"
    return "private" if depth_of(m) * channels * BLOCK <= PRIVATE else "shared"


def forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, spec: ConvSpec, m: int, flip: bool = False, way: str = ""
) -> np.ndarray:
    """y (N, O, OH, OW): the convolution `spec` of float32 x with w, by tiles of m x m.

    Args:
        flip: w is that of the convolution whose gradient this one is.
        way: one of those of `choose`, instead of its choice.
    """
    cut = plan(spec, m)
    way = way or cut.way
    if way == "panels":
        cut = plan(spec, m, LONGER)
    y, bias = empty(spec.output_shape, x.dtype), _NOTHING if b is None else plain(b)
    run = _private if way == "private" else _shared if way == "shared" else _panels
    run(flat(x), plain(w), bias, y.ravel(), cut, flip)
    return y


def _private(x: np.ndarray, w: np.ndarray, b: np.ndarray, y: np.ndarray, cut: Plan, flip: bool) -> None:
    size, of_weights = cut.private
    memory, u = scratch(most_workers() * size + LANES32, x.dtype), empty(of_weights, x.dtype)
    rule = w.ravel(), w.shape[2:], flip
    launch(private, x, *rule, u, b, y, cut.blocks, cut.pixels, memory, size, cut.numbers)


def _shared(x: np.ndarray, w: np.ndarray, b: np.ndarray, y: np.ndarray, cut: Plan, flip: bool) -> None:
    groups, channels, filters, m, wide, block = (cut.numbers[i] for i in (1, 2, 3, 10, 12, 13))
    u = empty(room_of_weights(groups, channels, filters, m), x.dtype)
    launch(weights, w.reshape(-1), u, groups, filters, channels, m, w.shape[2:], flip, elements=u.size)
    pixels, depth, width = cut.pixels, depth_of(m), panel_of(filters)
    v_size = groups * depth * apart(rows_of(block, m, wide) * filled(channels))
    m_size = groups * depth * apart(room(block) * (-(-filters // width) * width))
    together = even(cut.blocks, SHARED // (v_size + m_size))
    v, products = empty(together * v_size, x.dtype), empty(together * m_size, x.dtype)
    memory = scratch(most_workers() * pixels + LANES32, x.dtype)
    for first in range(0, cut.blocks, together):
        blocks = min(together, cut.blocks - first)
        launch(gather_all, x, v, first, blocks, pixels, memory, cut.numbers)
        launch(multiply_all, u, v, products, first, blocks, cut.numbers)
        launch(scatter_all, products, b, y, first, blocks, pixels, memory, cut.numbers)


def even(count: int, most: int) -> int:
    """How many at a time, if `most` are allowed: equal portions."""
    return -(-count // -(-count // max(1, most)))


def _panels(x: np.ndarray, w: np.ndarray, b: np.ndarray, y: np.ndarray, cut: Plan, flip: bool) -> None:
    groups, channels, filters, m, wide, block = (cut.numbers[i] for i in (1, 2, 3, 10, 12, 13))
    pixels, depth, width = cut.pixels, depth_of(m), panel_of(filters)
    pieces = pieces_of(m) ** 2
    v = empty(cut.blocks * groups * depth * apart(rows_of(block, m, wide) * filled(channels)), x.dtype)
    # Each chunk of V comes from the third cache once for all panels of a unit: as many as leave room for their M and U,
    # and eight units or more to be shared out. Chunks are whole vectors of channels.
    m_size = depth * apart(room(block) * width)
    several = max(1, min(4, -(-filters // width) // 8, KEPT // (cut.blocks * m_size)))
    chunk = min(channels, max(16, KEPT // (several * depth * pieces * width) // 16 * 16))
    kept = cut.blocks if chunk < channels else 1
    size = several * (depth * apart(pieces * chunk * width) + kept * m_size) + pixels
    memory = scratch(most_workers() * size + LANES32, x.dtype)
    launch(gather_all, x, v, 0, cut.blocks, pixels, memory, cut.numbers)
    steps = _steps(w)[::-1] if flip else _steps(w)
    launch(by_panels, w.reshape(-1), v, b, y, w.shape[2:], *steps, flip, several, chunk, memory, size, cut.numbers)


@helper
def finish_grad(sums, i, step, row, m, filters, channels, taps, gw, target, target_row):
    """gw[target + o*target_row + 9*c + tap] = G^T S G; element k of S for (c, o) is sums[i + k*step + c*row + o].

    Filters are in lanes; the taps of as many channels as there are lanes are transposed together, in whole squares.
    """
    for o in range(0, filters, LANES32):
        some = min(LANES32, filters - o)
        for c in range(0, channels, LANES32):
            count = min(LANES32, channels - c)
            first, whole = target + o * target_row + 9 * c, 9 * count // LANES32 * LANES32
            for n in range(count):
                if n < 9:  # the lines that will be written: nine taps of LANES32 channels are nine for each filter
                    ask(gw, first + n * LANES32, target_row, True)
                weight_grad_tiles(m, sums, i + (c + n) * row + o, step, taps, n * 9 * LANES32)
            for q in range(0, whole, LANES32):
                turn(taps, q * LANES32, LANES32, LANES32, some, gw, first + q, target_row)
            for q in range(whole, 9 * count):
                for lane in range(some):
                    gw[first + lane * target_row + q] = taps[q * LANES32 + lane]


@helper
def multiply_grad(v, vi, panel, y, yi, y_row, sums, place, row, channels, filters, depth, add):
    """S[k] (C, filters) = (S[k] if add) + V[k]^T @ (A gy A^T)[k] over `depth` tiles."""
    vectors = (filters + LANES32 - 1) // LANES32
    strips = (vectors + VECTORS - 1) // VECTORS
    width = (vectors + strips - 1) // strips * LANES32  # strips of about equal width
    for c in range(0, channels, LANES32):
        product(
            v, vi + c // LANES32 * panel, 1, LANES32, y, yi, y_row, sums, place + c * row, row,
            min(LANES32, channels - c), filters, depth, add, max(width, COLUMNS32 if vectors == 1 else 0),
        )  # fmt: skip


@kernel(parallel=True)
def private_grad(workers, gy, x, partial, gw, parts, blocks, pixels, padded, memory, size, g):
    """gw = the sum over the parts of partial[part], what the part's tiles contribute to it.

    for unit = (part, group), shared out to the workers; all in the thread's second cache:
        for block of tiles of the part: V and the transform of gy; for k: S[k] (C, filters) += V[k] @ (A gy A^T)[k]
        partial[part, group] from S
    """
    _, groups, channels, filters, _, _, _, _, _, _, m, high, wide, block = g
    depth, tiles, lanes = _depth_of(m), g[0] * high * wide, block * LANES32
    v_step, y_step, s_step = _apart(block * _filled(channels)), _apart(block * padded), _apart(channels * padded)
    for worker in prange(workers):
        o = worker * size
        v = o + pixels
        y = v + depth * v_step
        sums = y + depth * y_step
        taps = np.empty(9 * LANES32 * LANES32, gw.dtype)
        for unit in range(worker, parts * groups, workers):
            part, group = unit // groups, unit % groups
            begin = blocks * part // parts
            for number in range(begin, blocks * (part + 1) // parts):
                t = number * block
                count = min(block, tiles - t)
                after = t + count
                gather(x, True, group, 0, channels, t, count, after, memory, v, LANES32, lanes, v_step, memory, o, g)
                gather(gy, False, group, 0, filters, t, count, after, memory, y, padded, LANES32, y_step, memory, o, g)
                for k in range(depth):
                    multiply_grad(
                        memory, v + k * v_step, lanes, memory, y + k * y_step, padded,
                        memory, sums + k * s_step, padded, channels, padded, count, number > begin,
                    )  # fmt: skip
            target = unit * filters * channels * 9
            finish_grad(memory, sums, s_step, padded, m, filters, channels, taps, partial, target, channels * 9)
    for worker in prange(workers):
        add_some_parts(worker, workers, partial, gw, parts)


@kernel(parallel=True)
def gather_all_grad(workers, gy, y, first, blocks, pixels, padded, several, memory, g):
    """y[group, block, k, panel] (tiles, several) = A gy A^T, panels of `several` filters.

    for unit = (group, block, LANES32 filters), shared out to the workers
    """
    _, groups, _, filters, _, _, _, _, _, _, m, high, wide, block = g
    tiles, step = g[0] * high * wide, _apart(block * ((padded + several - 1) // several * several))
    vectors = padded // LANES32
    for worker in prange(workers):
        for unit in range(worker, groups * blocks * vectors, workers):
            number, o0 = unit // vectors, unit % vectors * LANES32
            group, t = number // blocks, (first + number % blocks) * block
            target = number * _depth_of(m) * step + o0 // several * several * block + o0 % several
            o1, count, o = min(o0 + LANES32, filters), min(block, tiles - t), worker * pixels
            gather(gy, False, group, o0, o1, t, count, t + count, y, target, several, 0, step, memory, o, g)


@kernel(parallel=True)
def multiply_all_grad(workers, v, y, gw, first, blocks, some, several, padded, memory, size, g):
    """gw = what these blocks of tiles contribute to it.

    for unit = (group, `some` channels, `several` filters), shared out to the workers:
        for k: for block of tiles: S[k] += V[block, k] @ y[block, k], in the thread's second cache
        gw from S
    """
    _, groups, channels, filters, _, _, _, _, _, _, m, high, wide, block = g
    depth, tiles = _depth_of(m), g[0] * high * wide
    pieces, panels = (channels + some - 1) // some, (padded + several - 1) // several
    v_step = _apart(_room(block) * _filled(channels))
    y_step, s_step = _apart(block * panels * several), _apart(some * several)
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
                    multiply_grad(
                        v, place * v_step + c * _room(block), _room(block) * LANES32,
                        y, place * y_step + o * block, several, memory, sums + k * s_step, several, here, width,
                        min(block, tiles - (first + number) * block), number > 0,
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
    padded = filled(spec.out_channels // spec.groups)
    way = way or ("private" if spec.in_channels // spec.groups * padded <= SMALL_SUMS else "shared")
    gw = empty(spec.weight_shape, x.dtype)
    run = _private_grad if way == "private" else _shared_grad
    run(flat(gy), flat(x), gw.ravel(), spec, m, padded)
    return gw


def _private_grad(gy: np.ndarray, x: np.ndarray, gw: np.ndarray, spec: ConvSpec, m: int, padded: int) -> None:
    cut = plan(spec, m)
    size, parts = cut.private_grad
    memory, partial = scratch(most_workers() * size + LANES32, x.dtype), empty(parts * gw.size, x.dtype)
    launch(private_grad, gy, x, partial, gw, parts, cut.blocks, cut.pixels, padded, memory, size, cut.numbers)


def _shared_grad(gy: np.ndarray, x: np.ndarray, gw: np.ndarray, spec: ConvSpec, m: int, padded: int) -> None:
    cut = plan(spec, m, LONG)
    groups, channels, block = (cut.numbers[i] for i in (1, 2, 13))
    pixels, depth = cut.pixels, depth_of(m)
    some, several = min(channels, SOME), min(padded, SEVERAL)
    while max(some, several) > LANES32 and groups * -(-channels // some) * -(-padded // several) < UNITS:
        if some >= several:
            some = -(-some // 2 // LANES32) * LANES32
        else:
            several = -(-several // 2 // LANES32) * LANES32
    v_size = groups * depth * apart(room(block) * filled(channels))
    y_size = groups * depth * apart(block * (-(-padded // several) * several))
    together = even(cut.blocks, min(SHARED // (v_size + y_size), RUN // block))
    v, y = empty(together * v_size, x.dtype), empty(together * y_size, x.dtype)
    s_size = depth * apart(some * several)
    memory = scratch(most_workers() * max(pixels, s_size) + LANES32, x.dtype)
    firsts = range(0, cut.blocks, together)
    partial = gw[None] if len(firsts) == 1 else empty((len(firsts), gw.size), x.dtype)  # of each round over blocks
    shares = some, several, padded
    for number, first in enumerate(firsts):
        blocks = min(together, cut.blocks - first)
        launch(gather_all, x, v, first, blocks, pixels, memory, cut.numbers)
        launch(gather_all_grad, gy, y, first, blocks, pixels, padded, several, memory, cut.numbers)
        launch(multiply_all_grad, v, y, partial[number], first, blocks, *shares, memory, s_size, cut.numbers)
    if len(firsts) > 1:
        launch(add_parts, partial.reshape(-1), gw, len(firsts), elements=partial.size)


def input_grad(gy: np.ndarray, w: np.ndarray, spec: ConvSpec, m: int) -> np.ndarray:
    """gx (N, C, H, W) of float32 gy (N, O, OH, OW), by tiles of m x m."""
    return forward(gy, w, None, adjoint(spec), m, flip=True)
