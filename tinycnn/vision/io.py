"""Images from files and into files (``torchvision.io``), by Pillow."""

from __future__ import annotations

import enum
import io
import os
from typing import Any

import numpy as np

from .._tensor import Tensor, wrap
from ._pillow import require

__all__ = ["ImageReadMode", "decode_image", "read_file", "read_image", "write_jpeg", "write_png"]


class ImageReadMode(enum.Enum):
    """Which channels to read: as they are in the file, or converted."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4


_MODES = {"GRAY": "L", "GRAY_ALPHA": "LA", "RGB": "RGB", "RGB_ALPHA": "RGBA"}


def read_file(path: str | os.PathLike[str]) -> Tensor:
    """The bytes of a file, a uint8 tensor (N,)."""
    return wrap(np.fromfile(path, np.uint8))


def decode_image(input: Tensor | str | os.PathLike[str], mode: ImageReadMode | str = ImageReadMode.UNCHANGED) -> Tensor:
    """The image in a file, or in the bytes of one (a uint8 tensor (N,)), as uint8 (C, H, W).

    Raises:
        ImportError: if Pillow is not installed.
        ValueError: for another mode.
    """
    name = mode.name if isinstance(mode, ImageReadMode) else str(mode).upper()
    if name not in ImageReadMode.__members__:
        raise ValueError(f"read_image: mode must be one of {', '.join(ImageReadMode.__members__)}, got {mode!r}")
    source: Any = input
    if isinstance(input, Tensor):
        if input.ndim != 1 or input.array.dtype != np.uint8:
            raise ValueError(f"decode_image: bytes are a uint8 tensor (N,), got {tuple(input.shape)} of {input.dtype}")
        source = io.BytesIO(input.array.tobytes())
    with require("read_image").open(source) as picture:
        if name in _MODES:
            picture = picture.convert(_MODES[name])
        elif picture.mode not in ("L", "LA", "RGB", "RGBA"):
            picture = picture.convert("L" if picture.mode == "1" else "RGB")
        pixels = np.array(picture)
    return wrap(np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)))


def read_image(path: str | os.PathLike[str], mode: ImageReadMode | str = ImageReadMode.UNCHANGED) -> Tensor:
    """The image in a file, see `decode_image`."""
    return decode_image(path, mode)


def _write(who: str, format: str, tensor: Tensor, path: str | os.PathLike[str], **options: int) -> None:
    if not isinstance(tensor, Tensor) or tensor.array.dtype != np.uint8:
        found = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise TypeError(f"{who}: expected a uint8 Tensor, got {found}")
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3):
        raise ValueError(f"{who}: expected (1, H, W) or (3, H, W), got shape {tuple(tensor.shape)}")
    pixels = tensor.detach().cpu().array.transpose(1, 2, 0)
    picture = require(who).fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    picture.save(path, format=format, **options)


def write_png(input: Tensor, filename: str | os.PathLike[str], compression_level: int = 6) -> None:
    """Write a uint8 image (1, H, W) or (3, H, W) as PNG; compression from 0 (none) to 9."""
    _write("write_png", "PNG", input, filename, compress_level=compression_level)


def write_jpeg(input: Tensor, filename: str | os.PathLike[str], quality: int = 75) -> None:
    """Write a uint8 image (1, H, W) or (3, H, W) as JPEG; quality from 1 to 100."""
    _write("write_jpeg", "JPEG", input, filename, quality=quality)
