"""The one piece of vector code: a register tile, which every product of matrices here is made of.

Numba's loops over arrays are vectorised by LLVM, but it does not keep a block of sums in registers. `tile` says so
explicitly, in LLVM's own terms (vectors, fused multiply-add, masked loads and stores), for any processor.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

ROWS = 6  # of a tile
VECTORS = 2  # of a tile's width
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

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [
            context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, args, strict=True)
        ]
        values[-1] = builder.trunc(values[-1], _i1) if values[-1].type.width > 1 else values[-1]
        double = a.dtype == types.float64
        function = _tile_function(builder.module, [v.type for v in values], double)
        builder.call(function, values)
        return context.get_dummy_value()

    return sig, codegen


def _tile_function(module: ir.Module, arguments: list[ir.Type], double: bool) -> ir.Function:
    """The tile as a function of its own, so that it is compiled once however often it is called."""
    name = f"tinycnn_tile_{'f64' if double else 'f32'}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    a, ai, a_row, a_col, b_, bi, b_row, c, ci, c_row, rows, cols, depth, add = function.args
    lanes = VECTOR_BYTES // (8 if double else 4)
    vector = ir.VectorType(ir.DoubleType() if double else ir.FloatType(), lanes)
    suffix = f"v{lanes}f{64 if double else 32}"
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
    return function
