"""Vector code for products of a matrix and a vector, or few rows."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .simd import ROWS, Vectors, _repeating_last, number, of_floats, outlined

TOGETHER = 8  # rows of the matrix that are read side by side
# A block of dot products holds DOT_ROWS * DOT_COLS vectors of sums in registers: 24 of 32, or 8 of 16.
DOT_ROWS, DOT_COLS = (4, 6) if ROWS == 8 else (2, 4)
_index, _bool = types.intp, types.boolean


@intrinsic
def row_dots(typing: Any, x: Any, i: Any, k: Any, vector: Any, vi: Any, out: Any, o: Any, rows: Any) -> Any:
    """out[o + r] = sum over p < k of x[i + r*k + p] * vector[vi + p], for r < rows, TOGETHER at most."""
    if not of_floats(x, vector, out):
        return None
    return types.void(x, *[_index] * 2, vector, _index, out, *[_index] * 2), outlined("row_dots", _build_row_dots)


def _build_row_dots(v: Vectors, *args: ir.Value) -> None:
    x, i, k, vector, vi, out, o, rows = args
    build = v.build
    row = _repeating_last(v, TOGETHER, rows)
    starts = [v.at(x, i, build.mul(r, k)) for r in row]
    sums = v.sums([v.constant(0)] * TOGETHER)
    whole = build.and_(k, number(-v.lanes))

    def add(p: ir.Value, mask: ir.Value | None) -> None:
        right = v.load(v.at(vector, vi, p), mask)
        for start, total in zip(starts, sums, strict=True):
            build.store(v.fma(v.load(v.at(start, p), mask), right, build.load(total)), total)

    with v.loop(whole, v.lanes) as p:
        add(p, None)
    with build.if_then(build.icmp_signed("<", whole, k)):
        add(whole, v.below(build.sub(k, whole)))
    for r, total in reversed(list(zip(row, sums, strict=True))):
        value = v.across(build.load(total))
        build.store(value if value.type == v.element else build.fptrunc(value, v.element), v.at(out, o, r))


@intrinsic
def dot_tile(
    typing: Any, a: Any, ai: Any, a_row: Any, b: Any, bi: Any, b_row: Any, c: Any, ci: Any, c_row: Any,
    rows: Any, cols: Any, depth: Any, add: Any,
) -> Any:  # fmt: skip
    """c[r, s] = (c[r, s] if add else 0) + sum over p < depth of a[r, p] * b[s, p], for r < rows and s < cols.

    An element is found at

        a[ai + r * a_row + p]        b[bi + s * b_row + p]        c[ci + r * c_row + s]

    At most DOT_ROWS rows and DOT_COLS columns; missing ones repeat the last. A vector of each row is multiplied with a
    vector of each column, so 10 loads serve 24 multiply-adds; the lanes are added up at the end.
    """
    if not of_floats(a, b, c):
        return None
    sig = types.void(a, *[_index] * 2, b, *[_index] * 2, c, *[_index] * 5, _bool)
    return sig, outlined("dot_tile", _build_dot_tile)


def _build_dot_tile(v: Vectors, *args: ir.Value) -> None:
    a, ai, a_row, b, bi, b_row, c, ci, c_row, rows, cols, depth, add = args
    build = v.build
    row, col = _repeating_last(v, DOT_ROWS, rows), _repeating_last(v, DOT_COLS, cols)
    a_rows = [v.at(a, ai, build.mul(r, a_row)) for r in row]
    b_rows = [v.at(b, bi, build.mul(s, b_row)) for s in col]
    sums = {(r, s): v.sums([v.constant(0)])[0] for r in range(DOT_ROWS) for s in range(DOT_COLS)}
    whole = build.and_(depth, number(-v.lanes))

    def multiply(p: ir.Value, mask: ir.Value | None) -> None:
        right = [v.load(v.at(pointer, p), mask) for pointer in b_rows]
        for r, pointer in enumerate(a_rows):
            left = v.load(v.at(pointer, p), mask)
            for s in range(DOT_COLS):
                build.store(v.fma(left, right[s], build.load(sums[r, s])), sums[r, s])

    with v.loop(whole, v.lanes) as p:
        multiply(p, None)
    with build.if_then(build.icmp_signed("<", whole, depth)):
        multiply(whole, v.below(build.sub(depth, whole)))

    # as many rows of results as fit are added up in one vector
    width = min(v.lanes, 1 << (DOT_COLS - 1).bit_length())
    results = []
    for first in range(0, DOT_COLS, width):
        mask = v.below(cols, first, width)
        for r in range(0, DOT_ROWS, v.lanes // width):
            some = range(r, min(r + v.lanes // width, DOT_ROWS))
            places = [(i, j) for i in some for j in range(first, first + width)]
            vectors = [build.load(sums[place]) if place in sums else v.constant(0) for place in places]
            total = v.gathered(vectors)
            for i in some:
                target = v.at(c, ci, build.mul(row[i], c_row), first)
                lanes = range((i - r) * width, (i - r + 1) * width)
                results.append((v.shuffle(total, total, lanes), target, mask))
    with build.if_else(add) as (more, fresh):
        with more:
            before = [v.load(target, mask, width) for _, target, mask in results]
            for (value, target, mask), old in zip(results, before, strict=True):
                v.store(build.fadd(old, value), target, mask)
        with fresh:
            for value, target, mask in results:
                v.store(value, target, mask)
