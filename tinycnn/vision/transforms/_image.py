"""What an image is: a PIL image, an array (H, W) or (H, W, C), or a Tensor (..., H, W)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._tensor import Tensor, wrap
from .._pillow import is_image


def check_image(img: Any, name: str) -> None:
    if is_image(img):
        return
    if not isinstance(img, (Tensor, np.ndarray)):
        raise TypeError(f"{name}: expected a PIL image, a NumPy array or a Tensor, got {type(img).__name__}")
    if isinstance(img, Tensor):
        if img.ndim < 2:
            raise ValueError(f"{name}: a tensor image is (..., H, W), got shape {tuple(img.shape)}")
    elif img.ndim not in (2, 3):
        raise ValueError(f"{name}: an array image is (H, W) or (H, W, C), got shape {img.shape}")


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width] of an image."""
    check_image(img, "get_dimensions")
    if is_image(img):
        return [len(img.getbands()), img.height, img.width]
    if isinstance(img, Tensor):
        return [img.shape[-3] if img.ndim > 2 else 1, img.shape[-2], img.shape[-1]]
    return [img.shape[2] if img.ndim == 3 else 1, img.shape[0], img.shape[1]]


def get_image_size(img: Any) -> list[int]:
    """[width, height] of an image."""
    _, height, width = get_dimensions(img)
    return [width, height]


def get_image_num_channels(img: Any) -> int:
    """The number of channels of an image."""
    return get_dimensions(img)[0]


def on_planes(img: Any, function: Callable[[np.ndarray], np.ndarray]) -> Any:
    """`function` of the planes (..., C, H, W) of a tensor or array, in the kind of `img`; not recorded for gradients.

    A tensor (H, W) counts as one plane (1, H, W), an array (H, W) too.
    """
    if isinstance(img, Tensor):
        planes = img.detach().cpu().array
        result = function(planes[None] if planes.ndim == 2 else planes)
        made = wrap(np.ascontiguousarray(result[0] if planes.ndim == 2 else result))
        return made if img.device.type == "cpu" else made.to(img.device)
    result = function(img[None] if img.ndim == 2 else img.transpose(2, 0, 1))
    return np.ascontiguousarray(result[0] if img.ndim == 2 and len(result) == 1 else result.transpose(1, 2, 0))


def bound_of(planes: np.ndarray) -> float:
    """White: 1 for floats, the largest number of an integer type."""
    return 1.0 if planes.dtype.kind == "f" else float(np.iinfo(planes.dtype).max)


def check_channels(planes: np.ndarray, allowed: tuple[int, ...], name: str) -> None:
    """Refuse planes (..., C, H, W) with another number of channels."""
    if planes.ndim < 3 or planes.shape[-3] not in allowed:
        counts = " or ".join(map(str, allowed))
        raise TypeError(f"{name}: the image must have {counts} channels, its shape is {planes.shape}")
