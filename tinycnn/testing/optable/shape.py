"""Shapes and indices."""

from __future__ import annotations

import numpy as np

import tinycnn as t

from ...nn import functional as F
from ._op import ONE, Op

SHAPES = (
    Op(
        "reshape",
        lambda x: x.reshape(3, -1),
        lambda x: x.reshape(3, -1),
        (((2, 3),), ((3, 1, 2),)),
        refuses=((lambda: t.ones(2, 3).reshape(4, 2), RuntimeError, "do not fit"),),
    ),
    Op("flatten", lambda x: x.flatten(1), lambda x: x.reshape(2, -1), (((2, 3, 2),), ((2, 1),))),
    Op("transpose", lambda x: x.transpose(0, -1), lambda x: x.swapaxes(0, -1), (((2, 3),), ((2, 3, 4),))),
    Op(
        "permute",
        lambda x: x.permute(2, 0, 1),
        lambda x: x.transpose(2, 0, 1),
        (((2, 3, 4),),),
        refuses=((lambda: t.ones(2, 3).permute(0, 0), RuntimeError, "once"),),
    ),
    Op("squeeze", lambda x: x.squeeze(), np.squeeze, (((2, 1, 3),), ((1, 1),))),
    Op("unsqueeze", lambda x: x.unsqueeze(-1), lambda x: x[..., None], ONE),
    Op(
        "Tensor.expand",
        lambda x: x.expand(2, -1, 3),
        lambda x: np.broadcast_to(x, (2, x.shape[-2], 3)),
        (((4, 1),), ((1, 4, 1),)),
        refuses=((lambda: t.ones(2).expand(3), RuntimeError, "stretch"),),
    ),
    Op("Tensor.__getitem__", lambda x: x[1:, None, ::-1], lambda x: x[1:, None, ::-1], (((3, 4),),)),
    Op("Tensor.__getitem__: integers", lambda x: x[t.tensor([0, 2, 0])], lambda x: x[[0, 2, 0]], (((3, 2),),)),
    Op("Tensor.__getitem__: bools", lambda x: x[t.tensor([True, False, True])], lambda x: x[[0, 2]], (((3, 2),),)),
    Op(
        "cat",
        lambda x, y: t.cat([x, y], 1),
        lambda x, y: np.concatenate([x, y], 1),
        (((2, 3), (2, 1)), ((2, 0), (2, 2))),
        refuses=((lambda: t.cat([t.ones(2, 2), t.ones(3, 3)]), RuntimeError, "equal except"),),
    ),
    Op("stack", lambda x, y: t.stack([x, y], -1), lambda x, y: np.stack([x, y], -1), (((2, 3), (2, 3)),)),
    Op("split", lambda x: x.split(2, 1)[1] * 2, lambda x: x[:, 2:4] * 2, (((2, 3),), ((1, 5),))),
    Op("flip", lambda x: x.flip(0, 1), lambda x: x[::-1, ::-1], (((2, 3),),)),
    Op("nn.functional.pad", lambda x: F.pad(x, (1, 2, -1, 0)), lambda x: np.pad(x[1:], ((0, 0), (1, 2))), (((2, 3),),)),
    Op(
        "gather",
        lambda x: x.gather(1, t.tensor([[0, 0], [2, 1]])),
        lambda x: np.take_along_axis(x, np.array([[0, 0], [2, 1]]), 1),
        (((2, 3),),),
        refuses=((lambda: t.ones(2, 3).gather(1, t.tensor([[3]])), RuntimeError, "outside"),),
    ),
)
