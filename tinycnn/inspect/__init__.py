"""A look inside: `summary` of a model, `explain` one number, `trace` what is computed, `graph` what made a tensor, and
plots, which need matplotlib."""

from ._explain import Explanation, explain
from ._graph import graph
from ._plots import (
    confusion_counts,
    confusion_matrix,
    curves,
    feature_maps,
    filters,
    grad_cam,
    grad_cam_map,
    mistakes,
    saliency,
    saliency_map,
)
from ._summary import Layer, Summary, summary
from ._trace import Op, trace

__all__ = [
    "Explanation",
    "Layer",
    "Op",
    "Summary",
    "confusion_counts",
    "confusion_matrix",
    "curves",
    "explain",
    "feature_maps",
    "filters",
    "grad_cam",
    "grad_cam_map",
    "graph",
    "mistakes",
    "saliency",
    "saliency_map",
    "summary",
    "trace",
]
