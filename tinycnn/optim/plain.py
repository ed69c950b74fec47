"""Optimizers that few use, parameter by parameter in plain NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._tensor import wrap
from .optimizer import Optimizer, check_number, zeros_for


class _Plain(Optimizer):
    """A step is taken parameter by parameter: a subclass gives `_start` and `_change`."""

    def _start(self, p: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Make the state of a parameter that takes its first step."""
        raise TypeError(f"{type(self).__name__} needs a method step(self, closure=None)")

    def _change(self, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Update the array `p`, whose gradient is `g`, and its state in place."""
        raise TypeError(f"{type(self).__name__} needs a method step(self, closure=None)")

    def _update(self, group: dict[str, Any]) -> None:
        for p in group["params"]:
            if p._grad is None:
                continue
            if p.array.dtype not in (np.float32, np.float64):
                raise TypeError(f"{type(self).__name__}: parameters must be float32 or float64, got {p.dtype}")
            state = self.state[p]
            if not state:
                state["step"] = 0
                self._start(p, state, group)
            state["step"] = int(state["step"]) + 1
            g = -p._grad.array if group["maximize"] else p._grad.array
            p._overwrite(f"{type(self).__name__}.step")
            with np.errstate(all="ignore"):
                self._change(p.array, g, state, group)


class ASGD(_Plain):
    """Averaged stochastic gradient descent (Polyak and Juditsky 1992), in step t = 1, 2, ...:

    g = g + weight_decay * p
    p = (1 - lambd * eta) * p - eta * g
    ax = ax + mu * (p - ax)
    eta = lr / (1 + lambd * lr * t)**alpha          mu = 1 / max(1, t - t0)

    Args:
        params: see `Optimizer`.
        lambd: how fast eta decays.
        alpha: the power that eta decays with.
        t0: the step after which averaging begins.
        foreach, capturable: accepted without effect; differentiable is refused if true.

    The state of a parameter is ``step``, ``eta``, ``mu`` (numbers) and ``ax``, the average.

    Raises:
        TypeError, ValueError: for illegal parameters or hyper-parameters.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        rule = {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay}
        super().__init__(
            params,
            {
                **rule,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _check_group(self, group: dict[str, Any]) -> None:
        for key in ("lr", "weight_decay"):
            check_number("ASGD", key, group[key], 0)
        for key in ("lambd", "alpha", "t0"):
            check_number("ASGD", key, group[key], -math.inf)

    def _start(self, p: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["eta"], state["mu"], state["ax"] = group["lr"], 1.0, zeros_for(p)

    def _change(self, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        step, lr, ax = state["step"], group["lr"], state["ax"].array
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        p *= 1 - group["lambd"] * state["eta"]
        p -= state["eta"] * g
        ax += (p - ax) * state["mu"] if state["mu"] != 1 else p - ax
        state["eta"] = lr / (1 + group["lambd"] * lr * step) ** group["alpha"]
        state["mu"] = 1 / max(1, step - group["t0"])


class Rprop(_Plain):
    """Resilient backpropagation (Riedmiller and Braun 1993): only the sign of the gradient counts.

    Each element has its step size. Where the gradient keeps its sign it grows by the factor etas[1]; where the sign
    changes it shrinks by etas[0], and the element rests once.

    Args:
        params: see `Optimizer`.
        lr: the first step size.
        etas: the two factors, (below 1, above 1).
        step_sizes: the least and the largest step.
        capturable, foreach: accepted without effect; differentiable is refused if true.

    The state of a parameter is ``step``, ``prev`` (the last gradient) and ``step_size``.

    Raises:
        TypeError, ValueError: for illegal parameters or hyper-parameters.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _check_group(self, group: dict[str, Any]) -> None:
        check_number("Rprop", "lr", group["lr"], 0)
        for key in ("etas", "step_sizes"):
            if not isinstance(group[key], (tuple, list)) or len(group[key]) != 2:
                raise ValueError(f"Rprop: {key} must be a pair, got {group[key]!r}")
        shrink, grow = group["etas"]
        if not 0 < shrink < 1 < grow:
            raise ValueError(f"Rprop: etas must be a factor in (0, 1) and one above 1, got {shrink} and {grow}")

    def _start(self, p: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["prev"] = zeros_for(p)
        state["step_size"] = wrap(p.device.kernels.full(p.array.shape, group["lr"], p.array.dtype), p.device)

    def _change(self, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        prev, size = state["prev"].array, state["step_size"].array
        (shrink, grow), (least, largest) = group["etas"], group["step_sizes"]
        turn = np.sign(g * prev)
        size *= np.where(turn > 0, grow, np.where(turn < 0, shrink, 1.0)).astype(size.dtype)
        np.clip(size, least, largest, out=size)
        g = np.where(turn < 0, 0, g)
        p -= np.sign(g) * size
        prev[...] = g
