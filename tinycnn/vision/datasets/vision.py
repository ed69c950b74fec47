"""The base of data sets that users write (``torchvision.datasets.VisionDataset``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...utils.data import Dataset


class StandardTransform:
    """``transform`` for the image and ``target_transform`` for the target, as one function of both."""

    def __init__(
        self, transform: Callable[[Any], Any] | None = None, target_transform: Callable[[Any], Any] | None = None
    ) -> None:
        self.transform, self.target_transform = transform, target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target


class VisionDataset(Dataset[Any]):
    """Base of image data sets; subclasses define ``__getitem__`` and ``__len__``, and may define ``extra_repr``.

    Args:
        root: the folder of the data.
        transforms: a function of image and target, or
        transform: a function of the image, and
        target_transform: a function of the target.

    Raises:
        ValueError: if `transforms` comes with one of the others.
    """

    def __init__(
        self,
        root: Any = None,
        transforms: Callable[[Any, Any], Any] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ValueError("VisionDataset: give transforms, or transform and target_transform, not both")
        self.root = str(Path(root).expanduser()) if isinstance(root, (str, Path)) else root
        self.transform, self.target_transform = transform, target_transform
        if transforms is None and (transform is not None or target_transform is not None):
            transforms = StandardTransform(transform, target_transform)
        self.transforms = transforms

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} is a VisionDataset and must define __len__")

    def extra_repr(self) -> str:
        """A line for the repr."""
        return ""

    def __repr__(self) -> str:
        lines = [f"Dataset {type(self).__name__}", f"    Number of datapoints: {len(self)}"]
        if self.root is not None:
            lines.append(f"    Root location: {self.root}")
        lines += [f"    {line}" for line in self.extra_repr().splitlines()]
        for name, function in (("Transform", self.transform), ("Target transform", self.target_transform)):
            if function is not None:
                lines.append(f"    {name}: {function!r}".replace("\n", "\n    "))
        return "\n".join(lines)
