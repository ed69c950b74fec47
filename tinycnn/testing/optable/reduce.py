"""Reductions."""

from __future__ import annotations

import numpy as np

import tinycnn as t

from ._op import ONE, Op

REDUCTIONS = (
    Op("sum", lambda x: x.sum(), np.sum, ONE),
    Op(
        "sum: dims",
        lambda x: x.sum((0, -1), keepdim=True),
        lambda x: x.sum((0, -1), keepdims=True),
        (((2, 3, 2),),),
    ),
    Op(
        "mean",
        lambda x: x.mean(-1),
        lambda x: x.mean(-1),
        (((2, 3),), ((4,),)),
        refuses=((lambda: t.ones(2, dtype=t.int64).mean(), RuntimeError, "floating-point"),),
    ),
    Op("var", lambda x: x.var(1, correction=1), lambda x: x.var(1, ddof=1), (((2, 3),), ((2, 4, 2),))),
    Op("std", lambda x: x.std(), lambda x: x.std(ddof=1), (((2, 3),),)),
    Op("amax", lambda x: x.amax(1), lambda x: x.max(1), (((2, 3),), ((2, 3, 2),)), spaced=True),
    Op("amin", lambda x: x.amin((0, 1)), lambda x: x.min((0, 1)), (((2, 3),), ((2, 3, 2),)), spaced=True),
    Op(
        "max: dim",
        lambda x: x.max(1)[0],
        lambda x: x.max(1),
        (((2, 3),), ((2, 3, 2),)),
        spaced=True,
        refuses=((lambda: t.ones(2, 3).max(2), IndexError, "out of range"),),
    ),
    Op("min", lambda x: x.min(), lambda x: x.min(), (((2, 3),),), spaced=True),
    Op("argmax", lambda x: x.argmax(1), lambda x: x.argmax(1), (((2, 3),),), gradient=False),
    Op("any", lambda x: (x > 0).any(1), lambda x: (x > 0).any(1), (((2, 3),),), gradient=False),
)
