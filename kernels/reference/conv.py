"""Convolution and its gradients: one sum over the taps of the kernel.

Written with y[n, o, i, j] = sum over c, u, v of xpad[n, c, i*s + u*d, j*s + v*d] * w[o, c, u, v]: for a fixed tap (u, v)
the input positions are a strided slice of the padded image, and what is left is a product of matrices over channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..geometry import ConvSpec


def _padded(x: np.ndarray, spec: ConvSpec) -> np.ndarray:
    return np.pad(x, ((0, 0), (0, 0), *spec.padding))


def _taps(spec: ConvSpec) -> Iterator[tuple[int, int, tuple[slice, ...]]]:
    """Every tap (u, v) with the slice of the padded image that it sees."""
    (oh, ow), (sh, sw), (dh, dw) = spec.output_size, spec.stride, spec.dilation
    for u in range(spec.kernel_size[0]):
        for v in range(spec.kernel_size[1]):
            rows = slice(u * dh, u * dh + (oh - 1) * sh + 1, sh)
            columns = slice(v * dw, v * dw + (ow - 1) * sw + 1, sw)
            yield u, v, (..., rows, columns)


def _grouped(a: np.ndarray, groups: int, axis: int) -> np.ndarray:
    """`axis` split into (groups, size / groups)."""
    return a.reshape(*a.shape[:axis], groups, a.shape[axis] // groups, *a.shape[axis + 1 :])


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, spec: ConvSpec) -> np.ndarray:
    """y (N, O, OH, OW) of x (N, C, H, W), w (O, C / groups, KH, KW) and b (O,) or None."""
    xpad = _grouped(_padded(x, spec), spec.groups, 1)
    filters = _grouped(w, spec.groups, 0)
    y = np.zeros((spec.batch, spec.groups, spec.out_channels // spec.groups, *spec.output_size), x.dtype)
    for u, v, seen in _taps(spec):
        y += np.einsum("ngchw,goc->ngohw", xpad[seen], filters[..., u, v], optimize=True)
    y = y.reshape(spec.output_shape)
    return y if b is None else y + b[:, None, None]


def conv2d_input_grad(gy: np.ndarray, w: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gx (N, C, H, W): every tap adds gy times its weight where it looked; overlapping windows add up."""
    (top, bottom), (left, right) = spec.padding
    height, width = spec.input_size
    g = _grouped(gy, spec.groups, 1)
    filters = _grouped(w, spec.groups, 0)
    gx = np.zeros(
        (spec.batch, spec.groups, spec.in_channels // spec.groups, height + top + bottom, width + left + right),
        gy.dtype,
    )
    for u, v, seen in _taps(spec):
        gx[seen] += np.einsum("ngohw,goc->ngchw", g, filters[..., u, v], optimize=True)
    inner = gx[..., top : top + height, left : left + width]
    return np.ascontiguousarray(inner).reshape(spec.input_shape)


def conv2d_weight_grad(gy: np.ndarray, x: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gw (O, C / groups, KH, KW): every tap gathers gy times what it saw, over all images and positions."""
    xpad = _grouped(_padded(x, spec), spec.groups, 1)
    g = _grouped(gy, spec.groups, 1)
    gw = np.zeros(spec.weight_shape, x.dtype)
    filters = _grouped(gw, spec.groups, 0)
    for u, v, seen in _taps(spec):
        filters[..., u, v] = np.einsum("ngohw,ngchw->goc", g, xpad[seen], optimize=True)
    return gw
