"""The older name of `tinycnn.amp` (``torch.cuda.amp``)."""

from ..amp import GradScaler, autocast

__all__ = ["GradScaler", "autocast"]
