"""The geometry of convolution and pooling: which windows there are, and what is refused.

Along one axis an image of `size` elements is padded with P0 elements in front and P1 behind, and a window of `kernel`
taps that lie `dilation` apart moves over it by `stride`:

    output = floor((size + P0 + P1 - dilation * (kernel - 1) - 1) / stride) + 1

A `ConvSpec` or `PoolSpec` is what the kernels are given. Whoever holds one may rely on it: `conv_spec` and `pool_spec`
refuse every illegal argument, with the rule and its numbers in the message, and keep the specs they have built.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache, partial
from typing import Any

Pair = tuple[int, int]
Shape = tuple[int, int, int, int]
_SIDES = "height", "width"
_LARGEST = 2**31 - 1  # kernel size, stride, padding, dilation: what compiled kernels compute from them fits int64


class GeometryError(ValueError, RuntimeError):
    """Sizes that do not fit. PyTorch raises RuntimeError where others raise ValueError; this is both."""


def _hash_of(spec: Any) -> int:
    """Found once: specs are the keys under which kernels keep what follows from a shape."""
    return hash(tuple([getattr(spec, f.name) for f in fields(spec) if f.compare]))


@dataclass(frozen=True, slots=True)
class ConvSpec:
    """A checked 2-D convolution. Pairs are (height, width); `padding` is ((top, bottom), (left, right)).

    Attributes:
        input_shape: (N, C, H, W).
        weight_shape: (O, C / groups, KH, KW).
        output_shape: (N, O, OH, OW).
    """

    batch: int
    in_channels: int
    out_channels: int
    input_size: Pair
    kernel_size: Pair
    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair
    groups: int
    output_size: Pair
    input_shape: Shape = field(init=False, repr=False, compare=False)
    weight_shape: Shape = field(init=False, repr=False, compare=False)
    output_shape: Shape = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keep = partial(object.__setattr__, self)
        keep("input_shape", (self.batch, self.in_channels, *self.input_size))
        keep("weight_shape", (self.out_channels, self.in_channels // self.groups, *self.kernel_size))
        keep("output_shape", (self.batch, self.out_channels, *self.output_size))
        keep("_hash", _hash_of(self))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A checked 2-D pooling. Pairs are (height, width); `padding` is the same on both sides.

    With `ceil_mode` the last window may reach further than the padded image.

    Attributes:
        input_shape: (N, C, H, W).
        output_shape: (N, C, OH, OW).
    """

    batch: int
    channels: int
    input_size: Pair
    kernel_size: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    ceil_mode: bool
    output_size: Pair
    input_shape: Shape = field(init=False, repr=False, compare=False)
    output_shape: Shape = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keep = partial(object.__setattr__, self)
        keep("input_shape", (self.batch, self.channels, *self.input_size))
        keep("output_shape", (self.batch, self.channels, *self.output_size))
        keep("_hash", _hash_of(self))

    def __hash__(self) -> int:
        return self._hash


def _windows(size: int, kernel: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool) -> int:
    """The output formula on numbers known to be good; below 1 when the window does not fit."""
    room = size + padding[0] + padding[1] - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    if (count - 1) * stride >= size + padding[0]:  # the last window would see nothing but the padding behind
        count -= 1
    return count


def output_size(
    size: int, kernel: int, stride: int = 1, padding: int | Pair = 0, dilation: int = 1, ceil_mode: bool = False
) -> int:
    """The number of window positions along one axis.

    floor((size + P0 + P1 - dilation * (kernel - 1) - 1) / stride) + 1, where `padding` is one number for both sides or
    (P0, P1). With `ceil_mode` the division rounds up, and a last window that would start in the padding behind is
    dropped.

    Raises:
        TypeError: if a number is not an int.
        GeometryError: (a ValueError and a RuntimeError) for a size that is not positive, or a window that does not fit.
    """
    op = "output_size"
    size, kernel = _integer(op, "size", size, 1), _integer(op, "kernel", kernel, 1)
    stride, dilation = _integer(op, "stride", stride, 1), _integer(op, "dilation", dilation, 1)
    pads = _pair(op, "padding", padding, 0)
    return _checked(op, "size", size, kernel, stride, pads, dilation, _flag(op, "ceil_mode", ceil_mode), None)


def conv_spec(
    input_shape: Sequence[int],
    weight_shape: Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    op: str = "conv2d",
) -> ConvSpec:
    """The convolution of an image (N, C, H, W) with filters (O, C / groups, KH, KW).

    Args:
        stride, dilation: an int, or a pair (height, width).
        padding: an int or a pair, for both sides of each axis; ``"valid"`` for none; ``"same"`` for as much as keeps
            the size (with stride 1): D(K-1) in all, of which the half goes in front, rounded down.
        groups: channels and filters are split into so many independent groups.
        op: who asks; error messages begin with it.

    Raises:
        TypeError: for something that is not an int (bools and floats are refused) or not a pair.
        GeometryError: for sizes that do not fit.
    """
    if not isinstance(padding, str):
        padding = _pair(op, "padding", padding, 0)
    return _conv_spec(
        _shape(op, "input", input_shape),
        _shape(op, "weight", weight_shape),
        _pair(op, "stride", stride, 1),
        padding,
        _pair(op, "dilation", dilation, 1),
        _integer(op, "groups", groups, 1),
        op,
    )


def remembered(find: Callable[..., Any]) -> Callable[..., Any]:
    """`find`, which makes a spec of ``(*shapes, *rule)``, for ``(shapes, *rule)``: what it found is kept.

    It is looked up by the very objects of the rule: some are equal and yet illegal, such as True and 1.0 in place of 1.
    """
    known: dict[Any, Any] = {}

    def spec_of(shapes: tuple[tuple[int, ...], ...], *rule: Any) -> Any:
        key = shapes, *map(id, rule)
        found = known.get(key)
        if found is None:
            found = find(*shapes, *rule), rule  # which lives as long, so that its ids belong to nothing else
            if all(map(_stays, rule)):
                if len(known) >= 4096:
                    known.clear()
                known[key] = found
        return found[0]

    return spec_of


def _stays(value: Any) -> bool:
    """Whether this is a number, a word, or a tuple of ints, not a list that may change."""
    return value is None or type(value) in (int, bool, str) or type(value) is tuple and all(map(_stays, value))


@lru_cache(maxsize=4096)
def _conv_spec(
    input_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair | str,
    dilation: Pair,
    groups: int,
    op: str,
) -> ConvSpec:
    """The spec of ints and pairs. It is the normal form that is cached: 1, 1.0 and True would be one key."""
    batch, channels, *size = _image(op, input_shape)
    if len(weight_shape) != 4:
        raise GeometryError(
            f"{op}: expected a 4-D weight (O, C / groups, KH, KW), got {len(weight_shape)}-D of shape {weight_shape}"
        )
    filters, per_group, *kernel = weight_shape
    if min(weight_shape) < 1:
        raise GeometryError(f"{op}: no size of the weight may be 0, got shape {weight_shape}")
    if channels % groups or filters % groups:
        raise GeometryError(
            f"{op}: groups = {groups} must divide the {channels} input channels and the {filters} filters"
        )
    if channels != per_group * groups:
        raise GeometryError(
            f"{op}: a weight of shape {weight_shape} with groups = {groups} expects {per_group * groups} input "
            f"channels, the input of shape {input_shape} has {channels}"
        )
    if isinstance(padding, str):
        pads = _named_padding(op, padding, kernel, stride, dilation)
    else:
        pads = ((padding[0], padding[0]), (padding[1], padding[1]))
    output = [
        _checked(op, side, n, k, s, p, d, False, None)
        for side, n, k, s, p, d in zip(_SIDES, size, kernel, stride, pads, dilation, strict=True)
    ]
    return ConvSpec(
        batch=batch,
        in_channels=channels,
        out_channels=filters,
        input_size=(size[0], size[1]),
        kernel_size=(kernel[0], kernel[1]),
        stride=stride,
        padding=pads,
        dilation=dilation,
        groups=groups,
        output_size=(output[0], output[1]),
    )


def conv_transpose_spec(
    input_shape: Sequence[int],
    weight_shape: Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
    op: str = "conv_transpose2d",
) -> ConvSpec:
    """The convolution whose input gradient is the transposed convolution of (N, C, H, W) with (C, O / groups, KH, KW).

    Its input is (N, O, OH, OW) with OH = (H - 1) * S - 2P + D(KH-1) + output_padding + 1, and OW likewise.

    Raises:
        TypeError: for something that is not an int or not a pair.
        GeometryError: for sizes that do not fit, and for an output_padding that is neither below stride nor dilation.
    """
    batch, channels, *size = _image(op, _shape(op, "input", input_shape))
    weight = _shape(op, "weight", weight_shape)
    if len(weight) != 4 or min(weight) < 1:
        raise GeometryError(f"{op}: expected a 4-D weight (C, O / groups, KH, KW) without zeros, got shape {weight}")
    groups = _integer(op, "groups", groups, 1)
    if channels != weight[0] or channels % groups:
        raise GeometryError(
            f"{op}: a weight of shape {weight} expects {weight[0]} input channels, divisible by groups = {groups}; the "
            f"input has {channels}"
        )
    strides, pads = _pair(op, "stride", stride, 1), _pair(op, "padding", padding, 0)
    extra, dilations = _pair(op, "output_padding", output_padding, 0), _pair(op, "dilation", dilation, 1)
    output = []
    for side, n, k, s, p, e, d in zip(_SIDES, size, weight[2:], strides, pads, extra, dilations, strict=True):
        if e >= s and e >= d:
            raise GeometryError(f"{op}: output_padding {e} must be less than the stride {s} or the dilation {d}")
        out = (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        if out < 1:
            raise GeometryError(
                f"{op}: output {side} = {_transposed_formula(n, k, s, p, d, e)} = {out}, must be at least 1 "
                f"(input {n}, kernel {k}, stride {s}, padding {p}, dilation {d}, output_padding {e})"
            )
        output.append(out)
    return conv_spec((batch, weight[1] * groups, *output), weight, strides, pads, dilations, groups, op)


@lru_cache(maxsize=256)
def adjoint(spec: ConvSpec) -> ConvSpec:
    """The convolution that gives the input's gradient, where the stride is 1: kernels turned round, channels and
    filters exchanged. Its padding may be negative.
    """
    reach = [d * (k - 1) for d, k in zip(spec.dilation, spec.kernel_size, strict=True)]
    (top, bottom), (left, right) = spec.padding
    return ConvSpec(
        spec.batch, spec.out_channels, spec.in_channels, spec.output_size, spec.kernel_size, spec.stride,
        ((reach[0] - top, reach[0] - bottom), (reach[1] - left, reach[1] - right)), spec.dilation, spec.groups,
        spec.input_size,
    )  # fmt: skip


def _named_padding(op: str, name: str, kernel: list[int], stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    if name == "valid":
        return (0, 0), (0, 0)
    if name != "same":
        raise GeometryError(f"{op}: padding must be an int, a pair, 'same' or 'valid', got {name!r}")
    if stride != (1, 1):
        raise GeometryError(
            f"{op}: padding='same' keeps the size only with stride 1, got stride {stride}; give the padding as numbers"
        )
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return (totals[0] // 2, totals[0] - totals[0] // 2), (totals[1] // 2, totals[1] - totals[1] // 2)


def pool_spec(
    input_shape: Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    op: str = "max_pool2d",
) -> PoolSpec:
    """The pooling of an image (N, C, H, W).

    Args:
        kernel_size, padding, dilation: an int, or a pair (height, width).
        stride: the same; None (or an empty tuple) means `kernel_size`.
        ceil_mode: round the output size up, but drop a last window that would start in the padding behind.
        op: who asks; error messages begin with it.

    Raises:
        TypeError: for something that is not an int (bools and floats are refused) or not a pair.
        GeometryError: for sizes that do not fit, and for a padding of more than half the kernel.
    """
    kernel = _pair(op, "kernel_size", kernel_size, 1)
    unset = stride is None or (isinstance(stride, (tuple, list)) and not stride)
    return _pool_spec(
        _shape(op, "input", input_shape),
        kernel,
        kernel if unset else _pair(op, "stride", stride, 1),
        _pair(op, "padding", padding, 0),
        _pair(op, "dilation", dilation, 1),
        _flag(op, "ceil_mode", ceil_mode),
        op,
    )


@lru_cache(maxsize=4096)
def _pool_spec(
    input_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool, op: str
) -> PoolSpec:
    """The spec of ints and pairs."""
    batch, channels, *size = _image(op, input_shape)
    for side, p, k in zip(_SIDES, padding, kernel, strict=True):
        if p > k // 2:
            raise GeometryError(
                f"{op}: padding must be at most half the kernel, {k // 2} for a kernel {side} of {k}, got {p}"
            )
    output = [
        _checked(op, side, n, k, s, (p, p), d, ceil_mode, k // 2)
        for side, n, k, s, p, d in zip(_SIDES, size, kernel, stride, padding, dilation, strict=True)
    ]
    return PoolSpec(
        batch=batch,
        channels=channels,
        input_size=(size[0], size[1]),
        kernel_size=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        output_size=(output[0], output[1]),
    )


# -- in words ---------------------------------------------------------------------------------------------------------


def _formula(size: int, kernel: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool) -> str:
    """The output formula with its numbers."""
    padded = f"2*{padding[0]}" if padding[0] == padding[1] else f"{padding[0]} + {padding[1]}"
    return f"{'ceil' if ceil_mode else 'floor'}(({size} + {padded} - {dilation}*({kernel}-1) - 1)/{stride} + 1)"


def _transposed_formula(size: int, kernel: int, stride: int, padding: int, dilation: int, output_padding: int) -> str:
    """The formula of a transposed convolution with its numbers."""
    return f"({size} - 1)*{stride} - 2*{padding} + {dilation}*({kernel}-1) + {output_padding} + 1"


def formulas(spec: ConvSpec | PoolSpec) -> tuple[str, str]:
    """How the height and the width of the output come about: ``floor((32 + 2*0 - 1*(5-1) - 1)/1 + 1) = 28``.

    Where `ceil_mode` drops a last window in the padding behind, the text says so.
    """
    texts = []
    for i in range(2):
        pad = spec.padding[i]
        pads = pad if isinstance(pad, tuple) else (pad, pad)
        rule = (spec.input_size[i], spec.kernel_size[i], spec.stride[i], pads, spec.dilation[i])
        ceil_mode = isinstance(spec, PoolSpec) and spec.ceil_mode
        room = rule[0] + sum(pads) - rule[4] * (rule[1] - 1) - 1
        dropped = ceil_mode and -(-room // rule[2]) + 1 > spec.output_size[i]
        note = " - 1, a window in the padding" if dropped else ""
        texts.append(f"{_formula(*rule, ceil_mode)}{note} = {spec.output_size[i]}")
    return texts[0], texts[1]


def transposed_formulas(spec: ConvSpec) -> tuple[str, str]:
    """The same for a transposed convolution, of which `spec` is the convolution: its input is the output here."""
    texts = []
    for i in range(2):
        rule = (spec.output_size[i], spec.kernel_size[i], spec.stride[i], spec.padding[i][0], spec.dilation[i])
        n, k, s, p, d = rule
        extra = spec.input_size[i] - ((n - 1) * s - 2 * p + d * (k - 1) + 1)
        texts.append(f"{_transposed_formula(*rule, extra)} = {spec.input_size[i]}")
    return texts[0], texts[1]


# -- checks -----------------------------------------------------------------------------------------------------------


def whole(op: str, name: str, value: Any) -> int:
    """An argument that must be an int: NumPy's and 0-d integer tensors count, bools and floats do not.

    Raises:
        TypeError: if it is none.
    """
    if type(value) is int:
        return value
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {name} must be an int, got {type(value).__name__} {value!r}") from None


def _integer(op: str, name: str, value: Any, least: int, most: int = _LARGEST) -> int:
    """`whole`, in range."""
    value = whole(op, name, value)
    if value < least:
        raise GeometryError(f"{op}: {name} must be at least {least}, got {value}")
    if value > most:
        raise GeometryError(f"{op}: {name} must be at most {most}, got {value}")
    return value


def _pair(op: str, name: str, value: Any, least: int) -> Pair:
    """An int for both axes, or a pair."""
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            value = (value[0], value[0])  # as in PyTorch
        if len(value) != 2:
            raise GeometryError(f"{op}: {name} must be an int or a pair (height, width), got {value!r}")
        return _integer(op, name, value[0], least), _integer(op, name, value[1], least)
    if type(value) is not int and (isinstance(value, bool) or not hasattr(value, "__index__")):
        raise TypeError(f"{op}: {name} must be an int or a pair (height, width), got {type(value).__name__} {value!r}")
    number = _integer(op, name, value, least)
    return number, number


def _flag(op: str, name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{op}: {name} must be True or False, got {type(value).__name__} {value!r}")
    return value


def _shape(op: str, what: str, shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of ints from 0 on."""
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"{op}: the shape of the {what} must be a tuple, got {type(shape).__name__} {shape!r}")
    return tuple([_integer(op, f"a size of the {what}", n, 0, 2**63 - 1) for n in shape])


def _image(op: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an input (N, C, H, W), of which N alone may be 0."""
    if len(shape) != 4:
        raise GeometryError(
            f"{op}: expected a 4-D input (N, C, H, W), or (C, H, W) for one image, got {len(shape)}-D of shape {shape}"
        )
    if 0 in shape[1:]:
        raise GeometryError(f"{op}: only the batch size of the input may be 0, got shape {shape}")
    return shape


def _checked(
    op: str,
    side: str,
    size: int,
    kernel: int,
    stride: int,
    pads: Pair,
    dilation: int,
    ceil_mode: bool,
    most: int | None,
) -> int:
    """The output size along one axis, which must be at least 1."""
    count = _windows(size, kernel, stride, pads, dilation, ceil_mode)
    if count < 1:
        raise _too_small(op, side, size, kernel, stride, pads, dilation, ceil_mode, most)
    return count


def _too_small(
    op: str,
    side: str,
    size: int,
    kernel: int,
    stride: int,
    pads: Pair,
    dilation: int,
    ceil_mode: bool,
    most: int | None,
) -> GeometryError:
    """The error for a window that does not fit, with the formula filled in and the way out.

    Args:
        most: the largest padding allowed, None for any.
    """
    count = _windows(size, kernel, stride, pads, dilation, ceil_mode)
    missing = dilation * (kernel - 1) + 1 - size - (stride - 1 if ceil_mode else 0)  # on both sides together
    enough = -(-missing // 2)
    if most is None or enough <= most:
        way_out = f"the smallest padding that works is {enough}"
    else:
        way_out = f"the largest padding allowed, {most}, is not enough: use a smaller kernel or a larger input"
    return GeometryError(
        f"{op}: output {side} = {_formula(size, kernel, stride, pads, dilation, ceil_mode)} = {count}, "
        f"must be at least 1 "
        f"(input {size}, kernel {kernel}, stride {stride}, padding {pads[0] if pads[0] == pads[1] else pads}, "
        f"dilation {dilation}); {way_out}"
    )
