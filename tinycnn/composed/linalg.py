"""Products of tensors made of `matmul`."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

from .._tensor import Tensor, need
from ..ops import elementwise as ew
from ..ops import reduce as r
from ..ops.elementwise import cast, require_float
from ..ops.matmul import bmm, matmul, mm, same_kind
from ..ops.shape import cat, expand, permute, reshape, sequence, squeeze, unsqueeze, wrap_dim
from .reduce import need_float, vector_norm


def _ndim(name: str, wanted: str, *pairs: tuple[Tensor, int]) -> None:
    for t, ndim in pairs:
        need(name, t)
        if t.array.ndim != ndim:
            raise RuntimeError(f"{name}: expected {wanted}, got shapes {[tuple(p.array.shape) for p, _ in pairs]}")


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """matrix (M, K) times vector (K,)."""
    _ndim("mv", "a matrix and a vector", (input, 2), (vec, 1))
    return matmul(input, vec)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The inner product of two vectors of one length."""
    _ndim("dot", "two vectors", (input, 1), (tensor, 1))
    same_kind("dot", input, tensor)
    if input.array.shape != tensor.array.shape:
        raise RuntimeError(
            f"dot: the vectors must have one length, got {input.array.shape[0]} and {tensor.array.shape[0]}"
        )
    return matmul(input, tensor)


def inner(input: Tensor, other: Tensor) -> Tensor:
    """Products of the last dimension of both with each other."""
    need("inner", input, other)
    if not input.array.ndim or not other.array.ndim:
        return input * other
    if input.array.shape[-1] != other.array.shape[-1]:
        raise RuntimeError(
            f"inner: the last sizes must be equal, got shapes {tuple(input.array.shape)} and {tuple(other.array.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """input[:, None] * vec2 for two vectors."""
    _ndim("outer", "two vectors", (input, 1), (vec2, 1))
    return unsqueeze(input, 1) * vec2


def _scaled(name: str, input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    if product.array.dtype.kind != "f":
        beta, alpha = int(beta), int(alpha)
    need(name, input)
    if input.array.dtype != product.array.dtype:
        raise RuntimeError(f"{name}: the input is {input.dtype}, the product {product.dtype}; they must be equal")
    shape = product.array.shape
    fits = input.array.ndim <= len(shape) and all(
        a in (1, b) for a, b in zip(reversed(input.array.shape), reversed(shape), strict=False)
    )
    if not fits:
        raise RuntimeError(f"{name}: input {tuple(input.array.shape)} does not broadcast to the product {tuple(shape)}")
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product
    return product + (input if beta == 1 else input * beta)


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2), for matrices."""
    return _scaled("addmm", input, mm(mat1, mat2), beta, alpha)


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec)."""
    need("addmv", input, mat, vec)
    return _scaled("addmv", input, mv(mat, vec), beta, alpha)


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2)."""
    need("addr", input, vec1, vec2)
    product = outer(vec1, vec2)
    if input.array.dtype.kind == "b" == product.array.dtype.kind:
        return (input & bool(beta)) | (product & bool(alpha))
    if input.array.dtype != product.array.dtype:
        kind = ew.common("addr", input.detach(), product.detach()[:0])[0].dtype
        input, product = cast(input, kind), cast(product, kind)
    return _scaled("addr", input, product, beta, alpha)


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (batch1 @ batch2), for batches of matrices."""
    need("baddbmm", input, batch1, batch2)
    return _scaled("baddbmm", input, bmm(batch1, batch2), beta, alpha)


def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * the sum over the batch of batch1 @ batch2."""
    need("addbmm", input, batch1, batch2)
    product = bmm(batch1, batch2)
    return _scaled("addbmm", input, r.sum(product, 0, dtype=product.dtype), beta, alpha)


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of two or more matrices; the first and last may be vectors."""
    parts = sequence("multi_dot", tensors)
    if len(parts) < 2:
        raise RuntimeError(f"multi_dot: expected at least two tensors, got {len(parts)}")
    for i, t in enumerate(parts):
        if t.array.ndim != 2 and not (t.array.ndim == 1 and i in (0, len(parts) - 1)):
            raise RuntimeError(f"multi_dot: tensor {i} must be a matrix, got shape {tuple(t.array.shape)}")
    result = parts[0]
    for t in parts[1:]:
        result = matmul(result, t)
    return result


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sum of x * y over `dim`; shapes broadcast."""
    need_float("vecdot", x)
    need_float("vecdot", y)
    return r.sum(x * y, dim)


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sum of products over pairs of dimensions.

    Args:
        dims: how many of the last of `a` and the first of `b`, or two lists of dimensions.

    Raises:
        RuntimeError: if paired sizes differ.
    """
    need("tensordot", a, b)
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot: dims must not be negative, got {dims}")
        if dims > min(a.array.ndim, b.array.ndim):
            raise RuntimeError(f"tensordot: {dims} dimensions are more than there are")
        over_a, over_b = list(range(a.array.ndim - dims, a.array.ndim)), list(range(dims))
    else:
        pair = [[d] if isinstance(d, int) else list(d) for d in dims]
        over_a = [wrap_dim(d, a.array.ndim, "tensordot") for d in pair[0]]
        over_b = [wrap_dim(d, b.array.ndim, "tensordot") for d in pair[1]]
    if len(over_a) != len(over_b) or len(set(over_a)) != len(over_a) or len(set(over_b)) != len(over_b):
        raise RuntimeError(f"tensordot: dims {dims} must pair different dimensions of both")
    labels = iter(string.ascii_letters)
    names_a = [next(labels) for _ in range(a.array.ndim)]
    names_b = [next(labels) for _ in range(b.array.ndim)]
    for i, j in zip(over_a, over_b, strict=True):
        if a.array.shape[i] != b.array.shape[j] and 1 not in (a.array.shape[i], b.array.shape[j]):
            raise RuntimeError(
                f"tensordot: dimension {i} of shape {tuple(a.array.shape)} and {j} of {tuple(b.array.shape)} differ"
            )
        names_b[j] = names_a[i]
    rest = [n for i, n in enumerate(names_a) if i not in over_a] + [n for j, n in enumerate(names_b) if j not in over_b]
    return einsum(f"{''.join(names_a)},{''.join(names_b)}->{''.join(rest)}", a, b)


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products by Einstein's rule: ``einsum("bij,bjk->bik", a, b)``.

    A letter names a dimension; letters missing on the right of ``->`` are summed over; without ``->`` the letters that
    occur once stay, in alphabetical order. ``...`` stands for any dimensions in front, which broadcast.

    Raises:
        RuntimeError: if the equation and the operands do not fit.
    """
    if not isinstance(equation, str):
        raise TypeError(f"einsum: the equation must be a str, got {type(equation).__name__}")
    tensors = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (tuple, list)) else list(operands)
    need("einsum", *tensors)
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors) or not tensors:
        raise RuntimeError(f"einsum: {equation!r} has {len(terms)} operands, {len(tensors)} are given")
    sizes: dict[str, int] = {}
    named: list[tuple[list[str], Tensor]] = []
    for term, t in zip(terms, tensors, strict=True):
        names = _names(equation, term, t.array.ndim)
        for label, n in zip(names, t.array.shape, strict=True):
            if sizes.get(label, 1) not in (1, n) and n != 1:
                raise RuntimeError(f"einsum: {equation!r}: {label} has size {n} after size {sizes[label]}")
            sizes[label] = n if sizes.get(label, 1) == 1 else sizes[label]
        named.append(_diagonals(names, t, equation))
    dots = sorted({n for names, _ in named for n in names if len(n) > 1}, reverse=True)
    if arrow:
        wanted = []
        for part in right.replace("...", "."):
            wanted += dots if part == "." else [part]
    else:
        count = left.replace("...", "").replace(",", "")
        wanted = dots + sorted(c for c in set(count) if count.count(c) == 1)
    missing = [n for n in wanted if n not in sizes]
    if missing or len(set(wanted)) != len(wanted):
        raise RuntimeError(f"einsum: {equation!r}: each letter of the result must occur once there, and on the left")
    names, result = named[0]
    for i, (other, t) in enumerate(named[1:], 2):
        later = set(wanted).union(*[n for n, _ in named[i:]])
        names, result = _pair(names, result, other, t, later, sizes)
    gone = tuple(i for i, n in enumerate(names) if n not in wanted)
    if gone:
        result = r.sum(result, gone)
        names = [n for n in names if n in wanted]
    return permute(result, tuple(names.index(n) for n in wanted))


def _sum(t: Tensor, dims: tuple[int, ...]) -> Tensor:
    return r.sum(t, dims, dtype=None if t.array.dtype.kind == "b" else t.dtype)


def _names(equation: str, term: str, ndim: int) -> list[str]:
    """A label for each dimension; those behind ... are ``.0``, ``.1``, ... counted from the right."""
    head, dots, tail = term.partition("...")
    letters = head + tail
    hidden = ndim - len(letters)
    if not all(c in string.ascii_letters for c in letters) or hidden < 0 or (hidden and not dots):
        raise RuntimeError(f"einsum: {equation!r}: {term!r} does not name the {ndim} dimensions of its operand")
    return [*head, *(f".{i:02d}" for i in reversed(range(hidden))), *tail]


def _diagonals(names: list[str], t: Tensor, equation: str) -> tuple[list[str], Tensor]:
    """Where a letter occurs twice in one operand, the diagonal."""
    for label in dict.fromkeys(names):
        places = [i for i, n in enumerate(names) if n == label]
        while len(places) > 1:
            i, j = places[0], places.pop()
            n = t.array.shape[i]
            if t.array.shape[j] != n:
                raise RuntimeError(f"einsum: {equation!r}: {label} has sizes {n} and {t.array.shape[j]}")
            rest = [d for d in range(t.array.ndim) if d not in (i, j)]
            t = reshape(permute(t, (*rest, i, j)), (*[t.array.shape[d] for d in rest], n * n))
            t = t[..., :: n + 1]
            names = [*[names[d] for d in rest], label]
            places = [k for k, name in enumerate(names) if name == label]
    return names, t


def _pair(
    names_a: list[str], a: Tensor, names_b: list[str], b: Tensor, later: set[str], sizes: dict[str, int]
) -> tuple[list[str], Tensor]:
    """One product of matrices: shared letters that are still needed are its batch, the other shared ones are summed."""

    def alone(names: list[str], t: Tensor, others: list[str]) -> tuple[list[str], Tensor]:
        gone = tuple(i for i, n in enumerate(names) if n not in others and n not in later)
        return [n for i, n in enumerate(names) if i not in gone], _sum(t, gone) if gone else t

    names_a, a = alone(names_a, a, names_b)
    names_b, b = alone(names_b, b, names_a)
    batch = [n for n in names_a if n in names_b and n in later]
    summed = [n for n in names_a if n in names_b and n not in later]
    rows, columns = [n for n in names_a if n not in names_b], [n for n in names_b if n not in names_a]

    def arranged(names: list[str], t: Tensor, order: Sequence[list[str]]) -> Tensor:
        t = permute(t, tuple(names.index(n) for part in order for n in part))
        t = expand(t, tuple(sizes[n] for part in order for n in part))
        return reshape(t, tuple(math.prod(sizes[n] for n in part) for part in order))

    if summed:
        left = arranged(names_a, a, (batch, rows, summed))
        product = matmul(left, arranged(names_b, b, (batch, summed, columns)))
    else:
        product = arranged(names_a, a, (batch, rows, [])) * arranged(names_b, b, (batch, [], columns))
    names = [*batch, *rows, *columns]
    return names, reshape(product, tuple(sizes[n] for n in names))


def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker's product: each element of `input` times all of `other`."""
    need("kron", input, other)
    ndim = max(input.array.ndim, other.array.ndim)
    a_shape = (1,) * (ndim - input.array.ndim) + input.array.shape
    b_shape = (1,) * (ndim - other.array.ndim) + other.array.shape
    a = reshape(input, tuple(n for pair in zip(a_shape, (1,) * ndim, strict=True) for n in pair))
    b = reshape(other, tuple(n for pair in zip((1,) * ndim, b_shape, strict=True) for n in pair))
    return reshape(a * b, tuple(x * y for x, y in zip(a_shape, b_shape, strict=True)))


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector product along a dimension of size 3 (the first such one if None)."""
    need("cross", input, other)
    if dim is None:
        dims = [i for i, n in enumerate(input.array.shape) if n == 3]
        if not dims:
            raise RuntimeError(f"cross: no dimension of shape {tuple(input.array.shape)} has size 3")
        dim = dims[0]
    return linalg_cross(input, other, dim=dim)


def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The vector product along `dim`, of size 3; other sizes broadcast."""
    need("linalg.cross", input, other)
    if input.array.ndim != other.array.ndim:
        raise RuntimeError(
            f"linalg.cross: expected equally many dimensions, got shapes {tuple(input.array.shape)} and "
            f"{tuple(other.array.shape)}"
        )
    dim = wrap_dim(dim, input.array.ndim, "linalg.cross")
    for t in (input, other):
        if not t.array.ndim or t.array.shape[dim] != 3:
            raise RuntimeError(f"linalg.cross: dimension {dim} must have size 3, got shape {tuple(t.array.shape)}")
    x, y = ([squeeze(p, dim) for p in _three(t, dim)] for t in (input, other))
    parts = [x[(i + 1) % 3] * y[(i + 2) % 3] - x[(i + 2) % 3] * y[(i + 1) % 3] for i in range(3)]
    return cat([unsqueeze(p, dim) for p in parts], dim)


def _three(t: Tensor, dim: int) -> list[Tensor]:
    front = (slice(None),) * dim
    return [t[(*front, slice(i, i + 1))] for i in range(3)]


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "") -> Tensor:
    """The distance of order `p` between each row of x1 (..., P, M) and each of x2 (..., R, M): (..., P, R)."""
    require_float("cdist", x1)
    require_float("cdist", x2)
    if x1.array.ndim < 2 or x2.array.ndim < 2 or x1.array.shape[-1] != x2.array.shape[-1]:
        raise RuntimeError(
            f"cdist: expected (..., P, M) and (..., R, M), got {tuple(x1.array.shape)} and {tuple(x2.array.shape)}"
        )
    if p < 0:
        raise RuntimeError(f"cdist: p must not be negative, got {p}")
    return vector_norm(unsqueeze(x1, -2) - unsqueeze(x2, -3), p, -1)
