"""Variances, covariances, histograms, and calculus on samples."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from .._tensor import Tensor, host, need, wrap
from ..ops import elementwise as ew
from ..ops import reduce as r
from ..ops.create import linspace
from ..ops.elementwise import cast, where
from ..ops.matmul import matmul
from ..ops.shape import cat, narrow, reshape, squeeze, transpose, unsqueeze, wrap_dim
from .math import clamp
from .reduce import cumsum, need_float, vector_norm
from .shape import diagonal, diff


class Histogram(NamedTuple):
    """What `histogram` and `histogramdd` return."""

    hist: Tensor
    bin_edges: Any


# -- variances ---------------------------------------------------------------------------------------------------------


def _spread(name: str, input: Tensor, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The variance and the mean, for the forms (), (unbiased), (dim, unbiased, keepdim), and by name."""
    need(name, input)
    names = ("unbiased",) if args and isinstance(args[0], bool) else ("dim", "unbiased", "keepdim")
    if len(args) > len(names):
        raise TypeError(f"{name}: expected at most {len(names)} arguments after the input, got {len(args)}")
    given = {**dict(zip(names, args, strict=False)), **options}
    unknown = set(given) - {"dim", "unbiased", "keepdim", "correction"}
    if unknown or ("unbiased" in given and given.get("correction") is not None):
        raise TypeError(
            f"{name}: unexpected arguments {sorted(given)}; there are dim, correction (or unbiased), keepdim"
        )
    correction = given.get("correction")
    if correction is None:
        correction = 1 if given.get("unbiased", True) else 0
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"{name}: the input must be floating-point, got {input.dtype}; convert with .float()")
    axes = r._axes(given.get("dim"), input.array.ndim, name)
    count = 1
    for a in axes:
        count *= input.array.shape[a]
    wide = cast(input, dtypes.float32) if input.array.dtype == np.float16 else input
    center = r.mean(wide, axes or None, True)
    distance = wide - center
    total = r.sum(distance * distance, axes or None, bool(given.get("keepdim", False)))
    degrees = count - correction
    variance = total / degrees if degrees > 0 else total * (float("inf") if count > 1 else float("nan"))
    return variance, center if given.get("keepdim") else reshape(center, variance.array.shape)


def var(input: Tensor, *args: Any, **options: Any) -> Tensor:
    """var(input, dim=None, *, correction=1, keepdim=False): the mean squared distance from the mean.

    The sum of squares is divided by (count - correction). Also in PyTorch's older forms with ``unbiased`` for
    correction 1 or 0: var(input, unbiased), var(input, dim, unbiased, keepdim).

    Raises:
        RuntimeError: for integers and bools.
    """
    return cast(_spread("var", input, args, options)[0], input.dtype)


def std(input: Tensor, *args: Any, **options: Any) -> Tensor:
    """The square root of `var`, with its arguments. Where it is 0, so is the gradient."""
    return cast(_root(_spread("std", input, args, options)[0]), input.dtype)


def _root(variance: Tensor) -> Tensor:
    flat = ew.eq(variance, 0)
    return where(flat, 0.0, ew.sqrt(where(flat, 1.0, variance)))


def var_mean(input: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
    """The pair (`var`, `mean`)."""
    variance, center = _spread("var_mean", input, args, options)
    return cast(variance, input.dtype), cast(center, input.dtype)


def std_mean(input: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
    """The pair (`std`, `mean`)."""
    variance, center = _spread("std_mean", input, args, options)
    return cast(_root(variance), input.dtype), cast(center, input.dtype)


# -- covariances ------------------------------------------------------------------------------------------------------


def _weights(kind: str, weights: Tensor, count: int) -> Tensor:
    need("cov", weights)
    if (weights.array.dtype.kind == "f") != (kind == "aweights") or weights.array.dtype.kind == "b":
        wanted = "floating-point" if kind == "aweights" else "integers"
        raise RuntimeError(f"cov: {kind} must be {wanted}, got {weights.dtype}")
    if weights.array.ndim > 1 or weights.array.size != count:
        raise RuntimeError(f"cov: {kind} must be {count} numbers, one per column, got shape {tuple(weights.shape)}")
    if (weights.array < 0).any():
        raise RuntimeError(f"cov: {kind} must not be negative")
    return weights


def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariances of the rows (variables) of a matrix over its columns (observations); of a vector its variance.

    Args:
        correction: what is subtracted from the count that the sum of products is divided by.
        fweights: how often each observation was made, integers.
        aweights: how much each observation weighs, floats.

    Raises:
        RuntimeError: for more than two dimensions, bools, or weights that do not fit or sum to 0.
    """
    need("cov", input)
    if input.array.ndim > 2 or input.array.dtype.kind == "b":
        raise RuntimeError(f"cov: expected a matrix or vector of numbers, got {tuple(input.shape)} of {input.dtype}")
    x = input if input.array.ndim == 2 else reshape(input, (1, input.array.size))
    count = x.array.shape[1]
    given = [_weights(k, w, count) for k, w in (("fweights", fweights), ("aweights", aweights)) if w is not None]
    weights = given[0] * given[1] if len(given) == 2 else given[0] if given else None
    total: Any = count if weights is None else r.sum(weights)
    if weights is not None and not total.array:
        raise RuntimeError("cov: the weights sum to 0 and cannot divide")
    weighed = x if weights is None else x * weights
    if weights is None or aweights is None or not correction:
        freedom = total - correction
    else:
        freedom = total - correction * r.sum(weights * aweights) / total
    if float(freedom) <= 0:
        warnings.warn("cov: there are no degrees of freedom: too few observations for the correction", stacklevel=2)
        freedom = 0.0
    mean = (
        r.sum(weighed, 1, True) / total if count else wrap(np.full((x.array.shape[0], 1), np.nan, np.float32), x.device)
    )
    centered = x - mean
    products = matmul(centered, transpose(centered if weights is None else centered * weights, 0, 1))
    return squeeze(products / (freedom if isinstance(freedom, Tensor) else float(freedom)))


def corrcoef(input: Tensor) -> Tensor:
    """The correlations of the rows (variables) of a matrix, in [-1, 1]: `cov` divided by the standard deviations.

    Raises:
        RuntimeError: for more than two dimensions.
    """
    need("corrcoef", input)
    if input.array.ndim > 2:
        raise RuntimeError(f"corrcoef: expected at most two dimensions, got shape {tuple(input.shape)}")
    c = cov(input)
    if not c.array.ndim:
        return c / c
    deviation = ew.sqrt(diagonal(c))
    return clamp(c / unsqueeze(deviation, 1) / deviation, -1, 1)


# -- histograms -------------------------------------------------------------------------------------------------------


def _edges(name: str, values: Any, bins: Any, range: Any, kind: dtypes.dtype) -> Tensor:
    """The edges of the bins for one column of numbers."""
    if isinstance(bins, Tensor):
        if bins.array.ndim != 1 or bins.array.dtype != kind.numpy or not bins.array.size or range is not None:
            raise RuntimeError(
                f"{name}: edges must be a vector of {kind}, without range=; got {tuple(bins.shape)} of {bins.dtype}"
            )
        if not (np.diff(bins.array) >= 0).all():
            raise RuntimeError(f"{name}: the edges must not fall")
        return bins
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise RuntimeError(f"{name}: bins must be a number from 1 on or a tensor of edges, got {bins!r}")
    if range is None:
        range = (values.min(), values.max()) if values.size else (0, 1)
    low, high = float(range[0]), float(range[1])
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise RuntimeError(f"{name}: the range from {low} to {high} must be finite and rising")
    if low == high:
        low, high = low - 0.5, high + 0.5
    return linspace(low, high, int(bins) + 1, dtype=kind)


def _counted(name: str, rows: Any, edges: list[Tensor], weight: Tensor | None, density: bool, like: Tensor) -> Tensor:
    weights = None
    if weight is not None:
        need(name, weight)
        if weight.array.dtype != like.array.dtype or weight.array.size != len(rows):
            raise RuntimeError(f"{name}: weight must be {len(rows)} numbers of {like.dtype}, got {weight.dtype}")
        weights = host(weight).reshape(-1)
    bounds = [host(e).astype(np.float64) for e in edges]
    counts = np.zeros([len(b) - 1 for b in bounds])
    places = [np.searchsorted(b, column, "right") - 1 for b, column in zip(bounds, rows.T, strict=True)]
    inside = np.ones(len(rows), bool)
    for place, b, column in zip(places, bounds, rows.T, strict=True):
        place[column == b[-1]] = len(b) - 2  # the last bin has both its edges
        inside &= (place >= 0) & (place < len(b) - 1)
    np.add.at(counts, tuple(p[inside] for p in places), 1.0 if weights is None else weights[inside])
    if density:
        volume: Any = 1.0
        for b in bounds:
            volume = np.multiply.outer(volume, np.diff(b))
        with np.errstate(all="ignore"):
            counts = counts / counts.sum() / volume
    return wrap(counts.astype(like.array.dtype), like.device)


def histogram(
    input: Tensor, bins: Any = 100, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> Histogram:
    """How many elements lie in each bin, as the pair (hist, bin_edges); a bin holds its left edge, the last one both.

    Args:
        bins: how many bins of equal width, or a vector of their edges.
        range: (low, high) of the bins; of the input if None.
        weight: what each element counts, in the shape of `input`.
        density: divide so that the integral is 1.

    Raises:
        RuntimeError: if the dtype is not floating-point, or bins, range or weight do not fit.
    """
    need_float("histogram", input)
    values = host(input).reshape(-1, 1)
    edges = _edges("histogram", values, bins, range, input.dtype)
    return Histogram(_counted("histogram", values, [edges], weight, density, input), edges)


def histogramdd(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> Histogram:
    """`histogram` of points in D dimensions: hist has D dimensions, bin_edges is a tuple of D vectors.

    Args:
        input: (..., D).
        bins: a number of bins, or for each dimension a number or a vector of edges.
        range: (low, high) for each dimension, in one sequence.
        weight: what each point counts.

    Raises:
        RuntimeError: as `histogram`, and if there are not D entries.
    """
    need_float("histogramdd", input)
    if input.array.ndim < 2 or not input.array.shape[-1]:
        raise RuntimeError(f"histogramdd: expected (..., D) with D from 1 on, got shape {tuple(input.shape)}")
    size = input.array.shape[-1]
    rows = host(input).reshape(math.prod(input.array.shape[:-1]), size)
    each = list(bins) if isinstance(bins, (tuple, list)) else [bins] * size
    if len(each) != size or (range is not None and len(range) != 2 * size):
        raise RuntimeError(f"histogramdd: expected bins (and pairs of range) for {size} dimensions, got {len(each)}")
    pairs = [None] * size if range is None else [tuple(range[2 * i : 2 * i + 2]) for i in np.arange(size)]
    edges = [
        _edges("histogramdd", rows[:, i], b, p, input.dtype) for i, (b, p) in enumerate(zip(each, pairs, strict=True))
    ]
    return Histogram(_counted("histogramdd", rows, edges, weight, density, input), tuple(edges))


# -- calculus ---------------------------------------------------------------------------------------------------------


def _steps(name: str, y: Tensor, x: Any, dx: Any, dim: int) -> tuple[Tensor, Any, int]:
    """y[i] + y[i + 1] along `dim`, the distances x[i + 1] - x[i], and `dim` counted from the front."""
    need(name, y)
    if y.array.dtype.kind == "b" or (isinstance(x, Tensor) and x.array.dtype.kind == "b"):
        raise RuntimeError(f"{name}: not for bool tensors; convert with .float()")
    if not y.array.ndim:
        raise RuntimeError(f"{name}: expected at least one dimension")
    at = wrap_dim(dim, y.array.ndim, name)
    n = y.array.shape[at]
    both = narrow(y, at, 0, max(n - 1, 0)) + narrow(y, at, min(n, 1), max(n - 1, 0))
    if x is None:
        return both, 1 if dx is None else dx, at
    need(name, x)
    if dx is not None:
        raise TypeError(f"{name}: give x or dx, not both")
    if x.array.ndim == 1:
        if x.array.size != n:
            raise RuntimeError(f"{name}: expected {n} numbers x, one for each sample, got {x.array.size}")
        x = reshape(x, (n,) + (1,) * (y.array.ndim - at - 1))
    missing = y.array.ndim - x.array.ndim
    if missing > 0:
        x = reshape(x, (1,) * missing + x.array.shape)
    return both, diff(x, dim=at), at


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral of samples `y` along `dim` by the trapezoidal rule: the sum of (x[i+1] - x[i]) (y[i] + y[i+1]) / 2.

    Args:
        x: where the samples were taken: a vector, or a tensor that broadcasts with `y`.
        dx: their distance, 1 if neither is given.

    Raises:
        TypeError, RuntimeError: for bools, a 0-d tensor, x and dx together, or an x of another size.
    """
    both, widths, at = _steps("trapezoid", y, x, dx, dim)
    if not y.array.shape[at]:
        return r.sum(y, at, dtype=y.dtype)
    return r.sum(both * widths, at) / 2.0


trapz = trapezoid


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integrals up to the second, third, ... sample along `dim`, as `trapezoid`."""
    both, widths, at = _steps("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(both * widths, at) / 2.0


def gradient(input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """The derivative along each dimension of a function given by samples; central differences of second order.

    Args:
        spacing: the distance of samples (None is 1), one number for each dimension, or for each a vector of
            coordinates.
        dim: a dimension or several; all if None.
        edge_order: of the differences at both ends, 1 or 2.

    Raises:
        RuntimeError: for bools and uint8, an edge_order other than 1 and 2, fewer than edge_order + 1 samples, or
            spacings that are not as many as dimensions.
    """
    need("gradient", input)
    spacing = 1 if spacing is None else spacing
    if input.array.dtype.kind in "bu":
        raise RuntimeError(f"gradient: not for {input.dtype} tensors; convert with .float()")
    if edge_order not in (1, 2):
        raise RuntimeError(f"gradient: edge_order must be 1 or 2, got {edge_order}")
    ndim = input.array.ndim
    dims = range(ndim) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    axes = [wrap_dim(d, ndim, "gradient") for d in dims]
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"gradient: a dimension is named twice in {dim}")
    each = list(spacing) if isinstance(spacing, (tuple, list)) else [spacing] * len(axes)
    if len(each) != len(axes):
        raise RuntimeError(f"gradient: expected {len(axes)} spacings, one for each dimension, got {len(each)}")
    return tuple(_derivative(input, axis, h, edge_order) for axis, h in zip(axes, each, strict=True))


def _derivative(f: Tensor, axis: int, spacing: Any, edge_order: int) -> Tensor:
    n = f.array.shape[axis] if f.array.ndim else 0
    if n < edge_order + 1:
        raise RuntimeError(f"gradient: expected at least {edge_order + 1} samples in dimension {axis}, got {n}")
    if isinstance(spacing, Tensor) and spacing.array.ndim:
        if spacing.array.shape != (n,):
            raise RuntimeError(f"gradient: expected {n} coordinates for dimension {axis}, got {tuple(spacing.shape)}")
        widths = diff(spacing)
    else:
        widths = wrap(np.ones(n - 1, f.array.dtype if f.is_floating_point() else np.float32), f.device) * spacing
    x, h = (f if f.is_floating_point() else cast(f, dtypes.get_default_dtype())), widths
    slope = diff(x, dim=axis) / reshape(h, (n - 1,) + (1,) * (f.array.ndim - axis - 1))
    a, b = narrow(h, 0, 0, n - 2), narrow(h, 0, 1, n - 2)  # the steps before and after each inner sample
    share = reshape(b / (a + b), (n - 2,) + (1,) * (f.array.ndim - axis - 1))
    before, after = narrow(slope, axis, 0, n - 2), narrow(slope, axis, 1, n - 2)
    inner = before * share + after * (1 - share)
    first, last = narrow(slope, axis, 0, 1), narrow(slope, axis, n - 2, 1)
    if edge_order == 2:  # the parabola through three samples: halfway between them its slope is theirs
        first = first * 2 - narrow(inner, axis, 0, 1)
        last = last * 2 - narrow(inner, axis, n - 3, 1)
    return cat([first, inner, last], axis)


def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Each slice along `dim` whose `p`-norm is larger than `maxnorm` scaled down to it.

    Raises:
        RuntimeError: for fewer than two dimensions, a `p` that is not positive, or a negative `maxnorm`.
    """
    need_float("renorm", input)
    if input.array.ndim < 2 or p <= 0 or maxnorm < 0:
        raise RuntimeError(
            f"renorm: expected at least 2 dimensions, p > 0 and maxnorm >= 0, got shape {tuple(input.shape)}, "
            f"p = {p}, maxnorm = {maxnorm}"
        )
    at = wrap_dim(dim, input.array.ndim, "renorm")
    x = input if input.array.itemsize >= 4 else cast(input, dtypes.float32)
    norm = vector_norm(x, p, tuple(i for i in range(input.array.ndim) if i != at), True)
    factor = where(ew.gt(norm, maxnorm), maxnorm / (norm + 1e-7), 1.0)
    return input * cast(factor, input.dtype)
