"""Nonlinearities. Element by element, any shape, unless said otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._tensor import Tensor
from ..ops.create import full
from . import functional as F
from .module import Module
from .parameter import Parameter


class ReLU(Module):
    """max(x, 0); the gradient at 0 is 0.

    Args:
        inplace: write the result into the input, which saves its memory.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


def _plain(name: str, function: Callable[..., Tensor], formula: str, *rule: tuple[str, Any]) -> type[Module]:
    """Make the module of a function without parameters.

    Args:
        rule: name and default of its arguments; ``inplace`` is shown only if it is on.
    """

    class Activation(Module):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__()
            names = [key for key, _ in rule]
            missing = [key for key, default in rule[len(args) :] if default is REQUIRED and key not in options]
            if len(args) > len(rule) or set(options) - set(names) or missing:
                raise TypeError(f"{name}: expected the arguments {names}, got {args} and {options}")
            given = {**dict(rule), **dict(zip(names, args, strict=False)), **options}
            if name == "Hardtanh" and not given["min_val"] < given["max_val"]:
                raise ValueError(f"Hardtanh: min_val {given['min_val']} must be less than max_val {given['max_val']}")
            for key, value in given.items():
                setattr(self, key, bool(value) if key == "inplace" else value)

        def forward(self, input: Tensor) -> Tensor:
            return function(input, **{key: getattr(self, key) for key, _ in rule})

        def extra_repr(self) -> str:
            if name in ("Hardshrink", "Softshrink"):
                return str(self.lambd)
            hidden = name in ("Hardsigmoid", "Hardswish")  # as PyTorch shows them
            shown = [(key, getattr(self, key)) for key, _ in rule]
            return ", ".join(f"{k}={v!r}" for k, v in shown if k != "inplace" or (v and not hidden))

    Activation.__name__ = Activation.__qualname__ = name
    Activation.__doc__ = formula
    return Activation


REQUIRED: Any = object()
INPLACE = ("inplace", False)

Tanh = _plain("Tanh", F.tanh, "(e**x - e**-x) / (e**x + e**-x)")
Sigmoid = _plain("Sigmoid", F.sigmoid, "1 / (1 + e**-x)")
ReLU6 = _plain("ReLU6", F.relu6, "min(max(x, 0), 6)", INPLACE)
ReLU6.min_val, ReLU6.max_val = 0.0, 6.0  # type: ignore[attr-defined]
LeakyReLU = _plain("LeakyReLU", F.leaky_relu, "x, or negative_slope * x below 0", ("negative_slope", 0.01), INPLACE)
ELU = _plain("ELU", F.elu, "x, or alpha * (e**x - 1) below 0", ("alpha", 1.0), INPLACE)
CELU = _plain("CELU", F.celu, "x, or alpha * (e**(x / alpha) - 1) below 0", ("alpha", 1.0), INPLACE)
SELU = _plain("SELU", F.selu, "1.0507 * elu(x, 1.6733)", INPLACE)
GELU = _plain("GELU", F.gelu, "x * Phi(x)", ("approximate", "none"))
SiLU = _plain("SiLU", F.silu, "x * sigmoid(x)", INPLACE)
Mish = _plain("Mish", F.mish, "x * tanh(ln(1 + e**x))", INPLACE)
Hardtanh = _plain("Hardtanh", F.hardtanh, "x in [min_val, max_val]", ("min_val", -1.0), ("max_val", 1.0), INPLACE)
Hardsigmoid = _plain("Hardsigmoid", F.hardsigmoid, "min(max(x + 3, 0), 6) / 6", INPLACE)
Hardswish = _plain("Hardswish", F.hardswish, "x * min(max(x + 3, 0), 6) / 6", INPLACE)
Hardshrink = _plain("Hardshrink", F.hardshrink, "x where |x| > lambd, else 0", ("lambd", 0.5))
Softshrink = _plain("Softshrink", F.softshrink, "x moved by lambd towards 0", ("lambd", 0.5))
Tanhshrink = _plain("Tanhshrink", F.tanhshrink, "x - tanh(x)")
Softplus = _plain("Softplus", F.softplus, "ln(1 + e**(beta * x)) / beta", ("beta", 1.0), ("threshold", 20.0))
Softsign = _plain("Softsign", F.softsign, "x / (1 + |x|)")
LogSigmoid = _plain("LogSigmoid", F.logsigmoid, "ln(sigmoid(x))")
Threshold = _plain(
    "Threshold", F.threshold, "x where x > threshold, else value", ("threshold", REQUIRED), ("value", REQUIRED), INPLACE
)
GLU = _plain("GLU", F.glu, "a * sigmoid(b) for the halves along dim", ("dim", -1))
Softmax = _plain("Softmax", F.softmax, "exp(x) / sum(exp(x)) along dim", ("dim", None))
LogSoftmax = _plain("LogSoftmax", F.log_softmax, "x - log(sum(exp(x))) along dim", ("dim", None))
Softmin = _plain("Softmin", F.softmin, "exp(-x) / sum(exp(-x)) along dim", ("dim", None))


class Softmax2d(Module):
    """Softmax over the channels of (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        if input.array.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected (N, C, H, W) or (C, H, W), got shape {tuple(input.array.shape)}")
        return F.softmax(input, -3)


class PReLU(Module):
    """x where x > 0, else weight * x, with one trained weight, or one for each channel (He et al. 2015)."""

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(full((num_parameters,), float(init), device=device, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
