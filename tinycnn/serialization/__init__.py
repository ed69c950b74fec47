"""Saving and loading: nested containers with tensors in them, as safetensors files; and reading PyTorch's files.

A safetensors file holds named arrays and a table of strings. The arrays are the tensors; how dicts, lists and plain
values nest around them stands as JSON in that table. So the file of a `state_dict` opens in every program that reads
safetensors, under the parameters' own names, and nothing in a file can run code.

Format: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
from pathlib import Path
from typing import Any

from .._device import device as Device
from .._tensor import Tensor
from ._location import location_to_device
from ._safetensors import read_header, read_tensor
from ._structure import PuttingTogether, TakingApart

__all__ = ["load", "register_parameter", "save"]

_STRUCTURE = "tinycnn.structure"  # the key of our JSON in the file's table of strings
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"  # how the files of torch.save begin
_parameter: Any = None


def register_parameter(kind: type[Tensor]) -> type[Tensor]:
    """Make `kind` the class of tensors that were saved as parameters. `nn` does, which stands above this room."""
    global _parameter
    _parameter = kind
    return kind


def _as_parameter(data: Tensor, requires_grad: bool) -> Tensor:
    return data.requires_grad_(requires_grad) if _parameter is None else _parameter(data, requires_grad)


def save(
    obj: Any,
    f: str | os.PathLike[str] | Any,
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write `obj` into the file `f`, whole or not at all: it is written beside `f` and then moved into its place.

    Views of one memory share it again when they are loaded, and an object that occurs twice is one object again.

    Args:
        obj: a Tensor, or dicts (keys str or int), lists and tuples, nested at will, of Tensors, Parameters, str, bytes,
            int, float, bool, None, dtypes and devices. NumPy's numbers become Python's.
        f: where to: a path, or an open binary file.
        pickle_module, pickle_protocol, _use_new_zipfile_serialization: accepted; nothing is pickled.

    Raises:
        TypeError: for anything else within `obj`; the text says where.
        OSError: if the file cannot be written; an older file of that name is still as it was.
    """
    if not hasattr(f, "write") and not isinstance(f, (str, os.PathLike)):
        raise TypeError(f"save: expected the path of a file or an open binary file, got {type(f).__name__}")
    parts = TakingApart(obj, _parameter)
    structure = json.dumps(parts.structure)

    from safetensors.numpy import save as to_bytes  # `import tinycnn` stays quick

    content = to_bytes(parts.arrays, metadata={_STRUCTURE: structure})
    if hasattr(f, "write"):
        f.write(content)
        return
    target = Path(os.path.realpath(f))
    draft = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with open(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        if isinstance(error, OSError):  # it names the draft
            reason = error.strerror if target.parent.is_dir() else f"there is no folder {str(target.parent)!r}; make it"
            raise type(error)(error.errno, f"save: {reason}", os.fspath(f)) from None
        raise


def load(
    f: str | os.PathLike[str] | Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    encoding: str = "utf-8",
) -> Any:
    """What `save` was given; from another program's safetensors file a dict from name to Tensor; and what
    ``torch.save`` wrote (the zip format and the one before PyTorch 1.6).

    No file can run code: PyTorch's are read by a reader that knows tensors, parameters, containers, plain values,
    ``torch.Size``, devices, dtypes and NumPy's numbers, and refuses everything else by its name.

    float64, float32, float16, int64, int32, int16, int8, uint8 and bool keep their dtype; bfloat16 is widened to
    float32, without loss.

    Args:
        f: a path, or an open binary file.
        map_location: where the tensors go: a device, its name, or as in PyTorch a dict or a function. The CPU if None,
            wherever they were saved.
        pickle_module, weights_only, mmap, encoding: accepted; every file is read in the same safe way.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no such file, is cut short or damaged, or holds something else; the text names the file and
            the reason.
    """
    if hasattr(f, "read"):
        content = f.read()
        if not isinstance(content, (bytes, bytearray)):
            raise TypeError("load: the file must be open for reading bytes, as by open(path, 'rb')")
        name, file, size = getattr(f, "name", "the open file"), io.BytesIO(content), len(content)
        return _load(name, file, size, map_location)
    if not isinstance(f, (str, os.PathLike)):
        raise TypeError(f"load: expected the path of a file or an open binary file, got {type(f).__name__}")
    with open(f, "rb") as opened:
        return _load(f, opened, os.fstat(opened.fileno()).st_size, map_location)


def _load(name: Any, file: Any, size: int, map_location: Any) -> Any:
    try:
        if file.read(8).startswith((_ZIP, _PICKLE)):
            file.seek(8)
            if file.read(1) != b"{":
                from ._torch import load_torch  # `import tinycnn` stays quick

                return load_torch(file, size, map_location, _as_parameter)
        header, begin = read_header(file, size)
        strings = header.pop("__metadata__", {})
        place: Device = location_to_device(map_location, "cpu")
        tensors = {}
        for key, entry in header.items():
            tensor = read_tensor(file, key, entry, begin)
            tensors[key] = tensor if place.type == "cpu" else tensor.to(place)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if _STRUCTURE not in strings:
        return tensors
    try:
        return PuttingTogether(tensors, _as_parameter).value(json.loads(strings[_STRUCTURE]))
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, RuntimeError) as error:
        raise ValueError(f"{name}: the description of its structure is damaged ({error})") from None
