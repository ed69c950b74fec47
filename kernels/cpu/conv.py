"""Convolution and its gradients: columns of one image at a time, multiplied on the register tile.

The column matrix of an image has a row for each (channel, u, v) and a column for each output position; it holds what
tap (u, v) of that channel sees there. Then, for each image and group,

    y  (O, P) = w (O, K) @ columns (K, P)                       K = C / groups * KH * KW, P = OH * OW
    gx        = columns' adjoint of  w^T (K, O) @ gy (O, P)
    gw (O, K) = sum over images of  gy (O, P) @ columns^T (P, K)

Only a block of columns exists at a time, at most BLOCK elements, in memory that belongs to the thread: it is written
and read in the second cache. Nothing of the size of the whole batch's columns is ever made.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..geometry import ConvSpec
from .gemm import dots, plain, product, tile_columns
from .jit import helper, kernel
from .rows import add, clear, copy, fill
from .simd import add_plane, copy_plane
from .threads import launch, scratch, workers

BLOCK = 65536  # elements of a block of columns: 256 KB in float32
PARTS = 16  # partial sums of a weight gradient, at most


@helper
def _seen(size, step, shift, count):
    """The positions p of 0..count for which 0 <= p * step + shift < size, as (first, last)."""
    first = min(max((-shift + step - 1) // step, 0), count)
    return first, min(max((size - shift + step - 1) // step, first), count)


@helper
def _columns_of(x, x0, c0, c1, i0, i1, out, o0, g):
    """Rows of the column matrix for channels c0..c1, output rows i0..i1: out[(c, u, v), (i, j)].

    g is the geometry: (H, W, KH, KW, SH, SW, top, left, DH, DW, OH, OW).
    """
    height, width, kh, kw, sh, sw, top, left, dh, dw, _, ow = g
    rows = i1 - i0
    o = o0
    for c in range(c0, c1):
        for u in range(kh):
            down = i0 * sh + u * dh - top  # output row i0 + i sees image row i * sh + down
            above, below = _seen(height, sh, down, rows)
            for v in range(kw):
                across = v * dw - left  # output column j sees image column j * sw + across
                first, last = _seen(width, sw, across, ow)
                source = x0 + (c * height + above * sh + down) * width + across
                clear(out, o, above * ow)
                if sw == 1:
                    copy_plane(x, source, sh * width, first, last, out, o + above * ow, ow, ow, below - above)
                else:
                    for i in range(above, below):
                        clear(out, o + i * ow, first)
                        copy(x, source + first * sw, sw, out, o + i * ow + first, last - first)
                        clear(out, o + i * ow + last, ow - last)
                        source += sh * width
                clear(out, o + below * ow, (rows - below) * ow)
                o += rows * ow


@helper
def _add_columns(columns, o0, c0, c1, i0, i1, gx, x0, g):
    """The adjoint of `_columns_of`: every element is added where it was seen; windows that overlap add up."""
    height, width, kh, kw, sh, sw, top, left, dh, dw, _, ow = g
    rows = i1 - i0
    o = o0
    for c in range(c0, c1):
        for u in range(kh):
            down = i0 * sh + u * dh - top
            above, below = _seen(height, sh, down, rows)
            for v in range(kw):
                across = v * dw - left
                first, last = _seen(width, sw, across, ow)
                source = o + above * ow + first
                target = x0 + (c * height + above * sh + down) * width + across + first * sw
                if sw == 1:
                    add_plane(columns, source, ow, gx, target, sh * width, last - first, below - above)
                else:
                    for _i in range(above, below):
                        add(columns, source, gx, target, sw, last - first)
                        source += ow
                        target += sh * width
                o += rows * ow


@kernel(parallel=True)
def forward(workers, x, w, b, y, batch, groups, channels, filters, band, block, g, width, memory):
    """y = w (*) x + b; channels and filters are those of one group, b is empty for none.

    for unit = (image, group, band of output rows), shared out to the workers:
        y = b
        for block of channels: y (filters, positions) += w block @ columns of the block
    """
    height, wide, kh, kw, oh, ow = g[0], g[1], g[2], g[3], g[10], g[11]
    bands = (oh + band - 1) // band
    taps, plane = kh * kw, oh * ow
    units = batch * groups * bands
    for worker in prange(workers):
        columns = worker * block * taps * band * ow
        for unit in range(worker, units, workers):
            image, rest = unit // (groups * bands), unit % (groups * bands)
            group, i0 = rest // bands, (rest % bands) * band
            i1 = min(i0 + band, oh)
            positions = (i1 - i0) * ow
            x0 = (image * groups + group) * channels * height * wide
            w0 = group * filters * channels * taps
            y0 = (image * groups + group) * filters * plane + i0 * ow
            if b.size:
                for o in range(filters):
                    fill(y, y0 + o * plane, positions, b[group * filters + o])
            for c0 in range(0, channels, block):
                c1 = min(c0 + block, channels)
                _columns_of(x, x0, c0, c1, i0, i1, memory, columns, g)
                product(
                    w, w0 + c0 * taps, channels * taps, 1, memory, columns, positions, y, y0, plane,
                    filters, positions, (c1 - c0) * taps, c0 > 0 or b.size > 0, width,
                )  # fmt: skip


@kernel(parallel=True)
def input_grad(workers, gy, w, gx, batch, groups, channels, filters, band, block, g, width, memory):
    """gx, which starts as zeros; for unit = (image, group, block of channels), shared out to the workers:

    for band of output rows: columns (K of the block, positions) = w^T @ gy; add them to gx
    """
    height, wide, kh, kw, oh, ow = g[0], g[1], g[2], g[3], g[10], g[11]
    taps, plane = kh * kw, oh * ow
    blocks = (channels + block - 1) // block
    units = batch * groups * blocks
    for worker in prange(workers):
        columns = worker * block * taps * band * ow
        for unit in range(worker, units, workers):
            image, rest = unit // (groups * blocks), unit % (groups * blocks)
            group, c0 = rest // blocks, (rest % blocks) * block
            c1 = min(c0 + block, channels)
            x0 = (image * groups + group) * channels * height * wide
            w0 = group * filters * channels * taps
            y0 = (image * groups + group) * filters * plane
            for i0 in range(0, oh, band):
                i1 = min(i0 + band, oh)
                positions = (i1 - i0) * ow
                product(
                    w, w0 + c0 * taps, 1, channels * taps, gy, y0 + i0 * ow, plane, memory, columns, positions,
                    (c1 - c0) * taps, positions, filters, False, width,
                )  # fmt: skip
                _add_columns(memory, columns, c0, c1, i0, i1, gx, x0, g)


@kernel(parallel=True)
def weight_grad(workers, gy, x, partial, batch, groups, channels, filters, parts, split, band, block, g, memory):
    """partial[part] = sum over the images of that part of gy @ columns^T.

    for unit = (part, group, split of the filters), shared out to the workers:
        for image of the part: for band of output rows: for block of channels:
            partial (filters, K of the block) += gy (filters, positions) @ columns^T (positions, K of the block)
    """
    height, wide, kh, kw, oh, ow = g[0], g[1], g[2], g[3], g[10], g[11]
    taps, plane = kh * kw, oh * ow
    depth = channels * taps
    splits = (filters + split - 1) // split
    units = parts * groups * splits
    for worker in prange(workers):
        columns = worker * block * taps * band * ow
        for unit in range(worker, units, workers):
            part, rest = unit // (groups * splits), unit % (groups * splits)
            group, o0 = rest // splits, (rest % splits) * split
            out = ((part * groups + group) * filters + o0) * depth
            begin = batch * part // parts
            for image in range(begin, batch * (part + 1) // parts):
                x0 = (image * groups + group) * channels * height * wide
                y0 = ((image * groups + group) * filters + o0) * plane
                for i0 in range(0, oh, band):
                    i1 = min(i0 + band, oh)
                    positions = (i1 - i0) * ow
                    for c0 in range(0, channels, block):
                        c1 = min(c0 + block, channels)
                        _columns_of(x, x0, c0, c1, i0, i1, memory, columns, g)
                        dots(
                            gy, y0 + i0 * ow, plane, memory, columns, positions, partial, out + c0 * taps, depth,
                            min(split, filters - o0), (c1 - c0) * taps, positions, image > begin or i0 > 0,
                        )  # fmt: skip


def _numbers(spec: ConvSpec) -> tuple[int, ...]:
    """The geometry as the kernels take it."""
    (top, _), (left, _) = spec.padding
    return (*spec.input_size, *spec.kernel_size, *spec.stride, top, left, *spec.dilation, *spec.output_size)


def blocks(spec: ConvSpec) -> tuple[int, int]:
    """(band, block): how many output rows and channels of columns are made at a time, from the shape alone.

    As many rows as fit with one channel, but at least 16 units of work; then as many channels as fit.
    """
    oh, ow = spec.output_size
    taps = spec.kernel_size[0] * spec.kernel_size[1]
    band = max(min(oh, BLOCK // (taps * ow)), 1)
    while band > 1 and spec.batch * spec.groups * -(-oh // band) < 16 and band * ow > 64:
        band = -(-band // 2)
    channels = spec.in_channels // spec.groups
    return band, max(min(channels, BLOCK // (taps * band * ow)), 1)


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, spec: ConvSpec) -> np.ndarray:
    """y (N, O, OH, OW) of x (N, C, H, W), w (O, C / groups, KH, KW) and b (O,) or None."""
    y = np.empty(spec.output_shape, x.dtype)
    if not y.size:
        return y
    channels, filters = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    band, block = blocks(spec)
    taps = spec.kernel_size[0] * spec.kernel_size[1]
    memory = scratch(workers() * block * taps * band * spec.output_size[1], x.dtype)
    bias = np.empty(0, x.dtype) if b is None else plain(b)
    launch(
        forward, plain(x).reshape(-1), plain(w).reshape(-1), bias, y.reshape(-1), spec.batch, spec.groups,
        channels, filters, band, block, _numbers(spec), tile_columns(x.dtype), memory,
    )  # fmt: skip
    return y


def conv2d_input_grad(gy: np.ndarray, w: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gx (N, C, H, W) of gy (N, O, OH, OW)."""
    gx = np.zeros(spec.input_shape, gy.dtype)
    if not gy.size:
        return gx
    channels, filters = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    oh, ow = spec.output_size
    taps = spec.kernel_size[0] * spec.kernel_size[1]
    band = max(min(oh, BLOCK // (taps * ow)), 1)
    block = max(min(channels, BLOCK // (taps * band * ow)), 1)
    while block > 1 and spec.batch * spec.groups * -(-channels // block) < 16:
        block = -(-block // 2)
    memory = scratch(workers() * block * taps * band * ow, gy.dtype)
    launch(
        input_grad, plain(gy).reshape(-1), plain(w).reshape(-1), gx.reshape(-1), spec.batch, spec.groups,
        channels, filters, band, block, _numbers(spec), tile_columns(gy.dtype), memory,
    )  # fmt: skip
    return gx


def conv2d_weight_grad(gy: np.ndarray, x: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gw (O, C / groups, KH, KW) of gy (N, O, OH, OW) and x (N, C, H, W)."""
    if not gy.size:
        return np.zeros(spec.weight_shape, gy.dtype)
    channels, filters = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    taps = spec.kernel_size[0] * spec.kernel_size[1]
    size = spec.out_channels * channels * taps
    parts = max(min(spec.batch, PARTS, (1 << 22) // size), 1)
    split = filters
    while split > 48 and parts * spec.groups * -(-filters // split) < 16:
        split = -(-split // 2)
    band, block = blocks(spec)
    partial = np.empty((parts, size), gy.dtype)
    memory = scratch(workers() * block * taps * band * spec.output_size[1], gy.dtype)
    launch(
        weight_grad, plain(gy).reshape(-1), plain(x).reshape(-1), partial.reshape(-1), spec.batch, spec.groups,
        channels, filters, parts, split, band, block, _numbers(spec), memory,
    )  # fmt: skip
    total = partial[0]
    for part in partial[1:]:
        total += part
    return total.reshape(spec.weight_shape).copy() if parts > 1 else total.reshape(spec.weight_shape)
