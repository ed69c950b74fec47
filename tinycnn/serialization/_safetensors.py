"""Safetensors files: 8 bytes with the header's size, the header in JSON, the arrays."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from .._tensor import Tensor, wrap

READ_AS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",  # widened to float32 below
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


def read_header(file: Any, size: int) -> tuple[dict[str, Any], int]:
    """The checked header of an open file of `size` bytes, and where the arrays begin.

    Raises:
        ValueError: if it is no such file, or if the arrays do not lie gap by gap in what follows the header.
    """
    file.seek(0)
    begin = 8 + int.from_bytes(file.read(8), "little")
    if file.read(1) != b"{":
        raise ValueError(f"not a safetensors file ({size} bytes, no header at the start), and none of torch.save")
    if begin > size:
        raise ValueError(f"cut short: the header needs {begin} bytes, the file has {size}")
    file.seek(8)
    try:
        header = json.loads(file.read(begin - 8))
        end = _checked_end(header)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a safetensors file, or damaged ({error})") from None
    if begin + end > size:
        raise ValueError(f"cut short: the header announces {begin + end} bytes, the file has {size}")
    if begin + end < size:
        raise ValueError(f"damaged: the header announces {begin + end} bytes, the file has {size}")
    return header, begin


def _checked_end(header: dict[str, Any]) -> int:
    """Where the last array ends. Each must begin where the one before it ends, and have the size of its shape."""
    entries = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
    strings = header.get("__metadata__", {})
    if not all(isinstance(value, str) for value in strings.values()):
        raise ValueError("__metadata__ must be a table of strings")
    end = 0
    for name, entry in sorted(entries, key=lambda item: tuple(item[1]["data_offsets"])):
        start, stop = entry["data_offsets"]
        shape, kind = entry["shape"], entry["dtype"]
        numbers = [start, stop, *shape]
        if not all(type(n) is int and 0 <= n < 2**63 for n in numbers) or start != end or len(shape) > 64:
            raise ValueError(
                f"{name!r} must begin at {end}, its offsets are {entry['data_offsets']}, its shape {shape}"
            )
        if kind in READ_AS and stop - start != math.prod(shape) * np.dtype(READ_AS[kind]).itemsize:
            raise ValueError(f"{name!r} of shape {shape} and dtype {kind} has {stop - start} bytes")
        if stop < start:
            raise ValueError(f"{name!r} ends before it begins")
        end = stop
    return end


def read_tensor(file: Any, name: str, entry: dict[str, Any], begin: int) -> Tensor:
    """The tensor that an entry of the header describes.

    Raises:
        ValueError: if it has a dtype that is not here.
    """
    kind = entry["dtype"]
    if kind not in READ_AS:
        raise ValueError(f"{name!r} has the dtype {kind}; tinycnn reads {', '.join(READ_AS)}")
    file.seek(begin + entry["data_offsets"][0])
    array = np.empty(entry["shape"], READ_AS[kind])
    if array.size:
        file.readinto(memoryview(array.reshape(-1).data).cast("B"))
    if kind == "BOOL":
        array = array.view(np.uint8) != 0
    if kind == "BF16":  # the upper half of a float32
        array = np.asarray((array.astype(np.uint32) << 16).view(np.float32))
    return wrap(array.astype(array.dtype.newbyteorder("="), copy=False))
