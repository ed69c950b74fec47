"""What happens around `forward` when hooks are registered, on a module or on all of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .._tensor import Tensor
from ..autograd import Function, RemovableHandle, is_grad_enabled

if TYPE_CHECKING:
    from .module import Module


class Everywhere:
    """The hooks on all modules.

    Attributes:
        used: whether any hook was ever registered, on one module or on all: until then, calls need not look for them.
    """

    used = False

    def __init__(self) -> None:
        self.pre: OrderedDict[int, Any] = OrderedDict()
        self.forward: OrderedDict[int, Any] = OrderedDict()
        self.backward_pre: OrderedDict[int, Any] = OrderedDict()
        self.backward: OrderedDict[int, Any] = OrderedDict()


everywhere = Everywhere()
OWN = "_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks"  # in a module's __dict__


class Hook:
    """A forward hook, and how it wants to be called."""

    __slots__ = ("function", "with_kwargs", "always_call")

    def __init__(self, function: Callable[..., Any], with_kwargs: bool = False, always_call: bool = False) -> None:
        self.function, self.with_kwargs, self.always_call = function, with_kwargs, always_call


def around(state: dict[str, Any]) -> bool:
    """Whether there are hooks around a module, whose ``__dict__`` is `state`, or around all."""
    of_all = everywhere.pre or everywhere.forward or everywhere.backward or everywhere.backward_pre
    return bool(of_all) or any([state[name] for name in OWN])


def add(hooks: OrderedDict[int, Any], hook: Any, prepend: bool = False) -> RemovableHandle:
    """Register `hook`, behind the others or (`prepend`) before them."""
    function = hook.function if isinstance(hook, Hook) else hook
    if not callable(function):
        raise TypeError(f"a hook must be callable, got {type(function).__name__}")
    handle = RemovableHandle(hooks, hook)
    everywhere.used = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


class _Boundary(Function):
    """Tensors as they are; on the way back their gradients go through a function, together."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], *tensors: Tensor) -> Any:
        ctx.called = function
        ctx.set_materialize_grads(False)
        return tuple(t.detach() for t in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (None, *ctx.called(grads))


def _bounded(tensors: Sequence[Any], places: list[int], act: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> list[Any]:
    """`tensors` with those at `places` behind a boundary; `act` is given the gradients of all, None where there is
    none, and returns what goes on in their stead."""

    def arrived(grads: tuple[Any, ...]) -> list[Any]:
        whole: list[Any] = [None] * len(tensors)
        for place, grad in zip(places, grads, strict=True):
            whole[place] = grad
        changed = act(tuple(whole))
        return [changed[place] for place in places]

    new = list(tensors)
    for place, tensor in zip(places, _Boundary.apply(arrived, *[tensors[i] for i in places]), strict=True):
        new[place] = tensor
    return new


def _checked(changed: Any, old: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    if changed is None:
        return old
    changed = changed if isinstance(changed, tuple) else (changed,)
    if len(changed) != len(old):
        raise RuntimeError(f"a backward hook must return one gradient for each {what}, {len(old)}; got {len(changed)}")
    return changed


class _Backward:
    """The backward hooks of one call of a module: gradients are caught behind its outputs and before its inputs."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.pre = [*everywhere.backward_pre.values(), *module._backward_pre_hooks.values()]
        self.full = [*everywhere.backward.values(), *module._backward_hooks.values()]
        self.grad_outputs: tuple[Any, ...] = ()
        self.inputs = 0
        self.watched = False

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.inputs = len(args)
        places = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        if not (self.full and places and is_grad_enabled()):
            return args
        self.watched = True
        return tuple(_bounded(args, places, self._call))

    def _call(self, grad_inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.full:
            grad_inputs = _checked(hook(self.module, grad_inputs, self.grad_outputs), grad_inputs, "input")
        return grad_inputs

    def leave(self, result: Any) -> Any:
        outputs = result if isinstance(result, (tuple, list)) else (result,)
        places = [i for i, out in enumerate(outputs) if isinstance(out, Tensor) and out.requires_grad]
        if not places:
            return result

        def arrived(grads: tuple[Any, ...]) -> tuple[Any, ...]:
            self.grad_outputs = grads
            for hook in self.pre:
                self.grad_outputs = _checked(hook(self.module, self.grad_outputs), self.grad_outputs, "output")
            if not self.watched:  # no input has a gradient to wait for
                self._call((None,) * self.inputs)
            return self.grad_outputs

        new = _bounded(outputs, places, arrived)
        if not isinstance(result, (tuple, list)):
            return new[0]
        return type(result)(*new) if hasattr(result, "_fields") else type(result)(new)


def call(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`module.forward` with all hooks around it, those on all modules first."""
    for hook in [*everywhere.pre.values(), *module._forward_pre_hooks.values()]:
        if hook.with_kwargs:
            changed = hook.function(module, args, kwargs)
            if changed is not None:
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise RuntimeError(f"a pre-hook with_kwargs must return None or (args, kwargs), got {changed!r}")
                args, kwargs = changed
        else:
            changed = hook.function(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
    hooks = [*everywhere.forward.values(), *module._forward_hooks.values()]
    done: list[Hook] = []
    result = None
    try:
        backward = None
        if everywhere.backward or everywhere.backward_pre or module._backward_hooks or module._backward_pre_hooks:
            backward = _Backward(module)
            args = backward.enter(args)
        result = module.forward(*args, **kwargs)
        for hook in hooks:
            done.append(hook)
            result = _after(hook, module, args, kwargs, result)
        return result if backward is None else backward.leave(result)
    except Exception:
        for hook in hooks:  # those that are always called, once
            if hook.always_call and hook not in done:
                _after(hook, module, args, kwargs, result)
        raise


def _after(hook: Hook, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
    changed = hook.function(module, args, kwargs, result) if hook.with_kwargs else hook.function(module, args, result)
    return result if changed is None else changed


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, args)`` before the `forward` of every module there is."""
    return add(everywhere.pre, Hook(hook))


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after the `forward` of every module there is."""
    return add(everywhere.forward, Hook(hook, with_kwargs, always_call))


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` when the gradients of the outputs of any module are known."""
    return add(everywhere.backward_pre, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` when the gradients of the inputs of any module are known."""
    return add(everywhere.backward, hook)
