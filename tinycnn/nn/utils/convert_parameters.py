"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ..._tensor import Tensor
from ...ops.shape import cat, reshape


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of the parameters, one after the other, as a vector; differentiable."""
    return cat([reshape(p, (p.array.size,)) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write the elements of a vector into the parameters, one after the other.

    Raises:
        TypeError: if `vec` is not a Tensor.
        ValueError: if it has not as many elements as the parameters together.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: expected a Tensor, got {type(vec).__name__}")
    targets = list(parameters)
    count = sum(p.array.size for p in targets)
    if vec.array.size != count:
        raise ValueError(f"vector_to_parameters: {vec.array.size} elements for parameters with {count}")
    start = 0
    flat = vec.array.reshape(-1)
    for p in targets:
        p._overwrite("vector_to_parameters")
        p.array[...] = flat[start : start + p.array.size].reshape(p.array.shape)
        start += p.array.size
