"""Tensor: an array, the device it lives on, and its place in the graph.

What a tensor *is* stands here. What can be computed with it stands in `ops`; `_methods.py` binds those functions
as methods, in one place.
"""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from . import dtypes
from ._device import CPU, as_device, moved
from ._device import device as Device
from ._repr import tensor_text
from .kernels.cuda.bounds import is_stretched

if TYPE_CHECKING:  # lets editors and type checkers see the methods that _methods.py binds
    from ._methods import TensorMethods as _Methods
else:
    _Methods = object


MOST = 1 << 59  # elements; more are beyond any address space


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple of ints that also counts its elements."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements: the product of the sizes."""
        return math.prod(self)

    def __getitem__(self, key: Any) -> Any:
        part = tuple.__getitem__(self, key)
        return Size(part) if isinstance(key, slice) else part

    def __add__(self, other: Any) -> Size:
        return Size(tuple.__add__(self, tuple(other)))

    def __repr__(self) -> str:
        return f"tinycnn.Size({list(self)})"


class Version:
    """Counts the writes to one piece of memory; every view and every detached twin of a tensor shares it.

    Attributes:
        writes: in-place writes so far.
        rewrites: those among them that were recorded: older views take their history anew.
        reshaped: whether the base changed its shape in place, so that they cannot.
        exported: whether others may write to the memory without counting: NumPy, DLPack, `Tensor.data`.
        readers: the `Later` arrays that will read this memory.
    """

    writes = 0
    rewrites = 0
    reshaped = False
    exported = False
    readers: Any = ()

    def settle(self) -> None:
        """Before a write: compute now what was put off and would read the new numbers."""
        readers, self.readers = self.readers, ()
        for reader in readers:
            later = reader()
            if later is not None:
                later.array()

    def export(self) -> None:
        """Note that the memory can be written to from outside."""
        self.exported = True
        self.settle()


class Later:
    """The array of a tensor whose computation was put off until somebody looks at it.

    What comes next may take the work over: batch norm, a sum and ReLU are one pass over memory instead of three,
    and the arrays between them are never made. Nobody can tell the difference: `Tensor.array` computes when it is
    read, and a write to memory that is still to be read (`reads`) computes first.

    Attributes:
        given: the arrays that it is computed from.
        kernels: of their device.
        shape, dtype: of the array; at first those of the first one given.
    """

    _array: Any = None

    def __init__(self, place: Device, *given: Any) -> None:
        self.kernels, self.given = place.kernels, given
        self.shape, self.dtype = given[0].shape, given[0].dtype

    def reads(self, *tensors: Tensor) -> bool:
        """Watch the memory of `tensors` for writes; False if that is not possible and nothing may be put off."""
        me = weakref.ref(self)
        for t in tensors:
            counter = t._counter()
            if counter.exported:
                return False
            counter.readers = [r for r in counter.readers if r() is not None] if counter.readers else []
            counter.readers.append(me)
        return True

    def array(self) -> Any:
        """The array itself, computed now unless it was before."""
        if self._array is None:
            self._array = self.compute()
        return self._array

    def compute(self) -> Any:
        """Compute the array."""
        raise TypeError(f"{type(self).__name__} needs a method compute(self)")

    # What comes next asks for a shorter way than over `array`. Each is None if there is none, or none any more.

    def relu(self) -> Any:
        """The array of max(x, 0)."""

    def before_relu(self) -> Any:
        """The array x, if this one is max(x, 0)."""

    def masked(self, y: Tensor) -> Any:
        """Of the gradient of a ReLU's output y: the array of the gradient of its input."""

    def plus(self, other: Tensor) -> Later | None:
        """What puts off the sum with `other`."""


class Tensor(_Methods):
    """A multi-dimensional array that remembers how it was computed.

    ``Tensor(data)`` copies numbers into a float tensor and ``Tensor(2, 3)`` is uninitialised memory of that shape, as
    in PyTorch; `tinycnn.tensor` also keeps integers and bools.

    Attributes:
        array: the numbers, a NumPy array (CuPy's on a GPU; what stands in for it under Numba's simulator is NumPy's
            too), any strides.
        device: where they are.
        requires_grad: whether gradients with respect to this tensor are asked for.
        grad: the gradient after `backward()`, for leaves and for tensors that called `retain_grad()`; else None.
        grad_fn: the node of the graph that made this tensor; None for a leaf.
    """

    # Defaults live on the class, so that making a tensor writes two attributes only.
    array: Any
    device: Device = CPU
    _node: Any = None  # what grad_fn shows; for a view ask grad_fn, which looks whether the base was rewritten
    _output: int = -1  # which output of the node this is
    _requires_grad: bool = False
    _grad: Tensor | None = None
    _version_counter: Version | None = None  # made when it is first shared or first counted
    _base: Tensor | None = None  # the tensor whose memory this one shows, if this is a view
    _source: Any = None  # how to take this view again: its history after a recorded write to the base
    _seen_rewrites: int = 0  # the base's recorded writes when the view was taken
    _hooks: Any = None  # of a leaf; a computed tensor's hooks are at its node
    _saved_output: Any = None  # of a twin that a node keeps of its own output: which output
    _later: Later | None = None  # computes `array`, while that is missing
    _retains_grad: bool = False

    __array_priority__ = 1000  # NumPy's operators leave `array + tensor` to the tensor

    def __init__(self, *data: Any, device: Device | str | None = None) -> None:
        kind = dtypes.get_default_dtype().numpy
        first = data[0] if data else ()
        if isinstance(first, Size) or type(first) is int:
            sizes = first if isinstance(first, Size) else data
            if any([type(n) is not int or n < 0 for n in sizes]) or math.prod([n or 1 for n in sizes]) >= MOST:
                raise TypeError(f"Tensor: sizes must be ints from 0 on whose product stays below 2**59, got {data}")
            self.array = np.empty(sizes, kind)
        elif len(data) > 1 or not hasattr(first, "__len__"):
            raise TypeError(
                f"Tensor: expected sizes, or one sequence of numbers, got {data}; tensor(...) takes a number"
            )
        elif isinstance(first, Tensor):
            self.array = first.array
            self._version_counter = first._counter()
        else:
            self.array = np.array(first, dtype=kind)
        home, place = first.device if isinstance(first, Tensor) else CPU, as_device(device)
        if home is not CPU or place is not CPU:
            self.device = place = home if device is None else place
            if place is not home:
                self.array, self._version_counter = moved(self.array, home, place), None

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        return Size((self._later or self.array).shape)

    @property
    def ndim(self) -> int:
        return len((self._later or self.array).shape)

    @property
    def dtype(self) -> dtypes.dtype:
        return dtypes.FROM_NUMPY[(self._later or self.array).dtype]

    @property
    def itemsize(self) -> int:
        return self.array.itemsize

    @property
    def nbytes(self) -> int:
        return self.array.nbytes

    @property
    def is_leaf(self) -> bool:
        """True for a tensor that no recorded operation made."""
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Any:
        if self._base is not None:
            self._look_at_base()
        return self._node

    @grad_fn.setter
    def grad_fn(self, node: Any) -> None:
        self._node, self._output = node, -1 if node is None else max(self._output, 0)

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def is_cpu(self) -> bool:
        return self.device.type == "cpu"

    # What tensors of other kinds would say.
    is_sparse = is_quantized = is_meta = is_mps = is_xpu = is_mkldnn = is_nested = False
    names: Any = None

    def size(self, dim: int | None = None) -> Any:
        """The shape, or its entry `dim`."""
        return self.shape if dim is None else self.array.shape[dim]

    def dim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.array.size

    nelement = numel
    ndimension = dim

    def element_size(self) -> int:
        """Bytes per element."""
        return self.array.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """The step in elements along each dimension, or along `dim`."""
        steps = tuple(s // self.array.itemsize for s in self.array.strides)
        return steps if dim is None else steps[dim]

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """True if the elements lie in row-major order without gaps."""
        return self.array.flags.c_contiguous

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self.array.ctypes.data if self.device is CPU else self.array.data.ptr

    def storage_offset(self) -> int:
        """How many elements of its base lie in front of a view's first one; 0 for a tensor that is no view."""
        return 0 if self._base is None else (self.data_ptr() - self._base.data_ptr()) // self.array.itemsize

    def is_same_size(self, other: Tensor) -> bool:
        """Whether another tensor has this shape."""
        return self.array.shape == other.array.shape

    def is_floating_point(self) -> bool:
        return self.array.dtype.kind == "f"

    def __len__(self) -> int:
        if not self.array.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.array.shape[0]

    # -- its place in the graph -----------------------------------------------------------------------------------

    def _look_at_base(self) -> None:
        """Of a view: take the history anew if a recorded operation wrote to the base since."""
        if self._seen_rewrites != self._version_counter.rewrites and self._source is not None:  # type: ignore[union-attr]
            self._source.retake(self)

    @property
    def requires_grad(self) -> bool:
        if self._base is not None:
            self._look_at_base()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if self.grad_fn is not None:
            if wanted:
                return
            raise RuntimeError(
                "requires_grad can be set to False only on leaf tensors; this one was computed by "
                f"{self.grad_fn.name()}. Use detach() for a tensor without history"
            )
        if wanted and self.array.dtype.kind != "f":
            raise RuntimeError(f"only floating-point tensors can require gradients, this one is {self.dtype}")
        self._requires_grad = bool(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` in place, and return the tensor.

        Raises:
            RuntimeError: if the dtype is not floating, or if a computed tensor is told to forget its history.
        """
        self.requires_grad = requires_grad
        return self

    @property
    def grad(self) -> Tensor | None:
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            mine, its = (self.array.shape, self.dtype, self.device), (value.array.shape, value.dtype, value.device)
            if mine != its or value is self:
                raise RuntimeError(
                    "grad: shape, dtype and device must be those of the tensor, "
                    f"{mine[0]} {mine[1]} on {mine[2]}; got {its[0]} {its[1]} on {its[2]}"
                )
        self._grad = value

    @property
    def _version(self) -> int:
        counter = self._version_counter
        return 0 if counter is None else counter.writes

    def _counter(self) -> Version:
        """The version counter, made now if this memory was not shared before."""
        counter = self._version_counter
        if counter is None:
            counter = self._version_counter = Version()
        return counter

    def _guard(self, name: str) -> None:
        """Before a write to the memory: compute now what was put off and would read the new numbers.

        Raises:
            RuntimeError: if the memory is read-only.
        """
        if self._version_counter is not None:
            self._version_counter.settle()
        if self._later is None and (not self.array.flags.writeable if self.device is CPU else is_stretched(self.array)):
            raise RuntimeError(
                f"{name}: the memory of this tensor of shape {tuple(self.array.shape)} is read-only: it was made by "
                "expand(), which shows one number at several places, or from a read-only array; clone() it first"
            )

    def _bump(self) -> None:
        """Note that the memory was written to, so that a backward pass that needs the old numbers can refuse."""
        self._counter().writes += 1

    def _overwrite(self, name: str) -> None:
        """Before `name` writes numbers without history straight into the array: guard it and count the write."""
        self._guard(name)
        self._bump()

    def _put_off(self, later: Later) -> None:
        """Have no array until somebody reads it; for a tensor without one."""
        self._later = later
        self.__class__ = Pending

    def _take(self, other: Tensor) -> None:
        """Show what `other` shows: its memory, or what will compute it."""
        if other._later is None or type(self) not in (Tensor, Pending):
            self.array, self._later = other.array, None
            if type(self) is Pending:
                self.__class__ = Tensor  # type: ignore[assignment]
        else:
            self.__dict__.pop("array", None)
            self._put_off(other._later)

    def _twin(self) -> Tensor:
        """The same memory in a tensor without history."""
        twin = wrap(self.array, self.device)
        twin._version_counter = self._counter()
        return twin

    def detach(self) -> Tensor:
        """A tensor on the same memory, cut off from the graph."""
        return self._twin()

    @property
    def data(self) -> Tensor:
        """The same memory without history. Unlike `detach()`, writes through it are not seen by the graph's checks."""
        self._counter().export()  # the memory is shared from now on: in-place operations must write to it
        return wrap(self.array, self.device)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data: expected a Tensor, got {type(value).__name__}")
        value.array  # noqa: B018  (computed: what was put off belongs to the history of `value`)
        self._take(value)
        self.device = value.device

    # -- out of the engine ----------------------------------------------------------------------------------------

    def item(self) -> Any:
        """The one element as a Python number.

        Raises:
            RuntimeError: if there is not exactly one element.
        """
        if self.array.size != 1:
            raise RuntimeError(
                f"item(): a tensor with {self.array.size} elements (shape {self.array.shape}) is not one number"
            )
        return self.array.item()

    def tolist(self) -> Any:
        """The elements as nested Python lists (a number for a 0-d tensor)."""
        return self.array.tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The elements as a NumPy array on the same memory. Writes through it are not counted.

        Args:
            force: detach first and copy from the device if need be.

        Raises:
            RuntimeError: if the tensor requires grad.
            TypeError: if it is on a GPU.
        """
        if self.requires_grad and not force:
            raise RuntimeError("numpy(): the tensor requires grad; use tensor.detach().numpy()")
        if self.device is not CPU:
            if not force:
                raise TypeError(f"numpy(): the tensor is on {self.device}, NumPy is on the CPU; use tensor.cpu()")
            return self.array.get()
        self._counter().export()  # the memory is shared from now on: in-place operations must write to it
        return self.array

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise RuntimeError(
                f"the truth of a tensor with {self.array.size} elements (shape {self.array.shape}) is ambiguous; "
                "use .any() or .all()"
            )
        return bool(self.array.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __index__(self) -> int:
        if self.array.dtype.kind not in "iub" or self.array.size != 1:
            raise TypeError(f"only a tensor with one integer is an index, not shape {self.array.shape} of {self.dtype}")
        return int(self.array.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if not self.array.ndim and spec else str(self)

    def __contains__(self, element: Any) -> bool:
        return bool((self.array == (element.array if isinstance(element, Tensor) else element)).any())

    __hash__ = object.__hash__

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.grad_fn is not None:
            raise RuntimeError("only leaf tensors can be deep-copied; call detach() first")
        copy = type(self).__new__(type(self))
        memo[id(self)] = copy
        copy.array, copy.device = self.array.copy(), self.device
        copy._requires_grad = self._requires_grad
        if self._grad is not None:
            copy._grad = wrap(self._grad.array.copy(), self.device)
        return copy

    def __copy__(self) -> Tensor:
        copy = self._twin()
        copy.__class__, copy._requires_grad = type(self), self.requires_grad
        return copy

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        raise TypeError("tensors are not pickled: save them with tinycnn.save, or send tensor.numpy() to a process")

    # -- how it looks ---------------------------------------------------------------------------------------------

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        array = self.array
        notes = []
        if array.size == 0 and array.ndim != 1:
            notes.append(f"size={tuple(array.shape)}")
        if self.device.type != "cpu":
            notes.append(f"device='{self.device}'")
        understood = (dtypes.get_default_dtype(), *((dtypes.int64, dtypes.bool_) if array.size else ()))
        if self.dtype not in understood:
            notes.append(f"dtype={self.dtype}")
        if self.grad_fn is not None:
            notes.append(f"grad_fn=<{self.grad_fn.name()}>")
        elif self._requires_grad:
            notes.append("requires_grad=True")
        return tensor_text(array if self.device is CPU else array.get(), notes)


class Pending(Tensor):
    """A Tensor while its array is put off: reading the array computes it, and makes this an ordinary Tensor.

    A class of its own, since a class with `__getattr__` finds all its other attributes four times as slowly.
    """

    def __getattr__(self, name: str) -> Any:
        if name != "array":
            raise AttributeError(f"'Tensor' object has no attribute {name!r}")
        later = self._later
        if later is not None:
            self.array = later.array()
            self._later = None
            self.__class__ = Tensor  # type: ignore[assignment]
        return self.__dict__["array"]  # or another thread was faster


Pending.__name__ = Pending.__qualname__ = "Tensor"  # nobody else need know

_new: Any = object.__new__


def wrap(array: Any, place: Device = CPU) -> Tensor:
    """A Tensor around `array`, without copying. NumPy's scalars become 0-d arrays.

    What NumPy computed for a tensor on a GPU, an index or a mask, is copied there.
    """
    t: Tensor = _new(Tensor)
    t.array = np.asarray(array) if isinstance(array, np.generic) else array
    if place is not CPU:
        t.device = place
        if type(t.array) is np.ndarray:
            t.array = place.xp.asarray(t.array)
    return t


def need(name: str, *values: Any) -> None:
    """Refuse what is not a Tensor.

    Raises:
        TypeError: with the function's name and the type.
    """
    for value in values:
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: expected a Tensor, got {type(value).__name__}")


def host(t: Tensor) -> np.ndarray:
    """The numbers as a NumPy array: those of a CPU tensor themselves, a copy of those on a GPU.

    For what is computed with NumPy wherever its operand is; `wrap` brings the result back.
    """
    return t.array if t.device is CPU else t.array.get()


def filled(shape: tuple[int, ...], kind: Any, place: Device = CPU, value: Any = 0) -> Tensor:
    """A Tensor of `shape` and NumPy dtype `kind`, every element `value`."""
    if place is not CPU or math.prod(shape) > 1 << 12:  # the kernels know where large memory comes from
        kernels = place.kernels
        return wrap(kernels.full(shape, value, kind) if value else kernels.zeros(shape, kind), place)
    return wrap(np.full(shape, value, kind) if value else np.zeros(shape, kind))


def view_of(base: Tensor, array: Any) -> Tensor:
    """A Tensor around `array`, known as a view if it shows `base`'s memory."""
    t = wrap(array, base.device)
    mine, root = base.array, base.array.base
    if array is mine or array.base is mine or (root is not None and (array.base is root or array is root)):
        counter = base._counter()
        t._version_counter = counter
        t._base = base if base._base is None else base._base
        t._seen_rewrites = counter.rewrites
    return t
