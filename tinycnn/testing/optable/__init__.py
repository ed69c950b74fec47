"""The table of operations: for each its samples, what it must refuse, and what it must equal.

The tests walk over it: value and dtype against `reference`, gradients and gradients of gradients against finite
differences, every memory layout, every refusal. A new operation is tested by one entry here.
"""

from __future__ import annotations

from ._op import Op
from .activation import ACTIVATIONS
from .create import CREATION
from .elementwise import ELEMENTWISE
from .images import IMAGES
from .layers import LAYERS
from .losses import LOSSES
from .matmul import PRODUCTS
from .reduce import REDUCTIONS, SORTING, STATISTICS
from .shape import INDICES, SHAPES

FAMILIES: dict[str, tuple[Op, ...]] = {
    "creation": CREATION,
    "elementwise": ELEMENTWISE,
    "reductions": REDUCTIONS,
    "order": SORTING,
    "statistics": STATISTICS,
    "shapes": SHAPES,
    "indices": INDICES,
    "products": PRODUCTS,
    "layers": LAYERS,
    "images": IMAGES,
    "activations": ACTIVATIONS,
    "losses": LOSSES,
}

OPS: tuple[Op, ...] = tuple(op for family in FAMILIES.values() for op in family)

__all__ = ["FAMILIES", "OPS", "Op"]
