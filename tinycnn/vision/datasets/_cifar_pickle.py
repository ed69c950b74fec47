"""Reads the files of CIFAR's "python version" without unpickling: no code in them can run.

They were written by Python 2's cPickle (protocol 2) and hold one dict of byte strings, lists, ints and one array of
bytes. `pickle` would call whatever a file names. This reader knows the 26 opcodes that such files are made of, and in
place of calls it knows two shapes, ``numpy.core.multiarray._reconstruct(ndarray, (0,), 'b')`` and
``dtype('u1', 0, 1)``, each followed by its state. Everything else is refused. Opcodes: Lib/pickletools.py of CPython.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_RECONSTRUCT = "numpy.core.multiarray._reconstruct"
_NDARRAY = "numpy.ndarray"
_DTYPE = "numpy.dtype"
_DTYPE_STATE = (3, b"|", None, None, None, -1, -1, 0)


class _Name:
    """One of the three names that may occur; it is never looked up."""

    def __init__(self, name: str) -> None:
        self.name = name


class _ByteType:
    """The dtype of unsigned bytes, after its REDUCE."""


class _Array:
    """An array: empty after its REDUCE, filled by its BUILD."""

    content: np.ndarray | None = None


class CifarPickleError(ValueError):
    """The bytes are not such a pickle; the text says at which byte and why."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    # -- bytes ----------------------------------------------------------------------------------------------------

    def fail(self, why: str) -> CifarPickleError:
        return CifarPickleError(f"at byte {self.at}: {why}")

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        if count < 0 or len(part) < count:
            raise self.fail(f"{count} bytes expected, {len(part)} left; the file is cut short")
        self.at += count
        return part

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def line(self) -> bytes:
        end = self.data.find(b"\n", self.at, self.at + 256)
        if end < 0:
            raise self.fail("a name without an end")
        line = self.data[self.at : end]
        self.at = end + 1
        return line

    # -- the stack ------------------------------------------------------------------------------------------------

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.fail("an opcode takes a value that is not there")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        if not self.marks:
            raise self.fail("an opcode takes values up to a mark that is not there")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def pop_tuple(self, size: int) -> None:
        self.stack.append(tuple([self.pop() for _ in range(size)][::-1]))

    def top(self, kind: type) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0) or type(self.stack[-1]) is not kind:
            raise self.fail(f"an opcode needs a {kind.__name__} that is not there")
        return self.stack[-1]

    # -- what stands for calls ------------------------------------------------------------------------------------

    def name(self) -> None:
        module, name = self.line(), self.line()
        full = (module + b"." + name).decode("ascii", "backslashreplace")
        if full not in (_RECONSTRUCT, _NDARRAY, _DTYPE):
            raise self.fail(f"the file names {full}, which a data file has no need for")
        self.stack.append(_Name(full))

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        name = function.name if isinstance(function, _Name) else None
        if name == _RECONSTRUCT and isinstance(arguments, tuple) and len(arguments) == 3:
            kind, shape, code = arguments
            if isinstance(kind, _Name) and kind.name == _NDARRAY and shape == (0,) and code == b"b":
                self.stack.append(_Array())
                return
        if name == _DTYPE and arguments == (b"u1", 0, 1):
            self.stack.append(_ByteType())
            return
        raise self.fail("a call other than those that make an array of bytes")

    def build(self) -> None:
        state, target = self.pop(), self.pop()
        self.stack.append(target)
        if isinstance(target, _ByteType) and state == _DTYPE_STATE:
            return
        if isinstance(target, _Array) and target.content is None and isinstance(state, tuple) and len(state) == 5:
            version, shape, kind, fortran, content = state
            sizes_fit = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
            plain = version == 1 and isinstance(kind, _ByteType) and fortran is False and type(content) is bytes
            if sizes_fit and plain:
                if len(content) != math.prod(shape):
                    raise self.fail(f"an array of shape {shape} has {len(content)} bytes instead of {math.prod(shape)}")
                target.content = np.frombuffer(content, np.uint8).reshape(shape)
                return
        raise self.fail("a state other than that of an array of bytes")

    # -- the opcodes ----------------------------------------------------------------------------------------------

    def read(self) -> Any:
        if self.data[:2] != b"\x80\x02":
            found = self.data[:2].hex(" ") or "nothing"
            raise self.fail(f"a pickle of protocol 2 starts with 80 02, this file with {found}")
        self.at = 2
        stack = self.stack
        while True:
            code = self.take(1)
            if code == b"K":  # BININT1
                stack.append(self.number(1))
            elif code == b"U":  # SHORT_BINSTRING
                stack.append(self.take(self.number(1)))
            elif code == b"T":  # BINSTRING
                stack.append(self.take(self.number(4, signed=True)))
            elif code == b"q":  # BINPUT
                self.put(self.number(1))
            elif code == b"r":  # LONG_BINPUT
                self.put(self.number(4))
            elif code == b"h":  # BINGET
                self.get(self.number(1))
            elif code == b"j":  # LONG_BINGET
                self.get(self.number(4))
            elif code == b"M":  # BININT2
                stack.append(self.number(2))
            elif code == b"J":  # BININT
                stack.append(self.number(4, signed=True))
            elif code == b"N":  # NONE
                stack.append(None)
            elif code == b"\x89":  # NEWFALSE
                stack.append(False)
            elif code == b"(":  # MARK
                self.marks.append(len(stack))
            elif code == b"]":  # EMPTY_LIST
                stack.append([])
            elif code == b"}":  # EMPTY_DICT
                stack.append({})
            elif code == b"a":  # APPEND
                value = self.pop()
                self.top(list).append(value)
            elif code == b"e":  # APPENDS
                values = self.pop_mark()
                self.top(list).extend(values)
            elif code == b"s":  # SETITEM
                value, key = self.pop(), self.pop()
                self.set(self.top(dict), [key, value])
            elif code == b"u":  # SETITEMS
                values = self.pop_mark()
                self.set(self.top(dict), values)
            elif code == b"t":  # TUPLE
                stack.append(tuple(self.pop_mark()))
            elif code == b"\x85":  # TUPLE1
                self.pop_tuple(1)
            elif code == b"\x86":  # TUPLE2
                self.pop_tuple(2)
            elif code == b"\x87":  # TUPLE3
                self.pop_tuple(3)
            elif code == b"c":  # GLOBAL
                self.name()
            elif code == b"R":  # REDUCE
                self.reduce()
            elif code == b"b":  # BUILD
                self.build()
            elif code == b".":  # STOP
                result = self.pop()
                more = len(self.data) - self.at
                if stack or self.marks or more:
                    raise self.fail(f"the pickle ends with {more} bytes and {len(stack)} values left over")
                return result
            else:
                self.at -= 1
                raise self.fail(f"opcode {code!r}, which files of this kind do not have")

    def put(self, key: int) -> None:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.fail("nothing to remember")
        self.memo[key] = self.stack[-1]

    def get(self, key: int) -> None:
        if key not in self.memo:
            raise self.fail(f"number {key} was not remembered")
        self.stack.append(self.memo[key])

    def set(self, target: dict[bytes, Any], items: list[Any]) -> None:
        if len(items) % 2 or not all(type(key) is bytes for key in items[::2]):
            raise self.fail("dict keys must be strings, each with a value")
        target.update(zip(items[::2], items[1::2], strict=True))


def read_cifar_pickle(data: bytes) -> dict[bytes, Any]:
    """The dict in `data`; strings are bytes, the array is uint8.

    Raises:
        CifarPickleError: if `data` is anything but such a file, whole and without anything after it.
    """
    result = _Reader(data).read()
    if not isinstance(result, dict):
        raise CifarPickleError(f"the file must hold a dict, it holds a {type(result).__name__}")
    return {key: value.content if isinstance(value, _Array) else value for key, value in result.items()}
