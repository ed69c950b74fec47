"""Images made larger and smaller, and their elements rearranged."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from .._tensor import Tensor, filled, need, wrap
from ..kernels.geometry import pool_spec
from ..ops import elementwise as ew
from ..ops.elementwise import cast, clone, where
from ..ops.matmul import matmul
from ..ops.pool import AvgPool2dGrad
from ..ops.random import dropout
from ..ops.shape import Index, as_sizes, expand, gather, movedim, permute, reshape
from ..random import Generator
from .activation import _between
from .pool import adaptive_avg_pool1d, adaptive_avg_pool2d
from .reduce import need_float

_DIMS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """`input` (N, C, ...) in another size, by one of these rules for what stands between the elements:

    ``"nearest"`` (PyTorch's, which rounds the position down), ``"nearest-exact"``, ``"linear"`` for (N, C, L),
    ``"bilinear"`` and ``"bicubic"`` for (N, C, H, W), ``"area"`` (means).

    Args:
        size: the new size, a number or one for each dimension.
        scale_factor: or by how much it grows: floor(n * scale_factor).
        align_corners: for the linear and cubic rules: whether the first and last elements keep their places (True) or
            the image's edges do (False, the default).
        recompute_scale_factor: take the factor anew from the size that results.
        antialias: must be False here.

    Raises:
        ValueError: if the arguments contradict each other, or the mode does not fit the number of dimensions.
    """
    need("interpolate", input)
    ndim = input.array.ndim - 2
    if mode not in ("nearest", "nearest-exact", "area", *_DIMS):
        raise ValueError(f"interpolate: mode must be nearest, nearest-exact, area or one of {[*_DIMS]}, got {mode!r}")
    if ndim not in (1, 2, 3) or _DIMS.get(mode, ndim) != ndim:
        raise ValueError(f"interpolate: mode {mode!r} does not fit an input of shape {tuple(input.array.shape)}")
    if antialias:
        raise ValueError("interpolate: antialias=True is not offered here")
    if align_corners is not None and mode not in _DIMS:
        raise ValueError(f"interpolate: align_corners is for the modes {[*_DIMS]}, not for {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give either size or scale_factor")
    old = input.array.shape[2:]
    scales: list[float | None] = [None] * ndim
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("interpolate: recompute_scale_factor is for scale_factor, not for size")
        new = list(as_sizes((size,), "interpolate")) * (1 if isinstance(size, (tuple, list)) else ndim)
        if len(new) != ndim:
            raise ValueError(f"interpolate: size {size} must have {ndim} numbers for shape {tuple(input.array.shape)}")
    else:
        factors = list(scale_factor) if isinstance(scale_factor, (tuple, list)) else [scale_factor] * ndim
        factors = [dtypes.real("interpolate", "scale_factor", f) for f in factors]
        if not all(math.isfinite(f) for f in factors):
            raise ValueError(f"interpolate: scale_factor must be finite, got {scale_factor}")
        if len(factors) != ndim:
            raise ValueError(f"interpolate: scale_factor {scale_factor} must have {ndim} numbers")
        new = [math.floor(n * f) for n, f in zip(old, factors, strict=True)]
        if not recompute_scale_factor:
            scales = [float(f) for f in factors]
    if min(new) < 1 or 0 in old or not input.array.shape[1]:
        raise RuntimeError(f"interpolate: sizes must be positive, got {tuple(old)} to {tuple(new)}")
    if mode == "area":
        if ndim == 3:
            raise ValueError("interpolate: mode 'area' is for one or two dimensions here")
        return adaptive_avg_pool1d(input, new[0]) if ndim == 1 else adaptive_avg_pool2d(input, tuple(new))
    if input.array.dtype.kind in "ib":
        raise RuntimeError(f"interpolate: not for {input.dtype} tensors; convert with .float()")
    if mode.startswith("nearest"):
        return _nearest(input, new, scales, 0.5 if mode == "nearest-exact" else 0.0)
    if input.array.dtype.kind != "f" and ndim != 2:
        raise RuntimeError(f"interpolate: mode {mode!r} needs a floating-point tensor, got {input.dtype}")
    x = input
    if input.array.dtype.kind != "f" or input.array.itemsize < 4:
        x = cast(input, dtypes.float32)
    for i in reversed(range(ndim)):
        n, m, scale = old[i], new[i], scales[i]
        if n == m and scale in (None, 1.0):
            continue
        weights = (_cubic if mode == "bicubic" else _linear)(n, m, scale, bool(align_corners), x.array.dtype)
        x = movedim(matmul(movedim(x, 2 + i, -1), wrap(weights.T, x.device)), -1, 2 + i)
        if input.array.dtype == np.uint8:  # PyTorch rounds after each dimension
            x = (x + 0.5).floor().clamp(0, 255)
    return cast(clone(x) if x is input else x, input.dtype)


def _nearest(input: Tensor, new: list[int], scales: list[float | None], offset: float) -> Tensor:
    old = input.array.shape[2:]
    if all(m % n == 0 and scale in (None, m / n) for n, m, scale in zip(old, new, scales, strict=True)):
        if len(old) == 2 and input.array.dtype in (np.float32, np.float64):  # as the adjoint of sums over blocks
            block = new[0] // old[0], new[1] // old[1]
            spec = pool_spec((*input.array.shape[:2], *new), block, block, 0, 1, False, "interpolate")
            return AvgPool2dGrad.apply(input, spec, True, 1)
        between = [x for n, m in zip(old, new, strict=True) for x in (n, m // n)]  # each element becomes a block
        front = input.array.shape[:2]
        blocks = reshape(input, (*front, *[x for n in old for x in (n, 1)]))
        return reshape(clone(expand(blocks, (*front, *between))), (*front, *new))
    for i, (n, m, scale) in enumerate(zip(old, new, scales, strict=True)):
        step = np.float32(1 / scale if scale is not None else n / m)
        places = np.floor((np.arange(m, dtype=np.float32) + np.float32(offset)) * step).astype(np.int64)
        input = Index.apply(input, (*(slice(None),) * (2 + i), np.minimum(places, n - 1)))
    return input


def _positions(n: int, m: int, scale: float | None, align_corners: bool) -> Any:
    """Where the m new elements lie between the n old ones."""
    k = np.arange(m, dtype=np.float64)
    if align_corners:
        return k * ((n - 1) / (m - 1) if m > 1 else 0.0)
    return (k + 0.5) * (1 / scale if scale is not None else n / m) - 0.5


def _linear(n: int, m: int, scale: float | None, align_corners: bool, kind: Any) -> Any:
    """The matrix (m, n) of linear interpolation."""
    place = np.maximum(_positions(n, m, scale, align_corners), 0)
    low = np.minimum(place.astype(np.int64), n - 1)
    weight = np.minimum(place - low, 1.0)
    matrix = np.zeros((m, n))
    rows = np.arange(m)
    np.add.at(matrix, (rows, low), 1 - weight)
    np.add.at(matrix, (rows, np.minimum(low + 1, n - 1)), weight)
    return matrix.astype(kind)


def _cubic(n: int, m: int, scale: float | None, align_corners: bool, kind: Any) -> Any:
    """The matrix (m, n) of cubic convolution (Keys 1981) with a = -0.75; places beyond the edge count as the edge."""
    a = -0.75
    place = _positions(n, m, scale, align_corners)
    low = np.floor(place).astype(np.int64)
    t = place - low
    matrix = np.zeros((m, n))
    for k in range(-1, 3):
        d = np.abs(t - k)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        np.add.at(matrix, (np.arange(m), np.clip(low + k, 0, n - 1)), np.where(d <= 1, near, far))
    return matrix.astype(kind)


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """`interpolate`, by its older name."""
    need("upsample", input)
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode ``"nearest"``."""
    need("upsample_nearest", input)
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode ``"bilinear"`` and aligned corners."""
    need("upsample_bilinear", input)
    return interpolate(input, size, scale_factor, "bilinear", True)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(..., C * r * r, H, W) to (..., C, H * r, W * r): channels become pixels (Shi et al. 2016)."""
    need("pixel_shuffle", input)
    r, shape = upscale_factor, input.array.shape
    if len(shape) < 3 or r < 1 or shape[-3] % (r * r):
        raise RuntimeError(f"pixel_shuffle: expected (..., C * {r}**2, H, W), got shape {tuple(shape)}")
    *front, c, h, w = shape
    x = reshape(input, (*front, c // (r * r), r, r, h, w))
    f = len(front)
    x = permute(x, (*range(f), f, f + 3, f + 1, f + 4, f + 2))
    return reshape(x, (*front, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(..., C, H * r, W * r) to (..., C * r * r, H, W): the opposite of `pixel_shuffle`."""
    need("pixel_unshuffle", input)
    r, shape = downscale_factor, input.array.shape
    if len(shape) < 3 or r < 1 or shape[-2] % r or shape[-1] % r:
        raise RuntimeError(f"pixel_unshuffle: expected (..., C, H * {r}, W * {r}), got shape {tuple(shape)}")
    *front, c, h, w = shape
    x = reshape(input, (*front, c, h // r, r, w // r, r))
    f = len(front)
    x = permute(x, (*range(f), f, f + 2, f + 4, f + 1, f + 3))
    return reshape(x, (*front, c * r * r, h // r, w // r))


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, C, ...): channel i of each of `groups` groups, then channel i + 1 of each (Zhang et al. 2018)."""
    need("channel_shuffle", input)
    shape = input.array.shape
    if len(shape) < 3 or groups < 1 or shape[1] % groups:
        raise RuntimeError(f"channel_shuffle: {groups} groups must divide the channels of shape {tuple(shape)}")
    x = reshape(input, (shape[0], groups, shape[1] // groups, *shape[2:]))
    return reshape(permute(x, (0, 2, 1, *range(3, len(shape) + 1))), shape)


# -- dropping whole channels ------------------------------------------------------------------------------------------


def _channels(
    name: str, input: Tensor, p: float, training: bool, inplace: bool, ndims: tuple[int, ...], batched: int
) -> Tensor:
    need(name, input)
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: p must lie in [0, 1], got {p}")
    if training and p > 0:
        need_float(name, input)
    if input.array.ndim not in ndims:
        raise RuntimeError(f"{name}: expected {' or '.join(map(str, ndims))} dimensions, got {input.array.ndim}")
    if not training or p == 0.0:
        return input
    kept = input.array.shape[: 2 if input.array.ndim >= batched else 1]
    ones = filled(kept + (1,) * (input.array.ndim - len(kept)), np.dtype(np.float32), input.device, 1)
    result = input * cast(dropout(ones, p), input.dtype)
    return input.copy_(result) if inplace else result


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, L) or (C, L)."""
    return _channels("dropout1d", input, p, training, inplace, (2, 3), 3)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, H, W); as in PyTorch, (N, C, L) counts as batched."""
    return _channels("dropout2d", input, p, training, inplace, (3, 4), 3)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, generator: Generator | None = None
) -> Tensor:
    """Dropout to the smallest value of SELU, scaled so that mean 0 and variance 1 stay (Klambauer et al. 2017)."""
    need_float("alpha_dropout", input)
    return _alpha("alpha_dropout", input, p, training, inplace, input.array.shape, generator)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels of (N, C, ...)."""
    need_float("feature_alpha_dropout", input)
    ndim = input.array.ndim
    if ndim < 2:
        raise RuntimeError(f"feature_alpha_dropout: expected at least 2 dimensions (N, C, ...), got {ndim}")
    return _alpha("feature_alpha_dropout", input, p, training, inplace, input.array.shape[:2] + (1,) * (ndim - 2))


def _alpha(
    name: str,
    input: Tensor,
    p: float,
    training: bool,
    inplace: bool,
    drawn: tuple[int, ...],
    generator: Generator | None = None,
) -> Tensor:
    """What is kept is drawn in the shape `drawn`."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: p must lie in [0, 1], got {p}")
    if not training or p == 0.0:
        return input
    if p == 1.0:
        return input * 0
    low = -1.7580993408473766
    kept = dropout(filled(drawn, np.dtype(np.float32), input.device, 1), p, True, False, generator)
    mask = cast(kept * (1 - p), input.dtype)
    a = 1 / math.sqrt((1 - p) * (1 + p * low * low))
    result = (input * mask + (1 - mask) * low) * a - a * low * p
    return input.copy_(result) if inplace else result


# -- sampling at any place --------------------------------------------------------------------------------------------


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """For `grid_sample`: where each pixel of a result of `size` comes from by an affine map.

    Args:
        theta: (N, 2, 3), which takes (x, y, 1) of the result to (x, y) of the input; both from -1 to 1.
        size: (N, C, H, W) of the result.
        align_corners: whether -1 and 1 are the centers of the outermost pixels, not their outer edges.

    Returns:
        (N, H, W, 2).

    Raises:
        RuntimeError: if dtype or shape does not fit.
    """
    need_float("affine_grid", theta)
    sizes = as_sizes((tuple(size),), "affine_grid")
    if len(sizes) != 4 or min(sizes) < 1 or theta.array.shape != (sizes[0], 2, 3):
        raise RuntimeError(
            f"affine_grid: expected theta (N, 2, 3) and size (N, C, H, W), got {tuple(theta.array.shape)} and {sizes}"
        )
    n, _, h, w = sizes
    base = np.ones((h, w, 3))
    for k, count in enumerate((w, h)):
        line = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
        line = line if align_corners else line * (count - 1) / count
        base[..., k] = line if k == 0 else line[:, None]
    places = wrap(base.reshape(1, h * w, 3).astype(theta.array.dtype), theta.device)
    return reshape(matmul(places, permute(theta, (0, 2, 1))), (n, h, w, 2))


def _inner(place: Tensor, size: int, padding_mode: str, align_corners: bool) -> Tensor:
    """From [-1, 1] to counting elements, moved into the image by the mode; gradients end where it clamps."""
    x = (place + 1) * (0.5 * (size - 1)) if align_corners else ((place + 1) * size - 1) * 0.5
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        low, span = (0.0, size - 1.0) if align_corners else (-0.5, float(size))
        if not span:
            return x * 0
        distance = ew.abs(x - low)
        flips = np.floor(distance.array / span)
        rest = distance - wrap(flips * distance.array.dtype.type(span), distance.device)
        x = where(wrap(flips % 2 == 0, distance.device), rest, span - rest) + low
    return _between(x, 0.0, size - 1.0)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """`input` at the places of `grid` (Jaderberg et al. 2015, spatial transformers).

    Args:
        input: (N, C, H, W).
        grid: (N, OH, OW, 2), places (x, y) from -1 (left, top) to 1; NaN counts as -1.
        mode: ``"bilinear"``, or ``"nearest"`` (halves to the even pixel; no gradient for `grid`).
        padding_mode: beyond the edge are ``"zeros"``, the ``"border"``, or its ``"reflection"``.
        align_corners: whether -1 and 1 are the centers of the outermost pixels, not their outer edges.

    Returns:
        (N, C, OH, OW).

    Raises:
        ValueError: for another mode; ``"bicubic"`` is not offered.
        RuntimeError: if shapes or dtypes do not fit.
    """
    need("grid_sample", input, grid)
    if mode not in ("bilinear", "nearest") or padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "grid_sample: mode must be 'bilinear' or 'nearest', padding_mode 'zeros', 'border' or 'reflection', "
            f"got {mode!r} and {padding_mode!r}"
        )
    need_float("grid_sample", input)
    shape, places = input.array.shape, grid.array.shape
    if len(shape) != 4 or len(places) != 4 or places[0] != shape[0] or places[3] != 2 or 0 in shape[1:]:
        raise RuntimeError(
            f"grid_sample: expected (N, C, H, W), no size 0 but N, and (N, OH, OW, 2), "
            f"got {tuple(shape)} and {tuple(places)}"
        )
    if input.array.dtype != grid.array.dtype:
        raise RuntimeError(f"grid_sample: the input is {input.dtype}, the grid {grid.dtype}; they must be equal")
    if input.array.itemsize < 4:
        wide = grid_sample(cast(input, dtypes.float32), cast(grid, dtypes.float32), mode, padding_mode, align_corners)
        return cast(wide, input.dtype)
    n, c, h, w = shape
    grid = where(ew.isnan(grid), -1.0, grid)
    x, y = (
        reshape(_inner(grid[..., k], size, padding_mode, bool(align_corners)), (n, 1, places[1] * places[2]))
        for k, size in ((0, w), (1, h))
    )
    pixels = reshape(input, (n, c, h * w))

    def at(column: np.ndarray, row: np.ndarray) -> Tensor:
        """The pixels there, 0 beside the image."""
        there = (column >= 0) & (column < w) & (row >= 0) & (row < h)
        flat = np.where(there, row, 0) * w + np.where(there, column, 0)
        index = np.broadcast_to(flat.astype(np.int64), (n, c, flat.shape[2]))
        return where(wrap(there, input.device), gather(pixels, 2, wrap(index, input.device)), 0.0)

    if mode == "nearest":
        return reshape(at(np.rint(x.array), np.rint(y.array)), (n, c, *places[1:3]))
    left, top = np.floor(x.array), np.floor(y.array)
    right, down = (
        x - wrap(left, x.device),
        y - wrap(top, y.device),
    )  # the shares of the neighbours to the right and below
    upper = at(left, top) * (1 - right) + at(left + 1, top) * right
    lower = at(left, top + 1) * (1 - right) + at(left + 1, top + 1) * right
    return reshape(upper * (1 - down) + lower * down, (n, c, *places[1:3]))
