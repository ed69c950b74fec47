"""Vector code over rows of any length: sums and linear maps, as the normalizations need them.

LLVM vectorises a loop over one row in steps of four vectors and leaves up to 63 elements to a scalar loop: most of a
7x7 image. Here the rest of a row is done in masked vectors, and the sums stay in registers from row to row.

All arrays of a call have one shape; row r begins at element `i + r * step` of each and has `n` elements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .simd import _int, _lanes_below, _masked_load, _masked_store, _outlined, _splat, _suffix

UNROLL = 4  # vectors of one step, each with sums of its own: an addition takes four cycles
_FUSE = ("contract",)  # a product and a sum may become one instruction


def _sweep(
    function: ir.Function,
    element: ir.Type,
    lanes: int,
    sources: list[ir.Value],
    targets: list[ir.Value],
    place: tuple[ir.Value, ir.Value, ir.Value, ir.Value],
    totals: ir.Value | None,
    body: Callable[..., tuple[list[ir.Value], list[ir.Value]]],
    numbers: list[ir.Value],
) -> None:
    """for r < rows, for j < n: targets[j], terms = body(sources[j], numbers); totals += the terms, in float64.

    Args:
        place: (i, step, n, rows).
        totals: a pointer to one float64 for each term of the body, or None if there are none.
    """
    i, step, n, rows = place
    vector, suffix = ir.VectorType(element, lanes), _suffix(element, lanes)
    zero, size = ir.Constant(vector, [0.0] * lanes), 8 if isinstance(element, ir.DoubleType) else 4
    b = ir.IRBuilder(function.append_basic_block("entry"))
    wide = [_splat(b, number, lanes) for number in numbers]
    sums: list[list[ir.Value]] = [[] for _ in range(UNROLL)]
    whole = b.and_(n, _int(-UNROLL * lanes))

    def add(terms: list[ir.Value], u: int) -> None:
        for k, term in enumerate(terms):
            b.store(b.fadd(b.load(sums[u][k]), term, flags=_FUSE), sums[u][k])

    if totals is not None:
        for of_one in sums:
            of_one += [cgutils.alloca_once_value(b, zero) for _ in range(2)]
    with cgutils.for_range(b, rows) as row:
        start = b.add(i, b.mul(row.index, step))
        with cgutils.for_range_slice(b, _int(0), whole, _int(UNROLL * lanes)) as (j, _):
            for u in range(UNROLL):
                at = [b.add(b.add(start, j), _int(u * lanes))]
                loaded = [b.load(b.bitcast(b.gep(s, at), vector.as_pointer()), align=size) for s in sources]
                results, terms = body(b, loaded, wide)
                for target, result in zip(targets, results, strict=True):
                    b.store(result, b.bitcast(b.gep(target, at), vector.as_pointer()), align=size)
                add(terms, u)
        with cgutils.for_range_slice(b, whole, n, _int(lanes)) as (j, _):
            at = [b.add(start, j)]
            mask = _lanes_below(b, b.sub(n, j), 0, lanes)
            results, terms = body(b, [_masked_load(b, vector, b.gep(s, at), mask, suffix) for s in sources], wide)
            for target, result in zip(targets, results, strict=True):
                _masked_store(b, result, b.gep(target, at), mask, suffix)
            add([b.select(mask, term, zero) for term in terms], 0)
    if totals is not None:
        for k in range(2):
            parts = [b.load(of_one[k]) for of_one in sums]
            while len(parts) > 1:
                parts = [b.fadd(one, other) for one, other in zip(parts[::2], parts[1::2], strict=True)]
            double = ir.VectorType(ir.DoubleType(), lanes)
            values = parts[0] if size == 8 else b.fpext(parts[0], double)
            kind = ir.FunctionType(ir.DoubleType(), [ir.DoubleType(), double])
            reduce = cgutils.get_or_insert_function(b.module, kind, f"llvm.vector.reduce.fadd.v{lanes}f64")
            across = b.call(reduce, [ir.Constant(ir.DoubleType(), -0.0), values], fastmath=("reassoc",))
            total = b.gep(totals, [_int(k)])
            b.store(b.fadd(b.load(total), across), total)
    b.ret_void()


def _fits(*arrays: Any) -> bool:
    """Whether all are arrays of one dtype, float32 or float64."""
    kinds = {a.dtype if isinstance(a, types.Array) else None for a in arrays}
    return kinds in ({types.float32}, {types.float64})


_PLACE = (types.intp,) * 4  # i, step, n, rows
_TOTALS = types.Array(types.float64, 1, "C")


@intrinsic
def row_moments(typing: Any, x: Any, i: Any, step: Any, n: Any, rows: Any, origin: Any, totals: Any) -> Any:
    """totals[0] += sum(x - origin), totals[1] += sum((x - origin)**2)"""
    if not _fits(x) or totals != _TOTALS:
        return None
    return types.void(x, *_PLACE, x.dtype, totals), _outlined("row_moments", _build_moments)


def _build_moments(function: ir.Function, element: ir.Type, lanes: int) -> None:
    x, *place, origin, totals = function.args

    def body(b: ir.IRBuilder, loaded: list[ir.Value], numbers: list[ir.Value]) -> tuple[list[Any], list[Any]]:
        distance = b.fsub(loaded[0], numbers[0])
        return [], [distance, b.fmul(distance, distance, flags=_FUSE)]

    _sweep(function, element, lanes, [x], [], tuple(place), totals, body, [origin])


@intrinsic
def row_products(typing: Any, g: Any, x: Any, i: Any, step: Any, n: Any, rows: Any, center: Any, totals: Any) -> Any:
    """totals[0] += sum(g), totals[1] += sum(g * (x - center))"""
    if not _fits(g, x) or totals != _TOTALS:
        return None
    return types.void(g, x, *_PLACE, x.dtype, totals), _outlined("row_products", _build_products)


def _build_products(function: ir.Function, element: ir.Type, lanes: int) -> None:
    g, x, *place, center, totals = function.args

    def body(b: ir.IRBuilder, loaded: list[ir.Value], numbers: list[ir.Value]) -> tuple[list[Any], list[Any]]:
        distance = b.fsub(loaded[1], numbers[0])
        return [], [loaded[0], b.fmul(loaded[0], distance, flags=_FUSE)]

    _sweep(function, element, lanes, [g, x], [], tuple(place), totals, body, [center])


@intrinsic
def row_scale(
    typing: Any, x: Any, y: Any, i: Any, step: Any, n: Any, rows: Any, center: Any, scale: Any, level: Any
) -> Any:
    """y = (x - center) * scale + level"""
    if not _fits(x, y):
        return None
    return types.void(x, y, *_PLACE, *(x.dtype,) * 3), _outlined("row_scale", _build_scale)


def _build_scale(function: ir.Function, element: ir.Type, lanes: int) -> None:
    x, y, *place, center, scale, level = function.args

    def body(b: ir.IRBuilder, loaded: list[ir.Value], numbers: list[ir.Value]) -> tuple[list[Any], list[Any]]:
        distance = b.fsub(loaded[0], numbers[0])
        return [b.fadd(b.fmul(distance, numbers[1], flags=_FUSE), numbers[2], flags=_FUSE)], []

    _sweep(function, element, lanes, [x], [y], tuple(place), None, body, [center, scale, level])


@intrinsic
def row_gradient(
    typing: Any, g: Any, x: Any, gx: Any, i: Any, step: Any, n: Any, rows: Any,
    center: Any, slope: Any, level: Any, scale: Any,
) -> Any:  # fmt: skip
    """gx = (g - level - (x - center) * slope) * scale"""
    if not _fits(g, x, gx):
        return None
    return types.void(g, x, gx, *_PLACE, *(x.dtype,) * 4), _outlined("row_gradient", _build_gradient)


def _build_gradient(function: ir.Function, element: ir.Type, lanes: int) -> None:
    g, x, gx, *place, center, slope, level, scale = function.args

    def body(b: ir.IRBuilder, loaded: list[ir.Value], numbers: list[ir.Value]) -> tuple[list[Any], list[Any]]:
        trend = b.fmul(b.fsub(loaded[1], numbers[0]), numbers[1], flags=_FUSE)
        return [b.fmul(b.fsub(b.fsub(loaded[0], numbers[2]), trend, flags=_FUSE), numbers[3])], []

    _sweep(function, element, lanes, [g, x], [gx], tuple(place), None, body, [center, slope, level, scale])
