"""LeNet-5 learns to read handwritten digits.

    python examples/lenet.py                                     1,797 real digits that come with scikit-learn
    python examples/lenet.py --dataset mnist --data-dir DIR      MNIST's 70,000 digits
    python examples/lenet.py --dataset fashion-mnist             pictures of clothes, downloaded to ./data

Weights, learning curves and the mistakes are written to ./runs/lenet.
"""

from __future__ import annotations

import numpy as np
from common import Data, begin, finish, options, random_shift, train

from tinycnn.utils.data import TensorDataset
from tinycnn.vision import datasets, models
from tinycnn.vision.transforms import functional as TF

EPOCHS = {"digits": 40, "mnist": 10, "fashion-mnist": 10}
SIZE = 32  # LeNet-5's input, which leaves the strokes some air


def load(name: str, data_dir: str | None) -> Data:
    """The dataset in images of 32x32: digits are enlarged from 8x8, MNIST's 28x28 get a frame."""
    if name == "digits":
        parts = [datasets.Digits(train=train) for train in (True, False)]
    else:
        kind = datasets.MNIST if name == "mnist" else datasets.FashionMNIST
        parts = [kind(data_dir or "data", train=train, download=data_dir is None) for train in (True, False)]
    tensors = []
    for part in parts:
        images = part.data.unsqueeze(1)
        if images.shape[-1] < 28:
            images = TF.resize(images, [SIZE, SIZE])
        else:
            images = TF.pad(images, (SIZE - images.shape[-1]) // 2)
        tensors.append(TensorDataset(images, part.targets))
    pixels = tensors[0].tensors[0].numpy() / 255
    most = 0 if name == "fashion-mnist" else 3 if name == "digits" else 2

    def augment(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return random_shift(batch, rng, most)

    return Data(*tensors, parts[0].classes, (float(pixels.mean()),), (float(pixels.std()),), augment)


def main() -> None:
    parser = options(__doc__.splitlines()[0], None, 64, 2e-3, "runs/lenet")
    parser.add_argument("--dataset", choices=EPOCHS, default="digits", help="what to learn")
    args = parser.parse_args()
    args.epochs = args.epochs if args.epochs is not None else EPOCHS[args.dataset]
    begin(args)
    data = load(args.dataset, args.data_dir)
    model = models.LeNet5()
    finish(model, data, train(model, data, args), args)


if __name__ == "__main__":
    main()
