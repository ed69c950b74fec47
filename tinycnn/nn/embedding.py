"""A table of vectors, looked up by number."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd import no_grad
from ..kernels.geometry import whole
from ..ops.create import empty
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class Embedding(Module):
    """The rows of `weight` (num_embeddings, embedding_dim) at integers of any shape (...): (..., embedding_dim).

    Args:
        padding_idx: a row that starts at 0 and gets no gradient.
        max_norm, norm_type: rows that are used and longer than this are shortened, in place.
        scale_grad_by_freq: divide a row's gradient by how often it is used in the batch.
        sparse: must be False.
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_idx is not None:
            padding_idx = whole("Embedding", "padding_idx", padding_idx)
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"Embedding: padding_idx={padding_idx} lies outside the {num_embeddings} rows")
            padding_idx %= num_embeddings
        if sparse:
            raise ValueError("Embedding: there are no sparse gradients here; use sparse=False")
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is None:
            self.weight = Parameter(empty((num_embeddings, embedding_dim), device=device, dtype=dtype), not _freeze)
            self.reset_parameters()
        else:
            if tuple(_weight.array.shape) != (num_embeddings, embedding_dim):
                raise ValueError(
                    f"Embedding: expected a weight of shape {(num_embeddings, embedding_dim)}, got "
                    f"{tuple(_weight.array.shape)}"
                )
            self.weight = Parameter(_weight, not _freeze)

    def reset_parameters(self) -> None:
        """Draw the rows from the normal distribution."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Embedding:
        """A table with the given rows (V, D); with `freeze` it is not trained."""
        if embeddings.array.ndim != 2:
            raise ValueError(f"from_pretrained: expected (V, D), got shape {tuple(embeddings.array.shape)}")
        rows, columns = embeddings.array.shape
        return cls(rows, columns, _weight=embeddings, _freeze=freeze, **options)

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        return text + (", scale_grad_by_freq=True" if self.scale_grad_by_freq else "")
