"""Checking gradients against finite differences, for our operations and yours.

`gradcheck` compares, for float64 inputs, what `backward` returns with central differences

    (f(x + eps * d) - f(x - eps * d)) / (2 * eps)

first along random directions (which sees every entry at once), then for each entry. Where a function has a kink, as
relu at 0, the difference from the left and from the right disagree, and go on disagreeing when eps is halved; such
entries are left out and counted instead of being called errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import autograd
from .._tensor import Tensor, wrap

MOST_KINKS = 0.5  # a larger share of kinks checks too little to be called a pass


class GradcheckError(RuntimeError):
    """The gradients are not those of the function."""


@dataclass
class _Worst:
    """The largest disagreement so far, measured in what is allowed; a NaN counts as infinitely large."""

    excess: float = 0.0
    text: str = ""

    def see(self, excess: float, text: str) -> None:
        excess = np.inf if np.isnan(excess) else excess
        if excess > 1 and excess > self.excess:
            self.excess, self.text = excess, text


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    """The differentiable outputs."""
    results = [o for o in _as_tuple(func(*inputs)) if isinstance(o, Tensor) and o.is_floating_point()]
    if not results:
        raise ValueError("gradcheck: the function returns no floating-point Tensor")
    return results


def _value(func: Callable[..., Any], inputs: Sequence[Any], seeds: Sequence[np.ndarray]) -> float:
    """The inner product of the outputs with fixed random numbers: a function with one value."""
    return float(sum((o.array * s).sum() for o, s in zip(_outputs(func, inputs), seeds, strict=True)))


class _Line:
    """The function along one direction in one input."""

    def __init__(self, func: Callable[..., Any], inputs: list[Any], i: int, seeds: list[np.ndarray]) -> None:
        self._func, self._inputs, self._i, self._seeds = func, inputs, i, seeds
        self._centre = inputs[i].array.copy()

    def at(self, step: np.ndarray | float) -> float:
        moved = wrap(self._centre + step).requires_grad_()
        inputs = [moved if x is self._inputs[self._i] else x for x in self._inputs]  # a tensor may be given twice
        return _value(self._func, inputs, self._seeds)

    def slope(self, direction: np.ndarray, eps: float, allowed: Callable[[float], float]) -> tuple[float, bool]:
        """The central difference, and whether there is a kink within eps."""
        here = self.at(0.0)
        right, left = (self.at(eps * direction) - here) / eps, (here - self.at(-eps * direction)) / eps
        slope = (right + left) / 2
        if abs(right - left) <= allowed(slope):
            return slope, False
        # A smooth function's one-sided slopes come twice as close when eps is halved; a kink's stay apart.
        half = eps / 2
        nearer = (self.at(half * direction) - here) / half - (here - self.at(-half * direction)) / half
        return slope, abs(nearer) > 0.75 * abs(right - left)

    def jumps(self, direction: np.ndarray, eps: float, slope: float) -> bool:
        """Whether the function jumps symmetrically, as sign does at 0: its slope doubles when eps is halved."""
        half = eps / 2
        return abs(self.at(half * direction) - self.at(-half * direction)) / (2 * half) > 1.5 * abs(slope) > 0


def _check_inputs(name: str, inputs: Sequence[Any]) -> list[int]:
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not wanted:
        raise ValueError(f"{name}: no input requires grad; set requires_grad=True on at least one")
    for i in wanted:
        if inputs[i].array.dtype != np.float64:
            raise ValueError(f"{name}: input {i} is {inputs[i].dtype}; finite differences need float64, use .double()")
        array = inputs[i].array
        if array.size and any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True)):
            raise ValueError(f"{name}: input {i} shows one number at several places (expand); clone() it first")
    return wanted


def _analytic(
    func: Callable[..., Any], inputs: Sequence[Any], wanted: list[int], seeds: list[np.ndarray]
) -> list[np.ndarray]:
    """What backward says, with zeros for an input that it leaves out."""
    outputs = [(o, wrap(s)) for o, s in zip(_outputs(func, inputs), seeds, strict=True) if o.requires_grad]
    if not outputs:
        return [np.zeros(inputs[i].array.shape) for i in wanted]
    grads = autograd.grad(
        [o for o, _ in outputs], [inputs[i] for i in wanted], [s for _, s in outputs], allow_unused=True
    )
    return [np.zeros(inputs[i].array.shape) if g is None else g.array for i, g in zip(wanted, grads, strict=True)]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
    directions: int = 3,
    seed: int = 0,
) -> bool:
    """Whether the gradients of `func` at `inputs` agree with central differences.

    Args:
        func: takes the inputs, returns a Tensor or several.
        inputs: a Tensor or a tuple; those that require grad must be float64. They are not changed.
        eps: the step. atol, rtol: |analytic - numeric| may be atol + rtol * |numeric|.
        raise_exception: raise where the gradients disagree, or else return False.
        nondet_tol: how far two backward passes over the same inputs may differ.
        fast_mode: try random directions only, not each entry on its own, which would name the wrong one.
        directions: how many random directions are tried in each input.

    Raises:
        ValueError: if the inputs cannot be checked.
        GradcheckError: naming the worst entry, what was computed and what was measured.
    """
    arguments = list(_as_tuple(inputs))
    wanted = _check_inputs("gradcheck", arguments)
    rng = np.random.default_rng(seed)
    before = [x.array.copy() if isinstance(x, Tensor) else None for x in arguments]
    try:
        with autograd.enable_grad():
            seeds = [rng.standard_normal(o.array.shape) for o in _outputs(func, arguments)]
            _unchanged(arguments, before)
            gradients = _repeatable(func, arguments, wanted, seeds, nondet_tol)
            for i, gradient in zip(wanted, gradients, strict=True):
                line = _Line(func, arguments, i, seeds)
                _compare(line, i, gradient, rng, eps, lambda n: atol + rtol * abs(n), directions, not fast_mode)
        _unchanged(arguments, before)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _unchanged(inputs: list[Any], before: list[np.ndarray | None]) -> None:
    for i, (x, old) in enumerate(zip(inputs, before, strict=True)):
        if old is not None and not np.array_equal(x.array, old, equal_nan=old.dtype.kind == "f"):
            raise GradcheckError(f"the function changes its input {i} in place")


def _repeatable(
    func: Callable[..., Any], inputs: list[Any], wanted: list[int], seeds: list[np.ndarray], tolerance: float
) -> list[np.ndarray]:
    """What backward says, after a look whether function and gradient are the same twice."""
    first, second = _value(func, inputs, seeds), _value(func, inputs, seeds)
    if abs(first - second) > tolerance:
        raise GradcheckError(
            "two calls of the function with the same inputs give different outputs; "
            "if it draws random numbers, seed them in every call"
        )
    gradients = _analytic(func, inputs, wanted, seeds)
    for a, b in zip(gradients, _analytic(func, inputs, wanted, seeds), strict=True):
        if not np.allclose(a, b, rtol=0, atol=tolerance, equal_nan=True):
            raise GradcheckError("two backward passes over the same inputs give different gradients")
    return gradients


def _compare(
    line: _Line,
    i: int,
    gradient: np.ndarray,
    rng: np.random.Generator,
    eps: float,
    allowed: Callable[[float], float],
    directions: int,
    entries: bool,
) -> None:
    """Compare the gradient of input `i` along random directions, then entry by entry, and name the worst."""
    if not gradient.size:
        return

    def tour(places: Iterable[tuple[str, np.ndarray]]) -> tuple[_Worst, int, int]:
        worst, kinks, count = _Worst(), 0, 0
        for place, direction in places:
            computed = float((gradient * direction).sum())
            measured, kink = line.slope(direction, eps, allowed)
            count += 1
            error = abs(computed - measured)
            if error > allowed(measured):
                kink = kink or line.jumps(direction, eps, measured)
            if kink and np.isfinite(computed):
                kinks += 1
                continue
            worst.see(
                error / allowed(measured),
                f"wrong gradient for input {i} {place}: backward gives {computed:.10g}, finite differences "
                f"{measured:.10g}; they differ by {error:.3g}, allowed {allowed(measured):.3g}",
            )
        return worst, kinks, count

    along, kinks, count = tour(
        (f"along random direction {n}", rng.standard_normal(gradient.shape)) for n in range(directions)
    )
    if entries:
        at, kinks, count = tour(
            (f"at index {tuple(map(int, k))}", _unit(gradient.shape, k)) for k in np.ndindex(gradient.shape)
        )
        if at.text:
            raise GradcheckError(at.text)
    if along.text:
        raise GradcheckError(along.text)
    if kinks > MOST_KINKS * count:
        raise GradcheckError(
            f"{kinks} of {count} differences in input {i} straddle a kink, too many to check anything: "
            "use inputs away from where the function bends or jumps"
        )


def _unit(shape: tuple[int, ...], at: tuple[int, ...]) -> np.ndarray:
    direction = np.zeros(shape)
    direction[at] = 1.0
    return direction


def gradgradcheck(func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, **options: Any) -> bool:
    """Whether the gradients of the gradients of `func` agree with finite differences of the gradients.

    Args:
        grad_outputs: the gradients arriving at the outputs; random ones if None.
        options: as for `gradcheck`.

    Raises:
        ValueError, GradcheckError: as `gradcheck`.
    """
    arguments = list(_as_tuple(inputs))
    wanted = _check_inputs("gradgradcheck", arguments)
    rng = np.random.default_rng(options.get("seed", 0))
    with autograd.enable_grad():
        outputs = _outputs(func, arguments)
    if grad_outputs is None:
        arriving = [wrap(rng.standard_normal(o.array.shape)).requires_grad_() for o in outputs]
    else:
        arriving = list(_as_tuple(grad_outputs))

    def gradients(*values: Any) -> tuple[Any, ...]:
        xs, gs = values[: len(arguments)], values[len(arguments) :]
        pairs = [(o, g) for o, g in zip(_outputs(func, xs), gs, strict=True) if o.requires_grad]
        return autograd.grad(
            [o for o, _ in pairs],
            [xs[i] for i in wanted],
            [g for _, g in pairs],
            create_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )

    return gradcheck(gradients, (*arguments, *arriving), **options)
