"""Convolution and its gradients: one sum over the taps of the kernel.

    y[n, o, i, j] = sum over c, u, v of xpad[n, c, i*s + u*d, j*s + v*d] * w[o, c, u, v]

For a fixed tap (u, v) the positions in the padded image are a strided slice of it, and what is left is a product of
matrices: (filters x channels) with (channels x positions), for each image and each group.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..geometry import ConvSpec, PoolSpec
from . import silent


def _padded(x: np.ndarray, spec: ConvSpec) -> np.ndarray:
    return np.pad(x, ((0, 0), (0, 0), *spec.padding))


def _taps(spec: ConvSpec | PoolSpec) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
    """Every tap (u, v) with the rows and columns of the padded image that it sees, one for each output element."""
    (oh, ow), (sh, sw), (dh, dw) = spec.output_size, spec.stride, spec.dilation
    for u in range(spec.kernel_size[0]):
        for v in range(spec.kernel_size[1]):
            rows = slice(u * dh, u * dh + (oh - 1) * sh + 1, sh)
            columns = slice(v * dw, v * dw + (ow - 1) * sw + 1, sw)
            yield u, v, (rows, columns)


def _matrices(image: np.ndarray, groups: int) -> np.ndarray:
    """(N, C, A, B) as (N, groups, C / groups, A * B): for each image and group, a row per channel."""
    n, channels, height, width = image.shape
    return image.reshape(n, groups, channels // groups, height * width)


def _filters(w: np.ndarray, groups: int) -> np.ndarray:
    """(O, C / groups, KH, KW) as (groups, O / groups, C / groups, KH, KW)."""
    return w.reshape(groups, w.shape[0] // groups, *w.shape[1:])


@silent
def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, spec: ConvSpec) -> np.ndarray:
    """y (N, O, OH, OW) of x (N, C, H, W), w (O, C / groups, KH, KW) and b (O,) or None."""
    xpad, filters = _padded(x, spec), _filters(w, spec.groups)
    y = np.zeros(spec.output_shape, x.dtype)
    for u, v, (rows, columns) in _taps(spec):
        seen = _matrices(xpad[:, :, rows, columns], spec.groups)
        tap = np.ascontiguousarray(filters[..., u, v])  # BLAS takes no others
        y += (tap @ seen).reshape(y.shape)
    return y if b is None else y + b[:, None, None]


@silent
def conv2d_input_grad(gy: np.ndarray, w: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gx (N, C, H, W): every tap adds gy times its weight where it looked; overlapping windows add up."""
    g, filters = _matrices(gy, spec.groups), _filters(w, spec.groups)
    gxpad = _padded(np.zeros(spec.input_shape, gy.dtype), spec)
    for u, v, (rows, columns) in _taps(spec):
        tap = np.ascontiguousarray(filters[..., u, v])
        share = tap.swapaxes(-1, -2) @ g
        gxpad[:, :, rows, columns] += share.reshape(spec.batch, spec.in_channels, *spec.output_size)
    ((top, _), (left, _)), (height, width) = spec.padding, spec.input_size
    return np.ascontiguousarray(gxpad[:, :, top : top + height, left : left + width])


@silent
def conv2d_weight_grad(gy: np.ndarray, x: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gw (O, C / groups, KH, KW): every tap gathers gy times what it saw, over all images and positions."""
    xpad, g = _padded(x, spec), _matrices(gy, spec.groups)
    gw = np.zeros(spec.weight_shape, x.dtype)
    filters = _filters(gw, spec.groups)  # a view
    for u, v, (rows, columns) in _taps(spec):
        seen = _matrices(xpad[:, :, rows, columns], spec.groups)
        filters[..., u, v] = (g @ seen.swapaxes(-1, -2)).sum(axis=0)
    return gw
