"""Convolution of each channel with one filter of its own (depthwise), and its gradients.

There is little to compute: 9 multiply-adds for an element that is read and one that is written. So the planes of one
channel after the other are copied between zeros, which stay in the first cache, and every tap of every output is then
found at a fixed distance, whatever the window, the padding and the dilation.

    for plane (image, channel): for band of its rows:
        copy what the band sees of it, zeros around it; with stride 2 even and odd columns apart
        for vectors of outputs: sum over the taps in registers, and store

The gradient of the input is a convolution of gy of the same kind. With a stride, the rows and columns of gx fall into
classes by their remainders, each of which sees some of the taps only; even and odd columns are computed side by side
and leave the registers interleaved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import prange

from ..geometry import ConvSpec
from .gemm import plain, tile_columns
from .jit import helper, kernel
from .memory import empty
from .rows import fill
from .simd import VECTORS, copy_rows
from .simd_depthwise import RISE, STEEP, TAPS, split_rows, tap_products, tap_sums, tap_sums_apart
from .threads import PRODUCTS, launch, most_workers, scratch

ROOM = 1 << 14  # elements between zeros that a band may need
UNITS = 16  # of work for a weight gradient, at least, where the shape allows it
BESIDE = 2048  # elements of the channels that a weight gradient takes together: runs of memory worth reading
RUN = 4096  # products of a weight gradient that are summed in their own dtype, in lanes


def applies(spec: ConvSpec, weight_grad: bool = False) -> bool:
    """Whether every channel has one filter of its own, and columns fall into at most two classes.

    A gradient of weights with more taps than sums fit in registers is left to `direct`'s dot products.
    """
    if spec.groups != spec.in_channels or spec.groups != spec.out_channels or spec.stride[1] > 2:
        return False
    return not weight_grad or math.prod(spec.kernel_size) <= TAPS


@dataclass(frozen=True, eq=False)
class Walk:
    """How the outputs of a plane walk over what they read.

    Attributes:
        source, target: (H, W) of the planes that are read and written.
        step: rows and columns of the source from an output of a class to the next.
        classes: of rows and of columns of the target: those with the same remainder by these see the same taps.
        taps: for every class, one row of classes after the other: for each tap (row, column) that the first output of
            the class sees, which may be outside, and the tap's place in the window.
    """

    source: tuple[int, int]
    target: tuple[int, int]
    step: tuple[int, int]
    classes: tuple[int, int]
    taps: tuple[tuple[tuple[int, int, int], ...], ...]

    @property
    def steep(self) -> bool:
        """Whether there are STEEP rows of taps, one below the other, and outputs walk from row to row."""
        if self.step[0] > 1 or len(self.taps) > 1:
            return False
        rows = sorted({row for row, _, _ in self.taps[0]})
        return rows == list(range(rows[0], rows[0] + STEEP))


@lru_cache(maxsize=256)
def forward_walk(spec: ConvSpec) -> Walk:
    """Output (i, j) sees row i * stride + u * dilation - padding; there is one class."""
    (kh, kw), (dh, dw), ((top, _), (left, _)) = spec.kernel_size, spec.dilation, spec.padding
    taps = tuple((u * dh - top, v * dw - left, u * kw + v) for u in range(kh) for v in range(kw))
    return Walk(spec.input_size, spec.output_size, spec.stride, (1, 1), (taps,))


@lru_cache(maxsize=256)
def backward_walk(spec: ConvSpec) -> Walk:
    """Element y of gx was seen by tap u from output (y + padding - u * dilation) / stride, where that is whole."""

    def seen(axis: int) -> list[list[tuple[int, int]]]:
        k, s, d, p = spec.kernel_size[axis], spec.stride[axis], spec.dilation[axis], spec.padding[axis][0]
        reach = [[(remainder + p - t * d, t) for t in range(k)] for remainder in range(s)]
        return [sorted((r // s, t) for r, t in of_class if r % s == 0) for of_class in reach]

    kw = spec.kernel_size[1]
    taps = tuple(
        tuple((row, column, u * kw + v) for row, u in of_row for column, v in of_column)
        for of_row in seen(0)
        for of_column in seen(1)
    )
    return Walk(spec.output_size, spec.input_size, (1, 1), spec.stride, taps)


@dataclass(frozen=True, eq=False)
class Plan:
    """A walk in numbers.

    Attributes:
        which: the taps' places in the window, class after class.
        offsets: where each lies, seen from the first element of the plane's copy.
        starts: where each class begins among them, and their end.
        band: rows of a class that are computed at a time.
        size: elements of memory that a thread needs for the copy.
        g: what the kernels unpack: H, W of the source and of the target; the first row that a tap sees of the first
            output, and how many rows further the last one sees; the steps of the walk, down and across; the classes of
            rows and of columns; `half`, the elements of a row of the copy, or of its even (odd) columns with step 2;
            `lead`, the zeros in front of the first row; whether the walk is steep.
    """

    which: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    band: int
    size: int
    g: tuple[int, ...]


@lru_cache(maxsize=256)
def plan(walk: Walk, lanes: int) -> Plan:
    """In the copy every row begins with a cache line, and the zeros behind it are those before the next.

    With step 2 in the source the even columns of a row come first, then the odd ones, each with zeros behind.
    """
    (height, width), (y_height, y_width), (sh, sw) = walk.source, walk.target, walk.step
    rows, columns = -(-y_height // walk.classes[0]), -(-y_width // walk.classes[1])
    taps = [tap for of_class in walk.taps for tap in of_class]
    first, last = (f(row for row, _, _ in taps) for f in (min, max))
    before = max(0, *(-(column // sw) for _, column, _ in taps))
    behind = max(0, *(columns + column // sw - width // sw for _, column, _ in taps))
    half = -(-(-(-width // sw) + max(before, behind)) // lanes) * lanes
    pitch, lead = sw * half, -(-before // lanes) * lanes

    def height_of(band: int) -> int:
        return (band - 1) * sh + 1 + last - first

    band = rows
    while band > 1 and height_of(band) * pitch > ROOM:
        band = -(-band // 2)
    size = lead + height_of(band + RISE) * pitch + lanes  # the vector code reads up to RISE rows more
    offsets = [(row - first) * pitch + column % sw * half + column // sw for row, column, _ in taps]
    starts = np.cumsum([0] + [len(of_class) for of_class in walk.taps])
    g = (height, width, y_height, y_width, first, last - first, sh, sw, *walk.classes, half, lead, walk.steep)
    which = np.array([place for *_, place in taps], np.int64)
    return Plan(which, np.array(offsets, np.int64), starts, band, -(-size // lanes) * lanes, g)


@helper
def _copy_between_zeros(x, x0, i0, count, out, o, g):
    """Copy the rows that output rows i0 : i0 + count of a class see of the plane at x[x0]; what is beside them is 0."""
    height, width, _, _, first, further, sh, sw, _, _, half, _, _ = g
    row, rows, pitch = first + i0 * sh, (count - 1) * sh + 1 + further, sw * half
    above = min(max(-row, 0), rows)
    below = min(max(height - row, above), rows)
    fill(out, o, above * pitch, 0)
    source, target = x0 + (row + above) * width, o + above * pitch
    if sw == 1:
        copy_rows(x, source, width, 1, 0, width, out, target, pitch, width, below - above)
    else:
        split_rows(x, source, width, width, out, target, pitch, half, below - above)
    fill(out, o + below * pitch, (rows - below) * pitch, 0)


@kernel(parallel=True)
def windows(workers, x, w, b, y, planes, channels, offsets, starts, band, memory, size, g):
    """y = w (*) x + b for each plane; b is empty for none. Units are bands of planes, shared out to the workers.

    w (C, taps) holds the taps class after class; offsets, starts, band, size and g are those of a `Plan`. Each worker
    has `size` elements of `memory` for the copy. Traffic: x is read and y written once.

    for plane, band of rows: copy it between zeros; for class of rows: for both classes of columns: sums over taps
    """
    height, width, y_height, y_width, _, _, sh, sw, down, across, half, lead, steep = g
    pitch, taps = sw * half, starts[-1]
    rows = (y_height + down - 1) // down
    bands = (rows + band - 1) // band
    for worker in prange(workers):
        fill(memory, worker * size, size, 0)
        at = worker * size + lead
        for unit in range(planes * bands * worker // workers, planes * bands * (worker + 1) // workers):
            plane, i0 = unit // bands, unit % bands * band
            c = plane % channels
            _copy_between_zeros(x, plane * height * width, i0, min(band, rows - i0), memory, at, g)
            start = b[c] if b.size else x.dtype.type(0)
            for remainder in range(min(down, y_height)):
                count = min(band, (y_height - remainder + down - 1) // down - i0)
                first = (plane * y_height + i0 * down + remainder) * y_width
                k = remainder * across
                if across == 1:
                    tap_sums(
                        memory, at, sh * pitch, offsets, starts[k], starts[k + 1], steep, w, c * taps, start,
                        y, first, down * y_width, count, y_width,
                    )  # fmt: skip
                else:
                    tap_sums_apart(
                        memory, at, pitch, offsets, starts[k], starts[k + 1], starts[k + 2], w, c * taps,
                        y, first, down * y_width, count, y_width,
                    )  # fmt: skip


def _run(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, walk: Walk) -> np.ndarray:
    """The planes that walks over all planes of x (N, C, H, W) with the weights (C, window) give."""
    cut = plan(walk, tile_columns(x.dtype) // VECTORS)
    y = empty((*x.shape[:2], *walk.target), x.dtype)
    if not np.array_equal(cut.which, np.arange(w.shape[1])):
        w = w[:, cut.which]
    launch(
        windows, plain(x).reshape(-1), plain(w).reshape(-1), np.empty(0, x.dtype) if b is None else plain(b),
        y.reshape(-1), x.shape[0] * x.shape[1], x.shape[1], cut.offsets, cut.starts, cut.band,
        scratch(most_workers() * cut.size, x.dtype), cut.size, cut.g, elements=y.size * len(cut.which) // PRODUCTS,
    )  # fmt: skip
    return y


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, spec: ConvSpec) -> np.ndarray:
    """y (N, C, OH, OW) of x (N, C, H, W), w (C, 1, KH, KW) and b (C,) or None."""
    return _run(x, w.reshape(len(w), -1), b, forward_walk(spec))


def input_grad(gy: np.ndarray, w: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gx (N, C, H, W) of gy (N, C, OH, OW)."""
    return _run(gy, w.reshape(len(w), -1), None, backward_walk(spec))


@helper
def _move(sums, s, lanes, totals, part, c0, count):
    """totals[part, c0 : c0 + count] += the lanes of each tap's sum"""
    taps = totals.shape[2]
    for i in range(count * taps):
        total = 0.0
        for lane in range(lanes):
            total += sums[s + i * lanes + lane]
        totals[part, c0 + i // taps, i % taps] += total


@kernel(parallel=True)
def window_products(workers, gy, x, totals, batch, channels, parts, run, offsets, band, lanes, memory, size, g):
    """totals[part, channel, tap] = sum over the part's images and all positions of gy * x, in float64.

    A part is a share of the images, so that few channels are enough work for all threads; the parts are added up
    afterwards. Units are (part, `run` channels), shared out to the workers:

        for image of the part, band of its rows: for channel of the run: copy the band between zeros; for TAPS taps:
            add gy * x to the lanes of the tap's sum

    A worker's `size` elements of `memory` hold the copy, and at their end the sums, a vector of `lanes` for each
    (channel of the run, tap). Lanes are added up, in float64, after some RUN products only.
    """
    height, width, rows, columns, _, _, sh, sw, _, _, half, lead, steep = g
    pitch, taps = sw * half, len(offsets)
    steep = steep and taps == TAPS
    bands, runs = (rows + band - 1) // band, (channels + run - 1) // run
    for worker in prange(workers):
        fill(memory, worker * size, size, 0)
        at = worker * size + lead
        sums = (worker + 1) * size - run * taps * lanes
        for unit in range(worker, parts * runs, workers):
            part, c0 = unit // runs, unit % runs * run
            members, done = min(run, channels - c0), 0
            for job in range(batch * part // parts * bands, batch * (part + 1) // parts * bands):
                i0 = job % bands * band
                count = min(band, rows - i0)
                for member in range(members):
                    plane = job // bands * channels + c0 + member
                    _copy_between_zeros(x, plane * height * width, i0, count, memory, at, g)
                    for t in range(0, taps, TAPS):
                        tap_products(
                            gy, (plane * rows + i0) * columns, columns, memory, at, sh * pitch, offsets, t,
                            min(TAPS, taps - t), steep, memory, sums + (member * taps + t) * lanes, count, columns,
                            done > 0,
                        )  # fmt: skip
                done += count * columns
                if done >= RUN:
                    _move(memory, sums, lanes, totals, part, c0, members)
                    done = 0
            if done:
                _move(memory, sums, lanes, totals, part, c0, members)


def weight_grad(gy: np.ndarray, x: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gw (C, 1, KH, KW) of gy (N, C, OH, OW) and x (N, C, H, W)."""
    lanes = tile_columns(x.dtype) // VECTORS
    cut, channels, taps = plan(forward_walk(spec), lanes), spec.groups, spec.kernel_size[0] * spec.kernel_size[1]
    run = min(channels, -(-BESIDE // math.prod(spec.input_size)))
    parts = min(spec.batch, -(-UNITS // -(-channels // run)))
    size = cut.size + run * taps * lanes
    totals = np.zeros((parts, channels, taps))
    launch(
        window_products, plain(gy).reshape(-1), plain(x).reshape(-1), totals, spec.batch, channels, parts, run,
        cut.offsets, cut.band, lanes, scratch(most_workers() * size, x.dtype), size, cut.g,
        elements=gy.size * taps // PRODUCTS,
    )  # fmt: skip
    return totals.sum(0).astype(x.dtype).reshape(spec.weight_shape)
