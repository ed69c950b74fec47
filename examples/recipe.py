"""How small residual nets are trained to their published accuracy, with what has been found useful since.

SGD with momentum and weight decay; the rate rises in a line for the first epochs, then falls along a cosine; images are
cropped and mirrored at random; labels are smoothed; an exponential moving average of the weights is what is tested; and
a run that was cut off goes on where it stopped, with the same numbers as if it had not been.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
from common import Data, History, predict
from tqdm import tqdm

import tinycnn
from tinycnn import nn, optim
from tinycnn.optim.lr_scheduler import LambdaLR
from tinycnn.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tinycnn.utils.data import DataLoader


def add_options(parser: argparse.ArgumentParser) -> None:
    """What the recipe asks of the command line."""
    group = parser.add_argument_group("with --augment")
    group.add_argument("--warm-up", type=int, default=5, help="epochs in which the rate rises")
    group.add_argument("--smoothing", type=float, default=0.1, help="share of a label that goes to all classes alike")
    group.add_argument("--weight-decay", type=float, default=5e-4)
    group.add_argument("--average", type=float, default=0.998, help="decay per step of the average of the weights")
    group.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder --out")
    group.add_argument("--stop-after", type=int, help="stop after so many epochs, to --resume later")


def warm_up_and_cosine(step: int, warm: int, total: int) -> float:
    """The factor of the learning rate at this step: from 1/warm up to 1, then down to 0 along half a cosine."""
    if step < warm:
        return (step + 1) / warm
    return (1 + math.cos(math.pi * (step - warm) / max(1, total - warm))) / 2


def train(model: nn.Module, data: Data, args: argparse.Namespace) -> tuple[nn.Module, History]:
    """Returns the averaged model and what happened in each epoch; writes a checkpoint after each."""
    model.to(args.device)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(args.average), use_buffers=True)
    steps = math.ceil(len(data.train) / args.batch_size)
    warm = min(args.warm_up, args.epochs - 1) * steps
    optimizer = optim.SGD(model.parameters(), args.lr, momentum=0.9, weight_decay=args.weight_decay, nesterov=True)
    scheduler = LambdaLR(optimizer, lambda step: warm_up_and_cosine(step, warm, args.epochs * steps))
    criterion = nn.CrossEntropyLoss(label_smoothing=args.smoothing)
    history, path = History(), args.out / "checkpoint.safetensors"
    args.out.mkdir(parents=True, exist_ok=True)
    parts = {"model": model, "average": average, "optimizer": optimizer, "scheduler": scheduler}
    if args.resume:
        if not path.is_file():
            raise SystemExit(f"--resume: there is no {path}")
        kept = tinycnn.load(path)
        for name, part in parts.items():
            part.load_state_dict(kept[name])
        history = History(kept["loss"], kept["accuracy"])
        print(f"going on after epoch {len(history.loss)}")
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, ", end="")
    print(f"{len(data.train):,} training and {len(data.test):,} test images\n")
    last = min(args.epochs, len(history.loss) + (args.stop_after or args.epochs))
    for epoch in range(len(history.loss) + 1, last + 1):
        rng = np.random.default_rng([args.seed, epoch])  # of the epoch's own, so that a resumed run draws the same
        order = tinycnn.Generator().manual_seed(int(rng.integers(2**31)))
        loader = DataLoader(data.train, batch_size=args.batch_size, shuffle=True, generator=order)
        model.train()
        total, began = 0.0, time.perf_counter()
        for images, labels in tqdm(loader, desc=f"epoch {epoch:3d}/{args.epochs}", leave=False, unit="batch"):
            optimizer.zero_grad()
            loss = criterion(model(data.prepare(images, rng).to(args.device)), labels.to(args.device))
            loss.backward()
            optimizer.step()
            scheduler.step()
            average.update_parameters(model)
            total += loss.item() * len(labels)
        speed = len(data.train) / (time.perf_counter() - began)
        history.loss.append(total / len(data.train))
        history.accuracy.append(float((predict(average, data, args) == data.test.tensors[1].numpy()).mean()))
        kept = {name: part.state_dict() for name, part in parts.items()}
        tinycnn.save({**kept, "loss": history.loss, "accuracy": history.accuracy}, path)
        print(
            f"epoch {epoch:3d}: loss {history.loss[-1]:.4f}, test accuracy {history.accuracy[-1]:.2%}, "
            f"{speed:,.0f} images/s"
        )
    return average.module, history
