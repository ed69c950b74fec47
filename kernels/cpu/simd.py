"""The vector code: two register tiles, which every product of matrices here is made of, and moves of planes.

Numba's loops over arrays are vectorised by LLVM, but it keeps no block of sums in registers and spends long on rows of
ten elements. These say what is meant in LLVM's own terms (vectors, fused multiply-add, masked loads and stores), for
any processor. Each is a function of its own in the module of the kernel that uses it, compiled once however often it
is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

ROWS = 6  # of a tile
VECTORS = 2  # of a tile's width
DOTS = 4  # rows and columns of a tile of dot products
_features = llvm.get_host_cpu_features()
VECTOR_BYTES = 64 if _features.get("avx512f") else 32 if _features.get("avx2") else 16
COLUMNS32 = VECTORS * VECTOR_BYTES // 4
COLUMNS64 = VECTORS * VECTOR_BYTES // 8

_i1, _i32, _i64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)


def _int(n: int) -> ir.Constant:
    return ir.Constant(_i64, n)


def _splat(b: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """A vector with `value` in every lane."""
    vector = ir.VectorType(value.type, lanes)
    empty = ir.Constant(vector, ir.Undefined)
    one = b.insert_element(empty, value, ir.Constant(_i32, 0))
    return b.shuffle_vector(one, empty, ir.Constant(ir.VectorType(_i32, lanes), [0] * lanes))


def _lanes_below(b: ir.IRBuilder, count: ir.Value, first: int, lanes: int) -> ir.Value:
    """A mask: lane i is on where first + i < count."""
    numbers = ir.Constant(ir.VectorType(_i64, lanes), list(range(first, first + lanes)))
    return b.icmp_signed("<", numbers, _splat(b, count, lanes))


def _call(b: ir.IRBuilder, name: str, result: ir.Type, args: list[ir.Value]) -> ir.Value:
    """Call an LLVM intrinsic."""
    kind = ir.FunctionType(result, [a.type for a in args])
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), args)


def _masked_load(b: ir.IRBuilder, vector: ir.VectorType, pointer: ir.Value, mask: ir.Value, suffix: str) -> ir.Value:
    """Load the lanes that are on; the others are 0 and their memory is not touched."""
    typed = b.bitcast(pointer, vector.as_pointer())
    zero = ir.Constant(vector, [0.0] * vector.count)
    align = ir.Constant(_i32, 8 if isinstance(vector.element, ir.DoubleType) else 4)
    return _call(b, f"llvm.masked.load.{suffix}.p0", vector, [typed, align, mask, zero])


def _masked_store(b: ir.IRBuilder, value: ir.Value, pointer: ir.Value, mask: ir.Value, suffix: str) -> None:
    """Store the lanes that are on."""
    typed = b.bitcast(pointer, value.type.as_pointer())
    align = ir.Constant(_i32, 8 if isinstance(value.type.element, ir.DoubleType) else 4)
    _call(b, f"llvm.masked.store.{suffix}.p0", ir.VoidType(), [value, typed, align, mask])


def _suffix(element: ir.Type, lanes: int) -> str:
    """How LLVM names the vector type in its intrinsics."""
    return f"v{lanes}f{64 if isinstance(element, ir.DoubleType) else 32}"


def _outlined(name: str, build: Callable[[ir.Function, ir.Type, int], None]) -> Callable[..., Any]:
    """An intrinsic's code: a call to a function made by `build`, once in each module for each dtype."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [
            context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, args, strict=True)
        ]
        element = values[0].type.pointee
        full_name = f"tinycnn_{name}_{element}"
        function = builder.module.globals.get(full_name)
        if function is None:
            kind = ir.FunctionType(ir.VoidType(), [v.type for v in values])
            function = ir.Function(builder.module, kind, full_name)
            function.linkage = "internal"
            function.attributes.add("noinline")
            build(function, element, VECTOR_BYTES // (8 if isinstance(element, ir.DoubleType) else 4))
        builder.call(function, values)
        return context.get_dummy_value()

    return codegen


@intrinsic
def tile(
    typing: Any, a: Any, ai: Any, a_row: Any, a_col: Any, b: Any, bi: Any, b_row: Any, c: Any, ci: Any, c_row: Any,
    rows: Any, cols: Any, depth: Any, add: Any,
) -> Any:  # fmt: skip
    """c[r, j] = (c[r, j] if add else 0) + sum over k < depth of a[r, k] * b[k, j], for r < rows and j < cols.

    All arrays are 1-D and contiguous; an element is found at

        a[ai + r * a_row + k * a_col]        b[bi + k * b_row + j]        c[ci + r * c_row + j]

    At most ROWS rows and COLUMNS32 (COLUMNS64 for float64) columns. The sums stay in ROWS * VECTORS vector registers;
    each k costs VECTORS loads of b, ROWS scalars of a, and ROWS * VECTORS multiply-adds. Missing columns are masked;
    missing rows repeat the last row, whose own result is stored last. Nothing outside is read or written.
    """
    if not (isinstance(a, types.Array) and a.dtype in (types.float32, types.float64) and a.dtype == b.dtype == c.dtype):
        return None
    index = types.intp
    sig = types.void(a, index, index, index, b, index, index, c, index, index, index, index, index, types.boolean)

    return sig, _outlined("tile", _build_tile)


def _build_tile(function: ir.Function, element: ir.Type, lanes: int) -> None:
    a, ai, a_row, a_col, b_, bi, b_row, c, ci, c_row, rows, cols, depth, add = function.args
    vector, suffix = ir.VectorType(element, lanes), _suffix(element, lanes)
    zero = ir.Constant(vector, [0.0] * lanes)

    b = ir.IRBuilder(function.append_basic_block("entry"))
    masks = [_lanes_below(b, cols, v * lanes, lanes) for v in range(VECTORS)]
    last_row = b.sub(rows, _int(1))
    row = [b.select(b.icmp_signed("<", _int(r), rows), _int(r), last_row) for r in range(ROWS)]
    a_rows = [b.gep(a, [b.add(ai, b.mul(r, a_row))]) for r in row]
    c_rows = [b.gep(c, [b.add(ci, b.mul(r, c_row))]) for r in row]
    b_start = b.gep(b_, [bi])
    places = [(r, v) for r in range(ROWS) for v in range(VECTORS)]

    entry = b.block
    load, loop_head = b.append_basic_block("load"), b.append_basic_block("head")
    loop, done = b.append_basic_block("k"), b.append_basic_block("done")
    b.cbranch(add, load, loop_head)

    b.position_at_end(load)
    loaded = [_masked_load(b, vector, b.gep(c_rows[r], [_int(v * lanes)]), masks[v], suffix) for r, v in places]
    b.branch(loop_head)

    b.position_at_end(loop_head)
    starts = []
    for value in loaded:
        phi = b.phi(vector)
        phi.add_incoming(zero, entry)
        phi.add_incoming(value, load)
        starts.append(phi)
    b.cbranch(b.icmp_signed(">", depth, _int(0)), loop, done)

    b.position_at_end(loop)
    k = b.phi(_i64)
    k.add_incoming(_int(0), loop_head)
    sums = []
    for start in starts:
        phi = b.phi(vector)
        phi.add_incoming(start, loop_head)
        sums.append(phi)
    b_k = b.gep(b_start, [b.mul(k, b_row)])
    a_k = b.mul(k, a_col)
    right = [_masked_load(b, vector, b.gep(b_k, [_int(v * lanes)]), masks[v], suffix) for v in range(VECTORS)]
    left = [_splat(b, b.load(b.gep(pointer, [a_k])), lanes) for pointer in a_rows]
    fused = [
        _call(b, f"llvm.fma.{suffix}", vector, [left[r], right[v], total])
        for (r, v), total in zip(places, sums, strict=True)
    ]
    following = b.add(k, _int(1))
    k.add_incoming(following, loop)
    for phi, value in zip(sums, fused, strict=True):
        phi.add_incoming(value, loop)
    b.cbranch(b.icmp_signed("<", following, depth), loop, done)

    b.position_at_end(done)
    results = []
    for start, value in zip(starts, fused, strict=True):
        phi = b.phi(vector)
        phi.add_incoming(start, loop_head)
        phi.add_incoming(value, loop)
        results.append(phi)
    for (r, v), value in reversed(list(zip(places, results, strict=True))):
        _masked_store(b, value, b.gep(c_rows[r], [_int(v * lanes)]), masks[v], suffix)
    b.ret_void()


@intrinsic
def dot_tile(
    typing: Any, a: Any, ai: Any, a_row: Any, b: Any, bi: Any, b_row: Any, c: Any, ci: Any, c_row: Any,
    rows: Any, cols: Any, depth: Any, add: Any,
) -> Any:  # fmt: skip
    """c[r, s] = (c[r, s] if add else 0) + sum over p < depth of a[r, p] * b[s, p], for r < rows and s < cols.

    Both operands are read along their rows; addresses are as in `tile`, with a_col = 1. At most DOTS rows and columns.
    The sums run in DOTS * DOTS vector registers over p, and are added up across their lanes at the end.
    """
    if not (isinstance(a, types.Array) and a.dtype in (types.float32, types.float64) and a.dtype == b.dtype == c.dtype):
        return None
    index = types.intp
    sig = types.void(a, index, index, b, index, index, c, index, index, index, index, index, types.boolean)
    return sig, _outlined("dot_tile", _build_dot_tile)


def _build_dot_tile(function: ir.Function, element: ir.Type, lanes: int) -> None:
    a, ai, a_row, b_, bi, b_row, c, ci, c_row, rows, cols, depth, add = function.args
    vector, suffix = ir.VectorType(element, lanes), _suffix(element, lanes)
    zero = ir.Constant(vector, [0.0] * lanes)

    b = ir.IRBuilder(function.append_basic_block("entry"))

    def pointers(base: ir.Value, start: ir.Value, step: ir.Value, count: ir.Value) -> list[ir.Value]:
        last = b.sub(count, _int(1))
        number = [b.select(b.icmp_signed("<", _int(r), count), _int(r), last) for r in range(DOTS)]
        return [b.gep(base, [b.add(start, b.mul(r, step))]) for r in number]

    a_rows, b_rows = pointers(a, ai, a_row, rows), pointers(b_, bi, b_row, cols)
    c_rows = pointers(c, ci, c_row, rows)
    last_col = b.sub(cols, _int(1))
    col = [b.select(b.icmp_signed("<", _int(s), cols), _int(s), last_col) for s in range(DOTS)]
    places = [(r, s) for r in range(DOTS) for s in range(DOTS)]

    entry = b.block
    loop, done = b.append_basic_block("p"), b.append_basic_block("done")
    b.cbranch(b.icmp_signed(">", depth, _int(0)), loop, done)

    b.position_at_end(loop)
    p = b.phi(_i64)
    p.add_incoming(_int(0), entry)
    sums = [b.phi(vector) for _ in places]
    mask = _lanes_below(b, b.sub(depth, p), 0, lanes)
    left = [_masked_load(b, vector, b.gep(row, [p]), mask, suffix) for row in a_rows]
    right = [_masked_load(b, vector, b.gep(row, [p]), mask, suffix) for row in b_rows]
    fused = [
        _call(b, f"llvm.fma.{suffix}", vector, [left[r], right[s], total])
        for (r, s), total in zip(places, sums, strict=True)
    ]
    following = b.add(p, _int(lanes))
    p.add_incoming(following, loop)
    for phi, value in zip(sums, fused, strict=True):
        phi.add_incoming(zero, entry)
        phi.add_incoming(value, loop)
    b.cbranch(b.icmp_signed("<", following, depth), loop, done)

    b.position_at_end(done)
    totals = []
    for value in fused:
        phi = b.phi(vector)
        phi.add_incoming(zero, entry)
        phi.add_incoming(value, loop)
        totals.append(phi)
    befores = [b.load(b.gep(c_rows[r], [col[s]])) for r, s in places]  # all before the first store
    for (r, s), total, before in reversed(list(zip(places, totals, befores, strict=True))):
        kind = ir.FunctionType(element, [element, vector])
        reduce = cgutils.get_or_insert_function(b.module, kind, f"llvm.vector.reduce.fadd.{suffix}")
        across = b.call(reduce, [ir.Constant(element, -0.0), total], fastmath=("reassoc",))
        start = b.select(add, before, ir.Constant(element, 0.0))
        b.store(b.fadd(start, across), b.gep(c_rows[r], [col[s]]))
    b.ret_void()


@intrinsic
def copy_plane(
    typing: Any, x: Any, i: Any, x_step: Any, first: Any, last: Any, out: Any, o: Any, o_step: Any, n: Any, rows: Any
) -> Any:
    """out[o + r*o_step + j] = x[i + r*x_step + j] where first <= j < last, else 0, for r < rows and j < n.

    What lies outside in x is not read.
    """
    if not (isinstance(x, types.Array) and x.dtype in (types.float32, types.float64) and x.dtype == out.dtype):
        return None
    index = types.intp
    sig = types.void(x, index, index, index, index, out, index, index, index, index)
    return sig, _outlined("copy_plane", _build_copy_plane)


def _build_copy_plane(function: ir.Function, element: ir.Type, lanes: int) -> None:
    x, i, x_step, first, last, out, o, o_step, n, rows = function.args
    vector, suffix = ir.VectorType(element, lanes), _suffix(element, lanes)

    def masks(b: ir.IRBuilder, j: ir.Value) -> tuple[ir.Value, ir.Value]:
        begun = b.not_(_lanes_below(b, b.sub(first, j), 0, lanes))
        return b.and_(begun, _lanes_below(b, b.sub(last, j), 0, lanes)), _lanes_below(b, b.sub(n, j), 0, lanes)

    def move(b: ir.IRBuilder, source: ir.Value, target: ir.Value, mask: tuple[ir.Value, ir.Value]) -> None:
        _masked_store(b, _masked_load(b, vector, source, mask[0], suffix), target, mask[1], suffix)

    _build_plane(function, lanes, (x, i, x_step), (out, o, o_step), n, rows, masks, move)


@intrinsic
def add_plane(typing: Any, x: Any, i: Any, x_step: Any, out: Any, o: Any, o_step: Any, n: Any, rows: Any) -> Any:
    """out[o + r*o_step + j] += x[i + r*x_step + j], for r < rows and j < n."""
    if not (isinstance(x, types.Array) and x.dtype in (types.float32, types.float64) and x.dtype == out.dtype):
        return None
    index = types.intp
    return types.void(x, index, index, out, index, index, index, index), _outlined("add_plane", _build_add_plane)


def _build_add_plane(function: ir.Function, element: ir.Type, lanes: int) -> None:
    x, i, x_step, out, o, o_step, n, rows = function.args
    vector, suffix = ir.VectorType(element, lanes), _suffix(element, lanes)

    def masks(b: ir.IRBuilder, j: ir.Value) -> ir.Value:
        return _lanes_below(b, b.sub(n, j), 0, lanes)

    def move(b: ir.IRBuilder, source: ir.Value, target: ir.Value, mask: ir.Value) -> None:
        there = _masked_load(b, vector, target, mask, suffix)
        total = b.fadd(there, _masked_load(b, vector, source, mask, suffix))
        _masked_store(b, total, target, mask, suffix)

    _build_plane(function, lanes, (x, i, x_step), (out, o, o_step), n, rows, masks, move)


def _build_plane(
    function: ir.Function,
    lanes: int,
    source: tuple[ir.Value, ...],
    target: tuple[ir.Value, ...],
    n: ir.Value,
    rows: ir.Value,
    masks: Callable[..., Any],
    move: Callable[..., None],
) -> None:
    """for j in steps of a vector below n: make the masks; for r < rows: move one vector."""
    b = ir.IRBuilder(function.append_basic_block("entry"))
    from_, to = b.gep(source[0], [source[1]]), b.gep(target[0], [target[1]])
    entry = b.block
    columns, row = b.append_basic_block("j"), b.append_basic_block("r")
    next_columns, done = b.append_basic_block("next"), b.append_basic_block("done")
    b.cbranch(b.and_(b.icmp_signed(">", n, _int(0)), b.icmp_signed(">", rows, _int(0))), columns, done)

    b.position_at_end(columns)
    j = b.phi(_i64)
    j.add_incoming(_int(0), entry)
    mask = masks(b, j)
    b.branch(row)

    b.position_at_end(row)
    r = b.phi(_i64)
    r.add_incoming(_int(0), columns)
    move(b, b.gep(from_, [b.add(j, b.mul(r, source[2]))]), b.gep(to, [b.add(j, b.mul(r, target[2]))]), mask)
    next_r = b.add(r, _int(1))
    r.add_incoming(next_r, row)
    b.cbranch(b.icmp_signed("<", next_r, rows), row, next_columns)

    b.position_at_end(next_columns)
    next_j = b.add(j, _int(lanes))
    j.add_incoming(next_j, next_columns)
    b.cbranch(b.icmp_signed("<", next_j, n), columns, done)
    b.position_at_end(done)
    b.ret_void()
