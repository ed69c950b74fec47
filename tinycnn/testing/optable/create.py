"""Making tensors: filled, counted, drawn, converted. Of random numbers the table states what always holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinycnn as t

from ._op import ONE, Op

DIFFERENT_NUMBERS = "the numbers of a seed are not PyTorch's: the generator is NumPy's PCG64"
NO_FORMATS = "memory formats are taken and change nothing: kernels read NCHW"


def _alike(name: str, function: Callable[..., Any], value: float) -> Op:
    refuses = ((lambda: getattr(t, name)(*([3.0, 1] if name == "full_like" else [3.0])), TypeError, "a Tensor"),)
    return Op(name, function, lambda x: np.full_like(x, value), ONE, gradient=False, refuses=refuses)


def _sized(name: str, function: Callable[..., Any], value: float | None) -> Op:
    """A tensor of a given shape; without `value` only shape and dtype are looked at."""
    make = getattr(t, name)
    return Op(
        name,
        lambda x: function(make, x) if value is not None else function(make, x) * 0,
        lambda x: np.full(x.shape, value or 0.0),
        ONE,
        gradient=False,
        refuses=(
            (lambda: make(), TypeError, "missing"),
            (lambda: make(-1), RuntimeError, "negative"),
            (lambda: make(2.0), TypeError, "ints"),
        ),
    )


def _drawn(name: str, function: Callable[..., Any], *refuses: Any) -> Op:
    """`function` says for each element whether a random number is as it must be."""
    return Op(
        name,
        function,
        lambda x: np.ones(x.shape, bool),
        ONE,
        low=0.1,
        high=0.9,
        gradient=False,
        refuses=refuses,
        differs=DIFFERENT_NUMBERS,
    )


def _between(x: t.Tensor, low: float, high: float) -> t.Tensor:
    return (x >= low) & (x < high)


def _conversion(name: str, numpy: Any) -> Op:
    return Op(
        f"Tensor.{name}",
        lambda x: getattr(x * 10, name)().to(x.dtype) + 0.5,
        lambda x: (x * 10).astype(numpy).astype(np.float64) + 0.5,
        ONE,
        low=0.05,
        gradient=False,
    )


CREATION = (
    _alike("zeros_like", t.zeros_like, 0),
    _alike("ones_like", t.ones_like, 1),
    _alike("full_like", lambda x: t.full_like(x, 2.5), 2.5),
    _alike("empty_like", lambda x: t.empty_like(x).fill_(2.5), 2.5),
    _sized("zeros", lambda make, x: make(x.shape, dtype=x.dtype), 0.0),
    _sized("ones", lambda make, x: make(size=x.shape, dtype=x.dtype), 1.0),
    _sized("empty", lambda make, x: make(*x.shape, dtype=x.dtype).fill_(3) if x.ndim else x * 0 + 3, 3.0),
    Op(
        "full",
        lambda x: t.full(x.shape, 1.5, dtype=x.dtype),
        lambda x: np.full(x.shape, 1.5),
        ONE,
        gradient=False,
        refuses=(
            (lambda: t.full(3, 1.0), TypeError, "tuple"),
            (lambda: t.full((2,), 300, dtype=t.uint8), RuntimeError, "0 to 255"),
        ),
    ),
    Op(
        "fill",
        lambda x, v: t.fill(x, v),
        lambda x, v: np.broadcast_to(v, x.shape),
        (((2, 3), ()), ((), ()), ((0, 2), ())),
        refuses=(
            (lambda: t.fill(t.ones(2), t.ones(2)), RuntimeError, "one number"),
            (lambda: t.fill(t.ones(2), "x"), TypeError, "a number"),
        ),
    ),
    Op("Tensor.new_zeros", lambda x: x.new_zeros(x.shape), np.zeros_like, ONE, gradient=False),
    Op("Tensor.new_ones", lambda x: x.new_ones(size=x.shape), np.ones_like, ONE, gradient=False),
    Op("Tensor.new_full", lambda x: x.new_full(x.shape, 7), lambda x: np.full(x.shape, 7.0), ONE, gradient=False),
    Op("Tensor.new_empty", lambda x: x.new_empty(x.shape).zero_(), np.zeros_like, ONE, gradient=False),
    Op("Tensor.new_tensor", lambda x: x.new_tensor([1, 2]), lambda x: np.array([1.0, 2.0]), ONE, gradient=False),
    Op(
        "tensor",
        lambda x: t.tensor(x.tolist(), dtype=x.dtype),
        lambda x: x,
        (((2, 3),), ((),), ((2, 0),)),
        gradient=False,
        refuses=(
            (lambda: t.tensor([[1, 2], [3]]), ValueError, "ragged"),
            (lambda: t.tensor("x"), TypeError, "expected numbers"),
            (lambda: t.tensor([256], dtype=t.uint8), RuntimeError, "0 to 255"),
            (lambda: t.tensor([1], requires_grad=True), RuntimeError, "floating-point"),
            (lambda: t.tensor([t.ones(2)]), ValueError, "one element"),
        ),
    ),
    Op("as_tensor", lambda x: t.as_tensor(x.numpy()), lambda x: x, ONE, gradient=False),
    Op(
        "asarray",
        t.asarray,
        lambda x: x,
        ONE,
        gradient=False,
        refuses=((lambda: t.asarray([1.0], copy=False), ValueError, "without a copy"),),
    ),
    Op(
        "from_numpy",
        lambda x: t.from_numpy(x.numpy()),
        lambda x: x,
        ONE,
        gradient=False,
        refuses=(
            (lambda: t.from_numpy([1.0]), TypeError, "ndarray"),  # type: ignore[arg-type]
            (lambda: t.from_numpy(np.zeros(2, complex)), TypeError, "counterpart"),
        ),
    ),
    Op(
        "scalar_tensor",
        lambda x: t.scalar_tensor(3, dtype=x.dtype),
        lambda x: np.asarray(3.0),
        ONE,
        gradient=False,
        refuses=((lambda: t.scalar_tensor([3]), TypeError, "a number"),),
    ),
    Op(
        "arange",
        lambda x: t.arange(-1, 2, 0.25, dtype=x.dtype),
        lambda x: np.arange(-1, 2, 0.25),
        ONE,
        gradient=False,
        refuses=(
            (lambda: t.arange(1, 2, 0), RuntimeError, "step"),
            (lambda: t.arange(2, 1), RuntimeError, "away"),
            (lambda: t.arange(0, float("inf")), RuntimeError, "finite"),
            (lambda: t.arange(0, 2, dtype=t.bool), RuntimeError, "bools"),
            (lambda: t.arange("x"), TypeError, "a number"),
        ),
    ),
    Op(
        "linspace",
        lambda x: t.linspace(-1, 2, 7, dtype=x.dtype),
        lambda x: np.linspace(-1, 2, 7),
        ONE,
        gradient=False,
        refuses=(
            (lambda: t.linspace(0, 1, -1), RuntimeError, "negative"),
            (lambda: t.linspace(0, 1, 1.5), TypeError, "an int"),  # type: ignore[arg-type]
            (lambda: t.linspace(t.ones(2), 1, 2), RuntimeError, "0-d"),
        ),
    ),
    Op(
        "logspace",
        lambda x: t.logspace(-1, 2, 7, base=2, dtype=x.dtype),
        lambda x: np.logspace(-1, 2, 7, base=2),
        ONE,
        gradient=False,
        refuses=((lambda: t.logspace(0, 1, -1), RuntimeError, "negative"),),
    ),
    Op(
        "eye",
        lambda x: t.eye(2, 3, dtype=x.dtype),
        lambda x: np.eye(2, 3),
        ONE,
        gradient=False,
        refuses=((lambda: t.eye(-1), RuntimeError, "negative"), (lambda: t.eye(2.0), TypeError, "ints")),  # type: ignore[arg-type]
    ),
    _drawn(
        "rand",
        lambda x: _between(t.rand(x.shape, dtype=x.dtype), 0, 1),
        (lambda: t.rand(2, dtype=t.int64), RuntimeError, "floating-point"),
    ),
    _drawn("randn", lambda x: t.randn(size=x.shape).abs() < 9, (lambda: t.randn(), TypeError, "missing")),
    _drawn("rand_like", lambda x: _between(t.rand_like(x), 0, 1), (lambda: t.rand_like(1), TypeError, "a Tensor")),  # type: ignore[arg-type]
    _drawn(
        "randn_like",
        lambda x: t.randn_like(x).abs() < 9,
        (lambda: t.randn_like(t.tensor([1])), RuntimeError, "floating-point"),
    ),
    _drawn(
        "randint",
        lambda x: _between(t.randint(-3, 2, x.shape), -3, 2),
        (lambda: t.randint(3, 3, (2,)), RuntimeError, "no whole number"),
        (lambda: t.randint(300, (2,), dtype=t.uint8), RuntimeError, "does not fit"),
        (lambda: t.randint(3, 5), TypeError, "size"),
        (lambda: t.randint(1.5, (2,)), TypeError, "ints"),
    ),
    _drawn("randint_like", lambda x: _between(t.randint_like(x, -3, 2), -3, 2)),
    Op(
        "randperm",
        lambda x: t.randperm(7).sort()[0],
        lambda x: np.arange(7),
        ONE,
        gradient=False,
        refuses=((lambda: t.randperm(-1), RuntimeError, "negative"),),
        differs=DIFFERENT_NUMBERS,
    ),
    _drawn(
        "bernoulli",
        lambda x: (t.bernoulli(x) * (1 - t.bernoulli(x, 1.0))) + 1 == 1 + t.bernoulli(x, 0.0),
        (lambda: t.bernoulli(t.tensor([1.5])), RuntimeError, "0, 1"),
        (lambda: t.bernoulli(t.tensor([1])), RuntimeError, "floating-point"),
    ),
    _drawn(
        "multinomial",
        lambda x: _between(t.multinomial(t.tensor([0.0, 1.0, 2.0]), 2), 1, 3).all() & (x == x),
        (lambda: t.multinomial(t.ones(2), 3), RuntimeError, "without replacement"),
        (lambda: t.multinomial(t.zeros(2), 1), RuntimeError, "all 0"),
        (lambda: t.multinomial(-t.ones(2), 1), RuntimeError, "not negative"),
        (lambda: t.multinomial(t.ones(2), 0), RuntimeError, "at least 1"),
        (lambda: t.multinomial(t.ones(1, 1, 1), 1), RuntimeError, "shape"),
    ),
    _drawn(
        "normal",
        lambda x: (t.normal(x, 0.0) == x) & (t.normal(1.0, 2 * x).abs() < 20),
        (lambda: t.normal(0.0, 1.0), TypeError, "a size"),
        (lambda: t.normal(0.0, -1.0, (2,)), RuntimeError, "negative"),
        (lambda: t.normal(t.ones(2), t.ones(3)), RuntimeError, "broadcast"),
    ),
    _drawn(
        "Tensor.normal_",
        lambda x: _between(t.empty_like(x).normal_(5, 0.1), 4, 6),
        (lambda: t.ones(2).normal_(0, -1), RuntimeError, "negative"),
    ),
    _drawn(
        "Tensor.uniform_",
        lambda x: _between(t.empty_like(x).uniform_(2, 3), 2, 3),
        (lambda: t.ones(2).uniform_(3, 2), RuntimeError, "before"),
        (lambda: t.tensor([1]).uniform_(), RuntimeError, "floating-point"),
    ),
    _drawn("Tensor.random_", lambda x: _between(t.empty_like(x).random_(2, 5), 2, 5)),
    _drawn(
        "Tensor.bernoulli_",
        lambda x: (t.empty_like(x).bernoulli_(1.0) == 1) & (t.empty_like(x).bernoulli_(x * 0) == 0),
        (lambda: t.ones(2).bernoulli_(2.0), RuntimeError, "0, 1"),
    ),
    *(
        _conversion(name, kind)
        for name, kind in (
            *(("char", np.int8), ("short", np.int16), ("int", np.int32), ("long", np.int64), ("bool", np.bool_)),
            ("double", np.float64),
        )
    ),
    Op(
        "Tensor.byte",
        lambda x: (x * 3).byte().to(x.dtype) + 0.5,
        lambda x: np.floor(x * 3) + 0.5,
        ONE,
        low=0.1,
        gradient=False,
    ),
    Op(
        "Tensor.to",
        lambda x: x.to("cpu", x.dtype, True, True).to(x),
        lambda x: x,
        ONE,
        refuses=(
            (lambda: t.ones(2).to(t.float64, "cpu"), TypeError, "expected a device"),
            (lambda: t.ones(2).to("tpu"), RuntimeError, "cpu"),
        ),
        differs=NO_FORMATS,
    ),
    Op("Tensor.type_as", lambda x: x.type_as(x), lambda x: x, ONE),
    Op(
        "Tensor.type",
        lambda x: x.type(t.LongTensor).type("torch.DoubleTensor").to(x.dtype),
        np.trunc,
        ONE,
        spaced=True,
        gradient=False,
        refuses=((lambda: t.ones(2).type("x"), ValueError, "FloatTensor"),),
    ),
    Op("is_floating_point", lambda x: t.tensor(x.is_floating_point()), lambda x: np.asarray(True), ONE, gradient=False),
    Op("is_complex", lambda x: t.tensor(x.is_complex()), lambda x: np.asarray(False), ONE, gradient=False),
    Op(
        "is_nonzero",
        lambda x: t.tensor(t.is_nonzero(t.ones(1))),
        lambda x: np.asarray(True),
        ONE,
        gradient=False,
        refuses=((lambda: t.is_nonzero(t.ones(2)), RuntimeError, "ambiguous"),),
    ),
    Op("numel", lambda x: t.tensor(t.numel(x)), lambda x: np.asarray(x.size), ONE, gradient=False),
)
