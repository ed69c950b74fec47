"""Saving and loading: nested containers with tensors in them, as safetensors files.

A safetensors file holds named arrays and a table of strings. The arrays are the tensors; how dicts, lists and plain
values nest around them stands as JSON in that table. So the file of a `state_dict` opens in every program that reads
safetensors, under the parameters' own names, and nothing in a file can run code.

Format: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from ._device import device as Device
from ._tensor import Tensor, wrap

_STRUCTURE = "tinycnn.structure"  # the key of our JSON in the file's table of strings
_READ_AS = {
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
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"


def save(obj: Any, f: str | os.PathLike[str]) -> None:
    """Write `obj` into the file `f`, whole or not at all: it is written beside `f` and then moved into its place.

    Args:
        obj: a Tensor, or dicts (keys str or int), lists and tuples, nested at will, of Tensors, str, int, float, bool
            and None. A tensor that occurs twice, and the memory that two views share, is written twice.
        f: where to.

    Raises:
        TypeError: for anything else within `obj`; the text says where.
        OSError: if the file cannot be written; an older file of that name is still as it was.
    """
    path = _as_path(f, "save")
    arrays: dict[str, np.ndarray] = {}
    structure = json.dumps(_take_apart(obj, (), arrays))

    from safetensors.numpy import save as to_bytes  # `import tinycnn` stays quick

    content = to_bytes(arrays, metadata={_STRUCTURE: structure})
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def load(f: str | os.PathLike[str], map_location: Device | str | None = None) -> Any:
    """Read a safetensors file: what `save` was given or, for a file of another program, a dict from name to Tensor.

    float64, float32, float16, int64, int32, int16, int8, uint8 and bool keep their dtype; bfloat16 is widened to
    float32, without loss. The tensors do not require gradients.

    Args:
        f: the file.
        map_location: the device to put the tensors on; the CPU if None.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no safetensors file, is cut short or damaged, or holds another dtype; the text names the
            file and the reason.
    """
    path = _as_path(f, "load")
    header, begin = _read_header(path)
    strings = header.pop("__metadata__", {})
    tensors = {name: _read_tensor(path, name, entry, begin, map_location) for name, entry in header.items()}
    if _STRUCTURE not in strings:
        return tensors
    try:
        return _put_together(json.loads(strings[_STRUCTURE]), tensors)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise ValueError(f"{path}: the description of its structure is damaged ({error})") from None


def _as_path(f: Any, who: str) -> Path:
    if not isinstance(f, (str, os.PathLike)):
        raise TypeError(f"{who}: expected the path of a file, got {type(f).__name__}")
    return Path(f)


# -- the structure: each container is {"kind": content}, plain values stand for themselves ---------------------------


def _take_apart(obj: Any, place: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    """JSON for `obj`; its tensors go into `arrays`, named after the keys that lead to them."""
    if isinstance(obj, Tensor):
        name = _fresh_name(".".join(place) or "tensor", arrays)
        arrays[name] = np.ascontiguousarray(obj.detach().cpu().array).reshape(obj.shape)  # 0-d stays 0-d
        return {"tensor": name}
    if isinstance(obj, dict):
        for key in obj:
            if isinstance(key, bool) or not isinstance(key, (str, int)):
                raise TypeError(f"save: {_where(place)} has the key {key!r}; keys must be str or int")
        return {"dict": [[key, _take_apart(value, (*place, str(key)), arrays)] for key, value in obj.items()]}
    if isinstance(obj, (list, tuple)):
        kind = "list" if isinstance(obj, list) else "tuple"
        return {kind: [_take_apart(value, (*place, str(i)), arrays) for i, value in enumerate(obj)]}
    if isinstance(obj, float):
        return float(obj) if math.isfinite(obj) else {"float": str(float(obj))}
    if obj is None or isinstance(obj, (str, bool, int)):
        return obj
    raise TypeError(
        f"save: {_where(place)} is a {type(obj).__module__}.{type(obj).__qualname__}; what can be saved are tensors, "
        "str, int, float, bool and None, in dicts, lists and tuples. For a model, save model.state_dict()"
    )


def _where(place: tuple[str, ...]) -> str:
    return "obj" + "".join(f"[{key!r}]" for key in place)


def _fresh_name(name: str, taken: dict[str, np.ndarray]) -> str:
    """`name`, or with a number behind it if it is taken (the keys ``a.b`` and ``a`` -> ``b``) or the format's own."""
    candidate, number = name, 1
    while candidate in taken or candidate == "__metadata__":
        number += 1
        candidate = f"{name}#{number}"
    return candidate


def _put_together(node: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `_take_apart`."""
    if not isinstance(node, dict):
        if isinstance(node, list):
            raise ValueError("a list without its kind")
        return node
    [(kind, content)] = node.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _put_together(value, tensors) for key, value in content}
    if kind == "list":
        return [_put_together(value, tensors) for value in content]
    if kind == "tuple":
        return tuple(_put_together(value, tensors) for value in content)
    if kind == "float":
        return float(content)
    raise ValueError(f"unknown kind {kind!r}")


# -- the file: 8 bytes with the header's size, the header in JSON, the arrays ------------------------------------------


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The checked header, and where the arrays begin."""
    with open(path, "rb") as file:
        head = file.read(8)
        size = os.fstat(file.fileno()).st_size
        begin = 8 + int.from_bytes(head, "little")
        if file.read(1) != b"{":
            if head.startswith((_ZIP, _PICKLE)):
                raise ValueError(
                    f"{path}: this looks like a file of torch.save (zip or pickle), which can run code when it is "
                    "loaded; tinycnn reads safetensors. In PyTorch: safetensors.torch.save_file(state_dict, path)"
                )
            raise ValueError(f"{path}: not a safetensors file ({size} bytes, no header at the start)")
        if begin > size:
            raise ValueError(f"{path}: cut short: the header needs {begin} bytes, the file has {size}")
        file.seek(8)
        raw = file.read(begin - 8)

    from safetensors import SafetensorError, safe_open

    try:
        with contextlib.suppress(json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            header = json.loads(raw)
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            if begin + max(ends, default=0) > size:
                needed = begin + max(ends)
                raise ValueError(f"{path}: cut short: the header announces {needed} bytes, the file has {size}")
        with safe_open(path, "np"):  # checks offsets against sizes, overlaps, gaps and names
            pass
    except (SafetensorError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{path}: not a safetensors file, or damaged ({error})") from None
    return header, begin


def _read_tensor(path: Path, name: str, entry: dict[str, Any], begin: int, place: Any) -> Tensor:
    kind = entry["dtype"]
    if kind not in _READ_AS:
        raise ValueError(f"{path}: {name!r} has the dtype {kind}; tinycnn reads {', '.join(_READ_AS)}")
    count = math.prod(entry["shape"])
    array = np.fromfile(path, _READ_AS[kind], count, offset=begin + entry["data_offsets"][0]).reshape(entry["shape"])
    if kind == "BF16":  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    tensor = wrap(native)
    return tensor if place is None else tensor.to(place)
