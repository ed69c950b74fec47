"""What the image datasets share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...utils.data import Dataset
from .._pillow import as_image


class ImageDataset(Dataset[Any]):
    """Images in `data`, class numbers in `targets`, and the transforms that `__getitem__` applies.

    Attributes:
        root: the folder given, or None.
        train: whether this is the training part.
        data: uint8 images, along the first axis.
        targets: their class numbers.
        classes: the classes' names.
        class_to_idx: from a class's name to its number.
    """

    classes: list[str]
    data: Any
    targets: Any

    def __init__(
        self,
        root: Path | None,
        train: bool,
        transform: Callable[[Any], Any] | None,
        target_transform: Callable[[Any], Any] | None,
    ) -> None:
        for name, function in (("transform", transform), ("target_transform", target_transform)):
            if function is not None and not callable(function):
                raise TypeError(f"{type(self).__name__}: {name} must be a function or None, got {function!r}")
        self.root, self.train = root, train
        self.transform, self.target_transform = transform, target_transform

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.classes)}

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = as_image(np.asarray(self.data[index])), int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        lines = [f"Dataset {type(self).__name__}", f"    Number of datapoints: {len(self)}"]
        if self.root is not None:
            lines.append(f"    Root location: {self.root}")
        lines.append(f"    Split: {'Train' if self.train else 'Test'}")
        if self.transform is not None:
            lines.append(f"    Transform: {self.transform!r}".replace("\n", "\n    "))
        return "\n".join(lines)


def check_targets(path: Path, labels: np.ndarray, classes: int) -> None:
    """Refuse labels that are not class numbers.

    Raises:
        RuntimeError: naming the file, the first wrong label and where it is.
    """
    wrong = np.flatnonzero(labels >= classes)
    if wrong.size:
        raise RuntimeError(f"{path}: labels must lie in 0..{classes - 1}, but number {wrong[0]} is {labels[wrong[0]]}")
