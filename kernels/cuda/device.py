"""Functions that kernels call on the GPU."""

from __future__ import annotations

import math

import numpy as np
from numba import cuda

from .backend import SIMULATED

# Python's math raises where a GPU gives inf, so the simulator takes NumPy's; on the GPU math keeps float32, and NumPy's
# functions would not.
if SIMULATED:
    exp_of, expm1_of, log_of, log1p_of, sqrt_of, abs_of = np.exp, np.expm1, np.log, np.log1p, np.sqrt, np.abs
else:

    @cuda.jit(device=True)
    def exp_of(x):
        """e ** x"""
        return math.exp(x)

    @cuda.jit(device=True)
    def expm1_of(x):
        """e ** x - 1"""
        return math.expm1(x)

    @cuda.jit(device=True)
    def log1p_of(x):
        """ln(1 + x)"""
        return math.log1p(x)

    @cuda.jit(device=True)
    def log_of(x):
        """ln x"""
        return math.log(x)

    @cuda.jit(device=True)
    def sqrt_of(x):
        """The square root of x"""
        return math.sqrt(x)

    @cuda.jit(device=True)
    def abs_of(x):
        """|x|"""
        return math.fabs(x)


@cuda.jit(device=True)
def sum_in_block(parts, t, size, value):
    """The sum of the values of all `size` threads of a block (a power of two), in a fixed order; for every thread.

    Args:
        parts: shared memory for one number of each thread; free again afterwards.
        t: this thread's number.
    """
    parts[t] = value
    cuda.syncthreads()
    step = size // 2
    while step > 0:
        if t < step:
            parts[t] += parts[t + step]
        cuda.syncthreads()
        step //= 2
    total = parts[0]
    cuda.syncthreads()
    return total


@cuda.jit(device=True)
def max_in_block(parts, t, size, value):
    """The largest of the values of all threads of a block, as in `sum_in_block`; NaN is left out."""
    parts[t] = value
    cuda.syncthreads()
    step = size // 2
    while step > 0:
        if t < step and parts[t + step] > parts[t]:
            parts[t] = parts[t + step]
        cuda.syncthreads()
        step //= 2
    largest = parts[0]
    cuda.syncthreads()
    return largest


# -- places -----------------------------------------------------------------------------------------------------------
# Indices have 64 bits. A division of them costs little: the compiler adds one of 32 bits, taken where both are small.


@cuda.jit(device=True)
def thirteen(shape):
    """The numbers of convolutions and pools: planes, H, W, KH, KW, SH, SW, top, left, DH, DW, OH, OW."""
    return (
        shape[0], shape[1], shape[2], shape[3], shape[4], shape[5], shape[6],
        shape[7], shape[8], shape[9], shape[10], shape[11], shape[12],
    )  # fmt: skip


@cuda.jit(device=True)
def window_at(start, stride, windows):
    """The number of the window that begins at element `start` of the padded image, -1 if none does."""
    i = start // stride
    return i if start >= 0 and i * stride == start and i < windows else -1


@cuda.jit(device=True)
def seen(x, plane, h, w, height, width, outside):
    """Element (h, w) of a plane of x, `outside` beyond its edges."""
    if h >= 0 and h < height and w >= 0 and w < width:
        return x[(plane * height + h) * width + w]
    return outside


@cuda.jit(device=True)
def after(row, column, rows, columns, width):
    """The place so many rows and columns further on; what goes beyond the `width` of a row is on the next."""
    row, column = row + rows, column + columns
    if column >= width:
        return row + 1, column - width
    return row, column


# -- memory at an address ---------------------------------------------------------------------------------------------

if SIMULATED:

    def at(address, like):
        """The memory at an address, as a pointer to numbers like `like`."""
        kind = np.ctypeslib.as_ctypes_type(type(like))
        return np.ctypeslib.as_array((kind * (1 << 30)).from_address(int(address)))

else:
    from numba.core import types
    from numba.cuda.extending import intrinsic

    @intrinsic
    def at(typing_context, address, like):
        """The memory at an address, as a pointer to numbers like `like`."""

        def generate(context, builder, signature, args):
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

        return types.CPointer(like)(types.int64, like), generate
