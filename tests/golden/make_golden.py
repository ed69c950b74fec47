"""Writes losses.npz: the first 100 training losses of two nets, computed by PyTorch. Run it where torch is installed.

python tests/golden/make_golden.py
"""

from __future__ import annotations

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


def losses(name: str, dtype: torch.dtype, disturbance: int = 0) -> np.ndarray:
    """The run's losses; a disturbance other than 0 seeds relative changes of the weights by 1e-7."""
    make_batches, seed, lr, momentum = RUNS[name]
    batches = make_batches()
    model = net(batches[0][0].shape[1]).to(dtype)
    parameters = list(model.parameters())
    noise = np.random.RandomState(disturbance)
    with torch.no_grad():
        for p, w in zip(parameters, weights([tuple(p.shape) for p in parameters], seed), strict=True):
            factor = 1 + 1e-7 * noise.standard_normal(w.shape) if disturbance else 1
            p.copy_(torch.from_numpy(w * factor))
    optimizer = torch.optim.SGD(parameters, lr=lr, momentum=momentum)
    result = []
    for images, labels in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(torch.from_numpy(images).to(dtype)), torch.from_numpy(labels))
        loss.backward()
        optimizer.step()
        result.append(loss.item())
    return np.array(result)


def main() -> None:
    torch.set_num_threads(1)
    table = {f"{n}_{d}": losses(n, getattr(torch, d)) for n in RUNS for d in ("float64", "float32")}
    for name in RUNS:
        exact = table[f"{name}_float64"]
        apart = max(abs(losses(name, torch.float32, d) - exact).max() for d in range(13))
        print(f"{name}: {exact[0]:.4f} ... {exact[49]:.4f} ... {exact[-1]:.4f}; disturbed: {apart:.1e} apart")
    np.savez(Path(__file__).with_name("losses.npz"), torch=np.array(torch.__version__), **table)


if __name__ == "__main__":
    main()
