"""Receptive fields: how much of the input an element of a layer's output depends on.

Along one axis a field has a size r, in elements of the input, and a jump j: how far the fields of two neighbours lie
apart. The input's own is r = 1, j = 1. A window of k taps that lie d apart, moved by s, makes of them

    r + (k - 1) * d * j        j * s

(Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", 2019). The other rules:

    what works on each element, moves elements, or normalizes    leaves r and j as they are
    a slice with steps, x[:, :, ::2, ::2]                         r, and j times the step
    several inputs (a residual, a concatenation, a product)       the largest r, the smallest j
    a transposed convolution, of which t inputs meet              r + (t - 1) * j; j / s
    adaptive pooling, from n to m elements                        as the longest of its windows; j * n / m
    resizing, from n to m elements                                r + (taps - 1) * j; j * n / m
    a linear layer, a matrix product, a sum over pixels           the whole input

The fields are read off the graph that recording leaves behind the tensors, so that what happens between the layers
counts too.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from fractions import Fraction
from threading import get_ident
from typing import Any, NamedTuple

from .._tensor import Tensor
from ..ops.conv import Conv2d, Conv2dInputGrad
from ..ops.matmul import Linear, MatMul
from ..ops.pool import AvgPool2d, MaxPool2d
from ..ops.reduce import Extremum, Sum
from ..ops.shape import Index

WHOLE = math.inf  # the size of a field that is the whole input


class Field(NamedTuple):
    """A receptive field; pairs are (height, width).

    Attributes:
        size: elements of the input, or `WHOLE`.
        jump: elements of the input between the fields of two neighbours: the product of the strides.
    """

    size: tuple[float, float] = (1, 1)
    jump: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))

    def through(self, taps: Any, apart: Any, factor: Any) -> Field:
        """The field behind a window; pairs of how many taps it has, how far apart, and what the jump is times."""
        size = [r + (k - 1) * d * j for r, k, d, j in zip(self.size, taps, apart, self.jump, strict=True)]
        jump = [j * f for j, f in zip(self.jump, factor, strict=True)]
        return Field((size[0], size[1]), (jump[0], jump[1]))


_EVERYTHING = (WHOLE, WHOLE)


def _joined(fields: list[Field]) -> Field:
    sizes, jumps = zip(*fields, strict=True)
    return Field(
        (max(h for h, _ in sizes), max(w for _, w in sizes)), (min(h for h, _ in jumps), min(w for _, w in jumps))
    )


def _behind(node: Any, fields: list[Field]) -> Field:
    """The field of what one operation made of tensors with these fields."""
    field, kind = _joined(fields), node.function
    if kind in (Conv2d, MaxPool2d, AvgPool2d):
        spec = node.rule[0] if kind is AvgPool2d else node.spec
        return field.through(spec.kernel_size, getattr(spec, "dilation", (1, 1)), spec.stride)
    if kind is Conv2dInputGrad:
        spec = node.spec
        taps = [_meeting(*axis) for axis in zip(spec.kernel_size, spec.dilation, spec.stride, strict=True)]
        return field.through(taps, (1, 1), [Fraction(1, s) for s in spec.stride])
    if kind is Index:
        return field.through((1, 1), (1, 1), _steps(node.key, len(node.shape)))
    if kind in (Linear, MatMul) or (kind in (Sum, Extremum) and _over_pixels(node)):
        return field._replace(size=_EVERYTHING)
    return field


def _meeting(k: int, d: int, s: int) -> int:
    """Inputs of a transposed convolution from the first to the last that reach one output: those of taps s apart."""
    reach: dict[int, list[int]] = {}
    for tap in range(0, k * d, d):
        reach.setdefault(tap % s, []).append(tap)
    return max((taps[-1] - taps[0]) // s + 1 for taps in reach.values())


def _steps(key: Any, ndim: int) -> list[int]:
    """The steps of slices along height and width: ``x[:, :, ::2, ::2]``."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if ndim != 4 or not all(part is Ellipsis or isinstance(part, slice) for part in parts):
        return [1, 1]
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (ndim + 1 - len(parts))
    parts += [slice(None)] * (ndim - len(parts))
    return [abs(part.step or 1) for part in parts[2:]]


def _over_pixels(node: Any) -> bool:
    """Whether a reduction of images (N, C, H, W) goes over their height or width."""
    source, output = node.edges[0]
    shape = source.outputs[output][0] if output >= 0 else source.array.shape
    return len(shape) == 4 and any(kept != n for kept, n in zip(node.kept[2:], shape[2:], strict=True))


class Fields:
    """The receptive fields of all that is computed from some tensors."""

    def __init__(self, inputs: list[Tensor]) -> None:
        self._of: dict[Any, Field | None] = {t.grad_fn: Field() for t in inputs if t.grad_fn is not None}

    def of(self, tensor: Tensor) -> Field | None:
        """The field of an element of `tensor`; None if no recorded way leads from the inputs to it."""
        node = tensor.grad_fn
        if node is None:
            return None
        stack = [node]
        while stack:  # depth first; nets are deeper than Python's own stack
            node = stack[-1]
            if node in self._of:
                stack.pop()
                continue
            before = [edge[0] for edge in node.edges if edge is not None and edge[1] >= 0]
            missing = [n for n in before if n not in self._of]
            stack += missing
            if not missing:
                fields = [f for n in before if (f := self._of[n]) is not None]
                self._of[node] = _behind(node, fields) if fields else None
        return self._of[tensor.grad_fn]

    def knowing(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of `nn.functional` in `RULES`, which is made of other operations: the field by its own rule."""
        rule, me = RULES[name], get_ident()

        @functools.wraps(function)
        def known(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            source = args[0] if args else kwargs.get("input")
            y = result[0] if isinstance(result, tuple) else result
            if get_ident() == me and isinstance(source, Tensor) and isinstance(y, Tensor):
                field = self.of(source)
                if field is not None and y.grad_fn is not None and y.grad_fn is not source.grad_fn:
                    mode = str(kwargs.get("mode", args[3] if len(args) > 3 else ""))
                    self._of[y.grad_fn] = rule(field, source.array.shape[2:], y.array.shape[2:], mode)
            return result

        return known


def _pairs(shape: Any) -> tuple[int, int]:
    """Height and width; a signal has height 1."""
    return (shape[0], shape[1]) if len(shape) == 2 else (1, shape[-1])


def _adaptive(field: Field, old: Any, new: Any, mode: str = "") -> Field:
    sizes = list(zip(_pairs(old), _pairs(new), strict=True))
    taps = [max((-(-(i + 1) * n // m) - i * n // m for i in range(m)), default=1) for n, m in sizes]
    return field.through(taps, (1, 1), [Fraction(n, max(m, 1)) for n, m in sizes])


_TAPS = {"linear": 2, "bilinear": 2, "bicubic": 4}


def _resized(field: Field, old: Any, new: Any, mode: str) -> Field:
    if mode == "area":
        return _adaptive(field, old, new)
    sizes = list(zip(_pairs(old), _pairs(new), strict=True))
    taps = [1 if n == m else _TAPS.get(mode, 1) for n, m in sizes]
    return field.through(taps, (1, 1), [Fraction(n, m) for n, m in sizes])


def _unchanged(field: Field, old: Any, new: Any, mode: str) -> Field:
    return field


RULES: dict[str, Callable[[Field, Any, Any, str], Field]] = {
    **{f"adaptive_{kind}_pool{n}d": _adaptive for kind in ("avg", "max") for n in (1, 2)},
    **dict.fromkeys(("interpolate", "upsample", "pixel_shuffle", "pixel_unshuffle"), _resized),
    "local_response_norm": _unchanged,
}
