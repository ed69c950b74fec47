"""From one dtype to another, and questions about dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from .._device import CPU, pinned
from .._device import is_pinned as pinned_already
from .._tensor import Size, Tensor, need, wrap
from ..ops import create
from ..ops.elementwise import cast, where


def conversion(dtype: dtypes.dtype) -> Callable[..., Tensor]:
    """Make the method that converts to `dtype`."""

    def method(self: Tensor, memory_format: Any = None) -> Tensor:
        return cast(self, dtype)

    method.__name__ = method.__qualname__ = dtype.name
    method.__doc__ = f"This tensor in {dtype}; itself if it is so already."
    return method


class TensorType:
    """PyTorch's old names for dtypes, such as ``FloatTensor``: makes tensors, and names a type to convert to."""

    def __init__(self, name: str, dtype: dtypes.dtype) -> None:
        self.__name__ = self.__qualname__ = name
        self.dtype = dtype

    def __call__(self, *data: Any) -> Tensor:
        """``FloatTensor(2, 3)`` is uninitialised and of that shape, ``FloatTensor([2, 3])`` holds these numbers."""
        if not data or (isinstance(data[0], int) and not isinstance(data[0], bool)) or isinstance(data[0], Size):
            return create.empty(*(data or (0,)), dtype=self.dtype)
        if len(data) != 1 or not hasattr(data[0], "__len__"):
            raise TypeError(f"{self.__name__}: expected sizes, or one sequence of numbers, got {data!r}")
        return create.tensor(data[0], dtype=self.dtype)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is self.dtype

    def __repr__(self) -> str:
        return f"<class 'tinycnn.{self.__name__}'>"


TYPES = {
    kind.name: TensorType(f"{name}Tensor", kind)
    for name, kind in (
        ("Half", dtypes.float16),
        ("Float", dtypes.float32),
        ("Double", dtypes.float64),
        ("Byte", dtypes.uint8),
        ("Char", dtypes.int8),
        ("Short", dtypes.int16),
        ("Int", dtypes.int32),
        ("Long", dtypes.int64),
        ("Bool", dtypes.bool_),
    )
}
HalfTensor, FloatTensor, DoubleTensor = TYPES["float16"], TYPES["float32"], TYPES["float64"]
ByteTensor, CharTensor, ShortTensor = TYPES["uint8"], TYPES["int8"], TYPES["int16"]
IntTensor, LongTensor, BoolTensor = TYPES["int32"], TYPES["int64"], TYPES["bool"]


def _kind(dtype: Any) -> dtypes.dtype:
    if isinstance(dtype, TensorType):
        return dtype.dtype
    if isinstance(dtype, str):
        for known in TYPES.values():
            if dtype.split(".")[-1] == known.__name__:
                return known.dtype
        raise ValueError(f"type: {dtype!r} is none of {', '.join(t.__name__ for t in TYPES.values())}")
    return dtypes.as_dtype(dtype)


def type(input: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """`input` in `dtype` (also ``"FloatTensor"`` and the like); without `dtype`, that name of its own dtype."""
    if dtype is None:
        return f"tinycnn.{TYPES[input.dtype.name].__name__}"
    return cast(input, _kind(dtype))


def type_as(input: Tensor, other: Tensor) -> Tensor:
    """`input` in the dtype of `other`."""
    need("type_as", other)
    return cast(input, other.dtype)


def pin_memory(input: Tensor, device: Any = None) -> Tensor:
    """`input` in page-locked memory of the host, from which GPUs copy by themselves; itself if it is there already.

    It has no history. ``to("cuda", non_blocking=True)`` makes use of it.

    Raises:
        RuntimeError: for a tensor on a GPU; if there is no GPU, in words.
    """
    need("pin_memory", input)
    if input.device is not CPU:
        raise RuntimeError(f"pin_memory: only memory of the CPU can be pinned, this tensor is on {input.device}")
    found = pinned(input.array)
    return input if found is input.array else wrap(found)


def is_pinned(input: Tensor, device: Any = None) -> bool:
    """Whether this tensor, or the one it is a view of, was made by `pin_memory`."""
    return input.device is CPU and pinned_already(input.array)


def set_default_tensor_type(t: Any) -> None:
    """The old form of `set_default_dtype`: takes ``FloatTensor`` or its name."""
    dtypes.set_default_dtype(_kind(t))


def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The dtype of an operation on two tensors or numbers: the one with dimensions decides, unless the other's category
    (bool < int < float) is higher.
    """
    ranks: list[dtypes.dtype | None] = [None, None, None]
    for value in (tensor1, tensor2):
        if isinstance(value, Tensor):
            place, kind = (0 if value.array.ndim else 1), value.dtype
        else:
            place, kind = 2, dtypes.scalar_dtype(value)
        known = ranks[place]
        ranks[place] = kind if known is None else dtypes.promote_types(known, kind)
    return dtypes.result_type(*ranks)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is float16, float32 or float64."""
    need("is_floating_point", input)
    return input.array.dtype.kind == "f"


def is_complex(input: Tensor) -> bool:
    """False: there are no complex numbers here."""
    need("is_complex", input)
    return False


def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself: no tensor here waits to be negated."""
    need("resolve_neg", input)
    return input


def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: no tensor here is complex."""
    need("resolve_conj", input)
    return input


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not 0.

    Raises:
        RuntimeError: if there is not exactly one element.
    """
    need("is_nonzero", input)
    return bool(input)


def is_signed(input: Tensor) -> bool:
    """Whether the dtype holds negative numbers."""
    return input.dtype.is_signed


def numel(input: Tensor) -> int:
    """The number of elements."""
    need("numel", input)
    return input.array.size


def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like `input` with every element `value`, a number or a 0-d tensor, to which the gradient goes.

    Raises:
        RuntimeError: if `value` has dimensions, or does not fit into the dtype.
    """
    need("fill", input)
    if not isinstance(value, Tensor):
        value = wrap(np.asarray(dtypes.number("fill", value, input.array.dtype)), input.device)
    if value.array.ndim:
        raise RuntimeError(f"fill: expected one number, got shape {tuple(value.array.shape)}")
    return where(create.ones_like(input, dtype=dtypes.bool_), cast(value, input.dtype), input)


# -- new tensors like a given one: Tensor.new_* -----------------------------------------------------------------------


def new_zeros(
    self: Any,
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Zeros of shape `size` in this dtype and place."""
    return create.zeros(
        *sizes, size=size, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad
    )


def new_ones(
    self: Any,
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Ones of shape `size` in this dtype and place."""
    return create.ones(
        *sizes, size=size, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad
    )


def new_empty(
    self: Any,
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Uninitialised memory of shape `size` in this dtype and place."""
    return create.empty(
        *sizes, size=size, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad
    )


def new_full(
    self: Any,
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """`fill_value` in shape `size` in this dtype and place."""
    return create.full(
        size, fill_value, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad
    )


def new_tensor(
    self: Any,
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """A copy of `data` in this dtype and place."""
    return create.tensor(data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)
