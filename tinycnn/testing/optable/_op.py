"""One entry of the table of operations, and what several of its files use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tinycnn as t

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Op:
    """One operation.

    Attributes:
        name: PyTorch's name without ``torch.``, such as ``nn.functional.conv2d``; then, if there are several entries
            of one name, a colon and what is special about this one.
        function: takes the sample tensors.
        reference: the same on float64 arrays, in plain NumPy.
        samples: the shapes of the inputs, for each sample.
        low, high: the range of the inputs.
        spaced: inputs must not be close to each other or to 0 (kinks and ties).
        gradient, second: whether gradients, and gradients of gradients, exist.
        refuses: calls that must fail, with the type of the error and a piece of its text.
        differs: what differs from PyTorch, and why; empty if nothing is known to.
    """

    name: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    samples: tuple[tuple[Shape, ...], ...]
    low: float = -2.0
    high: float = 2.0
    spaced: bool = False
    gradient: bool = True
    second: bool = True
    refuses: tuple[tuple[Callable[[], Any], type[Exception], str], ...] = ()
    differs: str = ""


ONE = (((2, 3),), ((4,),), ((),), ((0, 2),), ((2, 1, 3),))
PAIRS = (
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((2, 1), (1, 3)),
    ((), (2,)),
    ((3,), ()),
    ((0, 2), (2,)),
    ((2, 1, 2), (3, 1)),
)
NOT_A_TENSOR = "expected a Tensor"


def unary(name: str, function: Callable[..., Any], formula: Callable[..., Any], **options: Any) -> Op:
    refuses = ((lambda: function("x"), TypeError, NOT_A_TENSOR),)
    return Op(name, function, formula, ONE, refuses=refuses, **options)


def binary(
    name: str, function: Callable[..., Any], formula: Callable[..., Any], numbers: bool = True, **options: Any
) -> Op:
    """An operation of two tensors that broadcast; the second may be a number unless `numbers` is False."""
    refuses = (
        (lambda: function(t.ones(2), "x"), TypeError, "Tensor or a number" if numbers else NOT_A_TENSOR),
        (lambda: function(t.ones(2), t.ones(3)), RuntimeError, "do not broadcast"),
        (lambda: function(1.0, 2.0), TypeError, NOT_A_TENSOR),
    )
    return Op(name, function, formula, PAIRS, refuses=refuses, **options)
