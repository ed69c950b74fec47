"""Whoever hands a function something that is no tensor is told so in words, by every function."""

import inspect
import types

import pytest

import tinycnn
from tinycnn import linalg
from tinycnn.nn import functional

ANY_TENSOR = ("input", "tensors", "elements")  # parameters without a type that stand for tensors
NOT_TENSORS = ("x", None, object(), [1.5, object()])


def functions_of_tensors():
    """The public functions whose first parameter is annotated as a Tensor or several, or named like one.

    Those that make tensors from something else name it otherwise, and say what they expect in their own tests.
    """
    for room in (tinycnn, functional, linalg):
        for name, function in sorted(vars(room).items()):
            if not isinstance(function, types.FunctionType) or name.startswith("_"):
                continue
            first, *rest = inspect.signature(function).parameters.values() or [None]
            if first is not None and ("Tensor" in str(first.annotation) or first.name in ANY_TENSOR):
                yield pytest.param(function, rest, id=f"{room.__name__}.{name}")


@pytest.mark.parametrize("function, rest", list(functions_of_tensors()))
def test_what_is_no_tensor_is_refused_in_words(function, rest):
    others = [
        tinycnn.ones(2, 2) if "Tensor" in str(p.annotation) else 1
        for p in rest
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    named = {p.name: 1 for p in rest if p.default is p.empty and p.kind is p.KEYWORD_ONLY}
    name = function.__name__.removeprefix("torch_").removeprefix("linalg_")
    for wrong in NOT_TENSORS:
        with pytest.raises((TypeError, ValueError, RuntimeError), match=rf"^(linalg\.)?{name}: .*([Tt]ensor|number)"):
            function(wrong, *others, **named)


def test_the_walk_finds_the_functions():
    found = {p.id for p in functions_of_tensors()}
    assert len(found) > 300
    assert {"tinycnn.cat", "tinycnn.eq", "tinycnn.nn.functional.relu_", "tinycnn.linalg.norm"} <= found
    assert not {"tinycnn.tensor", "tinycnn.zeros", "tinycnn.load"} & found
