"""Operations that draw random numbers."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from .._tensor import Tensor, filled, need, wrap
from ..autograd import Function
from ..random import Generator, generator_or_default
from .elementwise import cast, has_kernels, require_float


class Dropout(Function):
    """Zero where a hash of (key, position) is below p, the rest scaled by 1 / (1 - p).

    The mask is a function of the key alone: the backward pass draws it again instead of keeping it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, key: int) -> Tensor:
        ctx.rule = p, key
        return wrap(x.device.kernels.dropout(x.array, p, key), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return Dropout.apply(g, *ctx.rule), None, None


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, generator: Generator | None = None
) -> Tensor:
    """In training, each element is zeroed with probability `p` and the others are multiplied by 1 / (1 - p).

    The same seed gives the same zeros on any number of threads.

    Raises:
        ValueError: if `p` is not in [0, 1].
    """
    if not 0.0 <= dtypes.real("dropout", "p", p) <= 1.0:
        raise ValueError(f"dropout: p must lie in [0, 1], got {p}")
    if (not training or p == 0.0) and isinstance(input, Tensor):
        return input
    need("dropout", input)
    narrow = input.dtype is dtypes.float16 and not has_kernels(input)
    x = cast(input, dtypes.float32) if narrow else input
    require_float("dropout", x, half=True)
    if p == 1.0:
        result = x * filled(x.array.shape, x.array.dtype, x.device)
    else:
        result = Dropout.apply(x, float(p), generator_or_default(generator).key())
    result = cast(result, input.dtype)
    return input.copy_(result) if inplace else result
