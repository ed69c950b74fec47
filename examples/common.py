"""What both training examples share: the options, the loop, the accuracy, the pictures."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

import tinycnn
from tinycnn import inspect, nn, optim
from tinycnn.optim.lr_scheduler import CosineAnnealingLR
from tinycnn.utils.data import DataLoader, TensorDataset


@dataclass
class Data:
    """Images (N, C, H, W) in uint8, their class numbers, and what a model is fed with."""

    train: TensorDataset
    test: TensorDataset
    classes: list[str]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray]

    def prepare(self, images: tinycnn.Tensor, rng: np.random.Generator | None = None) -> tinycnn.Tensor:
        """A batch as floats with mean 0 and deviation 1, randomly changed if `rng` is given (in training)."""
        pixels = images.numpy()
        if rng is not None:
            pixels = self.augment(pixels, rng)
        mean, std = (np.array(v, np.float32).reshape(-1, 1, 1) for v in (self.mean, self.std))
        return tinycnn.from_numpy((pixels.astype(np.float32) / 255 - mean) / std)


@dataclass
class History:
    """What happened in each epoch."""

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)


def random_shift(pixels: np.ndarray, rng: np.random.Generator, most: int) -> np.ndarray:
    """Each image moved by up to `most` pixels in each direction; its edge comes from zeros."""
    count, _, height, width = pixels.shape
    framed = np.pad(pixels, ((0, 0), (0, 0), (most, most), (most, most)))
    windows = np.lib.stride_tricks.sliding_window_view(framed, (height, width), axis=(2, 3))
    down, right = rng.integers(0, 2 * most + 1, (2, count))
    return windows[np.arange(count), :, down, right]


def random_flip(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every second image, at random, mirrored left to right."""
    flipped = rng.random(len(pixels)) < 0.5
    return np.where(flipped[:, None, None, None], pixels[..., ::-1], pixels)


def options(description: str, epochs: int | None, batch_size: int, lr: float, out: str) -> argparse.ArgumentParser:
    """The command line that both examples have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data-dir", help="folder with the files of the dataset; downloaded to ./data if not given")
    parser.add_argument("--device", default="cpu", help="where to compute")
    parser.add_argument("--epochs", type=int, default=epochs, help="passes over the training images")
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--lr", type=float, default=lr, help="the first learning rate; it falls along a cosine")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same run, bit for bit")
    parser.add_argument("--threads", type=int, help="threads of the kernels; all processors if not given")
    parser.add_argument("--out", type=Path, default=Path(out), help="folder for the weights and the pictures")
    return parser


def begin(args: argparse.Namespace) -> None:
    """Check and apply what the command line says."""
    if args.epochs < 1 or args.batch_size < 1:
        raise SystemExit("--epochs and --batch-size must be at least 1")
    tinycnn.empty(0, device=args.device)  # says in words what is missing if the device cannot be used
    if args.threads:
        tinycnn.set_num_threads(args.threads)
    tinycnn.manual_seed(args.seed)


def train(model: nn.Module, data: Data, args: argparse.Namespace) -> History:
    """Adam with a cosine schedule on the cross-entropy; prints the accuracy on the held-out images each epoch."""
    model.to(args.device)
    print(model)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, ", end="")
    print(f"{len(data.train):,} training and {len(data.test):,} test images\n")
    rng = np.random.default_rng(args.seed)
    loader = DataLoader(data.train, batch_size=args.batch_size, shuffle=True)
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    scheduler = CosineAnnealingLR(optimizer, T_max=args.epochs)
    criterion = nn.CrossEntropyLoss()
    history = History()
    for epoch in range(1, args.epochs + 1):
        model.train()
        total, seen, began = 0.0, 0, time.perf_counter()
        with tqdm(loader, desc=f"epoch {epoch:2d}/{args.epochs}", leave=False, unit="batch") as bar:
            for images, labels in bar:
                x, y = data.prepare(images, rng).to(args.device), labels.to(args.device)
                optimizer.zero_grad()
                loss = criterion(model(x), y)
                loss.backward()
                optimizer.step()
                total, seen = total + loss.item() * len(labels), seen + len(labels)
                speed = seen / (time.perf_counter() - began)
                bar.set_postfix_str(f"loss {total / seen:.3f}, {speed:,.0f} images/s", refresh=False)
        scheduler.step()
        history.loss.append(total / seen)
        history.accuracy.append(float((predict(model, data, args) == data.test.tensors[1].numpy()).mean()))
        print(
            f"epoch {epoch:2d}: loss {history.loss[-1]:.4f}, test accuracy {history.accuracy[-1]:.2%}, "
            f"{speed:,.0f} images/s"
        )
    return history


def predict(model: nn.Module, data: Data, args: argparse.Namespace) -> np.ndarray:
    """The class number that the model gives each test image."""
    model.eval()
    with tinycnn.no_grad():
        scores = [
            model(data.prepare(images).to(args.device)).argmax(1).cpu().numpy()
            for images, _ in DataLoader(data.test, batch_size=500)
        ]
    return np.concatenate(scores)


def finish(model: nn.Module, data: Data, history: History, args: argparse.Namespace) -> None:
    """Write the weights, and pictures of the curves, of what is taken for what, and of mistakes."""
    args.out.mkdir(parents=True, exist_ok=True)
    tinycnn.save(model.state_dict(), args.out / "weights.safetensors")
    images, labels = data.test.tensors
    said = predict(model, data, args)
    panels = {"training loss": history.loss, "test accuracy": history.accuracy}
    figures = {
        "curves": inspect.curves(panels, log=["training loss"], best={"test accuracy": "max"}),
        "confusion": inspect.confusion_matrix(labels, said, data.classes),
        "mistakes": inspect.mistakes(images, labels, said, data.classes),
    }
    for name, figure in figures.items():
        figure.savefig(args.out / f"{name}.png", dpi=100)
    wrong = int((said != labels.numpy()).sum())
    print(f"\ntest accuracy {history.accuracy[-1]:.2%} ({wrong} of {len(data.test):,} wrong)")
    print(f"weights.safetensors, {', '.join(f'{name}.png' for name in figures)} are in {args.out}")
