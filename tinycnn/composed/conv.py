"""Convolutions made of `ops.conv`: along one dimension, and transposed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._tensor import Tensor, need
from ..kernels.geometry import GeometryError, _integer, _pair, conv_transpose_spec
from ..ops.conv import Conv2dInputGrad, Ints, conv2d, in_float
from ..ops.elementwise import has_kernels
from ..ops.matmul import same_kind
from ..ops.shape import IndexGrad, reshape, squeeze, unsqueeze
from .pad import pad


def _one(op: str, name: str, value: Any, least: int) -> int:
    """An int, also as a sequence of one."""
    if isinstance(value, (tuple, list)):
        if len(value) != 1:
            raise GeometryError(f"{op}: {name} must be one int, got {value!r}")
        value = value[0]
    return _integer(op, name, value, least)


def _rows(op: str, input: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Signals (N, C, L) as images of height 1."""
    need(op, input, weight)
    if input.array.ndim not in (2, 3):
        raise GeometryError(
            f"{op}: expected an input (N, C, L), or (C, L) for one, got shape {tuple(input.array.shape)}"
        )
    if weight.array.ndim != 3:
        raise GeometryError(f"{op}: expected a 3-D weight, got shape {tuple(weight.array.shape)}")
    return unsqueeze(input, -2), unsqueeze(weight, -2)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Any = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """1-D cross-correlation of `input` (N, C, L) or (C, L) with `weight` (O, C / groups, K), plus `bias` (O,).

    Arguments as `conv2d`; the length is floor((L + 2P - D(K-1) - 1) / S) + 1.
    """
    x, w = _rows("conv1d", input, weight)
    s, d = _one("conv1d", "stride", stride, 1), _one("conv1d", "dilation", dilation, 1)
    p = padding if isinstance(padding, str) else (0, _one("conv1d", "padding", padding, 0))
    return squeeze(conv2d(x, w, bias, (1, s), p, (1, d), groups), -2)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    _op: str = "conv_transpose2d",
) -> Tensor:
    """The transpose of `conv2d`, as a map of images: what its input gradient computes.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        weight: (C, O / groups, KH, KW).
        bias: (O,) or None.
        stride, padding, dilation, groups: those of the convolution that is transposed.
        output_padding: rows and columns added at the end of the output, less than the stride or the dilation.

    Returns:
        (N, O, OH, OW) with OH = (H - 1) * S - 2P + D(KH-1) + output_padding + 1, and OW likewise.

    Raises:
        TypeError, ValueError, RuntimeError: with the rule and the numbers, if the arguments do not fit.
    """
    if isinstance(input, Tensor) and not has_kernels(input):
        return in_float(
            _op,
            lambda x, w, b: conv_transpose2d(x, w, b, stride, padding, output_padding, groups, dilation),
            *(input, weight, bias),
        )
    same_kind(_op, input, weight, "the weight")
    single = input.array.ndim == 3
    x = unsqueeze(input, 0) if single else input
    spec = conv_transpose_spec(
        x.array.shape, weight.array.shape, stride, padding, output_padding, groups, dilation, _op
    )
    rows, columns = (a - b for a, b in zip(spec.output_size, x.array.shape[2:], strict=True))
    if rows or columns:  # an output_padding of a whole stride: as if the image went on with zeros
        x = pad(x, (0, columns, 0, rows))
    y = Conv2dInputGrad.apply(x, weight, spec)
    if bias is not None:
        same_kind(_op, input, bias, "the bias")
        if bias.array.shape != (spec.in_channels,):
            raise ValueError(f"{_op}: the bias must have shape ({spec.in_channels},), got {tuple(bias.array.shape)}")
        y = y + reshape(bias, (-1, 1, 1))
    return squeeze(y, 0) if single else y


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """The transpose of `conv1d`: (N, C, L) with weight (C, O / groups, K); arguments as `conv_transpose2d`."""
    op = "conv_transpose1d"
    x, w = _rows(op, input, weight)
    s, d = _one(op, "stride", stride, 1), _one(op, "dilation", dilation, 1)
    p, e = _one(op, "padding", padding, 0), _one(op, "output_padding", output_padding, 0)
    return squeeze(conv_transpose2d(x, w, bias, (1, s), (0, p), (0, e), groups, (1, d), op), -2)


# -- patches ----------------------------------------------------------------------------------------------------------


def _patches(op: str, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> tuple[Any, Any, Any, Any]:
    """Rows (OH, KH) and columns (OW, KW) of all windows in a padded image, the padding, and the kernel."""
    k, d = _pair(op, "kernel_size", kernel, 1), _pair(op, "dilation", dilation, 1)
    p, s = _pair(op, "padding", padding, 0), _pair(op, "stride", stride, 1)
    places = []
    for n, kk, dd, pp, ss in zip(size, k, d, p, s, strict=True):
        count = (n + 2 * pp - dd * (kk - 1) - 1) // ss + 1
        if count < 1:
            raise GeometryError(
                f"{op}: a window of {kk} with dilation {dd} does not fit into a size of {n} with padding {pp}"
            )
        places.append(np.arange(count)[:, None] * ss + np.arange(kk) * dd)
    return places[0], places[1], p, k


def unfold(input: Tensor, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> Tensor:
    """All patches of images (im2col): (N, C, H, W) to (N, C * KH * KW, windows); (C, H, W) without N."""
    need("unfold", input)
    if input.array.dtype.kind in "iu":
        raise RuntimeError(f"unfold: not for {input.dtype} tensors; convert with .float()")
    if input.array.ndim not in (3, 4) or 0 in input.array.shape[-3:]:
        raise RuntimeError(f"unfold: expected (N, C, H, W) or (C, H, W), got shape {tuple(input.array.shape)}")
    x = unsqueeze(input, 0) if input.array.ndim == 3 else input
    rows, columns, (ph, pw), _ = _patches("unfold", x.array.shape[2:], kernel_size, dilation, padding, stride)
    x = pad(x, (pw, pw, ph, ph)) if ph or pw else x
    n, c = x.array.shape[:2]
    key = (slice(None), slice(None), rows.T[:, None, :, None], columns.T[None, :, None, :])
    result = reshape(x[key], (n, c * rows.shape[1] * columns.shape[1], rows.shape[0] * columns.shape[0]))
    return squeeze(result, 0) if input.array.ndim == 3 else result


def fold(
    input: Tensor,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Tensor:
    """Patches (N, C * KH * KW, windows) added up into images (N, C, *output_size): the transpose of `unfold`."""
    need("fold", input)
    ndim = input.array.ndim
    if ndim not in (2, 3):
        raise RuntimeError(f"fold: expected (N, C * KH * KW, L) or without N, got shape {tuple(input.array.shape)}")
    size = _pair("fold", "output_size", output_size, 1)
    rows, columns, (ph, pw), k = _patches("fold", size, kernel_size, dilation, padding, stride)
    x = unsqueeze(input, 0) if ndim == 2 else input
    n, width, windows = x.array.shape
    if width % (k[0] * k[1]):
        raise RuntimeError(f"fold: {width} rows are not divisible by the kernel {k[0]} * {k[1]}")
    if windows != rows.shape[0] * columns.shape[0]:
        raise RuntimeError(
            f"fold: {windows} windows are given, an output of {size} has {rows.shape[0]} * {columns.shape[0]}"
        )
    channels = width // (k[0] * k[1])
    key = (slice(None), slice(None), rows.T[:, None, :, None], columns.T[None, :, None, :])
    patches = reshape(x, (n, channels, *k, rows.shape[0], columns.shape[0]))
    full = IndexGrad.apply(patches, key, (n, channels, size[0] + 2 * ph, size[1] + 2 * pw))
    result = pad(full, (-pw, -pw, -ph, -ph)) if ph or pw else full
    return squeeze(result, 0) if ndim == 2 else result
