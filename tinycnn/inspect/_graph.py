"""`graph`: what made a tensor, as a picture in the DOT language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._tensor import Tensor
from ._text import tensors


def graph(output: Any, params: Mapping[str, Tensor] | None = None) -> str:
    """The recorded operations behind one or more tensors, as DOT text: ``dot -Tsvg graph.dot > graph.svg`` draws it.

        open("graph.dot", "w").write(graph(model(x), dict(model.named_parameters())))

    Operations are boxes with the shape of their result, leaves that require grad are ellipses, outputs are bold.
    Arrows point the way that data went; backward passes go against them.

    Args:
        output: a Tensor, or a tuple, list or dict of them, such as a model returns.
        params: names of the leaves.

    Raises:
        TypeError: if there is no Tensor in `output`.
        RuntimeError: if none of them was recorded.
    """
    roots = list(tensors(output))
    if not roots:
        raise TypeError(f"graph: expected a Tensor, or several, got {type(output).__name__}")
    if not any(t.requires_grad for t in roots):
        raise RuntimeError("graph: nothing was recorded: the tensor does not require grad (is no_grad() on?)")
    names = {id(p): name for name, p in (params or {}).items()}
    numbers: dict[int, int] = {}  # of nodes and leaves, in the order in which they were met
    lines: list[str] = []
    arrows: list[str] = []
    stack: list[Any] = []

    def number(thing: Any) -> int:
        if id(thing) not in numbers:
            numbers[id(thing)] = len(numbers)
            stack.append(thing)
        return numbers[id(thing)]

    ends = [number(t if t.grad_fn is None else t.grad_fn) for t in roots if t.requires_grad]
    while stack:
        thing = stack.pop()
        if isinstance(thing, Tensor):
            label = _label(names.get(id(thing), "leaf"), [tuple(thing.array.shape)])
            lines.append(f"  {numbers[id(thing)]} [label={label}, shape=ellipse];")
            continue
        label = _label(thing.function.__name__, [shape for shape, _, _ in thing.outputs])
        bold = ", style=bold" if numbers[id(thing)] in ends else ""
        lines.append(f"  {numbers[id(thing)]} [label={label}{bold}];")
        for edge in thing.edges:
            if edge is not None:
                arrows.append(f"  {number(edge[0])} -> {numbers[id(thing)]};")
    return "\n".join(["digraph {", "  node [shape=box, fontname=sans];", *lines, *arrows, "}"]) + "\n"


def _label(name: str, shapes: list[tuple[int, ...]]) -> str:
    """A quoted label: a name, and below it the shapes."""
    below = ", ".join("x".join(map(str, shape)) or "()" for shape in shapes)
    text = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}\\n{below}"'
