"""Convolution with 3 x 3 kernels and stride 1 by Winograd's algorithm, F(4 x 4, 3 x 3), in float32.

The output is cut into tiles of 4 x 4, each of which depends on a patch of 6 x 6 elements of the input. With the
matrices A (6, 4), B (6, 6) and G (6, 3) of the points 0, +-p, +-q and infinity (Toom and Cook; Lavin and Gray, 2016),

    y = A^T [ (G w G^T) . (B^T d B) ] A         . is the product element by element

so 36 multiplications for each pair of channels do the work of 144. Summed over the channels, each of the 36 positions k
is a product of matrices, and cuBLAS computes all of them in one call:

    V[k] (C, tiles)   from the patches      U[k] (O, C)   from the weights
    M[k] (O, tiles) = U[k] @ V[k]           y             from M

The gradient of the input is the same with the gradient's tiles, the channels exchanged and the taps turned round; that
of the weights is G^T [ (A gy A^T) . (B^T d B) ] G, summed over the tiles by the products.

A thread transforms a tile, and the threads of a warp have neighbouring tiles of one channel: what they write to V, and
read from M, lies side by side for each k. Traffic: V and M have 36 / 16 elements for each pixel, and each is written
and read once; so a pixel costs 5.5 times four bytes for every channel and every filter, a third of what columns do.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import cuda

from .. import settings
from ..geometry import ConvSpec, adjoint
from .backend import SIMULATED, constants, xp
from .gemm import multiply
from .launch import capped, flat, kernel

BLOCK = 4 if SIMULATED else 128  # threads, and tiles, of a block; a multiple of 4
PAD = 2 if SIMULATED else 8  # so that the four columns of eight tiles lie in different banks of the shared memory
CHUNK = 8 if SIMULATED else 1 << 25  # elements of V and M together: 128 MB, or 32 tiles
LINE = 4 if SIMULATED else 32  # tiles: rows of V and M begin at multiples of it, and memory is read in such pieces
RUN = 4 if SIMULATED else 1024  # tiles of one partial sum of a weight gradient: enough products to fill a GPU
SIZES = ((BLOCK,),)

# With the usual points 0, +-1, +-2 a result loses three times as many digits; with these every constant of B is exact.
p, q = 0.75, 1.5
P, P2, P3, Q, Q2, Q3 = map(np.float32, (p, p**2, p**3, q, q**2, q**3))
SUM, PRODUCT = np.float32(p**2 + q**2), np.float32(p**2 * q**2)
G0, GP, GQ = map(np.float32, (1 / (p * q) ** 2, 1 / (2 * p**2 * (p**2 - q**2)), 1 / (2 * q**2 * (q**2 - p**2))))

# A kernel's `shape`: channels, height, width, top, left, tiles in a column and in a row of an image.


def _shape(spec: ConvSpec, of_input: bool) -> Any:
    """The numbers of the tiles as they lie in the input, or in the output."""
    (top, _), (left, _) = spec.padding
    if of_input:
        return constants((spec.in_channels, *spec.input_size, top, left, *_tiles(spec)))
    return constants((spec.out_channels, *spec.output_size, 0, 0, *_tiles(spec)))


def _tiles(spec: ConvSpec) -> tuple[int, int]:
    """How many tiles there are in a column of an image, and in a row."""
    return -(-spec.output_size[0] // 4), -(-spec.output_size[1] // 4)


# -- the choice -------------------------------------------------------------------------------------------------------


@functools.lru_cache(1024)
def costs(spec: ConvSpec, allow_tf32: bool) -> tuple[float, float]:
    """About how long a GPU needs by columns, and by tiles: the unit is the time in which it moves one float32.

    An H100 moves 1e12 of them a second to memory and from it, and meanwhile multiplies and adds 25 pairs for each, or
    200 on its tensor cores (which round too coarsely for the products of tiles). A launch takes 4 us.
    """
    high, wide = _tiles(spec)
    both, weights = spec.in_channels + spec.out_channels, spec.out_channels * spec.in_channels // spec.groups
    pixels, tiles = spec.batch * spec.output_size[0] * spec.output_size[1], spec.batch * high * wide
    rate = 200 if allow_tf32 else 25
    by_columns = pixels * (both + 2 * 9 * spec.in_channels) + 9 * weights * (1 + pixels / rate)
    by_tiles = pixels * both + 2 * 36 * tiles * both + (9 + 2 * 36) * weights + 36 * tiles * weights / 25
    return by_columns, by_tiles + 2 * 4e6  # two launches more


def chosen(spec: ConvSpec, dtype: np.dtype) -> bool:
    """Whether a convolution, or a gradient of it, is computed by tiles."""
    fits = spec.kernel_size == (3, 3) and spec.stride == (1, 1) == spec.dilation and dtype == np.float32
    if not (fits and settings.allow_winograd_on_gpu):
        return False
    by_columns, by_tiles = costs(spec, settings.allow_tf32)
    return by_tiles < by_columns


# -- the transforms of six or four numbers ----------------------------------------------------------------------------


@cuda.jit(device=True)
def input_of(d, start, step):
    """B^T d of six numbers, in their place: d[start], d[start + step] ..."""
    d0, d1, d2 = d[start], d[start + step], d[start + 2 * step]
    d3, d4, d5 = d[start + 3 * step], d[start + 4 * step], d[start + 5 * step]
    near, far = P * (d3 - Q2 * d1), Q * (d3 - P2 * d1)
    d[start] = PRODUCT * d0 - SUM * d2 + d4
    d[start + step] = d4 - Q2 * d2 + near
    d[start + 2 * step] = d4 - Q2 * d2 - near
    d[start + 3 * step] = d4 - P2 * d2 + far
    d[start + 4 * step] = d4 - P2 * d2 - far
    d[start + 5 * step] = PRODUCT * d1 - SUM * d3 + d5


@cuda.jit(device=True)
def output_grad_of(d, start, step):
    """A d of four numbers: six in their place."""
    d0, d1, d2, d3 = d[start], d[start + step], d[start + 2 * step], d[start + 3 * step]
    near, far = P * d1 + P3 * d3, Q * d1 + Q3 * d3
    d[start + step] = d0 + P2 * d2 + near
    d[start + 2 * step] = d0 + P2 * d2 - near
    d[start + 3 * step] = d0 + Q2 * d2 + far
    d[start + 4 * step] = d0 + Q2 * d2 - far
    d[start + 5 * step] = d3


@cuda.jit(device=True)
def weight_of(d, start, step):
    """G d of three numbers: six in their place."""
    d0, d1, d2 = d[start], d[start + step], d[start + 2 * step]
    d[start] = G0 * d0
    d[start + step] = GP * (d0 + P2 * d2 + P * d1)
    d[start + 2 * step] = GP * (d0 + P2 * d2 - P * d1)
    d[start + 3 * step] = GQ * (d0 + Q2 * d2 + Q * d1)
    d[start + 4 * step] = GQ * (d0 + Q2 * d2 - Q * d1)
    d[start + 5 * step] = d2


@cuda.jit(device=True)
def output_of(d, start, step):
    """A^T d of six numbers: four in the first places."""
    near, near_less = d[start + step] + d[start + 2 * step], d[start + step] - d[start + 2 * step]
    far, far_less = d[start + 3 * step] + d[start + 4 * step], d[start + 3 * step] - d[start + 4 * step]
    d[start] += near + far
    d[start + step] = P * near_less + Q * far_less
    d[start + 2 * step] = P2 * near + Q2 * far
    d[start + 3 * step] = P3 * near_less + Q3 * far_less + d[start + 5 * step]


@cuda.jit(device=True)
def weight_grad_of(d, start, step):
    """G^T d of six numbers: three in the first places."""
    near, near_less = GP * (d[start + step] + d[start + 2 * step]), GP * (d[start + step] - d[start + 2 * step])
    far, far_less = GQ * (d[start + 3 * step] + d[start + 4 * step]), GQ * (d[start + 3 * step] - d[start + 4 * step])
    d[start] = G0 * d[start] + near + far
    d[start + step] = P * near_less + Q * far_less
    d[start + 2 * step] = P2 * near + Q2 * far + d[start + 5 * step]


# -- the kernels ------------------------------------------------------------------------------------------------------


def _gathered(T, size, transform):
    """V from patches of size x size, by two passes of `transform`: a thread for each tile.

    Args of the kernel:
        v: for each run of tiles, each k and each channel, `run` tiles side by side.
        first, count: of the tiles; beyond them V is 0.
        threads: how many tiles the runs have together.
    """
    zero = T(0)

    def body(x, v, shape, first, count, run, threads):
        patch = cuda.local.array(36, T)  # all loops over it are unrolled, and it lies in registers
        channels, height, width, top, left, high, wide = (
            shape[0], shape[1], shape[2], shape[3], shape[4], shape[5], shape[6],
        )  # fmt: skip
        for p in range(cuda.grid(1), threads, cuda.gridsize(1)):
            row = (first + p) // wide
            image = row // high
            up, back = 4 * (row - image * high) - top, 4 * (first + p - row * wide) - left
            part = p // run
            for c in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
                source = ((image * channels + c) * height + up) * width + back
                target = (part * 36 * channels + c) * run + p - part * run
                for i in range(size):
                    seen = p < count and up + i >= 0 and up + i < height
                    for j in range(size):
                        patch[6 * i + j] = zero
                        if seen and back + j >= 0 and back + j < width:
                            patch[6 * i + j] = x[source + i * width + j]
                for j in range(size):
                    transform(patch, j, 6)
                for i in range(6):
                    transform(patch, 6 * i, 1)
                    for j in range(6):
                        v[target + (6 * i + j) * channels * run] = patch[6 * i + j]

    return body


@kernel("T* T* int64* int64 int64 int64 int64", dtypes="f")
def input_tiles(T):
    """V[k] (channels, tiles) = B^T d B, of the input."""
    return _gathered(T, 6, input_of)


@kernel("T* T* int64* int64 int64 int64 int64", dtypes="f")
def output_grad_tiles(T):
    """V[k] (filters, tiles) = A gy A^T, of the gradient of the output."""
    return _gathered(T, 4, output_grad_of)


@kernel("T* T* T* int64* int64 int64 int64 int64", dtypes="f", constants=SIZES)
def output_tiles(T, B):
    """y = A^T M A + bias: a thread for each tile, and then for a column of four tiles, so that rows are written whole.

    The arguments are those of `_gathered`. In shared memory: `pixels`, the 16 positions of each tile; `starts`, where
    each tile begins in y; `rows` and `columns`, how many of each it has there.
    """
    pitch = B + PAD
    size = 16 * pitch

    def body(m, bias, y, shape, first, count, run, with_bias):
        pixels = cuda.shared.array(size, T)
        starts = cuda.shared.array(B, np.int64)
        rows = cuda.shared.array(B, np.int64)
        columns = cuda.shared.array(B, np.int64)
        tile = cuda.local.array(36, T)
        t = cuda.threadIdx.x
        filters, height, width, high, wide = shape[0], shape[1], shape[2], shape[5], shape[6]
        column, quarter = t % 4, t // 4
        for block in range(cuda.blockIdx.x * B, count, cuda.gridDim.x * B):
            p = block + t
            row = (first + p) // wide
            image = row // high
            down, right = 4 * (row - image * high), 4 * (first + p - row * wide)
            starts[t] = (image * filters * height + down) * width + right
            rows[t] = min(height - down, 4) if p < count else 0
            columns[t] = width - right
            for o in range(cuda.blockIdx.y, filters, cuda.gridDim.y):
                shift = bias[o] if with_bias else T(0)
                if p < count:
                    for k in range(36):
                        tile[k] = m[(k * filters + o) * run + p]
                    for j in range(6):
                        output_of(tile, j, 6)
                    for i in range(4):
                        output_of(tile, 6 * i, 1)
                        for j in range(4):
                            pixels[(4 * i + j) * pitch + t] = tile[6 * i + j] + shift
                cuda.syncthreads()
                for part in range(4):
                    other = part * (B // 4) + quarter
                    if column < columns[other]:
                        target = starts[other] + o * height * width + column
                        for i in range(rows[other]):
                            y[target + i * width] = pixels[(4 * i + column) * pitch + other]
                cuda.syncthreads()

    return body


@kernel("T* T* int64 int64", dtypes="f")
def weight_tiles(T):
    """U[k] (O, C) = G w G^T, of w with its taps turned round if `flip` is 1: a thread for each filter and channel."""

    def body(w, u, weights, flip):
        taps = cuda.local.array(36, T)
        for n in range(cuda.grid(1), weights, cuda.gridsize(1)):
            for i in range(3):
                for j in range(3):
                    tap = 3 * i + j
                    taps[6 * i + j] = w[9 * n + (8 - tap if flip else tap)]
            for j in range(3):
                weight_of(taps, j, 6)
            for i in range(6):
                weight_of(taps, 6 * i, 1)
                for j in range(6):
                    u[(6 * i + j) * weights + n] = taps[6 * i + j]

    return body


@kernel("T* T* int64 int64", dtypes="f")
def weight_grad_tiles(T):
    """gw = G^T S G of the sum S of `parts` partial sums: a thread for each filter and channel."""

    def body(sums, gw, weights, parts):
        taps = cuda.local.array(36, T)
        for n in range(cuda.grid(1), weights, cuda.gridsize(1)):
            for k in range(36):
                taps[k] = sums[k * weights + n]
            for part in range(1, parts):
                for k in range(36):
                    taps[k] += sums[(part * 36 + k) * weights + n]
            for j in range(6):
                weight_grad_of(taps, j, 6)
            for i in range(3):
                weight_grad_of(taps, 6 * i, 1)
                for j in range(3):
                    gw[9 * n + 3 * i + j] = taps[6 * i + j]

    return body


# -- the convolutions -------------------------------------------------------------------------------------------------


def _gather(ready: Any, x: Any, v: Any, shape: Any, first: int, count: int) -> None:
    """Fill V (runs, 36, channels, run)."""
    runs, _, channels, run = v.shape
    grid = (-(-runs * run // BLOCK), capped(channels))
    ready(grid, BLOCK, x, v, shape, first, count, run, runs * run)


def _step(spec: ConvSpec) -> tuple[int, int]:
    """(all tiles, how many are transformed at a time)."""
    high, wide = _tiles(spec)
    tiles = spec.batch * high * wide
    together = max(CHUNK // (36 * (spec.in_channels + spec.out_channels)) // LINE, 1) * LINE
    return tiles, min(together, -(-tiles // LINE) * LINE)


def forward(x: Any, w: Any, b: Any, spec: ConvSpec, flip: bool = False) -> Any:
    """y (N, O, OH, OW) of C-contiguous float32 x and w, and b or None; w is the adjoint convolution's if `flip`."""
    groups, channels, filters = spec.groups, spec.in_channels, spec.out_channels
    y = xp.empty(spec.output_shape, x.dtype)
    u = xp.empty((36 * groups, *((w.shape[0] // groups, w.shape[1]))), x.dtype)
    weights = w.size // 9
    weight_tiles.of(x.dtype)(*flat(weights), w, u, weights, int(flip))
    u = u.swapaxes(1, 2) if flip else u
    tiles, together = _step(spec)
    v = xp.empty((1, 36, channels, together), x.dtype)
    m = xp.empty((36 * groups, filters // groups, together), x.dtype)
    patches, ready = input_tiles.of(x.dtype), output_tiles.of(x.dtype, BLOCK)
    of_input, of_output = _shape(spec, True), _shape(spec, False)
    for first in range(0, tiles, together):
        count = min(together, tiles - first)
        _gather(patches, x, v, of_input, first, count)
        multiply(u, v.reshape(36 * groups, -1, together)[:, :, :count], m[:, :, :count], exact=True)
        grid = -(-count // BLOCK), capped(filters)
        ready(grid, BLOCK, m, w if b is None else b, y, of_output, first, count, together, int(b is not None))
    return y


def input_grad(gy: Any, w: Any, spec: ConvSpec) -> Any:
    """gx (N, C, H, W) of C-contiguous float32 gy and w."""
    return forward(gy, w, None, adjoint(spec), flip=True)


def weight_grad(gy: Any, x: Any, spec: ConvSpec) -> Any:
    """gw (O, C / groups, 3, 3) of C-contiguous float32 gy and x, in partial sums of about `RUN` tiles."""
    groups, channels, filters = spec.groups, spec.in_channels, spec.out_channels
    gw = xp.empty(spec.weight_shape, x.dtype)
    tiles, together = _step(spec)
    runs = -(-together // RUN)
    run = -(-together // (runs * LINE)) * LINE
    v, g = xp.empty((runs, 36, channels, run), x.dtype), xp.empty((runs, 36, filters, run), x.dtype)
    sums = xp.empty((runs * 36 * groups, filters // groups, channels // groups), x.dtype)
    of_input, of_output = _shape(spec, True), _shape(spec, False)
    for first in range(0, tiles, runs * run):
        count = min(runs * run, tiles - first)
        _gather(input_tiles.of(x.dtype), x, v, of_input, first, count)
        _gather(output_grad_tiles.of(x.dtype), gy, g, of_output, first, count)
        of_run = runs * 36 * groups, -1, run
        multiply(g.reshape(of_run), v.reshape(of_run).swapaxes(1, 2), sums, accumulate=first > 0, exact=True)
    weights = gw.size // 9
    weight_grad_tiles.of(x.dtype)(*flat(weights), sums, gw, weights, runs)
    return gw
