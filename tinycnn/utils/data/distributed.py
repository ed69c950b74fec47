"""The place of `DistributedSampler` in PyTorch."""

from .sampler import DistributedSampler

__all__ = ["DistributedSampler"]
