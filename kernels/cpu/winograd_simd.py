"""The vector code of Winograd's convolution: F(m x m, 3 x 3) for m = 4 and m = 2, float32.

An m x m tile of the output depends on a patch of s x s elements of the input, s = m + 2. With matrices A (s, m),
B (s, s) and G (s, 3), found from interpolation points (Toom and Cook),

    y = A^T [ (G w G^T) . (B^T d B) ] A         . is the product element by element

so that the s*s products of a patch and a filter do the work of 9 * m * m, and summed over channels each of the s*s
positions is a product of matrices. The gradient of w has the same form: G^T [ (A gy A^T) . (B^T d B) ] G.

Every function here handles as many tiles (or filters) as a vector has lanes, element (i, j) of all of them in one
register; the matrices are constants in the code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.polynomial import polynomial

from .simd import Vectors, function_of, number, of_floats, pointers

# The points at which the polynomials are compared, besides infinity. For m = 4 the usual 0, +-1, +-2 lose three times
# as many digits; with these every constant of B is still exact in binary. Points of opposite sign stand side by side.
POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, 0.75, -0.75, 1.5, -1.5)}
Matrix = np.ndarray[Any, np.dtype[np.float64]]


def matrices(m: int) -> tuple[Matrix, Matrix, Matrix]:
    """(A, B^T, G) of F(m, 3) on its POINTS: y = A^T [(G w) . (B^T d)] for one row.

    Row j of A holds the powers of point j, row j of G the powers divided by prod (p_j - p_l) over the other points,
    row j of B^T the coefficients of the polynomial prod (x - p_l); the last rows are those of the point at infinity.
    """
    points = POINTS[m]
    s = len(points) + 1
    a, bt, g = np.zeros((s, m)), np.zeros((s, s)), np.zeros((s, 3))
    for j, p in enumerate(points):
        others = [q for q in points if q != p]
        a[j] = p ** np.arange(m)
        g[j] = p ** np.arange(3) / np.prod([p - q for q in others])
        bt[j, : s - 1] = polynomial.polyfromroots(others)
    a[-1, -1] = g[-1, -1] = 1
    bt[-1] = polynomial.polyfromroots(points)
    return a, bt, g


def _combine(v: Vectors, coefficients: Sequence[float], values: Sequence[ir.Value]) -> ir.Value:
    """The sum of coefficient * value, not all of them 0."""
    terms = [(c, x) for c, x in zip(coefficients, values, strict=True) if c]
    terms.sort(key=lambda term: abs(term[0]) != 1)  # those that need no product first
    total: Any = None
    for c, x in terms:
        if total is None:
            total = x if c == 1 else v.build.fmul(x, v.constant(c))
        elif abs(c) == 1:
            total = v.build.fadd(total, x) if c == 1 else v.build.fsub(total, x)
        else:
            total = v.fma(x, v.constant(c), total)
    return total


def _times(v: Vectors, matrix: Matrix, values: Sequence[ir.Value], m: int) -> list[ir.Value]:
    """matrix @ values, whose rows belong to the points.

    The rows of p and -p agree in the even powers and differ in sign in the odd ones, so both come from two half sums.
    """
    rows: list[Any] = []
    while len(rows) < len(matrix):
        i = len(rows)
        if i % 2 and i < len(POINTS[m]):
            even = _combine(v, (matrix[i] + matrix[i + 1]) / 2, values)
            odd = _combine(v, (matrix[i] - matrix[i + 1]) / 2, values)
            rows += [v.build.fadd(even, odd), v.build.fsub(even, odd)]
        else:
            rows.append(_combine(v, matrix[i], values))
    return rows


def _transposed_times(v: Vectors, matrix: Matrix, values: Sequence[ir.Value], m: int) -> list[ir.Value]:
    """matrix^T @ values, whose rows belong to the points: the values of p and -p are first added and subtracted."""
    terms, columns = [], []
    i = 0
    while i < len(matrix):
        if i % 2 and i < len(POINTS[m]):
            terms += [v.build.fadd(values[i], values[i + 1]), v.build.fsub(values[i], values[i + 1])]
            columns += [(matrix[i] + matrix[i + 1]) / 2, (matrix[i] - matrix[i + 1]) / 2]
            i += 2
        else:
            terms.append(values[i])
            columns.append(matrix[i])
            i += 1
    return [_combine(v, row, terms) for row in np.array(columns).T]


def _both_ways(
    v: Vectors, matrix: Matrix, size: int, element: Callable[[int, int], ir.Value], m: int, transpose: bool
) -> Iterator[tuple[int, list[ir.Value]]]:
    """The rows of matrix @ block @ matrix^T, or of matrix^T @ block @ matrix, numbered.

    `element(row, column)` loads the block, size x size, column by column, so that few registers are in use.
    """
    product = _transposed_times if transpose else _times
    columns = [product(v, matrix, [element(r, c) for r in range(size)], m) for c in range(size)]
    for r, row in enumerate(zip(*columns, strict=True)):
        yield r, product(v, matrix, row, m)


def _for_both(name: str, build: Callable[..., None]) -> Callable[..., Any]:
    """An intrinsic's code: a call to the function for m = 4 or that for m = 2, as its first argument says."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        m, *values = pointers(context, builder, signature, args)
        with builder.if_else(builder.icmp_signed("==", m, number(4))) as branches:
            for size, branch in zip((4, 2), branches, strict=True):
                with branch:
                    code = functools.partial(build, size)
                    function_of(builder.module, f"{name}_{size}", values, code)(builder, values)
        return context.get_dummy_value()

    return codegen


_index = types.intp


# -- the input ----------------------------------------------------------------------------------------------------


def _build_split(m: int, v: Vectors, *args: ir.Value) -> None:
    x, i, width, first, last, above, below, begin, end, out, o, plane, wide = args
    build, lanes = v.build, v.lanes
    part = 2 * lanes // m  # tiles of two vectors
    above, below = _clamp(v, above, begin, end), _clamp(v, below, begin, end)

    with v.loop(wide, part) as t:
        j = build.mul(t, number(m))
        masks = []
        for half in range(2):
            start, stop = (build.sub(build.sub(bound, j), number(half * lanes)) for bound in (first, last))
            masks.append(build.and_(build.not_(v.below(start)), v.below(stop)))
        written = v.below(build.sub(wide, t), lanes=part)

        def rows(start: ir.Value, stop: ir.Value, image: bool) -> None:
            with v.loop(build.sub(stop, start)) as k:
                r = build.add(start, k)
                halves = [v.constant(0)] * 2
                if image:
                    source = v.at(x, i, build.mul(r, width), j)
                    halves = [v.load(v.at(source, half * lanes), masks[half]) for half in range(2)]
                down, position = build.sdiv(r, number(m)), build.srem(r, number(m))
                target = v.at(out, o, build.mul(down, wide), build.mul(plane, build.mul(position, number(m))), t)
                for q in range(m):
                    lane = v.shuffle(halves[0], halves[1], range(q, 2 * lanes, m))
                    v.store(lane, v.at(target, build.mul(plane, number(q))), written)

        rows(begin, above, False)
        rows(above, below, True)
        rows(below, end, False)


def _clamp(v: Vectors, x: ir.Value, least: ir.Value, most: ir.Value) -> ir.Value:
    x = v.build.select(v.build.icmp_signed("<", x, least), least, x)
    return v.build.select(v.build.icmp_signed(">", x, most), most, x)


@intrinsic
def split_tiles(
    typing: Any, m: Any, x: Any, i: Any, width: Any, first: Any, last: Any, above: Any, below: Any, begin: Any,
    end: Any, out: Any, o: Any, plane: Any, wide: Any,
) -> Any:  # fmt: skip
    """out[o + r // m * wide + (r % m * m + q) * plane + t] = x[i + r*width + m*t + q] for q < m and t < wide.

    For the rows begin <= r < end of an image, begin >= 0: m of them make a row of tiles, `wide` tiles long, and each
    position in a tile has a plane. 0 where first <= m*t + q < last and above <= r < below are not so.
    """
    if not of_floats(x, out):
        return None
    return types.void(_index, x, *[_index] * 8, out, *[_index] * 3), _for_both("winograd_split", _build_split)


def _build_input(m: int, v: Vectors, *args: ir.Value) -> None:
    planes, i, plane, width, edges, e, out, o, step = args
    build, s = v.build, m + 2
    kind = ir.VectorType(ir.IntType(8), v.lanes)
    bits = build.load(build.bitcast(v.at(edges, e), kind.as_pointer()), align=1)

    def has(bit: int) -> ir.Value:
        return build.icmp_unsigned("!=", build.and_(bits, ir.Constant(kind, [bit] * v.lanes)), ir.Constant(kind, None))

    neighbours = {(0, -1): has(1), (0, 1): has(2), (1, -1): has(4), (1, 1): has(8)}  # (axis, side)

    def element(row: int, col: int) -> ir.Value:
        """Element (row, col) of the patches, which begin one above and one left of their tiles."""
        (down, u), (across, w) = divmod(row - 1, m), divmod(col - 1, m)
        place = v.at(planes, i, build.mul(plane, number(u * m + w)), build.mul(width, number(down)), across)
        masks = [neighbours[axis, side] for axis, side in ((0, down), (1, across)) if side]
        mask = build.and_(*masks) if len(masks) == 2 else masks[0] if masks else None
        return v.load(place, mask)

    for row, values in _both_ways(v, matrices(m)[1], s, element, m, transpose=False):
        for col, value in enumerate(values):
            v.store(value, v.at(out, o, build.mul(step, number(row * s + col))))


@intrinsic
def input_tiles(
    typing: Any, m: Any, planes: Any, i: Any, plane: Any, width: Any, edges: Any, e: Any, out: Any, o: Any, step: Any
) -> Any:
    """out[o + k*step + lane] = element k of B^T d B for the tiles at planes[i + lane].

    Args:
        plane: elements between the planes made by `split_tiles`.
        width: tiles in a row; what lies below is so many lanes further on.
        edges: a byte for each tile: 1, 2, 4, 8 are set where there is something above, below, left, right of it. What
            is not there counts as 0.
    """
    if not of_floats(planes, out):
        return None
    return types.void(_index, planes, *[_index] * 3, edges, _index, out, *[_index] * 2), _for_both(
        "winograd_input", _build_input
    )


# -- the output ---------------------------------------------------------------------------------------------------


def _interleaved(v: Vectors, values: Sequence[ir.Value]) -> list[ir.Value]:
    """m vectors a, b, ... as m vectors a0 b0 ... a1 b1 ..."""
    if len(values) == 1:
        return list(values)
    half = v.lanes // 2
    even, odd = _interleaved(v, values[::2]), _interleaved(v, values[1::2])
    picks = [[h * half + k // 2 + (v.lanes if k % 2 else 0) for k in range(v.lanes)] for h in range(2)]
    return [v.shuffle(a, b, pick) for a, b in zip(even, odd, strict=True) for pick in picks]


def _build_output(m: int, v: Vectors, *args: ir.Value) -> None:
    products, i, step, bias, out, o, row = args
    build, s = v.build, m + 2

    def element(r: int, c: int) -> ir.Value:
        return v.load(v.at(products, i, build.mul(step, number(r * s + c))))

    shift = v.splat(bias)
    for r, values in _both_ways(v, matrices(m)[0], s, element, m, transpose=True):
        shifted = [build.fadd(value, shift) for value in values]
        for k, value in enumerate(_interleaved(v, shifted)):
            v.store(value, v.at(out, o, build.mul(row, number(r)), k * v.lanes))


@intrinsic
def output_tiles(typing: Any, m: Any, products: Any, i: Any, step: Any, bias: Any, out: Any, o: Any, row: Any) -> Any:
    """out[o + r*row + m*lane + c] = element (r, c) of A^T M A + bias; element k of M is products[i + k*step + lane]."""
    if not of_floats(products, out):
        return None
    return types.void(_index, products, *[_index] * 2, products.dtype, out, *[_index] * 2), _for_both(
        "winograd_output", _build_output
    )


def _build_join(m: int, v: Vectors, *args: ir.Value) -> None:
    rows, i, row, out, o, width, n, begin, end, wide = args
    build = v.build
    with v.loop(n, v.lanes) as j:
        mask = v.below(build.sub(n, j))
        with v.loop(build.sub(end, begin)) as k:
            r = build.add(begin, k)
            down, position = build.sdiv(r, number(m)), build.srem(r, number(m))
            source = v.at(rows, i, build.mul(down, build.mul(wide, number(m))), build.mul(position, row), j)
            v.store(v.load(source, mask), v.at(out, o, build.mul(r, width), j), mask)


@intrinsic
def join_tiles(
    typing: Any, m: Any, rows: Any, i: Any, row: Any, out: Any, o: Any, width: Any, n: Any, begin: Any, end: Any,
    wide: Any,
) -> Any:  # fmt: skip
    """out[o + r*width + j] = rows[i + r // m * wide * m + r % m * row + j] for begin <= r < end and j < n.

    What `output_tiles` wrote, rows of tiles `wide` tiles long side by side, goes to the rows of an image.
    """
    if not of_floats(rows, out):
        return None
    return types.void(_index, rows, *[_index] * 2, out, *[_index] * 6), _for_both("winograd_join", _build_join)


# -- the weights --------------------------------------------------------------------------------------------------


def _build_weight(m: int, v: Vectors, *args: ir.Value) -> None:
    taps, i, tap, out, o, step = args
    build, s = v.build, m + 2

    def element(r: int, c: int) -> ir.Value:
        return v.load(v.at(taps, i, build.mul(tap, number(3 * r + c))))

    for r, values in _both_ways(v, matrices(m)[2], 3, element, m, transpose=False):
        for c, value in enumerate(values):
            v.store(value, v.at(out, o, build.mul(step, number(r * s + c))))


@intrinsic
def weight_tiles(typing: Any, m: Any, taps: Any, i: Any, tap: Any, out: Any, o: Any, step: Any) -> Any:
    """out[o + k*step + lane] = element k of G w G^T; tap q of w is at taps[i + q*tap + lane]."""
    if not of_floats(taps, out):
        return None
    return types.void(_index, taps, *[_index] * 2, out, *[_index] * 2), _for_both("winograd_weight", _build_weight)


# -- the gradient of the weights ----------------------------------------------------------------------------------


def _build_output_grad(m: int, v: Vectors, *args: ir.Value) -> None:
    planes, i, plane, out, o, step = args
    build, s = v.build, m + 2

    def element(r: int, c: int) -> ir.Value:
        return v.load(v.at(planes, i, build.mul(plane, number(r * m + c))))

    for r, values in _both_ways(v, matrices(m)[0], m, element, m, transpose=False):
        for c, value in enumerate(values):
            v.store(value, v.at(out, o, build.mul(step, number(r * s + c))))


@intrinsic
def output_grad_tiles(typing: Any, m: Any, planes: Any, i: Any, plane: Any, out: Any, o: Any, step: Any) -> Any:
    """out[o + k*step + lane] = element k of A gy A^T for the tiles at planes[i + lane], made by `split_tiles`."""
    if not of_floats(planes, out):
        return None
    return types.void(_index, planes, *[_index] * 2, out, *[_index] * 2), _for_both(
        "winograd_output_grad", _build_output_grad
    )


def _build_weight_grad(m: int, v: Vectors, *args: ir.Value) -> None:
    sums, i, step, out, o = args
    build, s = v.build, m + 2

    def element(r: int, c: int) -> ir.Value:
        return v.load(v.at(sums, i, build.mul(step, number(r * s + c))))

    for r, values in _both_ways(v, matrices(m)[2], s, element, m, transpose=True):
        for c, value in enumerate(values):
            v.store(value, v.at(out, o, (3 * r + c) * v.lanes))


@intrinsic
def weight_grad_tiles(typing: Any, m: Any, sums: Any, i: Any, step: Any, out: Any, o: Any) -> Any:
    """out[o + q*lanes + lane] = tap q of G^T S G, where S's element k is sums[i + k*step + lane]."""
    if not of_floats(sums, out):
        return None
    return types.void(_index, sums, *[_index] * 2, out, _index), _for_both("winograd_weight_grad", _build_weight_grad)
