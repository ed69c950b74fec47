"""Rotations, affine and perspective maps, and blurring, as functions of an image.

PIL images are warped by Pillow; tensors and arrays by looking up, for each output pixel, where it comes from, with
zeros outside of the image (torchvision's rule for tensors). Nothing here is recorded for gradients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._pillow import is_image, require
from ._image import check_image, get_dimensions, on_planes
from ._resample import PILLOW_NUMBER, InterpolationMode, as_mode

_AFFINE, _PERSPECTIVE = 0, 2  # PIL.Image.Transform
_MODES = (InterpolationMode.NEAREST, InterpolationMode.BILINEAR)


def inverse_affine_matrix(
    center: Sequence[float], angle: float, translate: Sequence[float], scale: float, shear: Sequence[float]
) -> list[float]:
    """(a, b, c, d, e, f): output pixel (x, y) shows the input at (a x + b y + c, d x + e y + f).

    The map is T(translate) C R(angle) S(scale) Shear C^-1: C moves the centre to the origin, angles are in degrees.
    """
    turn, shear_x, shear_y = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    a = math.cos(turn - shear_y) / math.cos(shear_y)
    b = -math.cos(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) - math.sin(turn)
    c = math.sin(turn - shear_y) / math.cos(shear_y)
    d = -math.sin(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) + math.cos(turn)
    rows = [[d / scale, -b / scale], [-c / scale, a / scale]]  # the determinant of rotation and shear is 1
    x, y = -center[0] - translate[0], -center[1] - translate[1]
    matrix = []
    for (first, second), middle in zip(rows, center, strict=True):
        matrix += [first, second, first * x + second * y + middle]
    return matrix


def _sample(planes: np.ndarray, x: np.ndarray, y: np.ndarray, mode: InterpolationMode, fill: Any) -> np.ndarray:
    """The planes (..., C, H, W) at the places (x, y), in pixels from the middle of the first one."""
    height, width = planes.shape[-2:]
    kind = planes.dtype if planes.dtype.kind == "f" else np.dtype(np.float32)
    source = planes.astype(kind, copy=False)
    result = np.zeros((*planes.shape[:-2], *x.shape), kind)
    covered = np.zeros(x.shape, kind)

    def add(column: np.ndarray, row: np.ndarray, share: np.ndarray) -> None:
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        share = np.where(inside, share, 0).astype(kind)
        picked = source[..., np.where(inside, row, 0).astype(np.intp), np.where(inside, column, 0).astype(np.intp)]
        result[...] += np.where(inside, picked, 0) * share
        covered[...] += share

    if mode is InterpolationMode.NEAREST:
        add(np.rint(x), np.rint(y), np.ones_like(x))
    else:
        left, top = np.floor(x), np.floor(y)
        right, down = x - left, y - top
        add(left, top, (1 - right) * (1 - down))
        add(left + 1, top, right * (1 - down))
        add(left, top + 1, (1 - right) * down)
        add(left + 1, top + 1, right * down)
    if fill is not None:
        colour = np.asarray(fill, kind).reshape(-1, 1, 1)
        if mode is InterpolationMode.NEAREST:
            result = np.where(covered < 0.5, colour, result)
        else:
            result = result * covered + (1 - covered) * colour
    return result.astype(planes.dtype) if planes.dtype.kind == "f" else _rounded(result, planes.dtype)


def _rounded(values: np.ndarray, kind: Any) -> np.ndarray:
    limits = np.iinfo(kind)
    return np.clip(np.rint(values), limits.min, limits.max).astype(kind)


def _fill_for(img: Any, fill: Any, name: str) -> Any:
    """`fill` as Pillow wants it for a PIL image, else as a list with one number or one per channel."""
    channels = get_dimensions(img)[0]
    if fill is None:
        return None
    numbers = [float(n) for n in fill] if isinstance(fill, Sequence) else [float(fill)]
    if len(numbers) not in (1, channels):
        raise ValueError(f"{name}: fill has {len(numbers)} values for an image of {channels} channels")
    if not is_image(img):
        return numbers
    exact: list[Any] = numbers if img.mode == "F" else [int(n) for n in numbers]
    exact = exact * channels if len(exact) == 1 else exact
    return tuple(exact) if channels > 1 else exact[0]


def _mode_for(img: Any, interpolation: Any, name: str) -> InterpolationMode:
    mode = as_mode(interpolation)
    if not is_image(img) and mode not in _MODES:
        raise ValueError(f"{name}: tensors and arrays can be nearest or bilinear, not {mode.value}")
    return mode


def _affine_planes(
    planes: np.ndarray, matrix: Sequence[float], mode: InterpolationMode, fill: Any, size: tuple[int, int]
) -> np.ndarray:
    """The planes mapped by a matrix whose origin is the middle of the image, onto `size` = (height, width)."""
    height, width = planes.shape[-2:]
    kind = planes.dtype if planes.dtype.kind == "f" else np.dtype(np.float32)
    x = (np.arange(size[1], dtype=np.float64) - size[1] * 0.5 + 0.5).astype(kind)
    y = (np.arange(size[0], dtype=np.float64) - size[0] * 0.5 + 0.5).astype(kind)[:, None]
    half, one, two = kind.type(0.5), kind.type(1), kind.type(2)
    a, b, c = (kind.type(value) / (half * kind.type(width)) for value in matrix[:3])
    d, e, f = (kind.type(value) / (half * kind.type(height)) for value in matrix[3:])
    # by way of [-1, 1], as `grid_sample` does, so that ties between two pixels fall alike
    across = ((a * x + b * y + c + one) * kind.type(width) - one) / two
    down = ((d * x + e * y + f + one) * kind.type(height) - one) / two
    return _sample(planes, across, down, mode, fill)


def affine(
    img: Any,
    angle: float,
    translate: Sequence[int],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode | str | int = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Sequence[int] | None = None,
) -> Any:
    """The image turned, moved, scaled and sheared around its middle; its size stays.

    Args:
        angle: degrees, clockwise.
        translate: (right, down) in pixels.
        scale: above 0.
        shear: degrees along x, or (along x, along y).
        interpolation: nearest or bilinear; PIL images also bicubic.
        fill: the colour outside of the image, one number or one per channel; 0 if None.
        center: (x, y) from the upper left corner; the middle if None.

    Raises:
        TypeError, ValueError: for other arguments.
    """
    check_image(img, "affine")
    if not isinstance(angle, (int, float)):
        raise TypeError(f"affine: angle must be a number, got {type(angle).__name__}")
    if not isinstance(translate, (list, tuple)) or len(translate) != 2:
        raise ValueError(f"affine: translate must be (right, down), got {translate!r}")
    if not scale > 0:
        raise ValueError(f"affine: scale must be above 0, got {scale}")
    shears = [float(shear), 0.0] if isinstance(shear, (int, float)) else [float(n) for n in shear]
    if len(shears) not in (1, 2):
        raise ValueError(f"affine: shear must be a number or (along x, along y), got {shear!r}")
    shears = [shears[0], shears[0]] if len(shears) == 1 else shears
    if center is not None and len(center) != 2:
        raise ValueError(f"affine: center must be (x, y), got {center!r}")
    mode, colour = _mode_for(img, interpolation, "affine"), _fill_for(img, fill, "affine")
    _, height, width = get_dimensions(img)
    if is_image(img):
        middle = [width * 0.5, height * 0.5] if center is None else center
        matrix = inverse_affine_matrix(middle, angle, translate, scale, shears)
        return img.transform((width, height), _AFFINE, matrix, PILLOW_NUMBER[mode], fillcolor=colour)
    middle = [0.0, 0.0] if center is None else [center[0] - width * 0.5, center[1] - height * 0.5]
    matrix = inverse_affine_matrix(middle, angle, [1.0 * t for t in translate], scale, shears)
    return on_planes(img, lambda x: _affine_planes(x, matrix, mode, colour, (height, width)))


def rotate(
    img: Any,
    angle: float,
    interpolation: InterpolationMode | str | int = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[int] | None = None,
    fill: Any = None,
) -> Any:
    """The image turned by `angle` degrees, counter-clockwise.

    Args:
        interpolation: nearest or bilinear; PIL images also bicubic.
        expand: enlarge the image so that the turned one fits into it.
        center: (x, y) from the upper left corner; the middle if None.
        fill: the colour outside of the image, one number or one per channel; 0 if None.

    Raises:
        TypeError, ValueError: for other arguments.
    """
    check_image(img, "rotate")
    if not isinstance(angle, (int, float)):
        raise TypeError(f"rotate: angle must be a number, got {type(angle).__name__}")
    if center is not None and len(center) != 2:
        raise ValueError(f"rotate: center must be (x, y), got {center!r}")
    mode, colour = _mode_for(img, interpolation, "rotate"), _fill_for(img, fill, "rotate")
    if is_image(img):
        return img.rotate(angle, PILLOW_NUMBER[mode], expand, center, fillcolor=colour)
    _, height, width = get_dimensions(img)
    middle = [0.0, 0.0] if center is None else [center[0] - width * 0.5, center[1] - height * 0.5]
    matrix = inverse_affine_matrix(middle, -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    size = _size_after(matrix, height, width) if expand else (height, width)
    return on_planes(img, lambda x: _affine_planes(x, matrix, mode, colour, size))


def _size_after(matrix: Sequence[float], height: int, width: int) -> tuple[int, int]:
    """(height, width) of the box around the turned image."""
    corners = np.array([[x, y, 1.0] for x in (-0.5 * width, 0.5 * width) for y in (-0.5 * height, 0.5 * height)])
    places = corners @ np.asarray(matrix).reshape(2, 3).T + [width * 0.5, height * 0.5]
    exact = np.trunc(places / 1e-4) * 1e-4  # 1e-15 above a whole number is that number
    across, down = np.ceil(exact.max(axis=0)) - np.floor(exact.min(axis=0))
    return int(down), int(across)


def perspective_coefficients(startpoints: Sequence[Sequence[int]], endpoints: Sequence[Sequence[int]]) -> list[float]:
    """(a, ..., h): the output pixel (x, y) shows the input at ((ax+by+c) / (gx+hy+1), (dx+ey+f) / (gx+hy+1)).

    Args:
        startpoints: the four corners (x, y) in the image: top left, top right, bottom right, bottom left.
        endpoints: where they go.
    """
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(f"perspective: four points each, got {len(startpoints)} and {len(endpoints)}")
    rows = []
    for (u, v), (x, y) in zip(startpoints, endpoints, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    target = np.asarray(startpoints, np.float64).reshape(8)
    return np.linalg.lstsq(np.asarray(rows, np.float64), target, rcond=None)[0].tolist()


def perspective(
    img: Any,
    startpoints: Sequence[Sequence[int]],
    endpoints: Sequence[Sequence[int]],
    interpolation: InterpolationMode | str | int = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """The image seen from aside: the corners `startpoints` go to `endpoints`, see `perspective_coefficients`."""
    check_image(img, "perspective")
    coefficients = perspective_coefficients(startpoints, endpoints)
    mode, colour = _mode_for(img, interpolation, "perspective"), _fill_for(img, fill, "perspective")
    if is_image(img):
        return img.transform(img.size, _PERSPECTIVE, coefficients, PILLOW_NUMBER[mode], fillcolor=colour)

    def warp(planes: np.ndarray) -> np.ndarray:
        height, width = planes.shape[-2:]
        kind = planes.dtype if planes.dtype.kind == "f" else np.dtype(np.float32)
        a, b, c, d, e, f, g, h = (kind.type(value) for value in coefficients)
        x, y = np.arange(width, dtype=kind) + kind.type(0.5), (np.arange(height, dtype=kind) + kind.type(0.5))[:, None]
        depth = g * x + h * y + kind.type(1)
        half = kind.type(0.5)
        return _sample(planes, (a * x + b * y + c) / depth - half, (d * x + e * y + f) / depth - half, mode, colour)

    return on_planes(img, warp)


def gaussian_blur(img: Any, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None) -> Any:
    """The image smoothed by a Gaussian, reflected at its border.

    Args:
        kernel_size: of the window, (across, down) or one odd number.
        sigma: standard deviations (across, down) or one, in pixels; 0.15 * kernel_size + 0.35 if None.

    Raises:
        ValueError: for even or other sizes and deviations, or a window that reaches beyond the reflected image.
    """
    check_image(img, "gaussian_blur")
    sizes = [kernel_size, kernel_size] if isinstance(kernel_size, int) else list(kernel_size)
    if len(sizes) != 2 or any(n <= 0 or n % 2 == 0 for n in sizes):
        raise ValueError(f"gaussian_blur: kernel_size must be one or two odd numbers above 0, got {kernel_size!r}")
    if sigma is None:
        sigmas = [n * 0.15 + 0.35 for n in sizes]
    else:
        sigmas = [float(sigma)] * 2 if isinstance(sigma, (int, float)) else [float(s) for s in sigma]
        sigmas = sigmas * 2 if len(sigmas) == 1 else sigmas
    if len(sigmas) != 2 or any(not s > 0 for s in sigmas):
        raise ValueError(f"gaussian_blur: sigma must be one or two numbers above 0, got {sigma!r}")
    _, height, width = get_dimensions(img)
    if sizes[0] // 2 >= width or sizes[1] // 2 >= height:
        raise ValueError(f"gaussian_blur: a window of {sizes[1]} x {sizes[0]} is too large for {height} x {width}")

    def blur(planes: np.ndarray) -> np.ndarray:
        kind = planes.dtype if planes.dtype.kind == "f" else np.dtype(np.float32)
        result = planes.astype(kind)
        for axis, size, deviation in ((-1, sizes[0], sigmas[0]), (-2, sizes[1], sigmas[1])):
            reach = size // 2
            weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
            frame = [(0, 0)] * result.ndim
            frame[axis] = (reach, reach)
            padded, length = np.pad(result, frame, mode="reflect"), result.shape[axis]
            parts = np.moveaxis(padded, axis, 0)
            total = sum(
                parts[i : i + length] * kind.type(weight) for i, weight in enumerate((weights / weights.sum()).tolist())
            )
            result = np.moveaxis(np.asarray(total), 0, axis)
        return result if planes.dtype.kind == "f" else _rounded(result, planes.dtype)

    if is_image(img):
        return require("gaussian_blur").fromarray(on_planes(np.asarray(img), blur))
    return on_planes(img, blur)
