"""Products of matrices by cuBLAS: the one place that calls it.

cuBLAS takes matrices column by column. A row-major matrix is to it a transposed one, so out = a @ b is asked for as
out.T = b.T @ a.T. Transposed operands are told by a flag and copied by nobody.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import sys
import threading
from typing import Any

from .. import settings
from .backend import SIMULATED, place, xp

_TYPES = {"f": 0, "d": 1, "e": 2}  # cudaDataType
_IN_FLOAT32, _IN_FLOAT64, _IN_TF32 = 68, 70, 77  # cublasComputeType: in what sums are accumulated
_DEFAULT_ALGORITHM = -1

Layout = tuple[bool, int, int]


def layout(x: Any) -> Layout | None:
    """(transposed, lead, step): how the numbers of a matrix lie in memory, or those of each matrix of a batch.

    Its rows, or if transposed its columns, are without gaps and `lead` elements apart; the matrices are `step` elements
    apart, 0 where they are one and the same. None: the numbers lie in another way, and have to be copied.
    """
    size = x.itemsize
    rows, columns = x.shape[-2:]
    down, right = x.strides[-2] // size, x.strides[-1] // size
    step = x.strides[0] // size if x.ndim == 3 and x.shape[0] > 1 else 0
    if step < 0:
        return None
    if (right == 1 or columns == 1) and (down >= columns or rows == 1):
        return False, columns if rows == 1 else down, step
    if (down == 1 or rows == 1) and (right >= rows or columns == 1):
        return True, rows if columns == 1 else right, step
    return None


def _laid_out(x: Any) -> tuple[Any, Layout]:
    found = layout(x)
    if found is None:
        x = xp.ascontiguousarray(x)
        found = layout(x)
        assert found is not None
    return x, found


def multiply(a: Any, b: Any, out: Any, accumulate: bool = False, exact: bool = False) -> None:
    """out = a @ b, or out += a @ b, of matrices or of each of a batch of them (rank 3); float16, float32, float64.

    Args:
        a, b: views in any order of memory; one matrix serves a whole batch if its rank is 2 or its batch is 1.
        out: a view whose rows are without gaps; no element may be shared with a or b, or be there twice. It may be
            float32 where a and b are float16, whose sums are float32 in any case.
        exact: not on tensor cores, whatever the user allows.
    """
    if not out.size:
        return
    rows, columns = out.shape[-2:]
    depth = a.shape[-1]
    if not depth:
        if not accumulate:
            out[...] = 0
        return
    (a, (flip_a, lead_a, step_a)), (b, (flip_b, lead_b, step_b)) = _laid_out(a), _laid_out(b)
    there = layout(out)
    assert there is not None and not there[0], "the rows of `out` must be without gaps"
    code, source = _TYPES[out.dtype.char], _TYPES[a.dtype.char]
    in_tf32 = code == source == 0 and settings.allow_tf32 and not exact
    compute = _IN_FLOAT64 if code == 1 else _IN_TF32 if in_tf32 else _IN_FLOAT32
    number = ctypes.c_double if code == 1 else ctypes.c_float
    alpha, beta = number(1), number(int(accumulate))
    batch = out.shape[0] if out.ndim == 3 else 1
    _call()(
        _handle(), int(flip_b), int(flip_a), columns, rows, depth, ctypes.addressof(alpha),
        b.data.ptr, source, lead_b, step_b, a.data.ptr, source, lead_a, step_a, ctypes.addressof(beta),
        out.data.ptr, code, there[1], there[2], batch, compute, _DEFAULT_ALGORITHM,
    )  # fmt: skip


_local = threading.local()  # its `handles` are this Python thread's


def _handle() -> int:
    """This thread's handle for the current GPU and stream.

    A handle has one workspace for what it computes: on two streams at once, or on one while a captured graph runs on
    another, two products would write to it. So each stream has a handle of its own.
    """
    if SIMULATED:
        return 0
    key = place()
    if not key[1]:
        return xp.cuda.device.get_cublas_handle()
    handles = vars(_local).setdefault("handles", {})
    if key not in handles:
        handles[key] = xp.cuda.device.Handle(_of_cupy().create(), _of_cupy().destroy)
    return handles[key].handle


def _call() -> Any:
    """cublasGemmStridedBatchedEx. CuPy's own refuses while launches are captured, so cuBLAS is then asked directly."""
    if settings.capturing:
        return _captured
    return xp.gemmStridedBatchedEx if SIMULATED else _of_cupy().gemmStridedBatchedEx


@functools.cache
def _of_cupy() -> Any:
    """CuPy's module for cuBLAS; asked for as an attribute, it first loads cuBLAS from where pip has put it."""
    return importlib.import_module("cupy_backends.cuda.libs").cublas


@functools.cache
def _library() -> Any:
    """cuBLAS itself, which CuPy has loaded."""
    major = xp.cuda.runtime.runtimeGetVersion() // 1000
    library: Any = ctypes.CDLL(f"cublas64_{major}.dll" if sys.platform == "win32" else f"libcublas.so.{major}")
    pointer, number, wide = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
    operand = [pointer, number, number, wide]
    library.cublasSetStream_v2.argtypes = [pointer, pointer]
    library.cublasGemmStridedBatchedEx.argtypes = [
        pointer, *[number] * 5, pointer, *operand, *operand, pointer, *operand, *[number] * 3,
    ]  # fmt: skip
    return library


def _captured(handle: int, *args: Any) -> None:
    library = _library()
    error = library.cublasSetStream_v2(handle, xp.cuda.get_current_stream().ptr)
    error = error or library.cublasGemmStridedBatchedEx(handle, *args)
    if error:
        raise RuntimeError(f"cuBLAS: a product of matrices could not be captured, error {error}")
