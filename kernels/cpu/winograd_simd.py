"""The vector code of Winograd's convolution: F(m x m, r x r), r = 3 for m = 4 and m = 2, r = 4 for m = 3; float32.

An m x m tile of the output depends on a patch of s x s elements of the input, s = m + r - 1. With matrices A (s, m),
B (s, s) and G (s, r), found from interpolation points (Toom and Cook),

    y = A^T [ (G w G^T) . (B^T d B) ] A         . is the product element by element

so that the s*s products of a patch and a filter do the work of r * r * m * m, and summed over channels each of the s*s
positions is a product of matrices. The gradient of w has the same form: G^T [ (A gy A^T) . (B^T d B) ] G.

Every function here handles as many channels (or filters) as a vector has lanes, element (i, j) of all of them in one
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

from .simd import AHEAD, ROWS, VECTORS, Vectors, function_of, number, of_floats, outlined, pointers

# The points at which the polynomials are compared, besides infinity. For m = 4 the usual 0, +-1, +-2 lose three times
# as many digits; with these every constant of B is still exact in binary. Points of opposite sign stand side by side.
POINTS = {2: (0.0, 1.0, -1.0), **dict.fromkeys((3, 4), (0.0, 0.75, -0.75, 1.5, -1.5))}
TAPS = {2: 3, 3: 4, 4: 3}  # r
HEIGHTS = min(ROWS * VECTORS, 2 * ROWS), ROWS * VECTORS // 2  # rows of a `lane_tile` of one vector, of two
Matrix = np.ndarray[Any, np.dtype[np.float64]]


def matrices(m: int) -> tuple[Matrix, Matrix, Matrix]:
    """(A, B^T, G) of F(m, r) on its POINTS: y = A^T [(G w) . (B^T d)] for one row.

    Row j of A holds the powers of point j, row j of G the powers divided by prod (p_j - p_l) over the other points,
    row j of B^T the coefficients of the polynomial prod (x - p_l); the last rows are those of the point at infinity.
    """
    points, taps = POINTS[m], TAPS[m]
    s = len(points) + 1
    a, bt, g = np.zeros((s, m)), np.zeros((s, s)), np.zeros((s, taps))
    for j, p in enumerate(points):
        others = [q for q in points if q != p]
        a[j] = p ** np.arange(m)
        g[j] = p ** np.arange(taps) / np.prod([p - q for q in others])
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


def _for_each(name: str, build: Callable[..., None], *sizes: int) -> Callable[..., Any]:
    """An intrinsic's code: a call to the function for m, the first argument, which is one of these sizes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        m, *values = pointers(context, builder, signature, args)
        for size in sizes:
            with builder.if_then(builder.icmp_signed("==", m, number(size))):
                code = functools.partial(build, size)
                function_of(builder.module, f"{name}_{size}", values, code)(builder, values)
        return context.get_dummy_value()

    return codegen


_index = types.intp


# -- products -----------------------------------------------------------------------------------------------------


def _build_lane_tile(v: Vectors, *args: ir.Value) -> None:
    """One of four tiles: of one vector or two, and of full height or half, if that is enough for the rows."""
    *rest, width = args
    rows = rest[7]
    single = v.build.icmp_signed("==", width, number(v.lanes))
    with v.build.if_else(single) as branches:
        for vectors, branch in zip((1, 2), branches, strict=True):
            height = HEIGHTS[vectors - 1]
            with branch:
                few = v.build.icmp_signed("<=", rows, number(height // 2))
                with v.build.if_else(few) as halves:
                    for part, half in zip((2, 1), halves, strict=True):
                        with half:
                            _one_lane_tile(v, height // part, vectors, *rest)


def _one_lane_tile(v: Vectors, height: int, vectors: int, *args: ir.Value) -> None:
    """All sums of the tile stay in registers; `vectors` more hold the row of b, and one an element of a.

    for vector of terms: for term k of it: load b's row k, ask for the one AHEAD of it; for row r: sums += a[r, k] * row
    """
    a, ai, a_panel, b, bi, c, ci, rows, depth, add = args
    build, lanes = v.build, v.lanes
    sums = v.sums([v.constant(0)] * (height * vectors))
    with v.loop(depth, lanes) as p:
        left_over = build.sub(depth, p)
        few = build.select(build.icmp_signed("<", left_over, number(lanes)), left_over, number(lanes))
        panel = v.at(a, ai, build.mul(build.udiv(p, number(lanes)), a_panel))
        with v.loop(few) as k:
            row = v.at(b, bi, build.mul(build.add(p, k), number(vectors * lanes)))
            right = [v.load(v.at(row, i * lanes)) for i in range(vectors)]
            for i in range(vectors):
                v.prefetch(v.at(row, (vectors * AHEAD + i) * lanes))
            column = v.at(panel, k)
            for r in range(height):
                left = v.splat(build.load(v.at(column, r * lanes)))
                for i in range(vectors):
                    total = sums[r * vectors + i]
                    build.store(v.fma(left, right[i], build.load(total)), total)
    last, targets = build.sub(rows, number(1)), []
    for r in range(height):  # a missing row is written where the last one belongs, and before that
        row = build.select(build.icmp_signed("<", number(r), rows), number(r), last)
        first = v.at(c, ci, build.mul(row, number(vectors * lanes)))
        targets += [v.at(first, i * lanes) for i in range(vectors)]
    with build.if_then(add):
        for total, target in zip(sums, targets, strict=True):
            build.store(build.fadd(build.load(total), v.load(target)), total)
    for total, target in reversed(list(zip(sums, targets, strict=True))):
        v.store(build.load(total), target)


@intrinsic
def lane_tile(
    typing: Any, a: Any, ai: Any, a_panel: Any, b: Any, bi: Any, c: Any, ci: Any, rows: Any, depth: Any, add: Any,
    width: Any,
) -> Any:  # fmt: skip
    """c[r, j] = (c[r, j] if add else 0) + sum over k < depth of a[r, k] * b[k, j], for r < rows and j < width.

    An element is found at

        a[ai + k // lanes * a_panel + r * lanes + k % lanes]    b[bi + k * width + j]    c[ci + r * width + j]

    so that the distances are constants of the code, and no row needs a register for its address. The width is one
    vector or two, and HEIGHTS says how many rows of them there are at most. Rows missing to half of that are computed
    as well, from whatever memory of a is there, but not written. All of a is read before c is written.
    """
    if not of_floats(a, b, c):
        return None
    sig = types.void(a, *[_index] * 2, b, _index, c, *[_index] * 3, types.boolean, _index)
    return sig, outlined("winograd_lane_tile", _build_lane_tile)


# -- the input and the gradient of the output ---------------------------------------------------------------------


def _build_patch(size: int, matrix: Matrix, m: int, v: Vectors, *args: ir.Value) -> None:
    """matrix @ d @ matrix^T of a block d of pixels, size x size; columns that lie outside are masked, and so 0."""
    pixels, i, pitch, first, last, out, o, step = args
    build, s = v.build, len(POINTS[m]) + 1
    masks = []
    for c in range(size):
        inside = build.and_(build.icmp_signed("<=", first, number(c)), build.icmp_signed(">", last, number(c)))
        masks.append(v.below(build.select(inside, number(v.lanes), number(0))))

    def element(r: int, c: int) -> ir.Value:
        return v.load(v.at(pixels, i, build.mul(pitch, number(r)), c * v.lanes), masks[c])

    for r, values in _both_ways(v, matrix, size, element, m, transpose=False):
        for c, value in enumerate(values):
            v.store(value, v.at(out, o, build.mul(step, number(r * s + c))))


def _build_input(m: int, v: Vectors, *args: ir.Value) -> None:
    _build_patch(len(POINTS[m]) + 1, matrices(m)[1], m, v, *args)


def _build_output_grad(m: int, v: Vectors, *args: ir.Value) -> None:
    _build_patch(m, matrices(m)[0], m, v, *args)


def _patch_type(pixels: Any, out: Any) -> Any:
    return types.void(_index, pixels, *[_index] * 4, out, *[_index] * 2)


@intrinsic
def input_tile(
    typing: Any, m: Any, pixels: Any, i: Any, pitch: Any, first: Any, last: Any, out: Any, o: Any, step: Any
) -> Any:
    """out[o + k*step + lane] = element k of B^T d B, where d[r, c] is pixels[i + r*pitch + c*lanes + lane].

    Columns that are not first <= c < last count as 0. For m = 3, B is that of m = 4.
    """
    if not of_floats(pixels, out):
        return None
    return _patch_type(pixels, out), _for_each("winograd_input", _build_input, 4, 2)


@intrinsic
def output_grad_tile(
    typing: Any, m: Any, pixels: Any, i: Any, pitch: Any, first: Any, last: Any, out: Any, o: Any, step: Any
) -> Any:
    """out[o + k*step + lane] = element k of A gy A^T, where gy[r, c] is found as d in `input_tile`."""
    if not of_floats(pixels, out):
        return None
    return _patch_type(pixels, out), _for_each("winograd_output_grad", _build_output_grad, 4, 2)


# -- the output ---------------------------------------------------------------------------------------------------


def _build_output(m: int, v: Vectors, *args: ir.Value) -> None:
    """A^T M A + bias, row after row of the tile."""
    products, i, step, bias, b, out, o, pitch = args
    build, s = v.build, len(POINTS[m]) + 1

    def element(r: int, c: int) -> ir.Value:
        return v.load(v.at(products, i, build.mul(step, number(r * s + c))))

    shift = v.load(v.at(bias, b))
    for r, values in _both_ways(v, matrices(m)[0], s, element, m, transpose=True):
        for c, value in enumerate(values):
            v.store(build.fadd(value, shift), v.at(out, o, build.mul(pitch, number(r)), c * v.lanes))


@intrinsic
def output_tile(
    typing: Any, m: Any, products: Any, i: Any, step: Any, bias: Any, b: Any, out: Any, o: Any, pitch: Any
) -> Any:
    """out[o + r*pitch + c*lanes + lane] = element (r, c) of A^T M A + bias[b + lane].

    Element k of M is products[i + k*step + lane].
    """
    if not of_floats(products, bias, out):
        return None
    return types.void(_index, products, *[_index] * 2, bias, _index, out, *[_index] * 2), _for_each(
        "winograd_output", _build_output, 4, 2, 3
    )


# -- the weights --------------------------------------------------------------------------------------------------


def _build_weight(m: int, v: Vectors, *args: ir.Value) -> None:
    """G w G^T of r x r taps, row after row."""
    taps, i, tap, row, out, o, step = args
    build, s = v.build, len(POINTS[m]) + 1

    def element(r: int, c: int) -> ir.Value:
        return v.load(v.at(taps, i, build.mul(row, number(r)), build.mul(tap, number(c))))

    for r, values in _both_ways(v, matrices(m)[2], TAPS[m], element, m, transpose=False):
        for c, value in enumerate(values):
            v.store(value, v.at(out, o, build.mul(step, number(r * s + c))))


@intrinsic
def weight_tiles(typing: Any, m: Any, taps: Any, i: Any, tap: Any, row: Any, out: Any, o: Any, step: Any) -> Any:
    """out[o + k*step + lane] = element k of G w G^T; tap (u, v) of w is at taps[i + u*row + v*tap + lane]."""
    if not of_floats(taps, out):
        return None
    sig = types.void(_index, taps, *[_index] * 3, out, *[_index] * 2)
    return sig, _for_each("winograd_weight", _build_weight, 4, 2, 3)


# -- the gradient of the weights ----------------------------------------------------------------------------------


def _build_weight_grad(m: int, v: Vectors, *args: ir.Value) -> None:
    """G^T S G, row after row of 3 x 3 taps."""
    sums, i, step, out, o = args
    build, s = v.build, len(POINTS[m]) + 1

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
    sig = types.void(_index, sums, *[_index] * 2, out, _index)
    return sig, _for_each("winograd_weight_grad", _build_weight_grad, 4, 2)
