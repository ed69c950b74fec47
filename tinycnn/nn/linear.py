"""The fully connected layer."""

from __future__ import annotations

import math
from typing import Any

from .._tensor import Tensor
from ..kernels.geometry import _integer
from ..ops.create import empty
from . import functional as F
from . import init
from .module import Module, weight_and_bias
from .parameter import Parameter


class Linear(Module):
    """y = x @ weight^T + bias

    Shapes: (..., in_features) to (..., out_features).

    Attributes:
        weight: (out_features, in_features), at first even in [-b, b] with b = 1 / sqrt(in_features).
        bias: (out_features,), from the same interval, or None.

    Raises:
        TypeError, ValueError: for sizes that are not ints or negative.
        RuntimeError: when called, if the last dimension is not `in_features` or the dtype differs.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features = _integer("Linear", "in_features", in_features, 0)
        self.out_features = _integer("Linear", "out_features", out_features, 0)
        self.weight = Parameter(empty((self.out_features, self.in_features), device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(empty(self.out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.reset_weight_and_bias(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"Linear: expected a Tensor, got {type(input).__name__}; convert it with tinycnn.tensor(...)"
            )
        shape = input.array.shape
        if not shape or shape[-1] != self.in_features:
            self._refuse(shape)
        return F.linear(input, *weight_and_bias(self))

    def _refuse(self, shape: tuple[int, ...]) -> None:
        """Raise the error for an input that does not fit, and guess what was meant."""
        head = f"Linear(in_features={self.in_features}): "
        if not shape:
            raise RuntimeError(f"{head}the input is a 0-d tensor, expected (..., {self.in_features})")
        if len(shape) > 2 and math.prod(shape[1:]) == self.in_features:
            hint = "put Flatten() or x.flatten(1) before it"
        elif len(shape) > 2:
            flat = math.prod(shape[1:])
            hint = f"flattened with x.flatten(1) the input would fit Linear({flat}, {self.out_features})"
        else:
            hint = f"make it Linear({shape[-1]}, {self.out_features}) or change what comes before"
        raise RuntimeError(f"{head}the input's last dimension is {shape[-1]} (input shape {shape}); {hint}")

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """y = x. Arguments are ignored, so that it can stand in for any other layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input
