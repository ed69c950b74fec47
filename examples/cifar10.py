"""A small network learns to tell ten kinds of things apart in the colour photographs of CIFAR-10.

    python examples/cifar10.py                           downloads CIFAR-10 (170 MB) to ./data
    python examples/cifar10.py --data-dir DIR            uses the batches that are there
    python examples/cifar10.py --batches 1 2             learns from 20,000 images instead of 50,000
    python examples/cifar10.py --model resnet20 --augment --epochs 100 --batch-size 128 --lr 0.1
                                                         a residual net, by the recipe in recipe.py

Five epochs of the recipe on 20,000 images (--batches 1 2 --epochs 5 --warm-up 1 --average 0.99, the other options as
above), stopped after the second and resumed, gave 34, 53, 63, 67 and 69.3 % of the test images.

Weights, learning curves and the mistakes are written to ./runs/cifar10.
"""

from __future__ import annotations

import numpy as np
import recipe
from common import Data, begin, finish, options, random_flip, random_shift, train

import tinycnn
from tinycnn.utils.data import TensorDataset
from tinycnn.vision import datasets, models


def load(data_dir: str | None, batches: list[int] | None, most: int = 2, limit: int | None = None) -> Data:
    """CIFAR-10, and the random crops (by up to `most` pixels) and flips that a network should not mind."""
    root, download = data_dir or "data", data_dir is None
    parts = [
        datasets.CIFAR10(root, train=True, download=download, batches=batches),
        datasets.CIFAR10(root, train=False, download=download),
    ]
    tensors = [
        TensorDataset(
            tinycnn.tensor(np.ascontiguousarray(part.data[:limit].transpose(0, 3, 1, 2))),
            tinycnn.tensor(part.targets[:limit]),
        )
        for part in parts
    ]

    def augment(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return random_flip(random_shift(batch, rng, most), rng)

    return Data(*tensors, parts[0].classes, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), augment)


def main() -> None:
    parser = options(__doc__.splitlines()[0], 20, 32, 1e-3, "runs/cifar10")
    parser.add_argument("--batches", type=int, nargs="+", help="which of the training batches 1 to 5; all if not given")
    parser.add_argument("--limit", type=int, help="use the first so many training and test images only")
    names = models.list_models(models.cifar) + ["cifarnet"]
    parser.add_argument("--model", choices=names, default="cifarnet", help="what learns", metavar="NAME")
    parser.add_argument("--augment", action="store_true", help="train by the recipe in recipe.py")
    recipe.add_options(parser)
    args = parser.parse_args()
    begin(args)
    if (args.resume or args.stop_after) and not args.augment:
        raise SystemExit("--resume and --stop-after go with --augment")
    data = load(args.data_dir, args.batches, 4 if args.augment else 2, args.limit)
    model = models.get_model(args.model)
    if args.augment:
        model, history = recipe.train(model, data, args)
    else:
        history = train(model, data, args)
    finish(model, data, history, args)


if __name__ == "__main__":
    main()
