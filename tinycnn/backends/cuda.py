"""Products and convolutions on GPUs (``torch.backends.cuda``).

    tinycnn.backends.cuda.allow_tf32 = True

lets tensor cores multiply float32: several times as fast, with factors rounded to 10 bits of mantissa. It holds for
convolutions too, and ``backends.cuda.matmul.allow_tf32`` is the same switch.

    tinycnn.backends.cuda.allow_winograd = False

forbids Winograd's algorithm for 3 x 3 convolutions in float32: they take longer, and their rounding errors are those of
plain sums of products (three to seven times smaller).
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from ..kernels import settings


def is_built() -> bool:
    """Whether the packages for GPUs are installed; `tinycnn.cuda.is_available` says whether there is one."""
    probe: Any = importlib.import_module("tinycnn.kernels.cuda.probe")
    return probe.simulated() or not probe.missing_packages()


def _get_allow_tf32(self: Any) -> bool:
    """Whether products of float32 may be computed with 10 bits of mantissa; False at first."""
    return settings.allow_tf32


def _set_allow_tf32(self: Any, allow: bool) -> None:
    if not isinstance(allow, bool):
        raise TypeError(f"backends.cuda.allow_tf32 must be True or False, got {allow!r}")
    settings.allow_tf32 = allow


def _get_allow_winograd(self: Any) -> bool:
    """Whether 3 x 3 convolutions in float32 may be computed by Winograd's algorithm; True at first."""
    return settings.allow_winograd_on_gpu


def _set_allow_winograd(self: Any, allow: bool) -> None:
    if not isinstance(allow, bool):
        raise TypeError(f"backends.cuda.allow_winograd must be True or False, got {allow!r}")
    settings.allow_winograd_on_gpu = allow


class _Matmul:
    """Switches of matrix products; `allow_fp16_reduced_precision_reduction` can be set and changes nothing."""

    allow_tf32 = property(_get_allow_tf32, _set_allow_tf32)
    allow_fp16_reduced_precision_reduction = True


class _Switches(ModuleType):
    """A module whose switch takes effect when it is set."""

    allow_tf32 = property(_get_allow_tf32, _set_allow_tf32)
    allow_winograd = property(_get_allow_winograd, _set_allow_winograd)


matmul = _Matmul()
sys.modules[__name__].__class__ = _Switches
