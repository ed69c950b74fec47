"""torchvision's newer names of the transforms (``torchvision.transforms.v2``), for images alone.

The classes are those of `transforms`. `ToImage` and `ToDtype` take the place of `ToTensor`; boxes, masks and videos are
not offered.
"""

from __future__ import annotations

from typing import Any

from ... import dtypes
from ..._tensor import Tensor, wrap
from ...nn import Module
from . import functional
from ._resample import InterpolationMode
from .autoaugment import AutoAugment, AutoAugmentPolicy, RandAugment, TrivialAugmentWide
from .color import (
    ColorJitter,
    GaussianBlur,
    Grayscale,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomEqualize,
    RandomErasing,
    RandomGrayscale,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
)
from .geometry import (
    FiveCrop,
    RandomAffine,
    RandomPerspective,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
    TenCrop,
)
from .mix import CutMix, Cutout, MixUp
from .transforms import (
    CenterCrop,
    Compose,
    ConvertImageDtype,
    Lambda,
    LinearTransformation,
    Normalize,
    Pad,
    PILToTensor,
    RandomApply,
    RandomChoice,
    RandomCrop,
    RandomHorizontalFlip,
    RandomOrder,
    Resize,
    ToPILImage,
    ToTensor,
)

__all__ = [
    "AutoAugment",
    "AutoAugmentPolicy",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConvertImageDtype",
    "CutMix",
    "Cutout",
    "FiveCrop",
    "GaussianBlur",
    "Grayscale",
    "Identity",
    "InterpolationMode",
    "Lambda",
    "LinearTransformation",
    "MixUp",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RGB",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomChoice",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomOrder",
    "RandomPerspective",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
    "ToDtype",
    "ToImage",
    "ToPILImage",
    "ToPureTensor",
    "ToTensor",
    "TrivialAugmentWide",
    "functional",
]


class Identity(Module):
    """The image as it is."""

    def forward(self, img: Any) -> Any:
        return img


class ToPureTensor(Identity):
    """The tensor as it is: images are plain tensors here."""


class RGB(Module):
    """A grey image with three equal channels; one with three as it is."""

    def forward(self, img: Any) -> Any:
        return img if functional.get_dimensions(img)[0] == 3 else functional.rgb_to_grayscale(img, 3)


class ToImage(Module):
    """A PIL image or array (H, W, C) as a Tensor (C, H, W), its values unchanged; a Tensor as it is."""

    def forward(self, img: Any) -> Tensor:
        if isinstance(img, Tensor):
            return img
        if functional.is_image(img):
            return functional.pil_to_tensor(img)
        functional.get_dimensions(img)
        planes = img[None] if img.ndim == 2 else img.transpose(2, 0, 1)
        return wrap(planes.copy())


class ToDtype(Module):
    """A tensor in another dtype; scaled from and to the dtypes' ranges if `scale`."""

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        self.dtype, self.scale = dtypes.as_dtype(dtype), scale

    def forward(self, img: Any) -> Any:
        if not isinstance(img, Tensor):
            return img
        return functional.convert_image_dtype(img, self.dtype) if self.scale else img.to(self.dtype)
