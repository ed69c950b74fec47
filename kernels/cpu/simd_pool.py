"""Vector code of pooling in windows of 2x2 and 3x3 that move by two: one call for each plane.

Windows side by side see every second column: two vectors of a row are loaded and their even and odd lanes taken apart,
so that lane l of the two belongs to window j + l. Columns outside the image are masked and neither read nor written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .simd import _call, _i32, _int, _lanes_below, _masked_load, _masked_store, _outlined, _splat, _suffix

_i8 = ir.IntType(8)
Builder = Callable[[ir.Function, ir.Type, int], None]


def _constant(vector: ir.VectorType, value: float) -> ir.Constant:
    return ir.Constant(vector, [value] * vector.count)


def _lanes(numbers: list[int]) -> ir.Constant:
    """Which lanes of two vectors a shuffle takes."""
    return ir.Constant(ir.VectorType(_i32, len(numbers)), numbers)


def _between(b: ir.IRBuilder, start: ir.Value, end: ir.Value, lanes: int) -> ir.Value:
    """A mask: lane l is on where 0 <= start + l < end."""
    begun = b.not_(_lanes_below(b, b.neg(start), 0, lanes))
    return b.and_(begun, _lanes_below(b, b.sub(end, start), 0, lanes))


def _build_largest(size: int, padded: bool) -> Builder:
    def build(function: ir.Function, element: ir.Type, lanes: int) -> None:
        x, x0, height, width, y, argmax, o, oh, ow, ph, pw = function.args
        vector, bytes_, suffix = ir.VectorType(element, lanes), ir.VectorType(_i8, lanes), _suffix(element, lanes)
        even, odd = _lanes(list(range(0, 2 * lanes, 2))), _lanes(list(range(1, 2 * lanes, 2)))
        none = size * size
        b = ir.IRBuilder(function.append_basic_block("entry"))
        best_at, where_at = cgutils.alloca_once(b, vector), cgutils.alloca_once(b, bytes_)

        def challenge(value: ir.Value, valid: ir.Value, tap: int) -> None:
            """Put `value` in the place of the best where it is larger, or NaN, or the first of its window."""
            best, where = b.load(best_at), b.load(where_at)
            wins = b.or_(b.fcmp_ordered(">", value, best), b.fcmp_unordered("uno", value, value))
            if padded:
                wins = b.and_(valid, b.or_(wins, b.icmp_signed("==", where, _constant(bytes_, none))))
            b.store(b.select(wins, value, best), best_at)
            b.store(b.select(wins, _constant(bytes_, tap), where), where_at)

        with cgutils.for_range_slice(b, _int(0), ow, _int(lanes)) as (j, _):
            left = b.sub(b.shl(j, _int(1)), pw)
            inside = {}  # the masks of the columns that taps v and v + 1 see, as they lie in memory
            for v in range(0, size, 2):
                starts = [b.add(left, _int(v + k * lanes)) for k in (0, 1)]
                inside[v] = [_between(b, start, width, lanes) for start in starts]
            written = _lanes_below(b, b.sub(ow, j), 0, lanes)
            with cgutils.for_range(b, oh) as row:
                b.store(_constant(vector, float("-inf")), best_at)
                b.store(_constant(bytes_, none if padded else 0), where_at)
                top = b.sub(b.shl(row.index, _int(1)), ph)
                for u in range(size):
                    r = b.add(top, _int(u))
                    on_image = b.if_then(b.icmp_unsigned("<", r, height)) if padded else contextlib.nullcontext()
                    with on_image:
                        start = b.add(x0, b.add(b.mul(r, width), left))
                        for v in range(0, size, 2):
                            places = [b.gep(x, [b.add(start, _int(v + k * lanes))]) for k in (0, 1)]
                            loaded = [
                                _masked_load(b, vector, place, mask, suffix)
                                for place, mask in zip(places, inside[v], strict=True)
                            ]
                            for tap, which in ((v, even), (v + 1, odd)):
                                if tap < size:
                                    valid = b.shuffle_vector(*inside[v], which)
                                    challenge(b.shuffle_vector(*loaded, which), valid, u * size + tap)
                out = b.add(b.add(o, j), b.mul(row.index, ow))
                _masked_store(b, b.load(best_at), b.gep(y, [out]), written, suffix)
                target = b.bitcast(b.gep(argmax, [out]), bytes_.as_pointer())
                arguments = [b.load(where_at), target, ir.Constant(_i32, 1), written]
                _call(b, f"llvm.masked.store.v{lanes}i8.p0", ir.VoidType(), arguments)
        b.ret_void()

    return build


def _build_scatter(size: int) -> Builder:
    def build(function: ir.Function, element: ir.Type, lanes: int) -> None:
        g, argmax, o, oh, ow, gx, x0, height, width, ph, pw = function.args
        vector, bytes_, suffix = ir.VectorType(element, lanes), ir.VectorType(_i8, lanes), _suffix(element, lanes)
        zero, half = _constant(vector, 0.0), lanes // 2
        pairs = [lane for k in range(lanes) for lane in (k, lanes + k)]
        b = ir.IRBuilder(function.append_basic_block("entry"))
        sums = [cgutils.alloca_once(b, vector) for _ in range(2)]  # of even and of odd columns
        blocks = b.add(b.ashr(b.sub(b.add(width, pw), _int(1)), _int(1)), _int(1))
        with cgutils.for_range_slice(b, _int(0), blocks, _int(lanes)) as (j, _):
            left = b.sub(b.shl(j, _int(1)), pw)
            written = [_between(b, b.add(left, _int(k * lanes)), width, lanes) for k in (0, 1)]
            # Taps 2 * s and 2 * s + 1 of window j + l - s lie on the columns of lane l.
            windows = [_between(b, b.sub(j, _int(s)), ow, lanes) for s in range((size + 1) // 2)]
            with cgutils.for_range(b, height) as row:
                for at in sums:
                    b.store(zero, at)
                for u in range(size):
                    t = b.sub(b.add(row.index, ph), _int(u))
                    i = b.ashr(t, _int(1))
                    even = b.icmp_signed("==", b.and_(t, _int(1)), _int(0))
                    with b.if_then(b.and_(even, b.icmp_unsigned("<", i, oh))):
                        for s, mask in enumerate(windows):
                            place = b.sub(b.add(b.add(o, b.mul(i, ow)), j), _int(s))
                            share = _masked_load(b, vector, b.gep(g, [place]), mask, suffix)
                            source = b.bitcast(b.gep(argmax, [place]), bytes_.as_pointer())
                            arguments = [source, ir.Constant(_i32, 1), mask, _constant(bytes_, 255)]
                            where = _call(b, f"llvm.masked.load.v{lanes}i8.p0", bytes_, arguments)
                            for v in range(2 * s, min(2 * s + 2, size)):
                                won = b.icmp_signed("==", where, _constant(bytes_, u * size + v))
                                at = sums[v - 2 * s]
                                b.store(b.fadd(b.load(at), b.select(won, share, zero)), at)
                start = b.add(b.add(x0, b.mul(row.index, width)), left)
                values = [b.load(at) for at in sums]
                for k in (0, 1):
                    mixed = b.shuffle_vector(*values, _lanes(pairs[2 * half * k : 2 * half * (k + 1)]))
                    _masked_store(b, mixed, b.gep(gx, [b.add(start, _int(k * lanes))]), written[k], suffix)
        b.ret_void()

    return build


def _build_mean(function: ir.Function, element: ir.Type, lanes: int) -> None:
    x, x0, width, y, o, oh, ow, divisor = function.args
    vector, suffix = ir.VectorType(element, lanes), _suffix(element, lanes)
    phases = [_lanes(list(range(first, 2 * lanes, 2))) for first in (0, 1)]
    b = ir.IRBuilder(function.append_basic_block("entry"))
    by = _splat(b, divisor, lanes)
    with cgutils.for_range_slice(b, _int(0), ow, _int(lanes)) as (j, _):
        left = b.shl(j, _int(1))
        rest = b.sub(b.shl(ow, _int(1)), left)
        read = [_lanes_below(b, rest, k * lanes, lanes) for k in (0, 1)]
        written = _lanes_below(b, b.sub(ow, j), 0, lanes)
        with cgutils.for_range(b, oh) as row:
            sums = []
            for u in (0, 1):
                r = b.add(b.shl(row.index, _int(1)), _int(u))
                start = b.add(b.add(x0, b.mul(r, width)), left)
                places = [b.gep(x, [b.add(start, _int(k * lanes))]) for k in (0, 1)]
                loaded = [_masked_load(b, vector, p, m, suffix) for p, m in zip(places, read, strict=True)]
                sums.append(b.fadd(*(b.shuffle_vector(*loaded, phase) for phase in phases)))
            out = b.gep(y, [b.add(b.add(o, j), b.mul(row.index, ow))])
            _masked_store(b, b.fdiv(b.fadd(*sums), by), out, written, suffix)
    b.ret_void()


def _build_spread(function: ir.Function, element: ir.Type, lanes: int) -> None:
    g, o, oh, ow, gx, x0, height, width, divisor = function.args
    vector, suffix = ir.VectorType(element, lanes), _suffix(element, lanes)
    twice = [_lanes([(first + k) // 2 for k in range(lanes)]) for first in (0, lanes)]
    b = ir.IRBuilder(function.append_basic_block("entry"))
    by, zero = _splat(b, divisor, lanes), _constant(vector, 0.0)
    blocks = b.ashr(b.add(width, _int(1)), _int(1))
    with cgutils.for_range_slice(b, _int(0), blocks, _int(lanes)) as (j, _):
        left = b.shl(j, _int(1))
        read = _lanes_below(b, b.sub(ow, j), 0, lanes)
        written = [_lanes_below(b, b.sub(width, left), k * lanes, lanes) for k in (0, 1)]
        with cgutils.for_range(b, height) as row:
            i = b.ashr(row.index, _int(1))
            seen = b.and_(read, _splat(b, b.icmp_signed("<", i, oh), lanes))
            place = b.gep(g, [b.add(b.add(o, j), b.mul(i, ow))])
            share = b.fdiv(_masked_load(b, vector, place, seen, suffix), by)
            start = b.add(b.add(x0, b.mul(row.index, width)), left)
            for k in (0, 1):
                target = b.gep(gx, [b.add(start, _int(k * lanes))])
                _masked_store(b, b.shuffle_vector(share, zero, twice[k]), target, written[k], suffix)
    b.ret_void()


def _fits(x: Any, y: Any, argmax: Any) -> bool:
    arrays = all(isinstance(a, types.Array) for a in (x, y, argmax))
    return arrays and x.dtype in (types.float32, types.float64) and x.dtype == y.dtype and argmax.dtype == types.uint8


_N = types.intp


@intrinsic
def largest_2x2(
    typing: Any, x: Any, x0: Any, height: Any, width: Any, y: Any, argmax: Any, o: Any, oh: Any, ow: Any,
    ph: Any, pw: Any,
) -> Any:  # fmt: skip
    """y and argmax (at o) of the plane of x at x0, windows of 2x2 by two, all inside; ph and pw are 0.

    Loop nest: for vectors of windows j, for rows i. Each element of x is read once.
    """
    if not _fits(x, y, argmax):
        return None
    sig = types.void(x, _N, _N, _N, y, argmax, _N, _N, _N, _N, _N)
    return sig, _outlined("largest_2x2", _build_largest(2, False))


@intrinsic
def largest_3x3(
    typing: Any, x: Any, x0: Any, height: Any, width: Any, y: Any, argmax: Any, o: Any, oh: Any, ow: Any,
    ph: Any, pw: Any,
) -> Any:  # fmt: skip
    """The same for windows of 3x3 by two, which may reach over the borders; -inf and tap 9 where one sees nothing."""
    if not _fits(x, y, argmax):
        return None
    sig = types.void(x, _N, _N, _N, y, argmax, _N, _N, _N, _N, _N)
    return sig, _outlined("largest_3x3", _build_largest(3, True))


@intrinsic
def scatter_2x2(
    typing: Any, g: Any, argmax: Any, o: Any, oh: Any, ow: Any, gx: Any, x0: Any, height: Any, width: Any,
    ph: Any, pw: Any,
) -> Any:  # fmt: skip
    """gx (the plane at x0, all of it written) = the sums of g (at o) over the 2x2 windows that each element won.

    Loop nest: for vectors of columns, for rows of gx, for the windows that see the row: a gather.
    """
    if not _fits(g, gx, argmax):
        return None
    sig = types.void(g, argmax, _N, _N, _N, gx, _N, _N, _N, _N, _N)
    return sig, _outlined("scatter_2x2", _build_scatter(2))


@intrinsic
def scatter_3x3(
    typing: Any, g: Any, argmax: Any, o: Any, oh: Any, ow: Any, gx: Any, x0: Any, height: Any, width: Any,
    ph: Any, pw: Any,
) -> Any:  # fmt: skip
    """The same for windows of 3x3."""
    if not _fits(g, gx, argmax):
        return None
    sig = types.void(g, argmax, _N, _N, _N, gx, _N, _N, _N, _N, _N)
    return sig, _outlined("scatter_3x3", _build_scatter(3))


@intrinsic
def mean_2x2(
    typing: Any, x: Any, x0: Any, width: Any, y: Any, o: Any, oh: Any, ow: Any, divisor: Any
) -> Any:  # fmt: skip
    """y (at o) = the sums of windows of 2x2 side by side in the plane at x0, all inside, divided by `divisor`."""
    if not isinstance(x, types.Array) or x.dtype not in (types.float32, types.float64) or x.dtype != y.dtype:
        return None
    return types.void(x, _N, _N, y, _N, _N, _N, x.dtype), _outlined("mean_2x2", _build_mean)


@intrinsic
def spread_2x2(
    typing: Any, g: Any, o: Any, oh: Any, ow: Any, gx: Any, x0: Any, height: Any, width: Any, divisor: Any
) -> Any:  # fmt: skip
    """gx (the plane at x0, all of it written) = g / divisor of the window on each element, 0 where there is none."""
    if not isinstance(g, types.Array) or g.dtype not in (types.float32, types.float64) or g.dtype != gx.dtype:
        return None
    return types.void(g, _N, _N, _N, gx, _N, _N, _N, g.dtype), _outlined("spread_2x2", _build_spread)
