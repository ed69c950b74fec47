"""Layers beyond the plain convolution and pooling: along one dimension, transposed, to a given size, rearranged."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tinycnn as t

from ...kernels.geometry import conv_spec
from ...kernels.reference import conv as conv_reference
from ...nn import functional as F
from ._op import Op


def _along(x: np.ndarray, axis: int, matrix: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.moveaxis(x, axis, -1) @ matrix.T, -1, axis)


def _conv1d(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    x, w = x[:, :, None], w[:, :, None]
    return conv_reference.conv2d(x, w, b, conv_spec(x.shape, w.shape, (1, 2), (0, 1)))[:, :, 0]


def _transposed(stride: int, padding: int, extra: int, groups: int) -> Callable[..., np.ndarray]:
    """Each element puts its filter, times itself, onto the output."""

    def formula(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
        (n, c, h, width), (_, per, kh, kw) = x.shape, w.shape
        full = np.zeros((n, per * groups, (h - 1) * stride + kh + extra, (width - 1) * stride + kw + extra))
        for g in range(groups):
            for i in range(g * c // groups, (g + 1) * c // groups):
                for r in range(h):
                    for s in range(width):
                        part = x[:, i, r, s, None, None, None] * w[i]
                        full[
                            :, g * per : (g + 1) * per, r * stride : r * stride + kh, s * stride : s * stride + kw
                        ] += part
        end = padding or None
        return full[:, :, padding : -padding if end else None, padding : -padding if end else None] + b[:, None, None]

    return formula


ONE = t.ones(1, 1, 1, 1)


def _conv_transpose(stride: int, padding: int, extra: int, groups: int) -> Op:
    return Op(
        f"nn.functional.conv_transpose2d: stride {stride}, padding {padding}, output_padding {extra}, groups {groups}",
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride, padding, extra, groups),
        _transposed(stride, padding, extra, groups),
        (((2, 2, 2, 3), (2, 2, 3, 2), (2 * groups,)),),
        refuses=(
            (
                lambda: F.conv_transpose2d(t.ones(1, 1, 2, 2), t.ones(1, 1, 2, 2), output_padding=1),
                ValueError,
                "less than",
            ),
            (lambda: F.conv_transpose2d(t.ones(1, 2, 2, 2), t.ones(1, 1, 2, 2)), ValueError, "input channels"),
            (lambda: F.conv_transpose2d(t.ones(1, 1, 1, 1), t.ones(1, 1, 1, 1), padding=1), ValueError, "at least 1"),
        ),
    )


def _bounds(size: int, count: int) -> list[tuple[int, int]]:
    return [(math.floor(i * size / count), math.ceil((i + 1) * size / count)) for i in range(count)]


def _adaptive(reduce: Callable[..., Any], h: int, w: int) -> Callable[[np.ndarray], np.ndarray]:
    def formula(x: np.ndarray) -> np.ndarray:
        rows = [
            np.stack([reduce(x[..., a:b, c:d], (-2, -1)) for c, d in _bounds(x.shape[-1], w)], -1)
            for a, b in _bounds(x.shape[-2], h)
        ]
        return np.stack(rows, -2)

    return formula


def _unpooled(x: np.ndarray) -> np.ndarray:
    """What max pooling of 2x2 windows keeps, in its place."""
    result = np.zeros_like(x)
    for n, c, i, j in np.ndindex(x.shape[0], x.shape[1], x.shape[2] // 2, x.shape[3] // 2):
        window = x[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        a, b = np.unravel_index(window.argmax(), (2, 2))
        result[n, c, 2 * i + a, 2 * j + b] = window.max()
    return result


def _there_and_back(x: t.Tensor, pool: Callable[..., Any], unpool: Callable[..., Any]) -> t.Tensor:
    values, indices = pool(x, 2, return_indices=True)
    return unpool(values, indices, 2)


def _normal(x: np.ndarray, axes: Any, eps: float = 1e-5) -> np.ndarray:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def _group_norm(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    y = _normal(x.reshape(x.shape[0], 2, -1), 2).reshape(x.shape)
    return y * w[:, None, None] + b[:, None, None]


def _response(x: np.ndarray) -> np.ndarray:
    squares = np.pad(x * x, ((0, 0), (1, 1), (0, 0), (0, 0)))
    means = sum(squares[:, i : i + x.shape[1]] for i in range(3)) / 3
    return x / (2 + 0.5 * means) ** 0.75


def _hat(x: np.ndarray, axis: int, count: int, corners: bool, kernel: Callable[[Any], Any], taps: int) -> np.ndarray:
    """Interpolation as the textbook has it: a sum of the neighbours, weighted by their distance."""
    n = x.shape[axis]
    matrix = np.zeros((count, n))
    for i in range(count):
        place = i * (n - 1) / (count - 1) if corners else (i + 0.5) * n / count - 0.5
        if taps == 1:
            place = max(place, 0)
        for k in range(math.floor(place) - taps + 1, math.floor(place) + taps + 1):
            matrix[i, min(max(k, 0), n - 1)] += kernel(abs(place - k))
    return _along(x, axis, matrix)


def _linear(d: float) -> float:
    return max(1 - d, 0)


def _cubic(d: float) -> float:
    a = -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0


def _resized(mode: str, size: tuple[int, ...], corners: bool | None, shape: tuple[int, ...]) -> Op:
    kernel, taps = (_cubic, 2) if mode == "bicubic" else (_linear, 1)

    def formula(x: np.ndarray) -> np.ndarray:
        for i, n in enumerate(size):
            x = _hat(x, 2 + i, n, bool(corners), kernel, taps)
        return x

    refuses = (
        (lambda: F.interpolate(t.ones(1, 1, 2), 3, mode="bilinear"), ValueError, "does not fit"),
        (lambda: F.interpolate(t.ones(1, 1, 2)), ValueError, "either size or scale_factor"),
        (lambda: F.interpolate(t.ones(1, 1, 2), 3, mode="nearest", align_corners=True), ValueError, "align_corners"),
    )
    return Op(
        f"nn.functional.interpolate: {mode} {size} {corners}",
        lambda x: F.interpolate(x, size, mode=mode, align_corners=corners),
        formula,
        ((shape,),),
        refuses=refuses,
        differs="antialias is not offered; rounding of uint8 images may differ by one",
    )


def _patches(x: np.ndarray) -> np.ndarray:
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    columns = [
        x[:, :, i : i + 3, j : j + 3 : 2].reshape(len(x), -1)
        for i in range(0, x.shape[2] - 2, 2)
        for j in range(x.shape[3] - 2)
    ]
    return np.stack(columns, -1)


def _sum_of_patches(x: np.ndarray) -> np.ndarray:
    result = np.zeros((x.shape[0], x.shape[1] // 4, 3, 3))
    for k in range(4):
        i, j = divmod(k, 2)
        result[:, :, i : i + 2, j : j + 2] += x[:, :, k].reshape(len(x), -1, 2, 2)
    return result


def _floor(old: int, new: int, offset: float) -> list[int]:
    return [int((i + offset) * old / new) for i in range(new)]


def _nearest(mode: str, offset: float, size: tuple[int, int]) -> Op:
    def formula(x: np.ndarray) -> np.ndarray:
        return x[:, :, _floor(x.shape[2], size[0], offset)][..., _floor(x.shape[3], size[1], offset)]

    name = f"nn.functional.interpolate: {mode} {size}"
    return Op(name, lambda x: F.interpolate(x, size, mode=mode), formula, (((1, 2, 2, 3),),))


def _drop(name: str, function: Callable[..., Any]) -> Op:
    return Op(
        f"nn.functional.{name}",
        lambda x: function(x, 0.5, True) * 0 + function(x, 0.5, False),
        lambda x: x,
        (((2, 3, 4),),),
        refuses=((lambda: function(t.ones(2, 3, 4), 1.5), ValueError, "p must lie"),),
    )


def _sampled(x: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Each pixel of the image weighs by its distance in x and y: a tent of width 1."""
    n, c, h, w = x.shape
    tents = []
    for k, size in ((1, h), (0, w)):
        place = ((grid[..., k] + 1) * size - 1) / 2
        tents.append(np.maximum(0, 1 - abs(place[..., None] - np.arange(size))))
    return np.einsum("nchw,nijh,nijw->ncij", x, *tents)


IMAGES = (
    Op(
        "nn.functional.conv1d",
        lambda x, w, b: F.conv1d(x, w, b, 2, 1),
        _conv1d,
        (((2, 3, 5), (2, 3, 2), (2,)),),
        refuses=((lambda: F.conv1d(t.ones(1, 1, 2), t.ones(1, 1, 3)), ValueError, "at least 1"),),
    ),
    _conv_transpose(1, 0, 0, 1),
    _conv_transpose(2, 1, 1, 1),
    _conv_transpose(3, 0, 2, 2),
    Op(
        "nn.functional.conv_transpose1d",
        lambda x, w, b: F.conv_transpose1d(x, w, b, 2),
        lambda x, w, b: _transposed(2, 0, 0, 1)(x[..., None], w[..., None], b)[..., 0],
        (((2, 2, 3), (2, 1, 3), (1,)),),
    ),
    Op(
        "nn.functional.max_pool1d",
        lambda x: F.max_pool1d(x, 2),
        lambda x: x.reshape(*x.shape[:-1], -1, 2).max(-1),
        (((2, 3, 4),), ((3, 4),)),
        spaced=True,
        refuses=((lambda: F.max_pool1d(t.ones(2), 2), RuntimeError, "(C, L)"),),
    ),
    Op(
        "nn.functional.avg_pool1d",
        lambda x: F.avg_pool1d(x, 2),
        lambda x: x.reshape(2, 3, 2, 2).mean(-1),
        (((2, 3, 4),),),
    ),
    Op(
        "nn.functional.lp_pool2d",
        lambda x: F.lp_pool2d(x, 2, 2),
        lambda x: np.sqrt((x * x).reshape(1, 2, 2, 2, 2, 2).sum((3, 5))),
        (((1, 2, 4, 4),),),
    ),
    Op(
        "nn.functional.lp_pool1d",
        lambda x: F.lp_pool1d(x, 2, 2),
        lambda x: np.sqrt((x * x).reshape(1, 2, 2, 2).sum(3)),
        (((1, 2, 4),),),
    ),
    Op(
        "nn.functional.adaptive_avg_pool2d",
        lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
        _adaptive(np.mean, 2, 3),
        (((1, 2, 4, 6),), ((2, 5, 4),)),
        refuses=((lambda: F.adaptive_avg_pool2d(t.ones(2, 2), 1), RuntimeError, "dimensions"),),
    ),
    Op(
        "nn.functional.adaptive_avg_pool1d",
        lambda x: F.adaptive_avg_pool1d(x, 3),
        lambda x: _adaptive(np.mean, 1, 3)(x[:, :, None])[:, :, 0],
        (((1, 2, 5),),),
    ),
    Op(
        "nn.functional.adaptive_max_pool2d",
        lambda x: F.adaptive_max_pool2d(x, (2, 3)),
        _adaptive(np.max, 2, 3),
        (((1, 2, 4, 6),), ((1, 5, 4),)),
        spaced=True,
    ),
    Op(
        "nn.functional.adaptive_max_pool1d",
        lambda x: F.adaptive_max_pool1d(x, 3),
        lambda x: _adaptive(np.max, 1, 3)(x[:, :, None])[:, :, 0],
        (((1, 2, 5),),),
        spaced=True,
    ),
    Op(
        "nn.functional.max_unpool2d",
        lambda x: _there_and_back(x, F.max_pool2d, F.max_unpool2d),
        _unpooled,
        (((1, 2, 4, 4),),),
        spaced=True,
        refuses=((lambda: F.max_unpool2d(t.ones(1, 2, 2), t.ones(1, 2, 2), 2), RuntimeError, "int64"),),
    ),
    Op(
        "nn.functional.max_unpool1d",
        lambda x: _there_and_back(x, F.max_pool1d, F.max_unpool1d),
        lambda x: np.where(x == x.reshape(1, 2, 2, 2).max(-1).repeat(2, -1), x, 0),
        (((1, 2, 4),),),
        spaced=True,
    ),
    Op(
        "nn.functional.layer_norm",
        lambda x, w, b: F.layer_norm(x, (3, 2), w, b),
        lambda x, w, b: _normal(x, (-2, -1)) * w + b,
        (((4, 3, 2), (3, 2), (3, 2)),),
        refuses=((lambda: F.layer_norm(t.ones(2, 3), (2,)), RuntimeError, "must be the end"),),
    ),
    Op(
        "nn.functional.rms_norm",
        lambda x, w: F.rms_norm(x, (3,), w, 1e-3),
        lambda x, w: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-3) * w,
        (((4, 3), (3,)),),
    ),
    Op(
        "nn.functional.group_norm",
        lambda x, w, b: F.group_norm(x, 2, w, b),
        _group_norm,
        (((2, 4, 2, 2), (4,), (4,)),),
        refuses=((lambda: F.group_norm(t.ones(1, 3, 2), 2), RuntimeError, "divide"),),
    ),
    Op(
        "nn.functional.instance_norm",
        lambda x, w, b: F.instance_norm(x, None, None, w, b),
        lambda x, w, b: _normal(x, (2, 3)) * w[:, None, None] + b[:, None, None],
        (((2, 3, 2, 2), (3,), (3,)),),
        refuses=((lambda: F.instance_norm(t.ones(1, 2, 1)), ValueError, "more than 1 value"),),
    ),
    Op(
        "nn.functional.local_response_norm",
        lambda x: F.local_response_norm(x, 3, 0.5, 0.75, 2.0),
        _response,
        (((1, 4, 2, 2),),),
        refuses=((lambda: F.local_response_norm(t.ones(2, 2), 3), ValueError, "3 or more"),),
    ),
    Op(
        "nn.functional.normalize",
        lambda x: F.normalize(x),
        lambda x: x / np.linalg.norm(x, axis=1, keepdims=True),
        (((2, 3),),),
    ),
    Op(
        "nn.functional.cosine_similarity",
        lambda x, y: F.cosine_similarity(x, y),
        lambda x, y: (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1),
        (((2, 3), (2, 3)),),
    ),
    Op(
        "nn.functional.pairwise_distance",
        lambda x, y: F.pairwise_distance(x, y),
        lambda x, y: np.linalg.norm(x - y + 1e-6, axis=-1),
        (((2, 3), (2, 3)),),
    ),
    Op(
        "nn.functional.embedding",
        lambda w: F.embedding(t.tensor([[2, 0], [2, 1]]), w),
        lambda w: w[[[2, 0], [2, 1]]],
        (((3, 2),),),
        refuses=((lambda: F.embedding(t.tensor([3]), t.ones(3, 2)), IndexError, "out of range"),),
    ),
    *(
        _nearest(mode, offset, size)
        for mode, offset in (("nearest", 0.0), ("nearest-exact", 0.5))
        for size in ((4, 6), (3, 2))
    ),
    _resized("linear", (5,), None, (1, 2, 3)),
    _resized("bilinear", (4, 2), False, (1, 2, 3, 3)),
    _resized("bilinear", (4, 5), True, (2, 1, 3, 3)),
    _resized("bicubic", (5, 3), False, (1, 1, 4, 4)),
    _resized("bicubic", (3, 6), True, (1, 1, 4, 3)),
    Op(
        "nn.functional.upsample",
        lambda x: F.upsample(x, scale_factor=2),
        lambda x: x.repeat(2, 2).repeat(2, 3),
        (((1, 2, 2, 2),),),
    ),
    Op("nn.functional.upsample_nearest", lambda x: F.upsample_nearest(x, 4), lambda x: x.repeat(2, 2), (((1, 2, 2),),)),
    Op(
        "nn.functional.upsample_bilinear",
        lambda x: F.upsample_bilinear(x, 4),
        lambda x: _hat(_hat(x, 2, 4, True, _linear, 1), 3, 4, True, _linear, 1),
        (((1, 2, 2, 3),),),
    ),
    Op(
        "nn.functional.pixel_shuffle",
        lambda x: F.pixel_shuffle(x, 2),
        lambda x: x.reshape(2, 3, 2, 2, 2, 3).transpose(0, 1, 4, 2, 5, 3).reshape(2, 3, 4, 6),
        (((2, 12, 2, 3),),),
        refuses=((lambda: F.pixel_shuffle(t.ones(3, 2, 2), 2), RuntimeError, "2\\*\\*2"),),
    ),
    Op(
        "nn.functional.pixel_unshuffle",
        lambda x: F.pixel_shuffle(F.pixel_unshuffle(x, 2) * 2, 2),
        lambda x: x * 2,
        (((2, 3, 4, 6),),),
    ),
    Op(
        "nn.functional.channel_shuffle",
        lambda x: F.channel_shuffle(x, 2),
        lambda x: x[:, [0, 3, 1, 4, 2, 5]],
        (((1, 6, 2),),),
    ),
    Op(
        "nn.functional.unfold",
        lambda x: F.unfold(x, (3, 2), (1, 2), (1, 0), (2, 1)),
        _patches,
        (((2, 2, 4, 4),),),
        refuses=((lambda: F.unfold(t.ones(1, 1, 2, 2), 3), ValueError, "does not fit"),),
    ),
    Op(
        "nn.functional.fold",
        lambda x: F.fold(x, 3, 2),
        _sum_of_patches,
        (((2, 8, 4),),),
        refuses=((lambda: F.fold(t.ones(1, 4, 3), 3, 2), RuntimeError, "windows"),),
    ),
    _drop("dropout1d", F.dropout1d),
    _drop("dropout2d", F.dropout2d),
    _drop("alpha_dropout", F.alpha_dropout),
    _drop("feature_alpha_dropout", F.feature_alpha_dropout),
    Op(
        "nn.functional.grid_sample",
        lambda x, g: F.grid_sample(x, g, align_corners=False),
        _sampled,
        (((1, 2, 3, 4), (1, 2, 3, 2)),),
        spaced=True,
        refuses=(
            (lambda: F.grid_sample(ONE, t.ones(1, 1, 1, 3)), RuntimeError, "OH, OW, 2"),
            (lambda: F.grid_sample(ONE, t.ones(1, 1, 1, 2), "bicubic"), ValueError, "mode must be"),
        ),
        differs="bicubic and five dimensions are not offered",
    ),
    Op(
        "nn.functional.grid_sample: nearest",
        lambda x: F.grid_sample(x, t.full((1, 1, 1, 2), -5.0, dtype=x.dtype), "nearest", "border"),
        lambda x: x[:, :, :1, :1],
        (((1, 2, 3, 4),),),
    ),
    Op(
        "nn.functional.affine_grid",
        lambda theta: F.affine_grid(theta, (2, 1, 2, 2), align_corners=True),
        lambda theta: np.einsum("nab,ijb->nija", theta, [[[-1, -1, 1], [1, -1, 1]], [[-1, 1, 1], [1, 1, 1]]]),
        (((2, 2, 3),),),
        refuses=((lambda: F.affine_grid(t.ones(1, 2, 3), (2, 1, 2, 2)), RuntimeError, "expected theta"),),
    ),
)
