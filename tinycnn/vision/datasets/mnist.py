"""MNIST and Fashion-MNIST in their original IDX files, compressed or not."""

from __future__ import annotations

import gzip
import math
import os
import string
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..._tensor import wrap
from ._base import ImageDataset, check_targets
from ._files import check_md5, download, root_folder

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """The array in an IDX file of unsigned bytes, plain or gzipped (told by its content, not by its name).

    The format: two zero bytes, the type 0x08, the number of dimensions, the sizes as big-endian 32-bit integers, then
    exactly their product of bytes in row-major order.

    Raises:
        RuntimeError: if the file is not such, or is cut short, too long or damaged; the text names the file, what was
            expected and what was found.
    """
    header = 4 + 4 * ndim
    with open(path, "rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file: Any = gzip.GzipFile(fileobj=raw) if zipped else raw
        try:
            head = file.read(header)
            wanted = bytes((0, 0, _UNSIGNED_BYTE, ndim))
            if head[:4] != wanted:
                raise RuntimeError(
                    f"{path}: an IDX file of unsigned bytes in {ndim} dimensions starts with {wanted.hex(' ')}, "
                    f"this one with {head[:4].hex(' ') or 'nothing'}"
                )
            if len(head) < header:
                raise RuntimeError(f"{path}: the IDX header must have {header} bytes, the file ends after {len(head)}")
            shape = tuple(int.from_bytes(head[i : i + 4], "big") for i in range(4, header, 4))
            count = math.prod(shape)
            # One byte more than allowed, which for gzip also reaches the checksum at the end; and never more than the
            # file can hold (deflate shrinks at most 1032 times), whatever a damaged header says.
            most = os.fstat(raw.fileno()).st_size * (1032 if zipped else 1)
            body = file.read(min(count, most) + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise RuntimeError(f"{path}: the gzip file is cut short or damaged ({error}); get it again") from error
    if len(body) != count:
        sizes = " x ".join(map(str, shape))
        found = f"only {len(body)}; it is cut short" if len(body) < count else "more; it is too long"
        raise RuntimeError(f"{path}: the header announces {sizes} = {count} bytes of data, the file has {found}")
    return np.frombuffer(body, np.uint8).reshape(shape).copy()


class MNIST(ImageDataset):
    """MNIST: 60,000 training and 10,000 test images of handwritten digits, 28x28 (LeCun, Cortes, Burges, 1998).

    The four IDX files, gzipped or not, may lie in `root` itself, in ``root/MNIST/raw`` (where torchvision puts them),
    ``root/MNIST``, ``root/mnist`` or ``root/raw``.

    Args:
        root: the folder; the environment variable TINYCNN_DATA if None.
        train: the training part, or else the test part.
        transform: applied to each image.
        target_transform: applied to each class number.
        download: fetch what is missing into ``root/MNIST/raw``, from several mirrors in turn.
        verify: check the MD5 checksums of the gzipped files too. Sizes and labels are checked in any case.

    Attributes:
        data: uint8 tensor (N, 28, 28).
        targets: int64 tensor (N,).

    Raises:
        RuntimeError: if files are missing, damaged, or those of another data set.
    """

    mirrors = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    checksums = {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }
    classes = [
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    ]
    folders: tuple[str, ...] = ("MNIST/raw", "MNIST", "mnist", "raw", ".")
    # The first labels tell the data sets apart, whose files have the same names and sizes.
    first_labels: dict[str, str] = {"train": "50419213143536172869", "t10k": "72104149590690159734"}

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
        name = type(self).__name__
        folder = root_folder(root, name)
        super().__init__(folder, train, transform, target_transform)
        if download:
            self.download()
        part = "train" if train else "t10k"
        image_file, label_file = (self._file(self._stem(train, kind)) for kind in ("images-idx3", "labels-idx1"))
        if verify:
            for path in (image_file, label_file):
                if path.name in self.checksums:
                    check_md5(path, self.checksums[path.name])
        images, labels = read_idx(image_file, 3), read_idx(label_file, 1)
        if len(images) != len(labels):
            raise RuntimeError(f"{label_file}: {len(labels)} labels for the {len(images)} images in {image_file}")
        if images.shape[1:] != (28, 28):
            raise RuntimeError(f"{image_file}: images must be 28 x 28, these are {images.shape[1]} x {images.shape[2]}")
        check_targets(label_file, labels, len(self.classes))
        start = "".join(map(str, labels[:20]))
        for other in (MNIST, FashionMNIST):
            if other.first_labels is not self.first_labels and start == other.first_labels[part]:
                raise RuntimeError(f"{label_file}: these are the labels of {other.__name__}, not of {name}")
        self.data = wrap(images)
        self.targets = wrap(labels.astype(np.int64))

    def _stem(self, train: bool, kind: str) -> str:
        """The name of a file, without its ending."""
        return f"{'train' if train else 't10k'}-{kind}-ubyte"

    def _find(self, stem: str) -> Path | None:
        assert self.root is not None
        for folder in self.folders:
            for name in (stem, f"{stem}.gz", stem.replace("-idx", ".idx")):
                path = self.root / folder / name
                if path.is_file():
                    return path
        return None

    def _file(self, stem: str) -> Path:
        path = self._find(stem)
        if path is None:
            places = ", ".join(str(self.root) if f == "." else f"{self.root}/{f}" for f in self.folders)
            raise RuntimeError(
                f"{type(self).__name__}: {stem} (or {stem}.gz) is in none of {places}. "
                "Put it there, or pass download=True"
            )
        return path

    def download(self) -> None:
        """Fetch those of the four files that are not there."""
        assert self.root is not None
        for name, md5 in self.checksums.items():
            if self._find(name.removesuffix(".gz")) is None:
                download(name, self.mirrors, md5, self.root / self.folders[0])


class FashionMNIST(MNIST):
    """Fashion-MNIST: 60,000 training and 10,000 test images of clothes, 28x28 (Xiao, Rasul, Vollgraf, 2017).

    Arguments, attributes and errors are those of `MNIST`; the folders are ``root/FashionMNIST/raw``,
    ``root/FashionMNIST``, ``root/fashion-mnist``, ``root/raw`` and `root` itself.
    """

    mirrors = [
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ]
    checksums = {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }
    classes = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ]
    folders = ("FashionMNIST/raw", "FashionMNIST", "fashion-mnist", "raw", ".")
    first_labels = {"train": "90030272550955791064", "t10k": "92116146574573412480"}


class KMNIST(MNIST):
    """Kuzushiji-MNIST: 60,000 training and 10,000 test images of ten old Japanese characters, 28x28 (Clanuwat, Bober-
    Irizar, Kitamoto, Lamb, Yamamoto, Ha, 2018).

    Arguments, attributes and errors are those of `MNIST`; the folders are ``root/KMNIST/raw``, ``root/KMNIST``,
    ``root/kmnist``, ``root/raw`` and `root` itself.
    """

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    checksums = {
        "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
        "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
        "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
    }
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
    folders = ("KMNIST/raw", "KMNIST", "kmnist", "raw", ".")
    first_labels = {}


class EMNIST(MNIST):
    """EMNIST: handwritten letters and digits, 28x28 (Cohen, Afshar, Tapson, van Schaik, 2017).

    As published, and as in torchvision, the images are mirrored at the diagonal: rows are columns. Of the split
    "letters" the labels are 1..26. The files may lie in ``root/EMNIST/raw``, ``root/EMNIST``, ``root/emnist``,
    ``root/gzip``, ``root/raw`` and `root` itself.

    Args:
        split: "byclass", "bymerge", "balanced", "letters", "digits" or "mnist".
        kwargs: the arguments of `MNIST`; `download` fetches the archive with all splits (536 MiB).
    """

    mirrors = ["https://biometrics.nist.gov/cs_links/EMNIST/"]
    checksums = {}
    archive = ("gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e")
    folders = ("EMNIST/raw", "EMNIST", "emnist", "gzip", "raw", ".")
    first_labels = {}
    _all = string.digits + string.ascii_uppercase + string.ascii_lowercase
    _merged = [letter for letter in _all if letter not in "cijklmopsuvwxyz"]
    splits = {
        "byclass": list(_all),
        "bymerge": _merged,
        "balanced": _merged,
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: str | os.PathLike[str] | None = None, split: str = "letters", **kwargs: Any) -> None:
        if split not in self.splits:
            raise ValueError(f"EMNIST: split must be one of {', '.join(self.splits)}, got {split!r}")
        self.split, self.classes = split, self.splits[split]
        super().__init__(root, **kwargs)

    def _stem(self, train: bool, kind: str) -> str:
        return f"emnist-{self.split}-{'train' if train else 'test'}-{kind}-ubyte"

    def download(self) -> None:
        """Fetch the archive, unless the split's files are there, and take them out of it."""
        assert self.root is not None
        stems = [self._stem(train, kind) for train in (True, False) for kind in ("images-idx3", "labels-idx1")]
        if all(self._find(stem) for stem in stems):
            return
        name, md5 = self.archive
        folder = self.root / self.folders[0]
        path = folder / name
        if path.is_file():
            check_md5(path, md5)
        else:
            path = download(name, self.mirrors, md5, folder)
        with zipfile.ZipFile(path) as archive:
            for stem in stems:
                content = archive.read(f"gzip/{stem}.gz")
                (folder / f"{stem}.gz").write_bytes(content)
