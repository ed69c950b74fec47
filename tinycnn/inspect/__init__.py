"""A look inside: `summary` of a model's layers."""

from ._summary import Layer, Summary, summary

__all__ = ["Layer", "Summary", "summary"]
