"""Bands of columns: how the middle axis of x (N, K, L) is gone through where L is contiguous.

Column by column, every element would come from another cache line. So BAND columns go side by side: for each of the K
rows a run of that many elements is read, and their results wait in an array that stays in the first cache. A unit of
work is one band of one n; the units are shared out to the threads.
"""

from __future__ import annotations

from numba import uintp

from .jit import helper

BAND = 128  # columns; of float64 they fill 16 cache lines


@helper
def bands(columns):
    """How many bands there are for each n; the last one may be narrower."""
    return (columns + BAND - 1) // BAND


@helper
def band(unit, columns):
    """(n, first column, how many columns) of a unit: those of one n follow each other."""
    first = unit % bands(columns) * BAND
    return unit // bands(columns), first, uintp(min(BAND, columns - first))
