"""Holds the models against torchvision's: with the same weights, the same logits, gradients and statistics.

    python benchmarks/agree_with_torchvision.py                 all of them; hours on a small machine
    python benchmarks/agree_with_torchvision.py resnet18 vgg11  these
    python benchmarks/agree_with_torchvision.py --zero resnet18 zeroes each weight in turn, too

Needs torch and torchvision. Weights are drawn, and the statistics of the batch norms are those of a batch, disturbed,
so that every layer matters. Printed per model, as relative errors in the L2 norm, the worst tensor of each kind:

    float64   logits, gradients, statistics: ours against PyTorch's, in evaluation and in training (without dropout)
    float32   the same distance to PyTorch's float64: ours, PyTorch's own, and the ratio of the two over all tensors
              (single tensors say little: where an element near 0 changes sides in a ReLU, its gradient comes or goes)
    zeroed    the smallest change of the logits that zeroing one weight tensor makes
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from torchvision import models as theirs

import tinycnn
from tinycnn.vision import models as ours

TINY = 1e-30


class ExactHardsigmoid(torch.nn.Module):
    """PyTorch's own takes 1/6 in float32 for the gradient in float64 (2.13), which is off by 3e-8."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.relu6(x + 3) / 6


def make(library: Any, name: str) -> Any:
    """The model, with auxiliary heads where there are some and without dropout."""
    options: dict[str, Any] = {"weights": None}
    if name.startswith("fcn"):
        options |= {"weights_backbone": None, "aux_loss": True}
    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": False}
    model = library.get_model(name, **options)
    for module in model.modules():
        if type(module).__name__ == "Dropout":
            module.p = 0.0
        if library is theirs and hasattr(module, "scale_activation"):
            if isinstance(module.scale_activation, torch.nn.Hardsigmoid):
                module.scale_activation = ExactHardsigmoid()
    return model


def outputs(result: Any) -> list[Any]:
    """The tensors that a model returned."""
    values = result.values() if isinstance(result, dict) else result if isinstance(result, tuple) else [result]
    return [v for v in values if v is not None]


def draw(model: torch.nn.Module, x: torch.Tensor) -> None:
    """Weights that keep the variance, and statistics near those of the batch `x`."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
                torch.nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    module.bias.normal_(0, 0.2)
            elif isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.3)
                module.kept, module.momentum = module.momentum, 1.0
        model.train()
        model(x)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = module.kept
                spread = module.running_var.sqrt()
                module.running_mean += 0.2 * spread * torch.randn_like(spread)
                module.running_var *= torch.empty_like(spread).uniform_(0.6, 1.6)


def step(library: Any, model: Any, x: Any, weights: list[np.ndarray], training: bool) -> dict[str, np.ndarray]:
    """What one step forward and back leaves, by name."""
    model.train(training)
    model.zero_grad()
    results = outputs(model(x))
    parts = [(r * library.as_tensor(w[: r.numel()].reshape(tuple(r.shape))).to(r.dtype)).sum()
             for r, w in zip(results, weights, strict=False)]  # fmt: skip
    loss = parts[0]
    for part in parts[1:]:
        loss = loss + part
    loss.backward()
    found = {f"logits {i}": r.detach().numpy() for i, r in enumerate(results)}
    found |= {f"grad {n}": p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}
    if training:
        found |= {f"buffer {n}": b.numpy().copy() for n, b in model.named_buffers() if "tracked" not in n}
    return found


def distances(got: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> dict[str, float]:
    """For each name, |got - wanted| / |wanted|; a gradient that is 0 but for rounding counts against the largest."""
    assert got.keys() == wanted.keys(), set(got) ^ set(wanted)
    norms = {name: float(np.linalg.norm(w.astype(np.float64))) for name, w in wanted.items()}
    floor = 1e-6 * max(n for name, n in norms.items() if name.startswith("grad"))
    return {
        name: float(np.linalg.norm(got[name].astype(np.float64) - w)) / max(norms[name], floor, TINY)
        for name, w in wanted.items()
    }


def worst(found: dict[str, float]) -> str:
    """The largest error of each kind."""
    kinds: dict[str, float] = {}
    for name, value in found.items():
        kind = name.split()[0]
        kinds[kind] = max(kinds.get(kind, 0.0), value)
    return ", ".join(f"{kind} {value:.1e}" for kind, value in kinds.items())


def smallest_change(model: torch.nn.Module, x: torch.Tensor) -> tuple[float, str]:
    """Over all weights (not the heads that evaluation leaves out): what zeroing one changes of the logits."""
    model.eval()
    changes = []
    with torch.no_grad():
        before = torch.cat([o.flatten() for o in outputs(model(x))])
        for name, p in model.named_parameters():
            if p.ndim < 1 or name.endswith("bias") or name.lower().startswith("aux"):
                continue
            kept = p.clone()
            p.zero_()
            after = torch.cat([o.flatten() for o in outputs(model(x))])
            p.copy_(kept)
            changes.append((float((after - before).norm() / before.norm()), name))
    return min(changes)


def check(name: str, size: int, batch: int, zero: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(batch, 3, size, size, dtype=torch.float64)
    model = make(theirs, name).double()
    draw(model, x)
    state = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    rng = np.random.default_rng(1)
    weights = [rng.standard_normal(batch * max(1000, 21 * size * size)) for _ in range(3)]
    print(f"{name}, {batch} images of {size}x{size}", flush=True)
    if zero:
        change, which = smallest_change(model, x[:1])
        print(f"  zeroed    {change:.1%} ({which})", flush=True)
    mine = make(ours, name)
    for training in (False, True):
        answers = {}
        for bits in (64, 32):
            theirs_dtype, ours_dtype = getattr(torch, f"float{bits}"), getattr(tinycnn, f"float{bits}")
            with torch.no_grad():  # not load_state_dict: mnasnet wants a version, too
                for key, value in model.to(theirs_dtype).state_dict().items():
                    value.copy_(torch.from_numpy(state[key]))
            answers["theirs", bits] = step(torch, model, x.to(theirs_dtype), weights, training)
            mine.to(ours_dtype).load_state_dict({k: tinycnn.from_numpy(v) for k, v in state.items()})
            data = tinycnn.from_numpy(x.numpy()).to(ours_dtype)
            answers["ours", bits] = step(tinycnn, mine, data, weights, training)
        mode = "training" if training else "evaluation"
        exact = answers["theirs", 64]
        print(f"  float64   {mode}: {worst(distances(answers['ours', 64], exact))}", flush=True)
        near, far = distances(answers["ours", 32], exact), distances(answers["theirs", 32], exact)
        ratio = np.sqrt(sum(v * v for v in near.values()) / sum(v * v for v in far.values()))
        print(f"  float32   {mode}: ours {worst(near)}; theirs {worst(far)}; ratio {ratio:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="models; all that both have if not given")
    parser.add_argument("--size", type=int, help="pixels a side; 96, or 299 for inception_v3")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--zero", action="store_true", help="zero each weight in turn")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tinycnn.set_num_threads(args.threads)
    for name in args.names or sorted(set(ours.list_models()) & set(theirs.list_models())):
        check(name, args.size or (299 if name == "inception_v3" else 96), args.batch, args.zero)


if __name__ == "__main__":
    main()
