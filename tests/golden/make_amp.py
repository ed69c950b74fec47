"""Writes amp.txt anew: the dtypes of results in PyTorch's autocast blocks. Run with a Python that has torch 2.13.

A line is an expression (see amp_cases) after two times four letters, for the CPU and for CUDA, each for the pairs of
dtypes in KINDS; ! is an error. No GPU is needed: its part runs on PyTorch's fake tensors, which have no numbers.
"""

import contextlib
import logging
from pathlib import Path

import torch
from amp_cases import KINDS, letter, names
from torch._subclasses.fake_tensor import FakeTensorMode

HERE = Path(__file__).parent


def found(expression, place, kinds):
    with FakeTensorMode() if place == "cuda" else contextlib.nullcontext():
        given = names(torch, *kinds, place)
        torch.set_autocast_enabled(place, True)  # autocast("cuda") would look for a GPU
        torch.set_autocast_dtype(place, torch.float16)
        torch.autocast_increment_nesting()
        try:
            return letter(eval(expression, given))
        except Exception:
            return "!"
        finally:
            torch.autocast_decrement_nesting()
            torch.clear_autocast_cache()
            torch.set_autocast_enabled(place, False)


def main():
    logging.disable(logging.CRITICAL)
    lines = []
    for line in (HERE / "amp.txt").read_text().splitlines():
        expression = line.split(maxsplit=2)[2]
        lines.append(" ".join("".join(found(expression, p, k) for k in KINDS) for p in ("cpu", "cuda")))
        lines[-1] += " " + expression
    (HERE / "amp.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
