"""A look inside: `summary` of a model, `explain` one number, `trace` what is computed, `graph` what made a tensor."""

from ._explain import Explanation, explain
from ._graph import graph
from ._summary import Layer, Summary, summary
from ._trace import Op, trace

__all__ = ["Explanation", "Layer", "Op", "Summary", "explain", "graph", "summary", "trace"]
