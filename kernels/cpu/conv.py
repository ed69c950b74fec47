"""Convolution and its gradients: which algorithm computes which shape.

    winograd4, winograd2    3 x 3 kernels with stride 1, by tiles of 4 x 4 or 2 x 2; float32 (`winograd`)
    winograd3               5 x 5 to 7 x 7, by tiles of 3 x 3; not the gradient of the weights
    direct                  everything (`direct`); the gradient of the weights as products of matrices
    runs                    many channels, small images and strides (`runs`); not the gradient of the weights
    broadcast               of these two's what fills vectors of filters (`broadcast`)
    dots                    the gradient of the weights where a group has few of them (`direct`)
    phases                  dilated ones, as ordinary ones of more images for Winograd's algorithm (`phases`)
    depthwise               a filter for each channel (`depthwise`)

`choose` decides, by the shape and the dtype only, so that the bits of a result depend on nothing else.
`tinycnn.backends.cpu.allow_winograd` can forbid Winograd's.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from .. import settings
from ..geometry import ConvSpec
from . import broadcast, depthwise, direct, phases, runs, winograd
from .memory import zeros
from .simd import LANES32

WINOGRAD = "winograd4", "winograd2", "winograd3"
OTHERS: dict[str, Any] = {"direct": direct, "runs": runs, "broadcast": broadcast, "depthwise": depthwise}
FEW = 1 << 16  # elements: sums of dot products that a thread keeps, lanes and all
# by size of tile: products of a tile, and cycles of its transforms: input, output, weights
TRANSFORMS = {4: (36, 440, 340, 28), 2: (16, 150, 115, 20), 3: (144, 440, 280, 140)}
START = 75_000  # cycles: what few small images lose by Winograd on four threads; on one it would be some 20_000


def cycles(spec: ConvSpec, way: str, weight_grad: bool = False) -> float:
    """About how long one thread takes for a convolution; infinite where `way` does not apply.

    Counted for each pair of channel and filter. With full vectors, two multiply-adds a cycle compute LANES32 outputs
    in half as many cycles as there are products for each of them. Winograd's transforms were measured: those of a
    vector of tiles cost some hundred cycles for every channel and filter, those of a vector of weights too. For the
    gradient of the weights the filters fill vectors, or else lanes are summed. Runs compute what no padding takes part
    in, and for vectors of channels and filters move pixels (16 and 20 cycles) and sums (3). To cut images into phases
    and join them takes 4 cycles for an element.
    """
    channels, filters = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    high, wide = spec.output_size
    if way in ("direct", "dots"):
        taps = spec.kernel_size[0] * spec.kernel_size[1]
        spent = spec.batch * -(-high * wide // LANES32) * (0.55 * taps * channels * filters + 10 * channels)
        spent += taps * channels * filters  # to read the weights, or exchange channels and filters
        if way == "dots":
            return spent * 1.6 if weight_grad and channels * filters * taps * LANES32 <= FEW else math.inf
        return spent * 1.5 * -(-filters // LANES32) * LANES32 / filters if weight_grad else spent
    if way == "runs":
        if weight_grad:
            return math.inf
        across = -(-filters // LANES32)
        moved = 16 * math.prod(spec.input_size) * -(-channels // LANES32) + 20 * high * wide * across
        multiplied = runs.products(spec) * across * channels * (0.5 + 3 / runs.chunk_of(spec, LANES32))
        return spec.batch * moved + multiplied + math.prod(spec.kernel_size) * channels * filters
    if way == "phases":
        if not phases.apply(spec):
            return math.inf
        moved = spec.batch * (channels * math.prod(spec.input_size) + filters * high * wide)
        return 4 * moved + min(cycles(phases.undilated(spec), inner, weight_grad) for inner in WINOGRAD)
    (top, _), (left, _) = spec.padding
    (kh, kw), m = spec.kernel_size, int(way[-1])
    size = 5 <= min(kh, kw) <= max(kh, kw) <= 7 and not weight_grad if m == 3 else kh == kw == 3
    if not size or spec.stride != (1, 1) or spec.dilation != (1, 1) or top >= kh or left >= kw:
        return math.inf
    more = m == 3  # the last piece of a kernel sees one tile further on
    tiles = spec.batch * (-(-high // m) + more) * (-(-wide // m) + more)
    vectors = tiles / LANES32 if weight_grad else -(-tiles // LANES32)
    products, of_input, of_output, of_weights = TRANSFORMS[m]
    of_tiles = of_input / filters + of_output * (1 + weight_grad) / channels
    spent = (vectors * (products / 2 + of_tiles) + of_weights) * channels * filters
    return spent if weight_grad else spent + START


@lru_cache(maxsize=1024)
def _choice(spec: ConvSpec, of: str, allow_winograd: bool) -> str:
    if depthwise.applies(spec, of == "weight_grad"):
        return "depthwise"
    ways = ("direct", "runs", "dots", *(*WINOGRAD, "phases") * allow_winograd)
    way = min(ways, key=lambda way: cycles(spec, way, of == "weight_grad"))
    plain = way in ("direct", "runs") and of != "weight_grad"
    return "broadcast" if plain and broadcast.suits(spec, of == "input_grad") else way


def choose(spec: ConvSpec, dtype: np.dtype, of: str = "forward") -> str:
    """How to compute a convolution, or else ("input_grad", "weight_grad") one of its gradients."""
    return _choice(spec, of, settings.allow_winograd and dtype.char == "f")


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, spec: ConvSpec) -> np.ndarray:
    """y (N, O, OH, OW) of x (N, C, H, W), w (O, C / groups, KH, KW) and b (O,) or None."""
    if not x.size:
        return zeros(spec.output_shape, x.dtype)
    way = choose(spec, x.dtype)
    if way == "phases":
        y = conv2d(phases.split(x, spec.dilation), w, b, phases.undilated(spec))
        return phases.join(y, spec.dilation, spec.output_size)
    if way in WINOGRAD:
        return winograd.forward(x, w, b, spec, int(way[-1]))
    return OTHERS[way].forward(x, w, b, spec)


def conv2d_input_grad(gy: np.ndarray, w: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gx (N, C, H, W) of gy (N, O, OH, OW)."""
    if not gy.size:
        return zeros(spec.input_shape, gy.dtype)
    way = choose(spec, gy.dtype, "input_grad")
    if way == "phases":
        gx = conv2d_input_grad(phases.split(gy, spec.dilation), w, phases.undilated(spec))
        return phases.join(gx, spec.dilation, spec.input_size)
    if way in WINOGRAD:
        return winograd.input_grad(gy, w, spec, int(way[-1]))
    return OTHERS[way].input_grad(gy, w, spec)


def conv2d_weight_grad(gy: np.ndarray, x: np.ndarray, spec: ConvSpec) -> np.ndarray:
    """gw (O, C / groups, KH, KW) of gy (N, O, OH, OW) and x (N, C, H, W)."""
    if not gy.size:
        return zeros(spec.weight_shape, gy.dtype)
    way = choose(spec, gy.dtype, "weight_grad")
    if way == "dots":
        return direct.weight_grad_by_dots(gy, x, spec)
    if way == "phases":
        gy, x = phases.split(gy, spec.dilation), phases.split(x, spec.dilation)
        return conv2d_weight_grad(gy, x, phases.undilated(spec))
    if way in WINOGRAD:
        return winograd.weight_grad(gy, x, spec, int(way[-1]))
    return OTHERS[way].weight_grad(gy, x, spec)
