"""Optimizer: the base of all optimizers. It keeps parameter groups and a state for each parameter."""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .._device import device as Device
from .._tensor import Tensor, wrap
from ..autograd import RemovableHandle, enable_grad
from ..kernels import settings
from ..nn.module import clear_grad


def check_number(owner: str, name: str, value: Any, low: float, high: float = math.inf, closed: bool = False) -> None:
    """Refuse a hyper-parameter outside [low, high), or [low, high] if `closed`.

    Raises:
        TypeError: if it is not a number.
        ValueError: if it is out of range, infinite or NaN.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{owner}: {name} must be a number, got {type(value).__name__} {value!r}")
    if not (low <= value < high or (closed and value == high)):
        interval = f"at least {low}" if high == math.inf else f"in [{low}, {high}{']' if closed else ')'}"
        raise ValueError(f"{owner}: {name} must be {interval}{' and finite' if high == math.inf else ''}, got {value}")


def _numbers(state: dict[str, Any]) -> dict[str, Any]:
    """What of a parameter's state is no tensor, such as the count of its steps."""
    return {key: value for key, value in state.items() if not isinstance(value, Tensor)}


class Optimizer:
    """Base class: a subclass gives its hyper-parameters as `defaults` and defines `step`.

    Args:
        params: parameters, or dicts ``{"params": parameters, "lr": 0.1, ...}``, one for each group, whose other entries
            take the place of `defaults`.
        defaults: the hyper-parameters of groups that do not give their own.

    Attributes:
        param_groups: a list of dicts: ``"params"`` and the hyper-parameters.
        state: for each parameter, a dict of what the optimizer remembers about it.

    Raises:
        TypeError: if something is not a Tensor.
        ValueError: if there are no parameters, one comes twice, one is not a leaf, or a hyper-parameter is illegal.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, Tensor):
            raise TypeError(
                f"{name}: params must be an iterable of parameters or dicts, got one Tensor; write [tensor]"
            )
        if not hasattr(params, "__iter__"):  # a module, or its method
            raise TypeError(
                f"{name}: params must be parameters, got a {type(params).__name__}; call model.parameters()"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._pre_hooks: OrderedDict[int, Any] = OrderedDict()
        self._post_hooks: OrderedDict[int, Any] = OrderedDict()
        groups = list(params)
        if not groups:
            raise ValueError(
                f"{name}: got an empty list of parameters; a module without parameters? an iterator, such as "
                "model.parameters(), that was used up before?"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add the parameters ``param_group["params"]``, with hyper-parameters of their own where given.

        Raises:
            TypeError, ValueError: as the class.
        """
        name = type(self).__name__
        if not isinstance(param_group, dict):
            raise TypeError(f"{name}: expected a dict for each group, got {type(param_group).__name__}")
        if "params" not in param_group:
            raise ValueError(f"{name}: a parameter group needs an entry 'params', got {sorted(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(f"{name}: parameters need an order, a set has none; pass a list")
        params = [params] if isinstance(params, Tensor) else list(params)
        named = [p for p in params if isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str)]
        if named:
            if len(named) != len(params):
                raise ValueError(f"{name}: either all parameters of a group come with a name, or none")
            param_group = {**param_group, "param_names": [key for key, _ in named]}
            params = [p for _, p in named]
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: can optimize Tensors only, got {type(p).__name__}")
            if p.grad_fn is not None:
                raise ValueError(f"{name}: cannot optimize a tensor computed by {p.grad_fn.name()}, it must be a leaf")
            if id(p) in known:
                raise ValueError(
                    f"{name}: a parameter of shape {tuple(p.shape)} comes twice, in one group or in two; "
                    "it would be updated twice"
                )
            known.add(id(p))
        group = {**self.defaults, **param_group, "params": params}
        for key, value in group.items():
            if isinstance(value, Tensor) and value.array.size == 1:  # a rate given as a tensor
                group[key] = value.item()
        if group.get("differentiable"):
            raise ValueError(f"{name}: a step is not recorded and has no gradient; leave differentiable=True out")
        self._check_group(group)
        self.param_groups.append(group)

    def _check_group(self, group: dict[str, Any]) -> None:
        """Refuse illegal hyper-parameters; a subclass knows which."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients: None, or zeros on the same memory."""
        for group in self.param_groups:
            for p in group["params"]:
                clear_grad(p, set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient.

        Args:
            closure: called first, with recording on: it computes the loss anew, calls backward() and returns the loss.

        Returns:
            what `closure` returned, else None.
        """
        for hook in list(self._pre_hooks.values()):
            changed = hook(self, (closure,), {})
            if changed is not None:
                (closure,), _ = changed
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if settings.capturing:
            self._capture()
        else:
            self._step_groups()
        for hook in list(self._post_hooks.values()):
            hook(self, (closure,), {})
        return loss

    def _step_groups(self) -> None:
        for group in self.param_groups:
            self._update(group)

    def _capture(self) -> None:
        """Step inside a graph: every replay will ask for the numbers of its step."""
        grads = [(p, p.grad) for group in self.param_groups for p in group["params"] if p.grad is not None]

        def again() -> None:  # with these gradients, which zero_grad may have taken away
            before = [p._grad for p, _ in grads]
            for p, g in grads:
                p._grad = g
            try:
                self._step_groups()
            finally:
                for (p, _), g in zip(grads, before, strict=True):
                    p._grad = g

        counts = {p: _numbers(state) for p, state in self.state.items()}
        settings.numbers = []
        try:
            self._step_groups()
            settings.steps.append((again, settings.numbers))
        finally:
            settings.numbers = None
            for p, state in self.state.items():  # nothing was done yet, so nothing is counted
                for key in _numbers(state):
                    del state[key]
                state.update(counts.get(p, {}))

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return other (args, kwargs)."""
        return RemovableHandle(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return RemovableHandle(self._post_hooks, hook)

    def _update(self, group: dict[str, Any]) -> None:
        """One step for the parameters of one group."""
        raise TypeError(f"{type(self).__name__} needs a method step(self, closure=None)")

    # -- state ----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """``{"state": {0: {...}, ...}, "param_groups": [{..., "params": [0, 1, ...]}, ...]}``: parameters by number.

        Tensors in it are the optimizer's own, not copies.
        """
        number: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                number[id(p)] = len(number)
            groups.append({**group, "params": [number[id(p)] for p in group["params"]]})
        return {"state": {number[id(p)]: dict(s) for p, s in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken: its hyper-parameters and a copy of its state are taken over.

        Raises:
            ValueError: if groups or sizes differ from this optimizer's, in which case nothing is changed.
        """
        name = type(self).__name__
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= state_dict.keys():
            raise ValueError(f"{name}: expected what state_dict() returns, a dict with 'state' and 'param_groups'")
        saved = list(state_dict["param_groups"])
        if len(saved) != len(self.param_groups):
            raise ValueError(
                f"{name}: loaded state dict has a different number of parameter groups, "
                f"{len(saved)} instead of {len(self.param_groups)}"
            )
        owner: dict[Any, Tensor] = {}
        for i, (mine, its) in enumerate(zip(self.param_groups, saved, strict=True)):
            if len(mine["params"]) != len(its["params"]):
                raise ValueError(
                    f"{name}: loaded state dict contains a parameter group that doesn't match the size of the "
                    f"optimizer's: group {i} has {len(its['params'])} parameters instead of {len(mine['params'])}"
                )
            owner.update(zip(its["params"], mine["params"], strict=True))
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for key, values in state_dict["state"].items():
            if key not in owner:
                raise ValueError(f"{name}: loaded state dict has a state for parameter {key!r}, which is in no group")
            state[owner[key]] = {k: _adopted(name, key, k, v, owner[key]) for k, v in values.items()}
        self.state = state
        self.param_groups = [
            {**self.defaults, **its, "params": mine["params"]}
            for mine, its in zip(self.param_groups, saved, strict=True)
        ]

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([f"{type(self).__name__} (", *lines, ")"])


def _adopted(name: str, number: Any, key: str, value: Any, param: Tensor) -> Any:
    """A loaded piece of state as its parameter needs it: a copy in its dtype and place; 0-d tensors become numbers."""
    if not isinstance(value, Tensor):
        return value
    if key == "step" or (value.array.ndim == 0 and param.array.ndim):
        return value.item()
    if value.array.shape != param.array.shape:
        raise ValueError(
            f"{name}: loaded {key} of parameter {number} has shape {tuple(value.array.shape)}, "
            f"the parameter has {tuple(param.array.shape)}"
        )
    return value.detach().to(device=param.device, dtype=param.dtype, copy=True)


def zeros_for(param: Tensor) -> Tensor:
    """A piece of state: zeros in row-major memory, in the shape, dtype and place of a parameter."""
    return wrap(param.device.kernels.full(param.array.shape, 0, param.array.dtype), param.device)


class Batch:
    """Parameters of one device and dtype that take the same step, as lists of arrays for a multi-tensor kernel.

    Kernels write in place and want row-major arrays. A parameter or gradient with other strides is given as a copy,
    which `finish` writes back.
    """

    def __init__(self, owner: str, device: Device) -> None:
        self.owner, self.device = owner, device
        self.tensors: list[Tensor] = []
        self.params: list[Any] = []
        self.grads: list[Any] = []
        self.states: list[dict[str, Any]] = []

    def add(self, param: Tensor, grad: Tensor, state: dict[str, Any]) -> None:
        param._overwrite(self.owner)
        p, g = param.array, grad.array
        self.tensors.append(param)
        self.params.append(p if p.flags.c_contiguous else p.copy())
        self.grads.append(g if g.flags.c_contiguous else g.copy())
        self.states.append(state)

    def arrays(self, key: str) -> list[Any]:
        """The arrays of one piece of state."""
        return [state[key].array for state in self.states]

    def finish(self) -> None:
        """Write copies back."""
        for tensor, array in zip(self.tensors, self.params, strict=True):
            if array is not tensor.array:
                tensor.array[...] = array


def batches(
    owner: str,
    params: Iterable[Tensor],
    state: defaultdict[Tensor, dict[str, Any]],
    key: Callable[[dict[str, Any]], Any],
) -> Iterator[tuple[Any, Batch]]:
    """The parameters that have a gradient, by device, dtype and ``key(state of the parameter)``, which comes first.

    Raises:
        TypeError: if a parameter is neither float32 nor float64.
    """
    found: dict[Any, Batch] = {}
    last: Any = None
    batch: Any = None
    for p in params:
        grad = p._grad
        if grad is None:
            continue
        own = state[p]
        kind = key(own), p.array.dtype, p.device
        if kind != last:  # seldom: parameters of one kind follow each other
            _, dtype, place = last = kind
            batch = found.get((kind[0], dtype.char, place.type, place.index))
            if batch is None:
                if dtype not in (np.float32, np.float64):
                    raise TypeError(f"{owner}: parameters must be float32 or float64, got {p.dtype}")
                batch = found[kind[0], dtype.char, place.type, place.index] = Batch(f"{owner}.step", place)
        batch.add(p, grad, own)
    for which, batch in found.items():
        yield which[0], batch
