"""What this machine can do at best, measured: multiply-adds in registers, and copies of large arrays."""

from __future__ import annotations

import time
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

CHAINS = 12  # independent sums: enough to hide the latency of two multiply-add units
LANES = 16 if llvm.get_host_cpu_features().get("avx512f") else 8


@intrinsic  # type: ignore[misc]
def multiply_adds(typing_context: Any, rounds: Any) -> Any:
    """CHAINS vectors, each multiplied and added to in every round, that never leave the registers; returns a sum."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), LANES)
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{LANES}f32"
        )
        factor, term = (ir.Constant(vector, [value] * LANES) for value in (0.5, 0.25))
        sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, [float(i)] * LANES)) for i in range(CHAINS)]
        with cgutils.for_range(builder, args[0]):
            for s in sums:
                builder.store(builder.call(fma, [builder.load(s), factor, term]), s)
        total = builder.load(sums[0])
        for s in sums[1:]:
            total = builder.fadd(total, builder.load(s))
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.float32(types.int64), codegen


@numba.njit(parallel=True)
def _compute(workers, rounds, out):
    for w in numba.prange(workers):
        out[w] = multiply_adds(rounds)


@numba.njit(parallel=True)
def _copy(source, target):
    for i in numba.prange(source.size):
        target[i] = source[i]


def _best(call: Any, times: int) -> float:
    """The shortest time of a call in seconds."""
    call()
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return best


def measure(threads: int) -> dict[str, float]:
    """The ceilings on so many threads: ``{"flops": per second, "bytes": read and written per second}``."""
    numba.set_num_threads(threads)
    rounds, out = 1_000_000, np.zeros(threads, np.float32)
    flops = 2.0 * LANES * CHAINS * rounds * threads / _best(lambda: _compute(threads, rounds, out), 20)
    source, target = np.ones(1 << 25, np.float32), np.zeros(1 << 25, np.float32)
    return {"flops": flops, "bytes": 2.0 * source.nbytes / _best(lambda: _copy(source, target), 10)}


def measure_gpu() -> dict[str, float]:
    """The ceilings of a GPU.

    Returns:
        "float32", "TF32" and "float16": operations a second in products of 4096 x 4096, "flops" those of float32;
        "bytes" read and written a second in copies of 512 MB; "kernel" and "launch": microseconds for each of many
        launches of a kernel, and calls of an operation, on 1,000 elements.
    """
    import tinycnn  # the CPU's ceilings do without
    from tinycnn.kernels.cuda import elementwise, launch, probe

    side, count, times, calls, rounds = (16, 1000, 2, 2, 1) if probe.simulated() else (4096, 1 << 27, 10, 1000, 5)

    def done(step: Any, times: int) -> Any:
        def call() -> None:
            for _ in range(times):
                step()
            tinycnn.cuda.synchronize()

        return call

    with tinycnn.device("cuda"):
        a, b = tinycnn.ones(side, side), tinycnn.ones(side, side)
        large, small = tinycnn.ones(count), tinycnn.ones(1000)
    found = {}
    switches: Any = tinycnn.backends.cuda
    for precision, x, y in (("float32", a, b), ("TF32", a, b), ("float16", a.half(), b.half())):
        switches.allow_tf32 = precision == "TF32"
        found[precision] = 2.0 * side**3 * times / _best(done(lambda x=x, y=y: x @ y, times), rounds)
    switches.allow_tf32 = False
    copied = 2.0 * large.nbytes * times / _best(done(large.clone, times), rounds)
    relu = elementwise.map1.of(small.array.dtype, elementwise._relu)
    numbers = (*launch.flat(1000), small.array, small.array, 1000, *[small.array.dtype.type(0)] * 3)
    kernel = _best(done(lambda: relu(*numbers), calls), rounds) / calls * 1e6
    operation = _best(done(lambda: tinycnn.relu(small), calls), rounds) / calls * 1e6
    return {**found, "flops": found["float32"], "bytes": copied, "kernel": kernel, "launch": operation}
