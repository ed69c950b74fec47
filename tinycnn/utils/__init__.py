"""Helpers around the engine; `tinycnn.utils.data` feeds it."""

from . import checkpoint, data, model_zoo

__all__ = ["checkpoint", "data", "model_zoo"]
