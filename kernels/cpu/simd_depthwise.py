"""Vector code of depthwise convolution: sums over a window's taps, for rows of outputs of one plane.

The plane that is read has zeros around it, so that every tap of every output is a number in memory: taps lie at the
same distances from each output, which a table holds. A scalar of the weights serves some rows of outputs at a time;
their sums stay in registers.

A load that crosses a cache line costs as much as four multiply-adds, and two of three taps of a row do. Where a window
has three rows, one below the other, a row is therefore loaded once for all outputs that see it (`steep`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .simd import Vectors, _repeating_last, number, of_floats, outlined

RISE = 8  # rows of sums in registers, of outputs side by side or of both kinds of columns together
TAPS = 9  # sums of a weight gradient in registers
STEEP = 3  # rows of a window whose loads are shared
_index = types.intp


@intrinsic
def split_rows(
    typing: Any, x: Any, i: Any, x_row: Any, n: Any, out: Any, o: Any, o_row: Any, half: Any, rows: Any
) -> Any:
    """out[o + r*o_row + j] = x[i + r*x_row + 2*j] and out[o + half + r*o_row + j] = x[i + r*x_row + 2*j + 1]

    for the n columns of `rows` rows; zeros fill the last vector of each half.
    """
    if not of_floats(x, out):
        return None
    return types.void(x, *[_index] * 3, out, *[_index] * 4), outlined("split_rows", _build_split_rows)


def _build_split_rows(v: Vectors, *args: ir.Value) -> None:
    x, i, x_row, n, out, o, o_row, half, rows = args
    b, lanes = v.build, v.lanes
    with v.loop(b.ashr(b.add(n, number(1)), number(1)), lanes) as j:
        left = b.shl(j, number(1))
        masks = [v.below(b.sub(n, left), k * lanes) for k in (0, 1)]
        with v.loop(rows) as r:
            source, target = v.at(x, i, b.mul(r, x_row), left), v.at(out, o, b.mul(r, o_row), j)
            pair = [v.load(v.at(source, k * lanes), masks[k]) for k in (0, 1)]
            for odd in (0, 1):
                column = v.shuffle(pair[0], pair[1], range(odd, 2 * lanes, 2))
                v.store(column, v.at(target, half) if odd else target)


@intrinsic
def tap_sums(
    typing: Any, x: Any, i: Any, x_row: Any, taps: Any, first: Any, last: Any, steep: Any, w: Any, wi: Any, start: Any,
    y: Any, o: Any, y_row: Any, rows: Any, cols: Any,
) -> Any:  # fmt: skip
    """y[o + r*y_row + j] = start + sum of w[wi + t] * x[i + r*x_row + taps[t] + j] over first <= t < last

    for r < rows and j < cols. In x up to RISE rows and a vector more are read. If `steep`, the taps are STEEP equal
    rows that lie x_row apart. `start` is the bias.

    Loop nest: for vectors of columns j, for RISE rows r: for tap t, a load for each row and its multiply-add.
    """
    if not of_floats(x, w, y):
        return None
    sig = types.void(x, *[_index] * 2, taps, *[_index] * 2, types.boolean, w, _index, x.dtype, y, *[_index] * 4)
    return sig, outlined("tap_sums", _build_tap_sums)


def _build_tap_sums(v: Vectors, *args: ir.Value) -> None:
    x, i, x_row, taps, first, last, steep, w, wi, start, y, o, y_row, rows, cols = args
    b = v.build
    with v.loop(cols, v.lanes) as j:
        written = v.below(b.sub(cols, j))

        def sums_of(r: ir.Value, most: int) -> None:
            row = [b.add(r, one) for one in _repeating_last(v, most, b.sub(rows, r))]
            totals = v.sums([v.splat(start)] * most)
            sources = [v.at(x, i, b.mul(b.add(r, number(n)), x_row), j) for n in range(most + STEEP - 1)]
            with b.if_else(steep) as (then, otherwise):
                with then:
                    _add_steep(v, sources, totals, taps, first, last, w, wi)
                with otherwise:
                    _add_taps(v, sources[:most], totals, taps, first, last, w, wi)
            for one, total in reversed(list(zip(row, totals, strict=True))):
                v.store(b.load(total), v.at(y, o, b.mul(one, y_row), j), written)

        _by_rows(v, rows, RISE, sums_of)


@intrinsic
def tap_sums_apart(
    typing: Any, x: Any, i: Any, x_row: Any, taps: Any, first: Any, middle: Any, last: Any, w: Any, wi: Any, y: Any,
    o: Any, y_row: Any, rows: Any, cols: Any,
) -> Any:  # fmt: skip
    """As `tap_sums`: y[o + r*y_row + 2*j] over first <= t < middle, and the column after it over middle <= t < last

    for r < rows and 2*j < cols.
    """
    if not of_floats(x, w, y):
        return None
    sig = types.void(x, *[_index] * 2, taps, *[_index] * 3, w, _index, y, *[_index] * 4)
    return sig, outlined("tap_sums_apart", _build_tap_sums_apart)


def _build_tap_sums_apart(v: Vectors, *args: ir.Value) -> None:
    x, i, x_row, taps, first, middle, last, w, wi, y, o, y_row, rows, cols = args
    b, lanes = v.build, v.lanes
    pairs = [lane for k in range(lanes) for lane in (k, lanes + k)]
    with v.loop(b.ashr(b.add(cols, number(1)), number(1)), lanes) as j:
        left = b.shl(j, number(1))
        written = [v.below(b.sub(cols, left), k * lanes) for k in (0, 1)]

        def sums_of(r: ir.Value, most: int) -> None:
            row = [b.add(r, one) for one in _repeating_last(v, most, b.sub(rows, r))]
            sources = [v.at(x, i, b.mul(b.add(r, number(n)), x_row), j) for n in range(most)]
            even, odd = (v.sums([v.constant(0)] * most) for _ in range(2))
            _add_taps(v, sources, even, taps, first, middle, w, wi)
            _add_taps(v, sources, odd, taps, middle, last, w, wi)
            for one, *both in reversed(list(zip(row, even, odd, strict=True))):
                values = [b.load(total) for total in both]
                for k in (0, 1):
                    mixed = v.shuffle(values[0], values[1], pairs[lanes * k : lanes * (k + 1)])
                    v.store(mixed, v.at(y, o, b.mul(one, y_row), left, k * lanes), written[k])

        _by_rows(v, rows, RISE // 2, sums_of)


def _by_rows(v: Vectors, rows: ir.Value, most: int, sums_of: Callable[[ir.Value, int], None]) -> None:
    """for r in range(0, rows, most): sums_of(r), of half as many rows if no more are left"""
    b = v.build
    with v.loop(rows, most) as r:
        few = b.icmp_signed("<=", b.sub(rows, r), number(most // 2))
        with b.if_else(few) as (then, otherwise):
            with then:
                sums_of(r, most // 2)
            with otherwise:
                sums_of(r, most)


def _add_taps(
    v: Vectors, sources: list[ir.Value], totals: list[ir.Value], taps: ir.Value, first: ir.Value, last: ir.Value,
    w: ir.Value, wi: ir.Value,
) -> None:  # fmt: skip
    """totals[r] += the sum over first <= t < last of w[wi + t] * sources[r][taps[t]]"""
    b = v.build
    with v.loop(b.sub(last, first)) as k:
        t = b.add(first, k)
        offset, weight = b.load(v.at(taps, t)), v.splat(b.load(v.at(w, wi, t)))
        for source, total in zip(sources, totals, strict=True):
            b.store(v.fma(weight, v.load(v.at(source, offset)), b.load(total)), total)


def _add_steep(
    v: Vectors, sources: list[ir.Value], totals: list[ir.Value], taps: ir.Value, first: ir.Value, last: ir.Value,
    w: ir.Value, wi: ir.Value,
) -> None:  # fmt: skip
    """The same for STEEP rows of taps, which sources[r], sources[r + 1], ... see at the places of the first row."""
    b = v.build
    width = b.sdiv(b.sub(last, first), number(STEEP))
    with v.loop(width) as k:
        t = b.add(first, k)
        offset = b.load(v.at(taps, t))
        weights = [v.splat(b.load(v.at(w, wi, t, b.mul(width, number(u))))) for u in range(STEEP)]
        loaded = [v.load(v.at(source, offset)) for source in sources]
        for r, total in enumerate(totals):
            for weight, row in zip(weights, loaded[r : r + STEEP], strict=True):
                b.store(v.fma(weight, row, b.load(total)), total)


@intrinsic
def tap_products(
    typing: Any, g: Any, gi: Any, g_row: Any, x: Any, i: Any, x_row: Any, taps: Any, first: Any, count: Any,
    steep: Any, sums: Any, s: Any, rows: Any, cols: Any, add: Any,
) -> Any:  # fmt: skip
    """Lane l of the vector at sums[s + t * lanes] = (what it was if add) + the sum over r < rows of

        g[gi + r*g_row + j] * x[i + r*x_row + taps[first + t] + j]    over j = l, l + lanes, ... < cols

    for t < count <= TAPS. If `steep`, the taps are STEEP rows of STEEP that lie x_row apart.

    Loop nest: for vectors of columns j, for rows r: for tap t. The sums stay in registers from first to last. If
    `steep`, so does what the window sees: a step to the next row loads its lowest row only, and moves the others up.
    """
    if not of_floats(g, x, sums):
        return None
    flag = types.boolean
    sig = types.void(g, *[_index] * 2, x, *[_index] * 2, taps, *[_index] * 2, flag, sums, *[_index] * 3, flag)
    return sig, outlined("tap_products", _build_tap_products)


def _build_tap_products(v: Vectors, *args: ir.Value) -> None:
    g, gi, g_row, x, i, x_row, taps, first, count, steep, sums, s, rows, cols, add = args
    b = v.build
    tap = _repeating_last(v, TAPS, count)
    offsets = [b.load(v.at(taps, first, t)) for t in tap]
    targets = [v.at(sums, s, b.mul(t, number(v.lanes))) for t in tap]
    totals = v.sums([v.constant(0)] * TAPS)
    with b.if_then(add):
        for total, target in zip(totals, targets, strict=True):
            b.store(v.load(target), total)
    with v.loop(cols, v.lanes) as j:
        mask = v.below(b.sub(cols, j))

        def row_of(r: ir.Value) -> tuple[ir.Value, ir.Value]:
            return v.load(v.at(g, gi, b.mul(r, g_row), j), mask), v.at(x, i, b.mul(r, x_row), j)

        with b.if_else(steep) as (then, otherwise):
            with then:
                _, top = row_of(number(0))
                seen = v.sums([v.load(v.at(top, offset), mask) for offset in offsets])  # what the window sees
                with v.loop(rows) as r:
                    left, source = row_of(r)
                    for offset, at in zip(offsets[-STEEP:], seen[-STEEP:], strict=True):
                        b.store(v.load(v.at(source, offset), mask), at)
                    for at, total in zip(seen, totals, strict=True):
                        b.store(v.fma(left, b.load(at), b.load(total)), total)
                    for above, at in zip(seen, seen[STEEP:], strict=False):
                        b.store(b.load(at), above)
            with otherwise, v.loop(rows) as r:
                left, source = row_of(r)
                for offset, total in zip(offsets, totals, strict=True):
                    b.store(v.fma(left, v.load(v.at(source, offset), mask), b.load(total)), total)
    for total, target in reversed(list(zip(totals, targets, strict=True))):
        v.store(b.load(total), target)
