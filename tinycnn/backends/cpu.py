"""The kernels of the CPU column (``torch.backends.cpu``).

    tinycnn.backends.cpu.allow_winograd = False

forbids Winograd's algorithm for convolutions of 3 x 3 and of 5 x 5 to 7 x 7: they take up to three times as long, and
their rounding errors are those of plain sums of products (two to seven times smaller).
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from ..kernels import settings


def get_cpu_capability() -> str:
    """The widest vectors that the kernels use: ``"AVX512"``, ``"AVX2"``, or ``"DEFAULT"`` for 16 bytes."""
    simd: Any = importlib.import_module("tinycnn.kernels.cpu.simd")  # loads Numba
    return {64: "AVX512", 32: "AVX2"}.get(simd.VECTOR_BYTES, "DEFAULT")


class _Switches(ModuleType):
    """A module whose switch takes effect when it is set."""

    @property
    def allow_winograd(self) -> bool:
        """Whether convolutions in float32 may be computed by Winograd's algorithm; True at first."""
        return settings.allow_winograd

    @allow_winograd.setter
    def allow_winograd(self, allow: bool) -> None:
        if not isinstance(allow, bool):
            raise TypeError(f"backends.cpu.allow_winograd must be True or False, got {allow!r}")
        settings.allow_winograd = allow


sys.modules[__name__].__class__ = _Switches
