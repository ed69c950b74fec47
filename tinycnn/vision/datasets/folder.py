"""Images in folders, one folder per class (``torchvision.datasets.ImageFolder``)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._pillow import require
from .vision import VisionDataset

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def has_file_allowed_extension(filename: str, extensions: str | tuple[str, ...]) -> bool:
    """True if the name ends in one of `extensions` (lower case); upper and lower case do not matter in the name."""
    return filename.lower().endswith(extensions)


def is_image_file(filename: str) -> bool:
    """True if the name ends like an image's, see `IMG_EXTENSIONS`."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
    """The sorted names of the folders in `directory`, and their numbers.

    Raises:
        FileNotFoundError: if there is none.
    """
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"{directory}: there are no folders in it; each class needs one")
    return classes, {name: number for number, name in enumerate(classes)}


def make_dataset(
    directory: str | os.PathLike[str],
    class_to_idx: dict[str, int] | None = None,
    extensions: str | tuple[str, ...] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """(path, class number) of each file below the classes' folders, in the order of classes, folders and names.

    Args:
        class_to_idx: the classes; `find_classes` finds them if None.
        extensions: which endings count, or
        is_valid_file: which paths count.
        allow_empty: let classes be without files.

    Raises:
        ValueError: if neither or both of these are given, or there is no class.
        FileNotFoundError: if a class has no files.
    """
    if class_to_idx is None:
        _, class_to_idx = find_classes(directory)
    elif not class_to_idx:
        raise ValueError("make_dataset: class_to_idx must have at least one class")
    if (extensions is None) == (is_valid_file is None):
        raise ValueError("make_dataset: give extensions or is_valid_file, one of both")
    if extensions is not None:
        endings = extensions if isinstance(extensions, str) else tuple(extensions)
        is_valid_file = lambda path: has_file_allowed_extension(path, endings)  # noqa: E731
    assert is_valid_file is not None
    samples: list[tuple[str, int]] = []
    empty = set(class_to_idx)
    for name in sorted(class_to_idx):
        top = os.path.join(os.path.expanduser(directory), name)
        if not os.path.isdir(top):
            continue
        for folder, _, files in sorted(os.walk(top, followlinks=True)):
            for file in sorted(files):
                path = os.path.join(folder, file)
                if is_valid_file(path):
                    samples.append((path, class_to_idx[name]))
                    empty.discard(name)
    if empty and not allow_empty:
        allowed = (
            ""
            if extensions is None
            else f" (supported: {extensions if isinstance(extensions, str) else ', '.join(extensions)})"
        )
        raise FileNotFoundError(f"{directory}: no valid file for the classes {', '.join(sorted(empty))}{allowed}")
    return samples


def pil_loader(path: str | os.PathLike[str]) -> Any:
    """The image in a file as a PIL image with three channels."""
    module = require("reading an image's file")
    with open(path, "rb") as file:
        return module.open(file).convert("RGB")


default_loader = pil_loader


class DatasetFolder(VisionDataset):
    """Samples in files below ``root/<class>/``, read by `loader`.

    Args:
        root: the folder whose folders are the classes.
        loader: from a path to a sample.
        extensions: which endings count, or
        transform: applied to each sample.
        target_transform: applied to each class number.
        is_valid_file: which paths count.
        allow_empty: let classes be without files.

    Attributes:
        classes: the classes' names, sorted.
        class_to_idx: from a class's name to its number.
        samples: (path, class number) of each file.
        targets: the class numbers.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        loader: Callable[[str], Any],
        extensions: tuple[str, ...] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(Path(root), transform=transform, target_transform=target_transform)
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.loader, self.extensions = loader, extensions
        self.samples = self.make_dataset(self.root, self.class_to_idx, extensions, is_valid_file, allow_empty)
        self.targets = [number for _, number in self.samples]

    @staticmethod
    def make_dataset(
        directory: str | os.PathLike[str],
        class_to_idx: dict[str, int],
        extensions: tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """See the function `make_dataset`; subclasses may choose otherwise."""
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
        """See the function `find_classes`; subclasses may choose otherwise."""
        return find_classes(directory)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        sample = self.loader(path)
        return self.transforms(sample, target) if self.transforms is not None else (sample, target)

    def __len__(self) -> int:
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Images below ``root/<class>/``; each item is (PIL image in RGB, class number).

    Args and attributes are those of `DatasetFolder`, with image files by default; `imgs` is another name of `samples`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(root, loader, extensions, transform, target_transform, is_valid_file, allow_empty)
        self.imgs = self.samples
