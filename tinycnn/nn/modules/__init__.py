"""The layers under the names of PyTorch's files: ``tinycnn.nn.modules.batchnorm.BatchNorm2d``, and so on.

There is nothing here: every name is looked up in `tinycnn.nn` and its files.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from .. import _tuples as _tuples  # found through `utils`

_FILES = (
    "activation adaptive batchnorm channelshuffle container conv distance dropout flatten fold instancenorm lazy "
    "linear loss module normalization padding pixelshuffle pooling sparse upsampling utils"
)


def _find(name: str) -> Any:
    """What `tinycnn.nn`, or one of its files, has under this name."""
    package = __package__.rpartition(".")[0]
    modules = [sys.modules[package], *(m for key, m in sys.modules.items() if key.startswith(package + "."))]
    for module in modules:
        if module is not None and not module.__name__.startswith(__name__) and name in vars(module):
            return vars(module)[name]
    raise AttributeError(f"{__name__} has no attribute {name!r}, and neither has {package}")


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return _find(name)


class _File(ModuleType):
    """A module of PyTorch's layout that holds nothing of its own."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _find(name)


for _name in _FILES.split():
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = _File(f"{__name__}.{_name}", "See `tinycnn.nn`.")
