"""Batch normalization of x (N, C, L): for each channel, over N and L.

Sums are made in two levels and always in the same order: blocks sum up parts of a channel, then one block for each
channel puts the parts together. Mean and variance are found for each part around its own mean (Chan, Golub and LeVeque,
1979), so that float32 suffices. Traffic: training reads x three times, the second time a part that is in the cache.
"""

from __future__ import annotations

import math
from typing import Any

from numba import cuda

from ..reference import norm as reference
from .backend import SIMULATED, in_floats, xp
from .device import after, sqrt_of, sum_in_block
from .launch import BLOCK, MOST_BLOCKS, capped, computed_in, flat, kernel

PART = 8 if SIMULATED else 4096  # elements of a channel that a block sums up, at least
MOST_PARTS = 3 if SIMULATED else 1024  # of a channel
SIZES = ((BLOCK,),)


@cuda.jit(device=True)
def normalized(x, mean, var, weight, bias, eps):
    """The formula, the same in all kernels to the bit."""
    return (x - mean) * (weight / sqrt_of(var + eps)) + bias


@kernel("T* A* A* int64 int64 int64 int64 int64", "efd", SIZES)
def part_moments(T, B):
    """For each part of each channel its mean, and the sum of squares around it."""
    zero = T(0)

    def body(x, means, squares, images, channels, length, part, parts):
        shared = cuda.shared.array(B, T)
        t = cuda.threadIdx.x
        s = cuda.blockIdx.x
        first, end = s * part, min((s + 1) * part, images * length)
        count = T(end - first)
        more_images, more = B // length, B % length
        for c in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            start_n = (first + t) // length
            start_l = first + t - start_n * length
            n, l = start_n, start_l  # noqa: E741
            total = zero
            for _ in range(first + t, end, B):
                total += T(x[(n * channels + c) * length + l])
                n, l = after(n, l, more_images, more, length)  # noqa: E741
            mean = sum_in_block(shared, t, B, total) / count
            n, l = start_n, start_l  # noqa: E741
            total = zero
            for _ in range(first + t, end, B):
                d = T(x[(n * channels + c) * length + l]) - mean
                total += d * d
                n, l = after(n, l, more_images, more, length)  # noqa: E741
            total = sum_in_block(shared, t, B, total)
            if t == 0:
                means[c * parts + s] = mean
                squares[c * parts + s] = total

    return body


@kernel("T* T* T* T* int64 int64 int64 int64", constants=SIZES)
def whole_moments(T, B):
    """Mean and biased variance of each channel, of those of its parts: a block for each."""
    zero = T(0)

    def body(means, squares, mean, var, channels, count, part, parts):
        shared = cuda.shared.array(B, T)
        t = cuda.threadIdx.x
        for c in range(cuda.blockIdx.x, channels, cuda.gridDim.x):
            first = means[c * parts]
            total = zero
            for s in range(t, parts, B):
                total += (means[c * parts + s] - first) * T(min(part, count - s * part))
            middle = first + sum_in_block(shared, t, B, total) / T(count)
            total = zero
            for s in range(t, parts, B):
                d = means[c * parts + s] - middle
                total += squares[c * parts + s] + d * d * T(min(part, count - s * part))
            total = sum_in_block(shared, t, B, total)
            if t == 0:
                mean[c] = middle
                var[c] = total / T(count)

    return body


@kernel("T* A* A* A* A* T* T* int64 int64 int64 T int64 int64", "efd")
def forward(T):
    """y of x by the formula, plus `other` if there is one, cut off below 0 if asked for."""
    zero = T(0)

    def body(x, mean, var, weight, bias, other, y, n, channels, length, eps, with_other, relu):
        i, step = cuda.grid(1), cuda.gridsize(1)
        plane, more = i // length, step // length
        l, more_l = i - plane * length, step - more * length  # noqa: E741
        c, more_c = plane % channels, more % channels
        while i < n:
            value = normalized(T(x[i]), mean[c], var[c], weight[c], bias[c], eps)
            if with_other:
                value += T(other[i])
            if relu and value < zero:
                value = zero
            y[i] = value
            i += step
            c, l = after(c, l, more_c, more_l, length)  # noqa: E741
            if c >= channels:
                c -= channels

    return body


@kernel("T* T* A* A* A* A* A* A* int64 int64 int64 int64 int64 T int64", "efd", SIZES)
def part_slopes(T, B):
    """For each part of each channel the sums of gy and of gy * xhat."""
    zero, one = T(0), T(1)

    def body(gy, x, mean, var, weight, bias, levels, slopes, images, channels, length, part, parts, eps, masked):
        shared = cuda.shared.array(B, T)
        t = cuda.threadIdx.x
        s = cuda.blockIdx.x
        first, end = s * part, min((s + 1) * part, images * length)
        more_images, more = B // length, B % length
        for c in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            n = (first + t) // length
            l = first + t - n * length  # noqa: E741
            level, slope = zero, zero
            inverse = one / sqrt_of(var[c] + eps)
            for _ in range(first + t, end, B):
                i = (n * channels + c) * length + l
                g, seen = T(gy[i]), T(x[i])
                if masked and normalized(seen, mean[c], var[c], weight[c], bias[c], eps) <= zero:
                    g = zero
                level += g
                slope += g * ((seen - mean[c]) * inverse)
                n, l = after(n, l, more_images, more, length)  # noqa: E741
            level = sum_in_block(shared, t, B, level)
            slope = sum_in_block(shared, t, B, slope)
            if t == 0:
                levels[c * parts + s] = level
                slopes[c * parts + s] = slope

    return body


@kernel("T* T* T* T* int64 int64", constants=SIZES)
def whole_slopes(T, B):
    """gbias and gweight of each channel, of the sums of its parts: a block for each."""
    zero = T(0)

    def body(levels, slopes, gbias, gweight, channels, parts):
        shared = cuda.shared.array(B, T)
        t = cuda.threadIdx.x
        for c in range(cuda.blockIdx.x, channels, cuda.gridDim.x):
            level, slope = zero, zero
            for s in range(t, parts, B):
                level += levels[c * parts + s]
                slope += slopes[c * parts + s]
            level = sum_in_block(shared, t, B, level)
            slope = sum_in_block(shared, t, B, slope)
            if t == 0:
                gbias[c] = level
                gweight[c] = slope

    return body


@kernel("T* T* A* A* A* A* A* A* T* int64 int64 int64 T T int64", "efd")
def backward(T):
    """gx = weight / sqrt(var + eps) * (gy - gbias / count - xhat * gweight / count)"""
    zero, one = T(0), T(1)

    def body(gy, x, mean, var, weight, bias, gbias, gweight, gx, n, channels, length, eps, count, masked):
        i, step = cuda.grid(1), cuda.gridsize(1)
        plane, more = i // length, step // length
        l, more_l = i - plane * length, step - more * length  # noqa: E741
        c, more_c = plane % channels, more % channels
        while i < n:
            g, seen = T(gy[i]), T(x[i])
            if masked and normalized(seen, mean[c], var[c], weight[c], bias[c], eps) <= zero:
                g = zero
            inverse = one / sqrt_of(var[c] + eps)
            xhat = (seen - mean[c]) * inverse
            gx[i] = weight[c] * inverse * (g - gbias[c] / count - xhat * (gweight[c] / count))
            i += step
            c, l = after(c, l, more_c, more_l, length)  # noqa: E741
            if c >= channels:
                c -= channels

    return body


def _parts(x: Any) -> tuple[int, int]:
    """(part, parts): into how many parts each channel is split, of how many elements; the last may have fewer."""
    count = x.shape[0] * x.shape[2]
    part = max(PART, math.ceil(count / MOST_PARTS))
    return part, math.ceil(count / part)


@in_floats(reference.batch_norm_train, "efd")
def batch_norm_train(x: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any]:
    """(y, mean, var): y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance."""
    mean, var = batch_norm_moments(x)
    return batch_norm_eval(x, mean, var, weight, bias, eps), mean, var


@in_floats(reference.batch_norm_moments, "efd")
def batch_norm_moments(x: Any) -> tuple[Any, Any]:
    """(mean, var) of each channel; the biased variance."""
    x = xp.ascontiguousarray(x)
    (images, channels, length), wide = x.shape, computed_in(x.dtype)
    if not x.size:
        return xp.full((channels,), math.nan, wide), xp.full((channels,), math.nan, wide)
    part, parts = _parts(x)
    means, squares = xp.empty((channels, parts), wide), xp.empty((channels, parts), wide)
    grid = parts, capped(channels)
    part_moments.of(x.dtype, BLOCK)(grid, BLOCK, x, means, squares, images, channels, length, part, parts)
    mean, var = xp.empty((channels,), wide), xp.empty((channels,), wide)
    ready, blocks = whole_moments.of(wide, BLOCK), min(channels, MOST_BLOCKS)
    ready(blocks, BLOCK, means, squares, mean, var, channels, images * length, part, parts)
    return mean, var


@in_floats(reference.batch_norm_train_grad, "efd")
def batch_norm_train_grad(
    gy: Any, x: Any, mean: Any, var: Any, weight: Any, eps: float, bias: Any = None
) -> tuple[Any, Any, Any]:
    """(gx, gweight, gbias). With xhat = (x - mean) / sqrt(var + eps) and means over N and L:

    gx = weight / sqrt(var + eps) * (gy - mean(gy) - xhat * mean(gy * xhat))

    Given the bias, gy is the gradient of max(y, 0), and counts as 0 where y <= 0.
    """
    gy, x = xp.ascontiguousarray(gy), xp.ascontiguousarray(x)
    (images, channels, length), wide = x.shape, computed_in(x.dtype)
    gx, gweight, gbias = xp.empty(x.shape, x.dtype), xp.zeros((channels,), wide), xp.zeros((channels,), wide)
    if not x.size:
        return gx, gweight, gbias
    rule = [xp.ascontiguousarray(a, wide) for a in (mean, var, weight, weight if bias is None else bias)]
    masked, eps = int(bias is not None), wide.type(eps)
    part, parts = _parts(x)
    levels, slopes = xp.empty((channels, parts), wide), xp.empty((channels, parts), wide)
    sizes = images, channels, length, part, parts
    grid = parts, capped(channels)
    part_slopes.of(x.dtype, BLOCK)(grid, BLOCK, gy, x, *rule, levels, slopes, *sizes, eps, masked)
    ready, blocks = whole_slopes.of(wide, BLOCK), min(channels, MOST_BLOCKS)
    ready(blocks, BLOCK, levels, slopes, gbias, gweight, channels, parts)
    count = wide.type(images * length)
    ready = backward.of(x.dtype)
    ready(*flat(x.size), gy, x, *rule, gbias, gweight, gx, x.size, channels, length, eps, count, masked)
    return gx, gweight, gbias


@in_floats(reference.batch_norm_eval, "efd")
def batch_norm_eval(
    x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float, other: Any = None, relu: bool = False
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, then plus `other` (of x's shape), then max(., 0), if asked for.

    Here x may be (N, C, ...), of any rank.
    """
    x = xp.ascontiguousarray(x)
    y = xp.empty(x.shape, x.dtype)
    if x.size:
        wide = computed_in(x.dtype)
        rule = [xp.ascontiguousarray(a, wide) for a in (mean, var, weight, bias)]
        added = x if other is None else xp.ascontiguousarray(other)
        length = x.size // (x.shape[0] * x.shape[1])
        numbers = x.size, x.shape[1], length, wide.type(eps), int(other is not None), int(relu)
        forward.of(x.dtype)(*flat(x.size), x, *rule, added, y, *numbers)
    return y
