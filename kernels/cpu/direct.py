"""Convolution of any geometry: rows of the input are laid out so that every tap reads one run of memory.

For output rows i0 : i0 + band, a plane holds for every output element (i, j) what one column of the kernel sees there:
a plane for each channel, each kernel column v (the image moved by v, every stride-th column taken) and each remainder
of u * dilation by the stride. Kernel row u then only begins so many rows further down in it, and the whole band of a
tap is one run: a row of the matrix b in

    y (filters, positions) = w (filters, K) @ b (K, positions)          K = (channel, u, v)

whose rows a table of offsets finds (`simd.tap_tile`). The input is copied KW times instead of KH * KW times, and only
for a band and a block of channels that stay in the second cache. A kernel of one tap and stride 1 needs no planes: the
image itself is b.

The gradient of the input is a convolution of gy of the same kind. With a stride, the elements of gx fall into classes
by their remainders, each of which sees some of the taps only. All classes are computed from the same planes, and
interleaved when they are stored.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange

from ..geometry import ConvSpec
from .gemm import flat, plain, tile_columns
from .jit import helper, kernel
from .memory import empty
from .rows import add, copy, fill
from .simd import (
    DOTS,
    LANES32,
    LANES64,
    ROWS,
    VECTORS,
    WIDE,
    copy_rows,
    tap_dots,
    tap_rows_tile,
    tap_tile,
    turn,
    weave,
)
from .threads import PRODUCTS, launch, most_workers, scratch, workers

BLOCK = 100 * 1024  # elements of the planes of a block: with what they are multiplied by, they stay in the second cache
UNITS = 16  # of work, at least, where the shape allows it
PANEL = 2 * ROWS  # filters whose weights lie side by side
STRIP = 16  # channels whose weights are laid out at a time
PARTS = 16  # partial sums of a weight gradient, at most
DEEP = 128  # rows of a weight gradient that are worth another copy of gy^T
LANED = 32  # numbers of which the lanes are added up at a time


@dataclass(frozen=True)
class Outputs:
    """A class of outputs that see the same taps.

    Attributes:
        taps: for each tap, in the order of the weights, (plane, rows further down in it).
        which: the taps' places (u * KW + v) in the kernel.
    """

    taps: tuple[tuple[int, int], ...]
    which: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Layout:
    """What one sweep reads and writes: output element (i, j) and tap t of a channel meet at a place in the planes.

    Attributes:
        source: (H, W) of the image that is read.
        target: (H, W) of the image that is written.
        size: (rows, columns) of each class of outputs.
        step: rows and columns from one output of a class to the next in the target; element (y, x) of the target
            belongs to class y % step[0] * step[1] + x % step[1]. Outputs that lie outside are not stored.
        stride: rows and columns from one output to the next in the source.
        planes: for each plane of a channel, (image row of output row 0, image column of output column 0, further rows).
        classes: all of them.
    """

    source: tuple[int, int]
    target: tuple[int, int]
    size: tuple[int, int]
    step: tuple[int, int]
    stride: tuple[int, int]
    planes: tuple[tuple[int, int, int], ...]
    classes: tuple[Outputs, ...]

    @property
    def plain(self) -> bool:
        """Whether the image itself can be read: one tap, which sees every element where it is."""
        return (
            self.stride == self.step == (1, 1)
            and self.planes == ((0, 0, 0),)
            and len(self.classes[0].taps) == 1
            and self.source == self.size
        )


Seen = list[tuple[int, int]]


def _layout(
    source: tuple[int, int], target: tuple[int, int], step: tuple[int, int], stride: tuple[int, int],
    classes: list[tuple[Seen, Seen]], kw: int,
) -> Layout:  # fmt: skip
    """The layout for classes of kernel rows (u, first image row) and kernel columns (v, first image column).

    Taps of the same image column whose image rows differ by a multiple of the stride share planes.
    """
    seen: dict[tuple[int, int], set[int]] = {}
    for rows, columns in classes:
        for (_, row), (_, column) in itertools.product(rows, columns):
            seen.setdefault((column, row % stride[0]), set()).add(row)
    places = {key: (number, min(seen[key])) for number, key in enumerate(sorted(seen))}

    def outputs(rows: Seen, columns: Seen) -> Outputs:
        taps, which = [], []
        for (u, row), (v, column) in itertools.product(rows, columns):
            plane, base = places[column, row % stride[0]]
            taps.append((plane, (row - base) // stride[0]))
            which.append(u * kw + v)
        return Outputs(tuple(taps), tuple(which))

    return Layout(
        source, target, (-(-target[0] // step[0]), -(-target[1] // step[1])), step, stride,
        tuple((base, key[0], (max(seen[key]) - base) // stride[0]) for key, (_, base) in places.items()),
        tuple(outputs(*of_class) for of_class in classes),
    )  # fmt: skip


@lru_cache(maxsize=256)
def forward_layout(spec: ConvSpec) -> Layout:
    """The layout of the convolution itself: output (i, j) sees row i * stride + u * dilation - padding."""
    (kh, kw), (dh, dw), ((top, _), (left, _)) = spec.kernel_size, spec.dilation, spec.padding
    seen = [(u, u * dh - top) for u in range(kh)], [(v, v * dw - left) for v in range(kw)]
    return _layout(spec.input_size, spec.output_size, (1, 1), spec.stride, [seen], kw)


@lru_cache(maxsize=256)
def backward_layout(spec: ConvSpec) -> Layout:
    """That of the gradient of the input.

    Element y of gx was seen by tap u from output (y + padding - u * dilation) / stride, where that is a whole number.
    """

    def seen(axis: int, remainder: int) -> Seen:
        k, s, d, p = spec.kernel_size[axis], spec.stride[axis], spec.dilation[axis], spec.padding[axis][0]
        reach = [(t, remainder + p - t * d) for t in range(k)]
        return [(t, r // s) for t, r in reach if r % s == 0]

    classes = [(seen(0, rh), seen(1, rw)) for rh in range(spec.stride[0]) for rw in range(spec.stride[1])]
    return _layout(spec.output_size, spec.input_size, spec.stride, (1, 1), classes, spec.kernel_size[1])


def further(layout: Layout) -> int:
    """How many rows a plane has more than a band."""
    return max((extra for _, _, extra in layout.planes), default=0)


def blocks(layout: Layout, units: int, channels: int, kept: int) -> tuple[int, int]:
    """(band, block): how many output rows and channels are laid out at a time, from the shape alone.

    Args:
        units: of work there are for each band.
        kept: elements kept in the cache for each output position besides the planes.
    """
    rows, columns = layout.size
    wanted = min(channels, 8)  # together, or bands become shorter: each sum passes through memory once for each block

    def room(band: int) -> int:
        return BLOCK - kept * band * columns

    def of_a_channel(band: int) -> int:
        return max(len(layout.planes), 1) * (band + further(layout)) * columns

    band = rows
    while band > 1 and (
        units * -(-rows // band) < UNITS and band * columns > 96 or room(band) < wanted * of_a_channel(band)
    ):
        band = -(-band // 2)
    block = max(min(channels, room(band) // of_a_channel(band)), 1)
    return band, -(-channels // -(-channels // block))


def best_band(rows: int, most: int, units: int, workers: int) -> int:
    """Rows of a unit of work, at most `most`, with which so many workers are done soonest.

    To begin a unit costs about as much as one more row, whose planes overlap those of the next unit.

    For kernels whose bits do not depend on it.
    """
    return min(range(most, 0, -1), key=lambda band: -(-units * -(-rows // band) // workers) * (band + 1))


def tables(layout: Layout, band: int, block: int) -> tuple[np.ndarray, list[np.ndarray], int]:
    """(planes as an array, for each class of outputs where each (channel, tap) of a block lies, a plane's size)."""
    columns = layout.size[1]
    plane = (band + further(layout)) * columns
    count = len(layout.planes)
    if layout.plain:
        count, plane = 1, layout.source[0] * layout.source[1]
    offsets = []
    for outputs in layout.classes:
        taps = np.array([place * plane + down * columns for place, down in outputs.taps], np.int64)
        offsets.append(np.add.outer(np.arange(block) * count * plane, taps).reshape(-1))
    return np.array(layout.planes, np.int64).reshape(-1, 3), offsets, plane


@helper
def _seen(size, start, step, count):
    """The q of 0..count for which 0 <= start + q*step < size, as (first, last)."""
    if step == 1:  # spares a division, which costs as much as copying a row
        first, last = -start, size - start
    else:
        first, last = (step - 1 - start) // step, (size - start + step - 1) // step
    first = min(max(first, 0), count)
    return first, min(max(last, first), count)


@helper
def lay_out(x, x0, channels, i0, band, planes, plane, out, o, g):
    """Fill the planes of `channels` channels, the first at x[x0], for output rows i0 : i0 + band.

    for plane of a channel: find what lies on the image; for channel: copy it, and zeros around it
    """
    height, width, columns, sh, sw = g
    count = len(planes)
    for p in range(count):
        row, column, rows = planes[p, 0] + i0 * sh, planes[p, 1], band + planes[p, 2]
        above, below = _seen(height, row, sh, rows)  # plane row q shows image row `row + q*sh`
        first, last = _seen(width, column, sw, columns)
        for c in range(channels):
            start = o + (c * count + p) * plane
            target = start + above * columns
            source = x0 + (c * height + row + above * sh) * width + column
            fill(out, start, above * columns, 0)
            if sw <= 2:
                copy_rows(x, source, sh * width, sw, first, last, out, target, columns, columns, below - above)
            else:
                for _q in range(above, below):
                    fill(out, target, first, 0)
                    copy(x, source + first * sw, sw, out, target + first, last - first)
                    fill(out, target + last, columns - last, 0)
                    target += columns
                    source += sh * width
            fill(out, start + below * columns, (rows - below) * columns, 0)


@helper
def spread(x, i, x_row, apart, out, o, o_row, step, n, rows):
    """out[o + r*o_row + j] = x[i + j % step * apart + r*x_row + j // step] for j < n and r < rows"""
    if step == 1:
        copy_rows(x, i, x_row, 1, 0, n, out, o, o_row, n, rows)
    elif step == 2:
        weave(x, i, x_row, apart, out, o, o_row, n, rows)
    else:
        for r in range(rows):
            for q in range(min(step, n)):
                source, target = np.uintp(i + q * apart + r * x_row), np.uintp(o + r * o_row + q)
                for j in range(np.uintp((n - q + step - 1) // step)):
                    out[target + j * np.uintp(step)] = x[source + j]


@helper
def lay_weights(worker, workers, w, groups, filters, channels, flip, homes, out, turned):
    """Lay out the weights of `sweep`, a class of outputs after the other: [group][panel][channel][tap][PANEL].

    w is (group, filter, channel, tap), or with `flip` (group, channel, filter, tap). Tap t belongs at homes[t] = (first
    element of its class, taps of the class, its number among them), or nowhere if that is negative.
    for unit = (group, panel, STRIP channels), shared out to the workers: transpose squares of lanes x lanes
    """
    lanes, taps = LANES32 if w.itemsize == 4 else LANES64, len(homes)
    panels, strips = (filters + PANEL - 1) // PANEL, (channels + STRIP - 1) // STRIP
    for unit in range(worker, groups * panels * strips, workers):
        row, c0 = unit // strips, unit % strips * STRIP
        group, panel, c1 = row // panels, row % panels, min(c0 + STRIP, channels)
        for lane in range(0, PANEL, lanes):
            o = panel * PANEL + lane
            some = max(min(filters - o, lanes), 0)
            if some == 0:
                o = 0
            if not flip:  # one class with all taps: a row of w is a column of the panel
                first = (group * filters + o) * channels * taps
                for k in range(c0 * taps, c1 * taps, lanes):
                    turn(
                        w, first + k, channels * taps, some, min(c1 * taps - k, lanes),
                        out, (row * channels * taps + k) * PANEL + lane, PANEL,
                    )  # fmt: skip
            elif taps == 1:  # the filters lie side by side
                first = (group * channels + c0) * filters + o
                copy_rows(
                    w, first, filters, 1, 0, some, out, homes[0, 0] + (row * channels + c0) * PANEL + lane, PANEL,
                    lanes, c1 - c0,
                )  # fmt: skip
            else:
                for c in range(c0, c1):
                    first = ((group * channels + c) * filters + o) * taps
                    for t in range(0, taps, lanes):
                        few = min(lanes, taps - t)
                        turn(w, first + t, taps, some, few, turned, 0, lanes)
                        for q in range(few):
                            start, count, number = homes[t + q]
                            place = start + ((row * channels + c) * count + number) * PANEL + lane
                            copy(turned, q * lanes, 1, out, place, lanes)


@kernel(parallel=True)
def sweep(
    workers, x, w, b, y, memory, size, batch, groups, channels, filters, flip, band, share, block, run, planes, homes,
    classes, offsets, plane, g,
):  # fmt: skip
    """y = w (*) x + b; channels and filters are those of one group, b is empty for none.

    classes[p]: (taps, first element of its offsets, first element of its weights). Memory: for each worker, `size`
    elements for planes and for classes of outputs until they are interleaved; behind them the weights.
    g: (H, W) of x, (H, W) of y, (rows, columns), step, stride, whether x itself is read, width of a tile.

    lay out the weights
    for unit = (image, run of groups, band of rows, share of filters), shared out to the workers:
        for block of channels (all of them where there are several groups):
            lay out their planes
            for group of the run:
                y = b at first
                for class of outputs: for vectors of positions: for rows of filters:
                    y += w @ planes on the register tile
                if outputs do not lie side by side: interleave the classes at last
    """
    height, width, y_height, y_width, rows, columns, y_sh, y_sw, sh, sw, whole, vector = g
    bands, shares, runs = (rows + band - 1) // band, (filters + share - 1) // share, (groups + run - 1) // run
    beside = y_sh == 1 and y_sw == 1
    area, y_area = height * width, y_height * y_width
    wide = vector if filters > 1 else vector // VECTORS * WIDE
    packed, panels = workers * size, (filters + PANEL - 1) // PANEL
    weights = memory[packed:]
    for worker in prange(workers):
        lay_weights(
            worker, workers, w, groups, filters, channels, flip, homes, weights, np.empty(LANES32 * LANES32, w.dtype)
        )
    for worker in prange(workers):
        laid = worker * size
        kept = laid + size - (0 if beside else share * len(classes) * band * columns)
        for number in range(worker, batch * runs * bands * shares, workers):
            unit, begin = number // shares, number % shares * share
            rest = unit // bands
            image, i0, lowest = rest // runs, unit % bands * band, rest % runs * run
            some, members = min(share, filters - begin), min(run, groups - lowest)
            count = min(band, rows - i0)
            positions = count * columns
            for c0 in range(0, channels, block):
                deep = min(c0 + block, channels) - c0
                x0 = ((image * groups + lowest) * channels + c0) * area
                if not whole:
                    lay_out(
                        x, x0, members * deep, i0, count, planes, plane, memory, laid, (height, width, columns, sh, sw)
                    )
                for group in range(lowest, lowest + members):
                    place = (group - lowest) * channels  # of the group's first plane
                    y0 = ((image * groups + group) * filters + begin) * y_area
                    source, first = x, x0 + place * area + i0 * columns
                    if not whole:
                        source, first = memory, laid + place * len(planes) * plane
                    for p in range(len(classes)):
                        taps, o0, w0 = classes[p]
                        target, out, step = y, y0 + i0 * columns, y_area
                        if not beside:
                            target, out, step = memory, kept + p * some * positions, positions
                        if b.size and c0 == 0:
                            for o in range(some):
                                fill(target, out + o * step, positions, b[group * filters + begin + o])
                        for j in range(0, positions, wide):
                            cols = min(wide, positions - j)
                            most = PANEL if cols * VECTORS <= vector else ROWS
                            for o in range(0, some, most):
                                row = group * panels + (begin + o) // PANEL
                                tap_tile(
                                    memory, packed + w0 + (row * channels + c0) * taps * PANEL + (begin + o) % PANEL,
                                    PANEL, source, first + j, offsets, o0, target, out + o * step + j, step,
                                    min(most, some - o), cols, deep * taps, c0 > 0 or b.size > 0,
                                )  # fmt: skip
                    if not beside and c0 + block >= channels:
                        apart = some * positions
                        for o in range(some):
                            for up in range(y_sh):
                                top = i0 * y_sh + up
                                spread(
                                    memory, kept + up * y_sw * apart + o * positions, columns, apart, y,
                                    y0 + o * y_area + top * y_width, y_sh * y_width, y_sw, y_width,
                                    min(count, (y_height - top + y_sh - 1) // y_sh),
                                )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Plan:
    """What follows from a shape and a dtype: found once, so that a call goes straight to its kernel.

    Attributes:
        shape: of the result.
        nothing: an empty array, in place of a missing bias.
        size: elements of memory that a thread needs.
        more: elements for laid out weights, or for partial sums.
        elements: of work, as `launch` counts them.
        numbers: what the kernel is told besides the arrays: band, block, run and so on as below, in its order.
    """

    shape: tuple[int, ...]
    nothing: np.ndarray
    size: int
    more: int
    elements: int
    numbers: tuple[Any, ...]


def _run_of(groups: int, others: int, channels: int, block: int, elements: int) -> int:
    """How many groups to lay out at a time, given the other units of work and the elements of one group's planes."""
    run = 1
    while block >= channels and 2 * run <= groups and 2 * run * elements <= BLOCK // 4:
        if others * (groups // (2 * run)) < UNITS:
            break
        run *= 2
    return run


def _weights(
    layout: Layout, groups: int, channels: int, filters: int, taps: int, block: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """(homes, classes, how many there are): how `sweep` finds the weights, as `lay_weights` lays them out."""
    homes, classes = np.full((taps, 3), -1), []
    rows = groups * -(-filters // PANEL) * channels * PANEL
    first = size = 0
    for outputs in layout.classes:
        count = len(outputs.taps)
        for number, tap in enumerate(outputs.which):
            homes[tap] = size, count, number
        classes.append((count, first, size))
        first, size = first + block * count, size + rows * count
    return homes, np.array(classes), size


@lru_cache(maxsize=1024)
def _sweep_plan(spec: ConvSpec, flip: bool, dtype: np.dtype, workers: int) -> Plan:
    """That of `sweep`, for the convolution itself or (`flip`) the gradient of its input.

    How sums are cut into blocks of channels follows from the shape, and how rows are shared out from the workers.
    """
    layout, groups, vector = backward_layout(spec) if flip else forward_layout(spec), spec.groups, tile_columns(dtype)
    channels, filters = spec.in_channels // groups, spec.out_channels // groups
    if flip:
        channels, filters = filters, channels
    taps, units, of_all = math.prod(spec.kernel_size), spec.batch * groups, math.prod(layout.size)
    kept = 0 if layout.step == (1, 1) else len(layout.classes)  # for each filter and position
    share = filters  # each share lays out the planes again
    if kept:
        share = min(share, max(BLOCK // 2 // (kept * min(of_all, 4 * vector)) // PANEL, 1) * PANEL)
    band, block = blocks(layout, units, channels, kept * share)
    while share > 2 * PANEL and units * -(-layout.size[0] // band) * -(-filters // share) < UNITS // 2:
        share = -(-share // 2 // PANEL) * PANEL
    of_a_row = (block * len(layout.planes) + kept * share) * layout.size[1]
    most = max(band, min(layout.size[0], BLOCK // max(of_a_row, 1) - further(layout)))
    band = best_band(layout.size[0], most, units * -(-filters // share), workers)
    planes, offsets, plane = tables(layout, band, block)
    of_group = block * len(planes) * plane
    run = _run_of(groups, spec.batch * -(-layout.size[0] // band), channels, block, of_group)
    size = -(-((0 if layout.plain else run * of_group) + kept * share * band * layout.size[1]) // 16) * 16
    homes, classes, more = _weights(layout, groups, channels, filters, taps, block)
    g = *layout.source, *layout.target, *layout.size, *layout.step, *layout.stride, layout.plain, vector
    shape = spec.input_shape if flip else spec.output_shape
    return Plan(
        shape, np.empty(0, dtype), size, more,
        math.prod(shape) * channels * taps // (PRODUCTS * math.prod(layout.step)),
        (
            spec.batch, groups, channels, filters, flip, band, share, block, run, planes, homes, classes,
            np.concatenate(offsets), plane, g,
        ),
    )  # fmt: skip


def _run(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, spec: ConvSpec, flip: bool) -> np.ndarray:
    """y of x and w, or with `flip` gx of gy and w."""
    plan = _sweep_plan(spec, flip, x.dtype, workers())
    y, memory = empty(plan.shape, x.dtype), scratch(most_workers() * plan.size + plan.more, x.dtype)
    bias = plan.nothing if b is None else plain(b)
    launch(sweep, flat(x), flat(w), bias, y.ravel(), memory, plan.size, *plan.numbers, elements=plan.elements)
    return y


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, spec: ConvSpec) -> np.ndarray:
    """y (N, O, OH, OW) of x (N, C, H, W), w (O, C / groups, KH, KW) and b (O,) or None."""
    return _run(x, w, b, spec, False)


def input_grad(gy: np.ndarray, w: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gx (N, C, H, W) of gy (N, O, OH, OW)."""
    return _run(gy, w, None, spec, True)


@helper
def _add_up(worker, workers, partial, gw, parts, groups, filters, depth, padded, lanes):
    """What one worker does of gw[group, o, k] = sum over the parts of partial[part, group, k, o].

    for unit = (group, lanes rows k), shared out to the workers: add runs of memory; transpose squares of lanes x lanes
    """
    pieces = (depth + lanes - 1) // lanes
    total = np.empty(lanes * padded, gw.dtype)
    for unit in range(worker, groups * pieces, workers):
        group, k = unit // pieces, unit % pieces * lanes
        deep = min(lanes, depth - k)
        for part in range(parts):
            first = ((part * groups + group) * depth + k) * padded
            if part == 0:
                copy(partial, first, 1, total, 0, deep * padded)
            else:
                add(partial, first, total, 0, 1, deep * padded)
        for o in range(0, filters, lanes):
            some, target = min(lanes, filters - o), (group * filters + o) * depth + k
            if deep == lanes:
                turn(total, o, padded, lanes, some, gw, target, depth)
            else:
                for lane in range(some):
                    for r in range(deep):
                        gw[target + lane * depth + r] = total[r * padded + o + lane]


@kernel(parallel=True)
def outer(
    workers, gy, x, partial, gw, memory, size, batch, groups, channels, filters, parts, band, block, planes, offsets,
    plane, g,
):  # fmt: skip
    """partial[part, group] (K, filters) = sum over the part's images of b (K, positions) @ gy^T (positions, filters).

    for unit = (part, group, block of channels), shared out to the workers:
        for image of the part: for band of rows:
            lay out the block's planes; transpose gy's band
            for vectors of filters: for rows of taps: partial += planes @ gy^T on the register tile
    gw = the sum over the parts
    """
    height, width, rows, columns, sh, sw, taps, whole, vector, lanes, padded = g
    pieces = (channels + block - 1) // block
    bands = (rows + band - 1) // band
    for worker in prange(workers):
        laid = worker * size
        turned = laid + size - band * columns * padded
        for unit in range(worker, parts * groups * pieces, workers):
            part, rest = unit // (groups * pieces), unit % (groups * pieces)
            group, c0 = rest // pieces, rest % pieces * block
            depth = (min(c0 + block, channels) - c0) * taps
            out = ((part * groups + group) * channels + c0) * taps * padded
            begin = batch * bands * part // parts
            for job in range(begin, batch * bands * (part + 1) // parts):
                image, i0 = job // bands, job % bands * band
                count = min(band, rows - i0)
                positions = count * columns
                x0 = ((image * groups + group) * channels + c0) * height * width
                y0 = (image * groups + group) * filters * rows * columns + i0 * columns
                for o in range(0, filters, lanes):
                    for p in range(0, positions, lanes):
                        turn(
                            gy, y0 + o * rows * columns + p, rows * columns, min(filters - o, lanes),
                            min(positions - p, lanes), memory, turned + p * padded + o, padded,
                        )  # fmt: skip
                if whole:
                    source, first = x, x0 + i0 * columns
                else:
                    source, first = memory, laid
                    lay_out(
                        x, x0, depth // taps, i0, count, planes, plane, memory, laid,
                        (height, width, columns, sh, sw),
                    )  # fmt: skip
                for o in range(0, padded, vector):
                    cols = min(vector, padded - o)
                    most = 2 * ROWS if cols * VECTORS <= vector else ROWS
                    for k in range(0, depth, most):
                        tap_rows_tile(
                            source, first, offsets, k, memory, turned + o, padded,
                            partial, out + k * padded + o, padded, min(most, depth - k), cols, positions, job > begin,
                        )  # fmt: skip
    for worker in prange(workers):
        _add_up(worker, workers, partial, gw, parts, groups, filters, channels * taps, padded, lanes)


@helper
def _add_lanes(worker, workers, partial, gw, parts, lanes):
    """What one worker does of gw[i] = sum over the parts and lanes of partial[part, i].

    For LANED numbers at a time: the parts side by side, then the lanes.
    """
    sums = np.empty(LANED * lanes, gw.dtype)
    for first in range(worker * LANED, gw.size, workers * LANED):
        n = min(LANED, gw.size - first)
        copy(partial, first * lanes, 1, sums, 0, n * lanes)
        for part in range(1, parts):
            add(partial, (part * gw.size + first) * lanes, sums, 0, 1, n * lanes)
        for i in range(n):
            total = gw.dtype.type(0)
            for lane in range(lanes):
                total += sums[np.uintp(i * lanes + lane)]
            gw[first + i] = total


@kernel(parallel=True)
def dots(
    workers, gy, x, partial, gw, memory, size, batch, groups, channels, filters, parts, band, block, run, planes,
    offsets, plane, g,
):  # fmt: skip
    """partial[part, group, filter, k] (lanes) = the lanes of sum over the part's images and positions of gy * b[k]

    for unit = (part, run of groups), shared out to the workers:
        for image of the part: for band of rows: for block of channels (all of them where there are several groups):
            lay out their planes
            for group of the run: partial += gy . planes for some filters and taps at a time
    gw = the sum over the parts and lanes
    """
    height, width, rows, columns, sh, sw, taps, whole, lanes = g
    bands, runs = (rows + band - 1) // band, (groups + run - 1) // run
    few_filters, few_taps = (1, 3 * DOTS) if filters == 1 else (DOTS, DOTS)
    area, y_area = height * width, rows * columns
    for worker in prange(workers):
        laid = worker * size
        for unit in range(worker, parts * runs, workers):
            part, lowest = unit // runs, unit % runs * run
            members = min(run, groups - lowest)
            begin = batch * bands * part // parts
            for job in range(begin, batch * bands * (part + 1) // parts):
                image, i0 = job // bands, job % bands * band
                count = min(band, rows - i0)
                for c0 in range(0, channels, block):
                    depth = (min(c0 + block, channels) - c0) * taps
                    x0 = ((image * groups + lowest) * channels + c0) * area
                    if not whole:
                        lay_out(
                            x, x0, members * (depth // taps), i0, count, planes, plane, memory, laid,
                            (height, width, columns, sh, sw),
                        )  # fmt: skip
                    for group in range(lowest, lowest + members):
                        place = (group - lowest) * channels
                        source, first = x, x0 + place * area + i0 * columns
                        if not whole:
                            source, first = memory, laid + place * len(planes) * plane
                        y0 = (image * groups + group) * filters * y_area + i0 * columns
                        sums = (part * groups + group) * filters
                        for k in range(0, depth, few_taps):
                            for o in range(0, filters, few_filters):
                                tap_dots(
                                    gy, y0 + o * y_area, y_area, source, first, offsets, k, partial,
                                    ((sums + o) * channels * taps + c0 * taps + k) * lanes, channels * taps * lanes,
                                    min(few_filters, filters - o), min(few_taps, depth - k), count * columns,
                                    job > begin,
                                )  # fmt: skip
    for worker in prange(workers):
        _add_lanes(worker, workers, partial, gw, parts, lanes)


@lru_cache(maxsize=1024)
def _dots_plan(spec: ConvSpec, dtype: np.dtype) -> Plan:
    """That of `dots`."""
    layout, groups, lanes = forward_layout(spec), spec.groups, tile_columns(dtype) // VECTORS
    channels, filters, weights = spec.in_channels // groups, spec.out_channels // groups, math.prod(spec.weight_shape)
    band, block = blocks(layout, spec.batch * groups, channels, 0)
    parts = max(1, min(PARTS, -(-UNITS // groups), spec.batch * -(-spec.output_size[0] // band)))
    planes, (offsets,), plane = tables(layout, band, block)
    of_group = block * len(planes) * plane
    run = _run_of(groups, parts, channels, block, of_group)
    size = 0 if layout.plain else -(-run * of_group // 16) * 16
    g = *layout.source, *layout.size, *layout.stride, len(layout.classes[0].taps), layout.plain, lanes
    return Plan(
        spec.weight_shape, np.empty(0, dtype), size, parts * weights * lanes, _products(spec),
        (spec.batch, groups, channels, filters, parts, band, block, run, planes, offsets, plane, g),
    )  # fmt: skip


def _products(spec: ConvSpec) -> int:
    """The elements of work of a weight gradient."""
    return math.prod(spec.output_shape) * math.prod(spec.weight_shape[1:]) // PRODUCTS


def weight_grad_by_dots(gy: np.ndarray, x: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gw (O, C / groups, KH, KW) of gy (N, O, OH, OW) and x (N, C, H, W), for few filters and taps in a group."""
    return _weight_grad(dots, gy, x, _dots_plan(spec, x.dtype))


def _weight_grad(kernel: Any, gy: np.ndarray, x: np.ndarray, plan: Plan) -> np.ndarray:
    gw, partial = empty(plan.shape, x.dtype), empty(plan.more, x.dtype)
    memory = scratch(most_workers() * plan.size, x.dtype)
    launch(kernel, flat(gy), flat(x), partial, gw.ravel(), memory, plan.size, *plan.numbers, elements=plan.elements)
    return gw


@lru_cache(maxsize=1024)
def _outer_plan(spec: ConvSpec, dtype: np.dtype) -> Plan:
    """That of `outer`.

    Units are parts x groups x blocks of channels; parts cost memory and a pass over it, blocks another copy of gy^T.
    """
    layout, groups, vector = forward_layout(spec), spec.groups, tile_columns(dtype)
    channels, filters, taps = spec.in_channels // groups, spec.out_channels // groups, len(layout.classes[0].taps)
    lanes = vector // VECTORS
    padded = -(-filters // lanes) * lanes
    band, block = blocks(layout, spec.batch, channels, padded)
    bands = -(-spec.output_size[0] // band)
    pieces = max(1, min(4, channels * taps // DEEP))
    of_part = groups * channels * taps * padded
    parts = max(1, min(PARTS // max(groups, pieces), spec.batch * bands, (1 << 21) // of_part))
    while block > 8 and parts * groups * -(-channels // block) < UNITS:
        block = -(-block // 2)
    planes, (offsets,), plane = tables(layout, band, block)
    laid = 0 if layout.plain else block * len(planes) * plane
    size = -(-(laid + band * layout.size[1] * padded) // 16) * 16
    g = *layout.source, *layout.size, *layout.stride, taps, layout.plain, vector, lanes, padded
    return Plan(
        spec.weight_shape, np.empty(0, dtype), size, parts * of_part, _products(spec),
        (spec.batch, groups, channels, filters, parts, band, block, planes, offsets, plane, g),
    )  # fmt: skip


def weight_grad(gy: np.ndarray, x: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gw (O, C / groups, KH, KW) of gy (N, O, OH, OW) and x (N, C, H, W)."""
    return _weight_grad(outer, gy, x, _outer_plan(spec, x.dtype))
