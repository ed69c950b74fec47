"""Modules that hold modules or parameters: Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

from .._tensor import Tensor
from .module import Module
from .parameter import Parameter


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

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

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
        if not -len(modules) <= index <= len(modules):
            raise IndexError(f"{type(self).__name__}.insert: index {index} is out of range for {len(modules)} modules")
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

    def __add__(self, other: Sequential) -> Sequential:
        both = Sequential(*self)
        both += other
        return both

    def __iadd__(self, other: Sequential) -> Self:
        if not isinstance(other, Sequential):
            raise ValueError(f"Sequential + other: expected a Sequential, got {type(other).__name__}")
        return self.extend(other)

    def __mul__(self, other: int) -> Sequential:
        if not isinstance(other, int):
            raise TypeError(f"Sequential * count: expected an int, got {type(other).__name__}")
        if other <= 0:
            raise ValueError(f"Sequential * count: expected a count from 1 on, got {other}")
        return Sequential(*(module for _ in range(other) for module in self))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Self:
        for module in list((self * other)[len(self) :]):
            self.append(module)
        return self

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
            if not isinstance(modules, Iterable):
                raise TypeError(f"ModuleList: expected a list of modules, got {type(modules).__name__}")
            self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])  # numbered anew, unlike a slice of a Sequential
        return super().__getitem__(index)

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __repr__(self) -> str:
        shown: list[tuple[int, int, str]] = []  # first and last index of neighbours that look the same
        for i, module in enumerate(self):
            text = repr(module)
            if shown and shown[-1][2] == text:
                shown[-1] = shown[-1][0], i, text
            else:
                shown.append((i, i, text))
        if not shown:
            return f"{type(self).__name__}()"
        lines = [
            f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}"
            for first, last, text in shown
        ]
        return "\n  ".join([f"{type(self).__name__}(", *(line.replace("\n", "\n  ") for line in lines)]) + "\n)"


class _Dict(Module):
    """The dict behaviour of ModuleDict and ParameterDict, made of `keys` and of access by key."""

    keys: Callable[[], Any]

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def pop(self: Any, key: str) -> Any:
        """Take a value out and return it."""
        value = self[key]
        del self[key]
        return value

    def clear(self: Any) -> None:
        """Take all values out."""
        for key in list(self):
            del self[key]


class ModuleDict(_Dict):
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


def _described(key: Any, value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"  ({key}): Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    return f"  ({key}): {kind} containing: [{value.dtype} of size {'x'.join(str(n) for n in value.shape)}]"


def _held(value: Any) -> Any:
    """As a container of parameters holds it: a tensor becomes a Parameter, anything else stays what it is."""
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        return Parameter(value, requires_grad=value.is_floating_point())
    return value


class ParameterList(Module):
    """A list of parameters that count; tensors put in become Parameters, other values are kept as they are."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _key(self, index: int) -> str:
        position = operator.index(index)
        if not -self._size <= position < self._size:
            raise IndexError(f"ParameterList: index {position} is out of range, there are {self._size} values")
        return str(position % self._size)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(self._size))

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self[i] for i in range(*index.indices(self._size)))
        return getattr(self, self._key(index))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._key(index), _held(value))

    def append(self, value: Any) -> Self:
        """Add `value` at the end; returns this container."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add all `values` at the end; returns this container."""
        if isinstance(values, Tensor) or not isinstance(values, Iterable):
            raise TypeError(f"ParameterList.extend: expected a list of values, got {type(values).__name__}")
        for value in list(values):
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def extra_repr(self) -> str:
        return "\n".join(_described(i, value) for i, value in enumerate(self))


class ParameterDict(_Dict):
    """A dict of parameters that count; tensors put in become Parameters, other values are kept as they are."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"ParameterDict: a key must be a str, got {type(key).__name__}")
        if key not in self._keys and hasattr(type(self), key):
            raise KeyError(f"ParameterDict: the key {key!r} is the name of a method")
        self._keys[key] = None
        setattr(self, key, _held(value))

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._keys))

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._keys.keys()

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return [self[key] for key in self._keys]

    def items(self) -> Iterable[tuple[str, Any]]:
        """The pairs (name, parameter)."""
        return [(key, self[key]) for key in self._keys]

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of that name, or `default`."""
        return self[key] if key in self else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter of that name; `default` is put in if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, parameters: Any) -> None:
        """Add or replace parameters by name, from a dict or from pairs."""
        if not isinstance(parameters, (Mapping, ParameterDict, Iterable)):
            raise TypeError(f"ParameterDict.update: expected a dict or pairs, got {type(parameters).__name__}")
        pairs = parameters.items() if isinstance(parameters, (Mapping, ParameterDict)) else parameters
        for key, value in pairs:
            self[key] = value

    def popitem(self) -> tuple[str, Any]:
        """Take the last pair (name, parameter) out and return it."""
        key = next(reversed(list(self._keys)))
        return key, self.pop(key)

    def copy(self) -> ParameterDict:
        """A ParameterDict of the same parameters."""
        return type(self)(self)

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A ParameterDict with `default` under all `keys`."""
        return type(self)((key, default) for key in keys)

    def __or__(self, other: ParameterDict) -> ParameterDict:
        both = self.copy()
        both.update(other)
        return both

    def __ior__(self, other: ParameterDict) -> Self:
        self.update(other)
        return self

    def extra_repr(self) -> str:
        return "\n".join(_described(key, value) for key, value in self.items())
