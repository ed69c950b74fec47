"""`explain`: one number of a layer's output, worked out as by hand."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._tensor import Tensor
from ..autograd import no_grad
from ..composed.pool import _edges, _targets
from ..kernels.geometry import ConvSpec, conv_spec, conv_transpose_spec, formulas, pool_spec, transposed_formulas
from ..nn import functional as F
from ..nn.conv import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from ..nn.pool import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
)

_CONVOLUTIONS, _TRANSPOSED = (Conv1d, Conv2d), (ConvTranspose1d, ConvTranspose2d)
_LARGEST, _MEANS = (MaxPool2d, AdaptiveMaxPool2d), (AvgPool2d, AdaptiveAvgPool1d, AdaptiveAvgPool2d)
_ADAPTIVE = (AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool2d)
_SIGNALS = (Conv1d, ConvTranspose1d, MaxPool1d, AvgPool1d, AdaptiveAvgPool1d, AdaptiveMaxPool1d)


@dataclass
class Explanation:
    """How one element of an output comes about; `print` shows it.

    A signal (N, C, L) counts as an image of height 1, but for `out`.

    Attributes:
        layer: the layer, as it prints itself.
        out: which element, (n, c, i, j), or (n, c, i) of a signal.
        value: the element.
        formulas: how the height and the width of the output come about.
        channels: the channels of the input that it depends on.
        rows, columns: the rows and columns of the input that the window covers; those outside of it are padding.
            Of a transposed convolution those that reach the element; there may be none.
        patch: what the window sees, (channels, KH, KW), padding included.
        padding: (KH, KW), True where the window lies on padding.
        kernel: the weights (channels, KH, KW) of this filter, of a transposed convolution those that meet the patch;
            None for pooling.
        products: patch * kernel; None for pooling.
        bias: of this filter; 0 without one; None for pooling.
        winner: of max pooling, where in the window (u, v) the largest element stands.
        divisor: of average pooling, what the sum is divided by.
        rules: how `rows` and `columns` come about, such as position * stride - padding + tap * dilation.
        weights: where the kernel stands in the layer's weight; `k` is the number in the patch, `channel` in the input.
    """

    layer: str
    out: tuple[int, ...]
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
    weights: str = ""

    def __str__(self) -> str:
        return self.text()

    def text(self, channels: int = 4) -> str:
        """The explanation with the grids of the first `channels` channels; the sums of the others."""
        at = ", ".join(map(str, self.out))
        lines = [f"{self.layer}: output[{at}] = {_number(self.value)}", ""]
        names = ("rows", "columns") if len(self.out) == 4 else ("", "along")
        for name, size, rule in zip(names, self.formulas, self.rules, strict=True):
            if name:
                lines.append(f"{name:<8}{size} in all; {rule}")
        if self.padding.any():
            lines.append("        [in brackets]: padding")
        for k, channel in enumerate(self.channels[:channels] if self.patch.size else ()):
            lines += ["", *self._grids(k, channel)]
        if self.products is not None:
            lines += ["", *self._sum(channels)]
        elif self.divisor is not None:
            lines += ["", f"sum {_number(self.patch.sum())} / {self.divisor} = {_number(self.value)}"]
        elif self.winner is not None:
            u, v = self.winner
            row = f"row {self.rows[u]}, " if len(self.out) == 4 else ""
            lines += ["", f"largest: {_number(self.value)}, at {row}column {self.columns[v]}"]
        return "\n".join(lines)

    def _grids(self, k: int, channel: int) -> list[str]:
        """The patch of a channel with its rows and columns, and for a convolution the kernel and the products."""
        cells = [[_number(x) for x in row] for row in self.patch[k]]
        for u, row in enumerate(cells):
            for v, cell in enumerate(row):
                marked = f"[{cell}]" if self.padding[u, v] else f"{cell} "
                row[v] = f"*{marked}" if (u, v) == self.winner else marked
        head = [f"{column} " for column in self.columns]
        rows = [*map(str, ["", *self.rows])] if len(self.out) == 4 else None
        parts = [[f"x[{self.out[0]}, {channel}]", *_grid([head, *cells], rows)]]
        if self.kernel is not None and self.products is not None:
            for name, array in ((self.weights.format(k=k, channel=channel), self.kernel), ("products", self.products)):
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
        if not self.patch.size:
            return ["nothing of the input reaches it", f"bias = output = {_number(self.value)}"]
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


@dataclass
class _Axis:
    """One axis of a window: what of the input it sees, with which taps of the kernel, and why in words."""

    count: int  # positions of the window
    formula: str
    places: list[int]
    taps: list[int]
    rule: str


def _two(value: Any, small: int) -> Any:
    """A setting of a layer for signals as one for images of height 1, where it is `small`."""
    if isinstance(value, str):
        return value
    return small, value[0] if isinstance(value, (tuple, list)) else value


def _axes(layer: Any, x: Tensor, at: tuple[int, int]) -> tuple[list[_Axis], Any]:
    """Height and width of the window at `at`, and the spec, if the layer has one."""
    signal, shape = isinstance(layer, _SIGNALS), tuple(x.shape)

    def setting(name: str, small: int) -> Any:
        value = getattr(layer, name, small)
        return _two(value, small) if signal else value

    if isinstance(layer, _ADAPTIVE):
        sizes = _targets(type(layer).__name__, x, setting("output_size", 1), 2)
        return [_adaptive(p, n, m) for p, n, m in zip(at, shape[2:], sizes, strict=True)], None
    rule = setting("stride", 1), setting("padding", 0)
    if isinstance(layer, (*_CONVOLUTIONS, *_TRANSPOSED)):
        weight = tuple(layer.weight.shape)
        weight = (*weight[:2], 1, weight[2]) if signal else weight
    spec: Any
    op = type(layer).__name__
    if isinstance(layer, _TRANSPOSED):
        extra, dilation = setting("output_padding", 0), setting("dilation", 1)
        spec = conv_transpose_spec(shape, weight, *rule, extra, layer.groups, dilation, op)
        make, texts, counts = _transposed, transposed_formulas(spec), spec.input_size
    else:
        if isinstance(layer, _CONVOLUTIONS):
            spec = conv_spec(shape, weight, *rule, setting("dilation", 1), layer.groups, op)
        else:
            spec = pool_spec(shape, setting("kernel_size", 1), *rule, setting("dilation", 1), layer.ceil_mode, op)
        make, texts, counts = _sliding, formulas(spec), spec.output_size
    before = [p[0] if isinstance(p, tuple) else p for p in spec.padding]
    numbers = zip(at, spec.kernel_size, spec.stride, before, spec.dilation, shape[2:], strict=True)
    return [_Axis(n, text, *make(*axis)) for n, text, axis in zip(counts, texts, numbers, strict=True)], spec


def _sliding(at: int, k: int, s: int, p: int, d: int, size: int) -> tuple[list[int], list[int], str]:
    """A convolution's or a pool's window: it begins at position * stride - padding."""
    places = [at * s - p + tap * d for tap in range(k)]
    return places, list(range(k)), f"{at}*{s} - {p} + (0..{k - 1})*{d} = {_listed(places)}"


def _transposed(at: int, k: int, s: int, p: int, d: int, size: int) -> tuple[list[int], list[int], str]:
    """The pixels q of the input that a transposed convolution spreads as far as `at`: q*s - p + tap*d = at."""
    met = [((at + p - tap * d) // s, tap) for tap in reversed(range(k)) if (at + p - tap * d) % s == 0]
    places, taps = [q for q, _ in met if 0 <= q < size], [tap for q, tap in met if 0 <= q < size]
    return places, taps, f"q with q*{s} - {p} + tap*{d} = {at}: {_listed(places)} for tap {_listed(taps)}"


def _adaptive(at: int, size: int, count: int) -> _Axis:
    """One of `count` windows that divide `size` evenly."""
    places, rule = [], ""
    if 0 <= at < count:  # else it will be refused
        places = list(range(*_edges(size, count)[at]))
        rule = f"floor({at}*{size}/{count}) to ceil({at + 1}*{size}/{count}) - 1: {_listed(places)}"
    return _Axis(count, f"output_size = {count}", places, list(range(len(places))), rule)


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def explain(layer: Any, x: Tensor, out: tuple[int, ...]) -> Explanation:
    """Work out one element of ``layer(x)`` as by hand: which patch of the input, times which weights, added up.

        print(explain(nn.Conv2d(3, 8, 3, padding=1), images, out=(0, 5, 0, 0)))

    Args:
        layer: a convolution, a transposed convolution, a max or average pool, also an adaptive one; in one or two
            dimensions.
        x: what it is given, (N, C, H, W) or (N, C, L), or one image or signal without N, which counts as number 0.
        out: which element of the output: (n, c, i, j), or (n, c, i) of a signal.

    Raises:
        TypeError: for another layer, or indices that are not so many ints.
        IndexError: for an index out of range, with the formula of the size.
        ValueError: for an input that the layer refuses.
    """
    if not isinstance(layer, (*_CONVOLUTIONS, *_TRANSPOSED, *_LARGEST, *_MEANS)):
        raise TypeError(f"explain: expected a convolution or a max or average pool, got {type(layer).__name__}")
    if not isinstance(x, Tensor):
        raise TypeError(f"explain: expected a Tensor, got {type(x).__name__}")
    signal = isinstance(layer, _SIGNALS)
    if not isinstance(out, (tuple, list)) or len(out) != 4 - signal:
        wanted = "three ints (n, c, i)" if signal else "four ints (n, c, i, j)"
        raise TypeError(f"explain: out must be {wanted}, got {out!r}")
    if x.ndim not in (3 - signal, 4 - signal):
        shapes = "(N, C, L) or (C, L)" if signal else "(N, C, H, W) or (C, H, W)"
        raise ValueError(f"explain: {type(layer).__name__} takes {shapes}, got shape {tuple(x.shape)}")
    with no_grad():
        x = x.detach().cpu()
        x = x.unsqueeze(0) if x.ndim == 3 - signal else x
        x = x.unsqueeze(2) if signal else x
        axes, spec = _axes(layer, x, (0, 0))  # says how large the output is
        weighted = isinstance(spec, ConvSpec)
        channels = getattr(layer, "out_channels", x.shape[1])
        n = _in_range("n", out[0], x.shape[0], f"there are {x.shape[0]} {'signals' if signal else 'images'}")
        c = _in_range("c", out[1], channels, f"there are {channels} {'filters' if weighted else 'channels'}")
        at = (0, *out[2:]) if signal else tuple(out[2:])
        sides = (("", "height"), ("i", "length")) if signal else (("i", "height"), ("j", "width"))
        placed = [
            _in_range(name, p, axis.count, f"the output {side} is {axis.formula}") if name else 0
            for p, axis, (name, side) in zip(at, axes, sides, strict=True)
        ]
        axes, _ = _axes(layer, x, (placed[0], placed[1]))
        return _worked_out(layer, x[n : n + 1], spec, (n, c, *placed[signal:]), axes)


def _worked_out(layer: Any, image: Tensor, spec: Any, out: tuple[int, ...], axes: list[_Axis]) -> Explanation:
    c, size = out[1], image.shape[2:]
    channels = range(c, c + 1)
    if isinstance(spec, ConvSpec):
        share, filters = layer.in_channels // layer.groups, layer.out_channels // layer.groups
        channels = range(c // filters * share, (c // filters + 1) * share)
    image = image[:, channels.start : channels.stop]
    places = [axis.places for axis in axes]
    inside = [[0 <= p < n for p in axis] for axis, n in zip(places, size, strict=True)]
    padding = ~np.logical_and.outer(*inside)

    frame = [max(0, -min(axis, default=0)) for axis in places]  # far enough that the window lies on the frame
    behind = [max(0, max(axis, default=0) - n + 1) for axis, n in zip(places, size, strict=True)]
    mode = getattr(layer, "padding_mode", "zeros")
    border = (frame[1], behind[1], frame[0], behind[0])
    if mode == "zeros":
        framed = F.pad(image, border, "constant", -np.inf if isinstance(layer, _LARGEST) else 0.0)
    else:
        framed = F.pad(image, border, mode)
    rows, columns = (np.array(axis, np.int64) + f for axis, f in zip(places, frame, strict=True))
    patch = framed.numpy()[0][:, rows[:, None], columns]

    texts, rules = (axes[0].formula, axes[1].formula), []
    for name, p, axis in zip("ij" if len(out) == 4 else " i", (0, 0, *out[2:])[-2:], axes, strict=True):
        rules.append(f"{name} = {p} sees {axis.rule}")
    it = Explanation(str(layer), out, 0.0, texts, channels, places[0], places[1], patch, padding)
    it.rules = rules[0], rules[1]
    if isinstance(spec, ConvSpec):
        it.kernel, it.weights = _kernel(layer, c, channels, axes)
        it.products = patch * it.kernel
        it.bias = 0.0 if layer.bias is None else float(layer.bias.detach().cpu().numpy()[c])
        it.value = float(it.products.sum(dtype=np.float64)) + it.bias
    elif isinstance(layer, _LARGEST):
        it.winner = _first_largest(patch[0], ~padding)
        it.value = -math.inf if it.winner is None else float(patch[0][it.winner])
    else:
        it.divisor = _divisor(layer, spec, places, size)
        it.value = float(patch.sum(dtype=np.float64)) / it.divisor
    return it


def _kernel(layer: Any, c: int, channels: range, axes: list[_Axis]) -> tuple[np.ndarray, str]:
    """The weights that meet the patch, (channels, rows, columns), and how the layer numbers them."""
    weight = layer.weight.detach().cpu().numpy()
    weight = weight[:, :, None] if weight.ndim == 3 else weight
    rows, columns = (np.array(axis.taps, np.int64) for axis in axes)
    if isinstance(layer, _TRANSPOSED):  # (in, out / groups, KH, KW); the taps run backwards
        c %= layer.out_channels // layer.groups
        kernel = weight[channels.start : channels.stop, c]
        return kernel[:, rows[:, None], columns], f"weight[{{channel}}, {c}]"
    return weight[c][:, rows[:, None], columns], f"weight[{c}, {{k}}]"


def _divisor(layer: Any, spec: Any, places: list[list[int]], size: Any) -> int:
    """What a mean divides by."""
    if spec is None:
        return len(places[0]) * len(places[1])
    count = 1
    for axis, n, after in zip(places, size, spec.padding, strict=True):
        counted = [p for p in axis if p < n + after]  # with ceil_mode a window may reach over the padding
        count *= len(counted if layer.count_include_pad else [p for p in counted if 0 <= p < n])
    return layer.divisor_override or count


def _first_largest(patch: np.ndarray, inside: np.ndarray) -> tuple[int, int] | None:
    """Where the first largest element that is not padding stands; a NaN counts as the largest."""
    best = None
    for u, v in np.argwhere(inside):
        if best is None or patch[u, v] > patch[best] or (np.isnan(patch[u, v]) and not np.isnan(patch[best])):
            best = int(u), int(v)
    return best
