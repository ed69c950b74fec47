"""Models as ONNX files, for other engines (``torch.onnx``).

    tinycnn.onnx.export(model, tinycnn.zeros(1, 3, 224, 224), "model.onnx")

It needs the package onnx. The model runs once in evaluation; what autograd recorded of that is written, so functions in
its forward count as well as layers. Sizes are fixed to those of the example. Operations: convolution, linear and matrix
products, batch norm, pooling, activations, arithmetic, sums, cat, pad, reshape, permute, expand, slices.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ._tensor import Tensor
from .autograd import Node, enable_grad
from .nn.module import Module

__all__ = ["export"]

_OPSET = 17
Emit = Callable[..., str]

# autograd's name of an operation of one tensor: ONNX's
_PLAIN = {
    "Relu": "Relu", "Sigmoid": "Sigmoid", "Tanh": "Tanh", "Exp": "Exp", "Log": "Log", "Sqrt": "Sqrt", "Abs": "Abs",
    "Neg": "Neg", "Erf": "Erf", "Reciprocal": "Reciprocal",
}  # fmt: skip
_TWO = {"Add": "Add", "Sub": "Sub", "Mul": "Mul", "Div": "Div", "Pow": "Pow", "Matmul": "MatMul", "MatMul": "MatMul"}


class _Graph:
    """The nodes and constants of a file in the making."""

    def __init__(self, onnx: Any, dtype: Any) -> None:
        self.onnx, self.dtype = onnx, dtype
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, value: Any, name: str | None = None, dtype: Any = None) -> str:
        """The name of an array in the file."""
        array = np.ascontiguousarray(np.asarray(value, dtype or self.dtype))
        name = name or f"constant_{len(self.constants)}"
        if name not in self.constants:
            shaped = array.reshape(np.shape(value))  # a number stays one
            self.constants[name] = self.onnx.numpy_helper.from_array(shaped, name)
        return name

    def emit(self, op: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """Add a node, and return the name of its output."""
        output = output or f"inner_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), [output], **attributes))
        return output


def _pool(graph: _Graph, op: str, spec: Any, x: str, out: str, **extra: Any) -> str:
    attributes = {"kernel_shape": spec.kernel_size, "strides": spec.stride, "pads": [*spec.padding, *spec.padding]}
    return graph.emit(op, [x], out, **attributes, ceil_mode=int(spec.ceil_mode), **extra)


def _write(graph: _Graph, node: Any, names: list[str | None], out: str) -> str:
    """Add what computes the output of `node` from its inputs, whose names are given (None: no tensor with history)."""
    kind = node.function.__name__
    ((shape, *_), *_) = node.outputs
    given = [name for name in names if name is not None]
    if kind in _PLAIN:
        return graph.emit(_PLAIN[kind], given, out)
    if kind in _TWO:
        both: list[str] = []
        numbers, saved = getattr(node, "numbers", (None, None)) or (None, None), node._saved or (None, None)
        for name, number, tensor in zip(names, numbers, saved, strict=True):
            value = number if tensor is None else tensor.array
            if name is None and value is None:
                raise NotImplementedError(f"onnx.export: {kind} with a constant tensor; register it as a buffer")
            both.append(name if name is not None else graph.constant(value))
        return graph.emit(_TWO[kind], both, out)
    if kind == "Conv2d":
        spec = node.spec
        (top, bottom), (left, right) = spec.padding
        geometry = {"kernel_shape": spec.kernel_size, "strides": spec.stride, "dilations": spec.dilation}
        return graph.emit("Conv", given, out, **geometry, group=spec.groups, pads=[top, left, bottom, right])
    if kind == "Linear":
        return graph.emit("Gemm", given, out, transB=1)
    if kind == "BatchNormEval":
        x, mean, var, weight, bias = names[:5]
        channels = node._saved[1].array.shape
        weight = weight or graph.constant(np.ones(channels))
        inputs = [x, weight, bias or graph.constant(np.zeros(channels)), mean, var]
        return graph.emit("BatchNormalization", [str(name) for name in inputs], out, epsilon=node.eps)
    if kind == "MaxPool2d":
        return _pool(graph, "MaxPool", node.spec, given[0], out, dilations=node.spec.dilation)
    if kind == "AvgPool2d" and node.rule[2] is None:
        return _pool(graph, "AveragePool", node.rule[0], given[0], out, count_include_pad=int(node.rule[1]))
    if kind in ("Clamp", "Between"):
        bounds = ["" if bound is None else graph.constant(bound) for bound in node.bounds]
        return graph.emit("Clip", [*given, *bounds], out)
    if kind == "Hardswish":
        return graph.emit("HardSwish", given, out)
    if kind == "LeakyRelu":
        return graph.emit("LeakyRelu", given, out, alpha=node.numbers[0])
    if kind == "Pad" and min(map(min, node.sides), default=0) >= 0:
        sides = graph.constant([*node.sides[0], *node.sides[1]], dtype=np.int64)
        return graph.emit("Pad", [*given, sides, graph.constant(node.value)], out)
    if kind == "Cat":
        return graph.emit("Concat", given, out, axis=node.dim)
    if kind == "Reshape":
        return graph.emit("Reshape", [*given, graph.constant(shape, dtype=np.int64)], out)
    if kind == "Permute":
        return graph.emit("Transpose", given, out, perm=[d % len(shape) for d in node.dims])
    if kind == "Expand":
        return graph.emit("Expand", [*given, graph.constant(shape, dtype=np.int64)], out)
    if kind == "Sum":
        axes = [d for d, (kept, n) in enumerate(zip(node.kept, node.shape, strict=True)) if kept != n]
        kept = graph.emit("ReduceSum", [*given, graph.constant(axes, dtype=np.int64)], keepdims=1)
        return graph.emit("Reshape", [kept, graph.constant(shape, dtype=np.int64)], out)
    if kind == "Index" and all(isinstance(k, slice) for k in _parts(node.key)):
        bounds = [k.indices(n) for k, n in zip(_parts(node.key), node.shape, strict=False)]
        begins, ends, steps = zip(*bounds, strict=True)
        columns = [graph.constant(column, dtype=np.int64) for column in (begins, ends, range(len(bounds)), steps)]
        return graph.emit("Slice", [*given, *columns], out)
    if kind in ("Clone", "Cast"):
        return graph.emit("Identity", given, out)
    raise NotImplementedError(f"onnx.export: {kind} cannot be written; compute it outside of the model, or add it here")


def _parts(key: Any) -> tuple[Any, ...]:
    return tuple(k for k in (key if isinstance(key, tuple) else (key,)) if k is not Ellipsis)


def _outputs(result: Any) -> list[tuple[str, Tensor]]:
    if isinstance(result, Tensor):
        return [("output", result)]
    if isinstance(result, Mapping):
        return [(str(key), value) for key, value in result.items()]
    return [(f"output_{i}", value) for i, value in enumerate(result) if value is not None]


def export(
    model: Module, args: Tensor | tuple[Tensor, ...], f: str | os.PathLike[str], input_names: Sequence[str] = ()
) -> None:
    """Write `model` in evaluation as the ONNX file `f` (opset 17).

    Args:
        args: the inputs of an example, floating-point; their sizes are those of the file.
        input_names: for the inputs; ``input``, or ``input_0``, ``input_1``, ...

    Raises:
        ImportError: if the package onnx is not installed.
        NotImplementedError: for an operation that is not in the list at the head of this file.
    """
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise ImportError("onnx.export needs the package onnx: pip install 'tinycnn[onnx]'") from None
    inputs = [a.detach().requires_grad_() for a in ((args,) if isinstance(args, Tensor) else args)]
    given = list(input_names) or (["input"] if len(inputs) == 1 else [f"input_{i}" for i in range(len(inputs))])
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    leaves = [t for t in state.values() if t.is_floating_point() and not t.requires_grad]
    training = model.training
    try:
        for leaf in leaves:
            leaf.requires_grad_()  # so that autograd says where it went
        model.eval()
        with enable_grad():
            outputs = _outputs(model(*inputs))
    finally:
        model.train(training)
        for leaf in leaves:
            leaf.requires_grad_(False)
    graph = _Graph(onnx, inputs[0].array.dtype)
    named: dict[Any, str] = {id(t): name for t, name in zip(inputs, given, strict=True)}
    for name, tensor in state.items():
        named[id(tensor)] = name

    order: list[Node] = sorted(_behind([t for _, t in outputs]), key=lambda node: node.birth)
    for node in order:
        names: list[str | None] = []
        for edge in node.edges:
            if edge is None:
                names.append(None)
                continue
            source, number = edge
            key = (source, number) if number >= 0 else id(source)
            if number < 0 and key not in named:
                raise NotImplementedError(
                    "onnx.export: a tensor that is no parameter, buffer or input requires grad; register it as one"
                )
            name = named[key]
            if number < 0 and name not in given:
                graph.constant(source.array, name)
            names.append(name)
        named[node, 0] = _write(graph, node, names, f"{node.function.__name__}_{len(graph.nodes)}")
    for name, tensor in outputs:
        graph.emit("Identity", [named[tensor._node, tensor._output]], name)

    kind = onnx.helper.np_dtype_to_tensor_dtype(inputs[0].array.dtype)
    takes, gives = (
        [onnx.helper.make_tensor_value_info(name, kind, list(t.shape)) for name, t in pairs]
        for pairs in (zip(given, inputs, strict=True), outputs)
    )
    made = onnx.helper.make_graph(graph.nodes, type(model).__name__, takes, gives, list(graph.constants.values()))
    opsets = [onnx.helper.make_opsetid("", _OPSET)]
    file = onnx.helper.make_model(made, opset_imports=opsets, ir_version=8, producer_name="tinycnn")
    onnx.checker.check_model(file)
    onnx.save(file, os.fspath(f))


def _behind(tensors: list[Tensor]) -> set[Node]:
    """All nodes of the graph that made these tensors."""
    waiting: list[Node] = [t._node for t in tensors if t._node is not None]
    found = set(waiting)
    while waiting:
        for edge in waiting.pop().edges:
            if edge is not None and edge[1] >= 0 and edge[0] not in found:
                found.add(edge[0])
                waiting.append(edge[0])
    return found
