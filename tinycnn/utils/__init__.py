"""Helpers around the engine; `tinycnn.utils.data` feeds it."""

from . import data

__all__ = ["data"]
