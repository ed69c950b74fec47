"""Writes nn.npz: what PyTorch's layers and losses answer to the cases in nn_cases.json, in float64.

Run with a Python that has torch: ``python tests/golden/make_nn.py``. Made with PyTorch 2.13.
Inputs and parameters are waves, sin(1.7 i + phase), so only the answers need to be kept.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent


def wave(shape, phase):
    count = int(np.prod(shape))
    return torch.from_numpy(np.sin(1.7 * np.arange(count) + phase).reshape(shape))


def tuples(values):
    return [tuple(v) if isinstance(v, list) else v for v in values]


def main():
    cases = json.loads((HERE / "nn_cases.json").read_text())
    answers = {}
    for i, case in enumerate(cases["layers"]):
        kwargs = dict(zip(case["kwargs"], tuples(case["kwargs"].values()), strict=True))
        layer = getattr(nn, case["layer"])(*tuples(case["args"]), **kwargs).double()
        layer.train(not case.get("eval", False))
        with torch.no_grad():
            for k, p in enumerate(layer.parameters()):
                p.copy_(wave(p.shape, k + 2))
        x = wave(case["shape"], 0).requires_grad_()
        for _ in range(2):  # twice, for running statistics
            y = layer(x)
        (y * wave(y.shape, 1)).sum().backward()
        answers[f"layer{i}/y"] = y.detach().numpy()
        answers[f"layer{i}/x.grad"] = x.grad.numpy()
        for name, p in layer.named_parameters():
            answers[f"layer{i}/{name}.grad"] = p.grad.numpy()
        for name, b in layer.named_buffers():
            answers[f"layer{i}/{name}"] = b.numpy()
    for i, case in enumerate(cases["losses"]):
        weight = {"weight": torch.tensor(case["weight"], dtype=torch.float64)} if "weight" in case else {}
        x = wave(case["shape"], 0).requires_grad_()
        target = torch.tensor(case["target"])
        loss = getattr(nn, case["loss"])(**case["kwargs"], **weight)
        y = loss(x, target.double() if target.is_floating_point() else target)
        (y * wave(y.shape, 1)).sum().backward()
        answers[f"loss{i}/y"] = y.detach().numpy()
        answers[f"loss{i}/x.grad"] = x.grad.numpy()
    np.savez_compressed(HERE / "nn.npz", **answers)


if __name__ == "__main__":
    main()
