"""Convolution and its gradients: which algorithm computes which shape.

    winograd4, winograd2    3 x 3 kernels with stride 1, by tiles of 4 x 4 or 2 x 2; float32 (`winograd`)
    direct                  everything (`direct`); the gradient of the weights as products of matrices
    dots                    the gradient of the weights where a group has few of them (`direct`)

`choose` and `choose_weight_grad` decide, by the shape and the dtype only, so that the bits of a result depend on
nothing else. `tinycnn.backends.cpu.allow_winograd` can forbid the first two.
"""

from __future__ import annotations

import numpy as np

from .. import settings
from ..geometry import ConvSpec
from . import direct, winograd
from .memory import zeros
from .simd import LANES32

FEW = 1 << 16  # elements: sums of dot products that a thread keeps, lanes and all


def winograd_tiles(spec: ConvSpec, dtype: np.dtype) -> int:
    """The size of Winograd's tiles for a convolution: 4, 2, or 0 if it does not apply or does not pay.

    The transforms cost as much as so many channels; with few tiles there is nothing to share their cost.
    """
    (top, _), (left, _) = spec.padding
    fits = spec.kernel_size == (3, 3) and spec.stride == (1, 1) == spec.dilation and top <= 2 and left <= 2
    channels, filters = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    if not (settings.allow_winograd and fits and dtype == np.float32) or min(channels, filters) < 12:
        return 0
    high, wide = spec.output_size
    tiles = spec.batch * -(-high // 4) * -(-wide // 4)
    if tiles >= 48:
        return 4
    return 2 if spec.batch * -(-high // 2) * -(-wide // 2) >= 48 else 0


def choose(spec: ConvSpec, dtype: np.dtype) -> str:
    """How to compute a convolution, or the gradient of its input."""
    tiles = winograd_tiles(spec, dtype)
    return f"winograd{tiles}" if tiles else "direct"


def choose_weight_grad(spec: ConvSpec, dtype: np.dtype) -> str:
    """How to compute the gradient of its weights."""
    way = choose(spec, dtype)
    if way != "direct":
        return way
    channels, filters = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    taps = spec.kernel_size[0] * spec.kernel_size[1]
    return "dots" if filters < LANES32 and channels * filters * taps * LANES32 <= FEW else "direct"


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, spec: ConvSpec) -> np.ndarray:
    """y (N, O, OH, OW) of x (N, C, H, W), w (O, C / groups, KH, KW) and b (O,) or None."""
    if not x.size:
        return zeros(spec.output_shape, x.dtype)
    way = choose(spec, x.dtype)
    if way == "direct":
        return direct.forward(x, w, b, spec)
    return winograd.forward(x, w, b, spec, 4 if way == "winograd4" else 2)


def conv2d_input_grad(gy: np.ndarray, w: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gx (N, C, H, W) of gy (N, O, OH, OW)."""
    if not gy.size:
        return zeros(spec.input_shape, gy.dtype)
    way = choose(spec, gy.dtype)
    if way == "direct":
        return direct.input_grad(gy, w, spec)
    return winograd.input_grad(gy, w, spec, 4 if way == "winograd4" else 2)


def conv2d_weight_grad(gy: np.ndarray, x: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gw (O, C / groups, KH, KW) of gy (N, O, OH, OW) and x (N, C, H, W)."""
    if not gy.size:
        return zeros(spec.weight_shape, gy.dtype)
    way = choose_weight_grad(spec, gy.dtype)
    if way == "direct":
        return direct.weight_grad(gy, x, spec)
    if way == "dots":
        return direct.weight_grad_by_dots(gy, x, spec)
    return winograd.weight_grad(gy, x, spec, 4 if way == "winograd4" else 2)
