"""Normalization of groups of channels: a row for each image and group, which lies in memory without gaps.

A block normalizes a row: the mean, the squares around it, and the result are three walks over it, of which the second
and the third find it in a cache. The gradients of weight and bias are sums over images: a thread for each place of an
image adds up some images, and what the threads have found is added up once more. Every sum has a fixed order.
"""

from __future__ import annotations

from typing import Any

from numba import cuda

from ..reference import group_norm as reference
from .backend import SIMULATED, in_floats, xp
from .device import after, sqrt_of, sum_in_block
from .launch import BLOCK, MOST_BLOCKS, grid_of, kernel
from .reduce import sum

LEAST, MOST = (2, 8) if SIMULATED else (32, 512)  # threads of a block for short rows, and for long ones
SIZES = tuple((size, centred) for size in (LEAST, BLOCK, MOST) for centred in (True, False))
TOGETHER = 2 if SIMULATED else 64  # images that a thread adds up, at most
WORK = 8 if SIMULATED else 1 << 17  # threads that keep a GPU busy


def _block(count: int) -> int:
    return LEAST if count <= 4 * LEAST else BLOCK if count <= 64 * BLOCK else MOST


@kernel("T* T* T* T* T* T* int64 int64 int64 int64 T", constants=SIZES)
def forward(T, B, centred):
    """y = (x - mean) * rstd * weight + bias with rstd = 1 / sqrt(mean((x - mean)**2) + eps): a block for each row.

    Not `centred`, there is no mean and no bias.

    Args of the kernel:
        groups: rows of an image.
        channels, length: of a row.
    """
    zero, one = T(0), T(1)

    def body(x, weight, bias, y, mean, rstd, rows, groups, channels, length, eps):
        parts = cuda.shared.array(B, T)
        t = cuda.threadIdx.x
        count = channels * length
        more_channels, more = B // length, B % length
        first_channel = t // length
        for r in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
            start = r * count
            middle, total = zero, zero
            if centred:
                for k in range(start + t, start + count, B):
                    total += x[k]
                middle = sum_in_block(parts, t, B, total) / T(count)
                total = zero
            for k in range(start + t, start + count, B):
                d = x[k] - middle
                total += d * d
            scale = one / sqrt_of(sum_in_block(parts, t, B, total) / T(count) + eps)
            if t == 0:
                rstd[r] = scale
                if centred:
                    mean[r] = middle
            c, l = r % groups * channels + first_channel, t - first_channel * length  # noqa: E741
            for k in range(start + t, start + count, B):
                value = (x[k] - middle) * scale * weight[c]
                y[k] = value + bias[c] if centred else value
                c, l = after(c, l, more_channels, more, length)  # noqa: E741

    return body


@kernel("T* T* T* T* T* T* int64 int64 int64 int64", constants=SIZES)
def backward(T, B, centred):
    """gx = rstd * (g - mean(g) - xhat * mean(g * xhat)) with g = gy * weight: a block for each row; see `forward`.

    Not `centred`, there is no mean, neither of x nor of g.
    """
    zero = T(0)

    def body(gy, x, mean, rstd, weight, gx, rows, groups, channels, length):
        parts = cuda.shared.array(B, T)
        t = cuda.threadIdx.x
        count = channels * length
        more_channels, more = B // length, B % length
        first_channel = t // length
        for r in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
            start, scale = r * count, rstd[r]
            middle = mean[r] if centred else zero
            level, slope = zero, zero
            for walk in range(2):
                c, l = r % groups * channels + first_channel, t - first_channel * length  # noqa: E741
                for k in range(start + t, start + count, B):
                    g, xhat = gy[k] * weight[c], (x[k] - middle) * scale
                    if walk == 0:
                        level += g
                        slope += g * xhat
                    else:
                        gx[k] = scale * (g - level - xhat * slope)
                    c, l = after(c, l, more_channels, more, length)  # noqa: E741
                if walk == 0:
                    level = sum_in_block(parts, t, B, level) / T(count) if centred else zero
                    slope = sum_in_block(parts, t, B, slope) / T(count)

    return body


@kernel("T* T* T* T* T* T* int64 int64 int64 int64", constants=((True,), (False,)))
def weight_slopes(T, centred):
    """Sums of gy and of gy * xhat over `part` images: a thread for each place of an image, blocks along the parts."""
    zero = T(0)

    def body(gy, x, mean, rstd, levels, slopes, images, groups, count, part):
        width = groups * count
        for q in range(cuda.grid(1), width, cuda.gridsize(1)):
            group = q // count
            for s in range(cuda.blockIdx.y, (images + part - 1) // part, cuda.gridDim.y):
                level, slope = zero, zero
                for n in range(s * part, min((s + 1) * part, images)):
                    g, row = gy[n * width + q], n * groups + group
                    middle = mean[row] if centred else zero
                    level += g
                    slope += g * ((x[n * width + q] - middle) * rstd[row])
                slopes[s * width + q] = slope
                if centred:
                    levels[s * width + q] = level

    return body


def _forward(x: Any, weight: Any, bias: Any, groups: int, eps: float) -> tuple[Any, Any, Any]:
    """(y, mean, rstd); without bias there is no mean, and what is returned for it is of no use."""
    x, weight = xp.ascontiguousarray(x), xp.ascontiguousarray(weight)
    images, channels, length = x.shape
    y, rstd = xp.empty(x.shape, x.dtype), xp.empty((images, groups), x.dtype)
    centred = bias is not None
    mean = xp.empty(rstd.shape, x.dtype) if centred else rstd
    block = _block(channels // groups * length)
    ready, blocks = forward.of(x.dtype, block, centred), min(rstd.size, MOST_BLOCKS)
    sizes = rstd.size, groups, channels // groups, length
    added = xp.ascontiguousarray(bias) if centred else weight
    ready(blocks, block, x, weight, added, y, mean, rstd, *sizes, x.dtype.type(eps))
    return y, mean, rstd


def _backward(gy: Any, x: Any, mean: Any, rstd: Any, weight: Any, groups: int) -> tuple[Any, Any, Any]:
    """(gx, levels, slopes): the sums over some images, (parts, C, L); `mean` is None where there is none."""
    gy, x, rstd, weight = [xp.ascontiguousarray(a) for a in (gy, x, rstd, weight)]
    centred = mean is not None
    mean = xp.ascontiguousarray(mean) if centred else rstd
    images, channels, length = x.shape
    count = channels // groups * length
    gx, block = xp.empty(x.shape, x.dtype), _block(count)
    ready, blocks = backward.of(x.dtype, block, centred), min(rstd.size, MOST_BLOCKS)
    ready(blocks, block, gy, x, mean, rstd, weight, gx, rstd.size, groups, channels // groups, length)
    part = min(max(x.size // WORK, 1), TOGETHER)
    slopes = xp.empty((-(-images // part), channels, length), x.dtype)
    levels = xp.empty(slopes.shape, x.dtype) if centred else slopes
    grid = grid_of(channels * length, len(slopes))
    weight_slopes.of(x.dtype, centred)(*grid, gy, x, mean, rstd, levels, slopes, images, groups, count, part)
    return gx, levels, slopes


@in_floats(reference.group_norm)
def group_norm(x: Any, weight: Any, bias: Any, groups: int, eps: float) -> tuple[Any, Any, Any]:
    """(y, mean, rstd): y = (x - mean) * rstd * weight + bias, with weight and bias (C,).

    mean and rstd = 1 / sqrt(variance + eps), with the biased variance, are those of each group: (N, G).
    """
    return _forward(x, weight, bias, groups, eps) if x.size else reference.group_norm(x, weight, bias, groups, eps)


@in_floats(reference.group_norm_grad)
def group_norm_grad(gy: Any, x: Any, mean: Any, rstd: Any, weight: Any, groups: int) -> tuple[Any, Any, Any]:
    """(gx, gweight, gbias). With xhat = (x - mean) * rstd, g = gy * weight and means over each group:

    gx = rstd * (g - mean(g) - xhat * mean(g * xhat))
    """
    if not x.size:
        return reference.group_norm_grad(gy, x, mean, rstd, weight, groups)
    gx, levels, slopes = _backward(gy, x, mean, rstd, weight, groups)
    return gx, sum(slopes, (0, 2), False), sum(levels, (0, 2), False)


@in_floats(reference.rms_norm)
def rms_norm(x: Any, weight: Any, eps: float) -> tuple[Any, Any]:
    """(y, rstd) of rows x (R, K): y = x * rstd * weight with rstd = 1 / sqrt(mean(x**2) + eps), weight (K,)."""
    if not x.size:
        return reference.rms_norm(x, weight, eps)
    y, _, rstd = _forward(x[:, :, None], weight, None, 1, eps)
    return y.reshape(x.shape), rstd.reshape(-1)


@in_floats(reference.rms_norm_grad)
def rms_norm_grad(gy: Any, x: Any, rstd: Any, weight: Any) -> tuple[Any, Any]:
    """(gx, gweight). With xhat = x * rstd and g = gy * weight: gx = rstd * (g - xhat * mean(g * xhat))"""
    if not x.size:
        return reference.rms_norm_grad(gy, x, rstd, weight)
    gx, _, slopes = _backward(gy[:, :, None], x[:, :, None], None, rstd, weight, 1)
    return gx.reshape(x.shape), sum(slopes, (0, 2), False)
