"""Group, instance, layer and RMS normalization: each group of numbers is read twice, the second time from the cache.

A group is a run of memory: `depth` channels of `length` elements. A layer norm's rows have length 1, so that weight
and bias change from element to element; then rows are gone through as vectors, else channels.

Sums are made of runs of RUN elements in the dtype of x, and these are added in float64. The gradients of weight and
bias are sums over the batch: of UNITS parts of it, or column by column. Both depend on the shape alone.
"""

from __future__ import annotations

import numpy as np
from numba import prange, uintp

from .gemm import plain
from .jit import helper, kernel
from .memory import empty
from .simd_rows import NO_FLOOR, row_mix, row_moments, row_products, row_scale
from .threads import launch

RUN = 4096  # elements of one sum in the dtype of x
FAR = 16  # squares of distances from the origin to those from the mean: more cost a digit
SHORT = 32  # elements of a channel; fewer are not worth a call of their own
UNITS = 32  # parts of the batch, each with sums of its own
FLUSH = 64  # rows that are summed in the dtype of x
WIDE = 4096  # channels; from there on, sums for each part would take more memory than they save
STRIP = 256  # columns that are summed side by side


@helper
def _add_moments(x, at, count, origin, totals):
    """totals = the sums of x - origin and of its square over a group"""
    totals[0] = totals[1] = 0
    for start in range(0, count, RUN):
        row_moments(x, at + start, RUN, min(RUN, count - start), 1, origin, totals)


@helper
def _statistics(x, at, count, eps, totals):
    """(mean, 1 / sqrt(variance + eps)) of a group, in float64.

    Distances are taken from its first element. If that turns out to be many times further from the mean than the
    values spread, the difference of two large numbers has lost digits of the variance: then they are taken from the
    mean.
    """
    origin = x[at] if np.isfinite(x[at]) else x.dtype.type(0)
    _add_moments(x, at, count, origin, totals)
    mu = totals[0] / count
    spread = totals[1] / count - mu * mu
    if mu * mu > FAR * spread:
        origin = x.dtype.type(origin + mu)
        _add_moments(x, at, count, origin, totals)
        mu = totals[0] / count
        spread = totals[1] / count - mu * mu
    if spread < 0:
        spread = 0.0
    return origin + mu, 1.0 / np.sqrt(spread + eps)


@kernel(parallel=True)
def forward(workers, x, shape, weight, bias, y, moments, eps, centred):
    """y = (x - mean) * rstd * weight + bias, group by group; not centred: the mean counts as 0, as does the bias."""
    batch, groups, depth, length = shape
    count = depth * length
    for worker in prange(workers):
        totals = np.empty(2)
        for row in range(batch * groups * worker // workers, batch * groups * (worker + 1) // workers):
            at = row * count
            if centred:
                mu, inverse = _statistics(x, at, count, eps, totals)
            else:
                _add_moments(x, at, count, x.dtype.type(0), totals)
                mu, inverse = 0.0, 1.0 / np.sqrt(totals[1] / count + eps)
            center, scale = x.dtype.type(mu), x.dtype.type(inverse)
            moments[0, row], moments[1, row] = center, scale
            c = row % groups * depth
            if length == 1:
                source, w, b, out = x[at : at + depth], weight[c : c + depth], bias[c : c + depth], y[at : at + depth]
                for j in range(uintp(depth)):
                    out[j] = (source[j] - center) * scale * w[j] + b[j]
            else:
                for k in range(depth):
                    slope = x.dtype.type(weight[c + k] * inverse)
                    floor = x.dtype.type(NO_FLOOR)
                    row_scale(x, y, at + k * length, length, length, 1, center, slope, bias[c + k], floor)


@helper
def _differentiate_row(g, row, w, out, center, scale, centred):
    """gx of one row of a layer norm: scale * (g * w - mean(g * w) - xhat * mean(g * w * xhat))"""
    depth = len(row)
    total, product = 0.0, 0.0
    for start in range(0, depth, RUN):
        sum_of_g, sum_of_products = row.dtype.type(0), row.dtype.type(0)
        for j in range(uintp(start), uintp(min(start + RUN, depth))):
            weighed = g[j] * w[j]
            sum_of_g += weighed
            sum_of_products += weighed * (row[j] - center)
        total += sum_of_g
        product += sum_of_products
    inverse = np.float64(scale)
    slope = row.dtype.type(product / depth * inverse * inverse * inverse)
    level = row.dtype.type(total / depth * inverse if centred else 0.0)
    for j in range(uintp(depth)):
        out[j] = g[j] * w[j] * scale - (row[j] - center) * slope - level


@helper
def _flush(runs, totals):
    """totals += runs, runs = 0"""
    for k in range(2):
        run, total = runs[k], totals[k]
        for j in range(uintp(len(run))):
            total[j] += run[j]
        run[:] = 0


@kernel(parallel=True)
def backward_rows(workers, gy, x, shape, mean, rstd, weight, gx, parts, centred):
    """gx where length is 1, and in parts (units, 2, C) the sums of gy * xhat and of gy over a part of the batch.

    Traffic: gy and x are read, gx written; what a row is read for a second and a third time is in the cache.
    """
    batch, groups, depth, _ = shape
    units, _, channels = parts.shape  # without channels nothing is summed
    for worker in prange(workers):
        runs = np.zeros((2, channels), x.dtype)
        for unit in range(worker, units, workers):
            parts[unit] = 0
            first, last = batch * unit // units, batch * (unit + 1) // units
            for n in range(first, last):
                for group in range(groups):
                    row, c = n * groups + group, group * depth
                    at, center, scale = row * depth, mean[row], rstd[row]
                    g, source = gy[at : at + depth], x[at : at + depth]
                    _differentiate_row(g, source, weight[c : c + depth], gx[at : at + depth], center, scale, centred)
                    if channels:
                        of_products, of_g = runs[0, c : c + depth], runs[1, c : c + depth]
                        for j in range(uintp(depth)):
                            of_g[j] += g[j]
                            of_products[j] += g[j] * ((source[j] - center) * scale)
                if (n - first) % FLUSH == FLUSH - 1:
                    _flush(runs, parts[unit])
            _flush(runs, parts[unit])


@kernel(parallel=True)
def sum_columns(workers, gy, x, shape, mean, rstd, sums):
    """sums (2, C): those of gy * xhat and of gy over the batch, where length is 1; a strip of columns at a time."""
    batch, groups, depth, _ = shape
    strips = (depth + STRIP - 1) // STRIP
    for worker in prange(workers):
        runs, totals = np.zeros((2, STRIP), x.dtype), np.empty((2, STRIP))
        of_products, of_g = runs[0], runs[1]
        for unit in range(worker, groups * strips, workers):
            group, start = unit // strips, unit % strips * STRIP
            width = min(STRIP, depth - start)
            totals[:] = 0
            for n in range(batch):
                row = n * groups + group
                at, center, scale = row * depth + start, mean[row], rstd[row]
                g, source = gy[at : at + width], x[at : at + width]
                for j in range(uintp(width)):
                    of_g[j] += g[j]
                    of_products[j] += g[j] * ((source[j] - center) * scale)
                if n % FLUSH == FLUSH - 1:
                    _flush(runs, totals)
            _flush(runs, totals)
            c = group * depth + start
            for k in range(2):
                for j in range(width):
                    sums[k, c + j] = totals[k, j]


@kernel(parallel=True)
def backward_channels(workers, gy, x, shape, mean, rstd, weight, gx, products, gweight, gbias):
    """All gradients where channels have a length; products (N * C, 2): the sums of gy and gy * (x - mean) of each.

    Traffic: gy and x are read twice, the second time mostly from the cache, and gx is written.
    """
    batch, groups, depth, length = shape
    channels, count = groups * depth, depth * length
    for worker in prange(workers):
        for row in range(batch * groups * worker // workers, batch * groups * (worker + 1) // workers):
            center, inverse = mean[row], np.float64(rstd[row])
            total, product = 0.0, 0.0
            for k in range(depth):
                at, sums = (row * depth + k) * length, products[row * depth + k]
                sums[0] = sums[1] = 0
                for start in range(0, length, RUN):
                    place = at + start, RUN, min(RUN, length - start), 1
                    row_products(gy, x, *place, center, center, center, x.dtype.type(NO_FLOOR), sums)
                w = weight[(row % groups) * depth + k]
                total += w * sums[0]
                product += w * sums[1]
            slope = x.dtype.type(product / count * inverse * inverse * inverse)
            level = x.dtype.type(total / count * inverse)
            for back in range(depth):  # backwards: what was read last is in the nearest cache
                k = depth - 1 - back
                at, scale = (row * depth + k) * length, x.dtype.type(weight[row % groups * depth + k] * inverse)
                row_mix(gy, x, gx, at, length, length, 1, center, scale, slope, level)
    for worker in prange(workers):
        for c in range(channels * worker // workers, channels * (worker + 1) // workers):
            of_g, of_products = 0.0, 0.0
            for n in range(batch):
                of_g += products[n * channels + c, 0]
                of_products += products[n * channels + c, 1] * rstd[n * groups + c // depth]
            gweight[c], gbias[c] = of_products, of_g


def _forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, groups: int, eps: float, centred: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, c, length = x.shape
    y, moments = empty(x.shape, x.dtype), np.empty((2, n, groups), x.dtype)
    if not x.size:
        moments.fill(np.nan)
    else:
        w, b, shape = plain(weight), plain(bias), (n, groups, c // groups, length)
        if 1 < length < SHORT:
            w, b, shape = np.repeat(w, length), np.repeat(b, length), (n, groups, c // groups * length, 1)
        arrays = plain(x).reshape(-1), shape, w, b, y.reshape(-1), moments.reshape(2, -1)
        launch(forward, *arrays, float(eps), centred, elements=x.size)
    return y, moments[0], moments[1]


def _backward_rows(
    gy: np.ndarray, x: np.ndarray, mean: np.ndarray, rstd: np.ndarray, weight: np.ndarray, groups: int, centred: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(gx, the sums over the batch of gy * xhat and of gy) where length is 1"""
    n, c, _ = x.shape
    gx, shape = empty(x.shape, x.dtype), (n, groups, c // groups, 1)
    parts = np.empty((min(n, UNITS), 2, c if c < WIDE else 0))
    flat = plain(gy).reshape(-1), plain(x).reshape(-1), shape, plain(mean).reshape(-1), plain(rstd).reshape(-1)
    launch(backward_rows, *flat, plain(weight), gx.reshape(-1), parts, centred, elements=x.size)
    if c < WIDE:
        return gx, parts.sum(axis=0).astype(x.dtype)
    sums = np.empty((2, c), x.dtype)
    launch(sum_columns, *flat, sums, elements=x.size)
    return gx, sums


def group_norm(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, groups: int, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(y, mean, rstd): y = (x - mean) * rstd * weight + bias, with the mean and rstd (N, G) of each group."""
    return _forward(x, weight, bias, groups, eps, True)


def group_norm_grad(
    gy: np.ndarray, x: np.ndarray, mean: np.ndarray, rstd: np.ndarray, weight: np.ndarray, groups: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(gx, gweight, gbias) of `group_norm`."""
    n, c, length = x.shape
    if not x.size:
        return empty(x.shape, x.dtype), *np.zeros((2, c), x.dtype)
    if length < SHORT:
        if length > 1:
            gy, x, weight = gy.reshape(n, -1, 1), x.reshape(n, -1, 1), np.repeat(weight, length)
        gx, sums = _backward_rows(gy, x, mean, rstd, weight, groups, True)
        if length > 1:
            gx, sums = gx.reshape(n, c, length), sums.reshape(2, c, length).sum(axis=2)
        return gx, sums[0], sums[1]
    gx, products = empty(x.shape, x.dtype), np.empty((n * c, 2))
    gweight, gbias = np.empty(c, x.dtype), np.empty(c, x.dtype)  # no views: leaves keep them
    given = plain(gy).reshape(-1), plain(x).reshape(-1), (n, groups, c // groups, length)
    rule = plain(mean).reshape(-1), plain(rstd).reshape(-1), plain(weight)
    launch(backward_channels, *given, *rule, gx.reshape(-1), products, gweight, gbias, elements=x.size)
    return gx, gweight, gbias


def rms_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """(y, rstd) of rows x (R, K): y = x * rstd * weight with rstd = 1 / sqrt(mean(x**2) + eps)."""
    y, _, rstd = _forward(x[:, :, None], weight, np.zeros_like(weight), 1, eps, False)
    return y[:, :, 0], rstd[:, 0]


def rms_norm_grad(gy: np.ndarray, x: np.ndarray, rstd: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(gx, gweight) of `rms_norm`."""
    if not x.size:
        return empty(x.shape, x.dtype), np.zeros_like(weight)
    gx, sums = _backward_rows(gy[:, :, None], x[:, :, None], np.zeros_like(rstd), rstd, weight, 1, False)
    return gx[:, :, 0], sums[0]
