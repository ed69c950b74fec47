"""From PIL images to tensors and back, and from one dtype to another."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import dtypes
from ..._tensor import Tensor, wrap
from .._pillow import is_image, require

_EPS = 1e-3  # floats in [0, 1] become integers by floor(x * (max + 1 - eps)), as in torchvision


def pil_to_tensor(pic: Any) -> Tensor:
    """A PIL image as a Tensor (C, H, W) of its own dtype, its values unchanged.

    Raises:
        TypeError: for anything else.
    """
    if not is_image(pic):
        raise TypeError(f"pil_to_tensor: expected a PIL image, got {type(pic).__name__}")
    array = np.array(pic)
    if array.dtype == np.uint16:
        array = array.astype(np.int32)
    elif array.dtype == bool:
        array = array.astype(np.uint8)
    return wrap(np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1)))


def convert_image_dtype(image: Tensor, dtype: dtypes.dtype = dtypes.float32) -> Tensor:
    """The image in another dtype, its values scaled: floats span [0, 1], integers 0 to their largest number.

    Raises:
        TypeError: if `image` is no Tensor.
        RuntimeError: from float32 to int32 or int64, or from float64 to int64: these floats cannot tell all of them.
    """
    if not isinstance(image, Tensor):
        raise TypeError(f"convert_image_dtype: expected a Tensor, got {type(image).__name__}")
    old, new = image.dtype, dtypes.as_dtype(dtype)
    if old is new:
        return image
    if old.is_floating_point and new.is_floating_point:
        return image.to(new)
    x = image.detach().cpu().array
    if old.is_floating_point:
        if new.itemsize >= 8 or (new.itemsize == 4 and old.itemsize < 8):
            raise RuntimeError(
                f"convert_image_dtype: {old} cannot hold all values of {new}; go through float64 or uint8"
            )
        scaled = x * x.dtype.type(_limit(new) + 1.0 - _EPS)
        return wrap(scaled.astype(np.int64).astype(new.numpy))
    if new.is_floating_point:
        return image.to(new) / float(_limit(old))
    have, want = _limit(old), _limit(new)
    if have > want:
        return wrap((x.astype(np.int64) // ((have + 1) // (want + 1))).astype(new.numpy))
    return wrap((x.astype(np.int64) * ((want + 1) // (have + 1))).astype(new.numpy))


def _limit(kind: dtypes.dtype) -> int:
    return 1 if kind.category == dtypes.BOOL else int(np.iinfo(kind.numpy).max)


_MODES = {("|u1", 1): "L", ("<i2", 1): "I;16", ("<i4", 1): "I", ("<f4", 1): "F"}
_MODES |= {("|u1", 2): "LA", ("|u1", 3): "RGB", ("|u1", 4): "RGBA"}
_ALTERNATIVES = {
    1: ("L", "1", "P", "F", "I", "I;16"),
    2: ("LA",),
    3: ("RGB", "YCbCr", "HSV", "LAB"),
    4: ("RGBA", "CMYK", "RGBX"),
}


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A Tensor (C, H, W) or (H, W), or an array (H, W, C) or (H, W), as a PIL image.

    Args:
        pic: floats of a tensor are multiplied by 255 and cut to bytes (unless `mode` is "F"); arrays stay as they are.
        mode: Pillow's mode; by the number of channels and the dtype if None.

    Raises:
        TypeError: for other kinds or dtypes.
        ValueError: for another number of dimensions or channels, or a mode that does not fit.
    """
    if isinstance(pic, Tensor):
        array = pic.detach().cpu().array
        if array.ndim not in (2, 3):
            raise ValueError(f"to_pil_image: a tensor must be (C, H, W) or (H, W), got shape {array.shape}")
        if array.dtype.kind == "f" and mode != "F":
            array = (array * array.dtype.type(255)).astype(np.int64).astype(np.uint8)
        array = array[None] if array.ndim == 2 else array
        array = array.transpose(1, 2, 0)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"to_pil_image: an array must be (H, W, C) or (H, W), got shape {pic.shape}")
        array = pic[..., None] if pic.ndim == 2 else pic
    else:
        raise TypeError(f"to_pil_image: expected a Tensor or a NumPy array, got {type(pic).__name__}")
    channels = array.shape[2]
    if not 1 <= channels <= 4:
        raise ValueError(f"to_pil_image: an image has 1 to 4 channels, got {channels} (shape {pic.shape})")
    found = _MODES.get((array.dtype.str, channels))
    if found is None:
        raise TypeError(f"to_pil_image: images of {channels} channels of {array.dtype} do not exist")
    if mode is not None and mode not in _ALTERNATIVES[channels]:
        raise ValueError(f"to_pil_image: mode must be one of {', '.join(_ALTERNATIVES[channels])}, got {mode!r}")
    pixels = np.ascontiguousarray(array[..., 0] if channels == 1 else array)
    module = require("to_pil_image")
    if mode is None or mode == found or (channels == 1 and mode != "1" and mode != "P"):
        if found == "I;16":
            pixels = pixels.astype(np.uint16)
        return module.fromarray(pixels)
    picture = module.fromarray(pixels)
    return module.frombytes(mode, picture.size, picture.tobytes()) if channels > 2 else picture.convert(mode)
