"""A look inside: `summary` of a model's layers, `trace` of what is computed."""

from ._summary import Layer, Summary, summary
from ._trace import Op, trace

__all__ = ["Layer", "Op", "Summary", "summary", "trace"]
