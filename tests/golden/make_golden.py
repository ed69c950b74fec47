"""Writes losses.npz: the first 100 training losses of two nets, computed by PyTorch. Run it where torch is installed.

    python tests/golden/make_golden.py
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from recipe import RUNS, weights
from torch import nn


def net(channels: int) -> nn.Module:
    """LeNet-5 and the CIFAR tutorial's net differ in their first layer only."""
    return nn.Sequential(
        *(nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def losses(name: str, dtype: torch.dtype) -> list[float]:
    make_batches, seed, lr, momentum = RUNS[name]
    batches = make_batches()
    model = net(batches[0][0].shape[1]).to(dtype)
    parameters = list(model.parameters())
    with torch.no_grad():
        for p, w in zip(parameters, weights([tuple(p.shape) for p in parameters], seed), strict=True):
            p.copy_(torch.from_numpy(w))
    optimizer = torch.optim.SGD(parameters, lr=lr, momentum=momentum)
    result = []
    for images, labels in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(torch.from_numpy(images).to(dtype)), torch.from_numpy(labels))
        loss.backward()
        optimizer.step()
        result.append(loss.item())
    return result


def main() -> None:
    torch.set_num_threads(1)
    table = {f"{n}_{d}": np.array(losses(n, getattr(torch, d))) for n in RUNS for d in ("float64", "float32")}
    for name, values in table.items():
        print(f"{name}: {values[0]:.4f} ... {values[49]:.4f} ... {values[-1]:.4f}")
        if not np.isfinite(values).all():
            warnings.warn(f"{name} diverged", stacklevel=1)
    np.savez(Path(__file__).with_name("losses.npz"), torch=np.array(torch.__version__), **table)


if __name__ == "__main__":
    main()
