"""Module: the base of every layer and model. It keeps parameters, buffers and submodules, and calls `forward`."""

from __future__ import annotations

import difflib
import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from .. import dtypes
from .._device import device as Device
from .._tensor import Tensor
from ..autograd import RemovableHandle, no_grad
from ..ops import create
from . import _hooks
from .parameter import Buffer, Parameter

_EXTRA = "_extra_state"
_KINDS = {"_parameters": "parameter", "_buffers": "buffer", "_modules": "module"}


class IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` returns: the keys without a partner on the other side."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class NoSuchAttribute(AttributeError):
    """Looks for the nearest name only when it is shown, so that `hasattr` stays fast."""

    def __init__(self, module: Module, name: str) -> None:
        super().__init__(name)
        self._asked = module, name

    def __str__(self) -> str:
        module, name = self._asked
        near = difflib.get_close_matches(name, dir(module), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{type(module).__name__!r} object has no attribute {name!r}{hint}"


def holding(kind: str, *names: str) -> Callable[[Any], Any]:
    """What gets the attributes `names` of a layer from its ``_parameters`` or ``_buffers``, not over `__getattr__`."""
    pick = operator.itemgetter(*names)

    def held(layer: Any) -> Any:
        try:
            return pick(layer.__dict__[kind])
        except KeyError:  # some are ordinary attributes
            return [getattr(layer, name) for name in names]

    return held


weight_and_bias = holding("_parameters", "weight", "bias")


class Module:
    """Base class of layers and models; semantics and names are those of ``torch.nn.Module``.

    A subclass calls ``super().__init__()``, assigns its parameters, buffers and submodules to attributes, and defines
    ``forward``::

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(1, 6, 5)

            def forward(self, x):
                return self.conv(x).relu()

    Attributes:
        training: True in training, False in evaluation; `train()` and `eval()` set it here and in all submodules.
    """

    training: bool
    _version = 1  # of the state; a file is taken to be of the current one
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _modules={},
            _non_persistent=set(),
            _forward_pre_hooks=OrderedDict(),
            _forward_hooks=OrderedDict(),
            _backward_pre_hooks=OrderedDict(),
            _backward_hooks=OrderedDict(),
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation of this module; every subclass defines its own. Call the module itself, not this."""
        raise TypeError(f"{type(self).__name__} needs a method forward(self, ...)")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        own = self.__dict__
        if "_modules" not in own or (_hooks.everywhere.used and _hooks.around(own)):
            return _hooks.call(self, args, kwargs)  # which says so if super().__init__() was not called
        return self.forward(*args, **kwargs)

    # -- attributes -----------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:  # runs only after the usual look-up has failed
        state = self.__dict__
        if "_modules" in state:
            if name in (members := state["_modules"]):
                return members[name]
            if name in (members := state["_parameters"]):
                return members[name]
            if name in (members := state["_buffers"]):
                return members[name]
        owner = type(self).__name__
        if "_modules" not in state and (name in _KINDS or name.startswith(("_forward", "_backward", "training"))):
            raise AttributeError(f"{owner}: call super().__init__() at the start of {owner}.__init__")
        if hasattr(type(self), name):
            raise AttributeError(f"{owner!r}: the property {name!r} itself raised an AttributeError")
        raise NoSuchAttribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._make_room(name, "_parameters")
            self.register_parameter(name, value)
            return
        if isinstance(value, Module):
            self._make_room(name, "_modules")
            self.add_module(name, value)
            return
        if isinstance(value, Buffer) and name not in self.__dict__.get("_buffers", ()):
            self._make_room(name, "_buffers")
            self.register_buffer(name, value, value.persistent)
            return
        state = self.__dict__
        for kind, what in _KINDS.items():
            members = state.get(kind)
            if members is not None and name in members:
                if value is not None and not (kind == "_buffers" and isinstance(value, Tensor)):
                    raise TypeError(
                        f"{type(self).__name__}: cannot assign a {type(value).__name__} to {what} {name!r}; expected "
                        f"{'a Tensor' if kind == '_buffers' else 'a ' + what.capitalize()} or None"
                    )
                members[name] = value
                return
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for kind in _KINDS:
            if name in self.__dict__.get(kind, ()):
                del self.__dict__[kind][name]
                self._non_persistent.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        members = [name for kind in _KINDS for name in self.__dict__.get(kind, ())]
        return sorted(name for name in {*object.__dir__(self), *members} if not name[:1].isdigit())

    def _make_room(self, name: str, keep: str) -> None:
        """Drop what the attribute `name` held before, unless it is of the kind `keep` too."""
        state = self.__dict__
        if "_modules" not in state:
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before assigning {_KINDS[keep]} {name!r}"
            )
        state.pop(name, None)
        for kind in _KINDS:
            if kind != keep:
                state[kind].pop(name, None)
        self._non_persistent.discard(name)

    def _register(self, kind: str, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before registering {name!r}")
        what = _KINDS[kind]
        if not isinstance(name, str):
            raise TypeError(f"the name of a {what} must be a str, got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f'the name of a {what} must not be empty nor contain ".", got {name!r}')
        others = (self.__dict__, *(self.__dict__[k] for k in _KINDS if k != kind))
        if hasattr(type(self), name) or any(name in o for o in others):
            raise KeyError(f"attribute {name!r} of {type(self).__name__} already exists")
        self.__dict__[kind][name] = value

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under an attribute name; None keeps the name for "no parameter", such as a missing bias.

        Raises:
            TypeError: if it is not a Parameter.
            KeyError: if the name is empty, has a dot, or is taken.
            ValueError: if it was computed by a recorded operation.
        """
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"parameter {name!r}: expected an nn.Parameter or None, got {type(param).__name__}")
        if param is not None and param.grad_fn is not None:
            raise ValueError(f"parameter {name!r} was computed by {param.grad_fn.name()}; a parameter must be a leaf")
        self._register("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the state but is not trained, such as a running mean.

        Args:
            persistent: whether it is part of `state_dict()`.

        Raises:
            TypeError, KeyError: as `register_parameter`.
        """
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"buffer {name!r}: expected a Tensor or None, got {type(tensor).__name__}")
        self._register("_buffers", name, tensor)
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under an attribute name.

        Raises:
            TypeError, KeyError: as `register_parameter`.
        """
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"module {name!r}: expected an nn.Module or None, got {type(module).__name__}")
        self._register("_modules", name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """As `add_module`."""
        self.add_module(name, module)

    # -- walks ----------------------------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module (named `prefix`) and all below it, parents first, with dotted names; shared ones once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def _named_members(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        for path, module in self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]:
            for name, tensor in module.__dict__[kind].items():
                if tensor is None or id(tensor) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(tensor))
                yield f"{path}.{name}" if path else name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Names and parameters, of this module and (`recurse`) all below; a shared parameter comes once."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this module and (`recurse`) all below; a shared parameter comes once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Names and buffers, as `named_parameters`."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers of this module and (`recurse`) all below."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Names and modules one level below; a shared module comes once."""
        seen = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules one level below."""
        return (child for _, child in self.named_children())

    def modules(self) -> Iterator[Module]:
        """This module and all below it; a shared module comes once."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, target: str) -> Module:
        """The module with the dotted name `target`; ``""`` is this one.

        Raises:
            AttributeError: if there is none.
        """
        module: Any = self
        for name in target.split(".") if target else ():
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"{name!r} in {target!r} is a {type(module).__name__}, not an nn.Module")
        return module

    def _get_member(self, kind: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = module.__dict__[kind].get(name)
        if found is None:
            getattr(module, name)  # a name that is nothing at all has its own error
            raise AttributeError(f"{name!r} in {target!r} is not a {_KINDS[kind]} of {type(module).__name__}")
        return found

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with the dotted name `target`; AttributeError if there is none."""
        return self._get_member("_parameters", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with the dotted name `target`; AttributeError if there is none."""
        return self._get_member("_buffers", target)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn(module)`` for all modules, this one last; for own initialisation."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # -- state ----------------------------------------------------------------------------------------------------

    def _own_state(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and persistent buffers of this module alone."""
        for name, tensor in (*self._parameters.items(), *self._buffers.items()):
            if tensor is not None and name not in self._non_persistent:
                yield name, tensor

    def get_extra_state(self) -> Any:
        """What `state_dict` holds of this module besides tensors; a subclass that has such defines both methods."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: define get_extra_state and set_extra_state")

    def set_extra_state(self, state: Any) -> None:
        """Take what `get_extra_state` gave."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: define get_extra_state and set_extra_state")

    def _has_extra_state(self) -> bool:
        return type(self).get_extra_state is not Module.get_extra_state

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Put the state of this module alone into `destination`; a subclass may add to it."""
        for name, tensor in self._own_state():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if self._has_extra_state():
            destination[prefix + _EXTRA] = self.get_extra_state()

    def state_dict(
        self, *args: Any, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name, detached, on the memory of the module.

        Args:
            args: destination, prefix and keep_vars by position, as older code has them.
            destination: a dict to add to, instead of a new OrderedDict.
            prefix: put before every name.
            keep_vars: give the parameters themselves, not detached.
        """
        if len(args) > 3:
            raise TypeError(f"state_dict: expected destination, prefix and keep_vars, got {len(args)} arguments")
        settings: list[Any] = [*args, *[destination, prefix, keep_vars][len(args) :]]
        result, prefix, keep_vars = settings
        if result is None:
            result = OrderedDict()
        for hook in self._state_hooks("pre_save"):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(result, prefix, keep_vars)
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(destination=result, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_hooks("save"):
            changed = hook(self, result, prefix, {})
            result = result if changed is None else changed
        return result

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module alone: note what is wrong in the lists; a subclass may rename keys before.

        The copying itself is put off until everything has been checked.
        """
        own: dict[str, Any] = dict(self._own_state())
        assign = local_metadata.get("assign", False)
        for name, tensor in own.items():
            key = prefix + name
            if key not in state_dict:
                missing_keys.append(key)
                continue
            value = state_dict[key]
            if not isinstance(value, Tensor):
                error_msgs.append(f"{key}: expected a Tensor in state_dict, got {type(value).__name__}.")
            elif value.array.shape != tensor.array.shape:
                error_msgs.append(
                    f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, "
                    f"the shape in current model is {tensor.shape}."
                )
            else:
                _later(error_msgs, self._assign if assign else Tensor.copy_, name if assign else tensor, value)
        if self._has_extra_state():
            if prefix + _EXTRA in state_dict:
                _later(error_msgs, self.set_extra_state, state_dict[prefix + _EXTRA])
            else:
                missing_keys.append(prefix + _EXTRA)
        elif prefix + _EXTRA in state_dict:
            unexpected_keys.append(prefix + _EXTRA)
        for key in state_dict:
            if key.startswith(prefix) and key != prefix + _EXTRA:
                name, dot, _ = key[len(prefix) :].partition(".")
                if not (name in self._modules and dot) and (dot or name not in own):
                    unexpected_keys.append(key)

    def _assign(self, name: str, value: Tensor) -> None:
        """Hold `value` itself, for ``load_state_dict(assign=True)``."""
        if name not in self._parameters:
            self._buffers[name] = value
        elif isinstance(value, Parameter):
            self._parameters[name] = value
        else:
            old: Any = self._parameters[name]
            self._parameters[name] = Parameter(value, requires_grad=old.requires_grad)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy the numbers of `state_dict` into the parameters and buffers, converting dtypes.

        Everything is checked before anything is written. Shapes must be equal; nothing is broadcast.

        Args:
            strict: keys must be the same on both sides. Without it, keys without a partner are left alone.
            assign: hold the tensors of `state_dict` themselves, with their dtypes, instead of copying them.

        Returns:
            the named tuple (missing_keys, unexpected_keys).

        Raises:
            TypeError: if `state_dict` is not a mapping.
            RuntimeError: listing every missing key, unexpected key, wrong shape and value that is not a Tensor.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"load_state_dict: expected a dict of tensors, got {type(state_dict).__name__}")
        given: Any = OrderedDict(state_dict)  # hooks may rename its keys
        problems = _Problems()
        found = IncompatibleKeys([], [])

        def visit(module: Module, prefix: str) -> None:
            settings: tuple[Any, ...] = (
                given,
                prefix,
                {"version": module._version, "assign": assign},
                strict,
                found.missing_keys,
                found.unexpected_keys,
                problems,
            )
            for hook in module._state_hooks("pre_load"):
                hook(module, *settings)
            module._load_from_state_dict(*settings)
            for name, child in module._modules.items():
                if child is not None:
                    visit(child, f"{prefix}{name}.")
            for hook in module._state_hooks("load"):
                _later(problems, hook, module, found)

        visit(self, "")
        missing, unexpected = found
        order = {key: i for i, key in enumerate(given)}
        unexpected.sort(key=lambda key: order.get(key, 0))
        listed: list[str] = []
        if strict and missing:
            listed.append(f"Missing key(s) in state_dict: {_quoted(missing)}. ")
        if strict and unexpected:
            listed.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
            if missing and all(key.startswith("module.") for key in given):
                listed.append('All keys begin with "module.", as DataParallel saves them; remove that from the keys.')
        if listed or problems:
            text = "\n\t".join([*listed, *problems])
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{text}")
        with no_grad():
            for act, values in problems.later:
                act(*values)
        return found

    def _state_hooks(self, when: str) -> list[Callable[..., Any]]:
        return list(self.__dict__.get("_hooks_" + when, {}).values())

    def _add_state_hook(self, when: str, hook: Callable[..., Any]) -> RemovableHandle:
        return _hooks.add(self.__dict__.setdefault("_hooks_" + when, OrderedDict()), hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before `state_dict` looks at this module."""
        return self._add_state_hook("pre_save", hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` when all below is in; it may change the dict."""
        return self._add_state_hook("save", hook)

    _register_state_dict_hook = register_state_dict_post_hook

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
        error_msgs)`` before this module is loaded; it may rename keys."""
        return self._add_state_hook("pre_load", hook)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        return self._add_state_hook("pre_load", hook if with_module else lambda module, *args: hook(*args))

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after loading."""
        return self._add_state_hook("load", hook)

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and below, which Dropout and BatchNorm read. Gradients are not switched by it.

        Raises:
            ValueError: if `mode` is not a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode must be a bool, got {mode!r}")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Evaluation mode: ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of all parameters: False freezes them."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters: None, or zeros on the same memory."""
        for p in self.parameters():
            clear_grad(p, set_to_none)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Put ``fn(t)`` in the place of all parameters, gradients and buffers t; Parameters stay the same objects."""
        for p in self.parameters(recurse):
            grad, p._grad = p._grad, None
            changed = fn(p.detach())
            if changed.array is not p.array:
                p.data = changed
                p._bump()
            if grad is not None:
                p.grad = fn(grad.detach())
        for module in self.modules() if recurse else [self]:
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = fn(buffer)
        return self

    def to(
        self,
        *args: Any,
        device: Any = None,
        dtype: Any = None,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Self:
        """Move to a device and convert floating-point parameters and buffers, in place: ``to("cpu")``,
        ``to(tinycnn.float64)``, ``to(device, dtype)``, ``to(like_this_tensor)``. Integer buffers keep their dtype.

        Raises:
            TypeError: for a dtype that is not floating, or an argument that is none of these.
        """
        for a in args:
            if isinstance(a, Tensor):
                device, dtype = a.device, a.dtype
            elif isinstance(a, (str, Device)):
                device = a
            elif isinstance(a, (dtypes.dtype, type)):
                dtype = a
            elif a is not None and not isinstance(a, bool):
                raise TypeError(f"to: expected a device, a dtype or a Tensor, got {a!r}")
        if dtype is not None and not dtypes.as_dtype(dtype).is_floating_point:
            raise TypeError(f"to: a module can only be converted to a floating-point dtype, got {dtype!r}")
        return self._apply(
            lambda t: t.to(
                device=device, dtype=dtype if t.is_floating_point() else None, non_blocking=bool(non_blocking)
            )
        )

    def float(self) -> Self:
        """Floating-point parameters and buffers become float32."""
        return self.to(dtypes.float32)

    def double(self) -> Self:
        """Floating-point parameters and buffers become float64."""
        return self.to(dtypes.float64)

    def half(self) -> Self:
        """Floating-point parameters and buffers become float16."""
        return self.to(dtypes.float16)

    def bfloat16(self) -> Self:
        """Refused: there is no such dtype here.

        Raises:
            TypeError: always.
        """
        raise TypeError("bfloat16: NumPy has no such dtype, and neither has tinycnn; half() stores float16")

    def type(self, dst_type: Any) -> Self:
        """All parameters and buffers, integers too, become `dst_type`."""
        return self._apply(lambda t: t.to(dtype=dtypes.as_dtype(dst_type)))

    def to_empty(self, *, device: Any = None, recurse: bool = True) -> Self:
        """Move to a device without the numbers; parameters and buffers are uninitialised afterwards."""
        return self._apply(lambda t: create.empty_like(t, device=device), recurse)

    def share_memory(self) -> Self:
        """Refused: the memory of a module belongs to one process.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("share_memory: tensors belong to one process; train with threads, or send state_dict()s")

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: there is no compiler here; kernels are compiled as they are."""

    def cpu(self) -> Self:
        """Move to the CPU."""
        return self.to("cpu")

    def cuda(self, device: int | Device | None = None) -> Self:
        """Move to a GPU."""
        return self.to(Device("cuda", device) if isinstance(device, int) else device or "cuda")

    # -- hooks ----------------------------------------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before each `forward`; what it returns, if not None, are the new arguments.

        Args:
            prepend: call it before the hooks that are there already.
            with_kwargs: call ``hook(module, args, kwargs)``, which returns None or the pair (args, kwargs).
        """
        return _hooks.add(self._forward_pre_hooks, _hooks.Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after each `forward`; what it returns, if not None, is the new output.

        Args:
            prepend: call it before the hooks that are there already.
            with_kwargs: call ``hook(module, args, kwargs, output)``.
            always_call: call it also if `forward` raised an error.
        """
        return _hooks.add(self._forward_hooks, _hooks.Hook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` when the gradients of the outputs are known; what it returns replaces
        them. `grad_output` is a tuple."""
        return _hooks.add(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the gradients of the inputs are known; what it returns
        replaces `grad_input`. Both are tuples, with None where there is no gradient; keyword arguments of `forward`
        do not count. Such a module may not write to its inputs in place."""
        return _hooks.add(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """As `register_full_backward_hook`, which replaced it."""
        return self.register_full_backward_hook(hook)

    # -- how it looks ---------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The text between the brackets of `repr`; layers put their settings here."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._modules.items()]
        if not children and len(lines) < 2:
            return f"{type(self).__name__}({extra})"
        return "\n  ".join([f"{type(self).__name__}(", *lines, *children]) + "\n)"


def clear_grad(tensor: Tensor, set_to_none: bool) -> None:
    """Forget a gradient: None, or zeros on the same memory."""
    if set_to_none or tensor._grad is None:
        tensor._grad = None
        return
    if tensor._grad._requires_grad:  # it was made with create_graph
        tensor._grad = tensor._grad.detach()
    tensor._grad.zero_()


def _quoted(keys: list[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys)


class _Problems(list[str]):
    """The errors found while loading, and what is to be done if there are none."""

    def __init__(self) -> None:
        super().__init__()
        self.later: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []


def _later(problems: list[str], act: Callable[..., Any], *values: Any) -> None:
    """Do this when everything is checked; at once if a caller has a list of its own."""
    if isinstance(problems, _Problems):
        problems.later.append((act, values))
    else:
        with no_grad():
            act(*values)
