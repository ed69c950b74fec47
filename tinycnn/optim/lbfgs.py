"""L-BFGS: steps along a direction that the gradients of past steps correct, with a search along it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from .._tensor import Tensor
from ..autograd import enable_grad, no_grad
from ..nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from ..ops.create import zeros_like
from .optimizer import Optimizer, check_number


class LBFGS(Optimizer):
    """L-BFGS (Liu and Nocedal 1989): a quasi-Newton method that keeps the last steps instead of a matrix.

    For losses that are the same at each call: the whole data set, not batches. ``step(closure)`` calls the closure
    many times; it sets the gradients to 0, computes the loss, calls backward() and returns the loss.

    The direction d = -H g comes from the last `history_size` pairs of a step s and the change y of the gradient, by
    the two loops of Nocedal and Wright, "Numerical optimization", algorithm 7.4, on H = (s y / y y) I.

    Args:
        params: one group of parameters, of one dtype on one device.
        lr: how far along d; with a line search where the search begins. In the first step at most 1 / sum |g|.
        max_iter: directions in each step.
        max_eval: calls of the closure in each step after which it ends; 1.25 max_iter if None.
        tolerance_grad, tolerance_change: a step ends where no element of the gradient is larger, or none of the
            parameters, or the loss, changes by more.
        history_size: pairs that are kept.
        line_search_fn: None, or ``"strong_wolfe"``: look for a place where the loss falls enough and the slope is flat
            enough (Nocedal and Wright, algorithms 3.5 and 3.6).

    Raises:
        ValueError: for more than one group, another line search, or numbers out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        most = max_iter * 5 // 4 if max_eval is None else max_eval
        defaults = dict(
            lr=lr,
            max_iter=max_iter,
            max_eval=most,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
            line_search_fn=line_search_fn,
        )
        super().__init__(params, defaults)

    def _check_group(self, group: dict[str, Any]) -> None:
        if self.param_groups:
            raise ValueError("LBFGS: all parameters are in one group, their gradients make one direction")
        for name in ("lr", "max_iter", "max_eval", "tolerance_grad", "tolerance_change"):
            check_number("LBFGS", name, group[name], 0)
        check_number("LBFGS", "history_size", group["history_size"], 1)
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(f"LBFGS: line_search_fn must be None or 'strong_wolfe', got {group['line_search_fn']!r}")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to `max_iter` directions.

        Args:
            closure: computes the loss anew, calls backward() and returns the loss.

        Returns:
            what its first call returned.

        Raises:
            TypeError: without a closure.
        """
        if closure is None:
            raise TypeError("LBFGS: step needs a closure that computes the loss and its gradients anew")

        def remembered() -> Any:
            self._loss = float(result := closure())
            return result

        self._closure = remembered
        try:
            return super().step(remembered)
        finally:
            del self._closure

    def _gradient(self) -> Tensor:
        parts = [zeros_like(p) if p.grad is None else p.grad.detach() for p in self.param_groups[0]["params"]]
        return parameters_to_vector(parts)

    def _evaluate(self, start: Tensor, t: float, d: Tensor) -> _Point:
        """Loss and gradient at start + t d, where the parameters are left."""
        vector_to_parameters(start + t * d, self.param_groups[0]["params"])
        with enable_grad():
            self._closure()
        g = self._gradient()
        return _Point(t, self._loss, g, _dot(g, d))

    @no_grad()
    def _update(self, group: dict[str, Any]) -> None:
        params, rule = group["params"], group["line_search_fn"]
        state = self.state[params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        state["func_evals"] += 1
        loss, g, called = self._loss, self._gradient(), 1
        if _largest(g) <= group["tolerance_grad"]:
            return
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            first = state["n_iter"] == 1
            if first:
                state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0, d=-g)
            else:
                _remember(state, g, group["history_size"])
                state["d"] = _direction(state, g)
            d, before = state["d"], loss
            state["prev_flat_grad"] = g
            t = group["lr"] * (min(1.0, 1.0 / float(g.abs().sum().item())) if first else 1.0)
            slope = _dot(g, d)
            state["t"], state["prev_loss"] = t, before
            if slope > -group["tolerance_change"]:
                break
            start, made = parameters_to_vector(params).detach().clone(), 0
            if rule is not None:
                found, made = _strong_wolfe(lambda t: self._evaluate(start, t, d), t, _Point(0.0, loss, g, slope), d)  # noqa: B023
                t, loss, g = found.t, found.f, found.g
                vector_to_parameters(start + t * d, params)
            elif iteration < group["max_iter"]:
                found, made = self._evaluate(start, t, d), 1
                loss, g = found.f, found.g
            else:
                vector_to_parameters(start + t * d, params)
            state["t"] = t
            state["func_evals"] += made
            called += made
            if (
                called >= group["max_eval"]
                or _largest(g) <= group["tolerance_grad"]
                or _largest(d) * t <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken; its vectors are copied."""
        kept = state_dict["state"]
        super().load_state_dict({**state_dict, "state": {}})
        for values in kept.values():
            self.state[self.param_groups[0]["params"][0]] = {key: _copied(value) for key, value in values.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied(v) for v in value]
    return value.detach().clone() if isinstance(value, Tensor) else value


def _dot(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum().item())


def _largest(x: Tensor) -> float:
    return float(x.abs().max().item())


def _remember(state: dict[str, Any], g: Tensor, most: int) -> None:
    """Keep the last step and how it changed the gradient, if they say that the loss curves upwards."""
    y, s = g - state["prev_flat_grad"], state["d"] * state["t"]
    curvature = _dot(y, s)
    if curvature <= 1e-10:
        return
    for name, value in (("old_dirs", y), ("old_stps", s), ("ro", 1.0 / curvature)):
        state[name] = [*state[name], value][-most:]
    state["H_diag"] = curvature / _dot(y, y)


def _direction(state: dict[str, Any], g: Tensor) -> Tensor:
    """-H g by two loops over the pairs, the newest first and then the oldest first."""
    pairs = list(zip(state["old_stps"], state["old_dirs"], state["ro"], strict=True))
    d, shares = -g, []
    for s, y, rho in reversed(pairs):
        shares.append(rho * _dot(s, d))
        d = d - shares[-1] * y
    d = d * state["H_diag"]
    for (s, y, rho), share in zip(pairs, reversed(shares), strict=True):
        d = d + (share - rho * _dot(y, d)) * s
    return d


class _Point(NamedTuple):
    """A place on the line: how far along, loss, gradient, slope."""

    t: float
    f: float
    g: Tensor
    slope: float


def _strong_wolfe(
    at: Callable[[float], _Point], t: float, start: _Point, d: Tensor, most: int = 25
) -> tuple[_Point, int]:
    """A place where f <= f0 + 1e-4 t slope0 and |slope| <= 0.9 |slope0|, and how often the loss was computed."""

    def too_high(p: _Point) -> bool:
        return p.f > start.f + 1e-4 * p.t * start.slope

    def flat(p: _Point) -> bool:
        return abs(p.slope) <= -0.9 * start.slope

    last, new, tried = start, at(t), 0
    while tried < most:  # go on until the place is between two
        if too_high(new) or (tried > 1 and new.f >= last.f):
            ends = [last, new]
            break
        if flat(new):
            return new, tried + 1
        if new.slope >= 0:
            ends = [last, new]
            break
        t = _cubic(last, new, new.t + 0.01 * (new.t - last.t), new.t * 10)
        last, new, tried = new, at(t), tried + 1
    else:
        ends = [start, new]

    crowded = False
    ends.sort(key=lambda p: p.f)  # the lower one first
    while tried < most:
        left, right = sorted(p.t for p in ends)
        if (right - left) * _largest(d) < 1e-9:
            break
        t = _cubic(ends[0], ends[1], left, right)
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (crowded or not left < t < right):
            t, near = (right - margin if abs(t - right) < abs(t - left) else left + margin), False
        crowded = near
        new, tried = at(t), tried + 1
        low, high = ends
        if too_high(new) or new.f >= low.f:
            ends = sorted([low, new], key=lambda p: p.f)
            continue
        if flat(new):
            return new, tried + 1
        ends = [new, low if new.slope * (high.t - low.t) >= 0 else high]
    return ends[0], tried + 1


def _cubic(a: _Point, b: _Point, low: float, high: float) -> float:
    """Where the cubic through two places with their slopes is lowest, within [low, high]."""
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, low), high)
