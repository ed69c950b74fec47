"""The random geometric transforms: crops, flips, rotations, affine and perspective maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...nn import Module
from ...utils.data._worker import current_generator
from . import functional as F
from ._resample import InterpolationMode, as_mode


def probability(name: str, p: Any) -> float:
    """`p`, if it is a probability."""
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ValueError(f"{name}: p must be a probability in [0, 1], got {p!r}")
    return p


def happens(p: float) -> bool:
    """True with probability `p`."""
    return bool(current_generator().numpy.random() < p)


def uniform(low: float, high: float) -> float:
    """A number drawn evenly from [low, high]."""
    return float(current_generator().numpy.uniform(low, high))


def angles(name: str, value: Any, lengths: tuple[int, ...] = (2,)) -> list[float]:
    """[-value, value] of a number, or the numbers of a sequence of one of these lengths."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"{name}: one number must be from 0 on, got {value}")
        return [-float(value), float(value)]
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f"{name} must be a number or a sequence of {' or '.join(map(str, lengths))}, got {value!r}")
    if len(value) not in lengths:
        raise ValueError(f"{name} must have {' or '.join(map(str, lengths))} numbers, got {value!r}")
    return [float(number) for number in value]


class RandomVerticalFlip(Module):
    """The image mirrored top to bottom with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = probability("RandomVerticalFlip", p)

    def forward(self, img: Any) -> Any:
        return F.vflip(img) if happens(self.p) else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomResizedCrop(Module):
    """A window of random area and shape, resized to `size`.

    Args:
        size: (height, width), or one number for both.
        scale: the window's share of the area, drawn evenly from this range.
        ratio: its width / height, whose logarithm is drawn evenly.
        interpolation: see `Resize`.
        antialias: for tensors, see `Resize`.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: InterpolationMode | str | int = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = F.pair(size, "RandomResizedCrop: size")
        for name, bounds in (("scale", scale), ("ratio", ratio)):
            if not isinstance(bounds, Sequence):
                raise TypeError(f"RandomResizedCrop: {name} must be a pair of numbers, got {bounds!r}")
            if len(bounds) != 2 or bounds[0] > bounds[1] or bounds[0] < 0:
                raise ValueError(f"RandomResizedCrop: {name} must be a pair (low, high) from 0 on, got {bounds!r}")
        self.scale, self.ratio, self.antialias = scale, ratio, antialias
        self.interpolation = as_mode(interpolation)

    @staticmethod
    def get_params(img: Any, scale: Sequence[float], ratio: Sequence[float]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a window drawn for `img`; its middle, if ten draws do not fit into it."""
        _, height, width = F.get_dimensions(img)
        draw = current_generator().numpy
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            shape = math.exp(uniform(math.log(ratio[0]), math.log(ratio[1])))
            w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < w <= width and 0 < h <= height:
                return int(draw.integers(0, height - h + 1)), int(draw.integers(0, width - w + 1)), h, w
        now = width / height
        h, w = height, width
        if now < min(ratio):
            h = round(width / min(ratio))
        elif now > max(ratio):
            w = round(height * max(ratio))
        return (height - h) // 2, (width - w) // 2, h, w

    def forward(self, img: Any) -> Any:
        window = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *window, self.size, self.interpolation, self.antialias)

    def __repr__(self) -> str:
        scale, ratio = (tuple(round(number, 4) for number in bounds) for bounds in (self.scale, self.ratio))
        return (
            f"{type(self).__name__}(size={self.size}, scale={scale}, ratio={ratio}, "
            f"interpolation={self.interpolation.value}, antialias={self.antialias})"
        )


class FiveCrop(Module):
    """The four corners and the middle of the image, a tuple of five, see `functional.five_crop`."""

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = F.pair(size, "FiveCrop: size")

    def forward(self, img: Any) -> tuple[Any, ...]:
        return F.five_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class TenCrop(Module):
    """`FiveCrop` of the image and of its mirror image, a tuple of ten."""

    def __init__(self, size: int | Sequence[int], vertical_flip: bool = False) -> None:
        super().__init__()
        self.size, self.vertical_flip = F.pair(size, "TenCrop: size"), vertical_flip

    def forward(self, img: Any) -> tuple[Any, ...]:
        return F.ten_crop(img, self.size, self.vertical_flip)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, vertical_flip={self.vertical_flip})"


def filled(img: Any, fill: Any) -> Any:
    """`fill` as `functional` wants it: for tensors one number per channel."""
    if F.is_image(img) or fill is None or isinstance(fill, Sequence):
        return fill
    return [float(fill)] * F.get_dimensions(img)[0]


class RandomRotation(Module):
    """The image turned by an angle drawn evenly.

    Args:
        degrees: (low, high), or d for (-d, d); counter-clockwise.
        interpolation, expand, center, fill: see `functional.rotate`.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: InterpolationMode | str | int = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Sequence[int] | None = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.degrees = angles("RandomRotation: degrees", degrees)
        if center is not None and len(center) != 2:
            raise ValueError(f"RandomRotation: center must be (x, y), got {center!r}")
        if fill is not None and not isinstance(fill, (int, float, Sequence)):
            raise TypeError(f"RandomRotation: fill must be a number or a sequence of them, got {fill!r}")
        self.interpolation, self.expand = as_mode(interpolation), expand
        self.center, self.fill = center, 0 if fill is None else fill

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """An angle in this range."""
        return uniform(float(degrees[0]), float(degrees[1]))

    def forward(self, img: Any) -> Any:
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, filled(img, self.fill))

    def __repr__(self) -> str:
        text = f"{type(self).__name__}(degrees={self.degrees}, interpolation={self.interpolation.value}"
        text += f", expand={self.expand}"
        text += f", center={self.center}" if self.center is not None else ""
        return text + (f", fill={self.fill})" if self.fill is not None else ")")


class RandomAffine(Module):
    """The image turned, moved, scaled and sheared at random around its middle.

    Args:
        degrees: (low, high), or d for (-d, d).
        translate: the largest shift as a share of (width, height).
        scale: the range of the scale.
        shear: d for (-d, d) along x, (low, high) along x, or (low, high, low, high) along x and y.
        interpolation, fill, center: see `functional.affine`.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: InterpolationMode | str | int = InterpolationMode.NEAREST,
        fill: Any = 0,
        center: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.degrees = angles("RandomAffine: degrees", degrees)
        if translate is not None and (len(translate) != 2 or not all(0 <= t <= 1 for t in translate)):
            raise ValueError(f"RandomAffine: translate must be two shares in [0, 1], got {translate!r}")
        if scale is not None and (len(scale) != 2 or not all(s > 0 for s in scale)):
            raise ValueError(f"RandomAffine: scale must be two numbers above 0, got {scale!r}")
        self.translate, self.scale = translate, scale
        self.shear = None if shear is None else angles("RandomAffine: shear", shear, (2, 4))
        self.interpolation, self.fill, self.center = as_mode(interpolation), 0 if fill is None else fill, center

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """(angle, (right, down), scale, (shear x, shear y)) for an image of `img_size` = (width, height)."""
        angle = uniform(degrees[0], degrees[1])
        shift = (0, 0)
        if translate is not None:
            across, down = translate[0] * img_size[0], translate[1] * img_size[1]
            shift = (round(uniform(-across, across)), round(uniform(-down, down)))
        scale = 1.0 if scale_ranges is None else uniform(scale_ranges[0], scale_ranges[1])
        x = y = 0.0
        if shears is not None:
            x = uniform(shears[0], shears[1])
            y = uniform(shears[2], shears[3]) if len(shears) == 4 else 0.0
        return angle, shift, scale, (x, y)

    def forward(self, img: Any) -> Any:
        _, height, width = F.get_dimensions(img)
        drawn = self.get_params(self.degrees, self.translate, self.scale, self.shear, [width, height])
        return F.affine(img, *drawn, self.interpolation, filled(img, self.fill), self.center)

    def __repr__(self) -> str:
        text = f"{type(self).__name__}(degrees={self.degrees}"
        for name in ("translate", "scale", "shear"):
            value = getattr(self, name)
            text += f", {name}={value}" if value is not None else ""
        if self.interpolation is not InterpolationMode.NEAREST:
            text += f", interpolation={self.interpolation.value}"
        text += f", fill={self.fill}" if self.fill != 0 else ""
        return text + (f", center={self.center})" if self.center is not None else ")")


class RandomPerspective(Module):
    """The image seen from aside with probability `p`: each corner moves inwards by up to half of `distortion_scale`."""

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: InterpolationMode | str | int = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        if not 0 <= distortion_scale <= 1:
            raise ValueError(f"RandomPerspective: distortion_scale must lie in [0, 1], got {distortion_scale}")
        self.p, self.distortion_scale = probability("RandomPerspective", p), distortion_scale
        self.interpolation, self.fill = as_mode(interpolation), 0 if fill is None else fill

    @staticmethod
    def get_params(width: int, height: int, distortion_scale: float) -> tuple[list[list[int]], list[list[int]]]:
        """(startpoints, endpoints) of `functional.perspective`."""
        draw = current_generator().numpy
        across, down = int(distortion_scale * (width // 2)) + 1, int(distortion_scale * (height // 2)) + 1
        startpoints = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        endpoints = []
        for x, y in startpoints:
            right, lower = int(draw.integers(0, across)), int(draw.integers(0, down))
            endpoints.append([x - right if x else right, y - lower if y else lower])
        return startpoints, endpoints

    def forward(self, img: Any) -> Any:
        if not happens(self.p):
            return img
        _, height, width = F.get_dimensions(img)
        points = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, *points, self.interpolation, filled(img, self.fill))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"
