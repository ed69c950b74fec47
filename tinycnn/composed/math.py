"""Elementwise functions made of others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from .._tensor import Tensor, need, wrap
from ..kernels.geometry import whole
from ..ops import elementwise as ew
from ..ops.elementwise import Number, cast, common, where
from ..ops.inplace import write


def positive(input: Tensor) -> Tensor:
    """The tensor itself (``+x``).

    Raises:
        RuntimeError: for bools.
    """
    need("positive", input)
    if input.array.dtype.kind == "b":
        raise RuntimeError("positive: bools have no sign; convert with .long()")
    return input


def frac(input: Tensor) -> Tensor:
    """x - trunc(x): what follows the point, with the sign of x."""
    need("frac", input)
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"frac: expected a floating-point tensor, got {input.dtype}")
    return input - ew.trunc(input)


def round(input: Tensor, *, decimals: int | None = None) -> Tensor:
    """The nearest number with `decimals` places after the point (before it, if negative); halves go to the even one.

    Raises:
        RuntimeError: for bools, and for integers with `decimals`.
    """
    need("round", input)
    if input.array.dtype.kind in "iu" and decimals is None:
        return ew.clone(input)
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"round: {input.dtype} tensors have no places after the point; convert with .float()")
    if not decimals:
        return ew.rint(input)
    decimals = whole("round", "decimals", decimals)
    scale = 10.0 ** abs(decimals)
    return ew.rint(input * scale) / scale if decimals > 0 else ew.rint(input / scale) * scale


def deg2rad(input: Tensor) -> Tensor:
    """Degrees to radians: x * pi / 180."""
    need("deg2rad", input)
    return as_float(input) * (math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """Radians to degrees: x * 180 / pi."""
    need("rad2deg", input)
    return as_float(input) * (180 / math.pi)


def as_float(input: Tensor) -> Tensor:
    """Integers and bools in the default floating dtype; floats as they are."""
    return input if input.array.dtype.kind == "f" else cast(input, dtypes.get_default_dtype())


def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0."""
    need("sinc", input)
    x = as_float(input) * math.pi
    zero = ew.eq(x, 0)
    safe = where(zero, 1.0, x)
    return where(zero, 1.0 - x * x / 6, ew.sin(safe) / safe)


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """ln(x / (1 - x)); with `eps`, x is clamped to [eps, 1 - eps] first."""
    need("logit", input)
    x = as_float(input)
    if eps is not None:
        x = where(ew.lt(x, eps), eps, where(ew.gt(x, 1 - eps), 1 - eps, x))
    return ew.log(x / (1 - x))


def sgn(input: Tensor) -> Tensor:
    """-1, 0 or 1: the sign."""
    need("sgn", input)
    return ew.sign(input)


def float_power(input: Any, exponent: Any) -> Tensor:
    """input ** exponent, computed in float64."""
    need("float_power", *[v for v in (input, exponent) if not isinstance(v, (int, float))])
    if not isinstance(input, Tensor) and not isinstance(exponent, Tensor):
        raise TypeError("float_power: expected a Tensor, got two numbers")
    x, y = (cast(v, dtypes.float64) if isinstance(v, Tensor) else float(v) for v in (input, exponent))
    return ew.pow(x, y)


def float_power_(input: Tensor, exponent: Any) -> Tensor:
    """`float_power`, written into this tensor.

    Raises:
        RuntimeError: unless this tensor is float64, as the result is.
    """
    if input.array.dtype != np.float64:
        raise RuntimeError(f"float_power_: the result is float64 and does not fit into {input.dtype}")
    return write("float_power_", input, float_power, exponent)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Each element limited to [min, max], numbers or tensors; where min > max the result is max.

    The gradient passes where the value was inside, bounds included, else it goes to the bound.

    Raises:
        RuntimeError: if both bounds are missing; for bools.
    """
    need("clamp", input)
    if not isinstance(min, Tensor) and not isinstance(max, Tensor):
        return ew.clamp(input, min, max)
    if (min is not None and max is not None) and not (isinstance(min, Tensor) and isinstance(max, Tensor)):
        raise TypeError(
            f"clamp: min and max must both be tensors or both numbers, got {type(min).__name__} and "
            f"{type(max).__name__}"
        )
    if (
        min is not None
        and max is not None
        and input.array.dtype.kind == min.array.dtype.kind == max.array.dtype.kind == "b"
    ):
        raise RuntimeError("clamp: bools have no range; convert with .long()")
    result = input
    for bound, outside in ((min, ew.lt), (max, ew.gt)):
        if bound is not None:
            x, limit = common("clamp", result, bound)
            result = where(ew.logical_or(outside(x, limit), ew.isnan(limit)), limit, x)
    return result


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """`clamp` from below."""
    need("clamp_min", input)
    return clamp(input, min=min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """`clamp` from above."""
    need("clamp_max", input)
    return clamp(input, max=max)


def _one_dtype(name: str, *tensors: Any) -> None:
    first = tensors[0]
    for t in tensors:
        if isinstance(t, Tensor) and t.array.dtype != first.array.dtype:
            raise RuntimeError(f"{name}: the operands must have one dtype, got {first.dtype} and {t.dtype}")


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight * (end - input): the way from `input` (weight 0) to `end` (weight 1).

    Raises:
        RuntimeError: if the dtypes differ or are not floating.
    """
    need("lerp", input, end)
    if isinstance(weight, Tensor) and weight.array.ndim == 0:
        weight = cast(weight, input.dtype)
    _one_dtype("lerp", input, end, weight)
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"lerp: expected floating-point tensors, got {input.dtype}")
    return input + weight * (end - input)


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """input + value * tensor1 * tensor2, element by element; for integers `value` loses what follows the point."""
    need("addcmul", input, tensor1, tensor2)
    tensor1, tensor2 = common("addcmul", tensor1, tensor2)
    input, tensor1 = common("addcmul", input, tensor1)
    _, tensor2 = common("addcmul", input, tensor2)
    kind = input.array.dtype.kind
    if kind == "b":
        raise RuntimeError("addcmul: bools cannot be multiplied and added; convert with .long()")
    product = tensor1 * tensor2
    return input + (product if value == 1 else product * (value if kind == "f" else int(value)))


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """input + value * tensor1 / tensor2, element by element.

    Raises:
        RuntimeError: if tensor1 and tensor2 are both integers.
    """
    need("addcdiv", input, tensor1, tensor2)
    if tensor1.array.dtype.kind != "f" and tensor2.array.dtype.kind != "f":
        raise RuntimeError("addcdiv: integers are not divided here; convert with .float(), or use floor_divide")
    quotient = tensor1 / tensor2
    return input + (quotient if value == 1 else quotient * value)


def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN as `nan` (0), infinities as `posinf` and `neginf` (the largest numbers of the dtype)."""
    need("nan_to_num", input)
    if input.array.dtype.kind != "f":
        return ew.clone(input)
    limits = np.finfo(input.array.dtype)

    def number(what: str, value: float | None, usual: Any) -> float:
        return dtypes.real("nan_to_num", what, usual if value is None else value)

    x = where(ew.isnan(input), number("nan", nan, 0), input)
    x = where(ew.eq(input, math.inf), number("posinf", posinf, limits.max), x)
    return where(ew.eq(input, -math.inf), number("neginf", neginf, limits.min), x)


def isposinf(input: Tensor) -> Tensor:
    """Whether x is inf, for each element, as a bool tensor."""
    need("isposinf", input)
    return ew.eq(input, math.inf) if input.array.dtype.kind == "f" else ew.cast(input * 0, dtypes.bool_)


def isneginf(input: Tensor) -> Tensor:
    """Whether x is -inf, for each element, as a bool tensor."""
    need("isneginf", input)
    return ew.eq(input, -math.inf) if input.array.dtype.kind == "f" else ew.cast(input * 0, dtypes.bool_)


def isreal(input: Tensor) -> Tensor:
    """True for each element: there are no complex numbers here."""
    need("isreal", input)
    return wrap(np.ones(input.array.shape, np.bool_), input.device)


def _close(name: str, input: Tensor, other: Tensor, rtol: float, atol: float, equal_nan: bool) -> Any:
    need(name, input, other)
    _one_dtype(name, input, other)
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"{name}: rtol and atol must not be negative, got {rtol} and {atol}")
    ew.check_broadcast(name, input, other)
    a, b = input.array, other.array
    if a.dtype.kind != "f":
        a, b = a.astype(np.float64), b.astype(np.float64)
    return input.device.xp.isclose(a, b, rtol, atol, equal_nan)


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether |input - other| <= atol + rtol * |other|, for each element, as a bool tensor."""
    return wrap(_close("isclose", input, other, rtol, atol, equal_nan), input.device)


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether |input - other| <= atol + rtol * |other| everywhere."""
    return bool(_close("allclose", input, other, rtol, atol, equal_nan).all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape and the same elements."""
    need("equal", input, other)
    return input.array.shape == other.array.shape and bool((input.array == other.array).all())


def xlogy(input: Any, other: Any) -> Tensor:
    """input * ln(other), and 0 where `input` is 0 (NaN where `other` is NaN)."""
    x, y = common("xlogy", input, other, True)
    if not isinstance(y, Tensor):
        if math.isnan(y):
            return x * y
        factor = math.log(y) if y > 0 else -math.inf if y == 0 else math.nan
        return x * factor if math.isfinite(factor) else where(ew.eq(x, 0), 0.0, x * factor)
    zero = ew.logical_and(ew.eq(x, 0), ew.logical_not(ew.isnan(y))) if isinstance(x, Tensor) else None
    if zero is None:
        return where(ew.isnan(y), y, y * 0) if x == 0 else x * ew.log(y)
    return where(zero, 0.0, x * ew.log(where(zero, 1.0, y)))


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 where input < 0, `values` where it is 0, 1 above. No gradient.

    Raises:
        RuntimeError: if the dtypes differ.
    """
    need("heaviside", input, values)
    _one_dtype("heaviside", input, values)
    ew.check_broadcast("heaviside", input, values)
    step = (input.array > 0).astype(input.array.dtype)
    return wrap(np.where(input.array == 0, values.array, step), input.device)


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`value` where `mask` holds, else `input`; shapes broadcast.

    Raises:
        RuntimeError: if the mask is not bool, or the value is not one number or does not fit into the dtype.
    """
    need("masked_fill", input, mask)
    if mask.array.dtype.kind != "b":
        raise RuntimeError(f"masked_fill: the mask must be a bool tensor, got {mask.dtype}")
    if isinstance(value, Tensor) and value.array.ndim:
        raise RuntimeError(f"masked_fill: the value must be one number, got shape {tuple(value.array.shape)}")
    fitting = dtypes.number("masked_fill", value.item() if isinstance(value, Tensor) else value, input.array.dtype)
    if not isinstance(value, Tensor):
        value = wrap(np.asarray(fitting), input.device)
    return where(mask, cast(value, input.dtype), input)
