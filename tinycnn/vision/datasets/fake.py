"""FakeData: images of noise, to try out code without a data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...random import Generator
from .._pillow import as_image
from .vision import VisionDataset


class FakeData(VisionDataset):
    """`size` images of Gaussian noise with random class numbers; the same index gives the same image every time.

    Args:
        size: how many images.
        image_size: (C, H, W), with 1 or 3 channels.
        num_classes: labels lie in 0..num_classes-1.
        transform: applied to each image, a PIL image (an array if Pillow is not installed).
        target_transform: applied to each label.
        random_offset: added to the index before it seeds the noise.
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(None, transform=transform, target_transform=target_transform)
        self.size, self.num_classes, self.random_offset = size, num_classes, random_offset
        self.image_size = tuple(image_size)
        if len(self.image_size) != 3 or self.image_size[0] not in (1, 3):
            raise ValueError(f"FakeData: image_size must be (1, H, W) or (3, H, W), got {image_size!r}")

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"FakeData: index {index} is out of range for {len(self)} images")
        draw = Generator().manual_seed(int(index) + self.random_offset).numpy
        noise = draw.standard_normal(self.image_size, dtype=np.float32)
        pixels = np.ascontiguousarray((noise * 255).astype(np.int64).astype(np.uint8).transpose(1, 2, 0))
        image = as_image(pixels[..., 0] if self.image_size[0] == 1 else pixels)
        target: Any = int(draw.integers(0, self.num_classes))
        return self.transforms(image, target) if self.transforms is not None else (image, target)

    def __len__(self) -> int:
        return self.size
