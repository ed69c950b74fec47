"""Hypothesis strategies for tests of operations: shapes, arrays in every memory layout, tensors, conv arguments.

from hypothesis import given
from tinycnn.testing import strategies, gradcheck

@given(strategies.tensors(requires_grad=True))
def test_my_op(x):
    assert gradcheck(my_op, (x,))
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._tensor import Tensor, wrap
from ..kernels.geometry import ConvSpec, GeometryError, PoolSpec, conv_spec, pool_spec

try:
    from hypothesis import strategies as st
except ImportError:
    raise ImportError("tinycnn.testing.strategies needs Hypothesis: pip install 'tinycnn[test]'") from None

LAYOUTS = ("C", "Fortran", "permuted", "sliced", "negative stride", "broadcast")


def shapes(min_dims: int = 0, max_dims: int = 4, min_side: int = 0, max_side: int = 5) -> st.SearchStrategy[Any]:
    """Shapes, sizes of 0 and 1 included."""
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


@st.composite
def broadcastable(draw: Any, count: int = 2, max_dims: int = 4, max_side: int = 4) -> list[tuple[int, ...]]:
    """`count` shapes that broadcast against each other."""
    full = draw(shapes(0, max_dims, 0, max_side))
    result = []
    for _ in range(count):
        kept = full[draw(st.integers(0, len(full))) :]
        result.append(tuple(1 if draw(st.booleans()) else n for n in kept))
    return result


def lay_out(array: np.ndarray, layout: str, order: list[int]) -> np.ndarray:
    """The same numbers in memory laid out as named in `LAYOUTS`; `order` is a permutation for "permuted"."""
    if not array.ndim:
        return array.copy()
    if layout == "Fortran":
        return array.copy(order="F")
    if layout == "permuted":
        return array.transpose(order).copy().transpose(np.argsort(order))
    if layout == "sliced":
        room = np.full(tuple(2 * n + 1 for n in array.shape), np.nan, array.dtype)
        room[tuple(slice(1, None, 2) for _ in array.shape)] = array
        return room[tuple(slice(1, None, 2) for _ in array.shape)]
    if layout == "negative stride":
        back = tuple(slice(None, None, -1) for _ in array.shape)
        return array[back].copy()[back]
    if layout == "broadcast":
        return np.broadcast_to(array[:1], array.shape)
    return array.copy()


@st.composite
def arrays(
    draw: Any,
    shape: Any = None,
    dtype: Any = np.float64,
    layouts: tuple[str, ...] = LAYOUTS,
    spaced: bool = False,
    low: float = -2.0,
    high: float = 2.0,
) -> np.ndarray:
    """Arrays with numbers from [low, high].

    Args:
        shape: a shape, or a strategy for shapes; drawn if None.
        layouts: those to draw from.
        spaced: no two numbers are close to each other or to 0, so that comparisons do not flip within a small step.
    """
    if shape is None:
        shape = shapes()
    size = draw(shape) if isinstance(shape, st.SearchStrategy) else tuple(shape)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = int(np.prod(size))
    if spaced:
        numbers = (rng.permutation(count) + 0.5) / max(count, 1) * (high - low) + low
    else:
        numbers = rng.uniform(low, high, count)
    choices = [kind for kind in layouts if kind != "broadcast" or (not spaced and size)]
    order = draw(st.permutations(range(len(size))))
    return lay_out(numbers.reshape(size).astype(dtype), draw(st.sampled_from(choices or ["C"])), order)


@st.composite
def tensors(draw: Any, shape: Any = None, requires_grad: bool = False, **options: Any) -> Tensor:
    """Tensors around `arrays`; those that require grad never show one number at several places."""
    if requires_grad:
        options.setdefault("layouts", tuple(kind for kind in LAYOUTS if kind != "broadcast"))
    result = wrap(draw(arrays(shape, **options)))
    return result.requires_grad_() if requires_grad else result


@st.composite
def conv_specs(draw: Any, max_side: int = 7, max_batch: int = 2) -> ConvSpec:
    """Legal convolutions: any stride, padding (``"same"`` too), dilation and group count, depthwise included."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, filters = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    size = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    shape = (draw(st.integers(0, max_batch)), channels, *size)
    weight = (filters, channels // groups, *draw(pair))
    stride, dilation = draw(pair), draw(pair)
    padding: Any = draw(st.one_of(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.just("same"), st.just("valid")))
    if padding == "same":
        stride = (1, 1)
    try:
        return conv_spec(shape, weight, stride, padding, dilation, groups)
    except GeometryError:  # the window does not fit: give it room
        room = tuple(d * (k - 1) for d, k in zip(dilation, weight[2:], strict=True))
        return conv_spec(shape, weight, stride, room, dilation, groups)


@st.composite
def pool_specs(draw: Any, max_side: int = 7, max_batch: int = 2, dilated: bool = True) -> PoolSpec:
    """Legal poolings, with padding, dilation and ceil_mode."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride = draw(pair), draw(pair)
    size = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    shape = (draw(st.integers(0, max_batch)), draw(st.integers(1, 2)), *size)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    dilation = draw(pair) if dilated else (1, 1)
    ceil_mode = draw(st.booleans())
    try:
        return pool_spec(shape, kernel, stride, padding, dilation, ceil_mode)
    except GeometryError:  # the window does not fit: a smaller one does
        return pool_spec(shape, 1, stride, 0, dilation, ceil_mode)
