"""The transforms as callables with torchvision's names, arguments and reprs.

They take PIL images, arrays (H, W) or (H, W, C), and tensors (..., H, W). The random ones draw from the generator of
the batch that a `DataLoader` is loading, else from the default generator (`tinycnn.manual_seed`). As in torchvision,
most of them are `nn.Module`s, so that they go into an `nn.Sequential` too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..._tensor import Tensor
from ...dtypes import as_dtype
from ...nn import Module
from ...utils.data._worker import current_generator
from . import functional as F
from ._resample import InterpolationMode, as_mode, is_positive_int
from .geometry import happens, probability


class Compose:
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return "\n".join([f"{type(self).__name__}(", *(f"    {transform}" for transform in self.transforms), ")"])


class ToTensor:
    """A PIL image or array (H, W) or (H, W, C) as a Tensor (C, H, W); uint8 becomes float32 in [0, 1]."""

    def __call__(self, pic: Any) -> Tensor:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class PILToTensor:
    """A PIL image as a Tensor (C, H, W) of its own dtype, its values unchanged."""

    def __call__(self, pic: Any) -> Tensor:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ToPILImage:
    """A tensor (C, H, W) or an array (H, W, C) as a PIL image, see `functional.to_pil_image`."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({f'mode={self.mode}' if self.mode is not None else ''})"


class ConvertImageDtype(Module):
    """A tensor in another dtype, its values scaled: floats span [0, 1], integers 0 to their largest number."""

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype = as_dtype(dtype)

    def forward(self, image: Tensor) -> Tensor:
        return F.convert_image_dtype(image, self.dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Normalize(Module):
    """(x - mean[c]) / std[c] for each channel c of a float tensor (..., C, H, W).

    Args:
        mean: one number per channel, or one for all.
        std: likewise, none of them 0.
        inplace: write into the tensor.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.inplace = mean, std, inplace

    def forward(self, tensor: Tensor) -> Tensor:
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


class Resize(Module):
    """The image resampled to `size`: (height, width), or the length of the shorter edge.

    Args:
        interpolation: an `InterpolationMode`, its name, or Pillow's number.
        max_size: bound for the longer edge, if `size` is one number.
        antialias: for tensors; PIL images and uint8 arrays are always antialiased.

    Raises:
        TypeError, ValueError: for sizes that are not positive ints, one or two of them.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: InterpolationMode | str | int = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        if not isinstance(size, (int, Sequence)) or isinstance(size, str):
            raise TypeError(f"Resize: size must be an int or a pair (height, width), got {type(size).__name__}")
        F.pair(size, "Resize: size")
        if max_size is not None and not is_positive_int(max_size):
            raise ValueError(f"Resize: max_size must be a positive int or None, got {max_size!r}")
        self.size, self.max_size, self.antialias = size, max_size, antialias
        self.interpolation = as_mode(interpolation)

    def forward(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


class Pad(Module):
    """The image with a border of `padding` pixels: all sides, (left and right, top and bottom), or all four.

    Args:
        fill: the value of a constant border, or one per channel.
        padding_mode: "constant", "edge", "reflect" or "symmetric", see `functional.pad`.
    """

    def __init__(self, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        check_padding("Pad", padding, fill, padding_mode)
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def forward(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


def check_padding(name: str, padding: Any, fill: Any, padding_mode: str) -> None:
    """Refuse arguments that `functional.pad` would refuse for every image."""
    if not isinstance(padding, (int, tuple, list)):
        raise TypeError(f"{name}: padding must be an int or a sequence of ints, got {type(padding).__name__}")
    F.sides(padding)
    if not isinstance(fill, (int, float, tuple, list)):
        raise TypeError(f"{name}: fill must be a number or a tuple of numbers, got {type(fill).__name__}")
    if padding_mode not in F.PADDING_MODES:
        raise ValueError(f"{name}: padding_mode must be one of {', '.join(F.PADDING_MODES)}, got {padding_mode!r}")


class CenterCrop(Module):
    """The middle `size` = (height, width) of the image, padded with 0 where the image is smaller."""

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = F.pair(size, "CenterCrop: size")

    def forward(self, img: Any) -> Any:
        return F.center_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class RandomCrop(Module):
    """A window of `size` = (height, width) at a place drawn uniformly.

    Args:
        padding: pad before, as `Pad` does.
        pad_if_needed: pad an image that is smaller than `size` by what is missing, on both sides.
        fill: see `Pad`.
        padding_mode: see `Pad`.

    Raises:
        ValueError: when called, if the (padded) image is smaller than `size`.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = F.pair(size, "RandomCrop: size")
        check_padding("RandomCrop", 0 if padding is None else padding, fill, padding_mode)
        self.padding, self.pad_if_needed = padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a window drawn for `img`."""
        _, height, width = F.get_dimensions(img)
        rows, columns = output_size
        if height < rows or width < columns:
            raise ValueError(
                f"RandomCrop: size {(rows, columns)} is larger than the image {(height, width)}; "
                "give padding, or pad_if_needed=True"
            )
        if (height, width) == (rows, columns):
            return 0, 0, rows, columns
        draw = current_generator().numpy
        top, left = int(draw.integers(0, height - rows + 1)), int(draw.integers(0, width - columns + 1))
        return top, left, rows, columns

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            _, height, width = F.get_dimensions(img)
            missing = (max(self.size[1] - width, 0), max(self.size[0] - height, 0))
            if any(missing):
                img = F.pad(img, missing, self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


class RandomHorizontalFlip(Module):
    """The image mirrored left to right with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = probability("RandomHorizontalFlip", p)

    def forward(self, img: Any) -> Any:
        return F.hflip(img) if happens(self.p) else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class Lambda:
    """Calls `lambd` on the image.

    Raises:
        TypeError: if it is not callable.
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Lambda: expected a function, got {type(lambd).__name__}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Several:
    """What the transforms that hold transforms share."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError(
                f"{type(self).__name__}: expected a sequence of transforms, got {type(transforms).__name__}"
            )
        self.transforms = transforms

    def __repr__(self) -> str:
        return "\n".join([f"{type(self).__name__}(", *(f"    {transform}" for transform in self.transforms), ")"])


class RandomApply(Module):
    """All of the transforms, or with probability 1 - p none of them."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        super().__init__()
        self.transforms, self.p = transforms, probability("RandomApply", p)

    def forward(self, img: Any) -> Any:
        if happens(self.p):
            for transform in self.transforms:
                img = transform(img)
        return img

    def __repr__(self) -> str:
        return "\n".join([f"{type(self).__name__}(", f"    p={self.p}", *(f"    {t}" for t in self.transforms), ")"])


class RandomOrder(_Several):
    """All of the transforms, in a random order."""

    def __call__(self, img: Any) -> Any:
        for number in current_generator().numpy.permutation(len(self.transforms)).tolist():
            img = self.transforms[number](img)
        return img


class RandomChoice(_Several):
    """One of the transforms, drawn evenly or with the chances `p` (which need not sum to 1)."""

    def __init__(self, transforms: Sequence[Callable[..., Any]], p: Sequence[float] | None = None) -> None:
        super().__init__(transforms)
        if p is not None and (not isinstance(p, Sequence) or len(p) != len(transforms)):
            raise ValueError(
                f"RandomChoice: p must have one chance for each of {len(transforms)} transforms, got {p!r}"
            )
        self.p = p

    def __call__(self, *args: Any) -> Any:
        chances = None if self.p is None else np.asarray(self.p, np.float64) / sum(self.p)
        return self.transforms[int(current_generator().numpy.choice(len(self.transforms), p=chances))](*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"


class LinearTransformation(Module):
    """(x - mean) @ matrix of the flattened image, for example for whitening.

    Args:
        transformation_matrix: (D, D), D = C * H * W.
        mean_vector: (D,).
    """

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        super().__init__()
        size = transformation_matrix.shape
        if len(size) != 2 or size[0] != size[1] or tuple(mean_vector.shape) != (size[0],):
            raise ValueError(
                f"LinearTransformation: a square matrix (D, D) and a vector (D,), got {tuple(size)} and "
                f"{tuple(mean_vector.shape)}"
            )
        self.transformation_matrix, self.mean_vector = transformation_matrix, mean_vector

    def forward(self, tensor: Tensor) -> Tensor:
        shape = tuple(tensor.shape)
        size = shape[-3] * shape[-2] * shape[-1]
        if size != self.transformation_matrix.shape[0]:
            raise ValueError(
                f"LinearTransformation: an image {shape[-3:]} has {size} values, the matrix has "
                f"{self.transformation_matrix.shape[0]} rows"
            )
        flat = tensor.reshape(-1, size) - self.mean_vector
        return (flat @ self.transformation_matrix).reshape(shape)

    def __repr__(self) -> str:
        matrix, mean = self.transformation_matrix.tolist(), self.mean_vector.tolist()
        return f"{type(self).__name__}(transformation_matrix={matrix}, mean_vector={mean})"
