"""Transforms of whole batches, MixUp and CutMix; and Cutout, of one image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..._tensor import Tensor, wrap
from ...nn import Module
from ...utils.data._worker import current_generator


class _Mix(Module):
    """What MixUp and CutMix share: each image is mixed with the one before it, and the labels in the same shares."""

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None, labels_getter: Any = "default") -> None:
        super().__init__()
        if not alpha > 0:
            raise ValueError(f"{type(self).__name__}: alpha must be above 0, got {alpha}")
        self.alpha, self.num_classes, self.labels_getter = float(alpha), num_classes, labels_getter

    def forward(self, *inputs: Any) -> Any:
        """The batch with mixed images and labels, in the form in which it came.

        Args:
            inputs: images (N, C, H, W) and labels (N,) or (N, classes), as two arguments, a tuple, a list or a dict.

        Returns:
            the same with images of the same dtype and labels (N, classes) of float32 (or of the labels' own float).

        Raises:
            ValueError: if there are no such images or labels, or class numbers come without `num_classes`.
        """
        name = type(self).__name__
        batch = inputs[0] if len(inputs) == 1 else inputs
        items = (
            list(batch.values()) if isinstance(batch, dict) else list(batch) if isinstance(batch, (tuple, list)) else []
        )
        images = [item for item in items if isinstance(item, Tensor) and item.ndim == 4]
        labels = self._find_labels(batch, items)
        if not images or not isinstance(labels, Tensor):
            raise ValueError(f"{name}: expected a batch of images (N, C, H, W) and labels (N,) or (N, classes)")
        weights = self._one_hot(labels, name)
        for image in images:
            if len(image) != len(labels):
                raise ValueError(f"{name}: {len(image)} images and {len(labels)} labels")
        lam = float(current_generator().numpy.beta(self.alpha, self.alpha))
        height, width = images[0].shape[-2:]
        lam, region = self.draw(lam, height, width)
        shown = weights.array
        mixed = wrap((np.roll(shown, 1, 0) * (1 - lam) + shown * lam).astype(shown.dtype))
        replaced = [(image, wrap(self.mix(image.detach().array, lam, region))) for image in images] + [(labels, mixed)]

        def swap(item: Any) -> Any:
            return next((new for old, new in replaced if old is item), item)

        if isinstance(batch, dict):
            return type(batch)((key, swap(item)) for key, item in batch.items())
        return tuple(map(swap, items)) if isinstance(batch, tuple) else list(map(swap, items))

    def _find_labels(self, batch: Any, items: list[Any]) -> Any:
        if callable(self.labels_getter):
            return self.labels_getter(batch)
        if isinstance(batch, dict):
            named = [
                item for key, item in batch.items() if str(key).lower() in ("label", "labels", "target", "targets")
            ]
            return named[0] if named else None
        return next((item for item in items if isinstance(item, Tensor) and item.ndim in (1, 2)), None)

    def _one_hot(self, labels: Tensor, name: str) -> Tensor:
        array = labels.detach().cpu().array
        if array.ndim == 2:
            return wrap(array if array.dtype.kind == "f" else array.astype(np.float32))
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise ValueError(f"{name}: labels must be class numbers (N,) or weights (N, classes), got {array.shape}")
        if self.num_classes is None:
            raise ValueError(f"{name}: class numbers need num_classes")
        if array.size and not (0 <= array.min() and array.max() < self.num_classes):
            raise ValueError(f"{name}: labels must lie in 0..{self.num_classes - 1}")
        return wrap(np.eye(self.num_classes, dtype=np.float32)[array])

    def draw(self, lam: float, height: int, width: int) -> tuple[float, Any]:
        """The share that each image keeps, and what else `mix` needs."""
        return lam, None

    def mix(self, images: np.ndarray, lam: float, region: Any) -> np.ndarray:
        """The mixed images (N, C, H, W)."""
        raise TypeError(f"{type(self).__name__} must define mix")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alpha={self.alpha}, num_classes={self.num_classes})"


class MixUp(_Mix):
    """lam * x[i] + (1 - lam) * x[i-1], for images and labels, with lam from Beta(alpha, alpha) (Zhang et al., 2018).

    Called with a batch, for example in the collate function: ``MixUp(num_classes=10)(images, labels)``.

    Args:
        alpha: 1 draws lam evenly.
        num_classes: for labels that are class numbers.
        labels_getter: a function that finds the labels in the batch, if they are not its tensor of 1 or 2 dimensions.
    """

    def mix(self, images: np.ndarray, lam: float, region: Any) -> np.ndarray:
        mixed = np.roll(images, 1, 0) * (1.0 - lam) + images * lam
        return mixed.astype(images.dtype)


class CutMix(_Mix):
    """A rectangle of each image shows the image before it; labels are mixed by area (Yun et al., 2019).

    Its sides are sqrt(1 - lam) of the image's, with lam from Beta(alpha, alpha), around a middle drawn evenly.
    Arguments and use are those of `MixUp`.
    """

    def draw(self, lam: float, height: int, width: int) -> tuple[float, Any]:
        generator = current_generator().numpy
        x, y = int(generator.integers(width)), int(generator.integers(height))
        half = 0.5 * math.sqrt(1.0 - lam)
        across, down = int(half * width), int(half * height)
        left, right = max(x - across, 0), min(x + across, width)
        top, bottom = max(y - down, 0), min(y + down, height)
        return 1.0 - (right - left) * (bottom - top) / (width * height), (top, bottom, left, right)

    def mix(self, images: np.ndarray, lam: float, region: Any) -> np.ndarray:
        top, bottom, left, right = region
        mixed = images.copy()
        mixed[..., top:bottom, left:right] = np.roll(images, 1, 0)[..., top:bottom, left:right]
        return mixed


class Cutout(Module):
    """Squares of 0 at places drawn evenly, cut off at the border (DeVries and Taylor, 2017). Not in torchvision.

    Args:
        n_holes: how many.
        length: their side in pixels.
    """

    def __init__(self, n_holes: int = 1, length: int = 16) -> None:
        super().__init__()
        if n_holes < 0 or length < 0:
            raise ValueError(f"Cutout: n_holes and length must be from 0 on, got {n_holes} and {length}")
        self.n_holes, self.length = n_holes, length

    def forward(self, img: Tensor) -> Tensor:
        """A tensor image (..., H, W) with the squares cut out of a copy."""
        if not isinstance(img, Tensor) or img.ndim < 2:
            raise TypeError("Cutout: expected a Tensor (..., H, W); apply ToTensor first")
        height, width = img.shape[-2:]
        draw = current_generator().numpy
        result = img.detach().array.copy()
        for _ in range(self.n_holes):
            y, x = int(draw.integers(height)), int(draw.integers(width))
            top, left = max(y - self.length // 2, 0), max(x - self.length // 2, 0)
            bottom, right = min(y + self.length // 2, height), min(x + self.length // 2, width)
            result[..., top:bottom, left:right] = 0
        return wrap(result)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_holes={self.n_holes}, length={self.length})"
