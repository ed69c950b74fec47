"""Reductions."""

from __future__ import annotations

import numpy as np

import tinycnn as t

from ._op import ONE, Op


def _zero(x: np.ndarray, axis: int) -> np.ndarray:
    """Ones, with one 0 along the axis."""
    factor = np.ones(x.shape)
    factor.swapaxes(0, axis)[1] = 0
    return factor


def _zeros(x: t.Tensor, axis: int) -> t.Tensor:
    return t.tensor(_zero(x.detach().numpy(), axis), dtype=x.dtype)


def _mode(x: np.ndarray) -> np.ndarray:
    rows = [np.unique(row, return_counts=True) for row in np.round(x)]
    return np.array([values[counts.argmax()] for values, counts in rows])


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
    Op("max", lambda x: x.max(), lambda x: x.max(), (((2, 3),), ((),)), spaced=True),
    Op(
        "min: dim",
        lambda x: t.min(x, 0, keepdim=True).values,
        lambda x: x.min(0, keepdims=True),
        (((2, 3),),),
        spaced=True,
    ),
    Op("argmin", lambda x: x.argmin(), lambda x: x.argmin(), (((2, 3),),), gradient=False),
    Op("all", lambda x: (x > -1).all(), lambda x: (x > -1).all(), (((2, 3),), ((0,),)), gradient=False),
    Op("prod", lambda x: x.prod(), np.prod, (((2, 3),), ((),), ((0,),))),
    Op("prod: dim", lambda x: t.prod(x, 1, True), lambda x: x.prod(1, keepdims=True), (((2, 3),), ((2, 1, 2),))),
    Op("prod: zeros", lambda x: t.prod(x * _zeros(x, 1), 1), lambda x: x.prod(1) * 0, (((2, 3),),), second=False),
    Op(
        "nansum", lambda x: t.nansum(t.where(x > 1, np.nan, x), 0), lambda x: np.where(x > 1, 0, x).sum(0), (((4, 3),),)
    ),
    Op(
        "nanmean",
        lambda x: t.nanmean(t.where(x > 1.5, np.nan, x)),
        lambda x: np.nanmean(np.where(x > 1.5, np.nan, x)),
        (((4, 3),),),
        refuses=((lambda: t.nanmean(t.tensor([1])), RuntimeError, "floating-point"),),
    ),
    Op("var: unbiased", lambda x: x.var(0, False), lambda x: x.var(0), (((3, 2),),)),
    Op(
        "var_mean",
        lambda x: t.var_mean(x, 1)[0] + t.var_mean(x)[1],
        lambda x: x.var(1, ddof=1) + x.mean(),
        (((2, 3),),),
    ),
    Op(
        "std_mean",
        lambda x: t.std_mean(x, 1)[0] * t.std_mean(x)[1],
        lambda x: x.std(1, ddof=1) * x.mean(),
        (((2, 3),),),
    ),
    Op("aminmax", lambda x: t.aminmax(x)[1] - t.aminmax(x).min, np.ptp, (((2, 3),),), spaced=True),
    Op("count_nonzero", lambda x: t.count_nonzero(x > 0, 1), lambda x: (x > 0).sum(1), (((2, 3),),), gradient=False),
    Op("logsumexp", lambda x: t.logsumexp(x, 1), lambda x: np.log(np.exp(x).sum(1)), (((2, 3),), ((2, 1, 3),))),
    Op(
        "median",
        lambda x: t.median(x),
        lambda x: np.sort(x, None)[(x.size - 1) // 2],
        (((2, 3),), ((3,),)),
        spaced=True,
        differs="among equal elements the index along a dimension is that of the first in a stable order",
    ),
    Op("median: dim", lambda x: t.median(x, 0)[0], lambda x: np.sort(x, 0)[1], (((3, 2),), ((4, 2),)), spaced=True),
    Op("nanmedian", lambda x: t.nanmedian(x, 1).values, lambda x: np.sort(x, 1)[:, 1], (((2, 3),),), spaced=True),
    Op(
        "kthvalue",
        lambda x: t.kthvalue(x, 2, 1).values,
        lambda x: np.sort(x, 1)[:, 1],
        (((2, 3),),),
        spaced=True,
        refuses=((lambda: t.kthvalue(t.ones(2), 3), RuntimeError, "between 1 and 2"),),
        differs="among equal elements the index is that of the first in a stable order",
    ),
    Op("mode", lambda x: t.mode(t.round(x), 1).values, _mode, (((2, 7),),), gradient=False),
    Op(
        "quantile",
        lambda x: t.quantile(x, t.tensor([0.2, 0.7], dtype=x.dtype), 0),
        lambda x: np.quantile(x, [0.2, 0.7], 0),
        (((4, 2),), ((1, 3),)),
        spaced=True,
        refuses=((lambda: t.quantile(t.ones(2), 1.5), RuntimeError, "[0, 1]"),),
    ),
    Op("nanquantile", lambda x: t.nanquantile(x, 0.3), lambda x: np.quantile(x, 0.3), (((4, 2),),), spaced=True),
    Op("cumsum", lambda x: t.cumsum(x, 1), lambda x: np.cumsum(x, 1), (((2, 3),), ((2, 3, 2),))),
    Op("cumprod", lambda x: t.cumprod(x, 0), lambda x: np.cumprod(x, 0), (((3, 2),),)),
    Op(
        "cumprod: zeros",
        lambda x: t.cumprod(x * _zeros(x, 0), 0),
        lambda x: np.cumprod(x * _zero(x, 0), 0),
        (((3, 2),),),
    ),
    Op("logcumsumexp", lambda x: t.logcumsumexp(x, 1), lambda x: np.log(np.cumsum(np.exp(x), 1)), (((2, 3),),)),
    Op("cummax", lambda x: t.cummax(x, 1)[0], lambda x: np.maximum.accumulate(x, 1), (((2, 4),),), spaced=True),
    Op("cummin", lambda x: t.cummin(x, 0)[0], lambda x: np.minimum.accumulate(x, 0), (((4, 2),),), spaced=True),
    Op("norm", lambda x: t.norm(x), np.linalg.norm, (((2, 3),), ((4,),))),
    Op("norm: order", lambda x: x.norm(3, 1), lambda x: (abs(x) ** 3).sum(1) ** (1 / 3), (((2, 3),),), spaced=True),
    Op("linalg.norm", lambda x: t.linalg.norm(x, 1), lambda x: np.linalg.norm(x, 1), (((2, 3),),), spaced=True),
    Op(
        "linalg.vector_norm",
        lambda x: t.linalg.vector_norm(x, float("inf"), 1),
        lambda x: abs(x).max(1),
        (((2, 3),),),
        spaced=True,
    ),
    Op(
        "linalg.matrix_norm",
        lambda x: t.linalg.matrix_norm(x, "nuc"),
        lambda x: np.linalg.norm(x, "nuc", (-2, -1)),
        (((2, 3),), ((2, 2, 3),)),
        second=False,
        refuses=((lambda: t.linalg.matrix_norm(t.ones(2, 2), 3), RuntimeError, "'fro'"),),
        differs="norms that need singular values have no second derivative",
    ),
    Op("dist", lambda x, y: t.dist(x, y, 1), lambda x, y: abs(x - y).sum(), (((2, 3), (3,)),)),
    Op(
        "trace",
        t.trace,
        np.trace,
        (((2, 3),), ((3, 3),)),
        refuses=((lambda: t.ones(2).trace(), RuntimeError, "matrix"),),
    ),
)

SORTING = (
    Op("sort", lambda x: t.sort(x, 0)[0], lambda x: np.sort(x, 0), (((4, 2),), ((3,),)), spaced=True),
    Op("sort: descending", lambda x: x.sort(descending=True).values, lambda x: -np.sort(-x), (((2, 3),),), spaced=True),
    Op("argsort", lambda x: t.argsort(x), lambda x: np.argsort(x), (((2, 4),),), gradient=False),
    Op("msort", t.msort, lambda x: np.sort(x, 0), (((4, 2),),), spaced=True),
    Op(
        "topk",
        lambda x: t.topk(x, 2)[0],
        lambda x: -np.sort(-x)[..., :2],
        (((2, 4),), ((3,),)),
        spaced=True,
        refuses=((lambda: t.topk(t.ones(2), 3), RuntimeError, "between 0 and 2"),),
        differs="among equal elements those that come first are taken, in their order; PyTorch's order is not defined",
    ),
    Op("unique", lambda x: t.unique(t.round(x)), lambda x: np.unique(np.round(x)), (((2, 5),),), gradient=False),
    Op(
        "unique_consecutive",
        lambda x: t.unique_consecutive(t.cat([x, x, x.flip(0)]), dim=0),
        lambda x: np.concatenate([x, x, x[-2::-1]]),
        (((3, 2),),),
        gradient=False,
    ),
    Op(
        "bincount",
        lambda x: t.bincount((x * 0).long(), minlength=2),
        lambda x: np.array([4, 0]),
        (((4,),),),
        gradient=False,
    ),
    Op(
        "histc",
        lambda x: t.histc(x, 4, -2, 2),
        lambda x: np.histogram(x, 4, (-2, 2))[0] * 1.0,
        (((9,),),),
        gradient=False,
    ),
    Op(
        "searchsorted",
        lambda x: t.searchsorted(t.tensor([-1.0, 0.0, 1.0], dtype=x.dtype), x),
        lambda x: np.searchsorted([-1, 0, 1], x),
        (((2, 3),),),
        gradient=False,
        refuses=((lambda: t.searchsorted(t.ones(2), t.ones(2).double()), RuntimeError, "float64"),),
    ),
    Op(
        "bucketize",
        lambda x: t.bucketize(x, t.tensor([-1.0, 0.0, 1.0], dtype=x.dtype), right=True),
        lambda x: np.searchsorted([-1, 0, 1], x, "right"),
        (((2, 3),),),
        gradient=False,
    ),
    Op("isin", lambda x: t.isin(t.round(x), t.ones(1)), lambda x: np.round(x) == 1, (((2, 5),),), gradient=False),
    Op("nonzero", lambda x: t.nonzero(x > 0), lambda x: np.argwhere(x > 0), (((2, 5),), ((4,),)), gradient=False),
    Op("argwhere", lambda x: t.argwhere(x > 0), lambda x: np.argwhere(x > 0), (((2, 5),),), gradient=False),
)

STATISTICS = (
    Op(
        "cov",
        lambda x: t.cov(x, correction=0),
        lambda x: np.cov(x, ddof=0),
        (((2, 4),), ((3,),)),
        refuses=(
            (lambda: t.cov(t.ones(2, 2, 2)), RuntimeError, "matrix or vector"),
            (lambda: t.cov(t.ones(2, 3), fweights=t.ones(3)), RuntimeError, "integers"),
            (lambda: t.cov(t.ones(2, 3), aweights=t.zeros(3)), RuntimeError, "sum to 0"),
            (lambda: t.cov(t.ones(2, 3), aweights=-t.ones(3)), RuntimeError, "negative"),
        ),
    ),
    Op(
        "cov: weights",
        lambda x, w: t.cov(x, fweights=t.tensor([1, 2, 1, 3]), aweights=abs(w) + 1),
        lambda x, w: np.cov(x, fweights=[1, 2, 1, 3], aweights=abs(w) + 1),
        (((2, 4), (4,)),),
        spaced=True,
    ),
    Op("corrcoef", lambda x: t.corrcoef(x)[0], lambda x: np.corrcoef(x)[0], (((3, 4),),), spaced=True),
    Op(
        "histogram",
        lambda x: t.histogram(x, 4, range=(-1.0, 1.0), density=True)[0],
        lambda x: np.histogram(x, 4, (-1, 1), density=True)[0],
        (((40,),),),
        gradient=False,
        refuses=(
            (lambda: t.histogram(t.ones(2), 0), RuntimeError, "from 1 on"),
            (lambda: t.histogram(t.ones(2), t.tensor([1.0, 0.0])), RuntimeError, "must not fall"),
            (lambda: t.histogram(t.ones(2), 3, weight=t.ones(3)), RuntimeError, "weight must be"),
        ),
    ),
    Op(
        "histogramdd",
        lambda x, w: t.histogramdd(x, [2, t.tensor([-1.0, 0.5, 2.0], dtype=x.dtype)], weight=w).hist,
        lambda x, w: np.histogramdd(
            x, [np.linspace(x[:, 0].min(), x[:, 0].max(), 3), np.array([-1.0, 0.5, 2.0])], weights=w
        )[0],
        (((30, 2), (30,)),),
        gradient=False,
        refuses=((lambda: t.histogramdd(t.ones(3, 2), [2, 2, 2]), RuntimeError, "2 dimensions"),),
    ),
    Op(
        "trapezoid",
        lambda y, x: t.trapezoid(y, x, dim=0),
        lambda y, x: np.trapezoid(y, x, axis=0),
        (((4, 2), (4,)), ((3, 2), (3, 2)), ((1, 2), (1,))),
        refuses=(
            (lambda: t.trapezoid(t.ones(3), t.ones(2)), RuntimeError, "one for each sample"),
            (lambda: t.trapezoid(t.ones(3), t.ones(3), dx=1), TypeError, "not both"),
        ),
    ),
    Op("trapz", lambda y: t.trapz(y, dx=0.5), lambda y: np.trapezoid(y, dx=0.5), (((2, 4),), ((2, 0),))),
    Op(
        "cumulative_trapezoid",
        lambda y, x: t.cumulative_trapezoid(y, x),
        lambda y, x: np.cumsum((y[:, 1:] + y[:, :-1]) * np.diff(x) / 2, 1),
        (((2, 4), (4,)),),
    ),
    Op(
        "gradient",
        lambda x: t.gradient(x, spacing=0.5, dim=1, edge_order=2)[0],
        lambda x: np.gradient(x, 0.5, axis=1, edge_order=2),
        (((2, 3),), ((2, 5),)),
        refuses=(
            (lambda: t.gradient(t.ones(2), edge_order=2), RuntimeError, "at least 3"),
            (lambda: t.gradient(t.ones(2, 2), spacing=(1.0, 1.0, 1.0)), RuntimeError, "2 spacings"),
        ),
    ),
    Op(
        "gradient: coordinates",
        lambda x: t.gradient(x, spacing=(t.tensor([0.0, 1.0, 3.0], dtype=x.dtype), 2.0))[0],
        lambda x: np.gradient(x, [0.0, 1.0, 3.0], 2.0)[0],
        (((3, 2),),),
    ),
    Op(
        "renorm",
        lambda x: t.renorm(x, 2, 0, 1.0),
        lambda x: x * np.where((n := np.linalg.norm(x, axis=1, keepdims=True)) > 1, 1 / (n + 1e-7), 1),
        (((3, 4),),),
        spaced=True,
        refuses=((lambda: t.renorm(t.ones(2), 2, 0, 1), RuntimeError, "2 dimensions"),),
    ),
)
