"""Taken over."""

from ..reference.reduce import all, amax, amin, any, argmax, argmin, mean, prod, sum

__all__ = ['all', 'amax', 'amin', 'any', 'argmax', 'argmin', 'mean', 'prod', 'sum']
