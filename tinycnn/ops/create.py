"""Making tensors: from numbers, filled, counted. Drawn ones are in `composed/draw.py`.

``layout``, ``pin_memory`` and ``memory_format`` are taken as PyTorch's scripts pass them, and change nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from .._device import CPU, as_device, default_device
from .._tensor import MOST, Tensor, filled, need, wrap
from .elementwise import to
from .shape import as_sizes


def finish(array: Any, device: Any, requires_grad: bool, home: Any = CPU) -> Tensor:
    """A new tensor on `array`, which lies at `home`, on its device."""
    result = wrap(array, home)
    if device is None and home is CPU:
        device = default_device()
    if device is not None and device is not home:
        result = to(result, device=device)
    return result.requires_grad_() if requires_grad else result


def _made(shape: tuple[int, ...], kind: np.dtype, value: Any, device: Any, requires_grad: bool) -> Tensor:
    """A new tensor with `value` everywhere, or with anything if that is None."""
    place = default_device() if device is None else as_device(device)
    if place is not CPU:
        kernels = place.kernels
        result = wrap(kernels.empty(shape, kind) if value is None else kernels.full(shape, value, kind), place)
    elif value is None:
        result = wrap(np.empty(shape, kind))
    elif type(value) is int and not value:
        result = wrap(np.zeros(shape, kind))
    else:
        result = wrap(np.full(shape, value, kind))
    return result.requires_grad_() if requires_grad else result


def _home(data: Any) -> Any:
    """Where numbers are that a tensor is made of."""
    if isinstance(data, Tensor):
        return data.device
    place = getattr(data, "__cuda_array_interface__", None)
    if place is None or type(data).__module__.startswith("numba"):
        return CPU
    return _gpu_of(data)


def _gpu_of(data: Any) -> Any:
    """The GPU that another library's array lies on."""
    number = getattr(data, "device", 0)  # an int, CuPy's Device or PyTorch's device
    number = getattr(number, "id", getattr(number, "index", number))
    return as_device(f"cuda:{number if isinstance(number, int) else 0}")


def kind_of(dtype: Any) -> np.dtype:
    """The NumPy dtype meant by an argument ``dtype=``; None is the default floating one."""
    return dtypes.get_default_dtype().numpy if dtype is None else dtypes.as_dtype(dtype).numpy


def legal(name: str, sizes: tuple[Any, ...], size: Any = None) -> tuple[int, ...]:
    """A shape given as ``2, 3``, as ``(2, 3)`` or as ``size=(2, 3)``.

    Raises:
        TypeError: if there is none, or a size is not an int.
        RuntimeError: if a size is negative, or there are more elements than any memory holds.
    """
    if size is not None:
        sizes = (*sizes, size)
    if not sizes:
        raise TypeError(f"{name}: a size is missing; () is the shape of a single number")
    shape = as_sizes(sizes, name)
    if min(shape, default=0) < 0:
        raise RuntimeError(f"{name}: sizes must not be negative, got {shape}")
    return possible(name, shape)


def possible(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape, unless no memory holds it.

    Raises:
        RuntimeError: if it has 2**59 elements or more, sizes of 0 counted as 1.
    """
    if math.prod([n or 1 for n in shape]) >= MOST:
        raise RuntimeError(f"{name}: a tensor of shape {shape} fits into no memory; there may be 2**59 elements")
    return shape


# -- from numbers -----------------------------------------------------------------------------------------------------


def _to_array(data: Any, dtype: Any, copy: bool) -> np.ndarray:
    """`data` as a NumPy array in the dtype that PyTorch would give it."""
    kind = None if dtype is None else dtypes.as_dtype(dtype).numpy
    if isinstance(data, Tensor):
        array = data.array
    elif hasattr(data, "__cuda_array_interface__"):
        array = _home(data).xp.asarray(data)
    elif hasattr(data, "__array__"):
        array = np.asarray(data)
    else:
        leaf = data
        while isinstance(leaf, (list, tuple)) and len(leaf):
            leaf = leaf[0]
        if isinstance(leaf, Tensor):
            data, found = _numbers(data)
            kind = kind or found.numpy
        try:
            array = np.array(data)
        except (ValueError, OverflowError) as error:
            raise ValueError(
                f"tensor: the nested lists are ragged, or hold something else than numbers: {error}"
            ) from None
        copy = False
        typed = isinstance(leaf, (np.generic, np.ndarray))
        if array.dtype.kind == "i" and not typed:
            array = array.astype(np.int64)
        elif array.dtype.kind == "f" and kind is None and array.size and not np.abs(array).max() < 2**63:
            _refuse_large(data)  # NumPy makes floats of them
        elif array.dtype.kind in "uO" and not typed and (kind is None or kind.kind != "f"):
            _refuse_large(data)
        if kind is None and (array.dtype.kind == "f" or array.size == 0) and not typed:
            kind = dtypes.get_default_dtype().numpy
        elif kind is not None and kind.kind in "iu" and array.size and array.dtype.kind in "if":
            for extreme in (array.min(), array.max()):
                dtypes.number("tensor", extreme, kind)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: expected numbers, got {array.dtype} from {type(data).__name__}")
    kind = dtypes.as_dtype(array.dtype).numpy if kind is None else kind
    return array.astype(kind, order="C") if copy or array.dtype != kind else array


def _refuse_large(data: Any) -> None:
    """Refuse ints that no dtype holds, anywhere in nested lists."""
    if isinstance(data, (list, tuple)):
        for part in data:
            _refuse_large(part)
    elif type(data) is int:
        dtypes.number("tensor", data, np.dtype(np.int64))


def _numbers(data: Any) -> tuple[Any, dtypes.dtype]:
    """Nested lists of tensors with one element as nested lists of numbers, and the dtype of all of them."""
    if isinstance(data, (list, tuple)):
        parts = [_numbers(v) for v in data]
        found = parts[0][1] if parts else dtypes.get_default_dtype()
        for _, other in parts:
            found = dtypes.promote_types(found, other)
        return [v for v, _ in parts], found
    if not isinstance(data, Tensor):
        return data, dtypes.scalar_dtype(data)
    if data.array.size != 1:
        raise ValueError(
            f"tensor: a list may hold tensors with one element, got shape {tuple(data.array.shape)}; "
            "use stack() or cat()"
        )
    return data.item(), data.dtype


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A tensor with a copy of `data`: a number, nested lists, a NumPy array or a Tensor.

    Python floats become the default dtype (float32), ints int64, bools bool; arrays keep their dtype.

    Raises:
        TypeError: for other things than numbers.
        ValueError: for ragged lists.
        RuntimeError: for numbers that do not fit into an integer dtype.
    """
    return finish(_to_array(data, dtype, True), device, requires_grad, _home(data))


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """As `tensor`, but a Tensor is returned as it is and a NumPy array shares its memory, if dtype and device allow."""
    if isinstance(data, Tensor):
        return to(data, device=device, dtype=dtype)
    result = wrap(_to_array(data, dtype, False), _home(data))
    result._counter().export()
    if device is None and not isinstance(data, Tensor) and not hasattr(data, "__cuda_array_interface__"):
        device = default_device()
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
    result = wrap(np.asarray(array))  # of a matrix, a masked array or a memmap, whose operators differ: its numbers
    result._counter().export()
    return result


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """`obj` as a tensor: shares memory with a Tensor or NumPy array unless `copy` or a conversion asks for a copy.

    Raises:
        ValueError: if ``copy=False`` and there is no way without a copy.
    """
    if copy:
        return tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    result = as_tensor(obj, dtype, device)
    source = obj.array if isinstance(obj, Tensor) else obj
    if copy is False and not _shares(source, result.array):
        raise ValueError(f"asarray: a {type(obj).__name__} cannot become a tensor of this dtype without a copy")
    if isinstance(obj, Tensor) and not requires_grad and result.requires_grad:
        result = result.detach()
    return result.requires_grad_() if requires_grad else result


def _shares(source: Any, array: Any) -> bool:
    if isinstance(source, type(array)):
        return bool(np.may_share_memory(source, array))
    return hasattr(source, "__cuda_array_interface__") and hasattr(array, "__cuda_array_interface__")


def scalar_tensor(
    s: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """The number `s` as a 0-d tensor in the default floating dtype, or in `dtype`."""
    s = s.item() if isinstance(s, Tensor) else s
    return finish(np.asarray(dtypes.number("scalar_tensor", s, kind_of(dtype))), device, requires_grad)


# -- filled -----------------------------------------------------------------------------------------------------------


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of shape `size`, every element `fill_value`; the dtype follows the value."""
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"full: the size must be a tuple of ints, got {size!r}")
    if isinstance(fill_value, Tensor):
        dtype, fill_value = dtype or fill_value.dtype, fill_value.item()
    kind = dtypes.scalar_dtype(fill_value).numpy if dtype is None else kind_of(dtype)
    return _made(legal("full", (size,)), kind, dtypes.number("full", fill_value, kind), device, requires_grad)


def zeros(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of zeros."""
    return _made(legal("zeros", sizes, size), kind_of(dtype), 0, device, requires_grad)


def ones(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of ones."""
    return _made(legal("ones", sizes, size), kind_of(dtype), 1, device, requires_grad)


def empty(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor whose numbers are whatever the memory held."""
    return _made(legal("empty", sizes, size), kind_of(dtype), None, device, requires_grad)


def _like(name: str, input: Tensor, value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    need(name, input)
    kind = input.array.dtype if dtype is None else kind_of(dtype)
    result = filled(input.array.shape, kind, input.device if device is None else as_device(device), value)
    return result.requires_grad_() if requires_grad else result


def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Zeros in the shape, dtype and place of `input`."""
    return _like("zeros_like", input, 0, dtype, device, requires_grad)


def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Ones in the shape, dtype and place of `input`."""
    return _like("ones_like", input, 1, dtype, device, requires_grad)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """`fill_value` in the shape, dtype and place of `input`."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    kind = kind_of(dtype) if dtype is not None else input.array.dtype if isinstance(input, Tensor) else np.dtype("f8")
    return _like("full_like", input, dtypes.number("full_like", value, kind), dtype, device, requires_grad)


def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Uninitialised memory in the shape, dtype and place of `input`."""
    need("empty_like", input)
    kind = input.array.dtype if dtype is None else kind_of(dtype)
    return _made(input.array.shape, kind, None, input.device if device is None else device, requires_grad)


# -- counted ----------------------------------------------------------------------------------------------------------


def _plain(name: str, value: Any) -> Any:
    """A number; a 0-d tensor counts as one."""
    if isinstance(value, Tensor):
        if value.array.ndim:
            raise RuntimeError(f"{name}: expected numbers or 0-d tensors, got shape {tuple(value.array.shape)}")
        return value.item()
    if not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    return value.item() if isinstance(value, np.number) else value


def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """start, start + step, ... below `end`; int64 if all are ints. ``arange(n)`` counts from 0.

    Raises:
        RuntimeError: if `step` is 0 or leads away from `end`, if a bound is not finite, or for bools.
    """
    if end is None:
        start, end = 0, start
    start, end, step = (_plain("arange", v) for v in (start, end, step))
    if not all(math.isfinite(v) for v in (start, end, step)):
        raise RuntimeError(f"arange: start, end and step must be finite, got {start}, {end} and {step}")
    if step == 0:
        raise RuntimeError("arange: step must not be 0")
    if (end - start) * step < 0:
        raise RuntimeError(f"arange: step {step} leads away from end {end} (start {start})")
    whole = all(isinstance(v, int) for v in (start, end, step))
    kind = np.dtype(np.int64) if whole and dtype is None else kind_of(dtype)
    if kind.kind == "b":
        raise RuntimeError("arange: bools cannot be counted; use an integer dtype")
    if kind == np.int64:
        start, end, step, whole = (*(int(dtypes.number("arange", v, kind)) for v in (start, end, step)), True)
        if step == 0:
            raise RuntimeError("arange: in int64 the step becomes 0")
    count = max(-(-(end - start) // step) if whole else math.ceil((end - start) / step), 0)
    possible("arange", (int(count),))
    if kind.kind in "iu":
        start, step = int(start), int(step)
    return finish((start + np.arange(int(count)) * step).astype(kind), device, requires_grad)


def _spaced(name: str, start: Any, end: Any, steps: Any, kind: np.dtype) -> np.ndarray:
    """Numbers evenly spaced, counted from both ends to the middle, as in PyTorch."""
    start, end = _plain(name, start), _plain(name, end)
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)):
        raise TypeError(f"{name}: steps must be an int, got {steps!r}")
    if steps < 0:
        raise RuntimeError(f"{name}: steps must not be negative, got {steps}")
    if kind.kind == "b" and steps > 1:
        raise RuntimeError(f"{name}: bools cannot be counted; use an integer dtype")
    possible(name, (int(steps),))
    if kind.kind in "iu":
        start, end = int(start), int(end)
    counter = np.arange(steps)
    step = (end - start) / (steps - 1) if steps > 1 else 0.0
    return np.where(
        counter < steps // 2 if steps > 1 else True, start + step * counter, end - step * (steps - 1 - counter)
    )


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """`steps` numbers evenly spaced from `start` to `end`, both included.

    Raises:
        RuntimeError: if `steps` is negative, or for bools.
    """
    kind = kind_of(dtype)
    return finish(_spaced("linspace", start, end, steps, kind).astype(kind), device, requires_grad)


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """`base` to the powers of ``linspace(start, end, steps)``.

    Raises:
        RuntimeError: if `steps` is negative, or for bools.
    """
    kind = kind_of(dtype)
    with np.errstate(all="ignore"):
        powers = np.power(float(base), _spaced("logspace", start, end, steps, kind))
        return finish(powers.astype(kind), device, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """The (n, m) matrix with ones on the diagonal."""
    rows, columns = legal("eye", (n, n if m is None else m))
    return finish(np.eye(rows, columns, dtype=kind_of(dtype)), device, requires_grad)


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor on the memory of an object of another library that speaks DLPack, on the CPU or on a GPU.

    Raises:
        TypeError: if it does not, or its dtype has no counterpart here.
    """
    if isinstance(ext_tensor, Tensor):
        return ext_tensor.detach()
    if not hasattr(ext_tensor, "__dlpack__"):
        raise TypeError(f"from_dlpack: expected an object with __dlpack__, got {type(ext_tensor).__name__}")
    kind, number = ext_tensor.__dlpack_device__()
    if kind != 2:  # DLPack's number for CUDA
        return from_numpy(np.from_dlpack(ext_tensor))
    place = as_device(f"cuda:{number}")
    array = place.xp.from_dlpack(ext_tensor)
    if array.dtype not in dtypes.FROM_NUMPY:
        raise TypeError(f"from_dlpack: dtype {array.dtype} has no counterpart")
    result = wrap(array, place)
    result._counter().export()
    return result
