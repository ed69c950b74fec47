"""A reader of pickles that runs nothing: a stack machine for the opcodes that plain data is made of.

`pickle` looks up whatever name a file gives and calls it. Here a name stays a `Name`, which is never looked up; the two
opcodes that call something, REDUCE and BUILD, and the one that refers outside the file, BINPERSID, go to the functions
that the caller gives. Opcodes: Lib/pickletools.py of CPython.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any


class PickleError(ValueError):
    """The bytes are no such pickle; the text says at which byte, and why."""


class Name:
    """``module.name`` as a file gives it."""

    __slots__ = ("full",)

    def __init__(self, full: str) -> None:
        self.full = full


class Source:
    """Bytes of an open file, never more than there are."""

    def __init__(self, file: Any, size: int) -> None:
        self.file, self.size = file, size

    @property
    def at(self) -> int:
        return self.file.tell()

    def take(self, count: int) -> bytes:
        left = self.size - self.at
        part = self.file.read(count) if 0 <= count <= left else b""
        if len(part) != count:
            raise PickleError(f"at byte {self.at}: {count} bytes expected, {left} left; the file is cut short")
        return part


_KEY_PARTS = (str, bytes, int, float, bool, type(None))

Reduce = Callable[[str, tuple[Any, ...]], Any]
Build = Callable[[Any, Any], None]
Persistent = Callable[[Any], Any]


def _refuse_reference(key: Any) -> Any:
    raise PickleError(f"a reference {key!r} out of the file")


def _refuse_state(target: Any, state: Any) -> None:
    raise PickleError(f"a state for a {type(target).__name__}, which a plain value has not")


def _refuse_call(name: str, arguments: tuple[Any, ...]) -> Any:
    raise PickleError(f"the file calls {name}, which is refused")


def _refuse_name(name: str) -> Any:
    raise PickleError(f"the file names {name}, which is refused: files may hold tensors and plain values only")


class _Machine:
    def __init__(
        self,
        source: Source,
        find: Callable[[str], Any],
        reduce: Reduce,
        build: Build,
        persistent: Persistent,
    ) -> None:
        self.source, self.find, self.reduce, self.build, self.persistent = source, find, reduce, build, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    # -- bytes ----------------------------------------------------------------------------------------------------

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.source.take(size), "little", signed=signed)

    def text(self, size: int) -> str:
        return self.source.take(size).decode("utf-8", "surrogatepass")

    def old_string(self, size: int) -> str:  # Python 2's str
        raw = self.source.take(size)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def line(self) -> str:
        name = bytearray()
        while (byte := self.source.take(1)) != b"\n":
            name += byte
            if len(name) > 256:
                raise PickleError("a name without an end")
        return name.decode("ascii", "backslashreplace")

    # -- the stack ------------------------------------------------------------------------------------------------

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise PickleError("an opcode takes a value that is not there")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        if not self.marks:
            raise PickleError("an opcode takes values up to a mark that is not there")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def pop_count(self, count: int) -> tuple[Any, ...]:
        return tuple([self.pop() for _ in range(count)][::-1])

    def top(self, kind: type) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0) or not isinstance(self.stack[-1], kind):
            raise PickleError(f"an opcode needs a {kind.__name__} that is not there")
        return self.stack[-1]

    def put(self, key: int) -> None:
        self.memo[key] = self.top(object)

    def get(self, key: int) -> None:
        if key not in self.memo:
            raise PickleError(f"number {key} was not remembered")
        self.stack.append(self.memo[key])

    def fill(self, target: dict[Any, Any], items: list[Any]) -> None:
        if len(items) % 2:
            raise PickleError("a dict's key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise PickleError("a name that is no text")
        self.stack.append(self.find(f"{module}.{name}"))

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Name) or type(arguments) is not tuple:
            raise PickleError(f"the file calls a {type(function).__name__}, which is refused")
        self.stack.append(self.reduce(function.full, arguments))

    def run(self) -> Any:
        try:
            return self._run()
        except PickleError:
            raise
        except (UnicodeDecodeError, OverflowError, struct.error) as error:
            raise PickleError(str(error)) from None

    def _run(self) -> Any:
        stack, take = self.stack, self.source.take
        if take(1) != b"\x80" or not 2 <= self.number(1) <= 5:
            raise PickleError("a pickle of protocol 2 to 5 starts with 80 and its number")
        while True:
            code = take(1)
            if code in _CONSTANTS:
                stack.append(_CONSTANTS[code])
            elif code in _NUMBERS:
                stack.append(self.number(*_NUMBERS[code]))
            elif code == b"\x8a":  # LONG1
                stack.append(self.number(self.number(1), True))
            elif code == b"G":  # BINFLOAT
                stack.append(struct.unpack(">d", take(8))[0])
            elif code in _TEXTS:
                stack.append(self.text(self.number(_TEXTS[code])))
            elif code in _OLD_STRINGS:
                stack.append(self.old_string(self.number(_OLD_STRINGS[code])))
            elif code in _BYTES:
                stack.append(take(self.number(_BYTES[code])))
            elif code == b"q":  # BINPUT
                self.put(self.number(1))
            elif code == b"r":  # LONG_BINPUT
                self.put(self.number(4))
            elif code == b"\x94":  # MEMOIZE
                self.put(len(self.memo))
            elif code == b"h":  # BINGET
                self.get(self.number(1))
            elif code == b"j":  # LONG_BINGET
                self.get(self.number(4))
            elif code == b"(":  # MARK
                self.marks.append(len(stack))
            elif code == b"]":  # EMPTY_LIST
                stack.append([])
            elif code == b"}":  # EMPTY_DICT
                stack.append({})
            elif code == b"\x8f":  # EMPTY_SET
                stack.append(set())
            elif code == b"a":  # APPEND
                value = self.pop()
                self.top(list).append(value)
            elif code == b"e":  # APPENDS
                values = self.pop_mark()
                self.top(list).extend(values)
            elif code == b"s":  # SETITEM
                pair = self.pop_count(2)
                self.fill(self.top(dict), list(pair))
            elif code == b"u":  # SETITEMS
                values = self.pop_mark()
                self.fill(self.top(dict), values)
            elif code == b"\x90":  # ADDITEMS
                values = self.pop_mark()
                self.top(set).update(map(checked_key, values))
            elif code == b"\x91":  # FROZENSET
                stack.append(frozenset(map(checked_key, self.pop_mark())))
            elif code == b"t":  # TUPLE
                stack.append(tuple(self.pop_mark()))
            elif code in b"\x85\x86\x87":  # TUPLE1, TUPLE2, TUPLE3
                stack.append(self.pop_count(code[0] - 0x84))
            elif code == b"c":  # GLOBAL
                self.name(self.line(), self.line())
            elif code == b"\x93":  # STACK_GLOBAL
                self.name(*self.pop_count(2))
            elif code == b"R":  # REDUCE
                self.call()
            elif code == b"b":  # BUILD
                state = self.pop()
                self.build(self.top(object), state)
            elif code == b"Q":  # BINPERSID
                stack.append(self.persistent(self.pop()))
            elif code == b"\x95":  # FRAME
                take(8)
            elif code == b".":  # STOP
                result = self.pop()
                if stack or self.marks:
                    raise PickleError(f"the pickle ends with {len(stack)} values left over")
                return result
            elif code == b"\x81":  # NEWOBJ: an object of a class
                self.pop()
                kind = self.pop()
                what = kind.full if isinstance(kind, Name) else type(kind).__name__
                raise PickleError(f"the file makes an object of {what}, which is refused")
            else:
                raise PickleError(
                    f"at byte {self.source.at - 1}: opcode {code!r} is refused: plain data needs none of it"
                )


_CONSTANTS: dict[bytes, Any] = {b"N": None, b"\x88": True, b"\x89": False, b")": ()}
_NUMBERS = {b"K": (1, False), b"M": (2, False), b"J": (4, True)}  # BININT1, BININT2, BININT
_TEXTS = {b"X": 4, b"\x8c": 1, b"\x8d": 8}  # BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
_OLD_STRINGS = {b"T": 4, b"U": 1}  # BINSTRING, SHORT_BINSTRING
_BYTES = {b"B": 4, b"C": 1, b"\x8e": 8}  # BINBYTES, SHORT_BINBYTES, BINBYTES8


def checked_key(key: Any) -> Any:
    """`key`, if it is a plain value or a flat tuple of them: hashing nested tuples can take for ever."""
    parts = key if type(key) is tuple else (key,)
    for part in parts:
        if not isinstance(part, _KEY_PARTS):
            raise PickleError(f"the key of a dict or set must be a plain value, not a {type(part).__name__}")
    return key


def read_pickle(
    source: Source,
    find: Callable[[str], Any] = _refuse_name,
    reduce: Reduce = _refuse_call,
    build: Build = _refuse_state,
    persistent: Persistent = _refuse_reference,
) -> Any:
    """The value that the pickle at the source's place describes; leaves the source behind it.

    Args:
        find: from ``module.name`` to what stands for it: a `Name`, or a harmless value.
        reduce: from a called name and its arguments to the value.
        build: gives a state to a value.
        persistent: from a reference to what it means.

    Raises:
        PickleError: for anything that is not allowed or not whole.
    """
    return _Machine(source, find, reduce, build, persistent).run()
