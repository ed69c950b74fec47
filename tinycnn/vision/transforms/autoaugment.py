"""Policies of random changes: AutoAugment, RandAugment and TrivialAugmentWide."""

from __future__ import annotations

import enum
import math
from typing import Any

import numpy as np

from ...nn import Module
from ...utils.data._worker import current_generator
from . import functional as F
from ._resample import InterpolationMode, as_mode
from .geometry import filled


class AutoAugmentPolicy(enum.Enum):
    """The data set that a policy was learned on."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


# The 25 pairs of each policy (Cubuk et al., "AutoAugment", CVPR 2019, appendix): name, probability in tenths, level
# (a dash: there is none).
_POLICIES = {
    "imagenet": """
        Posterize 4 8 Rotate 6 9, Solarize 6 5 AutoContrast 6 -, Equalize 8 - Equalize 6 -, Posterize 6 7 Posterize 6 6,
        Equalize 4 - Solarize 2 4, Equalize 4 - Rotate 8 8, Solarize 6 3 Equalize 6 -, Posterize 8 5 Equalize 10 -,
        Rotate 2 3 Solarize 6 8, Equalize 6 - Posterize 4 6, Rotate 8 8 Color 4 0, Rotate 4 9 Equalize 6 -,
        Equalize 0 - Equalize 8 -, Invert 6 - Equalize 10 -, Color 6 4 Contrast 10 8, Rotate 8 8 Color 10 2,
        Color 8 8 Solarize 8 7, Sharpness 4 7 Invert 6 -, ShearX 6 5 Equalize 10 -, Color 4 0 Equalize 6 -,
        Equalize 4 - Solarize 2 4, Solarize 6 5 AutoContrast 6 -, Invert 6 - Equalize 10 -, Color 6 4 Contrast 10 8,
        Equalize 8 - Equalize 6 -""",
    "cifar10": """
        Invert 1 - Contrast 2 6, Rotate 7 2 TranslateX 3 9, Sharpness 8 1 Sharpness 9 3, ShearY 5 8 TranslateY 7 9,
        AutoContrast 5 - Equalize 9 -, ShearY 2 7 Posterize 3 7, Color 4 3 Brightness 6 7, Sharpness 3 9 Brightness 7 9,
        Equalize 6 - Equalize 5 -, Contrast 6 7 Sharpness 6 5, Color 7 7 TranslateX 5 8, Equalize 3 - AutoContrast 4 -,
        TranslateY 4 3 Sharpness 2 6, Brightness 9 6 Color 2 8, Solarize 5 2 Invert 0 -, Equalize 2 - AutoContrast 6 -,
        Equalize 2 - Equalize 6 -, Color 9 9 Equalize 6 -, AutoContrast 8 - Solarize 2 8, Brightness 1 3 Color 7 0,
        Solarize 4 5 AutoContrast 9 -, TranslateY 9 9 TranslateY 7 9, AutoContrast 9 - Solarize 8 3,
        Equalize 8 - Invert 1 -, TranslateY 7 9 AutoContrast 9 -""",
    "svhn": """
        ShearX 9 4 Invert 2 -, ShearY 9 8 Invert 7 -, Equalize 6 - Solarize 6 6, Invert 9 - Equalize 6 -,
        Equalize 6 - Rotate 9 3, ShearX 9 4 AutoContrast 8 -, ShearY 9 8 Invert 4 -, ShearY 9 5 Solarize 2 6,
        Invert 9 - AutoContrast 8 -, Equalize 6 - Rotate 9 3, ShearX 9 4 Solarize 3 3, ShearY 8 8 Invert 7 -,
        Equalize 9 - TranslateY 6 6, Invert 9 - Equalize 6 -, Contrast 3 3 Rotate 8 4, Invert 8 - TranslateY 0 2,
        ShearY 7 6 Solarize 4 8, Invert 6 - Rotate 8 4, ShearY 3 7 TranslateX 9 3, ShearX 1 6 Invert 6 -,
        Solarize 7 2 TranslateY 6 7, ShearY 8 4 Invert 8 -, ShearX 7 9 TranslateY 8 3, ShearY 8 5 AutoContrast 7 -,
        ShearX 7 2 Invert 1 -""",
}
_SIGNED = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness")


def _magnitudes(bins: int, shear: float, shift: tuple[float, float], turn: float, color: float, bits: int) -> Any:
    """For each change its strengths, weakest first; a change without strength has None."""
    levels = np.arange(bins)
    space: dict[str, Any] = {"Identity": None}
    for name in ("ShearX", "ShearY"):
        space[name] = np.linspace(0, shear, bins)
    space["TranslateX"], space["TranslateY"] = np.linspace(0, shift[0], bins), np.linspace(0, shift[1], bins)
    space["Rotate"] = np.linspace(0, turn, bins)
    for name in ("Brightness", "Color", "Contrast", "Sharpness"):
        space[name] = np.linspace(0, color, bins)
    space["Posterize"] = 8 - np.rint(levels / ((bins - 1) / bits))
    space["Solarize"] = np.linspace(255, 0, bins)
    space["AutoContrast"] = space["Equalize"] = None
    return space


class _Policy(Module):
    """What the policies share. Images are PIL images, or uint8 tensors and arrays with 1 or 3 channels."""

    def __init__(self, interpolation: Any, fill: Any) -> None:
        super().__init__()
        self.interpolation, self.fill = as_mode(interpolation), fill

    def change(self, img: Any, name: str, magnitude: float) -> Any:
        """The image after one change."""
        fill, mode = filled(img, self.fill), self.interpolation
        if name in ("ShearX", "ShearY"):
            slope = math.degrees(math.atan(magnitude))
            shear = [slope, 0.0] if name == "ShearX" else [0.0, slope]
            return F.affine(img, 0.0, [0, 0], 1.0, shear, mode, fill, [0, 0])
        if name in ("TranslateX", "TranslateY"):
            shift = [int(magnitude), 0] if name == "TranslateX" else [0, int(magnitude)]
            return F.affine(img, 0.0, shift, 1.0, [0.0, 0.0], mode, fill)
        if name == "Rotate":
            return F.rotate(img, magnitude, mode, fill=fill)
        if name == "Posterize":
            return F.posterize(img, int(magnitude))
        if name == "Solarize":
            return F.solarize(img, magnitude)
        blends = {
            "Brightness": F.adjust_brightness,
            "Color": F.adjust_saturation,
            "Contrast": F.adjust_contrast,
            "Sharpness": F.adjust_sharpness,
        }
        if name in blends:
            return blends[name](img, 1.0 + magnitude)
        plain = {"AutoContrast": F.autocontrast, "Equalize": F.equalize, "Invert": F.invert}
        return plain[name](img) if name in plain else img


class AutoAugment(_Policy):
    """One of 25 pairs of changes, drawn evenly, each with its own probability and strength.

    Args:
        policy: the data set that the pairs were learned on.
        interpolation, fill: see `functional.affine`.
    """

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: InterpolationMode | str | int = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        if not isinstance(policy, AutoAugmentPolicy):
            raise ValueError(f"AutoAugment: policy must be an AutoAugmentPolicy, got {policy!r}")
        self.policy = policy
        self.policies = []
        for pair in _POLICIES[policy.value].split(","):
            words = pair.split()
            halves = (words[:3], words[3:])
            self.policies.append([(n, int(p) / 10, None if level == "-" else int(level)) for n, p, level in halves])

    def forward(self, img: Any) -> Any:
        draw = current_generator().numpy
        _, height, width = F.get_dimensions(img)
        space = _magnitudes(10, 0.3, (150 / 331 * width, 150 / 331 * height), 30, 0.9, 4)
        for name, p, level in self.policies[int(draw.integers(len(self.policies)))]:
            applied, negative = draw.random() <= p, draw.integers(2) == 0
            if applied:
                magnitude = 0.0 if level is None else float(space[name][level])
                img = self.change(img, name, -magnitude if negative and name in _SIGNED else magnitude)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(policy={self.policy}, fill={self.fill})"


class RandAugment(_Policy):
    """`num_ops` changes drawn evenly, all of the strength `magnitude` of `num_magnitude_bins` (Cubuk et al., 2020)."""

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode | str | int = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        if not 0 <= magnitude < num_magnitude_bins:
            raise ValueError(f"RandAugment: magnitude must lie in 0..{num_magnitude_bins - 1}, got {magnitude}")
        self.num_ops, self.magnitude, self.num_magnitude_bins = num_ops, magnitude, num_magnitude_bins

    def forward(self, img: Any) -> Any:
        draw = current_generator().numpy
        _, height, width = F.get_dimensions(img)
        space = _magnitudes(self.num_magnitude_bins, 0.3, (150 / 331 * width, 150 / 331 * height), 30, 0.9, 4)
        for _ in range(self.num_ops):
            name = list(space)[int(draw.integers(len(space)))]
            magnitude = 0.0 if space[name] is None else float(space[name][self.magnitude])
            img = self.change(img, name, -magnitude if name in _SIGNED and draw.integers(2) else magnitude)
        return img

    def __repr__(self) -> str:
        names = ("num_ops", "magnitude", "num_magnitude_bins", "interpolation", "fill")
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)}' for name in names)})"


class TrivialAugmentWide(_Policy):
    """One change of one strength, both drawn evenly (Müller and Hutter, 2021)."""

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode | str | int = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, img: Any) -> Any:
        draw = current_generator().numpy
        space = _magnitudes(self.num_magnitude_bins, 0.99, (32, 32), 135, 0.99, 6)
        name = list(space)[int(draw.integers(len(space)))]
        magnitude = 0.0 if space[name] is None else float(space[name][int(draw.integers(self.num_magnitude_bins))])
        return self.change(img, name, -magnitude if name in _SIGNED and draw.integers(2) else magnitude)

    def __repr__(self) -> str:
        names = ("num_magnitude_bins", "interpolation", "fill")
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)}' for name in names)})"
