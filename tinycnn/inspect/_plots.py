"""Pictures of filters, feature maps, gradients, results and mistakes, by matplotlib (extra ``examples``).

Every function returns a `matplotlib.figure.Figure`: ``.savefig("name.png")`` writes it, a notebook shows it. Nothing is
shown by itself, and pyplot is not touched. Models run in evaluation mode and stay as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._tensor import Tensor
from ..autograd import enable_grad, grad
from ..nn import functional as F
from ..nn._hooks import register_module_forward_hook
from ..nn.conv import Conv2d
from ..nn.module import Module
from ._state import undisturbed

Image = Any  # a Tensor or an array (C, H, W) or (H, W)
RED, BLUE = "#c0392b", "#2f6db3"


def _figure(width: float, height: float) -> Any:
    """An empty figure of so many inches.

    Raises:
        ImportError: if matplotlib is not installed, with what installs it.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("plots need matplotlib: pip install matplotlib, or tinycnn[examples]") from None
    return Figure(figsize=(width, height), layout="constrained")


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _grid(count: int, columns: int, size: float, title: str) -> tuple[Any, list[Any]]:
    """A figure with a grid of `count` places without axes, `size` inches each."""
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    figure = _figure(columns * size, rows * size + 0.5)
    places = list(np.ravel(figure.subplots(rows, columns, squeeze=False)))
    for place in places:
        place.axis("off")
    figure.suptitle(title, fontsize=11)
    return figure, places[:count]


def _picture(image: Image, mean: Any = None, std: Any = None) -> np.ndarray:
    """An image (C, H, W) or (H, W) in the form (H, W, 3) or (H, W), in [0, 1].

    With `mean` and `std`, what `transforms.Normalize` did is undone; without, an image outside of [0, 1] is stretched
    to it.
    """
    a = _array(image)
    a = a[None] if a.ndim == 2 else a
    if a.ndim != 3 or a.shape[0] not in (1, 3):
        raise ValueError(f"an image must be (1, H, W), (3, H, W) or (H, W), got shape {a.shape}")
    if a.dtype == np.uint8:
        a = a / 255
    elif std is not None or mean is not None:
        a = a * np.reshape(1.0 if std is None else std, (-1, 1, 1)) + np.reshape(mean or 0.0, (-1, 1, 1))
    elif a.min() < 0 or a.max() > 1:
        a = (a - a.min()) / max(float(a.max() - a.min()), 1e-12)
    a = np.clip(a, 0, 1)
    return a[0] if a.shape[0] == 1 else a.transpose(1, 2, 0)


def _draw(place: Any, picture: np.ndarray, **options: Any) -> Any:
    if picture.ndim == 2:
        options = {"cmap": "gray", "vmin": 0, "vmax": 1, **options}
    return place.imshow(picture, interpolation="nearest", **options)


def _named(classes: Sequence[str] | None, number: Any) -> str:
    return str(number) if classes is None else str(classes[int(number)])


# -- filters and feature maps -----------------------------------------------------------------------------------------


def filters(layer: Any, limit: int = 64, channels: int = 8) -> Any:
    """The filters of a convolution: blue is negative, white 0, red positive, on one scale for all of them.

    Filters on colours (three channels) are drawn in colour, grey is 0; others as a row of their first channels.

    Args:
        layer: an `nn.Conv2d`, a weight (O, C, KH, KW), or a model, of which the first `nn.Conv2d` is taken.
        limit: draw so many filters at most.
        channels: and of each so many channels.

    Raises:
        ValueError: for a model without convolutions, or a weight with another number of dimensions.
    """
    title = "filters"
    if isinstance(layer, Module):
        found = [(name, m) for name, m in layer.named_modules() if isinstance(m, Conv2d)]
        if not found:
            raise ValueError(f"filters: {type(layer).__name__} has no nn.Conv2d")
        title = f"filters of {found[0][0] or 'the layer'}"
        layer = found[0][1].weight
    w = _array(layer).astype(np.float64)
    if w.ndim != 4:
        raise ValueError(f"filters: expected a weight (O, C, KH, KW), got shape {w.shape}")
    count, across = min(len(w), limit), 1 if w.shape[1] == 3 else min(w.shape[1], channels)
    shown = f", {count} of {len(w)}" if count < len(w) else ""
    most = _almost_all(np.abs(w[:count, : 3 if w.shape[1] == 3 else across]))
    kind = "x".join(map(str, w.shape[2:]))
    if w.shape[1] == 3:
        figure, places = _grid(count, 8 if count > 4 else count, 0.9, f"{title}: {kind} on 3 channels{shown}")
        for place, one in zip(places, w, strict=False):
            _draw(place, np.clip((one / most + 1) / 2, 0, 1).transpose(1, 2, 0))
        return figure
    if across > 1:
        shown += f"; a filter in each row, {across} of its {w.shape[1]} channels"
    figure, places = _grid(count * across, across if across > 1 else 8, 0.9, f"{title}: {kind}{shown}")
    for i, place in enumerate(places):
        drawn = _draw(place, w[i // across, i % across], cmap="RdBu_r", vmin=-most, vmax=most)
        place.axis("on")  # a frame, since white is 0
        place.set(xticks=[], yticks=[])
        if across > 1 and i % across == 0:
            place.set_ylabel(str(i // across), rotation=0, ha="right", va="center", fontsize=8)
    if places:
        figure.colorbar(drawn, ax=places, shrink=0.6, location="right")
    return figure


def _almost_all(values: np.ndarray) -> float:
    """Where a scale may end: above 99.5 % of the values, so that a few do not make the others pale."""
    return max(float(np.quantile(values, 0.995)), 1e-12) if values.size else 1.0


def _run(model: Module, x: Tensor, layer: str | Module | None) -> tuple[Tensor, Tensor, Tensor, str]:
    """Input, output and what `layer` returned, recorded for gradients, and the layer's name.

    Without a layer: the last module that returned maps, (N, C, H, W) of more than one pixel.
    """
    if not isinstance(x, Tensor) or x.ndim not in (3, 4):
        raise TypeError(f"expected images (N, C, H, W) or one (C, H, W), got {getattr(x, 'shape', type(x).__name__)}")
    names = {m: name for name, m in model.named_modules()}
    wanted = model.get_submodule(layer) if isinstance(layer, str) else layer
    if wanted is not None and wanted not in names:
        raise ValueError(f"the layer {type(wanted).__name__} is not a part of {type(model).__name__}")
    found: list[tuple[Tensor, str]] = []

    def hook(module: Module, args: Any, output: Any) -> None:
        if module is wanted or (wanted is None and module in names):
            if isinstance(output, Tensor) and output.ndim == 4 and (wanted or output.shape[2] * output.shape[3] > 1):
                found.append((output, names[module] or type(module).__name__))

    leaf = (x if x.ndim == 4 else x.unsqueeze(0)).detach().clone().requires_grad_()
    handle = register_module_forward_hook(hook)
    try:
        with undisturbed(model), enable_grad():
            output = model(leaf * 1)  # not the leaf itself: a model may write into its input
    finally:
        handle.remove()
    if not found:
        which = "its modules" if wanted is None else f"the layer {names[wanted]!r}"
        raise ValueError(f"{type(model).__name__} was run, and {which} returned no maps (N, C, H, W)")
    return leaf, output, *found[-1]


def feature_maps(model: Module, x: Tensor, layer: str | Module | None = None, image: int = 0, limit: int = 32) -> Any:
    """What the channels of a layer make of an image: dark is the smallest value of a map, bright its largest.

    Args:
        x: images (N, C, H, W), or one (C, H, W).
        layer: a module of the model, or its dotted name; the last one that returns maps if None.
        image: which of the images.
        limit: draw so many channels at most.
    """
    _, _, maps, name = _run(model, x, layer)
    values = _array(maps)[image]
    count = min(len(values), limit)
    size = "x".join(map(str, values.shape[1:]))
    title = f"{name}: {count} of {len(values)} channels, {size}" if count < len(values) else f"{name}: {size}"
    figure, places = _grid(count, 8, 1.2, title)
    for number, (place, one) in enumerate(zip(places, values, strict=False)):
        _draw(place, one, cmap="viridis", vmin=one.min(), vmax=max(one.max(), one.min() + 1e-12))
        place.set_title(str(number), fontsize=7, pad=2)
    return figure


# -- gradients --------------------------------------------------------------------------------------------------------


def _score(output: Any, image: int, target: int | None) -> tuple[Tensor, int]:
    """The score of a class for an image, of the largest if none is named."""
    if not isinstance(output, Tensor) or output.ndim != 2:
        raise ValueError(f"expected class scores (N, classes) from the model, got {getattr(output, 'shape', output)}")
    target = int(output[image].argmax()) if target is None else target
    with enable_grad():
        return output[image, target], target


def saliency_map(model: Module, x: Tensor, target: int | None = None, image: int = 0) -> tuple[np.ndarray, int]:
    """How much the score of a class changes with each pixel: the largest |d score / d x| of its channels, (H, W).

    Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks", 2014.

    Args:
        target: the class; the one with the largest score if None.

    Returns:
        The map, and the class.
    """
    leaf, output, _, _ = _run(model, x, None)
    score, target = _score(output, image, target)
    (gradient,) = grad(score, leaf)
    return np.abs(_array(gradient)[image]).max(0), target


def saliency(
    model: Module,
    x: Tensor,
    target: int | None = None,
    image: int = 0,
    classes: Sequence[str] | None = None,
    mean: Any = None,
    std: Any = None,
) -> Any:
    """An image beside its `saliency_map`.

    Args:
        classes: names of the classes.
        mean, std: what the image was normalized with, to show it as it was.
    """
    values, target = saliency_map(model, x, target, image)
    picture = _picture(x if x.ndim == 3 else x[image], mean, std)
    return _beside(picture, values, f"saliency of {_named(classes, target)}", "magma")


def grad_cam_map(
    model: Module, x: Tensor, layer: str | Module | None = None, target: int | None = None, image: int = 0
) -> tuple[np.ndarray, int]:
    """Where a layer saw what speaks for a class: relu(sum over channels of mean(d score / d map) * map), (H, W).

    Selvaraju et al., "Grad-CAM", ICCV 2017. The map has the layer's size; its largest value is 1, unless all are 0.

    Args:
        layer: a module of the model, or its dotted name; the last one that returns maps if None.
        target: the class; the one with the largest score if None.

    Returns:
        The map, and the class.
    """
    _, output, maps, _ = _run(model, x, layer)
    score, target = _score(output, image, target)
    (gradient,) = grad(score, maps)
    weights = _array(gradient)[image].mean((1, 2), keepdims=True)
    values = np.maximum((weights * _array(maps)[image]).sum(0), 0)
    return values / max(float(values.max()), 1e-12), target


def grad_cam(
    model: Module,
    x: Tensor,
    layer: str | Module | None = None,
    target: int | None = None,
    image: int = 0,
    classes: Sequence[str] | None = None,
    mean: Any = None,
    std: Any = None,
) -> Any:
    """An image, its `grad_cam_map` enlarged to its size, and both on top of each other."""
    values, target = grad_cam_map(model, x, layer, target, image)
    picture = _picture(x if x.ndim == 3 else x[image], mean, std)
    large = F.interpolate(Tensor(values)[None, None], picture.shape[:2], mode="bilinear", align_corners=False).numpy()[
        0, 0
    ]
    return _beside(picture, large, f"Grad-CAM of {_named(classes, target)}", "inferno", overlay=True)


def _beside(picture: np.ndarray, values: np.ndarray, title: str, cmap: str, overlay: bool = False) -> Any:
    panels = 3 if overlay else 2
    figure = _figure(3 * panels, 3 * picture.shape[0] / picture.shape[1] + 0.3)
    places = figure.subplots(1, panels)
    top = _almost_all(values)
    _draw(places[0], picture)
    drawn = _draw(places[1], values, cmap=cmap, vmin=0, vmax=top)
    if overlay:  # the larger the value, the less of the image is left
        share = 0.7 * np.clip(values / top, 0, 1)[..., None]
        image = picture if picture.ndim == 3 else np.stack([picture] * 3, -1)
        _draw(places[2], (1 - share) * image + share * drawn.to_rgba(values)[..., :3])
    for place, name in zip(places, ("image", title, "both"), strict=False):
        place.set_title(name, fontsize=10)
        place.axis("off")
    return figure


# -- results ----------------------------------------------------------------------------------------------------------


def confusion_counts(labels: Any, predicted: Any, classes: int | None = None) -> np.ndarray:
    """How often class i (row) was taken for class j (column), an int64 matrix.

    Args:
        labels, predicted: class numbers (N,).
        classes: how many there are; one more than the largest number if None.

    Raises:
        ValueError: if the lengths differ, or a number is not in [0, classes).
    """
    right, said = _array(labels).reshape(-1).astype(np.int64), _array(predicted).reshape(-1).astype(np.int64)
    if len(right) != len(said):
        raise ValueError(f"confusion_matrix: {len(right)} labels but {len(said)} predictions")
    both = np.concatenate([right, said])
    count = int(both.max(initial=-1)) + 1 if classes is None else classes
    if both.size and (both.min() < 0 or both.max() >= count):
        raise ValueError(f"confusion_matrix: class numbers {both.min()} to {both.max()}, expected 0 to {count - 1}")
    return np.bincount(right * count + said, minlength=count * count).reshape(count, count)


def confusion_matrix(labels: Any, predicted: Any, classes: Sequence[str] | None = None, normalize: bool = False) -> Any:
    """A matrix whose row is the right class and whose column the predicted one; colours are shares of the row.

    Args:
        labels, predicted: class numbers (N,).
        classes: names of the classes.
        normalize: write percentages of the row instead of counts.
    """
    counts = confusion_counts(labels, predicted, None if classes is None else len(classes))
    n = len(counts)
    if not n:
        raise ValueError("confusion_matrix: there is nothing to draw")
    rows = counts.sum(1, keepdims=True)
    shares = counts / np.maximum(rows, 1)
    side = min(max(0.5 * n + 2, 4), 14)
    figure = _figure(side, side)
    place = figure.subplots()
    place.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [_named(classes, i) for i in range(n)]
    long = max(map(len, names), default=0) > 3
    place.set_xticks(range(n), names, rotation=45 if long else 0, ha="right" if long else "center")
    place.set_yticks(range(n), names)
    place.set(xlabel="predicted", ylabel="right")
    total = int(counts.sum())
    accuracy = f"{np.trace(counts) / total:.2%}" if total else "nothing"
    what = "; numbers: % of the row" if normalize else ""
    place.set_title(f"{accuracy} of {total:,} right{what}", fontsize=11)
    if n <= 30:
        for i, j in np.argwhere(counts):
            text = f"{100 * shares[i, j]:.0f}" if normalize else f"{counts[i, j]}"
            colour = "white" if shares[i, j] > 0.5 else "black"
            place.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
    return figure


def curves(history: Mapping[str, Any], log: Sequence[str] = ("loss",), best: Mapping[str, str] | None = None) -> Any:
    """What was measured in each epoch: a panel for each entry.

        curves({"loss": {"training": [...], "test": [...]}, "accuracy": [...]})

    Args:
        history: for each panel a list of numbers, or a dict of such lists by name.
        log: names of the panels with a logarithmic axis.
        best: for each panel, ``"max"`` or ``"min"``: mark that point of its last line.
    """
    if not history:
        raise ValueError("curves: there is nothing to draw")
    figure = _figure(5 * len(history), 3.8)
    for place, (name, lines) in zip(figure.subplots(1, len(history), squeeze=False)[0], history.items(), strict=True):
        lines = lines if isinstance(lines, Mapping) else {"": lines}
        for label, values in lines.items():
            values = _array(values)
            place.plot(range(1, len(values) + 1), values, marker="." if len(values) < 60 else "", label=label or None)
        mode = (best or {}).get(name)
        if mode:
            at = int(np.nanargmax(values) if mode == "max" else np.nanargmin(values))
            side = "right" if at > len(values) / 2 else "left"
            above = (0, 8 if mode == "min" else -16)
            place.annotate(
                f"{values[at]:.4g}", (at + 1, values[at]), above, textcoords="offset points", ha=side, fontsize=9
            )
            place.plot([at + 1], [values[at]], "o", color="black", markersize=5)
        place.set(title=name, xlabel="epoch")
        if name in log and all(np.min(_array(v), initial=1) > 0 for v in lines.values()):
            place.set_yscale("log")
            place.yaxis.set_major_formatter("{x:g}")
            low, high = place.get_ylim()
            if high < 10 * low:  # there may be no power of ten to write at the axis
                place.yaxis.set_minor_formatter("{x:.2g}")
        place.xaxis.get_major_locator().set_params(integer=True)
        place.grid(alpha=0.3)
        if any(lines):
            place.legend(fontsize=9)
    return figure


def mistakes(
    images: Any,
    labels: Any,
    predicted: Any,
    classes: Sequence[str] | None = None,
    scores: Any = None,
    limit: int = 24,
    mean: Any = None,
    std: Any = None,
) -> Any:
    """Images that were taken for something else, each with the wrong answer and the right one.

    Args:
        images: (N, C, H, W) or (N, H, W).
        labels, predicted: class numbers (N,).
        classes: names of the classes.
        scores: (N,), how sure the model was; the surest mistakes come first.
        limit: draw so many at most.
        mean, std: what the images were normalized with.
    """
    right, said = _array(labels).reshape(-1), _array(predicted).reshape(-1)
    if not len(images) == len(right) == len(said):
        raise ValueError(f"mistakes: {len(images)} images, {len(right)} labels and {len(said)} predictions")
    wrong = np.flatnonzero(right != said)
    total = len(wrong)
    if scores is not None:
        wrong = wrong[np.argsort(-_array(scores)[wrong], kind="stable")]
    wrong = wrong[:limit]
    shown = f", {len(wrong)} of them" if len(wrong) < total else ""
    title = f"{total:,} mistakes in {len(right):,} images{shown} (red: the answer, blue: what it is)"
    figure, places = _grid(max(len(wrong), 1), 8, 1.5, title)
    for place, i in zip(places, wrong, strict=False):
        _draw(place, _picture(images[int(i)], mean, std))
        sure = "" if scores is None else f" ({_array(scores)[i]:.0%})"
        place.set_title(f"{_named(classes, said[i])}{sure}", fontsize=9, color=RED, pad=13)
        under = {"transform": place.transAxes, "ha": "center", "fontsize": 9, "color": BLUE}
        place.text(0.5, 1.03, _named(classes, right[i]), **under)
    return figure
