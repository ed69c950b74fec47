"""How a tensor looks when it is printed: as in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class PrintOptions:
    """Digits after the point, from how many elements on the middle is left out, how many are shown at each end of it,
    the width of a line, and whether numbers are written as 1e+00 (None: where the range asks for it)."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}
_options = PrintOptions()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors are printed; what is None stays, but for `sci_mode`, which is automatic then.

    Args:
        profile: ``"default"``, ``"short"`` or ``"full"``: values for all the others.

    Raises:
        ValueError: for an unknown profile.
    """
    global _options
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"set_printoptions: profile must be one of {[*_PROFILES]}, got {profile!r}")
        _options = _PROFILES[profile]
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    _options = replace(_options, sci_mode=sci_mode, **changes)


def get_printoptions() -> dict[str, Any]:
    """The options that `set_printoptions` changes."""
    return dict(vars(_options))


class _Numbers:
    """One form for all numbers of a tensor, so that they stand in columns."""

    def __init__(self, array: Any) -> None:
        self.floating = array.dtype.kind == "f"
        self.whole, self.scientific = True, False
        self.width = 1
        if not self.floating:
            self.width = max((len(str(v)) for v in array.reshape(-1).tolist()), default=1)
            return
        values = array[np.isfinite(array) & (array != 0)].astype(np.float64)
        if not values.size:
            self.scientific = bool(_options.sci_mode)
            return
        size = np.abs(values)
        low, high = float(size.min()), float(size.max())
        self.whole = bool((values == np.ceil(values)).all())
        wide = high / low > 1000 or high > 1e8 or (not self.whole and low < 1e-4)
        self.scientific = wide if _options.sci_mode is None else _options.sci_mode
        digits = _options.precision
        if self.scientific:
            form = f"{{:.{digits}e}}"
        else:
            form = "{:.0f}." if self.whole else f"{{:.{digits}f}}"
        self.width = max(len(form.format(v)) for v in values.tolist())

    def __call__(self, value: Any) -> str:
        if not self.floating:
            text = str(value)
        elif self.scientific:
            text = f"{value:.{_options.precision}e}"
        elif self.whole:
            text = f"{value:.0f}" + ("." if math.isfinite(value) else "")
        else:
            text = f"{value:.{_options.precision}f}"
        return text.rjust(self.width)


def _ends(array: Any) -> Any:
    """Of a large array, what will be shown."""
    edge = _options.edgeitems
    for axis, n in enumerate(array.shape):
        if n > 2 * edge:
            array = np.concatenate([np.take(array, range(edge), axis), np.take(array, range(n - edge, n), axis)], axis)
    return array


def _rows(array: Any, indent: int, short: bool, form: _Numbers) -> str:
    if not array.ndim:
        return form(array.item())
    edge, n = _options.edgeitems, array.shape[0]
    cut = short and n > 2 * edge
    shown = [*range(edge), *range(n - edge, n)] if cut else [*range(n)]
    if array.ndim > 1:
        parts = [_rows(array[i], indent + 1, short, form) for i in shown]
        if cut:
            parts.insert(edge, "...")
        return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"
    words = [form(array[i].item()) for i in shown]
    if cut:
        words.insert(edge, " ...")
    each = max(1, (_options.linewidth - indent) // (form.width + 2))
    lines = [", ".join(words[i : i + each]) for i in range(0, len(words), each)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def tensor_text(array: Any, notes: Iterator[str] | list[str], prefix: str = "tensor(") -> str:
    """``tensor([...], note, note)``, broken into lines.

    Args:
        notes: what follows the numbers: dtype, device, gradient.
    """
    indent = len(prefix)
    if not array.size:
        text = "[]"
    else:
        short = array.size > _options.threshold
        text = _rows(array, indent, short, _Numbers(_ends(array) if short else array))
    result = prefix + text
    used = len(text) - text.rfind("\n") + 1
    for note in notes:
        if used + len(note) + 2 > _options.linewidth:
            result += ",\n" + " " * indent + note
            used = indent + len(note)
        else:
            result += ", " + note
            used += len(note) + 2
    return result + ")"
