"""Dilated convolution as an ordinary one: pixels meet only those whose rows and columns leave the same remainders.

With stride 1 and dilation d, the pixels (i * d + a, j * d + b) of the output see such pixels of the input only, for
each a and b below d. So an image falls into d * d small ones, its phases, which are convolved like a batch, without
dilation.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import prange

from ..geometry import ConvSpec, Pair
from .direct import lay_out, spread
from .gemm import plain
from .jit import kernel
from .memory import empty
from .threads import launch


def apply(spec: ConvSpec) -> bool:
    """Whether there is a dilation, no stride, and a padding that is the same for every phase."""
    whole = all(before % d == 0 for (before, _), d in zip(spec.padding, spec.dilation, strict=True))
    return spec.dilation != (1, 1) == spec.stride and whole


@lru_cache(maxsize=256)
def undilated(spec: ConvSpec) -> ConvSpec:
    """The convolution of the phases."""
    (ih, iw), (oh, ow) = (_least(size, spec.dilation) for size in (spec.input_size, spec.output_size))
    (kh, kw), (dh, dw), ((top, _), (left, _)) = spec.kernel_size, spec.dilation, spec.padding
    padding = (top // dh, oh + kh - 1 - ih - top // dh), (left // dw, ow + kw - 1 - iw - left // dw)
    return ConvSpec(
        spec.batch * dh * dw, spec.in_channels, spec.out_channels, (ih, iw), (kh, kw), (1, 1), padding, (1, 1),
        spec.groups, (oh, ow),
    )  # fmt: skip


def _least(size: Pair, dilation: Pair) -> Pair:
    """The size of phases that hold every pixel."""
    return -(-size[0] // dilation[0]), -(-size[1] // dilation[1])


@kernel(parallel=True)
def cut(workers, x, out, images, channels, phases, g):
    """out[image, phase, channel] = that phase of x[image, channel]; for (image, channel), shared out to the workers

    g: (H, W) of x, columns of a phase, dilation.
    """
    area, plane = g[0] * g[1], out.size // (images * channels * len(phases))
    for worker in prange(workers):
        for unit in range(worker, images * channels, workers):
            first = (unit // channels * len(phases) * channels + unit % channels) * plane
            lay_out(x, unit * area, 1, 0, plane // g[2], phases, channels * plane, out, first, g)


@kernel(parallel=True)
def merge(workers, x, out, images, channels, g):
    """The reverse: out[image, channel] from x[image, phase, channel]; g: (H, W) of out, (H, W) of x, dilation."""
    height, width, rows, columns, dh, dw = g
    for worker in prange(workers):
        for unit in range(worker, images * channels, workers):
            for a in range(min(dh, height)):
                first = (unit // channels * dh * dw + a * dw) * channels + unit % channels
                spread(
                    x, first * rows * columns, columns, channels * rows * columns, out,
                    (unit * height + a) * width, dh * width, dw, width, (height - a + dh - 1) // dh,
                )  # fmt: skip


def split(x: np.ndarray, dilation: Pair) -> np.ndarray:
    """The phases (N * DH * DW, C, ceil(H / DH), ceil(W / DW)) of x (N, C, H, W), with zeros where it has no pixels."""
    (n, c, h, w), (dh, dw) = x.shape, dilation
    rows, columns = _least((h, w), dilation)
    out = empty((n * dh * dw, c, rows, columns), x.dtype)
    phases = np.array([(a, b, 0) for a in range(dh) for b in range(dw)])
    g = h, w, columns, dh, dw
    launch(cut, plain(x).reshape(-1), out.reshape(-1), n, c, phases, g, elements=out.size)
    return out


def join(x: np.ndarray, dilation: Pair, size: Pair) -> np.ndarray:
    """(N, C, *size) of its phases."""
    images, channels, rows, columns = x.shape
    images //= dilation[0] * dilation[1]
    out = empty((images, channels, *size), x.dtype)
    g = *size, rows, columns, *dilation
    launch(merge, x.reshape(-1), out.reshape(-1), images, channels, g, elements=out.size)
    return out
