"""What of PyTorch is here: printed from the table of operations that the tests walk over."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any

import tinycnn

from ..nn import functional
from .optable import FAMILIES, Op

OUTSIDE = {
    "recurrent layers, attention, transformers": "other models than the convolutional networks that this engine is for",
    "complex numbers, torch.fft, stft": "no layer of a CNN needs them",
    "sparse, nested and quantized tensors": "one dense layout keeps every kernel and every gradient short",
    "torch.linalg's decompositions": "numpy.linalg has them; none of a CNN's layers needs one",
    "three-dimensional convolution and pooling": "images have two dimensions; the kernels have a fixed rank",
    "torch.distributed, torch.jit": "one process, and Numba compiles the kernels; torch.compile is the identity here",
    "bfloat16 on the CPU": "NumPy has no such type; files that hold it are read as float32",
}


def base_name(op: Op) -> str:
    """The name of the operation, without what is special about an entry."""
    return op.name.split(":")[0]


def find(name: str) -> Any:
    """What an entry's name means: a function of the package, or of Tensor.

    Raises:
        AttributeError: if it is not there.
    """
    place: Any = tinycnn
    for part in name.split("."):
        if not hasattr(place, part) and place is tinycnn:
            place = tinycnn.Tensor
        place = getattr(place, part)
    return place


def public_operations() -> dict[str, Any]:
    """The differentiable and other tensor functions that the package gives out, by PyTorch's names."""
    found = {}
    for place, prefix in ((tinycnn, ""), (functional, "nn.functional.")):
        for name in dir(place):
            thing = getattr(place, name)
            if isinstance(thing, types.FunctionType) and not name.startswith("_"):
                if thing.__module__.startswith(("tinycnn.ops", "tinycnn.composed", "tinycnn.nn.functional")):
                    found[prefix + name] = thing
    return found


def _line(name: str, entries: Iterable[Op]) -> str:
    entries = list(entries)
    samples = sum(len(op.samples) for op in entries)
    refusals = sum(len(op.refuses) for op in entries)
    order = 2 if any(op.gradient and op.second for op in entries) else int(any(op.gradient for op in entries))
    gradient = ("no gradient", "gradient", "gradient twice")[order]
    return f"  {name:<44} {samples:>3} samples  {refusals:>3} refusals  {gradient}"


def report() -> str:
    """The table as text: each operation with its tests, then what differs from PyTorch, then what is left out."""
    lines = []
    differences: dict[str, None] = {}
    count = 0
    for family, ops in FAMILIES.items():
        names: dict[str, list[Op]] = {}
        for op in ops:
            names.setdefault(base_name(op), []).append(op)
            if op.differs:
                differences[f"  {base_name(op)}: {op.differs}"] = None
        count += len(names)
        lines += ["", f"{family} ({len(names)})", *(_line(name, entries) for name, entries in names.items())]
    lines += ["", "What differs from PyTorch, and why", *(differences or {"  nothing that is known": None})]
    lines += ["", "What is left out, and why", *(f"  {what}: {why}" for what, why in OUTSIDE.items())]
    head = f"{count} operations, each tested for value, dtype, gradients, memory layouts and what it must refuse"
    return "\n".join([head, *lines])
