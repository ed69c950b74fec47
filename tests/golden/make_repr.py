"""Writes repr.json: how PyTorch prints the tensors of repr_cases. Run with a Python that has torch. PyTorch 2.13."""

import json
from pathlib import Path

import torch
from repr_cases import CASES


def main():
    shown = {name: repr(eval(code, {"t": torch})) for name, code in CASES.items()}
    torch.set_printoptions(precision=2, edgeitems=2, threshold=20, linewidth=60)
    shown["options"] = repr(torch.arange(60.0).reshape(5, 12) / 7)
    torch.set_printoptions(profile="default", sci_mode=True)
    shown["sci_mode"] = repr(torch.tensor([1.5, -20.0]))
    text = json.dumps(shown, indent=1).replace("torch.", "tinycnn.")
    (Path(__file__).parent / "repr.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
