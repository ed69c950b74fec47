"""Taken over."""

from ..reference.dropout import dropout

__all__ = ['dropout']
