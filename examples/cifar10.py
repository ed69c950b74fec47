"""A small network learns to tell ten kinds of things apart in the colour photographs of CIFAR-10.

    python examples/cifar10.py                           downloads CIFAR-10 (170 MB) to ./data
    python examples/cifar10.py --data-dir DIR            uses the batches that are there
    python examples/cifar10.py --batches 1 2             learns from 20,000 images instead of 50,000

Weights, learning curves and the mistakes are written to ./runs/cifar10.
"""

from __future__ import annotations

import numpy as np
from common import Data, begin, finish, options, random_flip, random_shift, train

import tinycnn
from tinycnn.utils.data import TensorDataset
from tinycnn.vision import datasets, models


def load(data_dir: str | None, batches: list[int] | None) -> Data:
    """CIFAR-10, and the random crops and flips that a network should not mind."""
    root, download = data_dir or "data", data_dir is None
    parts = [
        datasets.CIFAR10(root, train=True, download=download, batches=batches),
        datasets.CIFAR10(root, train=False, download=download),
    ]
    tensors = [
        TensorDataset(
            tinycnn.tensor(np.ascontiguousarray(part.data.transpose(0, 3, 1, 2))), tinycnn.tensor(part.targets)
        )
        for part in parts
    ]

    def augment(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return random_flip(random_shift(batch, rng, 2), rng)

    return Data(*tensors, parts[0].classes, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), augment)


def main() -> None:
    parser = options(__doc__.splitlines()[0], 20, 32, 1e-3, "runs/cifar10")
    parser.add_argument("--batches", type=int, nargs="+", help="which of the training batches 1 to 5; all if not given")
    args = parser.parse_args()
    begin(args)
    data = load(args.data_dir, args.batches)
    model = models.CifarNet()
    finish(model, data, train(model, data, args), args)


if __name__ == "__main__":
    main()
