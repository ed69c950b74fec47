"""Transfer learning: weights that were learnt on one task are where the next one begins, with few images.

    python examples/transfer.py                          LeNet-5 learns 0 to 4, then 5 to 9 from ten images each
    python examples/transfer.py --weights FILE           ResNet-20 trained on CIFAR-10, then digits from ten images each

The steps: load weights, put new linear layers in the place of the old ones, train these alone with the rest frozen,
then fine-tune everything, the old layers at a tenth of the rate. For comparison the same net learns the new task from
nothing. Test accuracy of LeNet-5, --seed 0 to 4:

    from nothing        92.2  88.8  89.4  96.1  88.3   mean 91.0 %
    new layers alone    94.4  93.3  88.8  96.1  92.2   mean 93.0 %
    fine-tuned          95.0  91.1  92.2  97.8  92.2   mean 93.7 %

What is kept are the convolutions: strokes are strokes in every digit. The linear layers know only the old classes; a
LeNet-5 of which only the very last layer is new does worse than one that learns from nothing. And the old task is
learnt from images that are moved about, so that its filters are worth keeping.

Where the old task is another world, little is gained: the ResNet-20 of CIFAR-10's photographs reached 89.1 and 87.2 %
(fine-tuned, --seed 0 and 1) on the ten digits, from nothing 83.8 and 94.2 %. Which is why one compares.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from common import random_shift

import tinycnn
from tinycnn import Tensor, nn, optim
from tinycnn.vision import datasets, models
from tinycnn.vision.transforms import functional as TF

Pair = tuple[Tensor, Tensor]  # images and class numbers


def digits(classes: range, train: bool, each: int | None = None, channels: int = 1, seed: int = 0) -> Pair:
    """Images (N, channels, 32, 32) of these classes, and their numbers from 0 on; `each` of each class, or all."""
    part, rng = datasets.Digits(train=train), np.random.default_rng(seed)
    labels = part.targets.numpy()
    chosen = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:each] for c in classes])
    images = TF.resize(part.data.unsqueeze(1), [32, 32]).numpy()[chosen].astype(np.float32) / 255
    images = np.repeat((images - images.mean()) / images.std(), channels, 1)
    return tinycnn.from_numpy(images), tinycnn.tensor(labels[chosen] - classes.start)


def learn(model: nn.Module, optimizer: optim.Optimizer, x: Tensor, y: Tensor, epochs: int, most: int = 0) -> None:
    """Cross-entropy on shuffled batches of 32, whose images are moved by up to `most` pixels."""
    rng, criterion = np.random.default_rng(0), nn.CrossEntropyLoss()
    model.train()
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for begin in range(0, len(x), 32):
            chosen = tinycnn.tensor(order[begin : begin + 32])
            images = tinycnn.from_numpy(random_shift(x[chosen].numpy(), rng, most))
            optimizer.zero_grad()
            criterion(model(images), y[chosen]).backward()
            optimizer.step()


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with tinycnn.no_grad():
        return float((model.eval()(x).argmax(1) == y).float().mean().item())


def learn_the_first_half(path: Path) -> None:
    """LeNet-5 on the digits 0 to 4, as a file of weights."""
    model = models.LeNet5(num_classes=5)
    learn(model, optim.Adam(model.parameters(), lr=2e-3), *digits(range(5), True), epochs=12, most=4)
    print(f"LeNet-5 on 0 to 4: test accuracy {accuracy(model, *digits(range(5), False)):.1%}")
    tinycnn.save(model.state_dict(), path)


def load(model: nn.Module, path: Path) -> nn.Module:
    """The weights of a file, also if a DataParallel saved them under keys that begin with ``module.``"""
    state = tinycnn.load(path)
    state = {key.removeprefix("module."): value for key, value in state.get("state_dict", state).items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    wrong = unexpected + [key for key in missing if not key.endswith("num_batches_tracked")]
    if wrong:
        raise SystemExit(f"{path} does not fit: {', '.join(wrong[:5])}")
    return model


def replace_linear(model: nn.Module, classes: int) -> list[nn.Parameter]:
    """Put new linear layers in the place of the old ones, the last for so many classes; returns their parameters."""
    old = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    new: list[nn.Parameter] = []
    for name, module in old:
        layer = nn.Linear(module.in_features, classes if name == old[-1][0] else module.out_features)
        setattr(model, name, layer)
        new += layer.parameters()
    return new


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="a ResNet-20 trained on CIFAR-10: .safetensors or .th")
    parser.add_argument("--each", type=int, default=10, help="images of each new class to learn from")
    parser.add_argument("--epochs", type=int, default=40, help="for the new layers, and again for all")
    parser.add_argument("--lr", type=float, default=2e-3, help="learning rate of the new layers")
    parser.add_argument("--seed", type=int, default=0, help="of the weights, and of which images are taken")
    parser.add_argument("--out", type=Path, default=Path("runs/transfer"), help="folder for the weights")
    args = parser.parse_args()
    tinycnn.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.weights is not None:
        classes, channels = range(10), 3
        fresh, model = models.cifar.resnet20(), load(models.cifar.resnet20(), args.weights)
    else:
        classes, channels = range(5, 10), 1
        learn_the_first_half(args.out / "first_half.safetensors")
        fresh = models.LeNet5(num_classes=5)
        model = load(models.LeNet5(num_classes=5), args.out / "first_half.safetensors")
    x, y = digits(classes, True, args.each, channels, args.seed)
    test = digits(classes, False, channels=channels)
    print(f"the new task: {classes.start} to {classes.stop - 1} from {len(x)} images")

    replace_linear(fresh, len(classes))
    learn(fresh, optim.Adam(fresh.parameters(), lr=args.lr), x, y, 2 * args.epochs)
    print(f"from nothing:     test accuracy {accuracy(fresh, *test):.1%}")

    model.requires_grad_(False)
    new = replace_linear(model, len(classes))  # new parameters do require grad
    learn(model, optim.Adam(new, lr=args.lr), x, y, args.epochs)
    print(f"new layers alone: test accuracy {accuracy(model, *test):.1%}")

    model.requires_grad_(True)
    ours = {id(p) for p in new}
    groups = [
        {"params": [p for p in model.parameters() if id(p) not in ours], "lr": args.lr / 10},
        {"params": new},
    ]
    learn(model, optim.Adam(groups, lr=args.lr), x, y, args.epochs)
    print(f"fine-tuned:       test accuracy {accuracy(model, *test):.1%}")
    tinycnn.save(model.state_dict(), args.out / "weights.safetensors")


if __name__ == "__main__":
    main()
