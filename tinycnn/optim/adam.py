"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .optimizer import Optimizer, batches, check_number, zeros_for


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), with g the gradient (turned round by `maximize`), in step t = 1, 2, ...:

    g = g + weight_decay * p
    m = beta1 * m + (1 - beta1) * g            v = beta2 * v + (1 - beta2) * g**2
    p = p - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    Args:
        params: see `Optimizer`.
        betas: (beta1, beta2).
        amsgrad: use the largest v so far (Reddi et al. 2018).
        decoupled_weight_decay: shrink p by lr * weight_decay apart from g, as `AdamW` does.
        foreach, fused, capturable: accepted without effect: a step is one kernel over all parameters.
        differentiable: refused if true: a step is not recorded.

    The state of a parameter is ``step`` (an int), ``exp_avg`` (m), ``exp_avg_sq`` (v) and ``max_exp_avg_sq``.

    Raises:
        TypeError, ValueError: for illegal parameters or hyper-parameters.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check_group(self, group: dict[str, Any]) -> None:
        name = type(self).__name__
        for key in ("lr", "eps", "weight_decay"):
            check_number(name, key, group[key], 0)
        betas = group["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"{name}: betas must be a pair (beta1, beta2), got {betas!r}")
        for i, beta in enumerate(betas):
            check_number(name, f"betas[{i}]", beta, 0, 1)

    def _update(self, group: dict[str, Any]) -> None:
        amsgrad = group["amsgrad"]
        for step, batch in batches(type(self).__name__, group["params"], self.state, lambda s: s.get("step", 0)):
            for p, state in zip(batch.tensors, batch.states, strict=True):
                state["step"] = int(step) + 1
                if "exp_avg" not in state:
                    state["exp_avg"], state["exp_avg_sq"] = zeros_for(p), zeros_for(p)
                if amsgrad and "max_exp_avg_sq" not in state:
                    state["max_exp_avg_sq"] = zeros_for(p)
            batch.device.kernels.adam_step(
                batch.params,
                batch.grads,
                batch.arrays("exp_avg"),
                batch.arrays("exp_avg_sq"),
                batch.arrays("max_exp_avg_sq") if amsgrad else [],
                step=int(step) + 1,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                decoupled=group["decoupled_weight_decay"],
                amsgrad=amsgrad,
                maximize=group["maximize"],
            )
            batch.finish()


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): p = p - lr * weight_decay * p, apart from g."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            foreach=foreach,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
