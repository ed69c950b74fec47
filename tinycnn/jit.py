"""The marks that model files carry for ``torch.jit``; there is no compiler, so they change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ._switches import refused

__all__ = ["Final", "export", "ignore", "is_scripting", "is_tracing", "script", "trace", "unused"]


def is_scripting() -> bool:
    """False: the code runs as Python."""
    return False


def is_tracing() -> bool:
    """False: the code runs as Python."""
    return False


def unused(fn: Any) -> Any:
    """The function itself."""
    return fn


export = script_if_tracing = _overload = _overload_method = unused


def ignore(drop: Any = False, **options: Any) -> Any:
    """The function itself; also as ``@ignore()``."""
    return drop if callable(drop) else unused


def _refused(name: str) -> Callable[..., Any]:
    return refused(f"jit.{name}", "there is no compiler in tinycnn; use the model as it is", "a compiler")


load = _refused("load")
save = _refused("save")
script = _refused("script")
trace = _refused("trace")
