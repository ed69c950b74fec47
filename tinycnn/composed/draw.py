"""Tensors of random numbers, and random numbers written into tensors.

The same seed gives the same numbers, but not PyTorch's: the generator is NumPy's PCG64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from .._tensor import Tensor, host, wrap
from ..ops import elementwise as ew
from ..ops.create import finish, kind_of, legal
from ..ops.inplace import write
from ..random import Generator, generator_or_default

Shape = tuple[int, ...]


def _wide(kind: np.dtype) -> Any:
    return np.float64 if kind.itemsize == 8 else np.float32


def _normal(shape: Shape, kind: np.dtype, generator: Generator | None) -> np.ndarray:
    drawn = generator_or_default(generator).numpy.standard_normal(shape, _wide(kind))
    return np.asarray(drawn).astype(kind, copy=False)


def _uniform(shape: Shape, kind: np.dtype, generator: Generator | None) -> np.ndarray:
    drawn = generator_or_default(generator).numpy.random(shape, _wide(kind))
    return np.asarray(drawn).astype(kind, copy=False)


def _integers(name: str, low: Any, high: Any, shape: Shape, kind: np.dtype, generator: Generator | None) -> np.ndarray:
    """Whole numbers from [low, high)."""
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, (int, np.integer)):
            raise TypeError(f"{name}: the bounds must be ints, got {low!r} and {high!r}")
    if high <= low:
        raise RuntimeError(f"{name}: there is no whole number in [{low}, {high})")
    if kind.kind != "f":
        least, most = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
        if low < least or high - 1 > most:
            raise RuntimeError(f"{name}: [{low}, {high}) does not fit into {kind}, which holds {least} to {most}")
    return np.asarray(generator_or_default(generator).numpy.integers(low, high, shape)).astype(kind)


def _float_kind(name: str, kind: np.dtype) -> np.dtype:
    if kind.kind != "f":
        raise RuntimeError(f"{name}: the dtype must be floating-point, got {dtypes.as_dtype(kind)}")
    return kind


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        if not (isinstance(value, Tensor) and value.array.ndim == 0):
            raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    return float(value)


# -- new tensors ------------------------------------------------------------------------------------------------------


def rand(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Numbers drawn evenly from [0, 1)."""
    kind = _float_kind("rand", kind_of(dtype))
    return finish(_uniform(legal("rand", sizes, size), kind, generator), device, requires_grad)


def randn(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Numbers drawn from the normal distribution with mean 0 and variance 1."""
    kind = _float_kind("randn", kind_of(dtype))
    return finish(_normal(legal("randn", sizes, size), kind, generator), device, requires_grad)


def randint(
    low: Any = None,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Whole numbers drawn evenly from [low, high): ``randint(high, size)`` or ``randint(low, high, size)``.

    Raises:
        RuntimeError: if the range is empty, or does not fit into the dtype.
    """
    if size is None and isinstance(high, (tuple, list)):
        high, size = None, high
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"randint: size must be a tuple of ints, got {size!r}")
    if high is None or low is None:
        low, high = 0, low if high is None else high
    kind = np.dtype(np.int64) if dtype is None else kind_of(dtype)
    low, high = (v.item() if isinstance(v, Tensor) else v for v in (low, high))
    return finish(_integers("randint", low, high, legal("randint", (size,)), kind, generator), device, requires_grad)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = dtypes.int64,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """The numbers 0 to n - 1 in random order."""
    (n,) = legal("randperm", (n,))
    kind = kind_of(dtype)
    if n:
        dtypes.number("randperm", n - 1, kind)
    return finish(generator_or_default(generator).numpy.permutation(n).astype(kind), device, requires_grad)


def _like(name: str, input: Any, dtype: Any) -> tuple[Shape, np.dtype]:
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__}")
    return input.array.shape, input.array.dtype if dtype is None else kind_of(dtype)


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """`rand` in the shape and dtype of `input`."""
    shape, kind = _like("rand_like", input, dtype)
    return finish(_uniform(shape, _float_kind("rand_like", kind), generator), device or input.device, requires_grad)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """`randn` in the shape and dtype of `input`."""
    shape, kind = _like("randn_like", input, dtype)
    return finish(_normal(shape, _float_kind("randn_like", kind), generator), device or input.device, requires_grad)


def randint_like(
    input: Tensor,
    low: Any = None,
    high: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """`randint` in the shape and dtype of `input`: ``randint_like(x, high)`` or ``randint_like(x, low, high)``."""
    shape, kind = _like("randint_like", input, dtype)
    if high is None or low is None:
        low, high = 0, low if high is None else high
    low, high = (v.item() if isinstance(v, Tensor) else v for v in (low, high))
    drawn = _integers("randint_like", low, high, shape, kind, generator)
    return finish(drawn, device or input.device, requires_grad)


def _coins(name: str, p: Any, shape: Shape, kind: np.dtype, generator: Generator | None) -> np.ndarray:
    """1 with probability `p`, else 0."""
    chance = np.asarray(p)
    if not ((chance >= 0) & (chance <= 1)).all():
        raise RuntimeError(f"{name}: probabilities must lie in [0, 1], got {chance.min()} to {chance.max()}")
    return np.asarray(generator_or_default(generator).numpy.random(shape) < chance).astype(kind)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that the element states (or with `p` everywhere), else 0; in the dtype of `input`.

    Raises:
        RuntimeError: if a probability is outside [0, 1]; without `p`, if the dtype is not floating-point.
    """
    shape, kind = _like("bernoulli", input, None)
    if p is None:
        _float_kind("bernoulli", kind)
    chance = host(input) if p is None else _number("bernoulli", p)
    return wrap(_coins("bernoulli", chance, shape, kind, generator), input.device)


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Draws `num_samples` indices from each row of weights: (N, C) to (N, num_samples), (C,) to (num_samples,).

    Without replacement the index with the largest weight / Exp(1) comes first, and so on: Efraimidis and Spirakis'
    rule of the exponential race.

    Raises:
        RuntimeError: for weights that are negative, not finite or all 0, for other shapes, and if without replacement
            `num_samples` exceeds the number of categories.
    """
    shape, kind = _like("multinomial", input, None)
    if len(shape) not in (1, 2):
        raise RuntimeError(f"multinomial: expected weights of shape (C,) or (N, C), got {tuple(shape)}")
    _float_kind("multinomial", kind)
    if isinstance(num_samples, bool) or not isinstance(num_samples, (int, np.integer)):
        raise TypeError(f"multinomial: num_samples must be an int, got {num_samples!r}")
    count = shape[-1]
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: num_samples must be at least 1, got {num_samples}")
    if count > 2**24:
        raise RuntimeError(f"multinomial: at most 2**24 categories, got {count}")
    if not replacement and num_samples > count:
        raise RuntimeError(f"multinomial: {num_samples} of {count} categories cannot be drawn without replacement")
    weights = host(input).reshape(-1, count).astype(np.float64)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise RuntimeError("multinomial: the weights must be finite and not negative")
    if not weights.any(axis=1).all():
        raise RuntimeError("multinomial: the weights of a row are all 0")
    draw = generator_or_default(generator).numpy
    if replacement:
        edges = np.cumsum(weights, axis=1)
        points = draw.random((len(weights), num_samples)) * edges[:, -1:]
        rows = [np.searchsorted(e, p, side="right") for e, p in zip(edges, points, strict=True)]
        drawn = np.array(rows, np.int64).reshape(len(weights), num_samples)
    else:
        race = weights / (draw.standard_exponential(weights.shape) + 1e-300)
        drawn = np.argsort(-race, axis=1, kind="stable")[:, :num_samples].astype(np.int64)
    return wrap(np.ascontiguousarray(drawn.reshape(*shape[:-1], num_samples)), input.device)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Numbers from normal distributions: ``normal(mean, std)`` with tensors, of which one may be a number, each element
    with its own mean and standard deviation; ``normal(mean, std, size)`` with numbers. No gradient.

    Raises:
        RuntimeError: if a standard deviation is negative.
    """
    tensors = [t for t in (mean, std) if isinstance(t, Tensor)]
    if tensors and size is None:
        kind = tensors[0].array.dtype
        for t in tensors:
            _float_kind("normal", t.array.dtype)
            ew.check_broadcast("normal", tensors[0], t)
        shape = np.broadcast_shapes(*(t.array.shape for t in tensors))
    elif size is None or tensors:
        raise TypeError("normal: expected tensors for mean or std, or two numbers and a size")
    else:
        kind, shape = _float_kind("normal", kind_of(dtype)), legal("normal", (size,))
    a, b = (host(v) if isinstance(v, Tensor) else _number("normal", v) for v in (mean, std))
    device = tensors[0].device if tensors else device
    if not (np.asarray(b) >= 0).all():
        raise RuntimeError(f"normal: standard deviations must not be negative, got {np.min(b)}")
    return finish((_normal(shape, kind, generator) * b + a).astype(kind, copy=False), device, requires_grad)


# -- in place ---------------------------------------------------------------------------------------------------------


def _fill(name: str, input: Tensor, drawn: np.ndarray) -> Tensor:
    return write(name, input, lambda x: wrap(drawn, x.device))


def normal_(input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Numbers from the normal distribution, written into this tensor.

    Raises:
        RuntimeError: if `std` is negative, or the dtype not floating-point.
    """
    kind = _float_kind("normal_", input.array.dtype)
    mean, std = _number("normal_", mean), _number("normal_", std)
    if not std >= 0:
        raise RuntimeError(f"normal_: the standard deviation must not be negative, got {std}")
    drawn = _normal(input.array.shape, kind, generator)
    return _fill("normal_", input, (drawn * std + mean).astype(kind, copy=False))


def uniform_(input: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Numbers drawn evenly from [from_, to), written into this tensor.

    Raises:
        RuntimeError: if `to` is less than `from_`, or the dtype not floating-point.
    """
    kind = _float_kind("uniform_", input.array.dtype)
    low, high = _number("uniform_", from_), _number("uniform_", to)
    if not low <= high:
        raise RuntimeError(f"uniform_: the range [{low}, {high}) ends before it begins")
    drawn = _uniform(input.array.shape, kind, generator) * (high - low) + low
    return _fill("uniform_", input, np.minimum(drawn, high).astype(kind, copy=False))


def random_(input: Tensor, from_: Any = None, to: Any = None, *, generator: Generator | None = None) -> Tensor:
    """Whole numbers, written into this tensor: ``random_()`` from all that the dtype holds exactly and that are not
    negative, ``random_(to)`` from [0, to), ``random_(from, to)`` from [from, to).

    Raises:
        RuntimeError: if the range is empty, or does not fit into the dtype.
    """
    kind = input.array.dtype
    if from_ is None and to is None:
        digits = np.finfo(kind).nmant + 1 if kind.kind == "f" else 0
        low, high = 0, 2**digits + 1 if digits else 2 if kind.kind == "b" else int(np.iinfo(kind).max)
        high += kind.kind in "iu" and kind.itemsize < 8
    else:
        low, high = (0, from_) if to is None else (from_ or 0, to)
    return _fill("random_", input, _integers("random_", low, high, input.array.shape, kind, generator))


def bernoulli_(input: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """1 with probability `p`, a number or a tensor that broadcasts, else 0; written into this tensor.

    Raises:
        RuntimeError: if a probability is outside [0, 1].
    """
    if isinstance(p, Tensor):
        ew.check_broadcast("bernoulli_", input, p)
    chance = host(p) if isinstance(p, Tensor) else _number("bernoulli_", p)
    return _fill("bernoulli_", input, _coins("bernoulli_", chance, input.array.shape, input.array.dtype, generator))
