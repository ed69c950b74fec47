"""Modules that hold modules: Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from .module import Module


class _Numbered(Module):
    """The list behaviour of Sequential and ModuleList: children in order, named ``"0"``, ``"1"``, ... by default."""

    def _key(self, index: Any) -> str:
        """The name of the child at a position, counted from the end if negative.

        Raises:
            IndexError: if there is none.
        """
        position, count = operator.index(index), len(self)
        if not -count <= position < count:
            raise IndexError(f"{type(self).__name__}: index {position} is out of range, there are {count} modules")
        return list(self._modules)[position]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            part = type(self)()
            for name, module in list(self._modules.items())[index]:
                part.add_module(name, module)
            return part
        return self._modules[self._key(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._key(index), module)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)[index] if isinstance(index, slice) else [self._key(index)]
        for name in names:
            del self._modules[name]
        self._renumber(self)

    def _renumber(self, modules: Iterable[Any]) -> None:
        """Hold `modules`, named by position (as PyTorch does after every deletion, own names included)."""
        modules = list(modules)
        self._modules.clear()
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    def append(self, module: Module) -> Self:
        """Add `module` at the end; returns this container."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add all `modules` at the end; returns this container."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add `module` before position `index`; returns this container."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}.insert: expected an nn.Module, got {type(module).__name__}")
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)
        return self

    def pop(self, index: int = -1) -> Module:
        """Take the module at `index` out and return it."""
        module = self[index]
        del self[index]
        return module


class Sequential(_Numbered):
    """Modules that run one after the other, each on the output of the one before.

    ``Sequential(a, b)`` or ``Sequential(OrderedDict(first=a, second=b))``. Supports ``len``, iteration, indexing,
    slicing (a Sequential of the same modules), assignment and deletion by index, `append`, `extend`, `insert`, `pop`.

    Raises:
        TypeError: if something is not a Module. An error inside `forward` gets a note that says which module raised it.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self.extend(args)

    def forward(self, input: Any) -> Any:
        """The output of the last module."""
        for name, module in self._modules.items():
            try:
                input = module(input)  # type: ignore[misc]
            except Exception as error:
                error.add_note(f"raised by module ({name}) of {type(self).__name__}: {str(module).splitlines()[0]}")
                raise
        return input


class ModuleList(_Numbered):
    """A list of modules whose parameters count; it has no `forward` of its own.

    Supports what a list does: ``len``, iteration, indexing, slicing, ``+=``, `append`, `extend`, `insert`, `pop`.
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])  # numbered anew, unlike a slice of a Sequential
        return super().__getitem__(index)

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)


class ModuleDict(Module):
    """A dict of modules whose parameters count; it has no `forward` of its own."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """The pairs (name, module)."""
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules by name."""
        for key, module in OrderedDict(modules).items():
            self.add_module(key, module)

    def pop(self, key: str) -> Module:
        """Take a module out and return it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()
