"""Vector code of pooling in windows of 2x2 and 3x3 that move by two: one call for each plane.

Windows side by side see every second column: two vectors of a row are loaded and their even and odd lanes taken apart,
so that lane l of the two belongs to window j + l. Columns outside the image are masked and neither read nor written.

The planes are (height, width) in x and gx, from element x0 on, and (oh, ow) in y, g and argmax, from element o on;
ph and pw are rows and columns of padding. A tap is numbered u * size + q, for row u and column q of the window.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .simd import Vectors, number, of_floats, outlined

Builder = Callable[..., None]


def _between(v: Vectors, start: ir.Value, end: ir.Value) -> ir.Value:
    """A mask: lane l is on where 0 <= start + l < end."""
    begun = v.build.not_(v.below(v.build.neg(start)))
    return v.build.and_(begun, v.below(v.build.sub(end, start)))


def _build_largest(size: int, padded: bool) -> Builder:
    """for vectors of windows j, for rows of windows: for the taps, two columns at a time: challenge the best

    Each lane keeps the best element of its window so far and the tap that saw it. Unless `padded`, every window lies
    inside, and the first tap wins against -inf (or, itself -inf, is the one named from the start).
    """

    def build(v: Vectors, *args: ir.Value) -> None:
        x, x0, height, width, y, argmax, o, oh, ow, ph, pw, relu = args
        b, lanes, none = v.build, v.lanes, size * size
        floored = v.splat(b.icmp_signed("!=", relu, number(0)))
        best_at, where_at = v.sums([v.constant(0), v.bytes(0)])

        def challenge(value: ir.Value, valid: ir.Value, tap: int) -> None:
            """Put `value` in the place of the best where it is larger, or NaN, or the first of its window."""
            best, where = b.load(best_at), b.load(where_at)
            wins = b.or_(b.fcmp_ordered(">", value, best), b.fcmp_unordered("uno", value, value))
            if padded:
                wins = b.and_(valid, b.or_(wins, b.icmp_signed("==", where, v.bytes(none))))
            b.store(b.select(wins, value, best), best_at)
            b.store(b.select(wins, v.bytes(tap), where), where_at)

        with v.loop(ow, lanes) as j:
            left = b.sub(b.shl(j, number(1)), pw)
            inside = {}  # the masks of the columns that taps q and q + 1 see, as they lie in memory
            for q in range(0, size, 2):
                starts = [b.add(left, number(q + k * lanes)) for k in (0, 1)]
                inside[q] = [_between(v, start, width) for start in starts]
            written = v.below(b.sub(ow, j))
            with v.loop(oh) as row:
                b.store(v.constant(float("-inf")), best_at)
                b.store(v.bytes(none if padded else 0), where_at)
                top = b.sub(b.shl(row, number(1)), ph)
                for u in range(size):
                    r = b.add(top, number(u))
                    on_image = b.if_then(b.icmp_unsigned("<", r, height)) if padded else contextlib.nullcontext()
                    with on_image:
                        start = b.add(x0, b.add(b.mul(r, width), left))
                        for q in range(0, size, 2):
                            loaded = [v.load(v.at(x, start, q + k * lanes), inside[q][k]) for k in (0, 1)]
                            for tap in range(q, min(q + 2, size)):
                                phase = range(tap - q, 2 * lanes, 2)  # even lanes for tap q, odd ones for q + 1
                                valid = v.shuffle(inside[q][0], inside[q][1], phase)
                                challenge(v.shuffle(loaded[0], loaded[1], phase), valid, u * size + tap)
                out = b.add(b.add(o, j), b.mul(row, ow))
                best, where = b.load(best_at), b.load(where_at)
                lost = b.and_(floored, b.fcmp_ordered("<=", best, v.constant(0)))
                v.store(b.select(lost, v.constant(0), best), v.at(y, out), written)
                v.store_bytes(b.select(lost, v.bytes(none), where), v.at(argmax, out), written)

    return build


def _build_scatter(size: int) -> Builder:
    """for vectors of pairs of columns j, for rows: for the windows that see them: add what they won

    Even and odd columns (counted with the padding) are summed in a vector each and leave interleaved. Window row i
    sees row r with tap row u = r + ph - 2 * i, so that every second u has a window; likewise for columns.
    """

    def build(v: Vectors, *args: ir.Value) -> None:
        g, argmax, o, oh, ow, gx, x0, height, width, ph, pw = args
        b, lanes = v.build, v.lanes
        pairs = [lane for k in range(lanes) for lane in (k, lanes + k)]
        sums = v.sums([v.constant(0)] * 2)  # of even and of odd columns
        blocks = b.add(b.ashr(b.sub(b.add(width, pw), number(1)), number(1)), number(1))
        with v.loop(blocks, lanes) as j:
            left = b.sub(b.shl(j, number(1)), pw)
            written = [_between(v, b.add(left, number(k * lanes)), width) for k in (0, 1)]
            # Taps 2 * s and 2 * s + 1 of window j + l - s lie on the columns of lane l.
            windows = [_between(v, b.sub(j, number(s)), ow) for s in range((size + 1) // 2)]
            with v.loop(height) as row:
                for at in sums:
                    b.store(v.constant(0), at)
                for u in range(size):
                    t = b.sub(b.add(row, ph), number(u))
                    i = b.ashr(t, number(1))
                    even = b.icmp_signed("==", b.and_(t, number(1)), number(0))
                    with b.if_then(b.and_(even, b.icmp_unsigned("<", i, oh))):
                        for s, mask in enumerate(windows):
                            place = b.sub(b.add(b.add(o, b.mul(i, ow)), j), number(s))
                            share = v.load(v.at(g, place), mask)
                            where = v.load_bytes(v.at(argmax, place), mask, 255)
                            for q in range(2 * s, min(2 * s + 2, size)):
                                won = b.icmp_signed("==", where, v.bytes(u * size + q))
                                at = sums[q - 2 * s]
                                b.store(b.fadd(b.load(at), b.select(won, share, v.constant(0))), at)
                start = b.add(b.add(x0, b.mul(row, width)), left)
                even_columns, odd_columns = (b.load(at) for at in sums)
                for k in (0, 1):
                    mixed = v.shuffle(even_columns, odd_columns, pairs[lanes * k : lanes * (k + 1)])
                    v.store(mixed, v.at(gx, start, k * lanes), written[k])

    return build


def _build_mean(v: Vectors, *args: ir.Value) -> None:
    """for vectors of windows j, for rows of windows: the even and the odd columns of two rows, added and divided"""
    x, x0, width, y, o, oh, ow, divisor = args
    b, lanes = v.build, v.lanes
    by = v.splat(divisor)
    with v.loop(ow, lanes) as j:
        left = b.shl(j, number(1))
        rest = b.sub(b.shl(ow, number(1)), left)
        read = [v.below(rest, k * lanes) for k in (0, 1)]
        written = v.below(b.sub(ow, j))
        with v.loop(oh) as row:
            sums = []
            for u in (0, 1):
                r = b.add(b.shl(row, number(1)), number(u))
                start = b.add(b.add(x0, b.mul(r, width)), left)
                loaded = [v.load(v.at(x, start, k * lanes), read[k]) for k in (0, 1)]
                even, odd = (v.shuffle(loaded[0], loaded[1], range(first, 2 * lanes, 2)) for first in (0, 1))
                sums.append(b.fadd(even, odd))
            out = v.at(y, b.add(b.add(o, j), b.mul(row, ow)))
            v.store(b.fdiv(b.fadd(*sums), by), out, written)


def _build_spread(v: Vectors, *args: ir.Value) -> None:
    """for vectors of windows j, for rows of gx: each share is written twice, side by side"""
    g, o, oh, ow, gx, x0, height, width, divisor = args
    b, lanes = v.build, v.lanes
    by = v.splat(divisor)
    blocks = b.ashr(b.add(width, number(1)), number(1))
    with v.loop(blocks, lanes) as j:
        left = b.shl(j, number(1))
        read = v.below(b.sub(ow, j))
        written = [v.below(b.sub(width, left), k * lanes) for k in (0, 1)]
        with v.loop(height) as row:
            i = b.ashr(row, number(1))
            seen = b.and_(read, v.splat(b.icmp_signed("<", i, oh)))
            share = b.fdiv(v.load(v.at(g, b.add(b.add(o, j), b.mul(i, ow))), seen), by)
            start = b.add(b.add(x0, b.mul(row, width)), left)
            for k in (0, 1):
                twice = v.shuffle(share, v.constant(0), [(k * lanes + lane) // 2 for lane in range(lanes)])
                v.store(twice, v.at(gx, start, k * lanes), written[k])


def _fits(x: Any, y: Any, argmax: Any) -> bool:
    return of_floats(x, y) and isinstance(argmax, types.Array) and argmax.dtype == types.uint8


_N = types.intp  # what all numbers are


@intrinsic
def largest_2x2(
    typing: Any, x: Any, x0: Any, height: Any, width: Any, y: Any, argmax: Any, o: Any, oh: Any, ow: Any,
    ph: Any, pw: Any, relu: Any,
) -> Any:  # fmt: skip
    """y and argmax (at o) of the plane of x at x0, windows of 2x2 by two, all inside; ph and pw are 0.

    With `relu`, 0 and tap 4 where the largest element is not above 0.
    Loop nest: for vectors of windows j, for rows i. Each element of x is read once.
    """
    if not _fits(x, y, argmax):
        return None
    sig = types.void(x, _N, _N, _N, y, argmax, _N, _N, _N, _N, _N, _N)
    return sig, outlined("largest_2x2", _build_largest(2, False))


@intrinsic
def largest_3x3(
    typing: Any, x: Any, x0: Any, height: Any, width: Any, y: Any, argmax: Any, o: Any, oh: Any, ow: Any,
    ph: Any, pw: Any, relu: Any,
) -> Any:  # fmt: skip
    """The same for windows of 3x3 by two, which may reach over the borders; -inf and tap 9 where one sees nothing."""
    if not _fits(x, y, argmax):
        return None
    sig = types.void(x, _N, _N, _N, y, argmax, _N, _N, _N, _N, _N, _N)
    return sig, outlined("largest_3x3", _build_largest(3, True))


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
    return sig, outlined("scatter_2x2", _build_scatter(2))


@intrinsic
def scatter_3x3(
    typing: Any, g: Any, argmax: Any, o: Any, oh: Any, ow: Any, gx: Any, x0: Any, height: Any, width: Any,
    ph: Any, pw: Any,
) -> Any:  # fmt: skip
    """The same for windows of 3x3."""
    if not _fits(g, gx, argmax):
        return None
    sig = types.void(g, argmax, _N, _N, _N, gx, _N, _N, _N, _N, _N)
    return sig, outlined("scatter_3x3", _build_scatter(3))


@intrinsic
def mean_2x2(
    typing: Any, x: Any, x0: Any, width: Any, y: Any, o: Any, oh: Any, ow: Any, divisor: Any
) -> Any:  # fmt: skip
    """y (at o) = the sums of windows of 2x2 side by side in the plane at x0, all inside, divided by `divisor`."""
    if not of_floats(x, y):
        return None
    return types.void(x, _N, _N, y, _N, _N, _N, x.dtype), outlined("mean_2x2", _build_mean)


@intrinsic
def spread_2x2(
    typing: Any, g: Any, o: Any, oh: Any, ow: Any, gx: Any, x0: Any, height: Any, width: Any, divisor: Any
) -> Any:  # fmt: skip
    """gx (the plane at x0, all of it written) = g / divisor of the window on each element, 0 where there is none."""
    if not of_floats(g, gx):
        return None
    return types.void(g, _N, _N, _N, gx, _N, _N, _N, g.dtype), outlined("spread_2x2", _build_spread)
