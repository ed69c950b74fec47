"""Changes of shape made of others; those that can be views are views."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._tensor import Size, Tensor, filled, host, need, view_of, wrap
from ..autograd import Function
from ..kernels.geometry import whole
from ..ops import shape as s
from ..ops.create import finish
from ..ops.elementwise import clone, where
from ..ops.shape import (
    Diagonal,
    Index,
    IndexPut,
    as_sizes,
    cat,
    expand,
    flip,
    narrow,
    permute,
    reshape,
    sequence,
    transpose,
    unsqueeze,
    wrap_dim,
)
from .pad import pad


def ravel(input: Tensor) -> Tensor:
    """One dimension, in row-major order."""
    need("ravel", input)
    return reshape(input, (-1,)) if input.array.size else reshape(input, (0,))


def view(input: Tensor, *shape: Any) -> Tensor:
    """As `reshape`, but never a copy. ``view(dtype)`` is not offered.

    Raises:
        RuntimeError: if the strides do not allow a view.
    """
    need("view", input)
    result = reshape(input, *shape)
    if result._base is None and result.array.size:
        raise RuntimeError(
            f"view: shape {tuple(input.array.shape)} with strides {input.stride()} has no view of shape "
            f"{tuple(result.array.shape)}; use reshape(), which copies when it must"
        )
    return result


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """`input` viewed in the shape of `other`."""
    return view(input, other.array.shape)


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """`input` in the shape of `other`."""
    return reshape(input, other.array.shape)


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Dimension `dim` split into several; one of `sizes` may be -1.

    Raises:
        RuntimeError: if the sizes do not multiply to that dimension's.
    """
    need("unflatten", input)
    at = wrap_dim(dim, input.array.ndim, "unflatten")
    parts = as_sizes((tuple(sizes),), "unflatten")
    if not parts:
        raise RuntimeError("unflatten: sizes must not be empty")
    size = input.array.shape[at] if input.array.ndim else 1
    known = 1
    for n in parts:
        known *= n if n != -1 else 1
    if parts.count(-1) > 1 or (size % known if -1 in parts and known else -1 not in parts and known != size):
        raise RuntimeError(f"unflatten: sizes {parts} do not multiply to {size}, the size of dimension {dim}")
    parts = tuple(n if n != -1 else size // known for n in parts)
    return reshape(input, (*input.array.shape[:at], *parts, *input.array.shape[at + 1 :]))


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and scalars as they are.

    Raises:
        RuntimeError: for more than two dimensions.
    """
    need("t", input)
    if input.array.ndim > 2:
        raise RuntimeError(f"t: expected at most 2 dimensions, got shape {tuple(input.array.shape)}; use mT or permute")
    return s.Permute.apply(input, tuple(reversed(range(input.array.ndim))))


def reverse_dims(input: Tensor) -> Tensor:
    """All dimensions in reverse order (``x.T``)."""
    return s.Permute.apply(input, tuple(reversed(range(input.array.ndim))))


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """`transpose`, by NumPy's name."""
    need("swapaxes", input)
    return transpose(input, axis0, axis1)


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """A view with the dimensions `source` (one or several) moved to the places `destination`.

    Raises:
        RuntimeError: if they are not equally many, or name one twice.
    """
    need("movedim", input)
    ndim = input.array.ndim
    froms = [source] if isinstance(source, int) else list(source)
    tos = [destination] if isinstance(destination, int) else list(destination)
    if len(froms) != len(tos):
        raise RuntimeError(f"movedim: {len(froms)} dimensions {source} cannot go to {len(tos)} places {destination}")
    a, b = ([wrap_dim(d, ndim, "movedim") for d in dims] for dims in (froms, tos))
    if len(set(a)) != len(a) or len(set(b)) != len(b):
        raise RuntimeError(f"movedim: a dimension is named twice in {source} or {destination}")
    if not ndim:
        return permute(input)
    order = [-1] * ndim
    for d, place in zip(a, b, strict=True):
        order[place] = d
    rest = iter([d for d in range(ndim) if d not in a])
    return permute(input, tuple(next(rest) if d < 0 else d for d in order))


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """`input` expanded to the shape of `other`."""
    return expand(input, other.array.shape)


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """`input` expanded to `size`."""
    need("broadcast_to", input)
    return expand(input, tuple(size))


# -- repetition -------------------------------------------------------------------------------------------------------


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The tensor side by side with itself, `repeats` times along each dimension; more repeats than dimensions add some.

    Raises:
        RuntimeError: if there are fewer repeats than dimensions, or negative ones.
    """
    need("repeat", input)
    times = as_sizes(repeats, "repeat")
    ndim = input.array.ndim
    if len(times) < ndim or min(times, default=0) < 0:
        raise RuntimeError(f"repeat: expected at least {ndim} numbers from 0 on, got {times}")
    shape = (1,) * (len(times) - ndim) + input.array.shape
    x = reshape(input, tuple(n for size in shape for n in (1, size)))
    x = expand(x, tuple(n for t, size in zip(times, shape, strict=True) for n in (t, size)))
    return reshape(clone(x), tuple(t * size for t, size in zip(times, shape, strict=True)))


def tile(input: Tensor, *dims: Any) -> Tensor:
    """`repeat`, where missing numbers in front count as 1."""
    need("tile", input)
    times = as_sizes(dims, "tile")
    return repeat(input, (1,) * (input.array.ndim - len(times)) + times)


def repeat_interleave(input: Any, repeats: Any = None, dim: int | None = None, *, output_size: Any = None) -> Tensor:
    """Each element `repeats` times in a row, along `dim` (of the flattened tensor if None).

    With one argument, a tensor of counts: 0 that often, 1 that often, and so on.

    Raises:
        RuntimeError: for negative counts, or counts that fit neither one element nor the dimension.
    """
    need("repeat_interleave", input)
    if repeats is None:
        if input.array.ndim != 1 or input.array.dtype.kind not in "iu":
            raise RuntimeError(f"repeat_interleave: expected 1-D int64 or int32 counts, got {input.dtype}")
        if (input.array < 0).any():
            raise RuntimeError("repeat_interleave: counts must not be negative")
        return wrap(np.repeat(np.arange(len(input.array)), host(input)), input.device)
    if dim is None:
        input, dim = ravel(input), 0
    at = wrap_dim(dim, input.array.ndim, "repeat_interleave")
    x = input if input.array.ndim else reshape(input, (1,))
    counts = host(repeats) if isinstance(repeats, Tensor) else np.asarray(repeats)
    if counts.dtype.kind not in "iu":
        raise RuntimeError(f"repeat_interleave: counts must be integers, got {counts.dtype}")
    if counts.ndim > 1 or (counts.ndim == 1 and counts.size not in (1, x.array.shape[at])) or (counts < 0).any():
        raise RuntimeError(
            f"repeat_interleave: expected one count, or {x.array.shape[at]}, none negative; got shape {counts.shape}"
        )
    places = np.repeat(np.arange(x.array.shape[at]), counts.reshape(-1) if counts.size == 1 else counts)
    return Index.apply(x, (*(slice(None),) * at, places))


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """The elements moved on by `shifts` along `dims`; what leaves at the end comes in at the start.

    Raises:
        RuntimeError: if there are not as many shifts as dims.
    """
    need("roll", input)
    moves = list(as_sizes((shifts,), "roll"))
    if not moves:
        raise RuntimeError("roll: expected at least one shift")
    if dims is None or (isinstance(dims, (tuple, list)) and not dims):
        if len(moves) != 1:
            raise RuntimeError(f"roll: {len(moves)} shifts need as many dims")
        return reshape(roll(ravel(input), moves[0], 0), input.array.shape)
    places = [dims] if isinstance(dims, int) else list(dims)
    if len(moves) != len(places):
        raise RuntimeError(f"roll: {len(moves)} shifts {shifts} for {len(places)} dims {dims}")
    result = input
    for move, d in zip(moves, places, strict=True):
        if input.array.size:
            at = wrap_dim(d, input.array.ndim, "roll")
            n = input.array.shape[at]
            front: tuple[Any, ...] = (slice(None),) * at
            cut = -move % n
            result = cat([result[(*front, slice(cut, None))], result[(*front, slice(None, cut))]], at)
    return clone(result) if result is input else result


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by 90 degrees `k` times, from the first of `dims` towards the second."""
    need("rot90", input)
    if len(dims) != 2 or input.array.ndim < 2:
        raise RuntimeError(f"rot90: expected two dims of a tensor with two or more, got {dims}, {input.array.ndim}-D")
    a, b = (wrap_dim(d, input.array.ndim, "rot90") for d in dims)
    if a == b:
        raise RuntimeError(f"rot90: dims {dims} must differ")
    turns = k % 4
    if turns == 0:
        return clone(input)
    if turns == 2:
        return flip(input, a, b)
    return flip(transpose(input, a, b), a) if turns == 1 else transpose(flip(input, a), a, b)


def fliplr(input: Tensor) -> Tensor:
    """The second dimension in reverse order."""
    need("fliplr", input)
    if input.array.ndim < 2:
        raise RuntimeError(f"fliplr: expected two or more dimensions, got {input.array.ndim}")
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """The first dimension in reverse order."""
    need("flipud", input)
    if input.array.ndim < 1:
        raise RuntimeError("flipud: expected one or more dimensions, got 0")
    return flip(input, 0)


# -- joins and cuts ---------------------------------------------------------------------------------------------------


def atleast_1d(*tensors: Any) -> Any:
    """With at least one dimension."""
    return _each("atleast_1d", tensors, lambda t: reshape(t, (1,)) if t.array.ndim < 1 else t)


def atleast_2d(*tensors: Any) -> Any:
    """With at least two dimensions; new ones come first."""

    def wide(t: Tensor) -> Tensor:
        return reshape(t, (1,) * (2 - t.array.ndim) + t.array.shape) if t.array.ndim < 2 else t

    return _each("atleast_2d", tensors, wide)


def atleast_3d(*tensors: Any) -> Any:
    """With at least three dimensions: (N,) becomes (1, N, 1), (M, N) becomes (M, N, 1)."""

    def deep(t: Tensor) -> Tensor:
        if t.array.ndim == 2:
            return unsqueeze(t, -1)
        return reshape(t, (1, t.array.size, 1)) if t.array.ndim < 2 else t

    return _each("atleast_3d", tensors, deep)


def _each(name: str, tensors: tuple[Any, ...], function: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        need(name, *tensors[0])
        return tuple(function(t) for t in tensors[0])
    need(name, *tensors)
    results = tuple(function(t) for t in tensors)
    return results[0] if len(results) == 1 else results


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new dimension.

    Raises:
        RuntimeError: if it is empty or the shapes differ.
    """
    parts = sequence("stack", tensors)
    shapes = {tuple(t.array.shape) for t in parts}
    if len(shapes) > 1:
        raise RuntimeError(f"stack: all tensors must have one shape, got {[tuple(t.array.shape) for t in parts]}")
    return cat([unsqueeze(t, dim) for t in parts], dim if dim >= 0 else dim + parts[0].array.ndim + 1)


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the second dimension; vectors along the first."""
    parts = atleast_1d(sequence("hstack", tensors))
    return cat(parts, 0 if parts[0].array.ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the first dimension; vectors count as rows."""
    return cat(atleast_2d(sequence("vstack", tensors)), 0)


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the third dimension."""
    return cat(atleast_3d(sequence("dstack", tensors)), 2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the second dimension; vectors count as columns."""
    parts = sequence("column_stack", tensors)
    return cat([t if t.array.ndim > 1 else reshape(t, (t.array.size, 1)) for t in parts], 1)


def split(input: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of `split_size` entries each along `dim` (the last may be smaller), or of the given sizes.

    Raises:
        RuntimeError: if a size is negative or zero, or sections do not add up.
    """
    need("split", input)
    dim = wrap_dim(dim, input.array.ndim, "split")
    size = input.array.shape[dim]
    if not isinstance(split_size_or_sections, (tuple, list)):
        step = whole("split", "the size of a part", split_size_or_sections)
        if step <= 0:
            raise RuntimeError(f"split: the size of a part must be at least 1, got {step}")
        sections = [min(step, size - i) for i in range(0, size, step)] or [0]
    else:
        sections = list(split_size_or_sections)
        if sum(sections) != size or min(sections, default=0) < 0:
            raise RuntimeError(f"split: sections {sections} must add up to {size}, the size of dimension {dim}")
    starts = [sum(sections[:i]) for i in range(len(sections))]
    return tuple(narrow(input, dim, start, n) for start, n in zip(starts, sections, strict=True))


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, without that dimension."""
    need("unbind", input)
    dim = wrap_dim(dim, input.array.ndim, "unbind")
    return tuple(Index.apply(input, (*[slice(None)] * dim, i)) for i in range(input.array.shape[dim]))


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal size along `dim` (the last may be smaller)."""
    need("chunk", input)
    if whole("chunk", "chunks", chunks) < 1:
        raise RuntimeError(f"chunk: expected at least 1 part, got {chunks}")
    size = input.array.shape[wrap_dim(dim, input.array.ndim, "chunk")]
    return split(input, max(1, -(-size // chunks)), dim)


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views along `dim`: a number of nearly equal parts, or cut before each of the given indices.

    Raises:
        RuntimeError: for less than one part, or a 0-d tensor.
    """
    need("tensor_split", input)
    if not input.array.ndim:
        raise RuntimeError("tensor_split: a 0-d tensor cannot be split")
    at = wrap_dim(dim, input.array.ndim, "tensor_split")
    size = input.array.shape[at]
    if isinstance(indices_or_sections, Tensor):
        if indices_or_sections.array.dtype != np.int64 or indices_or_sections.array.ndim > 1:
            raise RuntimeError("tensor_split: indices must be a 0-d or 1-D int64 tensor")
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        n = indices_or_sections
        if n < 1:
            raise RuntimeError(f"tensor_split: the number of sections must be larger than 0, got {n}")
        short, longer = divmod(size, n)
        cuts = [i * short + min(i, longer) for i in range(1, n)]
    else:
        cuts = list(indices_or_sections)
    front: tuple[Any, ...] = (slice(None),) * at
    edges = [0, *cuts, size]
    return tuple(Index.apply(input, (*front, slice(a, b))) for a, b in itertools.pairwise(edges))


def _split_at(name: str, input: Tensor, indices_or_sections: Any, dim: int, least: int) -> tuple[Tensor, ...]:
    need(name, input)
    if input.array.ndim < least:
        raise RuntimeError(f"{name}: expected at least {least} dimensions, got shape {tuple(input.array.shape)}")
    if isinstance(indices_or_sections, int):
        size = input.array.shape[dim]
        if indices_or_sections < 1 or size % indices_or_sections:
            raise RuntimeError(f"{name}: {indices_or_sections} parts do not divide {size}, the size of dimension {dim}")
    return tensor_split(input, indices_or_sections, dim)


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along the second dimension (of a vector the first), into equal parts."""
    need("hsplit", input)
    return _split_at("hsplit", input, indices_or_sections, 0 if input.array.ndim == 1 else 1, 1)


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along the first dimension, into equal parts."""
    return _split_at("vsplit", input, indices_or_sections, 0, 2)


def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along the third dimension, into equal parts."""
    return _split_at("dsplit", input, indices_or_sections, 2, 3)


def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """`split` into the given sizes."""
    need("split_with_sizes", input)
    return split(input, list(split_sizes), dim)


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The view at `index` along `dim`, without that dimension.

    Raises:
        IndexError: if there is no such dimension or index.
    """
    need("select", input)
    if not input.array.ndim:
        raise IndexError("select: a 0-d tensor has no dimension to select from")
    at = wrap_dim(dim, input.array.ndim, "select")
    size = input.array.shape[at]
    if not -size <= index < size:
        raise IndexError(f"select: index {index} is out of range for dimension {dim} of size {size}")
    return Index.apply(input, (*(slice(None),) * at, int(index)))


def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that these broadcast to.

    Raises:
        RuntimeError: if they do not.
    """
    from_sizes = [(n,) if isinstance(n, int) else tuple(n) for n in shapes]
    for shape in from_sizes:
        if any(n < 0 for n in shape):
            raise RuntimeError(f"broadcast_shapes: sizes must not be negative, got {shape}")
    try:
        return Size(np.broadcast_shapes(*from_sizes))
    except ValueError:
        raise RuntimeError(f"broadcast_shapes: shapes {from_sizes} do not broadcast") from None


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors as read-only views of the shape that they broadcast to."""
    need("broadcast_tensors", *tensors)
    shape = broadcast_shapes(*[t.array.shape for t in tensors])
    return tuple(expand(t, tuple(shape)) for t in tensors)


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """For vectors x, y, ...: X[i, j, ...] = x[i], Y[i, j, ...] = y[j], ...; with ``indexing="xy"`` [j, i, ...].

    Raises:
        RuntimeError: for more than one dimension, or different dtypes.
    """
    parts = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else list(tensors)
    need("meshgrid", *parts)
    if not parts:
        raise RuntimeError("meshgrid: expected at least one tensor")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    if any(t.array.ndim > 1 for t in parts) or len({t.array.dtype for t in parts}) > 1:
        raise RuntimeError(
            f"meshgrid: expected vectors of one dtype, got {[(tuple(t.array.shape), t.dtype) for t in parts]}"
        )
    if indexing == "xy" and len(parts) > 1:
        second, first, *rest = meshgrid(parts[1], parts[0], *parts[2:], indexing="ij")
        return first, second, *rest
    shape = tuple(t.array.size for t in parts)
    return tuple(
        expand(reshape(t, tuple(n if i == k else 1 for k, n in enumerate(shape))), shape) for i, t in enumerate(parts)
    )


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each vector, as rows."""
    need("cartesian_prod", *tensors)
    if any(t.array.ndim != 1 for t in tensors):
        raise RuntimeError(f"cartesian_prod: expected vectors, got {[tuple(t.array.shape) for t in tensors]}")
    if len(tensors) == 1:
        return reshape(tensors[0], tensors[0].array.shape)
    return stack([ravel(g) for g in meshgrid(*tensors)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements of a vector, as rows, in order."""
    need("combinations", input)
    if input.array.ndim != 1 or r < 0:
        raise RuntimeError(f"combinations: expected a vector and r from 0 on, got {tuple(input.array.shape)} and {r}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(input.array.size), r)), np.int64).reshape(-1, r)
    return Index.apply(input, (rows,)) if r else input[:0]


def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices along the diagonal of a larger one; vectors count as rows."""
    need("block_diag", *tensors)
    parts = [atleast_2d(t) for t in tensors]
    if any(t.array.ndim > 2 for t in parts):
        raise RuntimeError("block_diag: expected at most two dimensions each")
    width = int(np.sum([t.array.shape[1] for t in parts]))
    rows, start = [], 0
    for t in parts:
        n = t.array.shape[1]
        rows.append(pad(t, (start, width - start - n)))
        start += n
    return cat(rows, 0)


# -- diagonals, triangles, windows ------------------------------------------------------------------------------------


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonal of the matrices in `dim1` and `dim2`, as the last dimension.

    Args:
        offset: 0 for the main diagonal, above it if positive, below if negative.
    """
    need("diagonal", input)
    a, b = (wrap_dim(d, input.array.ndim, "diagonal") for d in (dim1, dim2))
    if a == b or input.array.ndim < 2:
        raise RuntimeError(f"diagonal: dim1 and dim2 must be two dimensions, got {dim1} and {dim2}")
    rest = tuple(d for d in range(input.array.ndim) if d not in (a, b))
    return Diagonal.apply(permute(input, (*rest, a, b)), int(offset))


def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """`diagonal` of the last two dimensions."""
    return diagonal(A, offset, dim1, dim2)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Square matrices in `dim1` and `dim2` with the last dimension of `input` on the diagonal, 0 beside it."""
    need("diag_embed", input)
    ndim = input.array.ndim + 1
    a, b = (wrap_dim(d, ndim, "diag_embed") for d in (dim1, dim2))
    if a == b or not input.array.ndim:
        raise RuntimeError(f"diag_embed: dim1 and dim2 must be two dimensions, got {dim1} and {dim2}")
    n = input.array.shape[-1]
    size = n + abs(offset)
    frame = filled((*input.array.shape[:-1], size, size), input.array.dtype, input.device)
    k = np.arange(n)
    matrices = IndexPut.apply(frame, input, (Ellipsis, k + max(-offset, 0), k + max(offset, 0)))
    return movedim(matrices, (-2, -1), (a, b))


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix (a copy), or the matrix with a vector as its diagonal."""
    need("diag", input)
    if input.array.ndim == 1:
        return diag_embed(input, diagonal)
    if input.array.ndim != 2:
        raise RuntimeError(f"diag: expected a vector or a matrix, got shape {tuple(input.array.shape)}")
    return clone(Diagonal.apply(input, int(diagonal)))


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with all elements of `input` on its diagonal."""
    need("diagflat", input)
    return diag_embed(ravel(input), offset)


def _tri(shape: tuple[int, ...], offset: int) -> Any:
    return np.tri(shape[0], shape[1], offset) > 0


def _triangle(name: str, input: Tensor, mask: Callable[..., Any]) -> Tensor:
    need(name, input)
    if input.array.ndim < 2:
        raise RuntimeError(f"{name}: expected at least two dimensions, got shape {tuple(input.array.shape)}")
    frame = filled((), input.array.dtype, input.device)
    return where(wrap(mask(input.array.shape[-2:]), input.device), input, frame)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of the matrices in the last two dimensions, up to `diagonal`; 0 above."""
    k = whole("tril", "diagonal", diagonal)
    return _triangle("tril", input, lambda shape: _tri(shape, k))


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of the matrices in the last two dimensions, from `diagonal` on; 0 below."""
    k = whole("triu", "diagonal", diagonal) - 1
    return _triangle("triu", input, lambda shape: ~_tri(shape, k))


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Rows and columns (2, count) of the lower triangle of a (row, col) matrix."""
    _legal_matrix("tril_indices", row, col)
    return _indices(_tri((row, col), offset), dtype, device)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Rows and columns (2, count) of the upper triangle of a (row, col) matrix."""
    _legal_matrix("triu_indices", row, col)
    return _indices(~_tri((row, col), offset - 1), dtype, device)


def _legal_matrix(name: str, row: int, col: int) -> None:
    if row < 0 or col < 0:
        raise RuntimeError(f"{name}: row and col must not be negative, got {row} and {col}")


def _indices(mask: Any, dtype: Any, device: Any) -> Tensor:
    kind = np.dtype(np.int64) if dtype is None else dtype.numpy
    if kind not in (np.int32, np.int64):
        raise RuntimeError(f"indices of a triangle are int64 or int32, got {dtype}")
    return finish(np.stack(mask.nonzero()).astype(kind), device, False)


class Windows(Function):
    """All windows along a dimension, counted there; their elements lie in a new last dimension. A view."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, size: int, step: int) -> Tensor:
        ctx.shape, ctx.dim = x.array.shape, dim
        count = (x.array.shape[dim] - size) // step + 1
        ctx.places = np.arange(count)[:, None] * step + np.arange(size)
        shape, steps = list(x.array.shape), list(x.array.strides)
        shape[dim], steps[dim] = count, steps[dim] * step
        return view_of(x, s._as_strided(x, x.array, (*shape, size), (*steps, x.array.strides[dim])))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        key = (*(slice(None),) * ctx.dim, ctx.places)
        return s.IndexGrad.apply(s.movedim(g, g.array.ndim - 1, ctx.dim + 1), key, ctx.shape), None, None, None


class Strided(Function):
    """Row-major memory seen with other sizes and strides, counted in elements. A view."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: tuple[int, ...], steps: tuple[int, ...], start: int) -> Tensor:
        ctx.shape, ctx.size = x.array.shape, x.array.size
        places: Any = start
        for n, step in zip(shape, steps, strict=True):
            places = np.asarray(places)[..., None] + np.arange(n) * step
        ctx.places = np.asarray(places)
        flat = x.array.reshape(-1)[start:]
        return view_of(x, s._as_strided(x, flat, shape, tuple(n * x.array.itemsize for n in steps)))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return s.Reshape.apply(s.IndexGrad.apply(g, (ctx.places,), (ctx.size,)), ctx.shape), None, None, None


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of all windows of `size` along a dimension, `step` apart; they are counted there, and lie in the last.

    Raises:
        RuntimeError: if the window is larger than the dimension, or `step` is not positive.
    """
    need("unfold", input)
    at = wrap_dim(dimension, input.array.ndim, "unfold")
    length = input.array.shape[at] if input.array.ndim else 1
    if not 0 <= size <= length or step < 1:
        raise RuntimeError(f"unfold: windows of {size}, {step} apart, in dimension {dimension} of size {length}")
    if not input.array.ndim:
        return reshape(input, (1,))[:size]
    return Windows.apply(input, at, int(size), int(step))


def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the memory of a contiguous tensor with any sizes and strides, counted in elements.

    Of a view it is that of its base; `storage_offset` counts from there, and stays the view's own if it is None.

    Raises:
        RuntimeError: if it reaches outside the tensor, or the tensor is not contiguous.
    """
    need("as_strided", input)
    shape, steps = as_sizes((tuple(size),), "as_strided"), as_sizes((tuple(stride),), "as_strided")
    start = input.storage_offset() if storage_offset is None else storage_offset
    if input._base is not None:
        input = input._base
    if len(shape) != len(steps) or min((*shape, *steps, start), default=0) < 0:
        raise RuntimeError(f"as_strided: sizes {shape} and strides {steps} must be equally many, none negative")
    if not input.array.flags.c_contiguous:
        raise RuntimeError("as_strided: the tensor must be contiguous here; call contiguous() first")
    last = start + int(np.sum([(n - 1) * st for n, st in zip(shape, steps, strict=True)])) if 0 not in shape else -1
    if last >= input.array.size:
        raise RuntimeError(
            f"as_strided: sizes {shape}, strides {steps} and offset {start} reach element {last} of {input.array.size}"
        )
    return Strided.apply(input, shape, steps, start)


def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Each entry along `dim` minus the one before it, `n` times."""
    need("diff", input)
    if not input.array.ndim:
        raise RuntimeError("diff: expected at least one dimension")
    if n < 0:
        raise RuntimeError(f"diff: n must not be negative, got {n}")
    at = wrap_dim(dim, input.array.ndim, "diff")
    if n == 0:
        return clone(input)
    parts = [t for t in (prepend, input, append) if t is not None]
    x = cat(parts, at) if len(parts) > 1 else input
    front: tuple[Any, ...] = (slice(None),) * at
    for _ in range(n):
        later, earlier = x[(*front, slice(1, None))], x[(*front, slice(None, -1))]
        x = later ^ earlier if x.array.dtype.kind == "b" else later - earlier
    return x
