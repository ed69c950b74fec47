"""Nested containers as JSON and a table of arrays, and back.

Each container is ``{"kind": content}``, plain values stand for themselves, and a tensor is ``{"tensor": name}``, the
name of an array. Tensors that share memory refer to one array, each with its ``offset``, ``shape`` and ``strides`` in
it, and share memory again when they are loaded.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from .._device import device as Device
from .._tensor import Size, Tensor, Version, wrap
from ._views import strided

_CONTAINERS: dict[str, Any] = {"list": list, "tuple": tuple, "Size": Size}
_DICTS: dict[str, Any] = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}


class TakingApart:
    """JSON for an object; its tensors' arrays go into `arrays`, named after the keys that lead to them."""

    def __init__(self, obj: Any, parameter: type[Tensor] | None) -> None:
        self.parameter = parameter
        self.arrays: dict[str, np.ndarray] = {}
        self.tensors: list[tuple[Tensor, str]] = []
        self.nodes: dict[int, dict[str, Any]] = {}
        self.open: set[int] = set()
        self.structure = self.node(obj, ())
        self.share()

    def node(self, obj: Any, place: tuple[str, ...]) -> Any:
        if isinstance(obj, Tensor):
            return self.tensor(obj, place)
        if isinstance(obj, (dict, list, tuple)):
            if id(obj) in self.open:
                raise ValueError(f"save: {_where(place)} contains itself")
            self.open.add(id(obj))
            try:
                return self.container(obj, place)
            finally:
                self.open.discard(id(obj))
        if isinstance(obj, np.generic) and obj.dtype.kind in "biuf":
            obj = obj.item()
        if isinstance(obj, float):
            return float(obj) if math.isfinite(obj) else {"float": str(float(obj))}
        if obj is None or isinstance(obj, (str, bool, int)):
            return obj
        if isinstance(obj, dtypes.dtype):
            return {"dtype": obj.name}
        if isinstance(obj, Device):
            return {"device": str(obj)}
        if isinstance(obj, bytes):
            return {"bytes": obj.hex()}
        raise TypeError(
            f"save: {_where(place)} is a {type(obj).__module__}.{type(obj).__qualname__}; what can be saved are "
            "tensors, str, bytes, int, float, bool, None, dtypes and devices, in dicts, lists and tuples. For a model, "
            "save model.state_dict()"
        )

    def container(self, obj: Any, place: tuple[str, ...]) -> Any:
        if isinstance(obj, dict):
            for key in obj:
                if isinstance(key, bool) or not isinstance(key, (str, int)):
                    raise TypeError(f"save: {_where(place)} has the key {key!r}; keys must be str or int")
            kind = next((name for name in ("OrderedDict", "Counter") if isinstance(obj, _DICTS[name])), "dict")
            return {kind: [[key, self.node(value, (*place, str(key)))] for key, value in obj.items()]}
        kind = "list" if isinstance(obj, list) else "Size" if isinstance(obj, Size) else "tuple"
        return {kind: [self.node(value, (*place, str(i))) for i, value in enumerate(obj)]}

    def tensor(self, obj: Tensor, place: tuple[str, ...]) -> dict[str, Any]:
        known = self.nodes.get(id(obj))
        if known is not None:  # the same object again: it will be one object again
            known["object"] = id(obj)
            return known
        name = _fresh_name(".".join(place) or "tensor", self.arrays)
        self.arrays[name] = obj.detach().cpu().array
        self.tensors.append((obj, name))
        node: dict[str, Any] = {"tensor": name}
        if obj.requires_grad:
            node["requires_grad"] = True
        if self.parameter is not None and isinstance(obj, self.parameter):
            node["parameter"] = True
        self.nodes[id(obj)] = node
        return node

    def share(self) -> None:
        """Let tensors whose memory overlaps refer to one array."""
        for number, node in enumerate(self.nodes.values()):
            if "object" in node:
                node["object"] = number
        spans = []
        for tensor, name in self.tensors:
            array = self.arrays[name]
            if array.size:
                low, high = np.lib.array_utils.byte_bounds(array)
                spans.append((low, high, name, self.nodes[id(tensor)]))
        spans.sort(key=lambda span: span[:2])
        group: list[Any] = []
        end = 0
        for span in spans:
            if span[0] >= end:
                self.merge(group)
                group = []
            end = max(end, span[1])
            group.append(span)
        self.merge(group)
        for name, array in self.arrays.items():
            self.arrays[name] = np.ascontiguousarray(array).reshape(array.shape)  # 0-d stays 0-d

    def merge(self, group: list[Any]) -> None:
        if len(group) < 2:
            return
        low, high = min(span[0] for span in group), max(span[1] for span in group)
        arrays = [self.arrays[span[2]] for span in group]
        kind, width = arrays[0].dtype, arrays[0].itemsize
        memory = _memory(arrays[0], low, high)
        if memory is None or any(
            a.dtype != kind or (span[0] - low) % width for a, span in zip(arrays, group, strict=True)
        ):
            return  # they are written one by one
        whole = None
        for span, array in zip(group, arrays, strict=True):
            if whole is None and span[:2] == (low, high) and array.flags.c_contiguous:
                whole = span[2]
        for (_, _, name, node), array in zip(group, arrays, strict=True):
            if name == whole:
                continue
            start = array.__array_interface__["data"][0]
            if any(step < 0 for step in array.strides):
                continue  # not a view that a file can describe: written by itself
            node.update(
                offset=(start - low) // width, shape=list(array.shape), strides=[s // width for s in array.strides]
            )
            del self.arrays[name]
            node["tensor"] = whole
        if whole is None:
            name = _fresh_name(f"{group[0][2]}#storage", self.arrays)
            self.arrays[name] = memory
            for span in group:
                if "offset" in span[3]:
                    span[3]["tensor"] = name


def _memory(array: np.ndarray, low: int, high: int) -> np.ndarray | None:
    """The flat array from address `low` to `high`, if the owner of `array`'s memory has it."""
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    owner = owner if owner.flags.c_contiguous else owner.T
    first, last = np.lib.array_utils.byte_bounds(owner)
    if not owner.flags.c_contiguous or not first <= low <= high <= last or (high - low) % array.itemsize:
        return None
    return owner.reshape(-1).view(np.uint8)[low - first : high - first].view(array.dtype)


def _where(place: tuple[str, ...]) -> str:
    return "obj" + "".join(f"[{key!r}]" for key in place)


def _fresh_name(name: str, taken: dict[str, np.ndarray]) -> str:
    """`name`, or with a number behind it if it is taken (the keys ``a.b`` and ``a`` -> ``b``) or the format's own."""
    candidate, number = name, 1
    while candidate in taken or candidate == "__metadata__":
        number += 1
        candidate = f"{name}#{number}"
    return candidate


class PuttingTogether:
    """The inverse of `TakingApart`."""

    def __init__(self, tensors: dict[str, Tensor], parameter: Callable[[Tensor, bool], Tensor]) -> None:
        self.tensors, self.parameter = tensors, parameter
        self.objects: dict[int, Tensor] = {}
        self.given: set[str] = set()

    def value(self, node: Any) -> Any:
        if not isinstance(node, dict):
            if isinstance(node, list):
                raise ValueError("a list without its kind")
            return node
        if "tensor" in node:
            return self.tensor(**node)
        [(kind, content)] = node.items()
        if kind in _DICTS:
            made = _DICTS[kind]()
            for key, value in content:
                made[key] = self.value(value)
            return made
        if kind in _CONTAINERS:
            return _CONTAINERS[kind](self.value(value) for value in content)
        if kind == "float":
            return float(content)
        if kind == "bytes":
            return bytes.fromhex(content)
        if kind == "dtype":
            return dtypes.as_dtype(content)
        if kind == "device":
            return Device(content)
        raise ValueError(f"unknown kind {kind!r}")

    def tensor(
        self,
        tensor: str,
        requires_grad: bool = False,
        parameter: bool = False,
        offset: Any = None,
        shape: Any = None,
        strides: Any = None,
        object: int | None = None,
    ) -> Tensor:
        if object is not None and object in self.objects:
            return self.objects[object]
        source = self.tensors[tensor]
        made = source
        if offset is not None:
            made = wrap(strided(source.array.reshape(-1), offset, shape, strides), source.device)
        elif tensor in self.given:
            made = wrap(source.array, source.device)
        if made is not source or source._version_counter is not None:
            if source._version_counter is None:
                source._version_counter = Version()
            made._version_counter = source._version_counter
        self.given.add(tensor)
        if parameter:
            made = self.parameter(made, bool(requires_grad))
        elif requires_grad:
            made.requires_grad_(True)
        if object is not None:
            self.objects[object] = made
        return made
