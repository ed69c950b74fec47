"""The transforms of colours, and blurring and erasing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._tensor import Tensor, wrap
from ...nn import Module
from ...utils.data._worker import current_generator
from . import functional as F
from .geometry import happens, probability, uniform


class Grayscale(Module):
    """The image in grey, with one channel or three equal ones."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, self.num_output_channels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_output_channels={self.num_output_channels})"


class RandomGrayscale(Module):
    """The image in grey with probability `p`; the number of channels stays."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        self.p = probability("RandomGrayscale", p)

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, F.get_dimensions(img)[0]) if happens(self.p) else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class ColorJitter(Module):
    """Brightness, contrast, saturation and hue changed at random, in a random order.

    Args:
        brightness: f for factors from max(0, 1 - f) to 1 + f, or (low, high). Likewise
        contrast, saturation.
        hue: f for shifts from -f to f, at most 0.5, or (low, high).
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        hue: float | Sequence[float] = 0,
    ) -> None:
        super().__init__()
        self.brightness = _range("brightness", brightness)
        self.contrast = _range("contrast", contrast)
        self.saturation = _range("saturation", saturation)
        self.hue = _range("hue", hue, 0.0, (-0.5, 0.5))

    @staticmethod
    def get_params(
        brightness: Sequence[float] | None,
        contrast: Sequence[float] | None,
        saturation: Sequence[float] | None,
        hue: Sequence[float] | None,
    ) -> tuple[Tensor, float | None, float | None, float | None, float | None]:
        """The order of the four (a permutation of 0..3), and their factors (None: left out)."""
        order = wrap(current_generator().numpy.permutation(4))
        b, c, s, h = (
            None if bounds is None else uniform(*bounds) for bounds in (brightness, contrast, saturation, hue)
        )
        return order, b, c, s, h

    def forward(self, img: Any) -> Any:
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for number in order.tolist():
            factor = factors[number]
            if factor is not None:
                img = changes[number](img, factor)
        return img

    def __repr__(self) -> str:
        parts = (f"{name}={getattr(self, name)}" for name in ("brightness", "contrast", "saturation", "hue"))
        return f"{type(self).__name__}({', '.join(parts)})"


def _range(
    name: str, value: Any, center: float = 1.0, bound: tuple[float, float] = (0, math.inf)
) -> tuple[float, float] | None:
    """The factors' (low, high); None if they change nothing."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"ColorJitter: {name} must be from 0 on if it is one number, got {value}")
        low, high = center - value, center + value
        low = max(low, 0.0) if name != "hue" else low
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        low, high = float(value[0]), float(value[1])
    else:
        raise TypeError(f"ColorJitter: {name} must be a number or a pair (low, high), got {value!r}")
    if not bound[0] <= low <= high <= bound[1]:
        raise ValueError(f"ColorJitter: {name} must lie in {bound}, got {(low, high)}")
    return None if low == high == center else (low, high)


class GaussianBlur(Module):
    """The image smoothed by a Gaussian whose deviation is drawn evenly.

    Args:
        kernel_size: of the window: an odd number, or (across, down).
        sigma: the range of the deviation, or one number.
    """

    def __init__(self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = F.pair(kernel_size, "GaussianBlur: kernel_size")
        if any(n % 2 == 0 for n in self.kernel_size):
            raise ValueError(f"GaussianBlur: kernel_size must be odd, got {kernel_size!r}")
        bounds = (sigma, sigma) if isinstance(sigma, (int, float)) else tuple(sigma)
        if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1]:
            raise ValueError(f"GaussianBlur: sigma must be a number above 0 or a range of them, got {sigma!r}")
        self.sigma = bounds

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """A deviation in this range."""
        return uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, self.kernel_size, [sigma, sigma])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"


class RandomErasing(Module):
    """A rectangle of a tensor or array image overwritten, with probability `p` (Zhong et al., 2017).

    Args:
        scale: the range of its share of the area.
        ratio: the range of its height / width.
        value: a number, one per channel, or "random" for Gaussian noise.
        inplace: write into the image.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float | str | Sequence[float] = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(value, (int, float, str, tuple, list)):
            raise TypeError(f"RandomErasing: value must be a number, a sequence or 'random', got {value!r}")
        if isinstance(value, str) and value != "random":
            raise ValueError(f"RandomErasing: the only text that value can be is 'random', got {value!r}")
        if not isinstance(scale, Sequence) or not isinstance(ratio, Sequence):
            raise TypeError(f"RandomErasing: scale and ratio must be pairs, got {scale!r} and {ratio!r}")
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise ValueError(f"RandomErasing: scale must be a range in [0, 1], got {scale!r}")
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"RandomErasing: ratio must be a range above 0, got {ratio!r}")
        self.p = probability("RandomErasing", p)
        self.scale, self.ratio, self.value, self.inplace = scale, ratio, value, inplace

    @staticmethod
    def get_params(
        img: Any, scale: Sequence[float], ratio: Sequence[float], value: Sequence[float] | None = None
    ) -> tuple[int, int, int, int, Any]:
        """(top, left, height, width, value) of a rectangle drawn for `img`; all of it as it is, if ten do not fit."""
        channels, height, width = F.get_dimensions(img)
        draw = current_generator().numpy
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            shape = math.exp(uniform(math.log(ratio[0]), math.log(ratio[1])))
            h, w = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if not (h < height and w < width):
                continue
            if value is None:
                content = draw.standard_normal((channels, h, w)).astype("float32")
            else:
                content = np.asarray(value, np.float32).reshape(-1, 1, 1)
            return int(draw.integers(0, height - h + 1)), int(draw.integers(0, width - w + 1)), h, w, wrap(content)
        return 0, 0, height, width, img

    def forward(self, img: Any) -> Any:
        if not happens(self.p):
            return img
        value: Sequence[float] | None
        if isinstance(self.value, (int, float)):
            value = [float(self.value)]
        elif isinstance(self.value, str):
            value = None
        else:
            value = [float(number) for number in self.value]
        channels = F.get_dimensions(img)[0]
        if value is not None and len(value) not in (1, channels):
            raise ValueError(f"RandomErasing: value must have 1 or {channels} numbers, got {len(value)}")
        top, left, height, width, content = self.get_params(img, self.scale, self.ratio, value)
        if content is img:
            return img
        if isinstance(img, Tensor):
            content = content.to(img.dtype)
        return F.erase(img, top, left, height, width, content, self.inplace)

    def __repr__(self) -> str:
        parts = (f"{name}={getattr(self, name)}" for name in ("p", "scale", "ratio", "value", "inplace"))
        return f"{type(self).__name__}({', '.join(parts)})"


class _WithProbability(Module):
    """A function of the image, applied with probability `p`."""

    names: tuple[str, ...] = ()

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = probability(type(self).__name__, p)

    def change(self, img: Any) -> Any:
        """The image changed."""
        return img

    def forward(self, img: Any) -> Any:
        return self.change(img) if happens(self.p) else img

    def __repr__(self) -> str:
        parts = [f"{name}={getattr(self, name)}" for name in (*self.names, "p")]
        return f"{type(self).__name__}({','.join(parts)})"


class RandomInvert(_WithProbability):
    """The negative with probability `p`."""

    def change(self, img: Any) -> Any:
        return F.invert(img)


class RandomPosterize(_WithProbability):
    """`functional.posterize` to `bits` bits with probability `p`."""

    names = ("bits",)

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def change(self, img: Any) -> Any:
        return F.posterize(img, self.bits)


class RandomSolarize(_WithProbability):
    """`functional.solarize` from `threshold` on, with probability `p`."""

    names = ("threshold",)

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def change(self, img: Any) -> Any:
        return F.solarize(img, self.threshold)


class RandomAdjustSharpness(_WithProbability):
    """`functional.adjust_sharpness` with probability `p`."""

    names = ("sharpness_factor",)

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def change(self, img: Any) -> Any:
        return F.adjust_sharpness(img, self.sharpness_factor)


class RandomAutocontrast(_WithProbability):
    """`functional.autocontrast` with probability `p`."""

    def change(self, img: Any) -> Any:
        return F.autocontrast(img)


class RandomEqualize(_WithProbability):
    """`functional.equalize` with probability `p`."""

    def change(self, img: Any) -> Any:
        return F.equalize(img)
