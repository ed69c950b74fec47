"""Digits: 1,797 real handwritten digits of 8x8 pixels, which come with scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._tensor import wrap
from ._base import ImageDataset

_TEST_SHARE = 0.2
_SEED = 0


class Digits(ImageDataset):
    """The test part of UCI's "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998): 1,797 images.

    Nothing is downloaded. The original has grey values 0..16; `data` holds ``rint(value * 255 / 16)``.

    scikit-learn knows no split; this one is fixed. Image i draws the number i of the generator splitmix64 with seed 0;
    within each class the images are ordered by it, and the first 20 % (rounded) of each class are the test part: 359
    images for testing and 1,438 for training, the same on every machine and for every version of NumPy.

    Args:
        train: the training part, or else the test part.
        transform: applied to each image.
        target_transform: applied to each class number.

    Attributes:
        data: uint8 tensor (N, 8, 8).
        targets: int64 tensor (N,).
        positions: the images' places in scikit-learn's order, an array (N,).

    Raises:
        ImportError: if scikit-learn is not installed.
    """

    classes = [str(digit) for digit in range(10)]

    def __init__(
        self,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(None, train, transform, target_transform)
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise ImportError(
                "Digits needs scikit-learn, which has the images and is not installed: pip install 'tinycnn[examples]'"
            ) from None
        grey, labels = load_digits(return_X_y=True)
        tested = _test_positions(labels)
        self.positions = np.setdiff1d(np.arange(len(labels)), tested) if train else tested
        images = np.rint(grey[self.positions] * (255 / 16)).astype(np.uint8)
        self.data = wrap(images.reshape(-1, 8, 8))
        self.targets = wrap(labels[self.positions].astype(np.int64))


def _test_positions(labels: np.ndarray) -> np.ndarray:
    """The sorted positions of the test part."""
    order = np.argsort(_splitmix64(_SEED, len(labels)), kind="stable")
    chosen = []
    for label in np.unique(labels):
        members = order[labels[order] == label]
        chosen.append(members[: round(_TEST_SHARE * len(members))])
    return np.sort(np.concatenate(chosen))


def _splitmix64(seed: int, count: int) -> np.ndarray:
    """The first `count` numbers of the generator splitmix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014), as uint64."""
    z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
