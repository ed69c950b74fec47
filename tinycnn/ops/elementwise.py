"""Operations on each element, with their derivatives side by side.

An operation is one line in a table: the kernel's name, what its derivative needs (``x`` the input, ``y`` the output),
and the derivative times the incoming gradient ``g``. Derivatives are written on Tensors, so they can be differentiated
too. Where broadcasting stretched an operand, the backward walk sums its gradient back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _device, dtypes
from .._device import CPU
from .._tensor import Tensor, wrap
from ..autograd import Function, Node, hang, is_grad_enabled

Number = int | float | bool
new: Any = object.__new__


# -- operands ---------------------------------------------------------------------------------------------------------


def operand(value: Any, like: Tensor) -> Tensor:
    """`value` as it is (a Tensor), or as a 0-d tensor beside `like` (a number)."""
    if isinstance(value, Tensor):
        return value
    return wrap(np.asarray(value, dtypes.scalar_dtype(value).numpy), like.device)


def check_broadcast(name: str, x: Tensor, y: Tensor) -> None:
    """Refuse shapes that do not broadcast.

    Raises:
        RuntimeError: with both shapes and the rule.
    """
    for a, b in zip(reversed(x.array.shape), reversed(y.array.shape), strict=False):
        if a != b and a != 1 and b != 1:
            raise RuntimeError(
                f"{name}: shapes {tuple(x.array.shape)} and {tuple(y.array.shape)} do not broadcast: counted from the "
                "right, sizes must be equal or 1"
            )


def common(name: str, x: Any, y: Any, floating: bool = False) -> tuple[Any, Any]:
    """Two operands in one dtype by PyTorch's promotion; a Python number stays a number.

    Args:
        floating: integers become the default floating dtype, as in division.

    Raises:
        TypeError: if an operand is neither a Tensor nor a number.
        RuntimeError: if the operands are on two devices.
    """
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        xa, ya = x.array, y.array
        if xa.dtype is ya.dtype and xa.shape == ya.shape and x.device is y.device:
            if not floating or xa.dtype.kind == "f":
                return x, y
        if x.device is not y.device and x.device != y.device:
            raise RuntimeError(
                f"{name}: the operands are on two devices, {x.device} and {y.device}; move one with .to(...)"
            )
        if xa.shape != ya.shape:
            check_broadcast(name, x, y)
        if xa.dtype is ya.dtype and (not floating or xa.dtype.kind == "f"):
            return x, y
        a, b = x.dtype, y.dtype
        if (x.array.ndim == 0) == (y.array.ndim == 0):
            result = dtypes.promote_types(a, b)
        else:
            result = dtypes.result_type(*((b, a) if x.array.ndim == 0 else (a, b)), None)
        if floating and not result.is_floating_point:
            result = dtypes.get_default_dtype()
        return cast(x, result), cast(y, result)
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(x).__name__} and {type(y).__name__}")
    tensor, number = (x, y) if isinstance(x, Tensor) else (y, x)
    if type(number) is not float or tensor.array.dtype.kind != "f":
        if isinstance(number, np.ndarray):
            other = wrap(number, tensor.device)
            return common(name, x, other, floating) if isinstance(x, Tensor) else common(name, other, y, floating)
        try:
            scalar = dtypes.scalar_dtype(number)
        except TypeError:
            raise TypeError(f"{name}: expected a Tensor or a number, got {type(number).__name__}") from None
        result = dtypes.result_type(tensor.dtype, None, scalar)
        if floating and not result.is_floating_point:
            result = dtypes.get_default_dtype()
        tensor = cast(tensor, result)
        if result.category == dtypes.INT:
            number = int(np.asarray(number).astype(result.numpy))  # wraps around, as in PyTorch
        else:
            number = float(number) if result.is_floating_point else bool(number)
    return (tensor, number) if isinstance(x, Tensor) else (number, tensor)


class Cast(Function):
    """The same numbers in another dtype; the gradient comes back in the old one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: dtypes.dtype) -> Tensor:
        return wrap(x.array.astype(dtype.numpy), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return g, None  # the walk casts it to the input's dtype


def cast(input: Tensor, dtype: dtypes.dtype) -> Tensor:
    """`input` in `dtype`; itself if it has it already."""
    return input if input.array.dtype == dtype.numpy else Cast.apply(input, dtype)


# -- one operand ------------------------------------------------------------------------------------------------------


def unary(
    name: str, needs: str, derivative: Callable[..., Any], formula: str, floating: bool = True
) -> Callable[[Tensor], Tensor]:
    """Make an operation of one tensor from a kernel and its derivative.

    Args:
        name: of the kernel and of the operation.
        needs: ``"x"``, ``"y"`` or ``""``: what `derivative` takes after the gradient.
        derivative: ``(g, kept) -> gradient``, in differentiable operations.
        formula: for the docstring.
        floating: integers become floats first.
    """

    class Op(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            y = wrap(getattr(x.device.kernels, name)(x.array), x.device)
            if needs:
                ctx.save_for_backward(x if needs == "x" else y)
            return y

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return derivative(g, *ctx.saved_tensors)

    Op.__name__ = Op.__qualname__ = name.capitalize()

    def op(input: Tensor) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__}")
        if floating and input.array.dtype.kind != "f":
            input = cast(input, dtypes.get_default_dtype())
        place = input.device
        y = new(Tensor)
        y.array = getattr(place.kernels, name)(input.array)
        if place is not CPU:
            y.device = place
        if (
            input._requires_grad if input._base is None else input.requires_grad
        ) and is_grad_enabled():  # what Function.apply does, without its detours
            ctx = Node(Op)
            ctx.edges = ((input._node or input, input._output),)
            if needs:
                ctx._saved = (input if needs == "x" else y,)
            hang(ctx, y)
        return y

    op.__name__ = op.__qualname__ = name
    op.__doc__ = f"{formula}, for each element; any shape." + (" Integers become floats." if floating else "")
    return op


neg: Callable[[Tensor], Tensor] = unary("neg", "", lambda g: -g, "-x", floating=False)
sign = unary("sign", "", lambda g: g * 0, "-1, 0 or 1, the sign of x", floating=False)
abs = unary("abs", "x", lambda g, x: g * sign(x), "|x|; the gradient at 0 is 0", floating=False)
square = unary("square", "x", lambda g, x: g * (2 * x), "x**2", floating=False)
exp = unary("exp", "y", lambda g, y: g * y, "e**x")
log = unary("log", "x", lambda g, x: g / x, "ln x")
sqrt = unary("sqrt", "y", lambda g, y: g / (2 * y), "The square root of x")
reciprocal = unary("reciprocal", "y", lambda g, y: g * -(y * y), "1 / x")
sin: Callable[[Tensor], Tensor] = unary("sin", "x", lambda g, x: g * cos(x), "sin x, in radians")
cos: Callable[[Tensor], Tensor] = unary("cos", "x", lambda g, x: neg(g * sin(x)), "cos x, in radians")
tanh = unary("tanh", "y", lambda g, y: g * (1 - y * y), "The hyperbolic tangent of x")
sigmoid = unary("sigmoid", "y", lambda g, y: g * (y * (1 - y)), "1 / (1 + e**-x)")
_relu = unary("relu", "y", lambda g, y: ReluGrad.apply(g, y), "max(x, 0)", floating=False)


class ReluGrad(Function):
    """g where y > 0, else 0: one pass over memory instead of a comparison and a product."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(y)
        return wrap(g.device.kernels.relu_grad(g.array, y.array), g.device)

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> Any:
        (y,) = ctx.saved_tensors
        return ReluGrad.apply(gg, y), None


def relu(input: Tensor) -> Tensor:
    """max(x, 0), for each element; the gradient at 0 is 0, and NaN stays NaN.

    Raises:
        TypeError: if `input` is not a Tensor.
        RuntimeError: for bools.
    """
    if isinstance(input, Tensor) and input.array.dtype.kind == "b":
        raise RuntimeError("relu: bool tensors have no sign; convert with .float() or .long()")
    return _relu(input)


# -- two operands -----------------------------------------------------------------------------------------------------


def binary(
    name: str,
    formula: str,
    gx: tuple[str, Callable[..., Any]],
    gy: tuple[str, Callable[..., Any]],
    floating: bool = False,
) -> Callable[[Any, Any], Tensor]:
    """Make an operation of two operands, of which one may be a Python number.

    Args:
        name: of the kernel and of the operation.
        formula: for the docstring.
        gx, gy: what each gradient needs (``"x"``, ``"y"``, ``"xy"``) and ``(g, what it needs) -> gradient``.
        floating: integers become floats first.
    """

    class Op(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Tensor:
            for_x, for_y = ctx.edges
            wanted = gx[0] if for_y is None else gy[0] if for_x is None else either
            if wanted:  # tensors are saved, numbers kept
                of_x, of_y = isinstance(x, Tensor), isinstance(y, Tensor)
                ctx.numbers = None if of_x else x, None if of_y else y
                ctx._saved = x if of_x and "x" in wanted else None, y if of_y and "y" in wanted else None
            return run(x, y)

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            x = y = None
            if ctx._saved != ():
                x, y = (number if t is None else t for t, number in zip(ctx.saved_tensors, ctx.numbers, strict=True))
            kept = {"": (), "x": (x,), "y": (y,), "xy": (x, y)}
            return (
                gx[1](g, *kept[gx[0]]) if ctx.edges[0] is not None else None,
                gy[1](g, *kept[gy[0]]) if ctx.edges[1] is not None else None,
            )

    Op.__name__ = Op.__qualname__ = name.capitalize()
    either = "".join(sorted({*gx[0], *gy[0]}))

    def run(x: Any, y: Any) -> Tensor:
        z = new(Tensor)
        if isinstance(x, Tensor):
            place = x.device
            z.array = getattr(place.kernels, name)(x.array, y.array if isinstance(y, Tensor) else y)
        else:
            place = y.device
            z.array = getattr(place.kernels, name)(x, y.array)
        if place is not CPU:
            z.device = place
        return z

    def op(input: Any, other: Any) -> Tensor:
        x: Any
        y: Any
        if type(other) is float and isinstance(input, Tensor) and input.array.dtype.kind == "f":
            x, y = input, other
        else:
            x, y = common(name, input, other, floating)
        for_x = for_y = False
        if isinstance(x, Tensor):
            for_x = x._requires_grad if x._base is None else x.requires_grad
        if isinstance(y, Tensor):
            for_y = y._requires_grad if y._base is None else y.requires_grad
        if not ((for_x or for_y) and is_grad_enabled()):
            return run(x, y)
        ctx = Node(Op)  # what Function.apply does, without its detours
        ctx.edges = ((x._node or x, x._output) if for_x else None, (y._node or y, y._output) if for_y else None)
        z = Op.forward(ctx, x, y)
        hang(ctx, z)
        return z

    op.__name__ = op.__qualname__ = name
    op.__doc__ = f"{formula}, element by element; shapes broadcast and dtypes promote as in PyTorch."
    return op


def _pow_gx(g: Tensor, x: Any, y: Any) -> Tensor:
    if isinstance(y, Tensor):
        return g * where(eq(y, 0), 0.0, y * x ** (y - 1))  # x**0 is constant, also at x = 0
    return g * (y * x ** (y - 1)) if y else g * 0


def _pow_gy(g: Tensor, x: Any, y: Tensor) -> Tensor:
    if isinstance(x, Tensor):
        return g * where(eq(x, 0), 0.0, x**y * log(where(eq(x, 0), 1.0, x)))  # 0**y is constant for y > 0
    return g * (x**y * math.log(x)) if x else g * 0


def _share(g: Tensor, a: Any, b: Any) -> Tensor:
    """g where a > b, half of it where they are equal, else 0: how maximum shares its gradient. Chosen, not multiplied:
    an infinite g leaves the loser's gradient at 0."""
    return where(lt(a, b), 0.0, where(eq(a, b), g * 0.5, g))


plus = binary("add", "input + other", ("", lambda g: g), ("", lambda g: g))
_sub = binary("sub", "input - other", ("", lambda g: g), ("", lambda g: -g))
mul = binary("mul", "input * other", ("y", lambda g, y: g * y), ("x", lambda g, x: g * x))
_div = binary(
    "div", "input / other", ("y", lambda g, y: g / y), ("xy", lambda g, x, y: -g * (x / y) / y), floating=True
)
_pow = binary("pow", "input ** other", ("xy", _pow_gx), ("xy", _pow_gy))
maximum = binary(
    "maximum",
    "The larger one (equal ones share the gradient, NaN wins)",
    ("xy", lambda g, x, y: _share(g, x, y)),
    ("xy", lambda g, x, y: _share(g, y, x)),
)
minimum = binary(
    "minimum",
    "The smaller one (equal ones share the gradient, NaN wins)",
    ("xy", lambda g, x, y: _share(g, y, x)),
    ("xy", lambda g, x, y: _share(g, x, y)),
)


def add(input: Any, other: Any, *, alpha: Number = 1) -> Tensor:
    """input + alpha * other, element by element; shapes broadcast and dtypes promote as in PyTorch."""
    return plus(input, other if alpha == 1 else other * alpha)


def sub(input: Any, other: Any, *, alpha: Number = 1) -> Tensor:
    """input - alpha * other, element by element; shapes broadcast and dtypes promote as in PyTorch.

    Raises:
        RuntimeError: for two bool tensors, which have no difference.
    """
    if (
        isinstance(input, Tensor)
        and isinstance(other, Tensor)
        and input.array.dtype.kind == "b" == other.array.dtype.kind
    ):
        raise RuntimeError("sub: bools have no difference; use input ^ other or logical_xor")
    return _sub(input, other if alpha == 1 else other * alpha)


def div(input: Any, other: Any) -> Tensor:
    """input / other, element by element; shapes broadcast, integers become floats."""
    return _div(input, other)


def pow(input: Any, exponent: Any) -> Tensor:
    """input ** exponent, element by element; shapes broadcast and dtypes promote as in PyTorch.

    Raises:
        RuntimeError: for integers to a negative whole power.
    """
    x, y = common("pow", input, exponent)
    kind = x.array.dtype.kind if isinstance(x, Tensor) else y.array.dtype.kind
    if kind in "iu" and ((y.array < 0).any() if isinstance(y, Tensor) else y < 0):
        raise RuntimeError("pow: integers to a negative power are not integers; convert the base with .float()")
    return _pow(x, y)


def rsub(input: Tensor, other: Any) -> Tensor:
    """other - input."""
    return sub(other, input)


def rdiv(input: Tensor, other: Any) -> Tensor:
    """other / input."""
    return div(other, input)


def rpow(input: Tensor, other: Any) -> Tensor:
    """other ** input."""
    return pow(other, input)


# -- comparison and choice --------------------------------------------------------------------------------------------


def comparison(name: str, symbol: str) -> Callable[[Any, Any], Tensor]:
    """Make a comparison: bools, without a gradient."""

    def op(input: Any, other: Any) -> Tensor:
        x, y = common(name, input, other)
        place = x.device if isinstance(x, Tensor) else y.device
        a = x.array if isinstance(x, Tensor) else x
        b = y.array if isinstance(y, Tensor) else y
        return wrap(getattr(place.kernels, name)(a, b), place)

    op.__name__ = op.__qualname__ = name
    op.__doc__ = f"input {symbol} other, element by element, as a bool tensor; shapes broadcast."
    return op


eq, ne = comparison("eq", "=="), comparison("ne", "!=")
lt, le = comparison("lt", "<"), comparison("le", "<=")
gt, ge = comparison("gt", ">"), comparison("ge", ">=")


class Where(Function):
    """The gradient goes where the value came from."""

    @staticmethod
    def forward(ctx: Any, condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(condition)
        return wrap(condition.device.kernels.where(condition.array, x.array, y.array), condition.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (condition,) = ctx.saved_tensors
        needed = ctx.needs_input_grad
        return None, where(condition, g, 0.0) if needed[1] else None, where(condition, 0.0, g) if needed[2] else None


def where(condition: Tensor, input: Any, other: Any) -> Tensor:
    """`input` where `condition` holds, else `other`; shapes broadcast, numbers are allowed.

    Raises:
        TypeError: if `condition` is not a bool tensor.
    """
    if not isinstance(condition, Tensor) or condition.array.dtype.kind != "b":
        raise TypeError(
            f"where: the condition must be a bool tensor, got {getattr(condition, 'dtype', type(condition).__name__)}"
        )
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        input, other = operand(input, condition), operand(other, condition)
    x, y = common("where", input, other)
    like = x if isinstance(x, Tensor) else y
    x, y = (v if isinstance(v, Tensor) else wrap(np.asarray(v, like.array.dtype), like.device) for v in (x, y))
    for value in (x, y):
        check_broadcast("where", condition, value)
    return Where.apply(condition, x, y)


class Clamp(Function):
    """The gradient passes where the value was inside, bounds included."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Any, high: Any) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bounds = low, high
        kernels, y = x.device.kernels, x.array
        if low is not None:
            y = kernels.maximum(y, low)
        if high is not None:
            y = kernels.minimum(y, high)
        return wrap(y, x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (x,), (low, high) = ctx.saved_tensors, ctx.bounds
        if low is not None:
            g = where(ge(x, low), g, 0.0)
        if high is not None:
            g = where(le(x, high), g, 0.0)
        return g, None, None


def clamp(input: Tensor, min: Number | None = None, max: Number | None = None) -> Tensor:
    """Each element limited to [min, max]; where min > max the result is max.

    Raises:
        RuntimeError: if both bounds are missing.
    """
    if min is None and max is None:
        raise RuntimeError("clamp: at least one of min and max must be given")
    for bound in (min, max):
        if bound is not None:
            input, _ = common("clamp", input, bound)
    return Clamp.apply(input, min, max)


class Clone(Function):
    """A copy; the gradient passes unchanged."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return wrap(x.array.copy(), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g


def clone(input: Tensor) -> Tensor:
    """A copy in memory of its own, with history."""
    return Clone.apply(input)


def contiguous(input: Tensor) -> Tensor:
    """`input` in row-major memory without gaps; itself if it is so already."""
    return input if input.array.flags.c_contiguous else Clone.apply(input)


def to(
    input: Tensor, *args: Any, device: Any = None, dtype: Any = None, copy: bool = False, non_blocking: bool = False
) -> Tensor:
    """`input` on a device and in a dtype: ``to("cpu")``, ``to(tinycnn.float64)``, ``to(other_tensor)``.

    Returns `input` itself if nothing changes and `copy` is False. Differentiable.
    """
    for a in args:
        if isinstance(a, Tensor):
            device, dtype = a.device, a.dtype
        elif isinstance(a, (str, _device.device)):
            device = a
        elif isinstance(a, (dtypes.dtype, type)):
            dtype = a
        elif a is not None and not isinstance(a, bool):
            raise TypeError(f"to: expected a device, a dtype or a Tensor, got {a!r}")
    if device is not None and _device.as_device(device) != input.device:
        raise RuntimeError(f"to: there is no way from {input.device} to {device} in this version")
    result = input if dtype is None else cast(input, dtypes.as_dtype(dtype))
    return Clone.apply(result) if copy and result is input else result


def require_float(name: str, x: Any) -> None:
    """Refuse what a kernel cannot compute with.

    Raises:
        TypeError: if `x` is not a Tensor.
        RuntimeError: if it is not float32 or float64.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(x).__name__}")
    if x.array.dtype.kind != "f" or x.array.itemsize < 4:
        raise RuntimeError(f"{name}: expected float32 or float64, got {x.dtype}; convert with .float()")
