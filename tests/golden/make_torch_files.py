"""Writes the files in ``torch_files`` by ``torch.save``; needs PyTorch. The tests know the numbers: all are counted up.

Usage: python tests/golden/make_torch_files.py
"""

from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).with_name("torch_files")


def counted(*shape, dtype=torch.float32):
    count = int(np.prod(shape))
    return torch.arange(count).reshape(shape).to(dtype)


def state():
    model = torch.nn.Sequential(OrderedDict(conv=torch.nn.Conv2d(1, 2, 3), bn=torch.nn.BatchNorm2d(2)))
    with torch.no_grad():
        for value in model.state_dict().values():
            value.copy_(counted(*value.shape))
    return model.state_dict()


def views():
    base = counted(4, 6)
    return {
        "base": base,
        "row": base[1],
        "transposed": base.t(),
        "stepped": base[1:, 1::2],
        "expanded": base[0, :1].expand(3),
        "again": base,
    }


def plain():
    names = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split()
    parameter = torch.nn.Parameter(counted(3))
    return {
        "tensors": {name: counted(4, dtype=getattr(torch, name)) for name in names},
        "parameter": parameter,
        "frozen": torch.nn.Parameter(counted(2), requires_grad=False),
        "leaf": counted(2).requires_grad_(),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "size": torch.Size([1, 2]),
        "device": torch.device("cuda:1"),
        "dtype": torch.float16,
        "counter": Counter("aab"),
        "default": defaultdict(list, a=[1]),
        "values": [None, True, -1, 2**40, 1.5, "text", b"\x00\xff", (1, (2,)), {3, 4}, frozenset("x"), 1j],
        "numpy": [np.float64(0.25), np.int64(-7), np.arange(6.0).reshape(2, 3)],
        ("a", 1): "keys",
    }


def optimizer():
    model = torch.nn.Linear(2, 1)
    adam = torch.optim.Adam([{"params": [model.weight]}, {"params": [model.bias], "lr": 0.5}], lr=0.25)
    model(torch.ones(1, 2)).sum().backward()
    adam.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(adam, [2, 3])
    return {"epoch": 3, "optimizer": adam.state_dict(), "schedule": schedule.state_dict()}


def main():
    FOLDER.mkdir(exist_ok=True)
    for make in (state, views, plain, optimizer):
        for kind, new in (("zip", True), ("legacy", False)):
            path = FOLDER / f"{make.__name__}_{kind}.pt"
            torch.save(make(), path, _use_new_zipfile_serialization=new)
    torch.save(state(), FOLDER / "state_protocol4.pt", pickle_protocol=4)


if __name__ == "__main__":
    main()
