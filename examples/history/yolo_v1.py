"""YOLO, the first: one look at the image finds and names all things on it.

    python examples/history/yolo_v1.py            a small one learns to find coloured rectangles

Redmon, Divvala, Girshick, Farhadi, "You only look once: unified, real-time object detection", CVPR 2016. The image is
cut into S x S cells. Each predicts B boxes (x, y in the cell; the roots of width and height, in images; a confidence)
and one set of class scores; the cell in which an object's middle lies answers for it.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np

import tinycnn
from tinycnn import Tensor, nn, optim

# figure 3 of the paper: filters, kernel, stride; "M" is a max pool 2x2
BODY = (
    *((64, 7, 2), "M", (192, 3, 1), "M"),
    *((128, 1, 1), (256, 3, 1), (256, 1, 1), (512, 3, 1), "M"),
    *((256, 1, 1), (512, 3, 1)) * 4,
    *((512, 1, 1), (1024, 3, 1), "M"),
    *((512, 1, 1), (1024, 3, 1)) * 2,
    *((1024, 3, 1), (1024, 3, 2), (1024, 3, 1), (1024, 3, 1)),
)
SMALL = ((16, 3, 1), "M", (32, 3, 1), "M", (64, 3, 1), "M", (64, 3, 1))


class Detection(NamedTuple):
    """A box in shares of the image, its class and how sure the net is."""

    left: float
    top: float
    right: float
    bottom: float
    label: int
    score: float


class YoloV1(nn.Module):
    """Images (N, 3, H, W) to (N, S, S, 5 B + C), per cell B times (x, y, sqrt w, sqrt h, confidence), then C scores.

    The paper's net, made for 448x448, has 271,703,550 parameters and 20 G MACs (24 convolutions, two linear layers).

    Args:
        cells, boxes, classes: S = 7, B = 2, C = 20 in the paper.
        body: the convolutions.
        size: pixels a side.
        hidden: width of the linear layer.
    """

    def __init__(
        self, cells: int = 7, boxes: int = 2, classes: int = 20, body: tuple = BODY, size: int = 448, hidden: int = 4096
    ) -> None:
        super().__init__()
        self.cells, self.boxes, self.classes = cells, boxes, classes
        layers: list[nn.Module] = []
        channels = 3
        for step in body:
            if step == "M":
                layers.append(nn.MaxPool2d(2))
                size //= 2
            else:
                filters, kernel, stride = step
                layers += [nn.Conv2d(channels, filters, kernel, stride, kernel // 2), nn.LeakyReLU(0.1)]
                channels, size = filters, size // stride
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * size * size, hidden),
            nn.LeakyReLU(0.1),
            nn.Dropout(0.5),
            nn.Linear(hidden, cells * cells * (5 * boxes + classes)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)).reshape(len(x), self.cells, self.cells, 5 * self.boxes + self.classes)


def corners(boxes: np.ndarray, row: np.ndarray, column: np.ndarray, cells: int) -> np.ndarray:
    """(..., 4) of x, y in the cell, sqrt w and sqrt h, to left, top, right, bottom in shares of the image."""
    x, y = (boxes[..., 0] + column) / cells, (boxes[..., 1] + row) / cells
    w, h = boxes[..., 2] ** 2, boxes[..., 3] ** 2
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1)


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Area of the intersection over area of the union of boxes (..., 4) of corners."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    inside = np.clip(high - low, 0, None).prod(-1)
    areas = [np.clip(c[..., 2:] - c[..., :2], 0, None).prod(-1) for c in (a, b)]
    return inside / np.maximum(areas[0] + areas[1] - inside, 1e-12)


def yolo_loss(
    output: Tensor, objects: list[list[tuple[float, float, float, float, int]]], boxes: int,
    coordinates: float = 5.0, nothing: float = 0.5,
) -> Tensor:  # fmt: skip
    """The paper's equation 3, a sum of squares per image.

    An object is (middle x, middle y, width, height, class), in shares of the image. The box of its cell that overlaps
    it most answers for it; that box's confidence should be the overlap, all others' 0.

    Args:
        output: what the net gives, (N, S, S, 5 B + C).
        objects: for each image, what is on it; of two in one cell the last counts.
        boxes: B.
        coordinates, nothing: the weights of places and of confidences where there is nothing.
    """
    count, cells = output.shape[:2]
    values = output.detach().numpy()
    target, weight = values.copy(), np.zeros_like(values)
    confidences = np.arange(boxes) * 5 + 4
    target[..., confidences] = 0
    weight[..., confidences] = nothing
    for n, things in enumerate(objects):
        for x, y, w, h, label in things:
            row, column = min(int(y * cells), cells - 1), min(int(x * cells), cells - 1)
            cell, wanted, pull = values[n, row, column], target[n, row, column], weight[n, row, column]
            wanted[:], pull[:] = cell, 0
            wanted[confidences], pull[confidences] = 0, nothing
            there = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
            guesses = cell[: 5 * boxes].reshape(boxes, 5)
            shared = overlap(corners(guesses, np.array(row), np.array(column), cells), there)
            best = 5 * int(shared.argmax())
            wanted[best : best + 4] = x * cells - column, y * cells - row, w**0.5, h**0.5
            wanted[best + 4] = shared.max()
            pull[best : best + 4], pull[best + 4] = coordinates, 1
            wanted[5 * boxes :], pull[5 * boxes :] = 0, 1
            wanted[5 * boxes + label] = 1
    return ((output - tinycnn.from_numpy(target)).square() * tinycnn.from_numpy(weight)).sum() / count


def decode(output: Tensor, boxes: int, threshold: float = 0.2, most: float = 0.5) -> list[list[Detection]]:
    """For each image what is on it: boxes with confidence * class score of at least `threshold`, best first.

    Args:
        most: by how much (intersection over union) two boxes of one class may overlap; see `suppress`.
    """
    values = output.detach().numpy()
    cells = values.shape[1]
    row, column = np.mgrid[:cells, :cells][:, :, :, None]
    found = []
    for image in values:
        guesses = image[..., : 5 * boxes].reshape(cells, cells, boxes, 5)
        places = corners(guesses[..., :4], row, column, cells)
        scores = guesses[..., 4:] * image[..., None, 5 * boxes :]
        hits = np.argwhere(scores >= threshold)
        things = [Detection(*map(float, places[i, j, b]), int(c), float(scores[i, j, b, c])) for i, j, b, c in hits]
        found.append(suppress(things, most))
    return found


def suppress(things: list[Detection], most: float) -> list[Detection]:
    """Non-maximum suppression: best first, without those that overlap a better one of their class by over `most`."""
    kept: list[Detection] = []
    for thing in sorted(things, key=lambda t: -t.score):
        rivals = [k for k in kept if k.label == thing.label]
        if all(overlap(np.array(thing[:4]), np.array(k[:4])) <= most for k in rivals):
            kept.append(thing)
    return kept


def rectangles(count: int, size: int, rng: np.random.Generator) -> tuple[np.ndarray, list]:
    """Images with one or two rectangles each, red (class 0) or blue (class 1), on noise; and what is on them."""
    images = rng.normal(0, 0.1, (count, 3, size, size)).astype(np.float32)
    objects: list = []
    for image in images:
        things = []
        for _ in range(rng.integers(1, 3)):
            w, h = rng.integers(size // 5, size // 2, 2)
            left, top = rng.integers(0, size - w), rng.integers(0, size - h)
            label = int(rng.integers(2))
            image[:, top : top + h, left : left + w] = 0
            image[2 * label, top : top + h, left : left + w] = 1
            things.append(((left + w / 2) / size, (top + h / 2) / size, w / size, h / size, label))
        objects.append(things)
    return images, objects


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    args = parser.parse_args()
    tinycnn.manual_seed(0)
    rng = np.random.default_rng(0)
    model = YoloV1(4, 2, 2, SMALL, 64, 256)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    for step in range(1, args.steps + 1):
        images, objects = rectangles(32, 64, rng)
        optimizer.zero_grad()
        loss = yolo_loss(model(tinycnn.from_numpy(images)), objects, 2)
        loss.backward()
        optimizer.step()
        if step % 50 == 0 or step == args.steps:
            print(f"step {step:4d}: loss {loss.item():.3f}")
    images, objects = rectangles(200, 64, rng)
    with tinycnn.no_grad():
        found = decode(model.eval()(tinycnn.from_numpy(images)), 2)
    hits = total = 0
    for things, boxes in zip(objects, found, strict=True):
        for x, y, w, h, label in things:
            there = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
            total += 1
            hits += any(b.label == label and overlap(np.array(b[:4]), there) > 0.5 for b in boxes)
    extra = sum(map(len, found)) - hits
    print(f"found {hits} of {total} rectangles (overlap above a half), {extra} boxes too many or too far off")


if __name__ == "__main__":
    main()
