"""Training steps of tinycnn and PyTorch, measured in separate processes in turn.

    python benchmarks/vs_torch.py --threads 2 --rounds 5

Two thread pools in one process would disturb each other, so every measurement is a process of its own; they alternate,
and the ratio is taken round by round. Needs PyTorch: pip install -e '.[bench]'
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from typing import Any

# name -> (input channels, batch size)
STEPS = {
    "LeNet-5, 1x32x32, batch 64": (1, 64),
    "CIFAR tutorial net, 3x32x32, batch 4": (3, 4),
    "CIFAR tutorial net, 3x32x32, batch 32": (3, 32),
}


def net(nn: Any, channels: int) -> Any:
    """LeNet-5 and the tutorial's net differ in the first layer only."""
    return nn.Sequential(
        *(nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def measure(library: str, threads: int, steps: int) -> dict[str, list[float]]:
    """Milliseconds of `steps` training steps for each net, after as many to warm up as are enough."""
    lib = importlib.import_module(library)
    nn, optim = importlib.import_module(f"{library}.nn"), importlib.import_module(f"{library}.optim")
    lib.set_num_threads(threads)
    lib.manual_seed(0)
    result = {}
    for name, (channels, batch) in STEPS.items():
        model = net(nn, channels)
        optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        criterion = nn.CrossEntropyLoss()
        x, y = lib.randn(batch, channels, 32, 32), lib.randint(0, 10, (batch,))
        times = []
        for _ in range(steps + 30):
            began = time.perf_counter()
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()
            times.append((time.perf_counter() - began) * 1e3)
        result[name] = times[30:]
    return result


def in_a_process(library: str, args: argparse.Namespace) -> dict[str, list[float]]:
    command = [
        sys.executable,
        __file__,
        "--worker",
        library,
        "--threads",
        str(args.threads),
        "--steps",
        str(args.steps),
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="processes of each library, in turn")
    parser.add_argument("--steps", type=int, default=200, help="training steps in each")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--worker", choices=("tinycnn", "torch"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(measure(args.worker, args.threads, args.steps)))
        return
    if importlib.util.find_spec("torch") is None:
        raise SystemExit("this benchmark needs PyTorch: pip install -e '.[bench]'")
    in_a_process("tinycnn", args)  # compiles what is not yet on disk
    rounds = [{lib: in_a_process(lib, args) for lib in ("tinycnn", "torch")} for _ in range(args.rounds)]
    table = {}
    for name in STEPS:
        medians = {lib: [statistics.median(r[lib][name]) for r in rounds] for lib in ("tinycnn", "torch")}
        table[name] = {
            "tinycnn_ms": statistics.median(medians["tinycnn"]),
            "torch_ms": statistics.median(medians["torch"]),
            "tinycnn_min_ms": min(min(r["tinycnn"][name]) for r in rounds),
            "torch_min_ms": min(min(r["torch"][name]) for r in rounds),
            "ratio": statistics.median(a / b for a, b in zip(medians["tinycnn"], medians["torch"], strict=True)),
        }
    if args.json:
        print(json.dumps(table, indent=2))
        return
    print(f"training step, ms; {args.threads} threads, {args.rounds} rounds of {args.steps} steps, medians")
    print(f"{'':40} {'tinycnn':>9} {'(min)':>9} {'PyTorch':>9} {'(min)':>9} {'ratio':>6}")
    for name, row in table.items():
        ours, theirs = (f"{row[f'{lib}_ms']:9.2f} {row[f'{lib}_min_ms']:9.2f}" for lib in ("tinycnn", "torch"))
        print(f"{name:40} {ours} {theirs} {row['ratio']:6.2f}")


if __name__ == "__main__":
    main()
