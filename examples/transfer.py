"""Transfer learning: weights that were learnt on one task are where the next one begins, with few images.

    python examples/transfer.py                          LeNet-5 learns 0 to 4, then 5 to 9 from ten images each
    python examples/transfer.py --weights FILE           ResNet-20 trained on CIFAR-10, then digits from ten images each

The steps: load weights, replace the last layer, train it alone with the rest frozen, then fine-tune everything, the old
layers at a tenth of the rate. For comparison the same net learns the new task from nothing.

Old weights help where the old task was richer than the new one. Five kinds of digits teach LeNet-5 little about the
other five: there it does better from nothing, which is why one compares.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import tinycnn
from tinycnn import Tensor, nn, optim
from tinycnn.vision import datasets, models
from tinycnn.vision.transforms import functional as TF


def digits(classes: range, train: bool, each: int | None = None, channels: int = 1) -> tuple[Tensor, Tensor]:
    """Images (N, channels, 32, 32) of these classes, and their numbers from 0 on; of each class the first `each`."""
    part = datasets.Digits(train=train)
    labels = part.targets.numpy()
    chosen = np.concatenate([np.flatnonzero(labels == c)[:each] for c in classes])
    images = TF.resize(part.data.unsqueeze(1), [32, 32]).numpy()[chosen].astype(np.float32) / 255
    images = np.repeat((images - images.mean()) / images.std(), channels, 1)
    return tinycnn.from_numpy(images), tinycnn.tensor(labels[chosen] - classes.start)


def learn(model: nn.Module, optimizer: optim.Optimizer, x: Tensor, y: Tensor, epochs: int) -> None:
    """Cross-entropy on shuffled batches of 32."""
    rng, criterion = np.random.default_rng(0), nn.CrossEntropyLoss()
    model.train()
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for begin in range(0, len(x), 32):
            chosen = tinycnn.tensor(order[begin : begin + 32])
            optimizer.zero_grad()
            criterion(model(x[chosen]), y[chosen]).backward()
            optimizer.step()


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with tinycnn.no_grad():
        return float((model.eval()(x).argmax(1) == y).float().mean().item())


def learn_the_first_half(path: Path) -> None:
    """LeNet-5 on the digits 0 to 4, as a file of weights."""
    model = models.LeNet5(num_classes=5)
    learn(model, optim.Adam(model.parameters(), lr=2e-3), *digits(range(5), True), epochs=10)
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


def replace_last(model: nn.Module, classes: int) -> nn.Linear:
    """Put a new linear layer in the place of the last one, and return it."""
    name, old = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)][-1]
    new = nn.Linear(old.in_features, classes)
    setattr(model, name, new)
    return new


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="a ResNet-20 trained on CIFAR-10: .safetensors or .th")
    parser.add_argument("--each", type=int, default=10, help="images of each new class to learn from")
    parser.add_argument("--epochs", type=int, default=20, help="for the new layer, and again for all")
    parser.add_argument("--lr", type=float, default=5e-3, help="learning rate of the new layer")
    parser.add_argument("--out", type=Path, default=Path("runs/transfer"), help="folder for the weights")
    args = parser.parse_args()
    tinycnn.manual_seed(0)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.weights is not None:
        classes, channels = range(10), 3
        fresh, model = models.cifar.resnet20(), load(models.cifar.resnet20(), args.weights)
    else:
        classes, channels = range(5, 10), 1
        learn_the_first_half(args.out / "first_half.safetensors")
        fresh = models.LeNet5(num_classes=5)
        model = load(models.LeNet5(num_classes=5), args.out / "first_half.safetensors")
    x, y = digits(classes, True, args.each, channels)
    test = digits(classes, False, channels=channels)
    print(f"the new task: {classes.start} to {classes.stop - 1} from {len(x)} images")

    replace_last(fresh, len(classes))
    learn(fresh, optim.Adam(fresh.parameters(), lr=args.lr), x, y, 2 * args.epochs)
    print(f"from nothing:    test accuracy {accuracy(fresh, *test):.1%}")

    model.requires_grad_(False)
    last = replace_last(model, len(classes))  # new parameters do require grad
    learn(model, optim.Adam(last.parameters(), lr=args.lr), x, y, args.epochs)
    print(f"new layer alone: test accuracy {accuracy(model, *test):.1%}")

    model.requires_grad_(True)
    new = {id(p) for p in last.parameters()}
    groups = [
        {"params": [p for p in model.parameters() if id(p) not in new], "lr": args.lr / 10},
        {"params": last.parameters()},
    ]
    learn(model, optim.Adam(groups, lr=args.lr), x, y, args.epochs)
    print(f"fine-tuned:      test accuracy {accuracy(model, *test):.1%}")
    tinycnn.save(model.state_dict(), args.out / "weights.safetensors")


if __name__ == "__main__":
    main()
