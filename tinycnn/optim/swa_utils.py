"""Averages of a model's weights over its training."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from .._tensor import Tensor
from ..autograd import no_grad
from ..nn import Module
from ..ops.create import zeros


def get_ema_avg_fn(decay: float = 0.999) -> Callable[..., Tensor]:
    """The rule of the exponential moving average: decay * average + (1 - decay) * weight.

    Raises:
        ValueError: if decay is not in [0, 1].
    """
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"get_ema_avg_fn: decay must lie in [0, 1], got {decay}")
    return lambda average, weight, count: average * decay + weight * (1 - decay)


def get_swa_avg_fn() -> Callable[..., Tensor]:
    """The rule of the plain mean: average + (weight - average) / (count + 1)."""
    return lambda average, weight, count: average + (weight - average) / (count + 1)


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[..., None]:
    """`get_ema_avg_fn` for lists of averages and weights, in place."""
    rule = get_ema_avg_fn(decay)

    def update(averages: list[Tensor], weights: list[Tensor], count: Any) -> None:
        for average, weight in zip(averages, weights, strict=True):
            average.copy_(rule(average, weight, count) if average.is_floating_point() else weight)

    return update


class AveragedModel(Module):
    """A copy of `model` whose weights are the average of those that `update_parameters` was given.

    Args:
        avg_fn: ``(average, weight, count) -> average``; the mean by default.
        multi_avg_fn: the same for lists, in place.
        use_buffers: average the buffers too; else they are copied.

    Attributes:
        module: the copy.
        n_averaged: how many updates there were.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[..., Tensor] | None = None,
        multi_avg_fn: Callable[..., None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: give avg_fn or multi_avg_fn, not both")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", zeros((), dtype=int))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the present weights of `model` into the average."""
        with no_grad():
            mine: list[Tensor] = list(self.module.parameters())
            theirs: list[Tensor] = list(model.parameters())
            buffers = list(zip(self.module.buffers(), model.buffers(), strict=True))
            if self.use_buffers:
                mine += [a for a, _ in buffers]
                theirs += [b for _, b in buffers]
            count = int(self.n_averaged.item())
            if count == 0:
                for average, weight in zip(mine, theirs, strict=True):
                    average.copy_(weight)
            elif self.multi_avg_fn is not None:
                self.multi_avg_fn([p.detach() for p in mine], [p.detach() for p in theirs], self.n_averaged)
            else:
                rule = self.avg_fn or get_swa_avg_fn()
                for average, weight in zip(mine, theirs, strict=True):
                    average.copy_(rule(average.detach(), weight.detach(), count))
            if not self.use_buffers:
                for own, other in buffers:
                    own.copy_(other)
            self.n_averaged.add_(1)
