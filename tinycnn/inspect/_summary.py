"""`summary`: what each layer of a model makes of its input, and what it costs."""

from __future__ import annotations

import html
import math
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

from .. import dtypes, kernels
from .._tensor import Tensor
from ..autograd import enable_grad
from ..kernels.geometry import ConvSpec, PoolSpec, formulas, transposed_formulas
from ..nn import functional
from ..nn._hooks import register_module_forward_hook, register_module_forward_pre_hook
from ..nn.lazy import UninitializedParameter
from ..nn.module import Module
from ..ops import create
from ._field import RULES, WHOLE, Fields
from ._replace import replaced
from ._state import undisturbed
from ._text import aligned, tensors

Shape = tuple[int, ...]
Pair = tuple[float, float]


@dataclass
class Layer:
    """One call of a module, in the order of the calls.

    Attributes:
        name: the module's dotted name in the model; ``""`` for the model itself.
        kind: its class; ``F.name`` for a function that looks at windows and was called between the layers.
        depth: inside how many others it was called.
        output_shapes: the shapes of its outputs; none for a module that took no part, such as a head for training.
        formula: how height and width of the output come about, once if it is the same; ``""`` where no window moves.
        params, trainable: its parameters, all below included; what an earlier layer shares counts there.
        macs: its multiply-adds, all below included: of convolutions and matrix products.
        nbytes: of its outputs, all below included, where they take memory of their own: not of views, nor of what is
            computed in place, nor of operations between the layers.
        receptive_field: elements of the input that an element of the output depends on, (height, width); ``inf`` for
            all of them, None if no way was recorded from the input. For the rules see `tinycnn/inspect/_field.py`.
        stride: elements of the input from the field of one to that of the next, the product of the strides; None where
            the field is all or unknown.
        again: whether it has parameters and was called before, so that they are counted there.
        own_params, own_macs: those that no layer below has.
    """

    name: str
    kind: str
    depth: int
    output_shapes: list[Shape] = field(default_factory=list)
    formula: str = ""
    params: int = 0
    trainable: int = 0
    macs: int = 0
    nbytes: int = 0
    receptive_field: Pair | None = None
    stride: Pair | None = None
    again: bool = False
    own_params: int = 0
    own_macs: int = 0


@dataclass
class Summary:
    """What `summary` returns: `print` shows a table, a notebook shows it as HTML, and this is the data.

    Attributes:
        layers: a `Layer` for each call of a module, the model first.
        params, trainable: of the whole model, shared ones counted once.
        param_bytes: what they take.
        macs: multiply-adds of one run.
        input_bytes: of the input.
        nbytes: of the outputs of all layers.
        depth: how far down the text shows the tree.
    """

    layers: list[Layer]
    params: int
    trainable: int
    param_bytes: int
    macs: int
    input_bytes: int
    nbytes: int
    depth: int | None = None

    def to_dicts(self) -> list[dict[str, Any]]:
        """The layers as dicts, for `pandas.DataFrame` and the like."""
        return [asdict(layer) for layer in self.layers]

    def __getitem__(self, name: str) -> Layer:
        """The first call of the module with that dotted name.

        Raises:
            KeyError: if there is none.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"no layer {name!r}; there are {', '.join(repr(layer.name) for layer in self.layers)}")

    def _table(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        above: list[str] = []  # the names of those that a layer was called in
        for i, layer in enumerate(self.layers):
            above[layer.depth :] = [layer.name]
            if self.depth is not None and layer.depth > self.depth:
                continue
            name = layer.name.removeprefix(above[-2] + ".") if layer.depth else ""
            parts = i + 1 < len(self.layers) and self.layers[i + 1].depth > layer.depth
            folded = not parts or layer.depth == self.depth
            params, macs, nbytes = (
                (layer.params, layer.macs, layer.nbytes) if folded else (layer.own_params, layer.own_macs, 0)
            )
            rows.append(
                (
                    "  " * layer.depth + (f"{name} ({layer.kind})" if name else layer.kind),
                    " ".join("x".join(map(str, s)) for s in layer.output_shapes) or "not called",
                    layer.formula,
                    f"{params:,}" if params else "again" if layer.again and folded else "",
                    f"{macs:,}" if macs else "",
                    _bytes(nbytes) if nbytes else "",
                    _pair(layer.receptive_field),
                    _pair(layer.stride),
                )
            )
        return rows

    def _totals(self) -> list[tuple[str, str]]:
        frozen = self.params - self.trainable
        return [
            ("parameters", f"{self.params:,}" + (f", {frozen:,} of them frozen" if frozen else "")),
            ("multiply-adds", f"{self.macs:,}" + (f" ({self.macs / 1e9:.2f} G)" if self.macs >= 1e7 else "")),
            (
                "memory",
                f"input {_bytes(self.input_bytes)}, outputs {_bytes(self.nbytes)}, "
                f"parameters {_bytes(self.param_bytes)}",
            ),
        ]

    def __str__(self) -> str:
        lines = aligned([_HEAD, *self._table()], _NUMBERS)
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:], rule, *(f"{k:<15}{v}" for k, v in self._totals())])

    def _repr_html_(self) -> str:
        def cells(tag: str, row: Sequence[str]) -> str:
            texts = (html.escape(text).replace("  ", "&emsp;") for text in row)
            return "".join(
                f'<{tag} style="text-align:{"left" if i < _NUMBERS else "right"}">{text}</{tag}>'
                for i, text in enumerate(texts)
            )

        head, body = cells("th", _HEAD), "".join(f"<tr>{cells('td', row)}</tr>" for row in self._table())
        totals = "".join(f"<li>{k}: {html.escape(v)}</li>" for k, v in self._totals())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><ul>{totals}</ul>"


_HEAD = ("layer", "output", "height and width", "params", "mult-adds", "bytes", "field", "stride")
_NUMBERS = 3  # columns from here on hold numbers


def _bytes(n: int) -> str:
    """A number of bytes in three or four figures."""
    if n < 1000:
        return f"{n} B"
    step = min(int(math.log(n, 1000)), 4)
    return f"{n / 1000**step:.1f} {' kMGT'[step]}B"


def _pair(pair: Pair | None) -> str:
    """A pair as ``3``, ``1x7``, ``1/2``; the whole input is ``all``."""
    if pair is None:
        return ""
    texts = ["all" if n == WHOLE else str(Fraction(n).limit_denominator(1000)) for n in pair]
    return texts[0] if texts[0] == texts[1] else "x".join(texts)


def _once(texts: tuple[str, str], spec: Any) -> str:
    """The formulas of height and width, once if they are the same; a signal, of height 1, has no height."""
    if texts[0] == texts[1] or (spec.input_size[0] == spec.output_size[0] == spec.kernel_size[0] == 1):
        return texts[1]
    return ", ".join(texts)


WINDOWS = ("conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d")


class _Run:
    """What one run of a model shows, put down by hooks on its modules and by its kernels."""

    def __init__(self, model: Module, inputs: list[Tensor]) -> None:
        self.names = {m: name for name, m in model.named_modules()}
        self.fields = Fields(inputs)
        self.layers: list[Layer] = []
        self.open: list[Layer] = []
        self.inside: Module = model  # the module whose call is open
        self.counted: set[int] = set()  # parameters
        self.called: set[Module] = set()
        self.composed = 0  # functions open that have a rule of their own; what they are made of is no multiply-add
        self.window = (0, 0)  # what the last window that moved left: height and width
        self.thread = threading.get_ident()

    def begin(self, name: str, kind: str) -> Layer:
        layer = Layer(name, kind, len(self.open))
        self.layers.append(layer)
        self.open.append(layer)
        return layer

    def end(self, given: Any, output: Any) -> None:
        layer = self.open.pop()
        outputs = list(tensors(output))
        layer.output_shapes = [tuple(t.array.shape) for t in outputs]
        layer.macs += layer.own_macs
        if self.layers[-1] is layer:  # nothing was called inside
            known = {id(t if t._base is None else t._base) for t in tensors(given)}
            layer.nbytes = sum(t.array.nbytes for t in outputs if id(t if t._base is None else t._base) not in known)
        shape = outputs[0].array.shape if outputs else ()
        of_result = self.window in (shape[-2:], (1, *shape[-1:]))  # an image, or a signal
        if self.layers[-1] is not layer or not of_result:
            layer.formula = ""  # of something between its parts, or on the way to its result
        found = self.fields.of(outputs[0]) if outputs else None
        if found is not None:
            layer.receptive_field = float(found.size[0]), float(found.size[1])
            layer.stride = None if WHOLE in found.size else (float(found.jump[0]), float(found.jump[1]))
        if self.open:
            self.open[-1].macs += layer.macs
            self.open[-1].nbytes += layer.nbytes

    def note_params(self, layer: Layer, module: Module) -> None:
        own = {id(p) for p in module.parameters(recurse=False)}
        for p in module.parameters():
            if id(p) not in self.counted:
                layer.params += p.array.size
                layer.trainable += p.array.size if p.requires_grad else 0
                layer.own_params += p.array.size if id(p) in own else 0

    def before(self, module: Module, args: Any) -> None:
        """The hook before each call."""
        if threading.get_ident() != self.thread or module not in self.names:
            return
        layer = self.begin(self.names[module], type(module).__name__)
        layer.again = module in self.called and next(module.parameters(), None) is not None
        self.note_params(layer, module)
        self.called.add(module)
        self.counted.update(id(p) for p in module.parameters(recurse=False))
        module.__dict__["_summary_inside"], self.inside = self.inside, module

    def after(self, module: Module, args: Any, output: Any) -> None:
        """The hook after each call."""
        if threading.get_ident() == self.thread and module in self.names:
            self.inside = module.__dict__.pop("_summary_inside")
            self.end(args, output)

    def watching(self, column: str, name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
        """`kernel`, which also tells the layer that is open what it computes."""
        if name not in ("conv2d", "conv2d_input_grad", "matmul", "max_pool2d", "avg_pool2d"):
            return kernel

        def watched(*args: Any, **kwargs: Any) -> Any:
            result = kernel(*args, **kwargs)
            if threading.get_ident() == self.thread and self.open:
                self.note(name, args, result)
            return result

        return watched

    def note(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        layer = self.open[-1]
        spec: Any = next((a for a in args if isinstance(a, (ConvSpec, PoolSpec))), None)
        if name == "matmul":
            if self.composed:
                return
            flipped = len(args) > 2 and args[2]
            layer.own_macs += result.size * args[0].shape[-2 if flipped else -1]
        elif isinstance(spec, ConvSpec):
            layer.own_macs += math.prod(spec.output_shape) * math.prod(spec.weight_shape[1:])
        if spec is not None:
            backwards = name == "conv2d_input_grad"
            layer.formula = _once((transposed_formulas if backwards else formulas)(spec), spec)
            self.window = spec.input_size if backwards else spec.output_size

    def ruled(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of `nn.functional` with a receptive field by its own rule; its matrices move and average."""
        known = self.fields.knowing(name, function)

        def called(*args: Any, **kwargs: Any) -> Any:
            here = threading.get_ident() == self.thread
            self.composed += here
            try:
                return known(*args, **kwargs)
            finally:
                self.composed -= here

        return called

    def rowed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of `nn.functional`, which has a row of its own where a model calls it between its layers."""

        def called(*args: Any, **kwargs: Any) -> Any:
            a_layer = type(self.inside).__module__.startswith("tinycnn.nn.")
            if threading.get_ident() != self.thread or not self.open or a_layer:
                return function(*args, **kwargs)
            parent = self.open[-1].name
            self.begin(f"{parent}.{name}" if parent else name, f"F.{name}")
            result = function(*args, **kwargs)
            self.end((args, kwargs), result)
            return result

        return called

    def add_uncalled(self, module: Module) -> None:
        """Rows for the parts that have parameters and took no part."""
        for child in module.children():
            if not any(m in self.called for m in child.modules()):
                layer = Layer(self.names[child], type(child).__name__, 1)
                self.note_params(layer, child)
                layer.own_params = layer.params
                if layer.params:
                    self.layers.append(layer)
                    self.counted.update(id(p) for p in child.parameters())
            else:
                self.add_uncalled(child)


def _inputs(model: Module, input_size: Any, input_data: Any) -> list[Tensor]:
    """What the model is called with: zeros of that size, or a copy of the data."""
    if (input_size is None) == (input_data is None):
        raise TypeError("summary: give either input_size, such as (3, 224, 224), or input_data")
    first = next(model.parameters(), None)
    place = None if first is None else first.device
    kind = first.dtype if first is not None and first.is_floating_point() else dtypes.get_default_dtype()
    given = []
    if input_data is not None:
        for t in input_data if isinstance(input_data, (tuple, list)) else [input_data]:
            if not isinstance(t, Tensor):
                raise TypeError(f"summary: input_data must be a Tensor or several, got {type(t).__name__}")
            given.append(t.detach())
    else:
        nested = isinstance(input_size, (tuple, list)) and input_size and isinstance(input_size[0], (tuple, list))
        for size in input_size if nested else [input_size]:
            if not isinstance(size, (tuple, list)) or not all(isinstance(n, int) and n > 0 for n in size):
                raise TypeError(f"summary: input_size must be positive ints, such as (3, 224, 224), got {input_size!r}")
            shape = tuple(size) if len(size) == 4 else (1, *size)
            given.append(create.zeros(shape, dtype=kind, device=place))
    for i, t in enumerate(given):
        if t.is_floating_point():
            given[i] = t.requires_grad_()
    return [t.clone() for t in given]  # not leaves: a model may write into its input


_one_at_a_time = threading.Lock()


def summary(model: Module, input_size: Any = None, input_data: Any = None, depth: int | None = 3) -> Summary:
    """Run a model once and tell for each layer: output shape and how it comes about, parameters, multiply-adds, bytes,
    receptive field and stride.

        print(summary(LeNet5(), (1, 32, 32)))

    The model runs in evaluation mode, on zeros. Its mode, gradients, buffers and the random numbers stay as they were.

    Args:
        model: any module.
        input_size: of one input without the batch, (C, H, W), (C, L) or (features,), for a batch of 1; four numbers
            are (N, C, H, W). A list of sizes for several inputs.
        input_data: instead, a Tensor or several to call the model with.
        depth: how far down the text shows the tree; None for all of it.

    Raises:
        TypeError: if it is not a module, or the input is neither given as a size nor as data.
        RuntimeError: for a model with lazy layers that no input has shaped yet.
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: expected an nn.Module, got {type(model).__name__}")
    lazy = [name for name, p in model.named_parameters() if isinstance(p, UninitializedParameter)]
    if lazy:
        raise RuntimeError(f"summary: {', '.join(lazy)} have no shape yet; call the model on an input first")
    with _one_at_a_time, undisturbed(model), enable_grad(), ExitStack() as stack:
        inputs = _inputs(model, input_size, input_data)
        run = _Run(model, inputs)
        for handle in (register_module_forward_pre_hook(run.before), register_module_forward_hook(run.after)):
            stack.callback(handle.remove)
        stack.enter_context(kernels.observed(run.watching))
        stack.enter_context(replaced([(functional, name) for name in RULES], run.ruled))
        stack.enter_context(replaced([(functional, name) for name in WINDOWS], run.rowed))
        try:
            model(*inputs)
        except Exception as error:
            if run.open:
                where = " in ".join(f"{layer.name or 'the model'} ({layer.kind})" for layer in reversed(run.open))
                error.add_note(f"summary: raised in {where}")
            raise
    run.add_uncalled(model)
    parameters = list(model.parameters())
    return Summary(
        run.layers,
        sum(p.array.size for p in parameters),
        sum(p.array.size for p in parameters if p.requires_grad),
        sum(p.array.nbytes for p in parameters),
        run.layers[0].macs,
        sum(t.array.nbytes for t in inputs),
        run.layers[0].nbytes,
        depth,
    )
