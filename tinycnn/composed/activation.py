"""Nonlinearities. Element by element, any shape, unless said otherwise; float16 is computed in float32."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from .._tensor import Tensor, need, wrap
from ..autograd import Function, is_grad_enabled
from ..ops import elementwise as ew
from ..ops import loss
from ..ops.elementwise import cast, where
from ..ops.inplace import twin, write
from ..ops.shape import reshape, wrap_dim
from ..random import Generator, generator_or_default
from .math import clamp
from .shape import split

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _apply(name: str, formula: Callable[[Tensor], Tensor], input: Tensor, inplace: bool = False) -> Tensor:
    """`formula` of a floating-point tensor, written into it if `inplace`.

    Raises:
        TypeError: if it is not a Tensor.
        RuntimeError: for other dtypes.
    """
    need(name, input)
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"{name}: expected a floating-point tensor, got {input.dtype}; convert with .float()")
    if input.array.dtype == np.float16:
        plain = formula

        def formula(x: Tensor) -> Tensor:
            return cast(plain(cast(x, dtypes.float32)), dtypes.float16)

    return write(name + "_", input, formula) if inplace else formula(input)


def _whole(name: str, formula: Callable[[Tensor], Tensor], input: Tensor, inplace: bool) -> Tensor:
    """`formula` of a tensor of integers, written into it if `inplace`."""
    return write(name + "_", input, formula) if inplace else formula(input)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0); the gradient at 0 is 0, and NaN stays NaN.

    Args:
        inplace: write the result into `input`, which saves its memory.
    """
    return relu_(input) if inplace else ew.relu(input)


class Between(Function):
    """x clamped, where the gradient is 0 at the bounds too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bounds = low, high
        return wrap(x.device.kernels.clamp(x.array, low, high), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (x,), (low, high) = ctx.saved_tensors, ctx.bounds
        if is_grad_enabled():
            return where(ew.logical_and(ew.gt(x, low), ew.lt(x, high)), g, 0.0), None, None
        kind = x.array.dtype.type  # the numbers next to the bounds are inside
        low, high = np.nextafter(kind(low), kind(np.inf)), np.nextafter(kind(high), kind(-np.inf))
        return wrap(g.device.kernels.clamp_grad(g.array, x.array, low, high), g.device), None, None


def _between(x: Tensor, low: float, high: float) -> Tensor:
    return Between.apply(x, low, high)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]; the gradient at the bounds is 0.

    Raises:
        ValueError: if min_val > max_val.
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val {min_val} must not be larger than max_val {max_val}")
    if isinstance(input, Tensor) and input.array.dtype.kind in "iu":
        if int(min_val) < 0 and not input.dtype.is_signed:
            raise RuntimeError(f"hardtanh: bounds of {input.dtype} must not be negative, got {min_val}")
        return _whole("hardtanh", lambda x: clamp(x, int(min_val), int(max_val)), input, inplace)
    return _apply("hardtanh", lambda x: _between(x, min_val, max_val), input, inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)"""
    if isinstance(input, Tensor) and input.array.dtype.kind in "iu":
        return _whole("relu6", lambda x: clamp(x, 0, 6), input, inplace)
    return _apply("relu6", lambda x: _between(x, 0.0, 6.0), input, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope * x"""
    slope = dtypes.real("leaky_relu", "negative_slope", negative_slope)
    return _apply("leaky_relu", lambda x: ew.leaky_relu(x, slope), input, inplace)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight * x, with one weight, or one for each channel (dimension 1).

    Raises:
        RuntimeError: if the number of weights fits neither, or the dtypes differ.
    """
    need("prelu", input, weight)
    if input.array.dtype.kind != "f" or weight.array.dtype != input.array.dtype:
        raise RuntimeError(f"prelu: expected floating-point tensors of one dtype, got {input.dtype}, {weight.dtype}")
    channels = input.array.shape[1] if input.array.ndim > 1 else 1
    if weight.array.ndim > 1 or weight.array.size not in (1, channels):
        raise RuntimeError(f"prelu: expected 1 weight, or {channels}, got shape {tuple(weight.array.shape)}")
    if weight.array.size == 1:
        w = reshape(weight, (1,) * input.array.ndim)
    else:
        w = reshape(weight, (1, channels) + (1,) * (input.array.ndim - 2))
    return where(ew.gt(input, 0), input, w * input)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (e**x - 1) (Clevert et al. 2016)"""
    low = dtypes.real("elu", "alpha", alpha)
    return _apply("elu", lambda x: ew.elu(x, low, 1.0, 1.0), input, inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """1.0507 * elu(x, 1.6733): keeps mean 0 and variance 1 from layer to layer (Klambauer et al. 2017)"""
    return _apply("selu", lambda x: ew.elu(x, SELU_ALPHA * SELU_SCALE, SELU_SCALE, 1.0), input, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (e**(x / alpha) - 1) (Barron 2017)

    Raises:
        RuntimeError: if alpha is 0.
    """
    alpha = dtypes.real("celu", "alpha", alpha)
    if alpha == 0:
        raise RuntimeError("celu: alpha must not be 0, it divides")
    return _apply("celu", lambda x: ew.elu(x, float(alpha), 1.0, 1.0 / alpha), input, inplace)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x * Phi(x) with the normal distribution's Phi, or its approximation by tanh (Hendrycks and Gimpel 2016).

    Raises:
        RuntimeError: if `approximate` is neither ``"none"`` nor ``"tanh"``.
    """
    if approximate == "tanh":
        slope = math.sqrt(2 / math.pi)
        return _apply("gelu", lambda x: x * (ew.tanh((x + x * x * x * 0.044715) * slope) + 1) * 0.5, input)
    if approximate != "none":
        raise RuntimeError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return _apply("gelu", ew.gelu, input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x), also called swish"""
    return _apply("silu", ew.silu, input, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * tanh(ln(1 + e**x)) (Misra 2019)"""
    return _apply("mish", lambda x: x * ew.tanh(_softplus(x)), input, inplace)


def _softplus(x: Tensor) -> Tensor:
    """ln(1 + e**x) without overflow."""
    return ew.softplus(x, 1.0, math.inf)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """ln(1 + e**(beta * x)) / beta, and x itself where beta * x > threshold"""
    rule = dtypes.real("softplus", "beta", beta), dtypes.real("softplus", "threshold", threshold)
    return _apply("softplus", lambda x: ew.softplus(x, *rule), input)


def logsigmoid(input: Tensor) -> Tensor:
    """ln(sigmoid(x)) without overflow"""
    return _apply("logsigmoid", lambda x: -_softplus(-x), input)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x + 3, 0), 6) / 6"""
    return _apply("hardsigmoid", lambda x: _between(x + 3, 0.0, 6.0) / 6, input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)"""
    return _apply("hardswish", ew.hardswish, input, inplace)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0"""
    return _apply("hardshrink", lambda x: where(ew.le(ew.abs(x), lambd), 0.0, x), input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x - lambd where x > lambd, x + lambd where x < -lambd, else 0

    Raises:
        RuntimeError: if lambd is negative.
    """
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambd must be 0 or more, got {lambd}")
    return _apply(
        "softshrink",
        lambda x: where(ew.gt(x, lambd), x - lambd, where(ew.lt(x, -lambd), x + lambd, x * 0)),
        input,
    )


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)"""
    need("tanhshrink", input)
    return input - ew.tanh(input)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)"""
    need("softsign", input)
    return input / (ew.abs(input) + 1)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else `value`"""
    need("threshold", input)
    if input.array.dtype.kind == "b":
        raise RuntimeError("threshold: not for bool tensors; convert with .float()")
    if input.array.dtype.kind != "f":
        edge, number = int(threshold), wrap(np.asarray(int(value)).astype(input.array.dtype), input.device)
        return _whole("threshold", lambda x: where(ew.le(x, edge), number, x), input, inplace)
    return _apply("threshold", lambda x: where(ew.le(x, threshold), value, x), input, inplace)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a * sigmoid(b), for the halves a and b along `dim` (Dauphin et al. 2017).

    Raises:
        RuntimeError: for a 0-d tensor, or if the size is odd.
    """
    need("glu", input)
    if not input.array.ndim:
        raise RuntimeError("glu: a 0-d tensor cannot be halved")
    at = wrap_dim(dim, input.array.ndim, "glu")
    if input.array.shape[at] % 2:
        raise RuntimeError(f"glu: the size of dimension {dim} must be even, got {input.array.shape[at]}")

    def formula(x: Tensor) -> Tensor:
        a, b = split(x, [x.array.shape[at] // 2] * 2, at)
        return a * ew.sigmoid(b)

    return _apply("glu", formula, input)


# -- softmax ----------------------------------------------------------------------------------------------------------


def _dim(name: str, input: Any, dim: int | None) -> int:
    """PyTorch's old rule where `dim` is missing, with its warning."""
    if dim is not None:
        return dim
    need(name, input)
    warnings.warn(f"{name}: the choice of dim by the number of dimensions is deprecated; give dim=", stacklevel=4)
    return 0 if input.array.ndim in (0, 1, 3) else 1


def _by_rows(name: str, function: Callable[..., Tensor], input: Tensor, dim: Any, dtype: Any) -> Tensor:
    need(name, input)
    if dim is None:
        raise TypeError(f"{name}: dim is missing; for (N, classes) it is 1, for (N, classes, H, W) also 1")
    if dtype is not None:
        input = cast(input, dtypes.as_dtype(dtype))
    return _apply(name, lambda x: function(x, dim), input)


def torch_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`, computed without overflow."""
    return _by_rows("softmax", loss.softmax, input, dim, dtype)


def torch_log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """x - log(sum(exp(x))) along `dim`, computed without overflow."""
    return _by_rows("log_softmax", loss.log_softmax, input, dim, dtype)


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`, computed without overflow."""
    return torch_softmax(input, _dim("softmax", input, dim), dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """x - log(sum(exp(x))) along `dim`, computed without overflow."""
    return torch_log_softmax(input, _dim("log_softmax", input, dim), dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(-x) / sum(exp(-x)) along `dim`."""
    need("softmin", input)
    return torch_softmax(-input, _dim("softmin", input, dim), dtype)


def gumbel_softmax(
    logits: Tensor,
    tau: float = 1.0,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    generator: Generator | None = None,
) -> Tensor:
    """softmax((logits + Gumbel noise) / tau); with `hard` the winner as one-hot, differentiated as if it were soft."""
    need("gumbel_softmax", logits)
    noise = -np.log(generator_or_default(generator).numpy.standard_exponential(logits.array.shape))
    soft = torch_softmax((logits + wrap(noise.astype(logits.array.dtype), logits.device)) / tau, dim)
    if not hard:
        return soft
    best = ew.eq(soft.detach(), soft.detach().amax(dim, True))
    return cast(best, soft.dtype) + (soft - soft.detach())


relu_, tanh_, sigmoid_ = twin(ew.relu), twin(ew.tanh), twin(ew.sigmoid)
leaky_relu_, elu_, selu_, celu_ = twin(leaky_relu), twin(elu), twin(selu), twin(celu)
hardtanh_, threshold_ = twin(hardtanh), twin(threshold)
