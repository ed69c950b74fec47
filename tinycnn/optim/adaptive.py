"""Optimizers that scale each parameter's step by what its gradients were."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._tensor import Tensor, wrap
from .optimizer import Batch, Optimizer, batches, check_number, zeros_for


class _Adaptive(Optimizer):
    """A step is one kernel over all parameters that take the same step: a subclass calls it in `_step`.

    Attributes:
        _zeros: the pieces of state that start as zeros.
        _bounds: hyper-parameters that must lie in [0, their bound).
    """

    _zeros: tuple[str, ...] = ()
    _bounds: dict[str, float] = {"lr": math.inf, "eps": math.inf, "weight_decay": math.inf}

    def _check_group(self, group: dict[str, Any]) -> None:
        name = type(self).__name__
        for key, high in self._bounds.items():
            check_number(name, key, group[key], 0, high)
        if "betas" in group:
            if not isinstance(group["betas"], (tuple, list)) or len(group["betas"]) != 2:
                raise ValueError(f"{name}: betas must be a pair (beta1, beta2), got {group['betas']!r}")
            for i, beta in enumerate(group["betas"]):
                check_number(name, f"betas[{i}]", beta, 0, 1)

    def _start(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Make the state of a parameter that takes its first step."""
        state["step"] = 0
        for key in self._zeros:
            state[key] = zeros_for(p)

    def _update(self, group: dict[str, Any]) -> None:
        def key(state: dict[str, Any]) -> Any:  # what a kernel takes one of for all parameters
            return state.get("step", 0), state.get("mu_product")

        for (step, _), batch in batches(type(self).__name__, group["params"], self.state, key):
            for p, state in zip(batch.tensors, batch.states, strict=True):
                if not state:
                    self._start(p, state, group)
                state["step"] = int(step) + 1
            rule = {key: group[key] for key in ("lr", "eps", "weight_decay", "maximize")}
            if "betas" in group:
                rule["beta1"], rule["beta2"] = group["betas"]
            self._step(batch, int(step) + 1, group, rule)
            batch.finish()

    def _step(self, batch: Batch, step: int, group: dict[str, Any], rule: dict[str, Any]) -> None:
        """Call the kernel. `rule` has those of the group's numbers that most kernels take."""
        raise TypeError(f"{type(self).__name__} needs a method step(self, closure=None)")


class Adagrad(_Adaptive):
    """Adagrad (Duchi et al. 2011), in step t: s = s + g**2; p = p - lr / (1 + (t - 1) lr_decay) * g / (sqrt(s) + eps).

    Args:
        initial_accumulator_value: what s starts from.
        foreach, fused, capturable: accepted without effect, here and below; differentiable is refused if true.
    """

    _bounds = {**_Adaptive._bounds, "lr_decay": math.inf, "initial_accumulator_value": math.inf}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        rule = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, {**rule, "initial_accumulator_value": initial_accumulator_value})

    def _start(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        start = p.device.kernels.full(p.array.shape, group["initial_accumulator_value"], p.array.dtype)
        state["step"], state["sum"] = 0, wrap(start, p.device)

    def _step(self, batch: Batch, step: int, group: dict[str, Any], rule: dict[str, Any]) -> None:
        rate = rule.pop("lr") / (1 + (step - 1) * group["lr_decay"])
        batch.device.kernels.adagrad_step(batch.params, batch.grads, batch.arrays("sum"), rate=rate, **rule)


class Adadelta(_Adaptive):
    """Adadelta (Zeiler 2012): v = rho * v + (1 - rho) * g**2; d = g * sqrt(u + eps) / sqrt(v + eps);
    u = rho * u + (1 - rho) * d**2; p = p - lr * d."""

    _zeros = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _check_group(self, group: dict[str, Any]) -> None:
        super()._check_group(group)
        check_number("Adadelta", "rho", group["rho"], 0, 1, closed=True)

    def _step(self, batch: Batch, step: int, group: dict[str, Any], rule: dict[str, Any]) -> None:
        state = batch.arrays("square_avg"), batch.arrays("acc_delta")
        batch.device.kernels.adadelta_step(batch.params, batch.grads, *state, rho=group["rho"], **rule)


class RMSprop(_Adaptive):
    """RMSprop (Hinton): v = alpha * v + (1 - alpha) * g**2; p = p - lr * g / (sqrt(v) + eps).

    Args:
        centered: use the variance v - (mean of g)**2 instead of v.
        momentum: b = momentum * b + g / (sqrt(v) + eps); p = p - lr * b.
    """

    _zeros = ("square_avg",)
    _bounds = {**_Adaptive._bounds, "momentum": math.inf, "alpha": math.inf}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        rule = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, {**rule, "momentum": momentum, "centered": centered})

    def _start(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        super()._start(p, state, group)
        if group["momentum"]:
            state["momentum_buffer"] = zeros_for(p)
        if group["centered"]:
            state["grad_avg"] = zeros_for(p)

    def _step(self, batch: Batch, step: int, group: dict[str, Any], rule: dict[str, Any]) -> None:
        means = batch.arrays("grad_avg") if group["centered"] else []
        buffers = batch.arrays("momentum_buffer") if group["momentum"] else []
        state = batch.arrays("square_avg"), means, buffers
        rule["alpha"], rule["momentum"] = group["alpha"], group["momentum"]
        batch.device.kernels.rmsprop_step(batch.params, batch.grads, *state, **rule)


class Adamax(_Adaptive):
    """Adamax (Kingma and Ba 2015): m as `Adam`; u = max(beta2 * u, |g| + eps); p = p - lr / (1 - beta1**t) * m / u."""

    _zeros = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _step(self, batch: Batch, step: int, group: dict[str, Any], rule: dict[str, Any]) -> None:
        state = batch.arrays("exp_avg"), batch.arrays("exp_inf")
        batch.device.kernels.adamax_step(batch.params, batch.grads, *state, step=step, **rule)


class NAdam(_Adaptive):
    """Adam with Nesterov's momentum (Dozat 2016).

    Args:
        momentum_decay: how fast the momentum approaches beta1.
        decoupled_weight_decay: shrink p by lr * weight_decay instead of adding weight_decay * p to g.
    """

    _zeros = ("exp_avg", "exp_avg_sq")
    _bounds = {**_Adaptive._bounds, "momentum_decay": math.inf}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        rule = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(
            params, {**rule, "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay}
        )

    def _start(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        super()._start(p, state, group)
        state["mu_product"] = 1.0

    def _step(self, batch: Batch, step: int, group: dict[str, Any], rule: dict[str, Any]) -> None:
        decay, beta1 = group["momentum_decay"], group["betas"][0]
        mu, next_mu = (beta1 * (1 - 0.5 * 0.96 ** (t * decay)) for t in (step, step + 1))
        product = float(np.float32(batch.states[0]["mu_product"]) * np.float32(mu))  # as PyTorch keeps it
        for state in batch.states:
            state["mu_product"] = product
        rule.update(decoupled=group["decoupled_weight_decay"], mu=mu, next_mu=next_mu, mu_product=product)
        moments = batch.arrays("exp_avg"), batch.arrays("exp_avg_sq")
        batch.device.kernels.nadam_step(batch.params, batch.grads, *moments, step=step, **rule)


class RAdam(_Adaptive):
    """Adam whose scaling waits until the variance of v is bounded (Liu et al. 2020); arguments as `NAdam`."""

    _zeros = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        rule = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, {**rule, "decoupled_weight_decay": decoupled_weight_decay})

    def _step(self, batch: Batch, step: int, group: dict[str, Any], rule: dict[str, Any]) -> None:
        beta2 = group["betas"][1]
        rest = 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / rest
        factor = None
        if length > 5:
            bound = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            factor = math.sqrt(bound * rest)
        rule.update(decoupled=group["decoupled_weight_decay"], rectification=factor)
        moments = batch.arrays("exp_avg"), batch.arrays("exp_avg_sq")
        batch.device.kernels.radam_step(batch.params, batch.grads, *moments, step=step, **rule)
