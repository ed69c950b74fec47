"""Losses. `reduction` is ``"mean"``, ``"sum"`` or ``"none"``; `size_average` and `reduce` are its old spellings."""

from __future__ import annotations

from .._tensor import Tensor
from . import functional as F
from .module import Module


class _Loss(Module):
    def __init__(self, name: str, size_average: bool | None, reduce: bool | None, reduction: str) -> None:
        super().__init__()
        self.reduction = F._reduction(size_average, reduce, reduction)
        if self.reduction not in ("none", "mean", "sum"):
            raise ValueError(f"{name}: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")


class CrossEntropyLoss(_Loss):
    """-weight[target] * log softmax(input)[target], for logits: no softmax layer goes before it.

    Shapes: input (N, C), (C,) or (N, C, d1, ...); target int64 (N,), () or (N, d1, ...), or probabilities of
    the input's shape. The mean divides by the sum of the weights that took part.

    Args:
        weight: (C,), a factor for each class.
        ignore_index: targets of this value do not count.
        label_smoothing: in [0, 1]: so much of the target is spread evenly over the classes.

    Raises:
        ValueError: for an illegal reduction or smoothing; when called, for shapes that do not fit.
        IndexError: when called, for a target that is not a class.
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__("CrossEntropyLoss", size_average, reduce, reduction)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"CrossEntropyLoss: label_smoothing must lie in [0, 1], got {label_smoothing}")
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """-weight[target] * input[target], for log-probabilities, as `LogSoftmax` makes them. Arguments and shapes as
    `CrossEntropyLoss`, without probabilities as targets."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__("NLLLoss", size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(_Loss):
    """(input - target)**2, for two tensors of one shape; the mean is over all elements."""

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__("MSELoss", size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)
