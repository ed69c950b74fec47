"""Image datasets, transforms and models, with torchvision's names."""

from . import datasets, io, models, transforms, utils

__all__ = ["datasets", "io", "models", "transforms", "utils"]
