"""Reads the files of ``torch.save`` without torch, and without running anything in them.

A file is a pickle of containers, in which each tensor refers to a storage, plus the storages' bytes. Since PyTorch 1.6
it is a zip archive (``NAME/data.pkl``, ``NAME/data/KEY``, nothing compressed); before, it was four pickles, a list of
the storages' keys, and each storage as an 8-byte count followed by its elements. `_pickle` reads the pickles; here are
the only names that a file may use.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import zipfile
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import dtypes
from .._device import device as Device
from .._tensor import Size, Tensor, Version, wrap
from ._location import location_to_device
from ._pickle import Name, PickleError, Source, checked_key, read_pickle
from ._views import are_counts, strided

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

# storage type -> dtype in the file, dtype of the tensors
_STORAGES: dict[str, tuple[str, str]] = {
    "DoubleStorage": ("f8", "f8"),
    "FloatStorage": ("f4", "f4"),
    "HalfStorage": ("f2", "f2"),
    "BFloat16Storage": ("u2", "f4"),  # bfloat16 is the upper half of a float32, to which it is widened
    "LongStorage": ("i8", "i8"),
    "IntStorage": ("i4", "i4"),
    "ShortStorage": ("i2", "i2"),
    "CharStorage": ("i1", "i1"),
    "ByteStorage": ("u1", "u1"),
    "BoolStorage": ("u1", "?"),
}
_STORAGE_NAMES = {f"{room}.{name}": name for name in _STORAGES for room in ("torch", "torch.cuda", "torch.storage")}
_DTYPES = {f"torch.{d.name}": d for d in dtypes.FROM_NUMPY.values()}
_FACTORIES: dict[str, Callable[[], Any]] = {
    f"{room}.{kind.__name__}": kind
    for room in ("builtins", "__builtin__")
    for kind in (list, dict, set, tuple, int, float, bool, str)
}
_FACTORIES["collections.OrderedDict"] = OrderedDict
_NUMPY_CODES = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1")


class _NumpyDtype:
    """A NumPy dtype, which gets its byte order by a BUILD."""

    def __init__(self, code: str) -> None:
        self.dtype = np.dtype(code)

    def set_order(self, state: Any) -> None:
        if type(state) is not tuple or len(state) < 2 or type(state[1]) is not str or state[1] not in "<>|=":
            raise PickleError("a NumPy dtype of another kind")
        self.dtype = self.dtype.newbyteorder(state[1])  # type: ignore[arg-type]


def _fill_numpy(target: np.ndarray, state: Any) -> None:
    if type(state) is not tuple or len(state) != 5 or not isinstance(state[2], _NumpyDtype):
        raise PickleError("a NumPy array of another kind")
    _, shape, kind, fortran, content = state
    if type(shape) is not tuple or not are_counts(shape) or type(content) is not bytes or type(fortran) is not bool:
        raise PickleError("a NumPy array of another kind")
    if len(shape) > 64 or len(content) != math.prod(shape) * kind.dtype.itemsize:
        raise PickleError(f"a NumPy array of shape {shape} with {len(content)} bytes")
    target.__setstate__((1, shape, kind.dtype, fortran, content))  # type: ignore[arg-type]


def _flag(requires_grad: Any, hooks: Any) -> None:
    """Refuse what is no flag, and hooks, which are code: a file may only have none or an empty dict of them."""
    if type(requires_grad) is not bool:
        raise PickleError("requires_grad must be True or False")
    if hooks is not None and not (isinstance(hooks, dict) and not hooks):
        raise PickleError("a tensor with hooks, which are code")


def _list(items: Any) -> Any:
    if type(items) not in (list, tuple):
        raise PickleError(f"a list is expected, not a {type(items).__name__}")
    return items


def _plain(result: Any) -> Any:
    """`result`, if nothing within it stands for something that could not be made."""
    seen, waiting = set(), [result]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (Name, Storage, _NumpyDtype)):
            what = value.full if isinstance(value, Name) else f"a bare {type(value).__name__.strip('_')}"
            raise PickleError(f"the file holds {what} as a value; files may hold tensors and plain values only")
        if isinstance(value, (dict, list, tuple, set, frozenset)) and id(value) not in seen:
            seen.add(id(value))
            waiting += value.values() if isinstance(value, dict) else value
            waiting += getattr(value, "__dict__", {}).values()
    return result


class Storage:
    """A piece of memory: `file` receives the bytes, `array` is what the tensors show (another dtype for some)."""

    def __init__(self, kind: str, count: int, place: Device) -> None:
        raw, shown = (np.dtype(code) for code in _STORAGES[kind])
        self.kind, self.place, self.version = kind, place, Version()
        self.file = np.empty(count, raw)
        self.array = self.file if raw == shown else np.zeros(count, shown)
        self.filled = False

    @property
    def nbytes(self) -> int:
        return self.file.nbytes

    def finish(self, swap: bool = False) -> None:
        """Turn what the file gave into what the tensors show."""
        if swap:
            self.file.byteswap(inplace=True)
        if self.kind == "BFloat16Storage":
            self.array.view(np.uint32)[:] = self.file.astype(np.uint32) << 16
        elif self.kind == "BoolStorage":
            self.array[:] = self.file != 0
        self.filled = True


class TorchReader:
    """Builds what one file describes. `storage` asks the file's format for a piece of memory."""

    def __init__(self, map_location: Any, parameter: Callable[[Tensor, bool], Tensor]) -> None:
        self.map_location, self.parameter = map_location, parameter
        self.storages: dict[str, Storage] = {}
        self.allowed = 0  # bytes that the storages may have together
        self.later: list[tuple[Tensor, Device]] = []  # what goes to another device in the end

    # -- storages -------------------------------------------------------------------------------------------------

    def persistent(self, reference: Any) -> Storage:
        """The storage that a pickle refers to by ("storage", type, key, location, count[, view])."""
        what = reference[0] if type(reference) is tuple and reference and type(reference[0]) is str else "something"
        if what != "storage" or len(reference) not in (5, 6):
            raise PickleError(f"a reference to {what[:40]!r}, which is no storage of numbers")
        _, kind, key, location, count = reference[:5]
        if not isinstance(kind, Name) or kind.full not in _STORAGE_NAMES:
            found = kind.full if isinstance(kind, Name) else type(kind).__name__
            raise PickleError(f"a storage of type {found}; those that can be read are {', '.join(_STORAGES)}")
        if type(key) is not str or type(location) is not str or type(count) is not int or count < 0:
            raise PickleError("a storage's key and location must be texts, its size a count")
        kind_name = _STORAGE_NAMES[kind.full]
        storage = self.storages.get(key)
        if storage is None:
            self.allowed -= count * np.dtype(_STORAGES[kind_name][0]).itemsize
            if self.allowed < 0:
                raise PickleError(f"the storage {key[:40]!r} of {count} elements is larger than the file")
            storage = Storage(kind_name, count, location_to_device(self.map_location, location))
            self.storages[key] = storage
            self.opened(key, storage)
        elif storage.kind != kind_name or storage.file.size != count:
            raise PickleError(f"the storage {key[:40]!r} occurs with two types or sizes")
        if len(reference) == 6 and reference[5] is not None:
            return self.view(storage, reference[5])
        return storage

    def opened(self, key: str, storage: Storage) -> None:
        """Called for each new storage; a format that can fills it now."""

    def view(self, storage: Storage, description: Any) -> Storage:
        """A part of a storage, (key, offset, count), as the legacy format has it."""
        if type(description) is not tuple or len(description) != 3 or not are_counts(description[1:]):
            raise PickleError("a part of a storage must be given by a key and two counts")
        _, start, count = description
        if start + count > storage.file.size:
            raise PickleError(f"a part from {start} to {start + count} of a storage of {storage.file.size} elements")
        part = Storage.__new__(Storage)
        part.kind, part.place, part.version, part.filled = storage.kind, storage.place, storage.version, True
        part.file, part.array = storage.file[start : start + count], storage.array[start : start + count]
        return part

    # -- values ---------------------------------------------------------------------------------------------------

    def find(self, name: str) -> Any:
        """What stands for a name: a dtype, or a `Name` that `reduce` or `persistent` knows."""
        if name in _DTYPES:
            return _DTYPES[name]
        if name in _CALLS or name in _STORAGE_NAMES or name in _FACTORIES or name == "numpy.ndarray":
            return Name(name)
        kind = "files may hold tensors and plain values only. A whole model (torch.save(model)) cannot be read; save "
        kind += "model.state_dict() in PyTorch"
        if "Storage" in name or name.startswith("torch._utils."):
            kind = "tinycnn has no tensors of this kind"
        raise PickleError(f"the file names {name[:200]}, which is refused: {kind}")

    def reduce(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name not in _CALLS:
            raise PickleError(f"the file calls {name}, which is refused")
        try:
            return _CALLS[name](self, *arguments)
        except (TypeError, IndexError, KeyError, AttributeError, RuntimeError) as error:
            raise PickleError(f"the file calls {name} with other arguments than PyTorch does ({error})") from None

    def tensor(
        self, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, hooks: Any = None, *_: Any
    ) -> Tensor:
        """The tensor that shows `storage` from `offset` on with these sizes and strides."""
        if not isinstance(storage, Storage):
            raise PickleError(f"a tensor on a {type(storage).__name__} instead of a storage")
        _flag(requires_grad, hooks)
        try:
            array = strided(storage.array, offset, size, stride)
        except ValueError as error:
            raise PickleError(str(error)) from None
        made = wrap(array)
        made._version_counter = storage.version
        if storage.place.type != "cpu":
            self.later.append((made, storage.place))
        if requires_grad:
            made.requires_grad_(True)
        return made

    def tensor_v3(
        self, storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *_: Any
    ) -> Tensor:
        raise PickleError("a tensor of a dtype that is not here, such as uint16")

    def make_parameter(self, data: Any, requires_grad: Any = True, hooks: Any = None) -> Tensor:
        if not isinstance(data, Tensor):
            raise PickleError("a parameter must be made of a tensor")
        _flag(requires_grad, hooks)
        made = self.parameter(data, requires_grad)
        self.later += [(made, place) for tensor, place in self.later if tensor is data]
        return made

    def ordered_dict(self, items: Any = ()) -> OrderedDict[Any, Any]:
        return OrderedDict((checked_key(key), value) for key, value in _list(items))

    def default_dict(self, factory: Any = None) -> defaultdict[Any, Any]:
        if factory is not None and not (isinstance(factory, Name) and factory.full in _FACTORIES):
            raise PickleError("a defaultdict with a factory that is refused")
        return defaultdict(None if factory is None else _FACTORIES[factory.full])

    def counter(self, counts: Any = None) -> Counter[Any]:
        if counts is not None and type(counts) is not dict:
            raise PickleError("a Counter must be made of a dict")
        made: Counter[Any] = Counter()
        for key, count in (counts or {}).items():
            made[key] = count
        return made

    def encode(self, text: Any, encoding: Any = "utf-8") -> bytes:
        if type(text) is not str or type(encoding) is not str or encoding not in ("latin1", "utf-8", "ascii"):
            raise PickleError("bytes must be written as a text in latin1")
        return text.encode(encoding)

    def device(self, kind: Any, index: Any = None) -> Device:
        if type(kind) is not str or not (index is None or type(index) is int):
            raise PickleError("a device is a name and a number")
        try:
            return Device(kind, index)
        except RuntimeError as error:
            raise PickleError(str(error)) from None

    def size(self, size: Any) -> Size:
        if type(size) is not tuple or not are_counts(size):
            raise PickleError("a torch.Size is a tuple of counts")
        return Size(size)

    def complex(self, real: Any, imag: Any) -> complex:
        if type(real) is not float or type(imag) is not float:
            raise PickleError("a complex number is made of two floats")
        return complex(real, imag)

    def numpy_dtype(self, code: Any, *_: Any) -> _NumpyDtype:
        if type(code) is not str or code not in _NUMPY_CODES:
            raise PickleError("a NumPy dtype other than those of numbers")
        return _NumpyDtype(code)

    def numpy_scalar(self, kind: Any, content: Any) -> Any:
        if not isinstance(kind, _NumpyDtype) or type(content) is not bytes or len(content) != kind.dtype.itemsize:
            raise PickleError("a NumPy number must be made of a dtype and as many bytes as it has")
        return np.frombuffer(content, kind.dtype).astype(kind.dtype.newbyteorder("="))[0]

    def numpy_array(self, kind: Any, shape: Any, code: Any) -> np.ndarray:
        if not isinstance(kind, Name) or kind.full != "numpy.ndarray":
            raise PickleError("a NumPy array of another class")
        return np.empty(0, np.int8)  # `build` fills it

    def set(self, items: Any = ()) -> set[Any]:
        return set(map(checked_key, _list(items)))

    def frozenset(self, items: Any = ()) -> frozenset[Any]:
        return frozenset(map(checked_key, _list(items)))

    def build(self, target: Any, state: Any) -> None:
        """The states that occur: a state_dict's `_metadata`, and those of NumPy's dtypes and arrays."""
        if isinstance(target, OrderedDict) and type(state) is dict and set(state) <= {"_metadata"}:
            if state:
                target._metadata = state["_metadata"]  # type: ignore[attr-defined]
        elif isinstance(target, _NumpyDtype):
            target.set_order(state)
        elif type(target) is np.ndarray and not target.size:
            _fill_numpy(target, state)
        else:
            raise PickleError(f"the file gives a state to a {type(target).__name__}, which is refused")

    def read(self, source: Source) -> Any:
        return read_pickle(source, self.find, self.reduce, self.build, self.persistent)

    def finished(self, result: Any) -> Any:
        """`result`, once all its values are known to be plain, and its tensors are where they belong."""
        for storage in self.storages.values():
            if not storage.filled:
                raise PickleError("a storage is missing; the file is cut short")
        for tensor, place in self.later:
            moved = tensor.detach().to(place)
            tensor.array, tensor.device, tensor._version_counter = moved.array, moved.device, None
        return _plain(result)


_CALLS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": TorchReader.tensor,
    "torch._utils._rebuild_tensor_v2": TorchReader.tensor,
    "torch._utils._rebuild_tensor_v3": TorchReader.tensor_v3,
    "torch._utils._rebuild_parameter": TorchReader.make_parameter,
    "torch.device": TorchReader.device,
    "torch.Size": TorchReader.size,
    "collections.OrderedDict": TorchReader.ordered_dict,
    "collections.defaultdict": TorchReader.default_dict,
    "collections.Counter": TorchReader.counter,
    "_codecs.encode": TorchReader.encode,
    "numpy.dtype": TorchReader.numpy_dtype,
}
for _room in ("builtins", "__builtin__"):
    _CALLS[f"{_room}.set"] = TorchReader.set
    _CALLS[f"{_room}.frozenset"] = TorchReader.frozenset
    _CALLS[f"{_room}.complex"] = TorchReader.complex
for _room in ("numpy.core", "numpy._core"):
    _CALLS[f"{_room}.multiarray.scalar"] = TorchReader.numpy_scalar
    _CALLS[f"{_room}.multiarray._reconstruct"] = TorchReader.numpy_array


@contextlib.contextmanager
def _zip_errors() -> Iterator[None]:
    """What `zipfile` raises for damaged archives, as one error."""
    try:
        yield
    except PickleError:
        raise
    except (zipfile.BadZipFile, EOFError, OSError, OverflowError, RuntimeError, ValueError, struct.error) as error:
        raise PickleError(f"the zip file is damaged, or of another program ({error})") from None


class _ZipReader(TorchReader):
    """The format since PyTorch 1.6."""

    def __init__(self, archive: zipfile.ZipFile, size: int, *how: Any) -> None:
        super().__init__(*how)
        self.archive, self.allowed = archive, size
        entries = archive.infolist()
        self.entries = {entry.filename: entry for entry in entries}
        if len(self.entries) != len(entries):
            raise PickleError("two entries of the archive have the same name")
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise PickleError(f"{entry.filename!r} is compressed, which torch.save does not do")
        if sum(entry.file_size for entry in entries) > size:
            raise PickleError("the entries of the archive overlap: together they are larger than the file")
        roots = [name.removesuffix("/data.pkl") for name in self.entries if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise PickleError("the archive must have one entry NAME/data.pkl, as torch.save writes it")
        self.root = roots[0]
        if f"{self.root}/constants.pkl" in self.entries:
            raise PickleError("this is a TorchScript archive, which holds code; save model.state_dict() in PyTorch")
        order = f"{self.root}/byteorder"
        self.swap = order in self.entries and self._whole(order) == b"big"

    def _whole(self, name: str) -> bytes:
        with _zip_errors():
            return self.archive.read(name)

    def opened(self, key: str, storage: Storage) -> None:
        name = f"{self.root}/data/{key}"
        entry = self.entries.get(name)
        if entry is None or entry.file_size != storage.nbytes:
            have = "is missing" if entry is None else f"has {entry.file_size} bytes instead of {storage.nbytes}"
            raise PickleError(f"the entry {name[:80]!r} {have}")
        with _zip_errors(), self.archive.open(entry) as file:
            _read_into(file, storage.file)
            file.read(1)  # at the end the checksum is compared
        storage.finish(self.swap)

    def load(self) -> Any:
        pickled = self._whole(f"{self.root}/data.pkl")
        return self.finished(self.read(Source(io.BytesIO(pickled), len(pickled))))


class _LegacyReader(TorchReader):
    """The format before PyTorch 1.6."""

    def __init__(self, file: Any, size: int, *how: Any) -> None:
        super().__init__(*how)
        self.source, self.allowed = Source(file, size), size

    def load(self) -> Any:
        source = self.source
        if read_pickle(source) != _MAGIC:
            raise PickleError("the file does not start with the number of torch.save")
        version = read_pickle(source)
        if version != _PROTOCOL:
            raise PickleError("the file has a version that PyTorch never had")
        system = read_pickle(source)
        if type(system) is not dict or system.get("little_endian") is not True:
            raise PickleError("the file was not written on a little-endian machine")
        result = self.read(source)
        keys = read_pickle(source)
        if type(keys) is not list or not all(type(key) is str and key in self.storages for key in keys):
            raise PickleError("the list of storages names one that no tensor shows")
        for key in keys:
            storage = self.storages[key]
            count = int.from_bytes(source.take(8), "little")
            if count != storage.file.size or storage.filled:
                raise PickleError(f"a storage of {storage.file.size} elements has {count} in the file")
            _read_into(source.file, storage.file)
            storage.finish()
        return self.finished(result)


def _read_into(file: Any, array: np.ndarray) -> None:
    target = memoryview(array.data).cast("B") if array.size else memoryview(b"")
    while target:
        count = file.readinto(target)
        if not count:
            raise PickleError("the file is cut short within a storage")
        target = target[count:]


def load_torch(file: Any, size: int, map_location: Any, parameter: Callable[[Tensor, bool], Tensor]) -> Any:
    """What ``torch.save`` wrote into an open binary file of `size` bytes.

    Raises:
        ValueError: if it is damaged, or holds anything but tensors and plain values.
    """
    file.seek(0)
    try:
        if file.read(2) == b"PK":
            with _zip_errors():
                archive = zipfile.ZipFile(file)
            return _ZipReader(archive, size, map_location, parameter).load()
        file.seek(0)
        return _LegacyReader(file, size, map_location, parameter).load()
    except PickleError as error:
        raise ValueError(f"not a file of torch.save that can be read: {error}") from None
