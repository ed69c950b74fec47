"""Writes optim.npz: where PyTorch's optimizers and schedules go in the cases of optim_cases.json, in float64.

Run with a Python that has torch: ``python tests/golden/make_optim.py``. Made with PyTorch 2.13.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from torch.optim import lr_scheduler

HERE = Path(__file__).parent


def wave(shape, phase):
    count = int(np.prod(shape))
    return torch.from_numpy(np.sin(1.7 * np.arange(count) + phase).reshape(shape))


def main():
    warnings.simplefilter("ignore")
    cases = json.loads((HERE / "optim_cases.json").read_text())
    answers = {}
    for i, case in enumerate(cases["optimizers"]):
        params = [wave((2, 3), 0).requires_grad_(), wave((4,), 1).requires_grad_(), wave((2,), 2).requires_grad_()]
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in case["options"].items()}
        optimizer = getattr(torch.optim, case["optimizer"])(
            [{"params": params[:1]}, {"params": params[1:], "lr": 0.05}], **options
        )
        for step in range(6):
            for k, p in enumerate(params):
                p.grad = 0.5 * p.detach() + wave(p.shape, step + k)
            if step == 2:
                params[1].grad = None  # a step without this one
            if step < 1:
                params[2].grad = None  # this one joins late
            optimizer.step()
        for k, p in enumerate(params):
            answers[f"optimizer{i}/{k}"] = p.detach().numpy()
            for name, value in optimizer.state[p].items():
                answers[f"optimizer{i}/{k}/{name}"] = value.numpy()

    def start(momentum=0.0):
        groups = [{"params": [wave((1,), 0)]}, {"params": [wave((1,), 0)], "lr": 0.02}]
        return torch.optim.SGD(groups, lr=0.5, momentum=momentum)

    def follow(optimizer, scheduler):
        rates = [[g["lr"] for g in optimizer.param_groups]]
        for _ in range(25):
            optimizer.step()
            scheduler.step()
            rates.append([g["lr"] for g in optimizer.param_groups])
        return np.array(rates)

    for i, case in enumerate(cases["schedules"]):
        optimizer = start(0.5)
        answers[f"schedule{i}"] = follow(
            optimizer, getattr(lr_scheduler, case["scheduler"])(optimizer, **case["options"])
        )
    optimizer = start()
    answers["warmup"] = follow(
        optimizer,
        lr_scheduler.SequentialLR(
            optimizer,
            [
                lr_scheduler.LinearLR(optimizer, 0.1, total_iters=4),
                lr_scheduler.CosineAnnealingLR(optimizer, 10),
                lr_scheduler.StepLR(optimizer, 3),
            ],
            [4, 14],
        ),
    )
    optimizer = start()
    answers["lambda"] = follow(optimizer, lr_scheduler.LambdaLR(optimizer, [lambda e: 0.9**e, lambda e: 1 / (e + 1)]))
    optimizer = start()
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, cooldown=1, min_lr=[0.1, 0.001])
    rates = []
    for i in range(25):
        scheduler.step(1 / (i + 1) if i < 6 else 0.2)
        rates.append([g["lr"] for g in optimizer.param_groups])
    answers["plateau"] = np.array(rates)
    optimizer = start()
    multiplied = lr_scheduler.MultiplicativeLR(optimizer, lambda e: 0.95)
    answers["multiplicative"] = follow(optimizer, multiplied)
    optimizer = start()
    a, b = lr_scheduler.StepLR(optimizer, 3, 0.5), lr_scheduler.ExponentialLR(optimizer, 0.95)
    answers["two"] = follow(optimizer, type("Both", (), {"step": lambda self: (a.step(), b.step())})())
    np.savez_compressed(HERE / "optim.npz", **answers)


if __name__ == "__main__":
    main()
