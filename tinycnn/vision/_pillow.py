"""Pillow is optional: what needs it asks here, so that its absence is explained in one place."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np


@cache
def _installed() -> Any:
    try:
        from PIL import Image
    except ImportError:
        return None
    return Image


def require(what: str) -> Any:
    """The module ``PIL.Image``.

    Raises:
        ImportError: if Pillow is not installed; the text starts with `what` and says how to install it.
    """
    module = _installed()
    if module is None:
        raise ImportError(f"{what} needs Pillow, which is not installed: pip install 'tinycnn[examples]'")
    return module


def is_image(thing: Any) -> bool:
    """True for a PIL image. Does not import Pillow: without it there are none."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(thing, module.Image)


def as_image(array: np.ndarray) -> Any:
    """A PIL image of a uint8 array (H, W) or (H, W, 3); the array itself if Pillow is not installed."""
    module = _installed()
    return array if module is None else module.fromarray(array)
