"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .optimizer import Optimizer, batches, check_number, zeros_for


class SGD(Optimizer):
    """Stochastic gradient descent, with g the gradient (turned round by `maximize`) and a buffer b for each parameter:

    g = g + weight_decay * p
    b = momentum * b + (1 - dampening) * g     (b = g in the first step)
    p = p - lr * (g + momentum * b  if nesterov else  b)

    Source: PyTorch's documentation of torch.optim.SGD (the buffer is not scaled by lr).

    Args:
        params: see `Optimizer`.
        foreach, fused: accepted without effect: the step always is one kernel over all parameters.
        differentiable: refused if true: a step is not recorded.

    Raises:
        TypeError, ValueError: for illegal parameters or hyper-parameters; nesterov needs momentum and no dampening.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _check_group(self, group: dict[str, Any]) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            check_number("SGD", name, group[name], 0)
        check_number("SGD", "dampening", group["dampening"], 0, 1, closed=True)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs a momentum above 0 and no dampening, "
                f"got momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def _update(self, group: dict[str, Any]) -> None:
        momentum = group["momentum"]

        def is_first(state: dict[str, Any]) -> bool:
            return bool(momentum) and state.get("momentum_buffer") is None

        for first, batch in batches("SGD", group["params"], self.state, is_first):
            if first:
                for p, state in zip(batch.tensors, batch.states, strict=True):
                    state["momentum_buffer"] = zeros_for(p)
            batch.device.kernels.sgd_step(
                batch.params,
                batch.grads,
                batch.arrays("momentum_buffer") if momentum else [],
                lr=group["lr"],
                momentum=momentum,
                dampening=group["dampening"],
                weight_decay=group["weight_decay"],
                nesterov=group["nesterov"],
                maximize=group["maximize"],
                first=first,
            )
            batch.finish()
