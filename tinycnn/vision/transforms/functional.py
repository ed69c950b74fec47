"""The transforms as functions of an image.

An image is a PIL image, a NumPy array (H, W) or (H, W, C), or a Tensor (..., H, W); each function returns the kind that
it was given. Sizes are (height, width). Pillow is needed for PIL images, of course, and to resize uint8 arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ..._tensor import Tensor, wrap
from ...composed.pad import constant_pad_nd
from ...ops.matmul import matmul
from ...ops.shape import flip
from .._pillow import is_image, require
from ._color import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    autocontrast,
    equalize,
    invert,
    posterize,
    rgb_to_grayscale,
    solarize,
    to_grayscale,
)
from ._convert import convert_image_dtype, pil_to_tensor, to_pil_image
from ._image import check_image, get_dimensions, get_image_num_channels, get_image_size
from ._resample import PILLOW_NUMBER, InterpolationMode, as_mode, is_positive_int, shorter_edge_size, weights
from ._warp import affine, gaussian_blur, perspective, rotate

__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "equalize",
    "erase",
    "five_crop",
    "gaussian_blur",
    "get_dimensions",
    "get_image_num_channels",
    "get_image_size",
    "hflip",
    "invert",
    "normalize",
    "pad",
    "perspective",
    "pil_to_tensor",
    "posterize",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "solarize",
    "ten_crop",
    "to_grayscale",
    "to_pil_image",
    "to_tensor",
    "vflip",
]

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")
_FLIP_LEFT_RIGHT, _FLIP_TOP_BOTTOM = 0, 1  # PIL.Image.Transpose


def to_tensor(pic: Any) -> Tensor:
    """A PIL image or array (H, W) or (H, W, C) as a Tensor (C, H, W).

    uint8 becomes the default float dtype in [0, 1] (divided by 255), mode "1" becomes 0 and 1; other dtypes keep
    their values and dtype.

    Raises:
        TypeError: for anything else, a Tensor included.
        ValueError: for an array with another number of dimensions.
    """
    if is_image(pic):
        array = np.array(pic)
        if pic.mode == "1":
            array = array.astype(np.uint8) * np.uint8(255)
        elif pic.mode.startswith("I;16"):
            array = array.astype(np.int32)
    elif isinstance(pic, np.ndarray):
        array = pic
    else:
        raise TypeError(f"to_tensor: expected a PIL image or a NumPy array, got {type(pic).__name__}")
    if array.ndim not in (2, 3):
        raise ValueError(f"to_tensor: an image is (H, W) or (H, W, C), got shape {array.shape}")
    planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    if array.dtype == np.uint8:
        kind = dtypes.get_default_dtype().numpy
        return wrap(np.divide(planes, kind.type(255), dtype=kind, order="C"))
    if array.dtype not in dtypes.FROM_NUMPY:
        raise TypeError(f"to_tensor: arrays of {array.dtype} have no tensor dtype")
    return wrap(np.array(planes, order="C"))


def normalize(tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Tensor:
    """(x - mean[c]) / std[c] for each channel c of a float tensor (..., C, H, W).

    Args:
        mean: one number per channel, or one for all.
        std: likewise, none of them 0.
        inplace: write into `tensor`.

    Raises:
        TypeError: if `tensor` is no Tensor of floats (ToTensor makes one).
        ValueError: if the counts do not fit or a std is 0.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"normalize: expected a Tensor, got {type(tensor).__name__}; apply ToTensor first")
    if not tensor.is_floating_point():
        raise TypeError(f"normalize: expected a float tensor, got {tensor.dtype}; ToTensor makes one")
    if tensor.ndim < 3:
        raise ValueError(f"normalize: expected (..., C, H, W), got shape {tuple(tensor.shape)}")
    channels = tensor.shape[-3]
    kind = tensor.dtype.numpy
    centre, spread = np.asarray(mean, kind).reshape(-1, 1, 1), np.asarray(std, kind).reshape(-1, 1, 1)
    for name, values in (("mean", centre), ("std", spread)):
        if len(values) not in (1, channels):
            raise ValueError(f"normalize: {name} has {len(values)} values for a tensor of {channels} channels")
    if not spread.all():
        raise ValueError(f"normalize: a std of 0 would divide by zero, got {list(np.ravel(std))} as {tensor.dtype}")
    if inplace:
        return tensor.sub_(wrap(centre)).div_(wrap(spread))
    if tensor.requires_grad or tensor.is_cuda:
        return (tensor - wrap(centre)) / wrap(spread)
    # Samples of a dataset: there NumPy's two operations cost a third of two recorded ones.
    result = tensor.array - centre
    result /= spread
    return wrap(result)


def resize(
    img: Any,
    size: int | Sequence[int],
    interpolation: InterpolationMode | str | int = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """The image resampled to `size`.

    PIL images and uint8 arrays are resampled by Pillow, which always antialiases. Other arrays and tensors are
    resampled in floating point by the same kernels; integer tensors are rounded at the end. Nearest pixels differ:
    Pillow takes floor((i + 0.5) * old/new), tensors floor(i * old/new) (PyTorch's two rules).

    Args:
        size: (height, width), or the length of the shorter edge.
        max_size: bound for the longer edge, if `size` is one number.
        antialias: for tensors; False or None does not stretch the kernel when shrinking.

    Raises:
        ValueError: for sizes below 1 or a mode that tensors do not have.
    """
    check_image(img, "resize")
    mode = as_mode(interpolation)
    sizes = list(size) if isinstance(size, Sequence) else [size]
    if len(sizes) not in (1, 2) or not all(is_positive_int(n) for n in sizes):
        raise ValueError(f"resize: size must be a positive int or a pair (height, width) of them, got {size!r}")
    _, height, width = get_dimensions(img)
    if len(sizes) == 2:
        if max_size is not None:
            raise ValueError(f"resize: max_size={max_size} needs size to be one number, got {size!r}")
        new_height, new_width = sizes
    else:
        if max_size is not None and max_size <= sizes[0]:
            raise ValueError(f"resize: max_size={max_size} must be above the shorter edge's size {sizes[0]}")
        new_height, new_width = shorter_edge_size(height, width, sizes[0], max_size)
    if (new_height, new_width) == (height, width):
        return img

    if is_image(img):
        return img.resize((new_width, new_height), PILLOW_NUMBER[mode])
    if isinstance(img, np.ndarray) and img.dtype == np.uint8:
        image = require("resize of a uint8 array").fromarray(img[..., 0] if img.shape[2:] == (1,) else img)
        resized = np.array(image.resize((new_width, new_height), PILLOW_NUMBER[mode]))
        return resized.reshape(new_height, new_width, *img.shape[2:])
    if mode in (InterpolationMode.BOX, InterpolationMode.HAMMING, InterpolationMode.LANCZOS):
        raise ValueError(f"resize: {mode.value} is offered for PIL images and uint8 arrays, not for tensors")
    rows = weights(height, new_height, mode, bool(antialias))
    columns = weights(width, new_width, mode, bool(antialias)).T
    if isinstance(img, np.ndarray):
        planes = np.moveaxis(img, 2, 0) if img.ndim == 3 else img
        result = resize_planes(wrap(np.ascontiguousarray(planes)), rows, columns).array
        return np.ascontiguousarray(np.moveaxis(result, 0, 2)) if img.ndim == 3 else result
    return resize_planes(img, rows, columns)


def resize_planes(x: Tensor, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    """rows @ x @ columns over the last two dimensions of `x`; integers are rounded and clipped to their range."""
    if x.is_floating_point():
        kind = x.dtype.numpy
        return matmul(matmul(wrap(rows.astype(kind)), x), wrap(columns.astype(kind)))
    if x.array.dtype.kind == "b":
        raise TypeError("resize: bool tensors cannot be interpolated; convert to uint8 or float")
    limits = np.iinfo(x.array.dtype)
    exact = np.rint(rows @ x.array.astype(np.float64) @ columns)
    return wrap(np.clip(exact, limits.min, limits.max).astype(x.array.dtype))


def sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) from an int, from (horizontal, vertical), or from all four.

    Raises:
        TypeError, ValueError: if it is none of these.
    """
    numbers = [padding] if isinstance(padding, int) else list(padding)
    if any(isinstance(n, bool) or not isinstance(n, int) for n in numbers):
        raise TypeError(f"padding must be made of ints, got {padding!r}")
    if len(numbers) not in (1, 2, 4):
        raise ValueError(f"padding must be an int or have 1, 2 or 4 numbers, got {len(numbers)}: {padding!r}")
    left, top, right, bottom = numbers * (4 // len(numbers))
    return left, top, right, bottom


def pad(img: Any, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> Any:
    """The image with a border. Negative padding cuts off instead.

    ===========  ================================
    mode         1234 padded by 2 on both sides
    ===========  ================================
    constant     00 1234 00  (`fill` for 0)
    edge         11 1234 44
    reflect      32 1234 32
    symmetric    21 1234 43
    ===========  ================================

    Args:
        padding: all sides, (left and right, top and bottom), or (left, top, right, bottom).
        fill: a number, or for PIL images and arrays one per channel.

    Raises:
        ValueError: for another mode, for more reflection than the image has pixels, or for cutting everything off.
    """
    check_image(img, "pad")
    if padding_mode not in PADDING_MODES:
        raise ValueError(f"pad: padding_mode must be one of {', '.join(PADDING_MODES)}, got {padding_mode!r}")
    left, top, right, bottom = sides(padding)
    channels, height, width = get_dimensions(img)
    if height + top + bottom < 1 or width + left + right < 1 or min(top, bottom) < -height or min(left, right) < -width:
        raise ValueError(f"pad: padding {padding!r} leaves nothing of an image of {height} x {width}")
    if padding_mode != "constant":
        rows = _border_index(height, top, bottom, padding_mode, "height")
        columns = _border_index(width, left, right, padding_mode, "width")
        if is_image(img):
            return _from_array(np.asarray(img)[rows[:, None], columns], img)
        return img[..., rows[:, None], columns] if isinstance(img, Tensor) else img[rows[:, None], columns]

    per_channel = isinstance(fill, (tuple, list))
    if per_channel and len(fill) not in (1, channels):
        raise ValueError(f"pad: fill has {len(fill)} values for an image of {channels} channels")
    if isinstance(img, Tensor):
        if per_channel and len(fill) > 1:
            raise TypeError(f"pad: a tensor takes one number as fill, got {fill!r}")
        return constant_pad_nd(img, (left, right, top, bottom), value=fill[0] if per_channel else fill)
    if is_image(img):
        if per_channel:
            fill = tuple(fill) if channels > 1 and len(fill) > 1 else fill[0]
        if channels > 1 and not isinstance(fill, tuple):
            fill = (fill,) * channels
        framed = require("pad").new(img.mode, (width + left + right, height + top + bottom), fill)
        if img.mode == "P":
            framed.putpalette(img.getpalette())
        framed.paste(img, (left, top))
        return framed
    result = np.empty((height + top + bottom, width + left + right, *img.shape[2:]), img.dtype)
    result[...] = fill
    inner = img[max(-top, 0) : height + min(bottom, 0), max(-left, 0) : width + min(right, 0)]
    y, x = max(top, 0), max(left, 0)
    result[y : y + inner.shape[0], x : x + inner.shape[1]] = inner
    return result


def _border_index(size: int, before: int, after: int, mode: str, what: str) -> np.ndarray:
    """Which row (or column) of the image each one of the padded image shows."""
    kept = np.arange(max(-before, 0), size + min(after, 0))
    most = len(kept) - (mode == "reflect")
    if mode != "edge" and max(before, after) > most:
        raise ValueError(
            f"pad: {mode} padding of {max(before, after)} needs at least as many pixels; {what} {size} allows {most}"
        )
    return np.pad(kept, (max(before, 0), max(after, 0)), mode=mode)  # type: ignore[call-overload]


def _from_array(array: np.ndarray, like: Any) -> Any:
    """A PIL image of `array` with the mode (and palette) of `like`."""
    image = require("pad").fromarray(array)
    if like.mode == "P":
        image.putpalette(like.getpalette())
    return image


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The `height` x `width` pixels from row `top` and column `left` on; what lies outside the image is 0.

    Of a tensor that lies inside it is a view.
    """
    check_image(img, "crop")
    _, h, w = get_dimensions(img)
    if is_image(img):
        return img.crop((left, top, left + width, top + height))
    if top < 0 or left < 0 or top + height > h or left + width > w:
        before = (max(-left, 0), max(-top, 0))
        img = pad(img, (*before, max(left + width - w, 0), max(top + height - h, 0)))
        left, top = left + before[0], top + before[1]
    if isinstance(img, Tensor):
        return img[..., top : top + height, left : left + width]
    return img[top : top + height, left : left + width].copy()


def center_crop(img: Any, output_size: int | Sequence[int]) -> Any:
    """The middle `output_size` = (height, width) of the image, which is first padded with 0 where it is smaller."""
    height, width = pair(output_size, "center_crop: output_size")
    _, h, w = get_dimensions(img)
    if h < height or w < width:
        missing_h, missing_w = max(height - h, 0), max(width - w, 0)
        img = pad(img, (missing_w // 2, missing_h // 2, (missing_w + 1) // 2, (missing_h + 1) // 2))
        _, h, w = get_dimensions(img)
    return crop(img, int(round((h - height) / 2.0)), int(round((w - width) / 2.0)), height, width)


def hflip(img: Any) -> Any:
    """The image mirrored left to right."""
    check_image(img, "hflip")
    if is_image(img):
        return img.transpose(_FLIP_LEFT_RIGHT)
    return flip(img, -1) if isinstance(img, Tensor) else img[:, ::-1].copy()


def vflip(img: Any) -> Any:
    """The image mirrored top to bottom."""
    check_image(img, "vflip")
    if is_image(img):
        return img.transpose(_FLIP_TOP_BOTTOM)
    return flip(img, -2) if isinstance(img, Tensor) else img[::-1].copy()


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: int | Sequence[int],
    interpolation: InterpolationMode | str | int = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """`crop`, then `resize`."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def five_crop(img: Any, size: int | Sequence[int]) -> tuple[Any, Any, Any, Any, Any]:
    """The four corners and the middle: top left, top right, bottom left, bottom right, centre.

    Raises:
        ValueError: if `size` is larger than the image.
    """
    rows, columns = pair(size, "five_crop: size")
    _, height, width = get_dimensions(img)
    if columns > width or rows > height:
        raise ValueError(f"five_crop: size {(rows, columns)} is larger than the image {(height, width)}")
    corners = [crop(img, top, left, rows, columns) for top in (0, height - rows) for left in (0, width - columns)]
    return corners[0], corners[1], corners[2], corners[3], center_crop(img, [rows, columns])


def ten_crop(img: Any, size: int | Sequence[int], vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image and of its mirror image (left to right, or top to bottom)."""
    return five_crop(img, size) + five_crop(vflip(img) if vertical_flip else hflip(img), size)


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """The tensor or array image with the `h` x `w` pixels from row `i` and column `j` on set to `v`.

    Args:
        v: a number, or a tensor that fits (C, h, w) by broadcasting.
        inplace: write into `img`.

    Raises:
        TypeError: for a PIL image.
    """
    check_image(img, "erase")
    if is_image(img):
        raise TypeError("erase: expected a Tensor or an array, got a PIL image; ToTensor makes a Tensor of it")
    if isinstance(img, Tensor):
        img = img if inplace else img.clone()
        img[..., i : i + h, j : j + w] = v
        return img
    img = img if inplace else img.copy()
    value = v.detach().cpu().array if isinstance(v, Tensor) else np.asarray(v)
    img[i : i + h, j : j + w] = value.transpose(1, 2, 0) if value.ndim == 3 and img.ndim == 3 else value
    return img


def pair(size: int | Sequence[int], name: str) -> tuple[int, int]:
    """(height, width) from one number or two.

    Raises:
        ValueError: if it is neither, or if a number is below 1.
    """
    numbers = list(size) if isinstance(size, Sequence) else [size]
    if len(numbers) not in (1, 2) or not all(is_positive_int(n) for n in numbers):
        raise ValueError(f"{name} must be a positive int or a pair (height, width) of them, got {size!r}")
    return numbers[0], numbers[-1]
