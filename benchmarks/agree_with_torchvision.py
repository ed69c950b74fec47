"""Holds the models against torchvision's: with the same weights, the same logits, gradients and statistics.

    python benchmarks/agree_with_torchvision.py                 all of them; hours on a small machine
    python benchmarks/agree_with_torchvision.py resnet18 vgg11  these
    python benchmarks/agree_with_torchvision.py --zero resnet18 zeroes each weight in turn, too

Needs torch and torchvision. Weights are drawn, and the statistics of the batch norms are those of a batch, disturbed,
so that every layer matters. Printed per model, as relative errors in the L2 norm, the worst tensor of each kind:

    float64   logits, gradients, statistics: ours against PyTorch's, in evaluation and in training (without dropout)
    float32   the same distance to PyTorch's float64: ours, PyTorch's own, and the ratio of the two over all tensors.
              An element near 0 that rounding moves to the other side of a ReLU takes its whole gradient along, and so
              does the winner of a max pool. These choices are counted where they are another than in float64; if there
              are some and the ratio is above 10, it is measured again with all of them held as they are in float64
    zeroed    the smallest change of the logits that zeroing one weight tensor makes

Ends with an error if a distance in float64 is above 1e-9, a ratio in float32 above 10 (held, if it was measured so),
or a change by zeroing not above 1 %.
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


class Choices:
    """What the ReLUs of a model let through, and which elements win in its max pools (those that are layers)."""

    def __init__(self, library: Any, model: Any) -> None:
        self.library = library
        self.made: list[np.ndarray] = []
        self.held: list[np.ndarray] | None = None
        for module in model.modules():
            if type(module).__name__ == "ReLU":
                module.inplace = False
                module.register_forward_hook(self.relu)
            elif type(module).__name__ == "MaxPool2d":
                module.register_forward_hook(self.pool)

    def hold(self, choices: list[np.ndarray] | None) -> None:
        """Begin anew, with the choices of another run or with the model's own."""
        self.made, self.held = [], choices

    def changes(self, choices: list[np.ndarray]) -> int:
        """How many were made in another way."""
        return sum(int((mine != other).sum()) for mine, other in zip(self.made, choices, strict=True))

    def relu(self, module: Any, args: Any, output: Any) -> Any:
        (x,) = args
        self.made.append(x.detach().numpy() > 0)
        if self.held is None:
            return None
        return x * self.library.as_tensor(self.held[len(self.made) - 1]).to(x.dtype)

    def pool(self, module: Any, args: Any, output: Any) -> Any:
        (x,) = args
        rule = (module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode)
        _, winners = self.library.nn.functional.max_pool2d(x.detach(), *rule, return_indices=True)
        self.made.append(winners.numpy())
        if self.held is None:
            return None
        held = self.library.as_tensor(self.held[len(self.made) - 1])
        return x.flatten(2).gather(2, held.flatten(2)).reshape(output.shape)


def distances(got: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> dict[str, float]:
    """For each name, |got - wanted| / |wanted|; a gradient that is 0 but for rounding counts against the largest."""
    assert got.keys() == wanted.keys(), set(got) ^ set(wanted)
    norms = {name: float(np.linalg.norm(w.astype(np.float64))) for name, w in wanted.items()}
    floor = 1e-6 * max(n for name, n in norms.items() if name.startswith("grad"))
    return {
        name: float(np.linalg.norm(got[name].astype(np.float64) - w)) / max(norms[name], floor, TINY)
        for name, w in wanted.items()
    }


def ratio(near: dict[str, float], far: dict[str, float]) -> float:
    """Our distance in units of PyTorch's own, over all tensors."""
    return float(np.sqrt(sum(v * v for v in near.values()) / sum(v * v for v in far.values())))


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


def check(name: str, size: int, batch: int, zero: bool) -> list[str]:
    """Print how far the two are apart; returns which rules are broken, in words."""
    broken = []
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
        if change <= 0.01:
            broken.append(f"{name}: zeroing {which} changes the logits by {change:.1%} only")
        print(f"  zeroed    {change:.1%} ({which})", flush=True)
    models = {"theirs": (torch, model), "ours": (tinycnn, make(ours, name))}
    choices = {whose: Choices(*pair) for whose, pair in models.items()}

    def run(whose: str, bits: int, training: bool, held: list[np.ndarray] | None = None) -> dict[str, np.ndarray]:
        library, net = models[whose]
        kind = getattr(library, f"float{bits}")
        net.to(kind)
        with torch.no_grad(), tinycnn.no_grad():  # not load_state_dict: mnasnet wants a version, too
            for key, value in net.state_dict().items():
                value.copy_(library.as_tensor(state[key]))
        choices[whose].hold(held)
        return step(library, net, library.as_tensor(x.numpy()).to(kind), weights, training)

    modes = {"evaluation": False, "training": True}
    if not any("running_mean" in key for key in state):
        del modes["training"]  # without dropout it is the same
    for mode, training in modes.items():
        exact = run("theirs", 64, training)
        chosen = choices["theirs"].made
        apart = distances(run("ours", 64, training), exact)
        print(f"  float64   {mode}: {worst(apart)}", flush=True)
        if max(apart.values()) > 1e-9:
            broken.append(f"{name}, {mode}: float64 is {max(apart.values()):.1e} apart")
        far, near = (distances(run(whose, 32, training), exact) for whose in models)
        other = {whose: choice.changes(chosen) for whose, choice in choices.items()}
        print(
            f"  float32   {mode}: ours {worst(near)}; theirs {worst(far)}; ratio {ratio(near, far):.2f}; choices "
            f"changed: ours {other['ours']}, theirs {other['theirs']} of {sum(c.size for c in chosen):,}",
            flush=True,
        )
        if ratio(near, far) > 10 and any(other.values()):
            far, near = (distances(run(whose, 32, training, chosen), exact) for whose in models)
            text = f"ours {worst(near)}; theirs {worst(far)}; ratio {ratio(near, far):.2f}"
            print(f"     held   {mode}: {text}", flush=True)
        if ratio(near, far) > 10:
            broken.append(f"{name}, {mode}: float32 is {ratio(near, far):.0f} times as far away as PyTorch's")
    return broken


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
    broken = []
    for name in args.names or sorted(set(ours.list_models()) & set(theirs.list_models())):
        broken += check(name, args.size or (299 if name == "inception_v3" else 96), args.batch, args.zero)
    if broken:
        raise SystemExit("\n".join(broken))


if __name__ == "__main__":
    main()
