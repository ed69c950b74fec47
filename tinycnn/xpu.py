"""``torch.xpu`` where there is none: it is not available, and there is nothing to seed or to empty."""

from .mps import device_count, empty_cache, is_available, manual_seed

__all__ = ["device_count", "empty_cache", "is_available", "manual_seed"]
