"""Many arrays in one launch: a kernel takes the addresses of array objects, and finds their elements itself.

A list of arrays would cost Numba a microsecond for each of them, and asking NumPy for their addresses two. `id(array)`
is the address of the object; an array object begins with Python's header, after which comes the pointer to its
elements (NumPy's ABI: that is what PyArray_DATA reads).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from .jit import helper


def addresses(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """Where the array objects are; whoever asks keeps them alive."""
    return np.array(list(map(id, arrays)), np.int64)


@intrinsic
def _elements(typing: Any, address: Any, like: Any) -> Any:
    """The pointer to the elements of the array object at `address`, whose dtype is that of the number `like`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = context.get_value_type(signature.return_type)
        place = builder.add(args[0], ir.Constant(ir.IntType(64), object.__basicsize__))
        return builder.load(builder.inttoptr(place, pointer.as_pointer()))

    return types.CPointer(like)(types.int64, like), codegen


@helper
def chunk(address, start, end, like):
    """Elements start .. end - 1 of the contiguous array object at `address`, as a 1-D array."""
    return carray(_elements(address, like), (end,))[start:]
