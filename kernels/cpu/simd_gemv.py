"""Vector code for products of a matrix and a vector."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .simd import Vectors, _repeating_last, number, of_floats, outlined

TOGETHER = 8  # rows of the matrix that are read side by side
_index = types.intp


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
def add_rows(
    typing: Any, x: Any, i: Any, x_row: Any, weights: Any, wi: Any, out: Any, o: Any, cols: Any, rows: Any
) -> Any:
    """out[o + j] += sum over p < rows of weights[wi + p] * x[i + p*x_row + j], for j < cols."""
    if not of_floats(x, weights, out):
        return None
    sig = types.void(x, *[_index] * 2, weights, _index, out, *[_index] * 3)
    return sig, outlined("add_rows", _build_add_rows)


def _build_add_rows(v: Vectors, *args: ir.Value) -> None:
    x, i, x_row, weights, wi, out, o, cols, rows = args
    build = v.build
    wide = build.and_(cols, number(-v.lanes))
    rest = v.below(build.sub(cols, wide))
    many = build.and_(rows, number(-TOGETHER))

    def group(first: ir.Value, count: int) -> None:
        numbers = [build.add(first, number(r)) for r in range(count)]
        starts = [v.at(x, i, build.mul(r, x_row)) for r in numbers]
        factors = [v.splat(build.load(v.at(weights, wi, r))) for r in numbers]

        def add(j: ir.Value, mask: ir.Value | None) -> None:
            target = v.at(out, o, j)
            total = v.load(target, mask)
            for start, factor in zip(starts, factors, strict=True):
                total = v.fma(v.load(v.at(start, j), mask), factor, total)
            v.store(total, target, mask)

        with v.loop(wide, v.lanes) as j:
            add(j, None)
        with build.if_then(build.icmp_signed("<", wide, cols)):
            add(wide, rest)

    with v.loop(many, TOGETHER) as p:
        group(p, TOGETHER)
    with v.loop(build.sub(rows, many)) as p:
        group(build.add(many, p), 1)
