"""The kernel table: one function name, one column for each kind of device.

A kernel takes arrays and plain numbers and returns arrays. It checks nothing: whoever calls it has checked everything.
Columns:

    reference   NumPy, written to be read; complete
    cpu         Numba; where NumPy is already the fast way, its modules take the kernel over from `reference`
    cuda        CuPy and Numba-CUDA, on NVIDIA GPUs

`column(name)` gives a column; its kernels are its attributes. A family's module is imported when the first of its
kernels is asked for, so that Numba is loaded when it is needed and not before.
"""

from __future__ import annotations

import contextlib
import importlib
import keyword
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

if not __name__.startswith("tinycnn."):
    raise ImportError("these kernels belong to tinycnn: import tinycnn.kernels")

FAMILIES: dict[str, tuple[str, ...]] = {
    "memory": ("empty", "zeros", "copy", "cast", "assign"),
    "conv": ("conv2d", "conv2d_input_grad", "conv2d_weight_grad"),
    "pool": ("max_pool2d", "max_pool2d_grad", "max_pool2d_take", "avg_pool2d", "avg_pool2d_grad"),
    "norm": ("batch_norm_train", "batch_norm_moments", "batch_norm_train_grad", "batch_norm_eval"),
    "group_norm": ("group_norm", "group_norm_grad", "rms_norm", "rms_norm_grad"),
    "softmax": (
        "softmax",
        "softmax_grad",
        "log_softmax",
        "log_softmax_grad",
        "cross_entropy",
        "cross_entropy_grad",
        "nll",
        "nll_grad",
        "class_count",
    ),
    "pair_loss": ("pair_loss", "pair_loss_grad"),
    "matmul": ("matmul",),
    "linear": ("linear_grad",),
    "elementwise": (
        *("add", "sub", "mul", "div", "pow", "maximum", "minimum", "fmax", "fmin", "atan2", "hypot", "copysign"),
        *("floor_divide", "remainder", "fmod", "logaddexp", "logaddexp2"),
        *("neg", "abs", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "square"),
        *("reciprocal", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh"),
        *("atanh", "sigmoid", "erf", "erfc", "relu", "sign", "floor", "ceil", "trunc", "round"),
        *("silu", "gelu", "hardswish", "sigmoid_grad", "tanh_grad", "silu_grad", "gelu_grad", "hardswish_grad"),
        *("leaky_relu", "elu", "softplus", "clamp", "leaky_relu_grad", "elu_grad", "softplus_grad", "clamp_grad"),
        *("relu_grad", "relu_of_sum", "where", "eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite"),
        *("signbit", "logical_and", "logical_or", "logical_xor", "logical_not"),
        *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "bitwise_left_shift", "bitwise_right_shift"),
    ),
    "reduce": (
        "sum",
        "mean",
        "prod",
        "amax",
        "amin",
        "argmax",
        "argmin",
        "any",
        "all",
        "cumsum",
        "cumprod",
        "logcumsumexp",
    ),
    "sort": ("sort", "argsort", "cummax_index"),
    "index": ("full", "concatenate", "take", "index_add", "gather", "gather_grad"),
    "dropout": ("dropout",),
    "optim": (
        *("sgd_step", "adam_step", "nadam_step", "radam_step", "adamax_step"),
        *("adagrad_step", "adadelta_step", "rmsprop_step", "sums_of_squares", "scale_arrays"),
    ),
}
_FAMILY_OF = {kernel: family for family, kernels in FAMILIES.items() for kernel in kernels}
_registered: dict[str, dict[str, Callable[..., Any]]] = {}

Kernel = Callable[..., Any]
_lock = threading.Lock()  # while a column learns or forgets a kernel
_observers: list[Callable[[str, str, Kernel], Kernel]] = []


class Column:
    """The kernels of one kind of device, as attributes.

    Attributes:
        name: ``"reference"``, ``"cpu"`` or ``"cuda"``.
        index: the number of the GPU.
        xp: the module of its arrays: NumPy or CuPy.
    """

    def __init__(self, name: str, index: int | None = None) -> None:
        self.name, self.index = name, index

    def __getattr__(self, kernel: str) -> Any:
        if kernel == "xp":
            self.xp = self._module("backend").xp if self.name == "cuda" else importlib.import_module("numpy")
            return self.xp
        if kernel in _registered:
            columns = _registered[kernel]
            function = columns.get(self.name)
            if function is None:
                function = columns["reference"]
                function = self._module("backend").on_host(function) if self.name == "cuda" else function
        elif kernel in _FAMILY_OF:
            function = getattr(self._module(_FAMILY_OF[kernel]), kernel)
        else:
            raise AttributeError(f"there is no kernel {kernel!r}; tinycnn.kernels.names() lists them")
        if self.name == "cuda":
            function = self._module("backend").served(function, self.index)
        with _lock:
            for observer in _observers:
                function = observer(self.name, kernel, function)
            setattr(self, kernel, function)  # from now on a plain attribute
        return function

    def _module(self, name: str) -> Any:
        return importlib.import_module(f".{self.name}.{name}", __name__)

    def __repr__(self) -> str:
        return f"<kernels: {self.name}>"


_columns = {"reference": Column("reference"), "cpu": Column("cpu")}
_BACKENDS = ("cpu", "reference")


def column(name: str, index: int | None = None) -> Column:
    """The column of kernels for a kind of device: ``"cpu"``, ``"cuda"`` or ``"reference"``.

    `index` is the number of a GPU; without it, kernels run on the current one.

    With the environment variable TINYCNN_BACKEND=reference, the CPU is served by the readable column.

    Raises:
        RuntimeError: if there is no such column, in words that say what to do.
        ValueError: if TINYCNN_BACKEND is something else.
    """
    if name == "cuda":
        return _on_gpu(index)
    if name == "cpu":
        backend = os.environ.get("TINYCNN_BACKEND") or "cpu"
        if backend not in _BACKENDS:
            raise ValueError(f"TINYCNN_BACKEND must be one of {', '.join(_BACKENDS)}, got {backend!r}")
        return _columns[backend]
    if name not in _columns:
        raise RuntimeError(f"there is no column of kernels {name!r}, only reference, cpu and cuda")
    return _columns[name]


def _on_gpu(index: int | None) -> Column:
    key = name = "cuda"
    if index is not None:
        key = f"cuda:{index}"
    if key not in _columns:
        probe = importlib.import_module(".cuda.probe", __name__)
        problem = probe.problem() or probe.no_such_gpu(index)
        if problem:
            raise RuntimeError(f"cuda: {problem}")
        _columns[key] = Column(name, index)
    return _columns[key]


@contextlib.contextmanager
def observed(observer: Callable[[str, str, Kernel], Kernel]) -> Iterator[None]:
    """While the block runs, every kernel that is asked for is what ``observer(column, name, kernel)`` returns.

    For tools that look at what is computed. It holds for all Python threads; outside of such blocks it costs nothing.
    A thread that fetched its kernel just before the end may call the observer's once more.
    """

    def ask_anew() -> None:
        for column in _columns.values():
            for kernel in vars(column).keys() - {"name", "index", "xp"}:
                delattr(column, kernel)

    with _lock:
        _observers.append(observer)
        ask_anew()
    try:
        yield
    finally:
        with _lock:
            _observers.remove(observer)
            ask_anew()


def loaded() -> tuple[str, ...]:
    """The names of the columns that are in use."""
    return tuple(_columns)


def names() -> tuple[str, ...]:
    """The names of all kernels, those of users included."""
    return (*_FAMILY_OF, *_registered)


def register(
    name: str,
    *,
    reference: Callable[..., Any],
    cpu: Callable[..., Any] | None = None,
    cuda: Callable[..., Any] | None = None,
) -> None:
    """Put a kernel of your own into the table, as ``tensor.device.kernels.<name>``.

    Args:
        name: a new name.
        reference: the plain version, which serves every column that has none of its own; arrays of a GPU are copied
            to the host and back for it.
        cpu, cuda: faster versions with the same signature.

    Raises:
        ValueError: if the name is taken or not an identifier.
        TypeError: if a kernel is not callable.
    """
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise ValueError(f"register: a kernel's name must be a public identifier, got {name!r}")
    if name in _FAMILY_OF or name in _registered or name in ("name", "index", "xp"):
        raise ValueError(f"register: the name {name!r} is taken")
    given = {"reference": reference, "cpu": cpu, "cuda": cuda}
    for where, kernel in given.items():
        if not callable(kernel) and (kernel is not None or where == "reference"):
            raise TypeError(f"register: {where}= must be callable, got {type(kernel).__name__}")
    _registered[name] = {where: kernel for where, kernel in given.items() if kernel is not None}
