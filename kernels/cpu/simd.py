"""The vector code: register tiles, which every product of matrices here is made of, and moves of rows and blocks.

Numba's loops over arrays are vectorised by LLVM, but it keeps no block of sums in registers and spends long on rows of
ten elements. The functions below say what is meant in LLVM's own terms (vectors, fused multiply-add, masked loads and
stores), for any processor. Each becomes a function of its own in the module of the kernel that uses it, compiled once
however often it is called. All arrays they are given are 1-D and contiguous; an index is where something begins.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import platform
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_given: str | None = numba.config.CPU_FEATURES  # type: ignore[attr-defined]  # NUMBA_CPU_FEATURES, if it is set
_features = llvm.get_host_cpu_features() if _given is None else dict.fromkeys(_given.replace("+", "").split(","), True)
VECTOR_BYTES = 64 if _features.get("avx512f") else 32 if _features.get("avx2") else 16
# A tile holds ROWS * VECTORS sums in registers: 24 of 32 where there are so many, 12 of 16 elsewhere.
ROWS = 8 if VECTOR_BYTES == 64 or platform.machine().lower() in ("arm64", "aarch64") else 4
VECTORS = 3
DOTS = 4  # rows and columns of a block of dot products
LANES32, LANES64 = VECTOR_BYTES // 4, VECTOR_BYTES // 8
COLUMNS32, COLUMNS64 = VECTORS * LANES32, VECTORS * LANES64
WIDE = 8  # vectors of a tile of one row
AHEAD = 4  # a tile asks for the row of b that it needs so many steps later
# Positions of a `filter_tile` with one and with two vectors of filters.
POSITIONS = {1: (16, 8, 4), 2: (14, 8, 7, 4)} if ROWS == 8 else {1: (8, 4, 2), 2: (6, 4, 2)}
_MOST = {1: 2 * ROWS, 2: ROWS, 3: ROWS}  # rows of a tile for so many vectors: with one, more rows keep the units busy

_i1, _i8, _i32, _i64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)


def number(n: int) -> ir.Constant:
    """An int64 constant."""
    return ir.Constant(_i64, n)


class Vectors:
    """Writes vector code into a function: llvmlite's builder (`build`), and operations on vectors that fill a register.

    Attributes:
        element: the LLVM type of an element: float or double.
        lanes: elements of a vector.
        kind: the LLVM type of a vector.
    """

    def __init__(self, function: ir.Function, element: ir.Type) -> None:
        self.build = ir.IRBuilder(function.append_basic_block("entry"))
        self.element = element
        self._bits = 64 if isinstance(element, ir.DoubleType) else 32
        self.lanes = VECTOR_BYTES * 8 // self._bits
        self.kind = ir.VectorType(element, self.lanes)

    def _call(self, name: str, result: ir.Type, args: Sequence[ir.Value]) -> ir.Value:
        kind = ir.FunctionType(result, [a.type for a in args])
        return self.build.call(cgutils.get_or_insert_function(self.build.module, kind, name), args)

    def _suffix(self, kind: ir.VectorType) -> str:
        return f"v{kind.count}f{self._bits}"

    def constant(self, value: float) -> ir.Constant:
        return ir.Constant(self.kind, [float(value)] * self.lanes)

    def splat(self, value: ir.Value, lanes: int = 0) -> ir.Value:
        """A vector (of `lanes` lanes if not all) with `value` in every lane."""
        lanes = lanes or self.lanes
        empty = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
        one = self.build.insert_element(empty, value, ir.Constant(_i32, 0))
        return self.shuffle(one, empty, [0] * lanes)

    def shuffle(self, a: ir.Value, b: ir.Value, lanes: Sequence[int]) -> ir.Value:
        """The numbered lanes of a, then of b."""
        return self.build.shuffle_vector(a, b, ir.Constant(ir.VectorType(_i32, len(lanes)), list(lanes)))

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c, rounded once."""
        return self._call(f"llvm.fma.{self._suffix(a.type)}", a.type, [a, b, c])

    def below(self, count: ir.Value, first: int = 0, lanes: int = 0) -> ir.Value:
        """A mask (of `lanes` lanes if not all): lane i is on where first + i < count."""
        build, lanes = self.build, lanes or self.lanes
        on = build.sub(count, number(first)) if first else count
        on = build.select(build.icmp_signed(">", on, number(0)), on, number(0))
        on = build.select(build.icmp_signed("<", on, number(lanes)), on, number(lanes))
        kind = ir.VectorType(_i1, lanes)
        if VECTOR_BYTES == 64:  # masks are registers of bits there
            bits = build.sub(build.shl(number(1), on), number(1))
            return build.bitcast(build.trunc(bits, ir.IntType(lanes)), kind)
        numbers = ir.Constant(ir.VectorType(_i32, lanes), list(range(lanes)))
        return build.icmp_signed("<", numbers, self.splat(build.trunc(on, _i32), lanes))

    def at(self, pointer: ir.Value, *offsets: ir.Value | int) -> ir.Value:
        """The pointer moved on by the sum of the offsets."""
        for offset in offsets:
            if not isinstance(offset, int) or offset:
                pointer = self.build.gep(pointer, [number(offset) if isinstance(offset, int) else offset])
        return pointer

    def load(self, pointer: ir.Value, mask: ir.Value | None = None, count: int | None = None) -> ir.Value:
        """Load a vector (of `count` lanes). Lanes that a mask turns off are 0 and their memory is not touched."""
        kind = self.kind if count is None else ir.VectorType(self.element, count)
        typed = self.build.bitcast(pointer, kind.as_pointer())
        if mask is None:
            return self.build.load(typed, align=self._bits // 8)
        args = [typed, ir.Constant(_i32, self._bits // 8), mask, ir.Constant(kind, [0.0] * kind.count)]
        return self._call(f"llvm.masked.load.{self._suffix(kind)}.p0", kind, args)

    def store(self, value: ir.Value, pointer: ir.Value, mask: ir.Value | None = None) -> None:
        """Store a vector, or the lanes of it that are on."""
        typed = self.build.bitcast(pointer, value.type.as_pointer())
        if mask is None:
            self.build.store(value, typed, align=self._bits // 8)
        else:
            args = [value, typed, ir.Constant(_i32, self._bits // 8), mask]
            self._call(f"llvm.masked.store.{self._suffix(value.type)}.p0", ir.VoidType(), args)

    def prefetch(self, pointer: ir.Value, write: bool = False) -> None:
        """Ask for the cache line there, which need not exist, perhaps to write to it."""
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, _i32, _i32, _i32])
        function = cgutils.get_or_insert_function(self.build.module, kind, "llvm.prefetch.p0")
        purpose, soon, data = (ir.Constant(_i32, n) for n in (int(write), 3, 1))
        self.build.call(function, [pointer, purpose, soon, data])

    def sums(self, starts: Sequence[ir.Value]) -> list[ir.Value]:
        """Variables with these starts; LLVM keeps them in registers."""
        with self.build.goto_entry_block():
            variables = [self.build.alloca(start.type) for start in starts]
        for variable, start in zip(variables, starts, strict=True):
            self.build.store(start, variable)
        return variables

    @contextlib.contextmanager
    def loop(self, stop: ir.Value, step: int = 1) -> Iterator[ir.Value]:
        """for index in range(0, stop, step)"""
        with cgutils.for_range_slice(self.build, number(0), stop, number(step), inc=True) as (index, _):
            yield index

    def across(self, value: ir.Value) -> ir.Value:
        """The sum of the lanes, in float64."""
        double = ir.VectorType(ir.DoubleType(), self.lanes)
        if self._bits != 64:
            value = self.build.fpext(value, double)
        kind = ir.FunctionType(double.element, [double.element, double])
        name = f"llvm.vector.reduce.fadd.v{self.lanes}f64"
        function = cgutils.get_or_insert_function(self.build.module, kind, name)
        return self.build.call(function, [ir.Constant(double.element, -0.0), value], fastmath=("reassoc",))

    def gathered(self, vectors: Sequence[ir.Value]) -> ir.Value:
        """One vector whose lane i is the sum of the lanes of vectors[i]; their number divides that of the lanes.

        In each step pairs of vectors become one: `low` takes every second run of `step` lanes of both, `high` the runs
        beside them, and their sum holds half as many terms in each lane. A single vector is added to itself.
        """
        build, lanes, vectors = self.build, self.lanes, list(vectors)
        for step in (1 << bit for bit in range(lanes.bit_length() - 1)):
            low = [lane if not lane & step else lanes + lane - step for lane in range(lanes)]
            high = [lane + step if not lane & step else lanes + lane for lane in range(lanes)]
            pairs = zip(vectors[::2], vectors[1::2] or vectors[:1], strict=True)
            vectors = [build.fadd(self.shuffle(a, b, low), self.shuffle(a, b, high)) for a, b in pairs]
        return vectors[0]

    def bytes(self, value: int) -> ir.Constant:
        """A byte for each lane."""
        return ir.Constant(ir.VectorType(_i8, self.lanes), [value] * self.lanes)

    def load_bytes(self, pointer: ir.Value, mask: ir.Value, other: int) -> ir.Value:
        """Load a byte for each lane that is on; the others are `other`."""
        typed = self.build.bitcast(pointer, ir.VectorType(_i8, self.lanes).as_pointer())
        args = [typed, ir.Constant(_i32, 1), mask, self.bytes(other)]
        return self._call(f"llvm.masked.load.v{self.lanes}i8.p0", args[-1].type, args)

    def store_bytes(self, value: ir.Value, pointer: ir.Value, mask: ir.Value) -> None:
        """Store the bytes of the lanes that are on."""
        typed = self.build.bitcast(pointer, value.type.as_pointer())
        self._call(f"llvm.masked.store.v{self.lanes}i8.p0", ir.VoidType(), [value, typed, ir.Constant(_i32, 1), mask])


def outlined(name: str, build: Callable[..., None]) -> Callable[..., Any]:
    """An intrinsic's code: a call to a function made by ``build(v, *args)``, once in each module for each dtype.

    The first array gives the dtype. Arrays arrive in `build` as pointers to their first element.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = pointers(context, builder, signature, args)
        function_of(builder.module, name, values, build)(builder, values)
        return context.get_dummy_value()

    return codegen


def pointers(context: Any, builder: Any, signature: Any, args: Any) -> list[ir.Value]:
    """The arguments, arrays as pointers to their first element."""
    return [
        context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
        for kind, value in zip(signature.args, args, strict=True)
    ]


def function_of(
    module: ir.Module, name: str, values: Sequence[ir.Value], build: Callable[..., None]
) -> Callable[[ir.IRBuilder, Sequence[ir.Value]], None]:
    """What calls the module's function of that name, which is made if it is not there yet.

    It is never inlined: LLVM would take as long again for each place that calls it.
    """
    element = next(value.type.pointee for value in values if value.type.is_pointer)
    full_name = f"tinycnn_{name}_{element}"
    function = module.globals.get(full_name)
    if function is None:
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [v.type for v in values]), full_name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        vectors = Vectors(function, element)
        build(vectors, *function.args)
        vectors.build.ret_void()
    return lambda builder, args: builder.call(function, args)


def of_floats(*arrays: Any) -> bool:
    """Whether these are the types of arrays of one dtype, float32 or float64."""
    first = arrays[0]
    return (
        isinstance(first, types.Array)
        and first.dtype in (types.float32, types.float64)
        and all(isinstance(a, types.Array) and a.dtype == first.dtype for a in arrays)
    )


_index, _bool = types.intp, types.boolean


# -- products -----------------------------------------------------------------------------------------------------


@intrinsic
def tile(
    typing: Any, a: Any, ai: Any, a_row: Any, a_col: Any, b: Any, bi: Any, b_row: Any, c: Any, ci: Any, c_row: Any,
    rows: Any, cols: Any, depth: Any, add: Any,
) -> Any:  # fmt: skip
    """c[r, j] = (c[r, j] if add else 0) + sum over k < depth of a[r, k] * b[k, j], for r < rows and j < cols.

    An element is found at

        a[ai + r * a_row + k * a_col]        b[bi + k * b_row + j]        c[ci + r * c_row + j]

    At most VECTORS vectors of columns and ROWS rows (2 * ROWS if one vector is enough), or one row of WIDE vectors. The
    sums stay in vector registers; each k costs a load for every vector of b, a scalar for every row of a, and their
    multiply-adds. Missing columns are masked; missing rows repeat the last row, whose own result is stored last.
    Nothing outside is read or written.
    """
    if not of_floats(a, b, c):
        return None
    sig = types.void(a, *[_index] * 3, b, *[_index] * 2, c, *[_index] * 5, _bool)
    return sig, outlined("tile", _build_tile)


def _build_tile(v: Vectors, *args: ir.Value) -> None:
    a, ai, a_row, a_col, b, bi, b_row, c, ci, c_row, rows, cols, depth, add = args
    _tiles(
        v, c, ci, c_row, rows, cols, depth, add,
        lambda v, r, i: v.at(a, ai, v.build.mul(r, a_row)),
        lambda v, pointer, k: v.at(pointer, v.build.mul(k, a_col)),
        lambda v, k: v.at(b, bi, v.build.mul(k, b_row)),
    )  # fmt: skip


@intrinsic
def tap_tile(
    typing: Any, a: Any, ai: Any, a_col: Any, b: Any, bi: Any, taps: Any, ti: Any, c: Any, ci: Any, c_row: Any,
    rows: Any, cols: Any, depth: Any, add: Any,
) -> Any:  # fmt: skip
    """As `tile`, a transposed and the rows of b wherever a table says: a[ai + r + k * a_col], b[bi + taps[ti + k] + j].

    Side by side, the scalars for one k need one pointer and one cache line. Those of missing rows are read as well, up
    to ROWS or 2 * ROWS.
    """
    if not of_floats(a, b, c):
        return None
    sig = types.void(a, *[_index] * 2, b, _index, taps, _index, c, *[_index] * 5, _bool)
    return sig, outlined("tap_tile", _build_tap_tile)


def _build_tap_tile(v: Vectors, *args: ir.Value) -> None:
    a, ai, a_col, b, bi, taps, ti, c, ci, c_row, rows, cols, depth, add = args
    table, build = v.at(taps, ti), v.build

    def b_of_k(v: Vectors, k: ir.Value) -> ir.Value:
        inside = build.select(build.icmp_signed("<", k, depth), k, number(0))  # it is asked for rows ahead
        return v.at(b, bi, build.load(v.at(table, inside)))

    _tiles(
        v, c, ci, c_row, rows, cols, depth, add,
        lambda v, r, i: v.at(a, ai, i),
        lambda v, pointer, k: v.at(pointer, build.mul(k, a_col)),
        b_of_k,
        aligned=False,
    )  # fmt: skip


@intrinsic
def tap_rows_tile(
    typing: Any, a: Any, ai: Any, taps: Any, ti: Any, b: Any, bi: Any, b_row: Any, c: Any, ci: Any, c_row: Any,
    rows: Any, cols: Any, depth: Any, add: Any,
) -> Any:  # fmt: skip
    """As `tile`, the rows of a wherever a table says: a[ai + taps[ti + r] + k], b[bi + k * b_row + j]."""
    if not of_floats(a, b, c):
        return None
    sig = types.void(a, _index, taps, _index, b, *[_index] * 2, c, *[_index] * 5, _bool)
    return sig, outlined("tap_rows_tile", _build_tap_rows_tile)


def _build_tap_rows_tile(v: Vectors, *args: ir.Value) -> None:
    a, ai, taps, ti, b, bi, b_row, c, ci, c_row, rows, cols, depth, add = args
    table = v.at(taps, ti)
    _tiles(
        v, c, ci, c_row, rows, cols, depth, add,
        lambda v, r, i: v.at(a, ai, v.build.load(v.at(table, r))),
        lambda v, pointer, k: v.at(pointer, k),
        lambda v, k: v.at(b, bi, v.build.mul(k, b_row)),
    )  # fmt: skip


def _tiles(
    v: Vectors, c: ir.Value, ci: ir.Value, c_row: ir.Value, rows: ir.Value, cols: ir.Value, depth: ir.Value,
    add: ir.Value, a_of_row: Callable[..., ir.Value], a_of_k: Callable[..., ir.Value], b_of_k: Callable[..., ir.Value],
    aligned: bool = True,
) -> None:  # fmt: skip
    """The tile of the right size: as few vectors as hold the columns, and half the rows if they are enough.

    Args:
        a_of_row: ``(v, r, i)``: where row r of a begins; i is the same number, known when compiling, but not stopped
            at the last row.
        a_of_k: ``(v, pointer, k)``: from there to its element k.
        b_of_k: ``(v, k)``: where row k of b begins.
        aligned: see `_one_tile`.
    """
    rest = (c, ci, c_row, rows, cols, depth, add, a_of_row, a_of_k, b_of_k, aligned)
    with v.build.if_then(v.build.icmp_signed(">", cols, number(VECTORS * v.lanes))):
        _one_tile(v, 1, WIDE, *rest)
        v.build.ret_void()
    for vectors in range(1, VECTORS + 1):
        fits = v.build.icmp_signed("<=", cols, number(vectors * v.lanes))
        here = fits if vectors < VECTORS else ir.Constant(_i1, 1)
        with v.build.if_then(here):
            half = _MOST[vectors] // 2
            few = v.build.icmp_signed("<=", rows, number(half))
            with v.build.if_else(few) as (then, otherwise):
                with then:
                    _one_tile(v, half, vectors, *rest)
                with otherwise:
                    _one_tile(v, _MOST[vectors], vectors, *rest)
            v.build.ret_void()


def _repeating_last(v: Vectors, most: int, count: ir.Value) -> list[ir.Value]:
    """The numbers 0, 1, ... of `most` rows; those from `count` on are that of the last row."""
    build, last = v.build, v.build.sub(count, number(1))
    return [build.select(build.icmp_signed("<", number(i), count), number(i), last) for i in range(most)]


def _one_tile(
    v: Vectors, most: int, vectors: int, c: ir.Value, ci: ir.Value, c_row: ir.Value, rows: ir.Value, cols: ir.Value,
    depth: ir.Value, add: ir.Value, a_of_row: Callable[..., ir.Value], a_of_k: Callable[..., ir.Value],
    b_of_k: Callable[..., ir.Value], aligned: bool,
) -> None:  # fmt: skip
    """`most` rows of `vectors` vectors of sums. Loop nest, all but the first loop written out:

        for k: load the vectors of row k of b; for row r: spread a[r, k] over a vector; for vector i: sums[r, i] += ...

    What was in c is added last, and asked for first. Rows are stored from the last to the first: those that are
    missing stand for the last row with its own sums, so that whoever writes last writes what is right.

    Rows of b may lie in the second cache, so the one of AHEAD steps later is asked for (of twice as many, of a tile of
    one row). The line of each vector's last number is that of an unaligned row too, but for the first line, which the
    columns to the left bring in, or which is asked for as well (not `aligned`). The last of several vectors ends with
    the last column, over columns of the one before, as a load under a mask takes the turn of a multiply-add; not where
    a table of rows leaves no room for another instruction (not `aligned`).
    """
    build = v.build
    whole = aligned and 1 < vectors <= VECTORS
    masks = [None if whole else v.below(cols, i * v.lanes) for i in range(vectors)]
    starts = [number(i * v.lanes) for i in range(vectors)]
    if whole:
        starts[-1] = build.sub(cols, number(v.lanes))
    row = _repeating_last(v, most, rows)
    a_rows = [a_of_row(v, r, i) for i, r in enumerate(row)]
    c_rows = [v.at(c, ci, build.mul(r, c_row)) for r in row]
    places = [(r, i) for r in range(most) for i in range(vectors)]

    sums = v.sums([v.constant(0)] * len(places))
    with build.if_then(add):
        for r, i in places:
            v.prefetch(v.at(c_rows[r], starts[i]))
    with v.loop(depth) as k:
        b_k = b_of_k(v, k)
        right = [v.load(v.at(b_k, start), mask) for start, mask in zip(starts, masks, strict=True)]
        if most > 1 or aligned:
            later = b_of_k(v, build.add(k, number(AHEAD if most > 1 else 2 * AHEAD)))
            for start in starts:
                v.prefetch(v.at(later, start, v.lanes - 1))
            if not aligned:
                v.prefetch(later)
        left = [v.splat(build.load(a_of_k(v, pointer, k))) for pointer in a_rows]
        for (r, i), total in zip(places, sums, strict=True):
            build.store(v.fma(left[r], right[i], build.load(total)), total)
    with build.if_then(add):
        for (r, i), total in zip(places, sums, strict=True):
            build.store(build.fadd(build.load(total), v.load(v.at(c_rows[r], starts[i]), masks[i])), total)
    for (r, i), total in reversed(list(zip(places, sums, strict=True))):
        v.store(build.load(total), v.at(c_rows[r], starts[i]), masks[i])


@intrinsic
def tap_dots(
    typing: Any, a: Any, ai: Any, a_row: Any, b: Any, bi: Any, taps: Any, ti: Any, c: Any, ci: Any, c_row: Any,
    rows: Any, cols: Any, depth: Any, add: Any,
) -> Any:  # fmt: skip
    """Lane l of the vector at c[ci + r * c_row + s * lanes] = (what it was if add) + sum over p = l, l + lanes, ... of

        a[ai + r * a_row + p] * b[bi + taps[ti + s] + p]        for p < depth, r < rows and s < cols.

    Dot products whose lanes are not added up, so that many short ones can follow each other. At most DOTS rows and
    DOTS columns, or one row and 3 * DOTS columns.
    """
    if not of_floats(a, b, c):
        return None
    sig = types.void(a, *[_index] * 2, b, _index, taps, _index, c, *[_index] * 5, _bool)
    return sig, outlined("tap_dots", _build_tap_dots)


def _build_tap_dots(v: Vectors, *args: ir.Value) -> None:
    rows = args[10]
    single = v.build.icmp_signed("==", rows, number(1))
    with v.build.if_else(single) as (one, several):
        with one:
            _one_tap_dots(v, 1, 3 * DOTS, *args)
        with several:
            _one_tap_dots(v, DOTS, DOTS, *args)


def _one_tap_dots(v: Vectors, most_rows: int, most_cols: int, *args: ir.Value) -> None:
    """for p, a vector at a time: load one of each row and of each column, and multiply all pairs"""
    a, ai, a_row, b, bi, taps, ti, c, ci, c_row, rows, cols, depth, add = args
    build = v.build
    row, col = _repeating_last(v, most_rows, rows), _repeating_last(v, most_cols, cols)
    a_rows = [v.at(a, ai, build.mul(r, a_row)) for r in row]
    b_rows = [v.at(b, bi, build.load(v.at(taps, ti, s))) for s in col]
    places = [(r, s) for r in range(most_rows) for s in range(most_cols)]
    targets = [v.at(c, ci, build.mul(row[r], c_row), build.mul(col[s], number(v.lanes))) for r, s in places]
    sums = v.sums([v.constant(0)] * len(places))
    with build.if_then(add):
        for total, target in zip(sums, targets, strict=True):
            build.store(v.load(target), total)
    with v.loop(depth, v.lanes) as p:
        mask = v.below(build.sub(depth, p))
        left = [v.load(v.at(pointer, p), mask) for pointer in a_rows]
        right = [v.load(v.at(pointer, p), mask) for pointer in b_rows]
        for (r, s), total in zip(places, sums, strict=True):
            build.store(v.fma(left[r], right[s], build.load(total)), total)
    for total, target in reversed(list(zip(sums, targets, strict=True))):
        v.store(build.load(total), target)


@intrinsic
def filter_tile(
    typing: Any, x: Any, xi: Any, step: Any, taps: Any, w: Any, wi: Any, beside: Any, b: Any, bi: Any, add: Any,
    c: Any, ci: Any, c_row: Any, rows: Any, cols: Any, depth: Any,
) -> Any:  # fmt: skip
    """c[ci + r * c_row + j] = (b[bi + r] if add else 0) + sum over k < depth of

        w[wi + r // lanes * beside + r % lanes + k * 2 * ROWS] * x[xi + taps[k] + j * step]

    for r < rows, at most two vectors, and j < cols, one of POSITIONS. The step is 1 or 2. A register holds the sums of
    a position for a vector of rows; each k costs a load for every vector, and a scalar for every position. Weights of
    missing rows are read as well.
    """
    if not of_floats(x, w, b, c):
        return None
    sig = types.void(x, *[_index] * 2, taps, w, *[_index] * 2, b, _index, _bool, c, *[_index] * 5)
    return sig, outlined("filter_tile", _build_filter_tile)


def _build_filter_tile(v: Vectors, *args: ir.Value) -> None:
    build, step, rows, cols = v.build, args[2], args[13], args[14]
    for vectors, positions in POSITIONS.items():
        fits = build.icmp_signed("<=", rows, number(v.lanes)) if vectors == 1 else ir.Constant(_i1, 1)
        with build.if_then(fits):
            for apart, count in itertools.product((1, 2), positions):
                same = build.and_(
                    build.icmp_signed("==", step, number(apart)), build.icmp_signed("==", cols, number(count))
                )
                with build.if_then(same):
                    _one_filter_tile(v, count, vectors, apart, *args)
                    build.ret_void()


def _one_filter_tile(v: Vectors, count: int, vectors: int, apart: int, *args: ir.Value) -> None:
    x, xi, _, taps, w, wi, beside, b, bi, add, c, ci, c_row, rows, _, depth = args
    build, lanes = v.build, v.lanes
    seen, panels = v.at(x, xi), [v.at(w, wi, build.mul(beside, number(i))) for i in range(vectors)]
    given = build.select(add, rows, number(0))
    starts = [v.load(v.at(b, bi, number(i * lanes)), v.below(given, i * lanes)) for i in range(vectors)]
    sums = v.sums(starts * count)
    with v.loop(depth) as k:
        element = v.at(seen, build.load(v.at(taps, k)))
        here = [v.at(panel, build.mul(k, number(2 * ROWS))) for panel in panels]
        for panel in here:
            v.prefetch(v.at(panel, 2 * AHEAD * 2 * ROWS))
        weights = [v.load(panel) for panel in here]
        for j in range(count):  # a scalar after the other: there is no register for all of them
            left = v.splat(build.load(v.at(element, j * apart)))
            for weight, total in zip(weights, sums[j * vectors :], strict=False):
                build.store(v.fma(left, weight, build.load(total)), total)
    for i, j in itertools.product(range(vectors), range(0, count, lanes)):
        block = [build.load(total) for total in sums[i + j * vectors : (j + lanes) * vectors : vectors]]
        mask = v.below(number(len(block)))
        block += [v.constant(0)] * (lanes - len(block))
        for r, value in enumerate(transposed(v, block), i * lanes):
            with build.if_then(build.icmp_signed("<", number(r), rows)):
                v.store(value, v.at(c, ci, build.mul(number(r), c_row), j), mask)


# -- moves --------------------------------------------------------------------------------------------------------


@intrinsic
def copy_rows(
    typing: Any, x: Any, i: Any, x_row: Any, step: Any, first: Any, last: Any, out: Any, o: Any, o_row: Any, n: Any,
    rows: Any,
) -> Any:  # fmt: skip
    """out[o + r*o_row + j] = x[i + r*x_row + j*step] where first <= j < last, else 0, for r < rows and j < n.

    The step is 1 or 2. What lies outside in x is not read.
    """
    if not of_floats(x, out):
        return None
    sig = types.void(x, *[_index] * 5, out, *[_index] * 4)
    return sig, outlined("copy_rows", _build_copy_rows)


def _build_copy_rows(v: Vectors, *args: ir.Value) -> None:
    x, i, x_row, step, first, last, out, o, o_row, n, rows = args
    build, lanes = v.build, v.lanes
    single = build.icmp_signed("==", step, number(1))
    with v.loop(n, lanes) as j:
        left, there, wanted = (build.sub(bound, j) for bound in (first, last, n))
        inside = v.below(wanted)
        with build.if_else(single) as (one, two):
            with one:
                mask = build.and_(build.not_(v.below(left)), v.below(there))
                with v.loop(rows) as r:
                    source = v.at(x, i, build.mul(r, x_row), j)
                    v.store(v.load(source, mask), v.at(out, o, build.mul(r, o_row), j), inside)
            with two:
                # every second element of two vectors: the other lanes are off, so that nothing outside is read
                even = ir.Constant(ir.VectorType(_i1, lanes), [1 - lane % 2 for lane in range(lanes)])
                halves = []
                for half in range(2):
                    begin, end = (build.sub(build.mul(b, number(2)), number(half * lanes)) for b in (left, there))
                    halves.append(build.and_(even, build.and_(build.not_(v.below(begin)), v.below(end))))
                with v.loop(rows) as r:
                    source = v.at(x, i, build.mul(r, x_row), build.mul(j, number(2)))
                    pair = [v.load(v.at(source, half * lanes), halves[half]) for half in range(2)]
                    value = v.shuffle(pair[0], pair[1], range(0, 2 * lanes, 2))
                    v.store(value, v.at(out, o, build.mul(r, o_row), j), inside)


@intrinsic
def weave(
    typing: Any, x: Any, i: Any, x_row: Any, apart: Any, out: Any, o: Any, o_row: Any, n: Any, rows: Any
) -> Any:  # fmt: skip
    """out[o + r*o_row + j] = x[i + r*x_row + j // 2 + (apart if j is odd else 0)] for r < rows and j < n."""
    if not of_floats(x, out):
        return None
    sig = types.void(x, *[_index] * 3, out, *[_index] * 4)
    return sig, outlined("weave", _build_weave)


def _build_weave(v: Vectors, *args: ir.Value) -> None:
    x, i, x_row, apart, out, o, o_row, n, rows = args
    build, lanes = v.build, v.lanes
    with v.loop(n, 2 * lanes) as j:
        left = build.sub(n, j)
        half = build.ashr(j, number(1))
        even, odd = (v.below(build.ashr(build.add(left, number(more)), number(1))) for more in (1, 0))
        written = [v.below(left, part * lanes) for part in range(2)]
        with v.loop(rows) as r:
            source = v.at(x, i, build.mul(r, x_row), half)
            first, second = v.load(source, even), v.load(v.at(source, apart), odd)
            for part in range(2):
                lane = [part * lanes // 2 + k // 2 + (lanes if k % 2 else 0) for k in range(lanes)]
                target = v.at(out, o, build.mul(r, o_row), j, part * lanes)
                v.store(v.shuffle(first, second, lane), target, written[part])


@intrinsic
def turn(
    typing: Any, x: Any, i: Any, x_row: Any, rows: Any, cols: Any, out: Any, o: Any, o_row: Any
) -> Any:  # fmt: skip
    """out[o + p*o_row + r] = x[i + r*x_row + p] for p < cols and r < lanes of a vector; 0 for r >= rows.

    A block of at most lanes x lanes, transposed in registers.
    """
    if not of_floats(x, out):
        return None
    sig = types.void(x, *[_index] * 4, out, *[_index] * 2)
    return sig, outlined("turn", _build_turn)


@intrinsic
def turn_inside(
    typing: Any, x: Any, i: Any, x_row: Any, rows: Any, cols: Any, out: Any, o: Any, o_row: Any
) -> Any:  # fmt: skip
    """As `turn`, but nothing is written for r >= rows."""
    if not of_floats(x, out):
        return None
    sig = types.void(x, *[_index] * 4, out, *[_index] * 2)
    return sig, outlined("turn_inside", functools.partial(_build_turn, inside=True))


def _build_turn(v: Vectors, *args: ir.Value, inside: bool = False) -> None:
    x, i, x_row, rows, cols, out, o, o_row = args
    build, half = v.build, v.lanes // 2
    rest = build.icmp_signed("<", build.select(build.icmp_signed("<", rows, cols), rows, cols), number(v.lanes))
    with build.if_then(build.not_(rest)):  # a whole block: the halves of the rows change places while they are loaded
        starts = [v.at(x, i, build.mul(number(r), x_row)) for r in range(v.lanes)]
        whole = []
        for column in (0, half):
            for r in range(half):
                upper, lower = (v.load(v.at(starts[n], column), count=half) for n in (r, r + half))
                whole.append(v.shuffle(upper, lower, range(v.lanes)))
        for p, value in enumerate(transposed(v, whole, half)):
            v.store(value, v.at(out, o, build.mul(number(p), o_row)))
        build.ret_void()
    wide, high = v.below(cols), v.below(rows) if inside else None
    none = ir.Constant(wide.type, [0] * v.lanes)
    block = []
    for r in range(v.lanes):
        mask = build.select(build.icmp_signed("<", number(r), rows), wide, none)
        block.append(v.load(v.at(x, i, build.mul(number(r), x_row)), mask))
    for p, column in enumerate(transposed(v, block)):
        with build.if_then(build.icmp_signed("<", number(p), cols)):
            v.store(column, v.at(out, o, build.mul(number(p), o_row)), high)


@intrinsic
def ask(typing: Any, x: Any, i: Any, step: Any, write: Any) -> Any:
    """Ask for the cache lines of x[i + r*step], r < lanes of a vector; what is not in x does no harm.

    For a `turn` that comes next: rows that lie far apart are no stream that the processor would guess.
    """
    if not of_floats(x):
        return None
    return types.void(x, *[_index] * 2, _bool), outlined("ask", _build_ask)


def _build_ask(v: Vectors, *args: ir.Value) -> None:
    x, i, step, write = args
    with v.build.if_else(write) as branches:
        for purpose, branch in zip((True, False), branches, strict=True):
            with branch:
                for r in range(v.lanes):
                    v.prefetch(v.at(x, i, v.build.mul(number(r), step)), purpose)


def transposed(v: Vectors, block: Sequence[ir.Value], stop: int = 0) -> list[ir.Value]:
    """lanes vectors of a square block, transposed: squares of 1, 2, 4, ... lanes change places across the diagonal.

    Squares of `stop` lanes and more have done so before.
    """
    block, lanes, size = list(block), v.lanes, 1
    while size < (stop or lanes):
        for i in range(lanes):
            if not i & size:
                a, b = block[i], block[i + size]
                low = [lane if not lane & size else lanes + lane - size for lane in range(lanes)]
                high = [lane + size if not lane & size else lanes + lane for lane in range(lanes)]
                block[i], block[i + size] = v.shuffle(a, b, low), v.shuffle(a, b, high)
        size *= 2
    return block
