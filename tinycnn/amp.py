"""Automatic mixed precision (``torch.amp``): products in float16, what needs its range in float32.

    scaler = tinycnn.amp.GradScaler("cuda")
    for x, target in loader:
        optimizer.zero_grad()
        with tinycnn.autocast("cuda"):
            loss = F.cross_entropy(model(x), target)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

Parameters, their gradients and the optimizer stay in float32. On a GPU, float16 halves the memory of activations and
runs on tensor cores. On the CPU it is storage: kernels compute in float32 and round, which is slower than float32.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

from . import dtypes
from ._autocast import cast, state
from ._device import device as Device
from ._tensor import Tensor, filled
from .autograd import no_grad
from .kernels.cuda import probe

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

_NO_BFLOAT16 = "on the CPU its default would be bfloat16, which NumPy does not have; pass dtype=tinycnn.float16"


def _kind(device_type: Any) -> str:
    if not isinstance(device_type, str):
        raise ValueError(f"autocast: expected device_type to be 'cpu' or 'cuda', got {type(device_type).__name__}")
    return Device(device_type).type


class autocast:
    """A block, or a decorated function, whose operations choose their dtype as in PyTorch.

    Convolutions, linear layers and products of matrices cast their operands to `dtype`; losses, and on GPUs also
    softmax, norms, sums, powers and logarithms, cast them to float32; all others take what they get. float64 is never
    cast. The backward pass, outside of the block, computes each gradient in the dtype of its operation, and
    parameters get theirs in float32.

    Args:
        device_type: ``"cpu"`` or ``"cuda"``: tensors there are cast.
        dtype: float16. On the CPU it must be said: PyTorch's default there, bfloat16, is no dtype of NumPy.
        enabled: False: a block in which nothing is cast.
        cache_enabled: whether a parameter is cast once in the block, not for every use.

    A GPU that is not there, and another dtype, disable the block with a warning, as in PyTorch.

    Raises:
        ValueError: if `device_type` is no string.
        RuntimeError: if there is no such type of device.
    """

    def __init__(
        self,
        device_type: str,
        dtype: dtypes.dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        self.device = _kind(device_type)
        self.fast_dtype = state.dtypes[self.device] if dtype is None else dtypes.as_dtype(dtype)
        problem = ""
        if enabled and self.device == "cuda" and probe.problem():
            problem = "there is no GPU"
        elif enabled and self.fast_dtype is not dtypes.float16:
            problem = _NO_BFLOAT16 if self.fast_dtype is None else f"it casts to float16, not to {self.fast_dtype}"
        if problem:
            warnings.warn(f"autocast({self.device!r}): disabled, {problem}", stacklevel=2)
        self._enabled = bool(enabled) and not problem
        self._cache_enabled = cache_enabled
        self._before: list[Any] = []

    def __enter__(self) -> autocast:
        self._before.append((state.enabled, state.dtypes, state.caching))
        if self._enabled:
            state.dtypes = {**state.dtypes, self.device: self.fast_dtype}
        state.caching = state.caching if self._cache_enabled is None else bool(self._cache_enabled)
        state.switch(state.enabled | {self.device} if self._enabled else state.enabled - {self.device})
        state.depth += 1
        return self

    def __exit__(self, *exc: object) -> None:
        state.depth -= 1
        if not state.depth:
            state.cache.clear()
        enabled, state.dtypes, state.caching = self._before.pop()
        state.switch(enabled)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inside(*args: Any, **options: Any) -> Any:
            with self:
                return function(*args, **options)

        return inside


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` knows a type of device: ``"cpu"`` and ``"cuda"``."""
    return device_type in state.dtypes


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether operations on a type of device (a GPU) choose their dtype now, in this Python thread."""
    return _kind(device_type or "cuda") in state.enabled


def set_autocast_enabled(device_type: str | bool, enabled: bool = True) -> None:
    """Switch casting on or off for a type of device, in this Python thread; in the old form for GPUs."""
    place, on = ("cuda", device_type) if isinstance(device_type, bool) else (_kind(device_type), enabled)
    if on and state.dtypes[place] is None:
        raise RuntimeError(f"set_autocast_enabled({place!r}): use set_autocast_dtype first; {_NO_BFLOAT16}")
    state.switch(state.enabled | {place} if on else state.enabled - {place})


def get_autocast_dtype(device_type: str) -> dtypes.dtype | None:
    """The dtype of blocks that name none: float16 on GPUs; on the CPU None, since NumPy has no bfloat16."""
    return state.dtypes[_kind(device_type)]


def set_autocast_dtype(device_type: str, dtype: dtypes.dtype) -> None:
    """Let blocks that name no dtype use this one, in this Python thread.

    Raises:
        RuntimeError: if it is not float16.
    """
    place, wanted = _kind(device_type), dtypes.as_dtype(dtype)
    if wanted is not dtypes.float16:
        raise RuntimeError(f"set_autocast_dtype: autocast casts to float16, got {wanted}")
    state.dtypes = {**state.dtypes, place: wanted}
    state.switch(state.enabled)


def is_autocast_cache_enabled() -> bool:
    """Whether a parameter is cast once in a block."""
    return state.caching


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Cast a parameter once in a block, or for every use."""
    state.caching = bool(enabled)


def clear_autocast_cache() -> None:
    """Forget which parameters were cast."""
    state.cache.clear()


# -- a Function of one's own ------------------------------------------------------------------------------------------


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: dtypes.dtype | None = None
) -> Callable[..., Any]:
    """Decorate the ``forward`` of an `autograd.Function` for use in autocast blocks, together with `custom_bwd`.

    Args:
        device_type: ``"cpu"`` or ``"cuda"``.
        cast_inputs: in a block, floating-point inputs are cast to this, and `forward` runs as outside of it. If None,
            operations in `forward` choose their dtype.
    """
    place = _kind(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=place, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(*args: Any, **options: Any) -> Any:
        ctx = args[0]
        ctx._dtype = state.dtypes[place]
        if cast_inputs is None:
            ctx._fwd_used_autocast = is_autocast_enabled(place)
            return fwd(*args, **options)
        ctx._fwd_used_autocast = False
        if not is_autocast_enabled(place):
            return fwd(*args, **options)
        with autocast(place, enabled=False):
            moved = [_cast_over(a, cast_inputs, place) for a in args]
            return fwd(*moved, **{k: _cast_over(v, cast_inputs, place) for k, v in options.items()})

    return forward


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Callable[..., Any]:
    """Decorate the ``backward`` that belongs to a `custom_fwd`: it runs as its forward did, in a block or not."""
    place = _kind(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=place)

    @functools.wraps(bwd)
    def backward(*args: Any, **options: Any) -> Any:
        ctx = args[0]
        with autocast(place, ctx._dtype if ctx._fwd_used_autocast else None, enabled=ctx._fwd_used_autocast):
            return bwd(*args, **options)

    return backward


def _cast_over(value: Any, dtype: dtypes.dtype, place: str) -> Any:
    if isinstance(value, Tensor):
        return cast(value, dtype, place)
    if isinstance(value, dict):
        return {k: _cast_over(v, dtype, place) for k, v in value.items()}
    return type(value)([_cast_over(v, dtype, place) for v in value]) if type(value) in (list, tuple) else value


# -- gradients too small for float16 ----------------------------------------------------------------------------------


class _Progress:
    """Where an optimizer stands between two updates of the scale."""

    unscaled = stepped = False
    found_inf: bool | None = None


class GradScaler:
    """Multiplies the loss, so that gradients in float16 do not vanish, and divides the gradients before the step.

    The factor is halved, and the step left out, when a gradient is infinite or NaN; it is doubled after
    `growth_interval` steps without one (Micikevicius et al. 2018).

    Args:
        device: ``"cuda"`` or ``"cpu"``; with ``"cuda"`` and no GPU the scaler is disabled, with a warning.
        init_scale: the first factor.
        growth_factor, backoff_factor: what it is multiplied by; above and below 1.
        growth_interval: how many steps without an infinity make it grow.
        enabled: if False, the loss stays as it is, and `step` is the optimizer's.

    Raises:
        ValueError: for factors on the wrong side of 1.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = _kind(device)
        if enabled and self._device == "cuda" and probe.problem():
            warnings.warn("GradScaler: disabled, there is no GPU", stacklevel=2)
            enabled = False
        self._enabled = bool(enabled)
        self._scale, self._growth_tracker = float(init_scale), 0
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval = growth_interval
        if self._enabled and not growth_factor > 1:
            raise ValueError(f"GradScaler: growth_factor must be above 1, got {growth_factor}")
        if self._enabled and not backoff_factor < 1:
            raise ValueError(f"GradScaler: backoff_factor must be below 1, got {backoff_factor}")
        self._progress: dict[int, _Progress] = {}

    def is_enabled(self) -> bool:
        """Whether anything is scaled."""
        return self._enabled

    def scale(self, outputs: Any) -> Any:
        """The outputs, a Tensor or nested lists and tuples of them, times the factor."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * filled((), dtypes.float32.numpy, outputs.device, self._scale)
        if isinstance(outputs, (list, tuple)):
            parts = [self.scale(o) for o in outputs]
            return type(outputs)(*parts) if hasattr(outputs, "_fields") else type(outputs)(parts)
        if hasattr(outputs, "__iter__"):
            return map(self.scale, outputs)
        raise ValueError(f"GradScaler.scale: expected Tensors, got {type(outputs).__name__}")

    def _of(self, optimizer: Any) -> _Progress:
        return self._progress.setdefault(id(optimizer), _Progress())

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients by the factor, in place, before they are clipped or looked at; `step` does it otherwise.

        Raises:
            RuntimeError: if it was done already, or after `step`.
            ValueError: if a gradient is float16: parameters must be float32.
        """
        if not self._enabled:
            return
        progress = self._of(optimizer)
        if progress.stepped:
            raise RuntimeError("GradScaler.unscale_: it comes after step(); call it before, or not at all")
        if progress.unscaled:
            raise RuntimeError(
                "GradScaler.unscale_: it has already been called for this optimizer since the last update()"
            )
        by_place: dict[Any, list[Tensor]] = {}
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    by_place.setdefault(p.grad.device, []).append(p.grad)
        for grads in by_place.values():
            if any([g.dtype is dtypes.float16 for g in grads]):
                raise ValueError("GradScaler.unscale_: a gradient is float16; keep the parameters in float32")
        with no_grad():
            for place, grads in by_place.items():
                for g in grads:
                    g._overwrite("GradScaler.unscale_")
                arrays = [g.array for g in grads]
                whole = math.isfinite(place.kernels.sums_of_squares(arrays).sum())
                progress.found_inf = bool(progress.found_inf) or not whole
                place.kernels.scale_arrays(arrays, 1 / self._scale)
        progress.unscaled = True

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(*args, **kwargs)`` with gradients divided by the factor; None where one is not finite.

        Raises:
            RuntimeError: if it was called since the last `update`, for a closure, or if there are no gradients.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or any([callable(a) for a in args]):
            raise RuntimeError("GradScaler.step: a closure would compute gradients that are not scaled; leave it out")
        progress = self._of(optimizer)
        if progress.stepped:
            raise RuntimeError("GradScaler.step: it has already been called since the last update()")
        if not progress.unscaled:
            self.unscale_(optimizer)
        if progress.found_inf is None:
            raise RuntimeError("GradScaler.step: no parameter of this optimizer has a gradient")
        progress.stepped = True
        return None if progress.found_inf else optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the factor to what the steps found, or set it, and be ready for the next ones.

        Raises:
            RuntimeError: if there was no step since the last time.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        else:
            found = [p.found_inf for p in self._progress.values() if p.found_inf is not None]
            if not found:
                raise RuntimeError("GradScaler.update: no gradients were looked at; call step(optimizer) before")
            self._growth_tracker = 0 if any(found) else self._growth_tracker + 1
            if any(found):
                self._scale *= self._backoff_factor
            elif self._growth_tracker == self._growth_interval:
                larger, self._growth_tracker = self._scale * self._growth_factor, 0
                self._scale = larger if larger < 3.4e38 else self._scale
        self._progress.clear()

    def get_scale(self) -> float:
        """The factor; 1.0 if disabled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """The factor and its rules, as PyTorch names them; empty if disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a scaler was when its `state_dict` was taken.

        Raises:
            RuntimeError: for the empty one of a disabled scaler.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("GradScaler.load_state_dict: this is the empty state of a disabled scaler")
        self._scale = float(state_dict["scale"])
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval, self._growth_tracker = state_dict["growth_interval"], state_dict["_growth_tracker"]
