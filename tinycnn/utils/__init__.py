"""Helpers around the engine; `tinycnn.utils.data` feeds it."""

from . import checkpoint, data, dlpack, model_zoo

__all__ = ["checkpoint", "data", "dlpack", "model_zoo"]
