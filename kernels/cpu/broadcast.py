"""Direct convolution with filters in the lanes: an element of the image meets the weights of a vector of filters.

`direct` has positions in the lanes, so it lays out a plane for every column of the kernel, in which they lie side by
side. Here a register tile (`simd.filter_tile`) holds the sums of some positions of a row for two vectors of filters.
For each (channel, tap) it loads those filters' weights; a position's element is a scalar, wherever it lies, so that
strides and dilations cost nothing. Only where there is padding is the image copied, once, between zeros. The sums are
transposed in registers when they are stored, which is why `suits` asks for long sums.

Each sum is added up in the order (channel, tap) in one go: how rows are shared out changes no bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import prange

from ..geometry import ConvSpec
from .direct import PANEL, best_band, lay_out, lay_weights
from .gemm import plain, tile_columns
from .jit import kernel
from .memory import empty
from .simd import LANES32, POSITIONS, ROWS, VECTORS, filter_tile
from .threads import PRODUCTS, launch, most_workers, scratch, workers

ROOM = 64 * 1024  # elements of an image between zeros: with the weights of two vectors, they stay in the second cache
LONGEST = 2400  # terms of a sum: more of two vectors' weights would not stay there
SHORTEST = 128  # terms that are worth the transposition of the sums


@kernel(parallel=True)
def correlate(
    workers, x, w, b, y, batch, groups, channels, filters, flip, band, frame, homes, taps, pieces, memory, size, g
):  # fmt: skip
    """y = w (*) x + b; channels and filters are those of one group, b is empty for none.

    pieces[:alone] cover a row for one vector of filters, the others for two: (first position, positions).
    taps: where each term of a sum lies. frame: the one plane of the image between zeros, as `direct.tables` says.
    Memory: what each worker needs, then the weights.

    lay out the weights
    for unit = (image, group, band of rows), shared out to the workers:
        copy the image between zeros, unless all windows lie inside of it
        for two vectors of filters: for row: for piece of the row: the register tile
    """
    height, width, rows, columns, sh, sw, high, wide, whole, alone, lanes = g
    bands, depth, panels = (rows + band - 1) // band, len(taps), (filters + PANEL - 1) // PANEL
    packed, area, y_area = workers * size, height * width, rows * columns
    line, beside = width if whole else wide, lanes if lanes < PANEL else depth * PANEL
    weights = memory[packed:]
    for worker in prange(workers):
        lay_weights(
            worker, workers, w, groups, filters, channels, flip, homes, weights, np.empty(LANES32 * LANES32, w.dtype)
        )
    for worker in prange(workers):
        for unit in range(worker, batch * groups * bands, workers):
            image, i0 = unit // bands, unit % bands * band
            group, source = image % groups, x  # of image x group
            first = image * channels * area + (i0 * sh + frame[0, 0]) * width + frame[0, 1]
            if not whole:
                source, first = memory, worker * size
                lay_out(
                    x, image * channels * area, channels, i0 * sh, high, frame, high * wide, memory, first,
                    (height, width, wide, 1, 1),
                )  # fmt: skip
            for o in range(0, filters, 2 * lanes):
                some = min(2 * lanes, filters - o)
                begin, end = (0, alone) if some <= lanes else (alone, len(pieces))
                w0 = packed + (group * panels + o // PANEL) * depth * PANEL + o % PANEL
                for i in range(min(band, rows - i0)):
                    target = (image * filters + o) * y_area + (i0 + i) * columns
                    for piece in range(begin, end):
                        j, count = pieces[piece]
                        filter_tile(
                            source, first + i * sh * line + j * sw, sw, taps, memory, w0, beside, b,
                            group * filters + o, b.size > 0, y, target + j, y_area, some, count, depth,
                        )  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """How the kernel goes through a convolution: its arguments, and what decides whether it suits.

    Attributes:
        band: rows of one unit of work.
        homes: where the weights of each tap belong, as `direct.lay_weights` says.
        frame, taps, pieces: as the kernel says.
        size, weights: elements of memory that a worker needs, and all weights.
        g: what the kernel unpacks first, under the names that it gives there.
    """

    band: int
    frame: np.ndarray
    homes: np.ndarray
    taps: np.ndarray
    pieces: np.ndarray
    size: int
    weights: int
    g: tuple[int, ...]


@lru_cache(maxsize=256)
def cover(columns: int, vectors: int) -> tuple[int, list[tuple[int, int]]]:
    """(positions computed, [(first, positions)]): the tiles that cover a row with least work.

    The last of them may compute again what the one before it has: the same terms in the same order.
    """
    best: list[tuple[int, list[tuple[int, int]]]] = [(0, [])]
    for end in range(1, columns + 1):
        ways = []
        for count in POSITIONS[vectors]:
            if count <= columns:
                done, pieces = best[max(end - count, 0)]
                ways.append((done + count, [*pieces, (max(end - count, 0), count)]))
        best.append(min(ways, key=lambda way: (way[0], len(way[1]))))
    return best[-1]


def _geometry(spec: ConvSpec, backward: bool) -> tuple[tuple[int, int], tuple[int, int], list[tuple[int, int, int]]]:
    """(source size, target size, for height and width (stride, zeros in front, dilation)) of what is computed.

    The gradient of the input is a convolution as well: element y of gx was seen by tap u from output
    y + padding - u * dilation, so the taps are reversed, and in front are as many zeros as reach beyond the padding.
    """
    axes = []
    for k, s, (front, _), d in zip(spec.kernel_size, spec.stride, spec.padding, spec.dilation, strict=True):
        axes.append((s, (k - 1) * d - front if backward else front, d))
    sizes = (spec.output_size, spec.input_size) if backward else (spec.input_size, spec.output_size)
    return *sizes, axes


@lru_cache(maxsize=256)
def suits(spec: ConvSpec, backward: bool) -> bool:
    """Whether this is the faster way to compute a convolution, or the gradient of its input, from the shape alone.

    What is computed counts, with lanes and positions that nobody needs. One vector of filters, a load for every two
    multiply-adds, takes half as long again.
    """
    filters, channels = spec.out_channels // spec.groups, spec.in_channels // spec.groups
    (high, wide), stride = spec.output_size, spec.stride
    if backward:
        filters, channels, (high, wide) = channels, filters, spec.input_size
    taps = math.prod(spec.kernel_size)
    if wide < POSITIONS[2][-1] or stride[1] > 2 or backward and stride != (1, 1) or taps == 1:
        return False
    pairs, rest = divmod(filters, 2 * LANES32)
    vectors = 2 * (pairs + (rest > LANES32)) + 1.5 * (0 < rest <= LANES32)
    here = 0.85 * vectors * LANES32 * high * cover(wide, 2)[0]
    there = -(-filters // ROWS) * ROWS * -(-high * wide // LANES32) * LANES32
    return here <= there and SHORTEST <= channels * taps <= LONGEST


@lru_cache(maxsize=256)
def _plan(spec: ConvSpec, backward: bool, lanes: int, workers: int) -> Plan:
    source, (rows, columns), ((sh, top, dh), (sw, left, dw)) = _geometry(spec, backward)
    (kh, kw), groups = spec.kernel_size, spec.groups
    channels, filters = spec.in_channels // groups, spec.out_channels // groups
    if backward:
        channels, filters = filters, channels

    def high(band: int) -> int:
        return (band - 1) * sh + (kh - 1) * dh + 1

    wide, units = (columns - 1) * sw + (kw - 1) * dw + 1, spec.batch * groups
    whole = top <= 0 and left <= 0 and high(rows) <= source[0] + top and wide <= source[1] + left
    most = rows
    while most > 1 and not whole and channels * high(most) * wide > ROOM:
        most -= 1
    band = best_band(rows, most, units, workers)
    line, plane = (source[1], math.prod(source)) if whole else (wide, high(band) * wide)
    reach = [(u * dh, v * dw) for u in range(kh) for v in range(kw)]
    offsets = [down * line + right for down, right in (reversed(reach) if backward else reach)]
    taps = np.add.outer(np.arange(channels) * plane, np.array(offsets, np.int64)).reshape(-1)
    homes = np.array([(0, kh * kw, number) for number in range(kh * kw)], np.int64)
    alone, together = (cover(columns, vectors)[1] for vectors in (1, 2))
    size = 0 if whole else -(-channels * plane // 16) * 16
    weights = groups * -(-filters // PANEL) * PANEL * len(taps)
    g = (*source, rows, columns, sh, sw, high(band), wide, whole, len(alone), lanes)
    return Plan(band, np.array([(-top, -left, 0)], np.int64), homes, taps, np.array(alone + together), size, weights, g)


def _run(x: np.ndarray, w: np.ndarray, b: np.ndarray, y: np.ndarray, spec: ConvSpec, backward: bool) -> None:
    channels, filters = x.shape[1] // spec.groups, y.shape[1] // spec.groups
    plan = _plan(spec, backward, tile_columns(x.dtype) // VECTORS, workers())
    launch(
        correlate, x.reshape(-1), w.reshape(-1), b, y.reshape(-1), spec.batch, spec.groups, channels, filters,
        backward, plan.band, plan.frame, plan.homes, plan.taps, plan.pieces,
        scratch(most_workers() * plan.size + plan.weights, x.dtype), plan.size, plan.g,
        elements=y.size * len(plan.taps) // PRODUCTS,
    )  # fmt: skip


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, spec: ConvSpec) -> np.ndarray:
    """y (N, O, OH, OW) of x (N, C, H, W), w (O, C / groups, KH, KW) and b (O,) or None."""
    y = empty(spec.output_shape, x.dtype)
    _run(plain(x), plain(w), np.empty(0, x.dtype) if b is None else plain(b), y, spec, False)
    return y


def input_grad(gy: np.ndarray, w: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gx (N, C, H, W) of gy (N, O, OH, OW), of a convolution with stride 1."""
    gx = empty(spec.input_shape, gy.dtype)
    _run(plain(gy), plain(w), np.empty(0, gy.dtype), gx, spec, True)
    return gx
