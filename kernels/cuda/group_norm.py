"""Normalization of groups of channels, in CuPy's arithmetic: NumPy's functions in `reference` call CuPy's."""

from __future__ import annotations

from typing import Any

from ..reference import group_norm as reference


def group_norm(x: Any, weight: Any, bias: Any, groups: int, eps: float) -> tuple[Any, Any, Any]:
    """(y, mean, rstd): y = (x - mean) * rstd * weight + bias; see `reference`."""
    return reference.group_norm(x, weight, bias, groups, eps)


def group_norm_grad(gy: Any, x: Any, mean: Any, rstd: Any, weight: Any, groups: int) -> tuple[Any, Any, Any]:
    """(gx, gweight, gbias) of `group_norm`; see `reference`."""
    return reference.group_norm_grad(gy, x, mean, rstd, weight, groups)


def rms_norm(x: Any, weight: Any, eps: float) -> tuple[Any, Any]:
    """(y, rstd) of rows x (R, K): y = x * rstd * weight; see `reference`."""
    return reference.rms_norm(x, weight, eps)


def rms_norm_grad(gy: Any, x: Any, rstd: Any, weight: Any) -> tuple[Any, Any]:
    """(gx, gweight) of `rms_norm`; see `reference`."""
    return reference.rms_norm_grad(gy, x, rstd, weight)
