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
from .._device import CPU, same_device
from .._tensor import Later, Pending, Tensor, filled, need, wrap
from ..autograd import Function, Node, hang, is_grad_enabled

Number = int | float | bool
new: Any = object.__new__
LARGE = 1 << 16  # elements of a sum that is worth putting off


def named(op: Any, name: str, doc: str) -> Any:
    """`op` under the name that it is known by, with a docstring."""
    op.__name__ = op.__qualname__ = name
    op.__doc__ = doc
    return op


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
        xa, ya = x._later or x.array, y._later or y.array
        if xa.dtype is ya.dtype and xa.shape == ya.shape and x.device is y.device:
            if not floating or xa.dtype.kind == "f":
                return x, y
        if x.device is not y.device:
            same_device(name, x, y)
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
        return wrap(x.device.kernels.cast(x.array, dtype.numpy), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return g, None  # the walk casts it to the input's dtype


def cast(input: Tensor, dtype: dtypes.dtype) -> Tensor:
    """`input` in `dtype`; itself if it has it already."""
    return input if (input._later or input.array).dtype == dtype.numpy else Cast.apply(input, dtype)


# -- comparison, truth, bits ------------------------------------------------------------------------------------------


def comparison(name: str, symbol: str) -> Callable[[Any, Any], Tensor]:
    """Make a comparison: bools, without a gradient."""

    def op(input: Any, other: Any) -> Tensor:
        need(name, input)
        x, y = common(name, input, other)
        place = x.device if isinstance(x, Tensor) else y.device
        a = x.array if isinstance(x, Tensor) else x
        b = y.array if isinstance(y, Tensor) else y
        return wrap(getattr(place.kernels, name)(a, b), place)

    return named(op, name, f"input {symbol} other, element by element, as a bool tensor; shapes broadcast.")


eq, ne = comparison("eq", "=="), comparison("ne", "!=")
lt, le = comparison("lt", "<"), comparison("le", "<=")
gt, ge = comparison("gt", ">"), comparison("ge", ">=")


def predicate(name: str, formula: str) -> Callable[[Tensor], Tensor]:
    """Make a question about each element: bools, without a gradient."""

    def op(input: Tensor) -> Tensor:
        need(name, input)
        return wrap(getattr(input.device.kernels, name)(input.array), input.device)

    return named(op, name, f"{formula}, for each element, as a bool tensor.")


isnan, isinf = predicate("isnan", "Whether x is NaN"), predicate("isinf", "Whether x is infinite")
isfinite = predicate("isfinite", "Whether x is neither infinite nor NaN")
signbit = predicate("signbit", "Whether x is negative, or -0.0")
logical_not = predicate("logical_not", "Whether x is 0")


def logical(name: str, formula: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Make a combination of truths (a number is true if it is not 0)."""

    def op(input: Tensor, other: Tensor) -> Tensor:
        need(name, input, other)
        same_device(name, input, other)
        check_broadcast(name, input, other)
        return wrap(getattr(input.device.kernels, name)(input.array, other.array), input.device)

    return named(op, name, f"{formula}, element by element, as a bool tensor; shapes broadcast.")


logical_and = logical("logical_and", "Whether both are not 0")
logical_or = logical("logical_or", "Whether one is not 0")
logical_xor = logical("logical_xor", "Whether exactly one is not 0")


def bitwise(name: str, symbol: str, bools: bool = True) -> Callable[[Any, Any], Tensor]:
    """Make an operation on the bits of integers, or on bools."""

    def op(input: Any, other: Any) -> Tensor:
        x, y = common(name, input, other)
        like = x if isinstance(x, Tensor) else y
        if like.array.dtype.kind == "f" or (like.array.dtype.kind == "b" and not bools):
            raise RuntimeError(f"{name}: expected integers{' or bools' if bools else ''}, got {like.dtype}")
        a = x.array if isinstance(x, Tensor) else like.array.dtype.type(x)
        b = y.array if isinstance(y, Tensor) else like.array.dtype.type(y)
        return wrap(getattr(like.device.kernels, name)(a, b), like.device)

    return named(
        op, name, f"input {symbol} other, bit by bit; shapes broadcast. For integers{' and bools' if bools else ''}."
    )


bitwise_and, bitwise_or = bitwise("bitwise_and", "&"), bitwise("bitwise_or", "|")
bitwise_xor = bitwise("bitwise_xor", "^")
bitwise_left_shift = bitwise("bitwise_left_shift", "<<", bools=False)
bitwise_right_shift = bitwise("bitwise_right_shift", ">>", bools=False)


def bitwise_not(input: Tensor) -> Tensor:
    """~x, bit by bit; for bools the opposite.

    Raises:
        RuntimeError: for floats.
    """
    need("bitwise_not", input)
    if input.array.dtype.kind == "f":
        raise RuntimeError(f"bitwise_not: expected integers or bools, got {input.dtype}")
    return wrap(input.device.kernels.bitwise_not(input.array), input.device)


def nothing(g: Tensor) -> Tensor:
    """The gradient of what does not change with its input: zeros, also where `g` is infinite."""
    return filled(g.array.shape, g.array.dtype, g.device)


# -- one operand ------------------------------------------------------------------------------------------------------


def unary(
    name: str,
    needs: str,
    derivative: Callable[..., Any],
    formula: str,
    floating: bool = True,
    bools: bool = False,
    fused: bool = False,
    compute: Callable[[Tensor, Tensor], None] | None = None,
    differentiate: Callable[[Any, Tensor, Tensor], Tensor] | None = None,
) -> Callable[[Tensor], Tensor]:
    """Make an operation of one tensor from a kernel and its derivative.

    Args:
        name: of the kernel and of the operation.
        needs: ``"x"``, ``"y"`` or ``""``: what `derivative` takes after the gradient.
        derivative: ``(g, kept) -> gradient``, in differentiable operations.
        formula: for the docstring.
        floating: integers become floats first.
        bools: without `floating`, whether bools are taken.
        fused: there is a kernel ``name_grad(gy, kept)``, which does the derivative in one pass where nobody will
            differentiate it.
        compute: ``compute(x, y)`` gives y its array, or what will compute it, in place of the kernel.
        differentiate: ``(ctx, g, kept) -> gradient`` in place of the kernel ``name_grad``.
    """

    class Op(Function):  # the node that `op` records
        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            if fused and not is_grad_enabled():
                (kept,) = ctx.saved_tensors
                if differentiate is not None:
                    return differentiate(ctx, g, kept)
                return wrap(getattr(g.device.kernels, name + "_grad")(g.array, kept.array), g.device)
            return derivative(g, *ctx.saved_tensors)

    Op.__name__ = Op.__qualname__ = name.capitalize()

    def op(input: Tensor) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__}")
        if (input._later or input.array).dtype.kind != "f":
            if floating:
                input = cast(input, dtypes.get_default_dtype())
            elif input.array.dtype.kind == "b" and not bools:
                raise RuntimeError(f"{name}: not for bool tensors; convert with .float() or .long()")
        place = input.device
        y = new(Tensor)
        if compute is not None:
            compute(input, y)
        else:
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

    return named(
        op, name, f"{formula}, for each element; any shape." + (" Integers become floats." if floating else "")
    )


neg: Callable[[Tensor], Tensor] = unary("neg", "", lambda g: -g, "-x", floating=False)
sign = unary("sign", "", lambda g: nothing(g), "-1, 0 or 1, the sign of x", floating=False, bools=True)
abs = unary("abs", "x", lambda g, x: g * sign(x), "|x|; the gradient at 0 is 0", floating=False)
_square = unary("square", "x", lambda g, x: g * (2 * x), "x**2", floating=False)
exp = unary("exp", "y", lambda g, y: g * y, "e**x")
log = unary("log", "x", lambda g, x: g / x, "ln x")
sqrt = unary("sqrt", "y", lambda g, y: g / (2 * y), "The square root of x")
reciprocal = unary("reciprocal", "y", lambda g, y: g * -(y * y), "1 / x")
sin: Callable[[Tensor], Tensor] = unary("sin", "x", lambda g, x: g * cos(x), "sin x, in radians")
cos: Callable[[Tensor], Tensor] = unary("cos", "x", lambda g, x: neg(g * sin(x)), "cos x, in radians")
tanh = unary("tanh", "y", lambda g, y: g * (1 - y * y), "The hyperbolic tangent of x", fused=True)
sigmoid = unary("sigmoid", "y", lambda g, y: g * (y * (1 - y)), "1 / (1 + e**-x)", fused=True)
rsqrt = unary("rsqrt", "y", lambda g, y: g * (-0.5 * y * y * y), "1 / sqrt(x)")
exp2 = unary("exp2", "y", lambda g, y: g * (y * math.log(2)), "2**x")
expm1 = unary("expm1", "x", lambda g, x: g * exp(x), "e**x - 1, exact for small x")
log2 = unary("log2", "x", lambda g, x: g / (x * math.log(2)), "The logarithm of x to base 2")
log10 = unary("log10", "x", lambda g, x: g / (x * math.log(10)), "The logarithm of x to base 10")
log1p = unary("log1p", "x", lambda g, x: g / (x + 1), "ln(1 + x), exact for small x")
tan = unary("tan", "y", lambda g, y: g * (1 + y * y), "tan x, in radians")
asin = unary("asin", "x", lambda g, x: g * rsqrt(1 - x * x), "The angle in [-pi/2, pi/2] whose sine is x")
acos = unary("acos", "x", lambda g, x: -g * rsqrt(1 - x * x), "The angle in [0, pi] whose cosine is x")
atan = unary("atan", "x", lambda g, x: g / (1 + x * x), "The angle in (-pi/2, pi/2) whose tangent is x")
sinh: Callable[[Tensor], Tensor] = unary("sinh", "x", lambda g, x: g * cosh(x), "The hyperbolic sine of x")
cosh: Callable[[Tensor], Tensor] = unary("cosh", "x", lambda g, x: g * sinh(x), "The hyperbolic cosine of x")
asinh = unary("asinh", "x", lambda g, x: g * rsqrt(x * x + 1), "The inverse of sinh")
acosh = unary("acosh", "x", lambda g, x: g * rsqrt(x * x - 1), "The inverse of cosh")
atanh = unary("atanh", "x", lambda g, x: g / (1 - x * x), "The inverse of tanh")
erf = unary("erf", "x", lambda g, x: g * exp(-x * x) * (2 / math.sqrt(math.pi)), "2/sqrt(pi) int_0^x e**(-t*t) dt")
erfc = unary("erfc", "x", lambda g, x: g * exp(-x * x) * (-2 / math.sqrt(math.pi)), "1 - erf(x)")
floor = unary("floor", "", lambda g: nothing(g), "The largest whole number not above x", floating=False)
ceil = unary("ceil", "", lambda g: nothing(g), "The smallest whole number not below x", floating=False)
trunc = unary("trunc", "", lambda g: nothing(g), "x without what follows the point", floating=False)
rint = unary("round", "", lambda g: nothing(g), "The nearest whole number, halves to even", floating=False)


class Rectified(Later):
    """max(x, 0), put off for max pooling: the largest element first, ReLU after it, is the same with less to do."""

    def compute(self) -> Any:
        return self.kernels.relu(*self.given)

    def before_relu(self) -> Any:
        return self.given[0] if self._array is None else None


class Summed(Later):
    """a + b, put off for a ReLU: the one that follows, or of two gradients the one that made their tensor."""

    def compute(self) -> Any:
        return self.kernels.add(*self.given)

    def relu(self) -> Any:
        return self.kernels.relu_of_sum(*self.given) if self._array is None else None

    def masked(self, y: Tensor) -> Any:
        a, b = self.given
        return self.kernels.relu_grad(a, y.array, b) if self._array is None else None


def _sum_later(x: Tensor, y: Tensor) -> Later | None:
    """What puts off x + y; None if that is not worth it, or not possible."""
    later = x._later.plus(y) if x._later else y._later.plus(x) if y._later else None
    if later is not None:
        return later
    a, b = x.array, y.array
    if a.size < LARGE or a.dtype.kind != "f" or a.dtype != b.dtype or a.shape != b.shape:
        return None
    later = Summed(x.device, a, b)
    return later if later.reads(x, y) else None


class Masked(Later):
    """gy where not y <= 0, else 0: the gradient of a ReLU on its way to `node`, which may take it unmasked."""

    def __init__(self, g: Tensor, y: Tensor, node: Node) -> None:
        super().__init__(g.device, g.array)
        self.y, self.node = y.array, node

    def compute(self) -> Any:
        return self.kernels.relu_grad(*self.given, self.y)


def unmasked(g: Tensor, node: Node) -> tuple[Any, Any]:
    """(gy, y) if `g` is a gradient `Masked` by a ReLU for this node: the gradient of y, its output. Else (g, None)."""
    mask = g._later
    if isinstance(mask, Masked) and mask.node is node and mask._array is None:
        return mask.given[0], mask.y
    return g.array, None


def put_off(later: Later, place: _device.device) -> Tensor:
    """A Tensor that `later` will compute."""
    t: Tensor = new(Pending)
    t._later = later
    if place is not CPU:
        t.device = place
    return t


def _rectify(x: Tensor, y: Tensor) -> None:
    array = None if x._later is None else x._later.relu()
    if array is None and x.array.ndim == 4:  # images
        later = Rectified(x.device, x.array)
        if later.reads(x):
            y._put_off(later)
            return
    y.array = x.device.kernels.relu(x.array) if array is None else array


def _unrectify(ctx: Any, g: Tensor, y: Tensor) -> Tensor:
    masked = None if g._later is None else g._later.masked(y)
    if masked is not None:
        return wrap(masked, g.device)
    target, output = ctx.edges[0]
    if output >= 0 and target.function.takes_masks:
        return put_off(Masked(g, y, target), g.device)
    return wrap(g.device.kernels.relu_grad(g.array, y.array), g.device)


relu = unary(
    "relu",
    "y",
    lambda g, y: ReluGrad.apply(g, y),
    "max(x, 0); the gradient at 0 is 0, NaN stays NaN",
    floating=False,
    fused=True,
    compute=_rectify,
    differentiate=_unrectify,
)
silu = unary("silu", "x", lambda g, x: g * _silu_slope(x, sigmoid(x)), "x * sigmoid(x)", fused=True)
gelu = unary("gelu", "x", lambda g, x: g * _gelu_slope(x), "x * (1 + erf(x / sqrt(2))) / 2", fused=True)
hardswish = unary(
    "hardswish",
    "x",
    lambda g, x: where(le(x, -3), 0.0, where(lt(x, 3), g * (x / 3 + 0.5), g)),
    "0 up to -3, x from 3 on, x * (x + 3) / 6 in between",
    fused=True,
)


def ruled(name: str, derivative: Callable[..., Tensor], formula: str) -> Callable[..., Tensor]:
    """Make an operation of one floating tensor and some numbers from the kernels `name` and ``name_grad``.

    Args:
        derivative: ``(g, x, *numbers) -> gradient``, in differentiable operations.
        formula: for the docstring.
    """

    class Op(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, *numbers: float) -> Tensor:
            ctx.save_for_backward(x)
            ctx.numbers = numbers
            return wrap(getattr(x.device.kernels, name)(x.array, *numbers), x.device)

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            (x,) = ctx.saved_tensors
            if is_grad_enabled():
                gx = derivative(g, x, *ctx.numbers)
            else:
                gx = wrap(getattr(g.device.kernels, name + "_grad")(g.array, x.array, *ctx.numbers), g.device)
            return (gx, *[None] * len(ctx.numbers))

    Op.__name__ = Op.__qualname__ = "".join(part.capitalize() for part in name.split("_"))

    def op(input: Tensor, *numbers: float) -> Tensor:
        result: Tensor = Op.apply(input, *numbers)
        return result

    return named(op, name, f"{formula}, for each element of a floating-point tensor.")


leaky_relu = ruled("leaky_relu", lambda g, x, slope: where(gt(x, 0), g, g * slope), "x where x > 0, else slope * x")
elu = ruled(
    "elu",
    lambda g, x, low, high, rate: where(gt(x, 0), g * high, g * (exp(where(gt(x, 0), 0.0, x) * rate) * (low * rate))),
    "high * x where x > 0, else low * (e**(rate * x) - 1), with numbers low, high, rate",
)
softplus = ruled(
    "softplus",
    lambda g, x, beta, threshold: where(gt(x * beta, threshold), g, g * sigmoid(x * beta)),
    "ln(1 + e**(beta * x)) / beta, and x where beta * x > threshold",
)


def _silu_slope(x: Tensor, s: Tensor) -> Tensor:
    return s * (1 + x * (1 - s))


def _gelu_slope(x: Tensor) -> Tensor:
    below = (erf(x * math.sqrt(0.5)) + 1) * 0.5
    return below + x * exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))


class ReluGrad(Function):
    """g where not y <= 0, else 0: one pass over memory instead of a comparison and a product."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(y)
        return wrap(g.device.kernels.relu_grad(g.array, y.array), g.device)

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> Any:
        (y,) = ctx.saved_tensors
        return ReluGrad.apply(gg, y), None


def square(input: Tensor) -> Tensor:
    """x**2, for each element; bools become integers."""
    if isinstance(input, Tensor) and input.array.dtype.kind == "b":
        input = cast(input, dtypes.int64)
    return _square(input)


# -- two operands -----------------------------------------------------------------------------------------------------


def _of_both(needs: str, derivative: Callable[..., Any]) -> Callable[[Tensor, Any, Any], Any]:
    """The derivative as a function of the gradient and both operands."""
    if needs == "xy":
        return derivative
    if needs == "x":
        return lambda g, x, y: derivative(g, x)
    return (lambda g, x, y: derivative(g, y)) if needs else (lambda g, x, y: derivative(g))


def binary(
    name: str,
    formula: str,
    gx: tuple[str, Callable[..., Any]],
    gy: tuple[str, Callable[..., Any]],
    floating: bool = False,
    numbers: bool = True,
    kinds: str = "fiub",
) -> Callable[..., Tensor]:
    """Make an operation of two operands, of which one may be a Python number.

    Args:
        name: of the kernel and of the operation.
        formula: for the docstring.
        gx, gy: what each gradient needs (``"x"``, ``"y"``, ``"xy"``) and ``(g, what it needs) -> gradient``.
        floating: integers become floats first.
        numbers: whether the second operand may be a number.
        kinds: NumPy's letters for the dtypes that are taken.
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
            elif for_x is None or for_y is None:  # no gradient needs the number, but who reads the graph may
                ctx.numbers = None if isinstance(x, Tensor) else x, None if isinstance(y, Tensor) else y
            return run(x, y)

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            x = y = None
            if ctx._saved != ():
                x, y = (number if t is None else t for t, number in zip(ctx.saved_tensors, ctx.numbers, strict=True))
            for_x, for_y = ctx.edges
            return (
                None if for_x is None else gradient_of_x(g, x, y),
                None if for_y is None else gradient_of_y(g, x, y),
            )

    Op.__name__ = Op.__qualname__ = name.capitalize()
    either = "".join(sorted({*gx[0], *gy[0]}))
    gradient_of_x, gradient_of_y = _of_both(*gx), _of_both(*gy)

    def run(x: Any, y: Any) -> Tensor:
        z = new(Tensor)
        if isinstance(x, Tensor):
            place = x.device
            later = _sum_later(x, y) if name == "add" and isinstance(y, Tensor) else None
            if later is not None:
                z._put_off(later)
            else:
                z.array = getattr(place.kernels, name)(x.array, y.array if isinstance(y, Tensor) else y)
        else:
            place = y.device
            z.array = getattr(place.kernels, name)(x, y.array)
        if place is not CPU:
            z.device = place
        return z

    def op(input: Any, other: Any, _reflected: bool = False) -> Tensor:
        x: Any
        y: Any
        if not isinstance(input, Tensor) or not (numbers or isinstance(other, Tensor)):
            raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__} and {type(other).__name__}")
        if type(other) is float and input.array.dtype.kind == "f":
            x, y = input, other
        else:
            x, y = common(name, input, other, floating)
            if (x._later or x.array).dtype.kind not in kinds:
                raise RuntimeError(f"{name}: not for {x.dtype} tensors; convert with .float()")
        if _reflected:
            x, y = y, x
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

    return named(op, name, f"{formula}, element by element; shapes broadcast and dtypes promote as in PyTorch.")


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


def _share_of_second(g: Tensor, a: Any, b: Any) -> Tensor:
    return _share(g, b, a)


plus: Callable[..., Tensor] = binary("add", "input + other", ("", lambda g: g), ("", lambda g: g))
_sub: Callable[..., Tensor] = binary("sub", "input - other", ("", lambda g: g), ("", lambda g: -g))
times: Callable[..., Tensor] = binary("mul", "input * other", ("y", lambda g, y: g * y), ("x", lambda g, x: g * x))
_div: Callable[..., Tensor] = binary(
    "div", "input / other", ("y", lambda g, y: g / y), ("xy", lambda g, x, y: -g * (x / y) / y), floating=True
)
_pow: Callable[..., Tensor] = binary("pow", "input ** other", ("xy", _pow_gx), ("xy", _pow_gy))


def of_both(name: str, formula: str, gx: Any, gy: Any, **how: Any) -> Callable[..., Tensor]:
    """`binary` for two Tensors, whose gradients take ``(g, x, y)``."""
    return binary(name, formula, ("xy", gx), ("xy", gy), numbers=False, **how)


maximum = of_both("maximum", "The larger one (equal ones share the gradient, NaN wins)", _share, _share_of_second)
minimum = of_both("minimum", "The smaller one (equal ones share the gradient, NaN wins)", _share_of_second, _share)
fmax = of_both(
    "fmax",
    "The larger one, a number rather than NaN (the gradient at equal ones goes to input)",
    lambda g, x, y: where(logical_or(ge(x, y), isnan(y)), g, 0.0),
    lambda g, x, y: where(logical_or(ge(x, y), isnan(y)), 0.0, g),
)
fmin = of_both(
    "fmin",
    "The smaller one, a number rather than NaN (the gradient at equal ones goes to input)",
    lambda g, x, y: where(logical_or(le(x, y), isnan(y)), g, 0.0),
    lambda g, x, y: where(logical_or(le(x, y), isnan(y)), 0.0, g),
)
atan2 = of_both(
    "atan2",
    "The angle of the point (other, input)",
    lambda g, x, y: g * (y / (x * x + y * y)),
    lambda g, x, y: g * (-x / (x * x + y * y)),
    floating=True,
)
hypot: Callable[..., Tensor] = of_both(
    "hypot",
    "sqrt(input**2 + other**2)",
    lambda g, x, y: g * (x / hypot(x, y)),
    lambda g, x, y: g * (y / hypot(x, y)),
    kinds="f",
)
logaddexp = of_both(
    "logaddexp",
    "ln(e**input + e**other)",
    lambda g, x, y: g / plus(exp(y - x), 1),
    lambda g, x, y: g / plus(exp(x - y), 1),
    kinds="f",
)
logaddexp2 = of_both(
    "logaddexp2",
    "log2(2**input + 2**other)",
    lambda g, x, y: g / plus(exp2(y - x), 1),
    lambda g, x, y: g / plus(exp2(x - y), 1),
    kinds="f",
)


def _flips(x: Tensor, y: Any) -> Tensor:
    """1 where x and y have one sign, -1 where they differ."""
    return sign(x) * copysign(sign(x) * sign(x), y)


copysign: Callable[..., Tensor] = binary(
    "copysign",
    "|input| with the sign of other",
    ("xy", lambda g, x, y: g * where(eq(x, 0), 0.0, _flips(x, y))),
    ("", lambda g: nothing(g)),
    floating=True,
)
_floor_divide = binary("floor_divide", "floor(input / other)", ("", lambda g: nothing(g)), ("", lambda g: nothing(g)))
_remainder = binary(
    "remainder", "input - other * floor(input / other)", ("", lambda g: g), ("xy", lambda g, x, y: -g * floor(x / y))
)
_fmod = binary(
    "fmod", "input - other * trunc(input / other)", ("", lambda g: g), ("xy", lambda g, x, y: -g * trunc(x / y))
)


def _whole_division(name: str, function: Callable[..., Tensor], input: Any, other: Any) -> Tensor:
    reflected = not isinstance(input, Tensor)
    x, y = common(name, *((other, input) if reflected else (input, other)))
    if x.array.dtype.kind != "f":
        divisor = x if reflected else y
        if x.array.dtype.kind == "b":
            raise RuntimeError(f"{name}: bools cannot be divided; convert with .long()")
        if not (divisor.array.all() if isinstance(divisor, Tensor) else divisor):
            raise RuntimeError(f"{name}: division of integers by 0")
    return function(x, y, reflected)


def floor_divide(input: Any, other: Any) -> Tensor:
    """floor(input / other), element by element; no gradient.

    Raises:
        RuntimeError: for integers, if `other` has a 0.
    """
    return _whole_division("floor_divide", _floor_divide, input, other)


def remainder(input: Any, other: Any) -> Tensor:
    """input - other * floor(input / other): what Python's % gives, with the sign of `other`.

    Raises:
        RuntimeError: for integers, if `other` has a 0; for bools.
    """
    return _whole_division("remainder", _remainder, input, other)


def fmod(input: Any, other: Any) -> Tensor:
    """input - other * trunc(input / other): with the sign of `input`.

    Raises:
        RuntimeError: for integers, if `other` has a 0; for bools.
    """
    need("fmod", input)
    return _whole_division("fmod", _fmod, input, other)


def add(input: Any, other: Any, *, alpha: Number = 1) -> Tensor:
    """input + alpha * other, element by element; shapes broadcast and dtypes promote as in PyTorch."""
    if alpha != 1 or alpha is True:
        input, other = _scaled("add", input, other, alpha)
    if not isinstance(input, Tensor) and isinstance(other, Tensor):
        return plus(other, input)
    return plus(input, other)


def _scaled(name: str, input: Any, other: Any, alpha: Any) -> tuple[Any, Any]:
    """`input`, and alpha * other in the dtype of both."""
    x, y = common(name, input, other)
    kind = (x if isinstance(x, Tensor) else y).array.dtype.kind
    if kind != "f" and isinstance(alpha, float):
        raise RuntimeError(f"{name}: alpha = {alpha!r} must be an integer for integer tensors")
    if kind != "b" and isinstance(alpha, bool):
        raise RuntimeError(f"{name}: a bool alpha is for bool tensors; use 1 or 0")
    return x, y * (bool(alpha) if kind == "b" else alpha)


def mul(input: Any, other: Any) -> Tensor:
    """input * other, element by element; shapes broadcast and dtypes promote as in PyTorch."""
    if not isinstance(input, Tensor) and isinstance(other, Tensor):
        return times(other, input)
    return times(input, other)


def sub(input: Any, other: Any, *, alpha: Number = 1) -> Tensor:
    """input - alpha * other, element by element; shapes broadcast and dtypes promote as in PyTorch.

    Raises:
        RuntimeError: for bools, which have no difference.
    """
    if (
        type(other) is bool
        or type(input) is bool
        or (isinstance(other, Tensor) and other.array.dtype.kind == "b")
        or (isinstance(input, Tensor) and input.array.dtype.kind == "b")
    ):
        raise RuntimeError("sub: bools have no difference; use ^ or logical_xor, or convert with .long()")
    if alpha != 1 or alpha is True:
        input, other = _scaled("sub", input, other, alpha)
    if not isinstance(input, Tensor) and isinstance(other, Tensor):
        return _sub(other, input, True)
    return _sub(input, other)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, element by element; shapes broadcast, integers become floats.

    Args:
        rounding_mode: ``"floor"`` or ``"trunc"`` rounds the quotient and keeps integers.

    Raises:
        RuntimeError: for another rounding_mode; when rounding, if integers are divided by 0.
    """
    if rounding_mode is None:
        if not isinstance(input, Tensor) and isinstance(other, Tensor):
            return _div(other, input, True)
        return _div(input, other)
    if rounding_mode == "floor":
        return _whole_division("floor_divide", _floor_divide, input, other)
    if rounding_mode != "trunc":
        raise RuntimeError(f"div: rounding_mode must be None, 'trunc' or 'floor', got {rounding_mode!r}")
    x, y = common("div", input, other)
    if (x if isinstance(x, Tensor) else y).array.dtype.kind == "f":
        return trunc(_div(x, y))
    quotient = _whole_division("floor_divide", _floor_divide, x, y)  # floor, one too low where signs differ
    exact = eq(quotient * y, x)
    return quotient + cast(logical_not(logical_or(exact, ge(quotient, 0))), quotient.dtype)


def pow(input: Any, exponent: Any) -> Tensor:
    """input ** exponent, element by element; shapes broadcast and dtypes promote as in PyTorch.

    Raises:
        RuntimeError: for integers to a negative whole power; for bools.
    """
    if type(exponent) in (int, float) and isinstance(input, Tensor) and input.array.dtype.kind == "f":
        return _pow(input, float(exponent))
    if not isinstance(input, Tensor) and not isinstance(exponent, Tensor):
        raise TypeError(f"pow: expected a Tensor, got {type(input).__name__} and {type(exponent).__name__}")
    return _power(input, exponent) if isinstance(input, Tensor) else _power(exponent, input, True)


def _power(input: Tensor, other: Any, reflected: bool = False) -> Tensor:
    if input.array.dtype.kind == "b" and isinstance(other, bool) and not reflected:
        return clone(input) if other else logical_or(input, logical_not(input))
    wraps = isinstance(other, int) and other >= 0
    x, y = common("pow", input, other)
    kind = (x if isinstance(x, Tensor) else y).array.dtype
    if kind.kind != "f":
        exponent = x if reflected else y
        if kind.kind == "b":
            raise RuntimeError("pow: bools have no powers; convert with .long()")
        if isinstance(exponent, Tensor):
            if (exponent.array < 0).any():
                return _whole_power(*((y, x) if reflected else (x, y)))
        elif not wraps:
            raise RuntimeError("pow: integers to a negative power are not integers; convert the base with .float()")
    if not reflected and not isinstance(other, Tensor):
        dtypes.number("pow", other, kind)
    return _pow(x, y, reflected)


def _whole_power(base: Any, exponent: Tensor) -> Tensor:
    """Of integers, with negative exponents: 1/x is rounded towards 0, so that only 1 and -1 do not become 0."""
    if not isinstance(base, Tensor):
        base = wrap(np.asarray(base, exponent.array.dtype), exponent.device)
    negative = lt(exponent, 0)
    sign_of_odd = 1 - 2 * bitwise_and(exponent, 1)
    inverse = where(eq(base, 1), 1, where(eq(base, -1), sign_of_odd, 0))
    return where(negative, inverse, _pow(base, where(negative, 0, exponent)))


def rsub(input: Tensor, other: Any, *, alpha: Number = 1) -> Tensor:
    """other - alpha * input."""
    need("rsub", input)
    return sub(other, input, alpha=alpha)


def rdiv(input: Tensor, other: Any) -> Tensor:
    """other / input."""
    return _div(other, input) if isinstance(other, Tensor) else _div(input, other, True)


def rpow(input: Tensor, other: Any) -> Tensor:
    """other ** input."""
    return _power(other, input) if isinstance(other, Tensor) else _power(input, other, True)


# -- choice, limits, copies -------------------------------------------------------------------------------------------


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


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """`input` where `condition` holds, else `other`; shapes broadcast, numbers are allowed. ``where(condition)`` alone
    is the places where it holds: one int64 tensor per dimension.

    Raises:
        TypeError: if `condition` is not a bool tensor.
        RuntimeError: if a number does not fit into the dtype.
    """
    if isinstance(condition, Tensor) and input is None and other is None:
        return tuple(wrap(i, condition.device) for i in np.nonzero(np.atleast_1d(condition.array)))
    if isinstance(condition, Tensor) and condition.array.dtype == np.uint8:
        condition = cast(condition, dtypes.bool_)
    if not isinstance(condition, Tensor) or condition.array.dtype.kind != "b":
        raise TypeError(
            f"where: the condition must be a bool tensor, got {getattr(condition, 'dtype', type(condition).__name__)}"
        )
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        input, other = operand(input, condition), operand(other, condition)
    numbers = [v for v in (input, other) if not isinstance(v, Tensor)]
    x, y = common("where", input, other)
    like = x if isinstance(x, Tensor) else y
    for value in numbers if like.array.dtype.kind in "iu" else ():
        dtypes.number("where", value, like.array.dtype)
    x, y = (v if isinstance(v, Tensor) else wrap(np.asarray(v, like.array.dtype), like.device) for v in (x, y))
    for value in (x, y):
        same_device("where", condition, value)
        check_broadcast("where", condition, value)
    return Where.apply(condition, x, y)


class Clamp(Function):
    """The gradient passes where the value was inside, bounds included."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Any, high: Any) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bounds = low, high
        return wrap(x.device.kernels.clamp(x.array, low, high), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (x,), (low, high) = ctx.saved_tensors, ctx.bounds
        if is_grad_enabled():
            return where(logical_and(ge(x, low), le(x, high)), g, 0.0), None, None
        return wrap(g.device.kernels.clamp_grad(g.array, x.array, low, high), g.device), None, None


def clamp(input: Tensor, min: Number | None = None, max: Number | None = None) -> Tensor:
    """Each element limited to [min, max]; where min > max the result is max.

    Raises:
        RuntimeError: if both bounds are missing, or one does not fit into the dtype; for bools.
    """
    if min is None and max is None:
        raise RuntimeError("clamp: at least one of min and max must be given")
    for bound in (min, max):
        if bound is not None:
            input, _ = common("clamp", input, bound)
    kind = input.array.dtype
    if kind.kind == "b":
        raise RuntimeError("clamp: bools have no range; convert with .long()")
    ends = (-math.inf, math.inf) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
    low, high = (e if b is None else dtypes.number("clamp", b, kind) for b, e in zip((min, max), ends, strict=True))
    return Clamp.apply(input, low, high)


class Clone(Function):
    """A copy; the gradient passes unchanged."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return wrap(x.device.kernels.copy(x.array), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy in memory of its own, with history."""
    need("clone", input)
    return Clone.apply(input)


def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """`input` in row-major memory without gaps; itself if it is so already."""
    return input if input.array.flags.c_contiguous else Clone.apply(input)


class Move(Function):
    """The same numbers on another device; the gradient comes back to the old one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, place: _device.device, non_blocking: bool = False) -> Tensor:
        ctx.source = x.device
        return wrap(_device.moved(x.array, x.device, place, non_blocking), place)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return (Move.apply(g, ctx.source), *[None] * (len(ctx.edges) - 1))


def to(
    input: Tensor,
    *args: Any,
    device: Any = None,
    dtype: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """`input` on a device and in a dtype: ``to("cpu")``, ``to(tinycnn.float64)``, ``to("cpu", tinycnn.float64)``,
    ``to(other_tensor)``; then `non_blocking` and `copy`, by position too.

    Returns `input` itself if nothing changes and `copy` is False. Differentiable.

    Args:
        non_blocking: what lies in pinned memory (`pin_memory`) travels to a GPU on a stream of its own, while the
            program and the kernels that do not need it go on. It must not be written to before it is used there.
    """
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        device, dtype = rest[0].device, rest.pop(0).dtype
    elif rest and isinstance(rest[0], (dtypes.dtype, type, np.dtype)):
        dtype = rest.pop(0)
    elif rest:
        device = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], (dtypes.dtype, type, np.dtype))):
            dtype = rest.pop(0)
    if len(rest) > 2 or any([not isinstance(flag, bool) for flag in rest]):
        raise TypeError(f"to: expected a device, a dtype or a Tensor, then non_blocking and copy, got {args!r}")
    if rest:
        non_blocking, copy = rest[0], rest[1] if len(rest) == 2 else copy
    result = input
    if device is not None:
        place = _device.as_device(device)
        if place is not input.device and place != input.device:
            result, copy = Move.apply(result, place, bool(non_blocking)), False
    result = result if dtype is None else cast(result, dtypes.as_dtype(dtype))
    return Clone.apply(result) if copy and result is input else result


def has_kernels(x: Tensor) -> bool:
    """Whether convolution, pooling and the like compute with x as it is: float16 has kernels on GPUs only."""
    kind = (x._later or x.array).dtype
    return kind.kind == "f" and (kind.itemsize >= 4 or x.device is not CPU)


def require_float(name: str, x: Any, half: bool = False) -> None:
    """Refuse what a kernel cannot compute with.

    Args:
        half: whether it computes with float16 on a GPU.

    Raises:
        TypeError: if `x` is not a Tensor.
        RuntimeError: if it is not float32 or float64.
    """
    need(name, x)
    kind = (x._later or x.array).dtype
    if kind.kind != "f" or (kind.itemsize < 4 and not (half and has_kernels(x))):
        raise RuntimeError(f"{name}: expected float32 or float64, got {x.dtype}; convert with .float()")
