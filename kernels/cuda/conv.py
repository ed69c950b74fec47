"""Convolution and its gradients: the windows' elements as the columns of a matrix, and products of matrices.

For each image and group, with the columns (C / groups * KH * KW, OH * OW):

    y = w @ columns        columns' gradient = w.T @ gy        gw = sum over the images of gy @ columns.T

The columns are written, or their gradient is gathered, in chunks that stay in the GPU's second-level cache: of several
images, or of some of the channels of one image. A 1 x 1 convolution with stride 1 has its image as columns. Where every
channel is its own group (depthwise) products of matrices are of no use, and each sum is computed directly. What
`winograd` computes faster is left to it.

No sum is made of atomic additions, so results repeat bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numba import cuda

from ..geometry import ConvSpec
from ..reference import conv as reference
from . import winograd
from .backend import SIMULATED, constants, in_floats, xp
from .device import seen, sum_in_block, thirteen, window_at
from .gemm import multiply
from .launch import BLOCK, MOST_BLOCKS, computed_in, grid_of, kernel

CHUNK_BYTES = 600 if SIMULATED else 24 << 20  # of columns; a single channel of an image may need more
SIZES = ((BLOCK,),)

# A kernel's `shape`: C, H, W, KH, KW, SH, SW, top, left, DH, DW, OH, OW, filters for each channel, N.


def _numbers(spec: ConvSpec) -> tuple[int, ...]:
    (top, _), (left, _) = spec.padding
    window = *spec.kernel_size, *spec.stride, top, left, *spec.dilation
    filters = max(spec.out_channels // max(spec.in_channels, 1), 1)
    return spec.in_channels, *spec.input_size, *window, *spec.output_size, filters, spec.batch


def _shape(spec: ConvSpec) -> Any:
    return constants(_numbers(spec))


# -- columns ----------------------------------------------------------------------------------------------------------


@kernel("T* T* int64* int64 int64 int64 int64 int64 int64 int64 int64", "efd")
def unfold(T):
    """The columns of a chunk: a thread for each position of the output, all taps of it.

    Args:
        groups, per_group: how many groups, and channels of each in the image.
        channel, channels: the chunk's first channel of each group, and how many.
        image, images: the chunk's first image, and how many.
        row_step, image_step: how far rows and images of the columns are apart. A row is a tap of a channel.
    """
    zero = T(0)

    def body(x, columns, shape, groups, per_group, channel, channels, image, images, row_step, image_step):
        every, height, width, kh, kw, sh, sw, top, left, dh, dw, oh, ow = thirteen(shape)
        for p in range(cuda.grid(1), oh * ow, cuda.gridsize(1)):
            i = p // ow
            first_row, first_column = i * sh - top, (p - i * ow) * sw - left
            for r in range(cuda.blockIdx.y, groups * channels, cuda.gridDim.y):
                group = r // channels
                c = group * per_group + channel + r - group * channels
                for n in range(cuda.blockIdx.z, images, cuda.gridDim.z):
                    plane = (image + n) * every + c
                    target = r * kh * kw * row_step + n * image_step + p
                    for u in range(kh):
                        h = first_row + u * dh
                        for v in range(kw):
                            columns[target] = seen(x, plane, h, first_column + v * dw, height, width, zero)
                            target += row_step

    return body


@kernel("T* T* int64* int64 int64 int64 int64 int64 int64 int64 int64", "efd")
def fold(T):
    """The gradient of an image from that of its columns: a thread for each pixel gathers all windows that saw it.

    The arguments are those of `unfold`.
    """
    zero = T(0)

    def body(columns, gx, shape, groups, per_group, channel, channels, image, images, row_step, image_step):
        every, height, width, kh, kw, sh, sw, top, left, dh, dw, oh, ow = thirteen(shape)
        for q in range(cuda.grid(1), height * width, cuda.gridsize(1)):
            h = q // width
            w = q - h * width
            for r in range(cuda.blockIdx.y, groups * channels, cuda.gridDim.y):
                group = r // channels
                c = group * per_group + channel + r - group * channels
                for n in range(cuda.blockIdx.z, images, cuda.gridDim.z):
                    total = zero
                    for u in range(kh):
                        i = window_at(h + top - u * dh, sh, oh)
                        if i >= 0:
                            source = (r * kh + u) * kw * row_step + n * image_step + i * ow
                            for v in range(kw):
                                j = window_at(w + left - v * dw, sw, ow)
                                if j >= 0:
                                    total += T(columns[source + v * row_step + j])
                    gx[((image + n) * every + c) * height * width + q] = total

    return body


def _chunks(spec: ConvSpec, itemsize: int) -> Iterator[tuple[int, int, int, int]]:
    """(channel, channels, image, images): the first channel of each group, how many; the first image, how many."""
    (kh, kw), (oh, ow) = spec.kernel_size, spec.output_size
    one, per_group = kh * kw * oh * ow * itemsize, spec.in_channels // spec.groups
    images = max(CHUNK_BYTES // (one * spec.in_channels), 1)
    channels = per_group
    if one * spec.in_channels > CHUNK_BYTES:
        channels = min(max(CHUNK_BYTES // (one * spec.groups), 1), per_group)
    for image in range(0, spec.batch, images):
        for channel in range(0, per_group, channels):
            yield channel, min(channels, per_group - channel), image, min(images, spec.batch - image)


def _is_pointwise(spec: ConvSpec) -> bool:
    return spec.kernel_size == spec.stride == (1, 1) and spec.padding == ((0, 0), (0, 0))


def _is_depthwise(spec: ConvSpec) -> bool:
    return spec.groups == spec.in_channels > 1


def _of_images(a: Any, b: Any, out: Any, accumulate: bool = False) -> None:
    """out[n, g] = a[g] @ b[n, g] for all images n and groups g, in as few calls as there are of the fewer."""
    images, groups = out.shape[:2]
    if groups <= images:
        for g in range(groups):
            multiply(a[g], b[:, g], out[:, g], accumulate)
    else:
        for n in range(images):
            multiply(a, b[n], out[n], accumulate)


def _images_within(x: Any) -> Any:
    """(N, G, R, P) as (G, R, N * P): all images in each row."""
    n, g, rows, positions = x.shape
    return xp.ascontiguousarray(x.transpose(1, 2, 0, 3)).reshape(g, rows, n * positions)


def _y_by_columns(x: Any, w: Any, spec: ConvSpec) -> Any:
    chunks = list(_chunks(spec, x.itemsize))
    whole = chunks[-1][0] == 0  # or sums go on from chunk to chunk, in float32
    y = xp.empty(spec.output_shape, x.dtype if whole or _is_pointwise(spec) else computed_in(x.dtype))
    n, groups, per_group = spec.batch, spec.groups, spec.in_channels // spec.groups
    taps, positions = spec.kernel_size[0] * spec.kernel_size[1], spec.output_size[0] * spec.output_size[1]
    filters = w.reshape(groups, -1, per_group * taps)
    out = y.reshape(n, groups, -1, positions)
    if _is_pointwise(spec):
        _of_images(filters, x.reshape(n, groups, per_group, positions), out)
        return y
    shape = _shape(spec)
    for channel, channels, image, images in chunks:
        columns = xp.empty((images, groups, channels * taps, positions), x.dtype)
        ready, steps = unfold.of(x.dtype), (positions, groups * channels * taps * positions)
        grid = grid_of(positions, groups * channels, images)
        ready(*grid, x, columns, shape, groups, per_group, channel, channels, image, images, *steps)
        part = filters[:, :, channel * taps : (channel + channels) * taps]
        _of_images(part, columns, out[image : image + images], accumulate=channel > 0)
    return y.astype(x.dtype, copy=False)


def _gx_by_columns(gy: Any, w: Any, spec: ConvSpec) -> Any:
    gx = xp.empty(spec.input_shape, gy.dtype)
    n, groups, per_group = spec.batch, spec.groups, spec.in_channels // spec.groups
    taps, positions = spec.kernel_size[0] * spec.kernel_size[1], spec.output_size[0] * spec.output_size[1]
    filters = w.reshape(groups, -1, per_group * taps).swapaxes(1, 2)
    g = gy.reshape(n, groups, -1, positions)
    if _is_pointwise(spec):
        _of_images(filters, g, gx.reshape(n, groups, per_group, positions))
        return gx
    shape = _shape(spec)
    for channel, channels, image, images in _chunks(spec, gy.itemsize):
        columns = xp.empty((images, groups, channels * taps, positions), gy.dtype)
        part = filters[:, channel * taps : (channel + channels) * taps]
        _of_images(part, g[image : image + images], columns)
        ready, steps = fold.of(gy.dtype), (positions, groups * channels * taps * positions)
        grid = grid_of(spec.input_size[0] * spec.input_size[1], groups * channels, images)
        ready(*grid, columns, gx, shape, groups, per_group, channel, channels, image, images, *steps)
    return gx


def _gw_by_columns(gy: Any, x: Any, spec: ConvSpec) -> Any:
    n, groups, per_group = spec.batch, spec.groups, spec.in_channels // spec.groups
    taps, positions = spec.kernel_size[0] * spec.kernel_size[1], spec.output_size[0] * spec.output_size[1]
    gw = xp.empty(spec.weight_shape, computed_in(x.dtype))
    out = gw.reshape(groups, -1, per_group * taps)
    g = gy.reshape(n, groups, -1, positions)
    shape = None if _is_pointwise(spec) else _shape(spec)
    for channel, channels, image, images in _chunks(spec, x.itemsize):
        these = slice(image, image + images)
        if shape is None:
            some = x.reshape(n, groups, per_group, positions)[these, :, channel : channel + channels]
            columns = _images_within(some)
        else:
            columns = xp.empty((groups, channels * taps, images * positions), x.dtype)
            ready, steps = unfold.of(x.dtype), (images * positions, positions)
            grid = grid_of(positions, groups * channels, images)
            ready(*grid, x, columns, shape, groups, per_group, channel, channels, image, images, *steps)
        part = out[:, :, channel * taps : (channel + channels) * taps]
        multiply(_images_within(g[these]), columns.swapaxes(1, 2), part, accumulate=image > 0)
    return gw.astype(x.dtype, copy=False)


# -- depthwise --------------------------------------------------------------------------------------------------------


@kernel("T* T* T* int64*", "efd")
def depthwise_forward(T):
    """y of x and w where each channel is a group: a thread for each position."""
    zero = T(0)

    def body(x, w, y, shape):
        channels, height, width, kh, kw, sh, sw, top, left, dh, dw, oh, ow = thirteen(shape)
        each, images = shape[13], shape[14]
        for p in range(cuda.grid(1), oh * ow, cuda.gridsize(1)):
            i = p // ow
            first_row, first_column = i * sh - top, (p - i * ow) * sw - left
            for o in range(cuda.blockIdx.y, channels * each, cuda.gridDim.y):
                for n in range(cuda.blockIdx.z, images, cuda.gridDim.z):
                    source = (n * channels + o // each) * height
                    total = zero
                    for u in range(kh):
                        h = first_row + u * dh
                        if h >= 0 and h < height:
                            for v in range(kw):
                                right = first_column + v * dw
                                if right >= 0 and right < width:
                                    total += T(x[(source + h) * width + right]) * T(w[(o * kh + u) * kw + v])
                    y[(n * channels * each + o) * oh * ow + p] = total

    return body


@kernel("T* T* T* int64*", "efd")
def depthwise_input_grad(T):
    """gx of gy and w where each channel is a group: a thread for each pixel."""
    zero = T(0)

    def body(gy, w, gx, shape):
        channels, height, width, kh, kw, sh, sw, top, left, dh, dw, oh, ow = thirteen(shape)
        each, images = shape[13], shape[14]
        for q in range(cuda.grid(1), height * width, cuda.gridsize(1)):
            row = q // width
            column = q - row * width
            for c in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
                for n in range(cuda.blockIdx.z, images, cuda.gridDim.z):
                    total = zero
                    for u in range(kh):
                        i = window_at(row + top - u * dh, sh, oh)
                        if i >= 0:
                            for v in range(kw):
                                j = window_at(column + left - v * dw, sw, ow)
                                if j >= 0:
                                    for o in range(c * each, (c + 1) * each):
                                        g = T(gy[((n * channels * each + o) * oh + i) * ow + j])
                                        total += g * T(w[(o * kh + u) * kw + v])
                    gx[(n * channels + c) * height * width + q] = total

    return body


@kernel("T* T* T* int64*", "efd", SIZES)
def depthwise_weight_grad(T, B):
    """gw of gy and x where each channel is a group: a block for each weight, its threads stride over all positions."""
    zero = T(0)

    def body(gy, x, gw, shape):
        parts = cuda.shared.array(B, T)
        t = cuda.threadIdx.x
        channels, height, width, kh, kw, sh, sw, top, left, dh, dw, oh, ow = thirteen(shape)
        each, images = shape[13], shape[14]
        for weight in range(cuda.blockIdx.x, channels * each * kh * kw, cuda.gridDim.x):
            o = weight // (kh * kw)
            tap = weight - o * kh * kw
            u = tap // kw
            down, right = u * dh - top, (tap - u * kw) * dw - left
            total = zero
            for k in range(t, images * oh * ow, B):
                n = k // (oh * ow)
                p = k - n * oh * ow
                i = p // ow
                h, w = i * sh + down, (p - i * ow) * sw + right
                if h >= 0 and h < height and w >= 0 and w < width:
                    value = T(x[((n * channels + o // each) * height + h) * width + w])
                    total += T(gy[(n * channels * each + o) * oh * ow + p]) * value
            total = sum_in_block(parts, t, B, total)
            if t == 0:
                gw[weight] = total

    return body


# -- the table's functions --------------------------------------------------------------------------------------------


@in_floats(reference.conv2d, "efd")
def conv2d(x: Any, w: Any, b: Any, spec: ConvSpec) -> Any:
    """y (N, O, OH, OW) of x (N, C, H, W), w (O, C / groups, KH, KW) and b (O,) or None."""
    x, w = xp.ascontiguousarray(x), xp.ascontiguousarray(w)
    if not spec.batch or not spec.in_channels:
        y = xp.zeros(spec.output_shape, x.dtype)
    elif _is_depthwise(spec):
        y = xp.empty(spec.output_shape, x.dtype)
        grid = grid_of(spec.output_size[0] * spec.output_size[1], spec.out_channels, spec.batch)
        depthwise_forward.of(x.dtype)(*grid, x, w, y, _shape(spec))
    elif winograd.chosen(spec, x.dtype):
        return winograd.forward(x, w, None if b is None else xp.ascontiguousarray(b), spec)
    else:
        y = _y_by_columns(x, w, spec)
    if b is not None:
        y += b[:, None, None]
    return y


@in_floats(reference.conv2d_input_grad, "efd")
def conv2d_input_grad(gy: Any, w: Any, spec: ConvSpec) -> Any:
    """gx (N, C, H, W): for each pixel, gy times the weight under which each window saw it."""
    gy, w = xp.ascontiguousarray(gy), xp.ascontiguousarray(w)
    if not spec.batch or not spec.in_channels:
        return xp.zeros(spec.input_shape, gy.dtype)
    if not _is_depthwise(spec):
        return (winograd.input_grad if winograd.chosen(spec, gy.dtype) else _gx_by_columns)(gy, w, spec)
    gx = xp.empty(spec.input_shape, gy.dtype)
    grid = grid_of(spec.input_size[0] * spec.input_size[1], spec.in_channels, spec.batch)
    depthwise_input_grad.of(gy.dtype)(*grid, gy, w, gx, _shape(spec))
    return gx


@in_floats(reference.conv2d_weight_grad, "efd")
def conv2d_weight_grad(gy: Any, x: Any, spec: ConvSpec) -> Any:
    """gw (O, C / groups, KH, KW): for each tap, gy times what it saw, over all images and positions."""
    gy, x = xp.ascontiguousarray(gy), xp.ascontiguousarray(x)
    if not spec.batch or not spec.in_channels:
        return xp.zeros(spec.weight_shape, x.dtype)
    if not _is_depthwise(spec):
        return (winograd.weight_grad if winograd.chosen(spec, gy.dtype) else _gw_by_columns)(gy, x, spec)
    gw = xp.empty(spec.weight_shape, x.dtype)
    blocks = min(gw.size, MOST_BLOCKS)
    depthwise_weight_grad.of(x.dtype, BLOCK)(blocks, BLOCK, gy, x, gw, _shape(spec))
    return gw
