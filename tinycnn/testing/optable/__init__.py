"""The table of operations: for each its samples, what it must refuse, and what it must equal.

The tests walk over it: value and dtype against `reference`, gradients and gradients of gradients against finite
differences, every memory layout, every refusal. A new operation is tested by one entry here.
"""

from __future__ import annotations

from ._op import Op
from .elementwise import ELEMENTWISE
from .layers import LAYERS
from .losses import LOSSES
from .matmul import PRODUCTS
from .reduce import REDUCTIONS
from .shape import SHAPES

OPS: tuple[Op, ...] = (*ELEMENTWISE, *REDUCTIONS, *SHAPES, *PRODUCTS, *LAYERS, *LOSSES)

__all__ = ["OPS", "Op"]
