"""From a list of samples to one batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ..._device import CPU
from ..._tensor import Tensor, wrap
from ...composed.shape import stack
from ...ops.create import tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Put samples together along a new first dimension.

    | samples are           | the batch is                                            |
    |-----------------------|---------------------------------------------------------|
    | Tensors, NumPy arrays | their stack, ``(N, ...)``                               |
    | NumPy scalars         | a tensor of their dtype, ``(N,)``                       |
    | float, int, bool      | float64, int64, bool tensor, ``(N,)``                   |
    | str, bytes            | the list of them                                        |
    | mappings              | a mapping with each value collated                      |
    | named tuples          | a named tuple with each field collated                  |
    | tuples, lists         | a list with each position collated                      |

    Raises:
        RuntimeError: if shapes or lengths differ within the batch; the text names them.
        TypeError: for samples of another kind.
    """
    if not len(batch):
        raise ValueError("default_collate: the batch is empty")
    return _collate(batch, "sample")


def _collate(batch: Sequence[Any], path: str) -> Any:
    first = batch[0]
    for position, sample in enumerate(batch):
        if isinstance(sample, (Tensor, np.ndarray)) is not isinstance(first, (Tensor, np.ndarray)):
            raise TypeError(
                f"default_collate: {path} is {_a(first)} in the batch's sample 0, "
                f"and {_a(sample)} in its sample {position}"
            )
    if isinstance(first, Tensor):
        batch = [t if isinstance(t, Tensor) else _from_numpy(t, path) for t in batch]
        _same([t.array.shape for t in batch], "shape", path)
        if any(t.requires_grad or t.is_cuda or t.array.dtype != first.array.dtype for t in batch):
            return stack(batch, 0)
        shape = (len(batch), *first.array.shape)
        large = first.nbytes * len(batch) >= 1 << 16  # then the kernels know where memory comes from
        out = CPU.kernels.empty(shape, first.array.dtype) if large else None
        return wrap(np.stack([t.array for t in batch], out=out))  # for small samples faster than a recorded stack
    if isinstance(first, np.ndarray):
        return _collate([a if isinstance(a, Tensor) else _from_numpy(a, path) for a in batch], path)
    if isinstance(first, np.generic) and first.dtype.kind in "biuf":
        return _from_numpy(np.array(batch), path)
    if isinstance(first, int):
        return tensor(list(batch))
    if isinstance(first, float):
        return wrap(np.array(batch, dtype=np.float64))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        values = {key: _collate([sample[key] for sample in batch], f"{path}[{key!r}]") for key in first}
        return _like(first, values)
    if isinstance(first, Sequence):
        _same([len(sample) for sample in batch], "length", path)
        columns = [_collate(column, f"{path}[{i}]") for i, column in enumerate(zip(*batch, strict=True))]
        return columns if type(first) is tuple else _like(first, columns)
    raise TypeError(
        f"default_collate: {path} is {_a(first)}; a batch is made of tensors, NumPy arrays, numbers, strings, dicts, "
        "tuples or lists. Convert it (transforms.ToTensor for images) or pass a collate_fn"
    )


def default_convert(data: Any) -> Any:
    """Turn NumPy arrays within `data` into Tensors, and leave the rest as it is. Used if ``batch_size=None``."""
    if isinstance(data, np.ndarray) and data.dtype.kind in "biuf":
        return _from_numpy(data, "sample")
    if isinstance(data, np.generic) and data.dtype.kind in "biuf":
        return _from_numpy(np.array(data), "sample")
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        columns = [default_convert(value) for value in data]
        return columns if type(data) is tuple else _like(data, columns)
    return data


def pin(batch: Any) -> Any:
    """`batch` with its tensors in pinned memory; what else has a method ``pin_memory`` is asked for it."""
    if isinstance(batch, Tensor):
        return batch if batch.is_cuda else batch.pin_memory()
    if isinstance(batch, (str, bytes)):
        return batch
    if isinstance(batch, Mapping):
        return _like(batch, {key: pin(value) for key, value in batch.items()})
    if isinstance(batch, tuple) and not hasattr(batch, "_fields"):
        return tuple(pin(value) for value in batch)
    if isinstance(batch, Sequence):
        return _like(batch, [pin(value) for value in batch])
    return batch.pin_memory() if hasattr(batch, "pin_memory") else batch


def _like(example: Any, values: Any) -> Any:
    """`values` in a container of the type of `example`, or in a plain dict or list if that cannot be made."""
    try:
        if hasattr(example, "_fields"):
            return type(example)(*values)
        if isinstance(example, (MutableMapping, MutableSequence)):  # a copy keeps what a subclass holds besides
            clone = copy.copy(example)
            for key, value in values.items() if isinstance(values, dict) else enumerate(values):
                clone[key] = value
            return clone
        return type(example)(values)
    except TypeError:
        return values


def _from_numpy(array: np.ndarray, path: str) -> Tensor:
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if native.dtype not in dtypes.FROM_NUMPY:
        known = ", ".join(t.name for t in dtypes.FROM_NUMPY.values())
        raise TypeError(f"default_collate: {path} is an array of {array.dtype}; the dtypes are {known}")
    return wrap(native)


def _same(found: list[Any], what: str, path: str) -> None:
    """Refuse a batch in which `found` is not everywhere the same."""
    for position, value in enumerate(found):
        if value != found[0]:
            raise RuntimeError(
                f"default_collate: {path} must have the same {what} in the whole batch, but it is {found[0]} in the "
                f"batch's sample 0 and {value} in its sample {position}"
            )


def _a(thing: Any) -> str:
    return f"a {type(thing).__module__}.{type(thing).__qualname__}"
