"""What a convolution does to a photograph, by kernels made by hand.

    python examples/filters.py                  a photograph that comes with scikit-learn (or a drawing)
    python examples/filters.py my_photo.jpg

Identity, edges, sharpening, Sobel, blurs; correlation against convolution; borders; strides: one picture of all of them
is written to ./runs/filters/filters.png.
"""

from __future__ import annotations

import argparse
import colorsys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

import tinycnn
from tinycnn import Tensor
from tinycnn.kernels.geometry import conv_spec, formulas
from tinycnn.nn import functional as F
from tinycnn.vision import io
from tinycnn.vision.transforms import functional as TF

matplotlib.use("Agg")  # the picture goes to a file, no screen is needed
import matplotlib.pyplot as plt  # noqa: E402

IDENTITY = tinycnn.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]])
EDGES = tinycnn.tensor([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]])  # a pixel against its neighbours; sums to 0
SHARPEN = tinycnn.tensor([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]])  # the pixel plus its difference; sums to 1
SOBEL_X = tinycnn.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
SOBEL_Y = SOBEL_X.t()
EMBOSS = tinycnn.tensor([[-2.0, -1, 0], [-1, 1, 1], [0, 1, 2]])
LETTER = tinycnn.tensor([[0.0, 1, 1, 1, 0], [0, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0]])


def box(size: int) -> Tensor:
    """The mean of a square."""
    return tinycnn.full((size, size), 1 / size**2)


def gaussian(sigma: float) -> Tensor:
    """exp(-(u**2 + v**2) / (2 sigma**2)), out to three sigma, with sum 1."""
    reach = int(3 * sigma + 0.5)
    line = tinycnn.exp(-(tinycnn.arange(-reach, reach + 1.0) ** 2) / (2 * sigma**2))
    square = tinycnn.outer(line, line)
    return square / square.sum()


def correlate(image: Tensor, kernel: Tensor, border: str = "replicate", stride: int = 1) -> Tensor:
    """What deep learning calls convolution: y[i, j] = sum over u, v of x[i + u, j + v] * kernel[u, v].

    Args:
        border: what stands around the image, as wide as keeps the size: ``"constant"`` (zeros), ``"replicate"``,
            ``"reflect"``; or ``"none"``.
    """
    reach = kernel.shape[0] // 2
    x = image[None, None]
    if border != "none":
        x = F.pad(x, (reach,) * 4, border)
    return F.conv2d(x, kernel[None, None], stride=stride)[0, 0]


def convolve(image: Tensor, kernel: Tensor) -> Tensor:
    """What mathematics calls convolution, y[i, j] = sum of x[i - u, j - v] * kernel[u, v]: the kernel turned around."""
    return correlate(image, kernel.flip(0, 1))


def load(path: str | None, size: int) -> tuple[Tensor, str]:
    """A square grey image in [0, 1], and where it comes from."""
    if path is not None:
        image, name = io.read_image(path, "RGB"), Path(path).name
    else:
        try:
            from sklearn.datasets import load_sample_image

            image = tinycnn.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)
            name = "china.jpg, from scikit-learn"
        except ImportError:  # scikit-learn, or Pillow
            return draw(size), "a drawing"
    side = min(image.shape[1:])
    image = TF.resize(TF.center_crop(image, [side, side]), [size, size])
    return TF.rgb_to_grayscale(image)[0].float() / 255, name


def draw(size: int) -> Tensor:
    """A disc, bars that grow narrower, a chequered square and a ramp."""
    y, x = np.mgrid[:size, :size] / size
    image = 0.2 + 0.5 * x
    image[(x - 0.3) ** 2 + (y - 0.32) ** 2 < 0.04] = 0.95
    bars = (y > 0.62) & (y < 0.92) & (x < 0.6)
    image[bars] = (np.sin(300 * x**2)[bars] > 0) * 0.9
    squares = (x > 0.62) & (x < 0.94) & (y > 0.1) & (y < 0.5)
    image[squares] = (((x * 20).astype(int) + (y * 20).astype(int)) % 2)[squares]
    return tinycnn.from_numpy(image.astype(np.float32))


def by_direction(gx: Tensor, gy: Tensor) -> np.ndarray:
    """A colour for the direction of a gradient, as bright as it is large, (H, W, 3)."""
    size = (gx**2 + gy**2).sqrt()
    hue = tinycnn.atan2(gy, gx).numpy() / (2 * np.pi) % 1
    bright = (size / size.quantile(0.99)).clamp(0, 1).numpy()
    wheel = np.array([colorsys.hsv_to_rgb(h / 256, 1, 1) for h in range(256)])
    return wheel[(hue * 255).astype(int)] * bright[..., None]


def show(place: Any, image: Any, title: str, kernel: Any = None, signed: bool = False, room: int | None = None) -> None:
    """Draw an image.

    Args:
        kernel: drawn in the corner; with its numbers if it is 3x3.
        signed: mid-grey is 0.
        room: the side of the frame in pixels, if it is larger than the image.
    """
    pixels = _numbers(image)
    most = float(np.quantile(np.abs(pixels), 0.995)) if signed else 1.0
    place.imshow(pixels, cmap="gray", vmin=-most if signed else 0, vmax=most, interpolation="nearest")
    if room is not None:
        middle = (len(pixels) - 1) / 2
        place.set(xlim=(middle - room / 2, middle + room / 2), ylim=(middle + room / 2, middle - room / 2))
    place.set_title(title, fontsize=10)
    place.set(xticks=[], yticks=[])
    if kernel is None:
        return
    inset = place.inset_axes((0.02, 0.02, 0.3, 0.3))
    weights = _numbers(kernel)
    peak = float(np.abs(weights).max())
    inset.imshow(weights, cmap="RdBu_r", vmin=-peak, vmax=peak)
    inset.set(xticks=[], yticks=[])
    if weights.shape == (3, 3):
        for (i, j), value in np.ndenumerate(weights):
            dark = abs(value) > 0.6 * peak
            inset.text(j, i, f"{value:g}", ha="center", va="center", fontsize=8, color="white" if dark else "black")


def _numbers(image: Any) -> np.ndarray:
    return image.numpy() if isinstance(image, Tensor) else image


def strided(image: Tensor, kernel: Tensor, stride: int) -> tuple[Tensor, str]:
    """A blurred image of which every `stride`-th pixel is computed, and its size by the formula."""
    reach = kernel.shape[0] // 2
    spec = conv_spec((1, 1, *image.shape), (1, 1, *kernel.shape), stride, reach)
    return correlate(image, kernel, stride=stride), formulas(spec)[0]


def picture(image: Tensor, name: str) -> Any:
    """The figure: a row for each question, four images in each."""
    figure = plt.figure(figsize=(13, 21), layout="constrained")
    rows = figure.subfigures(6, 1, hspace=0.02)

    def row(number: int, title: str) -> Any:
        rows[number].suptitle(title, fontsize=13, fontweight="bold")
        return rows[number].subplots(1, 4)

    place = row(0, "A kernel is a question to each pixel and its neighbours")
    show(place[0], image, name)
    show(place[1], correlate(image, IDENTITY), "identity", IDENTITY)
    show(place[2], correlate(image, EDGES), "edges (grey is 0)", EDGES, signed=True)
    show(place[3], correlate(image, SHARPEN).clamp(0, 1), "sharpen", SHARPEN)

    gx, gy = correlate(image, SOBEL_X), correlate(image, SOBEL_Y)
    size = (gx**2 + gy**2).sqrt()
    place = row(1, "Sobel: how brightness changes to the right and downwards")
    show(place[0], gx, "x: left to right (grey is 0)", SOBEL_X, signed=True)
    show(place[1], gy, "y: top to bottom (grey is 0)", SOBEL_Y, signed=True)
    show(place[2], (size / size.quantile(0.99)).clamp(0, 1), "magnitude: sqrt(x² + y²)")
    right = tinycnn.linspace(-1, 1, 63).expand(63, 63)
    disc = by_direction(right, right.t()) * (right**2 + right.t() ** 2 <= 1).numpy()[..., None]
    show(place[3], by_direction(gx, gy), "direction to the bright side, as colour", disc)

    place = row(2, "Blur: a mean of neighbours")
    show(place[0], correlate(image, box(9)), "box, 9x9: each weight is 1/81", box(9))
    for at, sigma in ((1, 2), (2, 5)):
        kernel = gaussian(sigma)
        show(place[at], correlate(image, kernel), f"Gaussian, sigma {sigma}, {len(kernel)}x{len(kernel)}", kernel)
    show(place[3], image - correlate(image, gaussian(2)), "image - Gaussian, sigma 2 (grey is 0)", signed=True)

    point = tinycnn.zeros(9, 9)
    point[4, 4] = 1
    place = row(3, "Correlation (what nn.Conv2d computes) and convolution (the kernel turned by 180°)")
    show(
        place[0],
        correlate(image, EMBOSS),
        "correlation: white where it\nbrightens to the lower right",
        EMBOSS,
        signed=True,
    )
    show(
        place[1],
        convolve(image, EMBOSS),
        "convolution: white where it\nbrightens to the upper left",
        EMBOSS,
        signed=True,
    )
    show(place[2], correlate(point, LETTER), "correlation of one point\nturns the kernel", LETTER)
    show(place[3], convolve(point, LETTER), "convolution of one point\nis the kernel", LETTER)

    wide = box(41)
    place = row(4, "What stands around the image? A 41x41 blur shows it")
    none = correlate(image, wide, "none")
    show(place[0], none, f"nothing: {len(image)} - 41 + 1 = {len(none)}", room=len(image))
    show(place[1], correlate(image, wide, "constant"), "zeros: a dark border")
    show(place[2], correlate(image, wide, "replicate"), "the edge, repeated")
    show(place[3], correlate(image, wide, "reflect"), "the image, mirrored")

    place = row(5, "Strides: every s-th pixel of a Gaussian blur, 7x7")
    for i, stride in enumerate((1, 2, 4, 8)):
        small, formula = strided(image, gaussian(1), stride)
        show(place[i], small, f"stride {stride}")
        place[i].set_xlabel(formula, fontsize=8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", nargs="?", help="a photograph; one that comes with scikit-learn if not given")
    parser.add_argument("--size", type=int, default=256, help="pixels of a side; 256 if not given")
    parser.add_argument("--out", type=Path, default=Path("runs/filters"), help="folder for the picture")
    args = parser.parse_args()
    if args.image is not None and not Path(args.image).is_file():
        raise SystemExit(f"there is no file {args.image}")
    if args.size < 64:
        raise SystemExit("--size must be at least 64")
    image, name = load(args.image, args.size)
    args.out.mkdir(parents=True, exist_ok=True)
    picture(image, name).savefig(args.out / "filters.png", dpi=100)
    print(f"{args.out / 'filters.png'}: {name}")


if __name__ == "__main__":
    main()
