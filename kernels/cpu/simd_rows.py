"""Vector code over rows of any length: sums and linear maps, as the normalizations need them.

LLVM vectorises a loop over one row in steps of four vectors and leaves up to 63 elements to a scalar loop: most of a
7x7 image. Here the rest of a row is done in masked vectors, and the sums stay in registers from row to row.

All arrays of a call have one shape; row r begins at element `i + r * step` of each and has `n` elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .simd import Vectors, number, of_floats, outlined

NO_FLOOR = math.nan  # as the floor under a result: nothing is below it
UNROLL = 4  # vectors of one step, each with sums of its own: an addition takes four cycles
_FUSE = ("contract",)  # a product and a sum may become one instruction


def _sweep(
    v: Vectors,
    sources: list[ir.Value],
    targets: list[ir.Value],
    place: Sequence[ir.Value],
    totals: ir.Value | None,
    body: Callable[..., tuple[list[ir.Value], list[ir.Value]]],
    constants: list[ir.Value],
) -> None:
    """for r < rows, for j < n: targets[j], terms = body(sources[j], constants); totals += the terms, in float64.

    Args:
        place: (i, step, n, rows).
        totals: a pointer to one float64 for each of two terms of the body, or None if there are none.
    """
    i, step, n, rows = place
    b, lanes = v.build, v.lanes
    wide = [v.splat(constant) for constant in constants]
    whole = b.and_(n, number(-UNROLL * lanes))
    sums = [v.sums([v.constant(0)] * 2) for _ in range(UNROLL)] if totals is not None else []

    def add(terms: list[ir.Value], u: int) -> None:
        for k, term in enumerate(terms):
            b.store(b.fadd(b.load(sums[u][k]), term, flags=_FUSE), sums[u][k])

    with v.loop(rows) as row:
        start = b.add(i, b.mul(row, step))
        with cgutils.for_range_slice(b, number(0), whole, number(UNROLL * lanes)) as (j, _):
            for u in range(UNROLL):
                at = b.add(b.add(start, j), number(u * lanes))
                results, terms = body(b, [v.load(v.at(source, at)) for source in sources], wide)
                for target, result in zip(targets, results, strict=True):
                    v.store(result, v.at(target, at))
                add(terms, u)
        with cgutils.for_range_slice(b, whole, n, number(lanes)) as (j, _):
            at, mask = b.add(start, j), v.below(b.sub(n, j))
            results, terms = body(b, [v.load(v.at(source, at), mask) for source in sources], wide)
            for target, result in zip(targets, results, strict=True):
                v.store(result, v.at(target, at), mask)
            add([b.select(mask, term, v.constant(0)) for term in terms], 0)
    if totals is not None:
        for k in range(2):
            parts = [b.load(of_one[k]) for of_one in sums]
            while len(parts) > 1:
                parts = [b.fadd(one, other) for one, other in zip(parts[::2], parts[1::2], strict=True)]
            total = v.at(totals, k)
            b.store(b.fadd(b.load(total), v.across(parts[0])), total)


_PLACE = (types.intp,) * 4  # i, step, n, rows
_TOTALS = types.Array(types.float64, 1, "C")


@intrinsic
def row_moments(typing: Any, x: Any, i: Any, step: Any, n: Any, rows: Any, origin: Any, totals: Any) -> Any:
    """totals[0] += sum(x - origin), totals[1] += sum((x - origin)**2)"""
    if not of_floats(x) or totals != _TOTALS:
        return None
    return types.void(x, *_PLACE, x.dtype, totals), outlined("row_moments", _build_moments)


def _build_moments(v: Vectors, *args: ir.Value) -> None:
    x, *place, origin, totals = args

    def body(b: ir.IRBuilder, loaded: list[ir.Value], numbers: list[ir.Value]) -> tuple[list[Any], list[Any]]:
        distance = b.fsub(loaded[0], numbers[0])
        return [], [distance, b.fmul(distance, distance, flags=_FUSE)]

    _sweep(v, [x], [], place, totals, body, [origin])


def _line(b: ir.IRBuilder, distance: ir.Value, scale: ir.Value, level: ir.Value) -> ir.Value:
    """distance * scale + level, rounded alike in both directions"""
    return b.fadd(b.fmul(distance, scale, flags=_FUSE), level, flags=_FUSE)


def _kept(b: ir.IRBuilder, g: ir.Value, height: ir.Value, floor: ir.Value) -> ir.Value:
    """The gradient g where `height` stands above the floor, else 0; a floor of NaN holds nothing back."""
    return b.select(b.fcmp_ordered("<=", height, floor), ir.Constant(g.type, None), g)


@intrinsic
def row_products(
    typing: Any, g: Any, x: Any, i: Any, step: Any, n: Any, rows: Any,
    center: Any, scale: Any, level: Any, floor: Any, totals: Any,
) -> Any:  # fmt: skip
    """totals += sum(g), sum(g * (x - center)), with g = 0 where (x - center) * scale + level <= floor"""
    if not of_floats(g, x) or totals != _TOTALS:
        return None
    return types.void(g, x, *_PLACE, *(x.dtype,) * 4, totals), outlined("row_products", _build_products)


def _build_products(v: Vectors, *args: ir.Value) -> None:
    g, x, *place, center, scale, level, floor, totals = args

    def body(b: ir.IRBuilder, loaded: list[ir.Value], numbers: list[ir.Value]) -> tuple[list[Any], list[Any]]:
        distance = b.fsub(loaded[1], numbers[0])
        kept = _kept(b, loaded[0], _line(b, distance, *numbers[1:3]), numbers[3])
        return [], [kept, b.fmul(kept, distance, flags=_FUSE)]

    _sweep(v, [g, x], [], place, totals, body, [center, scale, level, floor])


@intrinsic
def row_scale(
    typing: Any, x: Any, y: Any, i: Any, step: Any, n: Any, rows: Any, center: Any, scale: Any, level: Any, floor: Any
) -> Any:
    """y = (x - center) * scale + level, and at least `floor`, if that is not NaN"""
    if not of_floats(x, y):
        return None
    return types.void(x, y, *_PLACE, *(x.dtype,) * 4), outlined("row_scale", _build_scale)


def _build_scale(v: Vectors, *args: ir.Value) -> None:
    x, *others, y, i, step, n, rows, center, scale, level, floor = args

    def body(b: ir.IRBuilder, loaded: list[ir.Value], numbers: list[ir.Value]) -> tuple[list[Any], list[Any]]:
        height = _line(b, b.fsub(loaded[0], numbers[0]), *numbers[1:3])
        for other in loaded[1:]:
            height = b.fadd(height, other)
        return [b.select(b.fcmp_ordered("<", height, numbers[3]), numbers[3], height)], []

    _sweep(v, [x, *others], [y], (i, step, n, rows), None, body, [center, scale, level, floor])


@intrinsic
def row_scale_add(
    typing: Any, x: Any, other: Any, y: Any, i: Any, step: Any, n: Any, rows: Any,
    center: Any, scale: Any, level: Any, floor: Any,
) -> Any:  # fmt: skip
    """y = (x - center) * scale + level + other, and at least `floor`, if that is not NaN"""
    if not of_floats(x, other, y):
        return None
    return types.void(x, other, y, *_PLACE, *(x.dtype,) * 4), outlined("row_scale_add", _build_scale)


@intrinsic
def row_gradient(
    typing: Any, g: Any, x: Any, gx: Any, i: Any, step: Any, n: Any, rows: Any,
    center: Any, slope: Any, mean: Any, factor: Any, scale: Any, level: Any, floor: Any,
) -> Any:  # fmt: skip
    """gx = (g - mean - (x - center) * slope) * factor, with g = 0 where (x - center) * scale + level <= floor"""
    if not of_floats(g, x, gx):
        return None
    return types.void(g, x, gx, *_PLACE, *(x.dtype,) * 7), outlined("row_gradient", _build_gradient)


def _build_gradient(v: Vectors, *args: ir.Value) -> None:
    g, x, gx, *place, center, slope, mean, factor, scale, level, floor = args

    def body(b: ir.IRBuilder, loaded: list[ir.Value], numbers: list[ir.Value]) -> tuple[list[Any], list[Any]]:
        distance = b.fsub(loaded[1], numbers[0])
        kept = _kept(b, loaded[0], _line(b, distance, *numbers[4:6]), numbers[6])
        trend = b.fmul(distance, numbers[1], flags=_FUSE)
        return [b.fmul(b.fsub(b.fsub(kept, numbers[2]), trend, flags=_FUSE), numbers[3])], []

    _sweep(v, [g, x], [gx], place, None, body, [center, slope, mean, factor, scale, level, floor])


@intrinsic
def row_mix(
    typing: Any, g: Any, x: Any, gx: Any, i: Any, step: Any, n: Any, rows: Any,
    center: Any, scale: Any, slope: Any, level: Any,
) -> Any:  # fmt: skip
    """gx = g * scale - (x - center) * slope - level"""
    if not of_floats(g, x, gx):
        return None
    return types.void(g, x, gx, *_PLACE, *(x.dtype,) * 4), outlined("row_mix", _build_mix)


def _build_mix(v: Vectors, *args: ir.Value) -> None:
    g, x, gx, *place, center, scale, slope, level = args

    def body(b: ir.IRBuilder, loaded: list[ir.Value], numbers: list[ir.Value]) -> tuple[list[Any], list[Any]]:
        trend = b.fmul(b.fsub(loaded[1], numbers[0]), numbers[2], flags=_FUSE)
        given = b.fmul(loaded[0], numbers[1], flags=_FUSE)
        return [b.fsub(b.fsub(given, trend, flags=_FUSE), numbers[3])], []

    _sweep(v, [g, x], [gx], place, None, body, [center, scale, slope, level])
