"""Convolution of any geometry with channels in the lanes of a vector: for many channels, small images and strides.

The input is transposed once: each pixel becomes vectors of channels, and the same pixel of several images lies side by
side. Then all outputs of one row that see one tap of the kernel, in all these images, see one run of memory,

    M (outputs, filters) += V (pixels of the run, channels) @ U[tap] (channels, filters)

a product on the register tile that Winograd's algorithm uses as well. Runs end where the image does: taps that would
see the padding cost nothing, and images of 2 x 2 fill a tile just as those of 56 x 56 do. With a stride, the columns of
an image are sorted by their remainders first, so that runs stay runs.

The gradient of the input is the same with both sides exchanged: each row of gx has as many lines as the stride, one for
each remainder of its columns, and each line sees the taps that reach it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import prange

from ..geometry import ConvSpec
from .direct import spread
from .gemm import plain
from .jit import helper, kernel
from .memory import empty
from .rows import copy, fill
from .simd import LANES32, LANES64, ask, copy_rows, turn, turn_inside
from .threads import PRODUCTS, launch, most_workers, scratch
from .winograd import apart, even
from .winograd_simd import HEIGHTS, lane_tile

ROWS_OF_RUN = 64  # of M in a line, about: images are taken together until there are so many
WEIGHTS = 48 * 1024  # elements of U that a thread lays out at a time, if that is more than LANES32 channels
SUMS = 64 * 1024  # elements of M that a thread keeps, if that is more than one row of outputs
UNITS = 16  # of work, at least, where there are so many rows


@dataclass(frozen=True, eq=False)
class Plan:
    """How a convolution is cut up.

    Attributes:
        starts, entries: line n of the target (row n // phases, columns n % phases :: phases) adds up the entries
            starts[n] : starts[n + 1], each a run: (tap, its first pixel in V, its first output in the line, outputs).
        seen: whether a run sees line n of the source, which are numbered likewise.
        v_size, size: elements of memory for V, and for each thread.
        numbers: what the kernel unpacks.
    """

    starts: np.ndarray
    entries: np.ndarray
    seen: np.ndarray
    v_size: int
    size: int
    numbers: tuple[int, ...]


def _reached(spec: ConvSpec, backward: bool, axis: int, target: int) -> list[tuple[int, int]]:
    """The taps that matter for a row (axis 0) or column (1) of the target: (tap, row or column of the source)."""
    k, s, d, p = spec.kernel_size[axis], spec.stride[axis], spec.dilation[axis], spec.padding[axis][0]
    if backward:
        reach = [(t, target + p - t * d) for t in range(k)]
        return [(t, r // s) for t, r in reach if r % s == 0 and 0 <= r // s < spec.output_size[axis]]
    reach = [(t, target * s + t * d - p) for t in range(k)]
    return [(t, r) for t, r in reach if 0 <= r < spec.input_size[axis]]


def runs_of(spec: ConvSpec, backward: bool) -> list[list[tuple[int, int, int, int]]]:
    """For each line of the target its entries, as `Plan` says."""
    stride, kw = spec.stride[1], spec.kernel_size[1]
    phases, from_phases = (stride, 1) if backward else (1, stride)
    source, target = (spec.output_size, spec.input_size) if backward else (spec.input_size, spec.output_size)
    pitch = -(-source[1] // from_phases)
    columns = []
    for phase in range(phases):
        seen: dict[int, list[tuple[int, int]]] = {}
        for j, column in enumerate(range(phase, target[1], phases)):
            for tap, at in _reached(spec, backward, 1, column):
                seen.setdefault(tap, []).append((j, at % from_phases * pitch + at // from_phases))
        columns.append([(tap, *places[0], len(places)) for tap, places in seen.items()])
    lines = []
    for row in range(target[0]):
        rows = _reached(spec, backward, 0, row)
        for of_phase in columns:
            lines.append(
                [(u * kw + v, r * from_phases * pitch + at, j, n) for u, r in rows for v, j, at, n in of_phase]
            )
    return lines


def images_of(batch: int, pitch: int) -> int:
    """How many images are taken together, if a line has `pitch` outputs."""
    return even(batch, max(1, ROWS_OF_RUN // pitch))


def panel_of(filters: int, lanes: int) -> int:
    """The filters whose weights lie side by side."""
    return lanes * min(2, -(-filters // lanes))


def chunk_of(spec: ConvSpec, lanes: int, backward: bool = False) -> int:
    """How many channels' weights a thread lays out at a time."""
    channels, filters = (n // spec.groups for n in (spec.in_channels, spec.out_channels)[:: -1 if backward else 1])
    most = WEIGHTS // (math.prod(spec.kernel_size) * panel_of(filters, lanes) * lanes)
    return even(-(-channels // lanes), max(1, most)) * lanes


def products(spec: ConvSpec) -> int:
    """Rows of tiles that all runs of the forward pass fill, about, for each channel and vector of filters."""
    pairs = math.prod(
        sum(len(_reached(spec, False, axis, i)) for i in range(size)) for axis, size in enumerate(spec.output_size)
    )
    run, height = spec.output_size[1] * images_of(spec.batch, spec.output_size[1]), HEIGHTS[1] // 2
    return pairs * spec.batch * (-(-run // height) * height) // run


@lru_cache(maxsize=256)
def plan(spec: ConvSpec, backward: bool, lanes: int) -> Plan:
    """The runs of a convolution, or of its input's gradient, and the sizes of its blocks, from the shape alone."""
    channels, filters = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    source, target = spec.input_size, spec.output_size
    phases, from_phases = 1, spec.stride[1]
    if backward:
        channels, filters, source, target, phases, from_phases = filters, channels, target, source, from_phases, 1
    taps, width = math.prod(spec.kernel_size), panel_of(filters, lanes)
    from_pitch, pitch = -(-source[1] // from_phases), -(-target[1] // phases)
    vectors, panels = -(-channels // lanes), -(-filters // width)
    images = images_of(spec.batch, pitch)
    blocks = -(-spec.batch // images)
    chunk = chunk_of(spec, lanes, backward)
    band = even(target[0], max(1, SUMS // (phases * pitch * images * width)))
    while band > 1 and blocks * spec.groups * panels * -(-target[0] // band) < UNITS:
        band = -(-band // 2)
    lines = runs_of(spec, backward)
    v_step = apart(source[0] * from_phases * from_pitch * images * lanes)
    pixels = max((source[1] + lanes) * lanes, phases * lanes * (pitch + lanes))
    size = taps * chunk * width + band * phases * pitch * images * width + pixels + width
    entries = np.array([entry for line in lines for entry in line], np.int64).reshape(-1, 4)
    return Plan(
        starts=np.cumsum([0] + [len(line) for line in lines]),
        entries=entries,
        seen=np.isin(np.arange(source[0] * from_phases), entries[:, 1] // from_pitch),
        v_size=blocks * spec.groups * vectors * v_step + 2 * HEIGHTS[0] * lanes,
        size=-(-size // 16) * 16,
        numbers=(
            *(spec.batch, spec.groups, channels, filters, taps, *source, *target, phases, from_phases),
            *(images, band, chunk, width, v_step, lanes),
        ),
    )


@helper
def _gather(x, i, members, height, width, phases, seen, v, vi, step, memory, o, lanes):
    """v[vi + place*step + lane] = a pixel of an image, that of channel `lane` at x[i + lane*height*width + ...].

    The columns of a row are sorted by their remainders, and those that no run sees are left out.
    """
    size, pitch = height * width, (width + phases - 1) // phases
    if phases == 1:
        for q in range(0, size, lanes):
            turn(x, i + q, size, members, min(lanes, size - q), v, vi + q * step, step)
        return
    for row in range(height):
        if not seen[row * phases : (row + 1) * phases].any():
            continue
        for q in range(0, width, lanes):
            turn(x, i + row * width + q, size, members, min(lanes, width - q), memory, o + q * lanes, lanes)
        for phase in range(phases):
            place = vi + (row * phases + phase) * pitch * step
            if seen[row * phases + phase]:
                for column in range(phase, width, phases):
                    copy(memory, o + column * lanes, 1, v, place, lanes)
                    place += step


@helper
def _lay_weights(w, i, o_step, c_step, filters, channels, taps, width, u, ui, u_step, lanes):
    """u[ui + tap*u_step + c*width + o] = w[i + o*o_step + c*c_step + tap], 0 for o >= filters."""
    for o in range(0, width, lanes):
        some = max(min(filters - o, lanes), 0)
        source, target = i + (o if some else 0) * o_step, ui + o
        if taps == 1 and o_step == 1:
            copy_rows(w, source, c_step, 1, 0, some, u, target, width, lanes, channels)
        elif taps == 1:
            for c in range(0, channels, lanes):
                turn(w, source + c, o_step, some, min(lanes, channels - c), u, target + c * width, width)
        else:
            for c in range(channels):
                if c_step == taps:
                    ask(w, source + c * c_step + 3 * lanes, o_step, False)
                else:
                    ask(w, source + (c + 4) * c_step, lanes, False)
                for t in range(0, taps, lanes):
                    few = min(lanes, taps - t)
                    turn(w, source + c * c_step + t, o_step, some, few, u, target + t * u_step + c * width, u_step)


@helper
def _store(memory, m, here, width, image, members, rows, shape, phases, pitch, y, target, o, lanes):
    """y[target + f*area + position] = `rows` rows of an image's outputs, from M; memory[o:] is for a row's phases."""
    area = shape[0] * shape[1]
    for f in range(0, members, lanes):
        some, out = min(lanes, members - f), target + f * area
        if phases == 1:
            for q in range(0, rows * pitch, lanes):
                few = min(lanes, rows * pitch - q)
                turn_inside(memory, m + (q * here + image) * width + f, here * width, few, some, y, out + q, area)
            continue
        line = pitch + lanes
        for row in range(rows):
            for phase in range(phases):
                first = m + ((row * phases + phase) * pitch * here + image) * width + f
                for q in range(0, pitch, lanes):
                    turn(
                        memory, first + q * here * width, here * width, min(lanes, pitch - q), some,
                        memory, o + phase * lanes * line + q, line,
                    )  # fmt: skip
            spread(memory, o, line, lanes * line, y, out + row * shape[1], area, phases, shape[1], some)


@kernel(parallel=True)
def convolve(workers, x, w, b, y, backward, starts, entries, seen, v, memory, size, g):
    """y = w (*) x + b, or with `backward` the gradient y of the input of such a convolution, x that of its output.

    for unit = (block of images, group, vector of channels), shared out to the workers: V, the pixels transposed
    for unit = (block of images, group, panel of filters, band of rows), shared out to the workers:
        M = b
        for chunk of channels:
            U, its weights, in the second cache
            for line of the band: for run of the line: M += V @ U[tap]
        y from M
    """
    (batch, groups, channels, filters, taps, height, width, y_height, y_width, phases, from_phases, images, band, chunk,
     panel, v_step, lanes) = g  # fmt: skip
    vectors, panels, bands = (
        (channels + lanes - 1) // lanes, (filters + panel - 1) // panel, (y_height + band - 1) // band,
    )  # fmt: skip
    blocks, pitch, area = (batch + images - 1) // images, (y_width + phases - 1) // phases, y_height * y_width
    o_step, c_step = (taps, filters * taps) if backward else (channels * taps, taps)
    tall = HEIGHTS[0] if panel == lanes else HEIGHTS[1]
    for worker in prange(workers):
        for unit in range(worker, blocks * groups * vectors, workers):
            block, group, c = unit // (groups * vectors), unit // vectors % groups, unit % vectors * lanes
            here = min(images, batch - block * images)
            for n in range(here):
                i = (((block * images + n) * groups + group) * channels + c) * height * width
                _gather(
                    x, i, min(lanes, channels - c), height, width, from_phases, seen, v,
                    unit * v_step + n * lanes, here * lanes, memory, worker * size, lanes,
                )  # fmt: skip
    for worker in prange(workers):
        u = worker * size
        m = u + taps * chunk * panel
        shift = m + band * phases * pitch * images * panel
        pixels = shift + panel
        for unit in range(worker, blocks * groups * panels * bands, workers):
            first, rest = unit // bands, unit % bands * band
            o, group, block = first % panels * panel, first // panels % groups, first // (panels * groups)
            here, members = min(images, batch - block * images), min(panel, filters - o)
            rows = min(band, y_height - rest)
            fill(memory, shift, panel, 0)
            if b.size:
                copy(b, group * filters + o, 1, memory, shift, members)
            for r in range(rows * phases * pitch * here):
                copy(memory, shift, 1, memory, m + r * panel, panel)
            for c0 in range(0, channels, chunk):
                deep = min(chunk, channels - c0)
                _lay_weights(
                    w, group * filters * channels * taps + o * o_step + c0 * c_step, o_step, c_step, members, deep,
                    taps, panel, memory, u, chunk * panel, lanes,
                )  # fmt: skip
                from_v = ((block * groups + group) * vectors + c0 // lanes) * v_step
                for line in range(rest * phases, (rest + rows) * phases):
                    to = m + (line - rest * phases) * pitch * here * panel
                    for e in range(starts[line], starts[line + 1]):
                        tap, place, j, count = entries[e]
                        for r in range(0, count * here, tall):
                            lane_tile(
                                v, from_v + (place * here + r) * lanes, v_step, memory, u + tap * chunk * panel,
                                memory, to + (j * here + r) * panel, min(tall, count * here - r), deep, True, panel,
                            )  # fmt: skip
            for n in range(here):
                target = (((block * images + n) * groups + group) * filters + o) * area + rest * y_width
                _store(
                    memory, m, here, panel, n, members, rows, (y_height, y_width), phases, pitch, y, target, pixels,
                    lanes,
                )  # fmt: skip


def _run(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray, spec: ConvSpec, backward: bool) -> None:
    cut = plan(spec, backward, LANES32 if x.itemsize == 4 else LANES64)
    bias = np.empty(0, x.dtype) if b is None else plain(b)
    v, memory = empty(cut.v_size, x.dtype), scratch(most_workers() * cut.size, x.dtype)
    launch(
        convolve, plain(x).reshape(-1), plain(w).reshape(-1), bias, y.reshape(-1), backward, cut.starts, cut.entries,
        cut.seen, v, memory, cut.size, cut.numbers, elements=y.size * w[0].size // PRODUCTS,
    )  # fmt: skip


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, spec: ConvSpec) -> np.ndarray:
    """y (N, O, OH, OW) of x (N, C, H, W), w (O, C / groups, KH, KW) and b (O,) or None."""
    y = empty(spec.output_shape, x.dtype)
    _run(x, w, b, y, spec, False)
    return y


def input_grad(gy: np.ndarray, w: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gx (N, C, H, W) of gy (N, O, OH, OW)."""
    gx = empty(spec.input_shape, gy.dtype)
    _run(gy, w, None, gx, spec, True)
    return gx
