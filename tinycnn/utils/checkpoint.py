"""Trade time for memory: forget a part's activations in the forward pass, compute them again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import autograd
from .._autocast import as_then
from .._autocast import state as autocast
from .._tensor import Tensor, filled
from ..autograd import Function
from ..random import generator_or_default


class Checkpoint(Function):
    """The outputs of a part, with what it took from outside as inputs; `backward` runs the part again."""

    @staticmethod
    def forward(ctx: Any, again: Callable[[], Any], outputs: tuple[Tensor, ...], *outside: Tensor) -> Any:
        ctx.again, ctx.outside = again, outside
        results = tuple([out.detach() for out in outputs])
        ctx.mark_non_differentiable(*[r for r, out in zip(results, outputs, strict=True) if not out.requires_grad])
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        create_graph = autograd.is_grad_enabled()
        with autograd.enable_grad():
            began = autograd.next_birth()
            outputs = _tensors(ctx.again())
            pairs = [(out, g) for out, g in zip(outputs, grads, strict=True) if out.requires_grad]
            # not `grad`: one of the tensors from outside may have been made from another one
            found = autograd.grad_since(
                began, [out for out, _ in pairs], ctx.outside, [g for _, g in pairs], create_graph
            )
        return (None, None, *found)


def _tensors(result: Any) -> tuple[Tensor, ...]:
    parts = result if isinstance(result, (tuple, list)) else (result,)
    return tuple([part for part in parts if isinstance(part, Tensor)])


def _outside(outputs: Sequence[Tensor], began: int) -> list[Tensor]:
    """What the graph behind `outputs` takes from outside: leaves, and outputs of nodes older than `began`."""
    found: dict[Any, Tensor] = {}
    nodes = [out.grad_fn for out in outputs if out.grad_fn is not None]
    seen = set(nodes)
    while nodes:
        for edge in nodes.pop().edges:
            if edge is None or edge in found:
                continue
            source, number = edge
            if number < 0:
                found[edge] = source
            elif source.birth < began:
                stand_in = filled(*source.outputs[number])
                stand_in._node, stand_in._output, stand_in._requires_grad = source, number, True
                found[edge] = stand_in
            elif source not in seen:
                seen.add(source)
                nodes.append(source)
    return list(found.values())


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, whose inner activations are not kept: the backward pass runs it a second time.

    Gradients are the same as without, also gradients of gradients and those that `autograd.grad` returns.

    Args:
        function: a module or function that gives a Tensor, or a tuple or list of them and other things.
        preserve_rng_state: draw the same random numbers in the second run, so that dropout repeats.
        use_reentrant, context_fn, determinism_check, debug: PyTorch's; without effect here.
    """
    if not autograd.is_grad_enabled():
        return function(*args, **kwargs)
    generator = generator_or_default()
    state = generator.get_state() if preserve_rng_state else None
    casting = autocast.enabled, autocast.dtypes

    def run() -> Any:
        with as_then(*casting):
            return function(*args, **kwargs)

    def again() -> Any:
        if state is None:
            return run()
        now = generator.get_state()
        generator.set_state(state)
        try:
            return run()
        finally:
            generator.set_state(now)

    began = autograd.next_birth()
    result = run()
    outputs = _tensors(result)
    outside = _outside(outputs, began)
    if not outside:
        return result
    replaced = iter(Checkpoint.apply(again, outputs, *outside))
    if isinstance(result, Tensor):
        return next(replaced)
    return type(result)([next(replaced) if isinstance(part, Tensor) else part for part in result])


def checkpoint_sequential(
    functions: Any, segments: int, input: Tensor, use_reentrant: bool | None = None, preserve_rng_state: bool = True
) -> Any:
    """Run a Sequential, or a list of functions, in `segments` parts; all but the last are checkpoints.

    Raises:
        ValueError: if there are not that many functions.
    """
    steps = list(functions.children()) if hasattr(functions, "children") else list(functions)
    if not 1 <= segments <= len(steps):
        raise ValueError(f"checkpoint_sequential: {len(steps)} functions cannot be cut into {segments} segments")
    size = len(steps) // segments

    def run(first: int, last: int) -> Callable[[Any], Any]:
        def part(x: Any) -> Any:
            for step in steps[first:last]:
                x = step(x)
            return x

        return part

    for k in range(segments - 1):
        input = checkpoint(run(k * size, (k + 1) * size), input, preserve_rng_state=preserve_rng_state)
    return run((segments - 1) * size, len(steps))(input)
