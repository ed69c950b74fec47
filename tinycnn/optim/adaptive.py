"""Optimizers that scale each parameter's step by what its gradients were: one NumPy formula for each."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._tensor import Tensor, wrap
from .optimizer import Optimizer, check_number, zeros_for


class _ByParameter(Optimizer):
    """A step is taken parameter by parameter: a subclass gives `_change`.

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
        for p in group["params"]:
            if p._grad is None:
                continue
            if p.array.dtype not in (np.float32, np.float64):
                raise TypeError(f"{type(self).__name__}: parameters must be float32 or float64, got {p.dtype}")
            state = self.state[p]
            if not state:
                self._start(p, state, group)
            state["step"] = int(state["step"]) + 1
            g = -p._grad.array if group["maximize"] else p._grad.array
            if group["weight_decay"]:
                if group.get("decoupled_weight_decay"):
                    p.array *= 1 - group["lr"] * group["weight_decay"]
                else:
                    g = g + group["weight_decay"] * p.array
            with np.errstate(all="ignore"):
                self._change(p.array, g, {k: getattr(v, "array", v) for k, v in state.items()}, state, group)
            p._bump()

    def _change(self, p: Any, g: Any, s: dict[str, Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        """Update the array `p` and the arrays `s` of its state in place; numbers go into `state`."""
        raise TypeError(f"{type(self).__name__} needs a method step(self, closure=None)")


class Adagrad(_ByParameter):
    """Adagrad (Duchi et al. 2011), in step t: s = s + g**2; p = p - lr / (1 + (t - 1) lr_decay) * g / (sqrt(s) + eps).

    Args:
        initial_accumulator_value: what s starts from.
        foreach, fused, differentiable, capturable: accepted without effect, here and below.
    """

    _bounds = {**_ByParameter._bounds, "lr_decay": math.inf, "initial_accumulator_value": math.inf}

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
        rule = {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {**rule, "initial_accumulator_value": initial_accumulator_value})

    def _start(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        start = p.device.kernels.full(p.array.shape, group["initial_accumulator_value"], p.array.dtype)
        state["step"], state["sum"] = 0, wrap(start, p.device)

    def _change(self, p: Any, g: Any, s: dict[str, Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        total = s["sum"]
        total += g * g
        p -= group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"]) * g / (np.sqrt(total) + group["eps"])


class Adadelta(_ByParameter):
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
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def _check_group(self, group: dict[str, Any]) -> None:
        super()._check_group(group)
        check_number("Adadelta", "rho", group["rho"], 0, 1, closed=True)

    def _change(self, p: Any, g: Any, s: dict[str, Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        rho, eps = group["rho"], group["eps"]
        v, u = s["square_avg"], s["acc_delta"]
        v *= rho
        v += (1 - rho) * (g * g)
        d = g * np.sqrt((u + eps) / (v + eps))
        u *= rho
        u += (1 - rho) * (d * d)
        p -= group["lr"] * d


class RMSprop(_ByParameter):
    """RMSprop (Hinton): v = alpha * v + (1 - alpha) * g**2; p = p - lr * g / (sqrt(v) + eps).

    Args:
        centered: use the variance v - (mean of g)**2 instead of v.
        momentum: b = momentum * b + g / (sqrt(v) + eps); p = p - lr * b.
    """

    _zeros = ("square_avg",)
    _bounds = {**_ByParameter._bounds, "momentum": math.inf, "alpha": math.inf}

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
        rule = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {**rule, "momentum": momentum, "centered": centered})

    def _start(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        super()._start(p, state, group)
        if group["momentum"]:
            state["momentum_buffer"] = zeros_for(p)
        if group["centered"]:
            state["grad_avg"] = zeros_for(p)

    def _change(self, p: Any, g: Any, s: dict[str, Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        alpha, v = group["alpha"], s["square_avg"]
        v *= alpha
        v += (1 - alpha) * (g * g)
        spread = v
        if group["centered"]:
            center = s["grad_avg"]
            center += (1 - alpha) * (g - center)
            spread = v - center * center
        d = g / (np.sqrt(spread) + group["eps"])
        if group["momentum"]:
            b = s["momentum_buffer"]
            b *= group["momentum"]
            b += d
            d = b
        p -= group["lr"] * d


class _WithMoments(_ByParameter):
    _zeros = ("exp_avg", "exp_avg_sq")

    @staticmethod
    def _moments(g: Any, s: dict[str, Any], betas: tuple[float, float]) -> tuple[Any, Any]:
        m, v = s["exp_avg"], s["exp_avg_sq"]
        m += (1 - betas[0]) * (g - m)
        v *= betas[1]
        v += (1 - betas[1]) * (g * g)
        return m, v


class Adamax(_ByParameter):
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
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )

    def _change(self, p: Any, g: Any, s: dict[str, Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        m, u = s["exp_avg"], s["exp_inf"]
        m += (1 - beta1) * (g - m)
        np.maximum(beta2 * u, np.abs(g) + group["eps"], out=u)
        p -= group["lr"] / (1 - beta1 ** state["step"]) * (m / u)


class NAdam(_WithMoments):
    """Adam with Nesterov's momentum (Dozat 2016).

    Args:
        momentum_decay: how fast the momentum approaches beta1.
        decoupled_weight_decay: shrink p by lr * weight_decay instead of adding weight_decay * p to g.
    """

    _bounds = {**_ByParameter._bounds, "momentum_decay": math.inf}

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
        rule = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(
            params, {**rule, "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay}
        )

    def _start(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        super()._start(p, state, group)
        state["mu_product"] = 1.0

    def _change(self, p: Any, g: Any, s: dict[str, Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        (beta1, beta2), step, lr = group["betas"], state["step"], group["lr"]
        now, following = (beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
        state["mu_product"] = product = float(np.float32(state["mu_product"]) * np.float32(now))  # as PyTorch keeps it
        m, v = self._moments(g, s, (beta1, beta2))
        scale = np.sqrt(v / (1 - beta2**step)) + group["eps"]
        p -= lr * (1 - now) / (1 - product) * (g / scale)
        p -= lr * following / (1 - product * following) * (m / scale)


class RAdam(_WithMoments):
    """Adam whose scaling waits until the variance of v is bounded (Liu et al. 2020); arguments as `NAdam`."""

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
        rule = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {**rule, "decoupled_weight_decay": decoupled_weight_decay})

    def _change(self, p: Any, g: Any, s: dict[str, Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        (beta1, beta2), step = group["betas"], state["step"]
        m, v = self._moments(g, s, (beta1, beta2))
        rest = 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / rest
        move = m / (1 - beta1**step)
        if length > 5:
            scale = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            move = move * (math.sqrt(scale * rest) / (np.sqrt(v) + group["eps"]))
        p -= group["lr"] * move
