"""Helpers around the engine; `tinycnn.utils.data` feeds it."""

from . import checkpoint, data

__all__ = ["checkpoint", "data"]
