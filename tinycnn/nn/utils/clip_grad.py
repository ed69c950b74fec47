"""Limits for gradients, against steps that are too long."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from ... import dtypes
from ..._tensor import Tensor, wrap

Parameters = Tensor | Iterable[Tensor]


def _grads(parameters: Parameters) -> list[Tensor]:
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in tensors if p.grad is not None]


def get_total_norm(
    tensors: Parameters, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of order `norm_type` of all elements of all tensors together.

    Raises:
        RuntimeError: with `error_if_nonfinite`, if it is NaN or infinite.
    """
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    parts = [t.array for t in tensors]
    order = float(norm_type)
    if not parts:
        return wrap(np.zeros((), np.float32))
    if order == 2:
        total = math.sqrt(tensors[0].device.kernels.sums_of_squares(parts).sum())
    else:
        norms = [float(np.linalg.norm(a.reshape(-1).astype(np.float64), order)) for a in parts if a.size]
        total = float(np.linalg.norm(np.asarray(norms), order)) if norms else 0.0
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"the norm of order {norm_type} of the gradients is {total}; with error_if_nonfinite=False they are scaled "
            "by it all the same"
        )
    return wrap(np.asarray(total, parts[0].dtype), tensors[0].device)


def clip_grads_with_norm_(
    parameters: Parameters, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiply the gradients, in place, by max_norm / (total_norm + 1e-6) if that is less than 1."""
    factor = dtypes.real("clip_grad_norm_", "max_norm", max_norm) / (float(total_norm.item()) + 1e-6)
    factor = min(factor, 1.0) if not math.isnan(factor) else factor
    grads = _grads(parameters)
    for grad in grads:
        grad._overwrite("clip_grad_norm_")
    if grads:
        grads[0].device.kernels.scale_arrays([grad.array for grad in grads], factor)


def clip_grad_norm_(
    parameters: Parameters,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients, in place, so that their norm of order `norm_type` is at most `max_norm`.

    Returns:
        the norm before.

    Raises:
        RuntimeError: with `error_if_nonfinite`, if it is NaN or infinite.
    """
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    total = get_total_norm(_grads(tensors), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(tensors, max_norm, total)
    return total


def clip_grad_norm(*args: Any, **options: Any) -> Tensor:
    """`clip_grad_norm_`, by its name of long ago."""
    warnings.warn("clip_grad_norm is now clip_grad_norm_", FutureWarning, stacklevel=2)
    return clip_grad_norm_(*args, **options)


def clip_grad_value_(parameters: Parameters, clip_value: float, foreach: bool | None = None) -> None:
    """Limit each element of the gradients, in place, to [-clip_value, clip_value]."""
    limit = dtypes.real("clip_grad_value_", "clip_value", clip_value)
    for grad in _grads(parameters):
        grad._overwrite("clip_grad_value_")
        np.clip(grad.array, -limit, limit, out=grad.array)
