"""Colours: brightness, contrast, hue and the like, as functions of an image.

PIL images go through Pillow, whose rounding differs a little from the formulas that tensors and arrays go through
(torchvision's for tensors). Floats lie in [0, 1]. Nothing here is recorded for gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._pillow import is_image
from ._image import bound_of, check_channels, check_image, on_planes


def _factor(name: str, value: float) -> float:
    if value < 0:
        raise ValueError(f"{name}: the factor must be from 0 on, got {value}")
    return float(value)


def _enhance(which: str, img: Any, factor: float) -> Any:
    from PIL import ImageEnhance

    return getattr(ImageEnhance, which)(img).enhance(factor)


def _blend(a: np.ndarray, b: Any, ratio: float) -> np.ndarray:
    """ratio * a + (1 - ratio) * b, cut to the range, in a's dtype."""
    kind = a.dtype if a.dtype.kind == "f" else np.dtype(np.float32)
    mixed = a.astype(kind) * kind.type(ratio) + np.asarray(b).astype(kind) * kind.type(1.0 - ratio)
    return np.clip(mixed, 0, bound_of(a)).astype(a.dtype)


def _grey(planes: np.ndarray) -> np.ndarray:
    """0.2989 R + 0.587 G + 0.114 B (ITU-R BT.601), with one channel, in the same dtype."""
    kind = planes.dtype if planes.dtype.kind == "f" else np.dtype(np.float32)
    red, green, blue = (planes[..., i : i + 1, :, :].astype(kind) for i in range(3))
    return (kind.type(0.2989) * red + kind.type(0.587) * green + kind.type(0.114) * blue).astype(planes.dtype)


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """The image times a factor: 0 is black, 1 leaves it, 2 doubles it."""
    check_image(img, "adjust_brightness")
    factor = _factor("adjust_brightness", brightness_factor)
    if is_image(img):
        return _enhance("Brightness", img, factor)
    return on_planes(img, lambda x: _blend(x, 0, factor))


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """A blend with the mean grey of the image: 0 is grey, 1 leaves it."""
    check_image(img, "adjust_contrast")
    factor = _factor("adjust_contrast", contrast_factor)
    if is_image(img):
        return _enhance("Contrast", img, factor)

    def contrast(x: np.ndarray) -> np.ndarray:
        check_channels(x, (1, 3), "adjust_contrast")
        grey = x if x.shape[-3] == 1 else _grey(x)
        kind = np.float32 if x.dtype.kind != "f" else x.dtype
        return _blend(x, grey.mean(axis=(-3, -2, -1), keepdims=True, dtype=np.float64).astype(kind), factor)

    return on_planes(img, contrast)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """A blend with the grey image: 0 is black and white, 1 leaves it."""
    check_image(img, "adjust_saturation")
    factor = _factor("adjust_saturation", saturation_factor)
    if is_image(img):
        return _enhance("Color", img, factor)

    def saturate(x: np.ndarray) -> np.ndarray:
        check_channels(x, (1, 3), "adjust_saturation")
        return x if x.shape[-3] == 1 else _blend(x, _grey(x), factor)

    return on_planes(img, saturate)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """The hues turned by `hue_factor` of the full circle, in [-0.5, 0.5]. Grey images stay."""
    check_image(img, "adjust_hue")
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"adjust_hue: hue_factor must lie in [-0.5, 0.5], got {hue_factor}")
    if is_image(img):
        if img.mode in ("L", "1", "I", "F"):
            return img
        hue, saturation, value = img.convert("HSV").split()
        turned = np.asarray(hue) + np.int32(hue_factor * 255).astype(np.uint8)  # wraps around
        module = _image_module()
        return module.merge("HSV", (module.fromarray(turned), saturation, value)).convert(img.mode)

    def turn(x: np.ndarray) -> np.ndarray:
        check_channels(x, (1, 3), "adjust_hue")
        if x.shape[-3] == 1:
            return x
        floating = x if x.dtype.kind == "f" else x.astype(np.float32) / np.float32(bound_of(x))
        hsv = _rgb_to_hsv(floating)
        hsv[0] = (hsv[0] + hue_factor) % 1.0
        rgb = _hsv_to_rgb(hsv).astype(floating.dtype)
        return rgb if x.dtype.kind == "f" else (rgb * np.float32(bound_of(x) + 1 - 1e-3)).astype(x.dtype)

    return on_planes(img, turn)


def _image_module() -> Any:
    from PIL import Image

    return Image


def _rgb_to_hsv(rgb: np.ndarray) -> list[np.ndarray]:
    red, green, blue = rgb[..., 0, :, :], rgb[..., 1, :, :], rgb[..., 2, :, :]
    high, low = rgb.max(axis=-3), rgb.min(axis=-3)
    flat = high == low
    span = high - low
    saturation = span / np.where(flat, 1, high)
    divisor = np.where(flat, 1, span)
    from_red, from_green, from_blue = ((high - c) / divisor for c in (red, green, blue))
    hue = np.where(high == red, from_blue - from_green, 0)
    hue = hue + np.where((high == green) & (high != red), 2 + from_red - from_blue, 0)
    hue = hue + np.where((high != green) & (high != red), 4 + from_green - from_red, 0)
    return [np.fmod(hue / 6.0 + 1.0, 1.0), saturation, high]


def _hsv_to_rgb(hsv: list[np.ndarray]) -> np.ndarray:
    hue, saturation, value = hsv
    sector = np.floor(hue * 6.0)
    rest = hue * 6.0 - sector
    number = sector.astype(np.int32) % 6
    p = np.clip(value * (1 - saturation), 0, 1)
    q = np.clip(value * (1 - saturation * rest), 0, 1)
    t = np.clip(value * (1 - saturation * (1 - rest)), 0, 1)
    choices = ((value, q, p, p, t, value), (t, value, value, q, p, p), (p, p, t, value, value, q))
    return np.stack([np.choose(number, channel) for channel in choices], axis=-3)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """gain * x**gamma for x in [0, 1]: gamma above 1 darkens the shadows."""
    check_image(img, "adjust_gamma")
    if gamma < 0:
        raise ValueError(f"adjust_gamma: gamma must be from 0 on, got {gamma}")
    if is_image(img):
        table = [int((255 + 1 - 1e-3) * gain * pow(level / 255.0, gamma)) for level in range(256)] * 3
        return img.convert("RGB").point(table).convert(img.mode)

    def power(x: np.ndarray) -> np.ndarray:
        if x.dtype.kind == "f":
            return np.clip(gain * x**gamma, 0, 1).astype(x.dtype)
        scaled = np.clip(gain * (x.astype(np.float32) / np.float32(bound_of(x))) ** gamma, 0, 1).astype(np.float32)
        return (scaled * np.float32(bound_of(x) + 1 - 1e-3)).astype(x.dtype)

    return on_planes(img, power)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The luma of the image, with one channel or three equal ones."""
    check_image(img, "rgb_to_grayscale")
    if num_output_channels not in (1, 3):
        raise ValueError(f"rgb_to_grayscale: num_output_channels must be 1 or 3, got {num_output_channels}")
    if is_image(img):
        grey = img.convert("L")
        return grey if num_output_channels == 1 else _image_module().merge("RGB", (grey, grey, grey))

    def luma(x: np.ndarray) -> np.ndarray:
        check_channels(x, (1, 3), "rgb_to_grayscale")
        grey = x if x.shape[-3] == 1 else _grey(x)
        return np.repeat(grey, num_output_channels, axis=-3)

    return on_planes(img, luma)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """A PIL image in grey, with one channel or three equal ones; of tensors and arrays see `rgb_to_grayscale`."""
    return rgb_to_grayscale(img, num_output_channels)


def _ops(which: str, img: Any, *args: Any) -> Any:
    from PIL import ImageOps

    return getattr(ImageOps, which)(img, *args)


def invert(img: Any) -> Any:
    """The negative: white - x."""
    check_image(img, "invert")
    return _ops("invert", img) if is_image(img) else on_planes(img, lambda x: (bound_of(x) - x).astype(x.dtype))


def posterize(img: Any, bits: int) -> Any:
    """Only the highest `bits` bits (0 to 8) of each uint8 value."""
    check_image(img, "posterize")
    if not 0 <= bits <= 8:
        raise ValueError(f"posterize: bits must lie in 0..8, got {bits}")
    if is_image(img):
        return _ops("posterize", img, bits)
    if not _is_uint8(img):
        raise TypeError("posterize: only uint8 images have bits to drop")
    return on_planes(img, lambda x: x & np.uint8(256 - 2 ** (8 - bits)))


def solarize(img: Any, threshold: float) -> Any:
    """The negative of all values from `threshold` on."""
    check_image(img, "solarize")
    if is_image(img):
        return _ops("solarize", img, threshold)
    return on_planes(img, lambda x: np.where(x >= threshold, (bound_of(x) - x).astype(x.dtype), x))


def autocontrast(img: Any) -> Any:
    """Each channel stretched so that its darkest value is black and its lightest is white."""
    check_image(img, "autocontrast")
    if is_image(img):
        return _ops("autocontrast", img)

    def stretch(x: np.ndarray) -> np.ndarray:
        kind = x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)
        low = x.min(axis=(-2, -1), keepdims=True).astype(kind)
        high = x.max(axis=(-2, -1), keepdims=True).astype(kind)
        flat = high == low
        scale = bound_of(x) / np.where(flat, 1, high - low)
        stretched = (x - np.where(flat, 0, low)) * np.where(flat, 1, scale).astype(kind)
        return np.clip(stretched, 0, bound_of(x)).astype(x.dtype)

    return on_planes(img, stretch)


def equalize(img: Any) -> Any:
    """Each channel of a uint8 image mapped so that its histogram is as flat as possible."""
    check_image(img, "equalize")
    if is_image(img):
        return _ops("equalize", img)
    if not _is_uint8(img):
        raise TypeError("equalize: only uint8 images have a histogram of 256 levels")

    def channel(x: np.ndarray) -> np.ndarray:
        counts = np.bincount(x.reshape(-1), minlength=256)
        step = counts[counts != 0][:-1].sum() // 255
        if step == 0:
            return x
        table = (np.cumsum(counts) + step // 2) // step
        return np.clip(np.concatenate([[0], table[:-1]]), 0, 255).astype(np.uint8)[x]

    def flatten(x: np.ndarray) -> np.ndarray:
        planes = x.reshape(-1, *x.shape[-2:])
        return np.stack([channel(plane) for plane in planes]).reshape(x.shape) if len(planes) else x

    return on_planes(img, flatten)


def _is_uint8(img: Any) -> bool:
    return (img if isinstance(img, np.ndarray) else img.array).dtype == np.uint8


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """A blend with a smoothed image (3x3, the middle weighs 5/13): 0 is smooth, 1 leaves it, 2 sharpens."""
    check_image(img, "adjust_sharpness")
    factor = _factor("adjust_sharpness", sharpness_factor)
    if is_image(img):
        return _enhance("Sharpness", img, factor)

    def sharpen(x: np.ndarray) -> np.ndarray:
        check_channels(x, (1, 3), "adjust_sharpness")
        if min(x.shape[-2:]) <= 2:
            return x
        kind = x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)
        y = x.astype(kind)
        rows, columns = x.shape[-2] - 2, x.shape[-1] - 2
        window = sum(y[..., i : i + rows, j : j + columns] for i in range(3) for j in range(3))
        smooth = (window + 4 * y[..., 1:-1, 1:-1]) / kind.type(13)
        blurred = x.copy()
        blurred[..., 1:-1, 1:-1] = smooth if x.dtype.kind == "f" else np.rint(smooth)
        return _blend(x, blurred, factor)

    return on_planes(img, sharpen)
