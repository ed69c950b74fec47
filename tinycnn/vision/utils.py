"""Pictures of tensors: grids of images, and files of them (``torchvision.utils``)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._tensor import Tensor, wrap
from ._pillow import require

__all__ = ["draw_bounding_boxes", "make_grid", "save_image"]


def make_grid(
    tensor: Tensor | list[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """One image (C, ymaps*(H+padding)+padding, xmaps*(W+padding)+padding) of a batch; not recorded for gradients.

    Args:
        tensor: images (N, C, H, W), a list of images of one size, or one image (C, H, W) or (H, W). One channel
            becomes three equal ones; a single image comes back without a frame.
        nrow: images per row of the grid.
        padding: pixels between the images and around them.
        normalize: shift and scale to [0, 1].
        value_range: what becomes 0 and 1; the smallest and the largest value if None.
        scale_each: take these for each image, instead of for all of them.
        pad_value: the value of the frame.

    Raises:
        TypeError: if `tensor` is neither, or `value_range` no tuple.
        ValueError: for other shapes.
    """
    images = _batch(tensor)
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError(f"make_grid: value_range must be a tuple (low, high), got {value_range!r}")
        images = images.copy()
        for part in images if scale_each else [images]:
            low, high = value_range or (float(part.min()), float(part.max()))
            np.clip(part, low, high, out=part)
            part -= part.dtype.type(low)
            part /= part.dtype.type(max(high - low, 1e-5))
    count, channels, height, width = images.shape
    if count == 1:
        return wrap(images[0].copy())
    columns = min(nrow, count)
    rows = -(-count // columns)
    down, right = height + padding, width + padding
    grid = np.full((channels, rows * down + padding, columns * right + padding), pad_value, images.dtype)
    for number, image in enumerate(images):
        top, left = number // columns * down + padding, number % columns * right + padding
        grid[:, top : top + height, left : left + width] = image
    return wrap(grid)


def _batch(tensor: Any) -> np.ndarray:
    """The images as an array (N, C, H, W), one channel widened to three."""
    if isinstance(tensor, (list, tuple)):
        for position, image in enumerate(tensor):
            if not isinstance(image, Tensor):
                raise TypeError(f"make_grid: item {position} of the list must be a Tensor, got {type(image).__name__}")
        shapes = {tuple(image.shape) for image in tensor}
        if len(shapes) != 1:
            raise ValueError(f"make_grid: the images of a list must have one size, got {sorted(shapes)}")
        images = np.stack([image.detach().cpu().array for image in tensor])
    elif isinstance(tensor, Tensor):
        images = tensor.detach().cpu().array
    else:
        raise TypeError(f"make_grid: expected a Tensor or a list of Tensors, got {type(tensor).__name__}")
    if images.ndim not in (2, 3, 4):
        raise ValueError(f"make_grid: expected (N, C, H, W), (C, H, W) or (H, W), got shape {images.shape}")
    while images.ndim < 4:
        images = images[None]
    if not images.shape[0]:
        raise ValueError(f"make_grid: there is no image in a batch of shape {images.shape}")
    return np.repeat(images, 3, axis=1) if images.shape[1] == 1 else images


def save_image(
    tensor: Tensor | list[Tensor], fp: str | os.PathLike[str] | Any, format: str | None = None, **kwargs: Any
) -> None:
    """Write the grid of the images, whose values lie in [0, 1], into a file: ``uint8(clip(255 * x + 0.5, 0, 255))``.

    Args:
        tensor: see `make_grid`, which gets `kwargs` too.
        fp: the file's name, whose ending says the format, or an open file.
        format: Pillow's name of the format; needed for an open file without a name.

    Raises:
        ImportError: if Pillow is not installed.
    """
    image_module = require("save_image")
    grid = make_grid(tensor, **kwargs).array
    pixels = np.clip(grid * 255 + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    image_module.fromarray(np.ascontiguousarray(pixels)).save(fp, format=format)


def draw_bounding_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: Sequence[str] | None = None,
    colors: Any = None,
    fill: bool = False,
    width: int = 1,
) -> Tensor:
    """The image (C, H, W) with rectangles drawn into a copy of it.

    Args:
        image: uint8, or float in [0, 1]; one or three channels (the result has three).
        boxes: (N, 4), each (xmin, ymin, xmax, ymax) in pixels.
        labels: a text for each box.
        colors: one colour for all boxes or a list with one for each: names, "#rrggbb", or (r, g, b). Red if None.
        fill: fill the boxes half transparently.
        width: of the lines.

    Raises:
        TypeError, ValueError: if the image or the boxes are of other shapes, dtypes or orders.
    """
    if not isinstance(image, Tensor) or not (image.is_floating_point() or image.array.dtype == np.uint8):
        raise TypeError(f"draw_bounding_boxes: image must be a uint8 or float Tensor, got {_kind(image)}")
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ValueError(f"draw_bounding_boxes: image must be (1, H, W) or (3, H, W), got {tuple(image.shape)}")
    corners = np.asarray(boxes.detach().cpu().array if isinstance(boxes, Tensor) else boxes)
    if corners.size == 0:
        return image.detach().clone()
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise ValueError(f"draw_bounding_boxes: boxes must be (N, 4), got {corners.shape}")
    if (corners[:, 0] > corners[:, 2]).any() or (corners[:, 1] > corners[:, 3]).any():
        raise ValueError("draw_bounding_boxes: boxes must be (xmin, ymin, xmax, ymax) with xmin <= xmax, ymin <= ymax")
    count = len(corners)
    for name, values in (("labels", labels), ("colors", colors)):
        if isinstance(values, list) and len(values) < count:
            raise ValueError(f"draw_bounding_boxes: {len(values)} {name} for {count} boxes")
    if labels is not None and len(labels) != count:
        raise ValueError(f"draw_bounding_boxes: {len(labels)} labels for {count} boxes")

    module = require("draw_bounding_boxes")
    from PIL import ImageColor, ImageDraw

    planes = image.detach().cpu().array
    floating = planes.dtype.kind == "f"
    pixels = (planes * 255).astype(np.uint8) if floating else planes
    picture = module.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0)))
    draw = ImageDraw.Draw(picture, "RGBA") if fill else ImageDraw.Draw(picture)
    for number, corner in enumerate(corners.tolist()):
        color = colors[number] if isinstance(colors, list) else colors if colors is not None else "red"
        rgb = ImageColor.getrgb(color) if isinstance(color, str) else tuple(color)
        draw.rectangle(corner, outline=rgb, width=width, fill=(*rgb[:3], 100) if fill else None)
        if labels is not None:
            draw.text((corner[0] + width, corner[1] + width), labels[number], fill=rgb)
    drawn = np.asarray(picture).transpose(2, 0, 1).copy()
    return wrap((drawn / np.float32(255)).astype(planes.dtype) if floating else drawn)


def _kind(thing: Any) -> str:
    return f"a Tensor of {thing.dtype}" if isinstance(thing, Tensor) else type(thing).__name__
