"""Writes models.json: what torchvision's models are made of, to hold ours against.

Run with a Python that has torch and torchvision: ``python tests/golden/make_models.py``. Made with torchvision 0.28.
Per model: the number of parameters, of entries in its state_dict, and the SHA-256 of its lines "key:shape"; for some,
what a step in float64 gives (models_recipe.py).
"""

import hashlib
import json
from pathlib import Path

import torch
from models_recipe import RUNS, options, step, weights
from torchvision import models

FAMILIES = "alexnet vgg* resnet* resnext* wide_* densenet* googlenet inception_v3 squeezenet* mobilenet_* mnasnet*"
FAMILIES += " shufflenet_v2_* fcn_*"


def main():
    found = {}
    with torch.device("meta"):
        for name in models.list_models(include=FAMILIES.split()):
            model = models.get_model(name, **options(name))
            state = model.state_dict()
            lines = "\n".join(f"{key}:{','.join(map(str, value.shape))}" for key, value in state.items())
            count = sum(p.numel() for p in model.parameters())
            found[name] = [count, len(state), hashlib.sha256(lines.encode()).hexdigest()[:16]]
    for name, size in RUNS.items():
        model = models.get_model(name, **options(name)).double()
        with torch.no_grad():
            for value, drawn in zip(model.state_dict().values(), weights(model).values(), strict=True):
                value.copy_(torch.from_numpy(drawn))
        found[name].append([float(f"{value:.12g}") for value in step(torch, model, size)])
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in found.items())
    (Path(__file__).parent / "models.json").write_text(f"{{\n{text}\n}}\n")


if __name__ == "__main__":
    main()
