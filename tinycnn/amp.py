"""Automatic mixed precision (``torch.amp``), which on this CPU is no precision but the one at hand.

`autocast` changes nothing: operations run in the dtype of their inputs, as exactly as without it. `GradScaler` scales
by one. A loop written for a GPU runs, in float32.
"""

from __future__ import annotations

import contextlib
from typing import Any

from ._device import device as Device
from ._tensor import Tensor

__all__ = ["GradScaler", "autocast", "is_autocast_available"]


class autocast(contextlib.ContextDecorator):
    """A block, or a decorated function, that runs as it would without.

    Args:
        device_type: ``"cpu"`` or ``"cuda"``; `tinycnn.cuda.amp.autocast` is called without.
        dtype, enabled, cache_enabled: taken, without an effect.
    """

    def __init__(
        self, device_type: str | bool = "cpu", dtype: Any = None, enabled: bool = True, cache_enabled: Any = None
    ) -> None:
        if not isinstance(device_type, bool):
            device_type = Device(device_type).type
        self.device = device_type

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


def is_autocast_available(device_type: str) -> bool:
    """False: operations keep their dtype."""
    return False


class GradScaler:
    """Scales the loss by one: a disabled scaler of PyTorch's. All arguments are taken, without an effect."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def is_enabled(self) -> bool:
        """False."""
        return False

    def scale(self, outputs: Any) -> Any:
        """The outputs as they are."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing: gradients are not scaled."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(*args, **kwargs)``."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Nothing: the scale stays one."""

    def get_scale(self) -> float:
        """1.0."""
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing: there is no state."""
