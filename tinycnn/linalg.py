"""Norms and products of matrices and vectors, as in ``torch.linalg``. For decompositions see `numpy.linalg`."""

from __future__ import annotations

from ._autocast import cover
from .composed.linalg import linalg_cross as cross
from .composed.linalg import multi_dot, vecdot
from .composed.reduce import linalg_norm as norm
from .composed.reduce import matrix_norm, vector_norm
from .composed.shape import linalg_diagonal as diagonal
from .ops.matmul import matmul

__all__ = ["cross", "diagonal", "matmul", "matrix_norm", "multi_dot", "norm", "vecdot", "vector_norm"]

globals().update(cover(globals()))
