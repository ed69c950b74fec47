"""`explain`: one number of a layer's output, worked out as by hand."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._tensor import Tensor
from ..autograd import no_grad
from ..kernels.geometry import ConvSpec, PoolSpec, conv_spec, formulas, pool_spec
from ..nn import functional as F
from ..nn.conv import Conv2d
from ..nn.pool import AvgPool2d, MaxPool2d


@dataclass
class Explanation:
    """How one element of an output comes about; `print` shows it.

    Attributes:
        layer: the layer, as it prints itself.
        out: which element, (n, c, i, j).
        value: the element.
        formulas: how the height and the width of the output come about.
        channels: the channels of the input that it depends on.
        rows, columns: the rows and columns of the input that the window covers; those outside of it are padding.
        patch: what the window sees, (channels, KH, KW), padding included.
        padding: (KH, KW), True where the window lies on padding.
        kernel: the weights (channels, KH, KW) of this filter; None for pooling.
        products: patch * kernel; None for pooling.
        bias: of this filter; 0 without one; None for pooling.
        winner: of max pooling, where in the window (u, v) the largest element stands.
        divisor: of average pooling, what the sum is divided by.
        rules: how `rows` and `columns` come about: position * stride - padding + tap * dilation.
    """

    layer: str
    out: tuple[int, int, int, int]
    value: float
    formulas: tuple[str, str]
    channels: range
    rows: list[int]
    columns: list[int]
    patch: np.ndarray
    padding: np.ndarray
    kernel: np.ndarray | None = None
    products: np.ndarray | None = None
    bias: float | None = None
    winner: tuple[int, int] | None = None
    divisor: int | None = None
    rules: tuple[str, str] = ("", "")

    def __str__(self) -> str:
        return self.text()

    def text(self, channels: int = 4) -> str:
        """The explanation with the grids of the first `channels` channels; the sums of the others."""
        n, c, i, j = self.out
        lines = [f"{self.layer}: output[{n}, {c}, {i}, {j}] = {_number(self.value)}", ""]
        for name, at, size, rule, places in (
            ("rows", f"i = {i}", self.formulas[0], self.rules[0], self.rows),
            ("columns", f"j = {j}", self.formulas[1], self.rules[1], self.columns),
        ):
            lines.append(f"{name:<8}{size} in all; {at} sees {rule} = {', '.join(map(str, places))}")
        if self.padding.any():
            lines.append("        [in brackets]: padding")
        for k, channel in enumerate(self.channels[:channels]):
            lines += ["", *self._grids(k, channel)]
        if self.products is not None:
            lines += ["", *self._sum(channels)]
        elif self.divisor is not None:
            lines += ["", f"sum {_number(self.patch.sum())} / {self.divisor} = {_number(self.value)}"]
        elif self.winner is not None:
            u, v = self.winner
            lines += ["", f"largest: {_number(self.value)}, at row {self.rows[u]}, column {self.columns[v]}"]
        return "\n".join(lines)

    def _grids(self, k: int, channel: int) -> list[str]:
        """The patch of a channel with its rows and columns, and for a convolution the kernel and the products."""
        cells = [[_number(x) for x in row] for row in self.patch[k]]
        for u, row in enumerate(cells):
            for v, cell in enumerate(row):
                marked = f"[{cell}]" if self.padding[u, v] else f"{cell} "
                row[v] = f"*{marked}" if (u, v) == self.winner else marked
        head = [f"{column} " for column in self.columns]
        parts = [[f"x[{self.out[0]}, {channel}]", *_grid([head, *cells], [*map(str, ["", *self.rows])])]]
        if self.kernel is not None and self.products is not None:
            for name, array in ((f"weight[{self.out[1]}, {k}]", self.kernel), ("products", self.products)):
                numbers = [[_number(x) for x in row] for row in array[k]]
                parts.append([name, "", *_grid(numbers)])
        widths = [max(map(len, part)) for part in parts]
        signs = ["", "  *  ", "  =  "]
        lines = []
        for y in range(len(parts[0])):
            line = ""
            for sign, part, wide in zip(signs, parts, widths, strict=False):
                line += (sign if y == 2 + len(self.rows) // 2 else " " * len(sign)) + part[y].ljust(wide)
            lines.append(line.rstrip())
        return lines

    def _sum(self, channels: int) -> list[str]:
        """The products added up, channel by channel."""
        assert self.products is not None
        sums = self.products.sum((1, 2))
        rows = [(f"channel {c}", s) for c, s in zip(self.channels[:channels], sums, strict=False)]
        if len(sums) > channels:
            rows.append((f"{len(sums) - channels} more channels", sums[channels:].sum()))
        rows += [("bias", self.bias), ("output", self.value)]
        wide = max(len(_number(s)) for _, s in rows)
        lines = [f"{name:<18}{_number(s):>{wide}}" for name, s in rows]
        lines.insert(len(lines) - 1, " " * 18 + "-" * wide)
        return lines


def _number(x: Any) -> str:
    """A number in four figures behind the point, or as a whole number."""
    x = float(x) + 0.0  # without the sign of -0
    return f"{x:.0f}" if abs(x) < 1e6 and x == round(x) else f"{x:.4f}"


def _grid(rows: list[list[str]], heads: list[str] | None = None) -> list[str]:
    """Right-aligned columns, behind the heads of the rows."""
    widths = [max(len(row[v]) for row in rows) for v in range(len(rows[0]))]
    lines = [" ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    if heads is None:
        return lines
    wide = max(map(len, heads))
    return [f"{head:>{wide}} | {line}" for head, line in zip(heads, lines, strict=True)]


def _in_range(name: str, value: Any, count: int, why: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"explain: {name} must be an int, got {type(value).__name__} {value!r}")
    if not 0 <= operator.index(value) < count:
        raise IndexError(f"explain: {name} = {value} is out of range, it goes from 0 to {count - 1}: {why}")
    return operator.index(value)


def _spec(layer: Any, shape: tuple[int, ...]) -> ConvSpec | PoolSpec:
    if isinstance(layer, Conv2d):
        rule = (layer.stride, layer.padding, layer.dilation, layer.groups)
        return conv_spec(shape, tuple(layer.weight.shape), *rule, op="Conv2d")
    dilation = layer.dilation if isinstance(layer, MaxPool2d) else 1
    op = type(layer).__name__
    return pool_spec(shape, layer.kernel_size, layer.stride, layer.padding, dilation, layer.ceil_mode, op)


def explain(layer: Any, x: Tensor, out: tuple[int, int, int, int]) -> Explanation:
    """Work out one element of ``layer(x)`` as by hand: which patch of the input, times which weights, added up.

        print(explain(nn.Conv2d(3, 8, 3, padding=1), images, out=(0, 5, 0, 0)))

    Args:
        layer: an `nn.Conv2d`, `nn.MaxPool2d` or `nn.AvgPool2d`.
        x: what it is given, (N, C, H, W), or (C, H, W) for one image, which counts as image 0.
        out: which element of the output: (n, c, i, j).

    Raises:
        TypeError: for another layer, or indices that are not four ints.
        IndexError: for an index out of range, with the formula of the size.
        ValueError: for an input that the layer refuses.
    """
    if not isinstance(layer, (Conv2d, MaxPool2d, AvgPool2d)) or "1d" in type(layer).__name__:
        raise TypeError(f"explain: expected an nn.Conv2d, MaxPool2d or AvgPool2d, got {type(layer).__name__}")
    if not isinstance(x, Tensor):
        raise TypeError(f"explain: expected a Tensor, got {type(x).__name__}")
    if not isinstance(out, (tuple, list)) or len(out) != 4:
        raise TypeError(f"explain: out must be four ints (n, c, i, j), got {out!r}")
    with no_grad():
        x = x.detach().cpu()
        x = x.unsqueeze(0) if x.ndim == 3 else x
        spec = _spec(layer, tuple(x.shape))
        high, wide = formulas(spec)
        filters = spec.out_channels if isinstance(spec, ConvSpec) else spec.channels
        what = "filters" if isinstance(spec, ConvSpec) else "channels"
        n = _in_range("n", out[0], spec.batch, f"there are {spec.batch} images")
        c = _in_range("c", out[1], filters, f"there are {filters} {what}")
        i = _in_range("i", out[2], spec.output_size[0], f"the output height is {high}")
        j = _in_range("j", out[3], spec.output_size[1], f"the output width is {wide}")
        return _worked_out(layer, x, spec, (n, c, i, j), (high, wide))


def _worked_out(
    layer: Any, x: Tensor, spec: ConvSpec | PoolSpec, out: tuple[int, int, int, int], sizes: tuple[str, str]
) -> Explanation:
    n, c, i, j = out
    dilation = spec.dilation
    pads = [p if isinstance(p, tuple) else (p, p) for p in spec.padding]
    places, rules = [], []
    for at, k, s, (before, _), d in zip((i, j), spec.kernel_size, spec.stride, pads, dilation, strict=True):
        places.append([at * s - before + tap * d for tap in range(k)])
        rules.append(f"{at}*{s} - {before} + (0..{k - 1})*{d}")
    channels = range(c, c + 1)
    if isinstance(spec, ConvSpec):
        share = spec.in_channels // spec.groups
        first = c // (spec.out_channels // spec.groups) * share
        channels = range(first, first + share)
    image = x[n : n + 1, channels.start : channels.stop]
    inside = [[0 <= p < size for p in axis] for axis, size in zip(places, spec.input_size, strict=True)]
    padding = ~np.logical_and.outer(*inside)

    frame = [max(0, -axis[0]) for axis in places]  # far enough that the window lies on the frame
    behind = [max(0, axis[-1] - size + 1) for axis, size in zip(places, spec.input_size, strict=True)]
    mode = layer.padding_mode if isinstance(layer, Conv2d) else "zeros"
    sides = (frame[1], behind[1], frame[0], behind[0])
    if mode == "zeros":
        fill = -np.inf if isinstance(layer, MaxPool2d) else 0.0
        framed = F.pad(image, sides, "constant", fill)
    else:
        framed = F.pad(image, sides, mode)
    rows, columns = (np.array(axis) + f for axis, f in zip(places, frame, strict=True))
    patch = framed.numpy()[0][:, rows[:, None], columns]

    it = Explanation(str(layer), out, 0.0, sizes, channels, places[0], places[1], patch, padding)
    it.rules = rules[0], rules[1]
    if isinstance(layer, Conv2d):
        it.kernel = layer.weight.detach().cpu().numpy()[c]
        it.products = patch * it.kernel
        it.bias = 0.0 if layer.bias is None else float(layer.bias.detach().cpu().numpy()[c])
        it.value = float(it.products.sum(dtype=np.float64)) + it.bias
    elif isinstance(layer, MaxPool2d):
        it.winner = _first_largest(patch[0], ~padding)
        it.value = -math.inf if it.winner is None else float(patch[0][it.winner])
    else:
        count = 1
        for axis, size, (_, after) in zip(places, spec.input_size, pads, strict=True):
            counted = [p for p in axis if p < size + after]  # with ceil_mode a window may reach over the padding
            count *= len(counted if layer.count_include_pad else [p for p in counted if 0 <= p < size])
        it.divisor = layer.divisor_override or count
        it.value = float(patch.sum(dtype=np.float64)) / it.divisor
    return it


def _first_largest(patch: np.ndarray, inside: np.ndarray) -> tuple[int, int] | None:
    """Where the first largest element that is not padding stands; a NaN counts as the largest."""
    best = None
    for u, v in np.argwhere(inside):
        if best is None or patch[u, v] > patch[best] or (np.isnan(patch[u, v]) and not np.isnan(patch[best])):
            best = int(u), int(v)
    return best
