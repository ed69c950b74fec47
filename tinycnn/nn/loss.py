"""Losses. `reduction` is ``"mean"``, ``"sum"`` or ``"none"``; `size_average` and `reduce` are its old spellings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._tensor import Tensor
from ..composed.loss import reduction_of
from ..dtypes import real
from . import functional as F
from .module import Module
from .resample import PairwiseDistance


class _Loss(Module):
    def __init__(self, name: str, size_average: bool | None, reduce: bool | None, reduction: str, *more: str) -> None:
        super().__init__()
        self.reduction = reduction_of(size_average, reduce, reduction)
        if self.reduction not in ("none", "mean", "sum", *more):
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
        if not 0.0 <= real("CrossEntropyLoss", "label_smoothing", label_smoothing) <= 1.0:
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


def _plain(name: str, function: Callable[..., Tensor], formula: str, *rule: tuple[str, Any]) -> type[Module]:
    """Make the module of a loss without tensors of its own.

    Args:
        rule: name and default of its arguments, in PyTorch's order.
    """

    class Loss(_Loss):
        def __init__(self, *args: Any, **options: Any) -> None:
            names = [key for key, _ in rule]
            if len(args) > len(rule) or set(options) - set(names):
                raise TypeError(f"{name}: expected the arguments {names}, got {args} and {options}")
            given = {**dict(rule), **dict(zip(names, args, strict=False)), **options}
            old = given.pop("size_average", None), given.pop("reduce", None)
            super().__init__(name, *old, given.pop("reduction"), *(["batchmean"] if name == "KLDivLoss" else []))
            for key, value in given.items():
                setattr(self, key, value)

        def forward(self, *tensors: Tensor) -> Tensor:
            options = {key: getattr(self, key) for key, _ in rule if key not in ("size_average", "reduce")}
            return function(*tensors, **options)

    Loss.__name__ = Loss.__qualname__ = name
    Loss.__doc__ = f"{formula}; see `functional.{function.__name__}`."
    return Loss


OLD = (("size_average", None), ("reduce", None))
REDUCTION = ("reduction", "mean")

MSELoss = _plain("MSELoss", F.mse_loss, "(input - target)**2", *OLD, REDUCTION)
L1Loss = _plain("L1Loss", F.l1_loss, "|input - target|", *OLD, REDUCTION)
SmoothL1Loss = _plain(
    "SmoothL1Loss", F.smooth_l1_loss, "A parabola below beta, a line above", *OLD, REDUCTION, ("beta", 1.0)
)
HuberLoss = _plain("HuberLoss", F.huber_loss, "A parabola below delta, a line above", REDUCTION, ("delta", 1.0))
KLDivLoss = _plain("KLDivLoss", F.kl_div, "target * (ln(target) - input)", *OLD, REDUCTION, ("log_target", False))
SoftMarginLoss = _plain("SoftMarginLoss", F.soft_margin_loss, "ln(1 + e**(-target * input))", *OLD, REDUCTION)
MarginRankingLoss = _plain(
    "MarginRankingLoss",
    F.margin_ranking_loss,
    "max(0, -target * (x1 - x2) + margin)",
    *(("margin", 0.0), *OLD, REDUCTION),
)
HingeEmbeddingLoss = _plain(
    "HingeEmbeddingLoss", F.hinge_embedding_loss, "x, or max(0, margin - x)", ("margin", 1.0), *OLD, REDUCTION
)
CosineEmbeddingLoss = _plain(
    "CosineEmbeddingLoss", F.cosine_embedding_loss, "1 - cos, or max(0, cos - margin)", ("margin", 0.0), *OLD, REDUCTION
)
TripletMarginLoss = _plain(
    "TripletMarginLoss",
    F.triplet_margin_loss,
    "max(0, |a - p| - |a - n| + margin)",
    *(("margin", 1.0), ("p", 2.0), ("eps", 1e-6), ("swap", False), *OLD, REDUCTION),
)
MultiLabelMarginLoss = _plain(
    "MultiLabelMarginLoss", F.multilabel_margin_loss, "The margins of all the classes", *OLD, REDUCTION
)
PoissonNLLLoss = _plain(
    "PoissonNLLLoss",
    F.poisson_nll_loss,
    "e**input - target * input",
    *(("log_input", True), ("full", False), OLD[0], ("eps", 1e-8), OLD[1], REDUCTION),
)


class GaussianNLLLoss(_Loss):
    """(ln(var) + (input - target)**2 / var) / 2; see `functional.gaussian_nll_loss`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__("GaussianNLLLoss", None, None, reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Any) -> Tensor:
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class TripletMarginWithDistanceLoss(_Loss):
    """max(0, d(a, p) - d(a, n) + margin) for any distance; see `functional.triplet_margin_with_distance_loss`."""

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__("TripletMarginWithDistanceLoss", None, None, reduction)
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin, self.swap = margin, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            *(anchor, positive, negative),
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class _WeightedLoss(_Loss):
    """A loss with factors `weight`, kept as a buffer."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(type(self).__name__, size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class BCELoss(_WeightedLoss):
    """-(target * ln(input) + (1 - target) * ln(1 - input)) * weight, for probabilities."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """`BCELoss` of sigmoid(input), without overflow; `pos_weight` multiplies the positive part."""

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """-(target * ln sigmoid(input) + (1 - target) * ln sigmoid(-input)) * weight, averaged over classes."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class MultiMarginLoss(_Loss):
    """The sum over other classes j of max(0, margin - input[target] + input[j])**p, divided by C."""

    weight: Tensor | None

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__("MultiMarginLoss", size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p must be 1 or 2, got {p}")
        self.p, self.margin = p, margin
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)
