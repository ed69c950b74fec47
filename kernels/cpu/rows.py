"""Runs of memory: fill, copy, add.

Indices are unsigned: Numba lets negative ones count from the end, and that test keeps a loop from being vectorised.
"""

from __future__ import annotations

from numba import uintp

from .jit import helper


@helper
def fill(out, o, n, value):
    """out[o : o + n] = value"""
    o, n = uintp(o), uintp(max(n, 0))
    for j in range(n):
        out[o + j] = value


@helper
def copy(x, i, step, out, o, n):
    """out[o : o + n] = x[i], x[i + step], ..."""
    if n <= 0:
        return
    i, o, n = uintp(i), uintp(o), uintp(n)
    if step == 1:
        for j in range(n):
            out[o + j] = x[i + j]
    else:
        step = uintp(step)
        for j in range(n):
            out[o + j] = x[i + j * step]


@helper
def add(x, i, out, o, step, n):
    """out[o], out[o + step], ... += x[i : i + n]"""
    if n <= 0:
        return
    i, o, n = uintp(i), uintp(o), uintp(n)
    if step == 1:
        for j in range(n):
            out[o + j] += x[i + j]
    else:
        step = uintp(step)
        for j in range(n):
            out[o + j * step] += x[i + j]
