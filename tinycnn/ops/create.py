"""Making tensors: from numbers, filled, counted, drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from .._device import as_device
from .._tensor import Tensor, filled, wrap
from ..random import Generator, generator_or_default
from .elementwise import to
from .shape import as_sizes


def _finish(array: np.ndarray, device: Any, requires_grad: bool) -> Tensor:
    result = wrap(array)
    if device is not None:
        result = to(result, device=device)
    return result.requires_grad_() if requires_grad else result


def _kind(dtype: Any) -> np.dtype:
    return dtypes.get_default_dtype().numpy if dtype is None else dtypes.as_dtype(dtype).numpy


def _to_array(data: Any, dtype: Any, copy: bool) -> np.ndarray:
    """`data` as a NumPy array in the dtype that PyTorch would give it."""
    if isinstance(data, Tensor):
        array = data.array
    elif isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
    else:
        if isinstance(data, (list, tuple)) and any(isinstance(v, Tensor) for v in data):
            data = [v.tolist() if isinstance(v, Tensor) else v for v in data]
        try:
            array = np.array(data)
        except ValueError as error:
            raise ValueError(f"tensor: the nested lists are ragged: {error}") from None
        copy = False
        if dtype is None and (array.dtype.kind == "f" or array.size == 0):
            array = array.astype(dtypes.get_default_dtype().numpy)
        elif array.dtype.kind == "i":
            array = array.astype(np.int64)
    if dtype is None:
        kind = dtypes.as_dtype(array.dtype).numpy
    else:
        kind = dtypes.as_dtype(dtype).numpy
    if array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: expected numbers, got {array.dtype} from {type(data).__name__}")
    return array.astype(kind, order="C") if copy or array.dtype != kind else array


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `data`: a number, nested lists, a NumPy array or a Tensor.

    Python floats become the default dtype (float32), ints int64, bools bool; arrays keep their dtype.

    Raises:
        TypeError: for other things than numbers.
        ValueError: for ragged lists.
    """
    return _finish(_to_array(data, dtype, True), device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """As `tensor`, but a Tensor is returned as it is and a NumPy array shares its memory, if dtype and device allow."""
    if isinstance(data, Tensor):
        return to(data, device=device, dtype=dtype)
    result = wrap(_to_array(data, dtype, False))
    result._counter()
    return result if device is None else to(result, device=device)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor on the memory of a NumPy array: writing to one changes the other.

    Raises:
        TypeError: if it is not an array, or its dtype has no counterpart here.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(array).__name__}")
    if array.dtype not in dtypes.FROM_NUMPY:
        known = ", ".join(t.name for t in dtypes.FROM_NUMPY.values())
        raise TypeError(
            f"from_numpy: dtype {array.dtype} has no counterpart; convert to one of {known} (native byte order)"
        )
    result = wrap(array)
    result._counter()
    return result


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of shape `size`, every element `fill_value`; the dtype follows the value."""
    kind = dtypes.scalar_dtype(fill_value).numpy if dtype is None else _kind(dtype)
    shape = as_sizes((size,) if isinstance(size, (tuple, list)) else (size,), "full")
    return _finish(np.full(_legal(shape, "full"), fill_value, kind), device, requires_grad)


def _legal(shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    if min(shape, default=0) < 0:
        raise RuntimeError(f"{name}: sizes must not be negative, got {shape}")
    return shape


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    return _finish(np.zeros(_legal(as_sizes(size, "zeros"), "zeros"), _kind(dtype)), device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return _finish(np.ones(_legal(as_sizes(size, "ones"), "ones"), _kind(dtype)), device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose numbers are whatever the memory held."""
    return _finish(np.empty(_legal(as_sizes(size, "empty"), "empty"), _kind(dtype)), device, requires_grad)


def _like(input: Tensor, value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    kind = input.array.dtype if dtype is None else _kind(dtype)
    result = filled(input.array.shape, kind, input.device if device is None else as_device(device), value)
    return result.requires_grad_() if requires_grad else result


def zeros_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape, dtype and place of `input`."""
    return _like(input, 0, dtype, device, requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape, dtype and place of `input`."""
    return _like(input, 1, dtype, device, requires_grad)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`fill_value` in the shape, dtype and place of `input`."""
    return _like(input, fill_value, dtype, device, requires_grad)


def empty_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uninitialised memory in the shape, dtype and place of `input`."""
    return _finish(
        np.empty(input.array.shape, input.array.dtype if dtype is None else _kind(dtype)), device, requires_grad
    )


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """start, start + step, ... below `end`; int64 if all are ints. ``arange(n)`` counts from 0.

    Raises:
        RuntimeError: if `step` is 0 or leads away from `end`.
    """
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("arange: step must not be 0")
    if (end - start) * step < 0:
        raise RuntimeError(f"arange: step {step} leads away from end {end} (start {start})")
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    kind = np.dtype(np.int64) if whole and dtype is None else _kind(dtype)
    count = -(-(end - start) // step) if whole else math.ceil((end - start) / step)
    return _finish((start + np.arange(int(count)) * step).astype(kind), device, requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers evenly spaced from `start` to `end`, both included."""
    if steps < 0:
        raise RuntimeError(f"linspace: steps must not be negative, got {steps}")
    return _finish(np.linspace(start, end, steps).astype(_kind(dtype)), device, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The (n, m) matrix with ones on the diagonal."""
    return _finish(np.eye(n, m, dtype=_kind(dtype)), device, requires_grad)


def _float_kind(dtype: Any, name: str) -> np.dtype:
    kind = _kind(dtype)
    if kind.kind != "f":
        raise RuntimeError(f"{name}: the dtype must be floating-point, got {dtypes.as_dtype(dtype)}")
    return kind


def rand(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Numbers drawn evenly from [0, 1)."""
    kind, shape = _float_kind(dtype, "rand"), _legal(as_sizes(size, "rand"), "rand")
    drawn = generator_or_default(generator).numpy.random(shape, np.float32 if kind.itemsize <= 4 else np.float64)
    return _finish(np.asarray(drawn).astype(kind, copy=False), device, requires_grad)


def randn(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Numbers drawn from the normal distribution with mean 0 and variance 1."""
    kind, shape = _float_kind(dtype, "randn"), _legal(as_sizes(size, "randn"), "randn")
    drawn = generator_or_default(generator).numpy.standard_normal(
        shape, np.float32 if kind.itemsize <= 4 else np.float64
    )
    return _finish(np.asarray(drawn).astype(kind, copy=False), device, requires_grad)


def rand_like(input: Tensor, *, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """`rand` in the shape and dtype of `input`."""
    return rand(tuple(input.array.shape), generator=generator, dtype=dtype or input.dtype, device=device)


def randn_like(input: Tensor, *, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """`randn` in the shape and dtype of `input`."""
    return randn(tuple(input.array.shape), generator=generator, dtype=dtype or input.dtype, device=device)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = dtypes.int64,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Whole numbers drawn evenly from [low, high): ``randint(high, size)`` or ``randint(low, high, size)``.

    Raises:
        RuntimeError: if the range is empty.
    """
    if size is None:
        low, high, size = 0, low, high
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"randint: size must be a tuple of ints, got {size!r}")
    if high <= low:
        raise RuntimeError(f"randint: there is no whole number in [{low}, {high})")
    drawn = generator_or_default(generator).numpy.integers(low, high, _legal(as_sizes((size,), "randint"), "randint"))
    return _finish(np.asarray(drawn).astype(_kind(dtype)), device, requires_grad)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = dtypes.int64, device: Any = None) -> Tensor:
    """The numbers 0 to n - 1 in random order."""
    if n < 0:
        raise RuntimeError(f"randperm: n must not be negative, got {n}")
    return _finish(generator_or_default(generator).numpy.permutation(n).astype(_kind(dtype)), device, False)
