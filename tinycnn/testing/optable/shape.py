"""Shapes and indices."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinycnn as t

from ...nn import functional as F
from ._op import ONE, Op


def _pad(sides: tuple[int, ...], shape: tuple[int, ...], mode: str) -> Op:
    pairs = [(0, 0)] * (len(shape) - len(sides) // 2) + list(zip(sides[-2::-2], sides[::-2], strict=True))
    named: Any = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    refuses = (
        (lambda: F.pad(t.ones(1, 2), (0, 3), "reflect"), RuntimeError, "pads at most 1"),
        (lambda: F.pad(t.ones(1, 2), (0, 1), "mirror"), ValueError, "mode must be"),
    )
    return Op(
        f"nn.functional.pad: {mode} {sides} {shape}",
        lambda x: F.pad(x, sides, mode),
        lambda x: np.pad(x, pairs, named),
        ((shape,),),
        refuses=refuses,
    )


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
    Op(
        "nn.functional.pad: constant",
        lambda x: F.pad(x, (1, 2, -1, 0)),
        lambda x: np.pad(x[1:], ((0, 0), (1, 2))),
        (((2, 3),),),
    ),
    Op(
        "gather",
        lambda x: x.gather(1, t.tensor([[0, 0], [2, 1]])),
        lambda x: np.take_along_axis(x, np.array([[0, 0], [2, 1]]), 1),
        (((2, 3),),),
        refuses=((lambda: t.ones(2, 3).gather(1, t.tensor([[3]])), RuntimeError, "outside"),),
    ),
    *(
        _pad(sides, shape, mode)
        for mode in ("reflect", "replicate", "circular")
        for sides, shape in (((1, 2), (2, 3)), ((1, 0, 2, 1), (1, 2, 3, 3)), ((1, 1, 0, 2), (2, 3, 4)))
    ),
    Op(
        "constant_pad_nd",
        lambda x: t.constant_pad_nd(x, (1, 0), 3),
        lambda x: np.pad(x, ((0, 0), (1, 0)), constant_values=3),
        (((2, 3),),),
    ),
    Op("ravel", t.ravel, np.ravel, ONE),
    Op(
        "Tensor.view",
        lambda x: x.view(-1, 2),
        lambda x: x.reshape(-1, 2),
        (((2, 4),),),
        refuses=((lambda: t.ones(2, 3).t().view(6), RuntimeError, "reshape"),),
    ),
    Op("Tensor.view_as", lambda x, y: x.view_as(y) * 2, lambda x, y: x.reshape(y.shape) * 2, (((2, 3), (3, 2)),)),
    Op("Tensor.reshape_as", lambda x, y: x.reshape_as(y), lambda x, y: x.reshape(y.shape), (((2, 3), (3, 2)),)),
    Op(
        "unflatten",
        lambda x: t.unflatten(x, 1, (2, -1)),
        lambda x: x.reshape(2, 2, 3),
        (((2, 6),),),
        refuses=((lambda: t.ones(5).unflatten(0, (2, 3)), RuntimeError, "multiply"),),
    ),
    Op("swapaxes", lambda x: t.swapaxes(x, 0, 1), lambda x: x.T, (((2, 3),),)),
    Op(
        "movedim",
        lambda x: t.movedim(x, (0, 1), (2, 0)),
        lambda x: np.moveaxis(x, (0, 1), (2, 0)),
        (((2, 3, 4),),),
        refuses=((lambda: t.ones(2, 2).movedim((0, 0), (0, 1)), RuntimeError, "twice"),),
    ),
    Op(
        "t",
        t.t,
        np.transpose,
        (((2, 3),), ((3,),)),
        refuses=((lambda: t.ones(2, 2, 2).t(), RuntimeError, "at most 2"),),
    ),
    Op("Tensor.T", lambda x: x.T, np.transpose, (((2, 3),),)),
    Op("Tensor.mT", lambda x: x.mT, lambda x: x.swapaxes(-1, -2), (((2, 3, 4),),)),
    Op("broadcast_to", lambda x: t.broadcast_to(x, (2, 3)), lambda x: np.broadcast_to(x, (2, 3)), (((3,),), ((2, 1),))),
    Op("Tensor.expand_as", lambda x, y: x.expand_as(y) * y, lambda x, y: x * y, (((3,), (2, 3)),)),
    Op(
        "broadcast_tensors",
        lambda x, y: t.broadcast_tensors(x, y)[0] * 2,
        lambda x, y: np.broadcast_arrays(x, y)[0] * 2,
        (((3,), (2, 1)),),
        refuses=((lambda: t.broadcast_tensors(t.ones(2), t.ones(3)), RuntimeError, "do not broadcast"),),
    ),
    Op(
        "Tensor.repeat",
        lambda x: x.repeat(2, 1, 2),
        lambda x: np.tile(x, (2, 1, 2)),
        (((2, 3),), ((3,),)),
        refuses=((lambda: t.ones(2, 2).repeat(2), RuntimeError, "at least 2"),),
    ),
    Op("tile", lambda x: t.tile(x, (2,)), lambda x: np.tile(x, 2), (((2, 3),), ((),))),
    Op(
        "repeat_interleave",
        lambda x: t.repeat_interleave(x, t.tensor([1, 0, 2]), 1),
        lambda x: np.repeat(x, [1, 0, 2], 1),
        (((2, 3),),),
        refuses=((lambda: t.ones(2).repeat_interleave(-1), RuntimeError, "negative"),),
    ),
    Op(
        "roll",
        lambda x: t.roll(x, (1, -2), (0, 1)),
        lambda x: np.roll(x, (1, -2), (0, 1)),
        (((2, 3),),),
        refuses=((lambda: t.roll(t.ones(2), (1, 2), 0), RuntimeError, "shifts"),),
    ),
    Op("roll: flat", lambda x: t.roll(x, 2), lambda x: np.roll(x, 2), (((2, 3),), ((0,),))),
    *(Op(f"rot90: {k}", lambda x, k=k: t.rot90(x, k), lambda x, k=k: np.rot90(x, k), (((2, 3),),)) for k in range(4)),
    Op("fliplr", t.fliplr, np.fliplr, (((2, 3),),)),
    Op("flipud", t.flipud, np.flipud, (((2, 3),),)),
    Op("atleast_1d", t.atleast_1d, np.atleast_1d, ONE),
    Op("atleast_2d", t.atleast_2d, np.atleast_2d, ONE),
    Op("atleast_3d", t.atleast_3d, np.atleast_3d, ONE),
    Op("hstack", lambda x, y: t.hstack([x, y]), lambda x, y: np.hstack([x, y]), (((2, 3), (2, 1)), ((2,), (3,)))),
    Op("vstack", lambda x, y: t.vstack([x, y]), lambda x, y: np.vstack([x, y]), (((2, 3), (1, 3)), ((3,), (3,)))),
    Op("dstack", lambda x, y: t.dstack([x, y]), lambda x, y: np.dstack([x, y]), (((2, 3), (2, 3)),)),
    Op("column_stack", lambda x, y: t.column_stack([x, y]), lambda x, y: np.column_stack([x, y]), (((2,), (2, 3)),)),
    Op("chunk", lambda x: x.chunk(2, 1)[0] * 2, lambda x: x[:, :2] * 2, (((2, 3),),)),
    Op("unbind", lambda x: x.unbind(1)[2], lambda x: x[:, 2], (((2, 3),),)),
    Op("split_with_sizes", lambda x: t.split_with_sizes(x, [1, 2], 1)[1], lambda x: x[:, 1:], (((2, 3),),)),
    Op(
        "tensor_split",
        lambda x: t.tensor_split(x, 2)[0],
        lambda x: np.array_split(x, 2)[0],
        (((3, 2),),),
        refuses=((lambda: t.ones(3).tensor_split(0), RuntimeError, "larger than 0"),),
    ),
    Op("hsplit", lambda x: t.hsplit(x, [1])[1], lambda x: np.hsplit(x, [1])[1], (((2, 3),),)),
    Op(
        "vsplit",
        lambda x: t.vsplit(x, 2)[1],
        lambda x: np.vsplit(x, 2)[1],
        (((2, 3),),),
        refuses=((lambda: t.ones(3, 2).vsplit(2), RuntimeError, "divide"),),
    ),
    Op("dsplit", lambda x: t.dsplit(x, 2)[1], lambda x: np.dsplit(x, 2)[1], (((1, 2, 4),),)),
    Op(
        "narrow",
        lambda x: t.narrow(x, 1, -2, 2),
        lambda x: x[:, -2:],
        (((2, 3),),),
        refuses=((lambda: t.ones(3).narrow(0, 2, 2), RuntimeError, "reach outside"),),
    ),
    Op(
        "select",
        lambda x: t.select(x, 1, -1),
        lambda x: x[:, -1],
        (((2, 3),),),
        refuses=((lambda: t.ones(2).select(0, 2), IndexError, "out of range"),),
    ),
    Op(
        "meshgrid",
        lambda x, y: t.stack(t.meshgrid(x, y, indexing="xy")),
        lambda x, y: np.stack(np.meshgrid(x, y)),
        (((2,), (3,)),),
    ),
    Op(
        "cartesian_prod",
        lambda x, y: t.cartesian_prod(x, y),
        lambda x, y: np.array([(a, b) for a in x for b in y]),
        (((2,), (3,)),),
    ),
    Op(
        "combinations",
        lambda x: t.combinations(x),
        lambda x: np.array([(x[0], x[1]), (x[0], x[2]), (x[1], x[2])]),
        (((3,),),),
    ),
    Op(
        "block_diag",
        lambda x, y: t.block_diag(x, y),
        lambda x, y: np.block([[x, np.zeros((2, 1))], [np.zeros((1, 3)), y]]),
        (((2, 3), (1, 1)),),
    ),
    Op(
        "diagonal",
        lambda x: t.diagonal(x, 1, 0, 2),
        lambda x: x.diagonal(1, 0, 2),
        (((3, 2, 4),),),
        refuses=((lambda: t.ones(2, 2).diagonal(0, 1, 1), RuntimeError, "two dimensions"),),
    ),
    Op("linalg.diagonal", lambda x: t.linalg.diagonal(x, offset=-1), lambda x: x.diagonal(-1, 1, 2), (((2, 3, 3),),)),
    Op("diag", lambda x: t.diag(x, -1), lambda x: np.diag(x, -1), (((3, 2),), ((2,),))),
    Op("diag_embed", t.diag_embed, lambda x: x[..., None] * np.eye(3), (((2, 3),),)),
    Op("diagflat", lambda x: t.diagflat(x, 1), lambda x: np.diagflat(x, 1), (((2, 2),),)),
    Op(
        "tril_indices",
        lambda x: t.tril_indices(3, 4, 1),
        lambda x: np.stack(np.tril_indices(3, 1, 4)),
        ONE,
        gradient=False,
    ),
    Op(
        "triu_indices",
        lambda x: t.triu_indices(3, 4),
        lambda x: np.stack(np.triu_indices(3, 0, 4)),
        ONE,
        gradient=False,
    ),
    Op("tril", lambda x: t.tril(x, 1), lambda x: np.tril(x, 1), (((3, 4),), ((2, 2, 2),))),
    Op("triu", t.triu, np.triu, (((3, 4),),), refuses=((lambda: t.triu(t.ones(2)), RuntimeError, "two dimensions"),)),
    Op(
        "Tensor.unfold",
        lambda x: x.unfold(1, 3, 2),
        lambda x: np.stack([x[:, 0:3], x[:, 2:5]], 1),
        (((2, 5),), ((2, 6),)),
        refuses=((lambda: t.ones(2).unfold(0, 3, 1), RuntimeError, "windows of 3"),),
    ),
    Op(
        "as_strided",
        lambda x: t.as_strided(x.contiguous(), (2, 2), (1, 2), 1),
        lambda x: np.array([[x.flat[1], x.flat[3]], [x.flat[2], x.flat[4]]]),
        (((5,),), ((2, 3),)),
        refuses=((lambda: t.as_strided(t.ones(3), (4,), (1,)), RuntimeError, "reach element 3"),),
        differs="the tensor must be contiguous; the view cannot reach beyond it",
    ),
    Op("diff", lambda x: t.diff(x, 2), lambda x: np.diff(x, 2), (((2, 4),),)),
)

ROWS, GRID = t.tensor([2, 0]), t.tensor([[0, 1, 0], [2, 0, 2]])


def _scattered(x: np.ndarray, src: np.ndarray, function: Any) -> np.ndarray:
    result = x.copy()
    for i in range(2):
        for j in range(3):
            function(result, (GRID.tolist()[i][j], j), src[i, j])
    return result


def _write(array: np.ndarray, place: tuple[int, int], value: float) -> None:
    array[place] = value


def _add(array: np.ndarray, place: tuple[int, int], value: float) -> None:
    array[place] += value


def _max(array: np.ndarray, place: tuple[int, int], value: float) -> None:
    array[place] = max(array[place], value)


def _times(array: np.ndarray, place: tuple[int, int], value: float) -> None:
    array[place] *= value


def _put_rows(x: np.ndarray, rows: np.ndarray, sign: float) -> np.ndarray:
    result = x.copy()
    result[[2, 0]] = sign * result[[2, 0]] + rows
    return result


INDICES = (
    Op(
        "index_select",
        lambda x: t.index_select(x, 0, ROWS),
        lambda x: x[[2, 0]],
        (((3, 2),),),
        refuses=((lambda: t.ones(2).index_select(0, ROWS), IndexError, "out of range"),),
    ),
    Op(
        "index_add",
        lambda x, y: t.index_add(x, 0, ROWS, y, alpha=2),
        lambda x, y: _put_rows(x, 2 * y, 1),
        (((3, 2), (2, 2)),),
        refuses=((lambda: t.ones(3).index_add(0, ROWS, t.ones(3)), RuntimeError, "must have shape"),),
    ),
    Op(
        "index_reduce",
        lambda x, y: t.index_reduce(x, 0, ROWS, y, "mean"),
        lambda x, y: _put_rows(x, y, 1) / np.where(_put_rows(x * 0, y * 0 + 1, 1) > 0, 2, 1),
        (((3, 2), (2, 2)),),
        refuses=(
            (lambda: t.ones(3).index_reduce(0, ROWS, t.ones(2), "sum"), RuntimeError, "'prod', 'mean'"),
            (lambda: t.ones(3).index_reduce(0, ROWS, t.ones(3), "amax"), RuntimeError, "must have shape"),
        ),
    ),
    Op(
        "index_reduce: amax",
        lambda x, y: t.index_reduce(x, 0, ROWS, y, "amax", include_self=False),
        lambda x, y: _put_rows(x, y, 0),
        (((3, 2), (2, 2)),),
        spaced=True,
    ),
    Op(
        "unravel_index",
        lambda x: t.stack(t.unravel_index((abs(x) * 3).long(), (2, 4))),
        lambda x: np.stack(np.unravel_index((abs(x) * 3).astype(int), (2, 4))),
        (((5,),), ((2, 2),)),
        gradient=False,
        refuses=(
            (lambda: t.unravel_index(t.ones(2), (2, 3)), TypeError, "integer"),
            (lambda: t.unravel_index(t.tensor([1]), (2, 0)), ValueError, "positive"),
        ),
    ),
    Op(
        "nonzero_static",
        lambda x: t.nonzero_static(x > 0, size=7, fill_value=-2),
        lambda x: np.concatenate([np.argwhere(x > 0), np.full((7, x.ndim), -2)])[:7],
        (((2, 5),),),
        gradient=False,
        refuses=((lambda: t.nonzero_static(t.ones(2), size=-1), RuntimeError, "negative"),),
    ),
    Op("index_copy", lambda x, y: t.index_copy(x, 0, ROWS, y), lambda x, y: _put_rows(x, y, 0), (((3, 2), (2, 2)),)),
    Op(
        "index_fill",
        lambda x: t.index_fill(x, 0, ROWS.to(x.device), 5),
        lambda x: _put_rows(x, np.full((2, 2), 5.0), 0),
        (((3, 2),),),
    ),
    Op("index_put", lambda x, y: t.index_put(x, (ROWS,), y), lambda x, y: _put_rows(x, y, 0), (((3, 2), (2, 2)),)),
    Op(
        "index_put: accumulate",
        lambda x, y: t.index_put(x, (ROWS,), y, accumulate=True),
        lambda x, y: _put_rows(x, y, 1),
        (((3, 2), (2, 2)),),
    ),
    Op(
        "take",
        lambda x: t.take(x, t.tensor([[0, -1], [3, 3]])),
        lambda x: x.reshape(-1)[np.array([[0, -1], [3, 3]])],
        (((2, 3),),),
        refuses=((lambda: t.take(t.ones(2), t.tensor([2])), IndexError, "out of range"),),
    ),
    Op(
        "put",
        lambda x, y: t.put(x, t.tensor([0, 4]), y),
        lambda x, y: np.concatenate([y[:1], x.flat[1:4], y[1:], x.flat[5:]]).reshape(2, 3),
        (((2, 3), (2,)),),
    ),
    Op(
        "take_along_dim",
        lambda x: t.take_along_dim(x, t.tensor([[0], [2]]), 1),
        lambda x: np.take_along_axis(x, np.array([[0], [2]]), 1),
        (((2, 3),), ((1, 3),)),
    ),
    Op(
        "masked_select",
        lambda x: t.masked_select(x, t.tensor([True, False, True])),
        lambda x: x[:, [0, 2]].reshape(-1),
        (((2, 3),),),
        refuses=((lambda: t.ones(2).masked_select(t.ones(2)), RuntimeError, "bool"),),
    ),
    Op(
        "masked_scatter",
        lambda x, y: t.masked_scatter(x, t.tensor([True, False, True]), y),
        lambda x, y: (
            np.stack([y[:2], y[2:]], 1)[..., [0, 0, 1]] * 0 + np.array([[y[0], x[0, 1], y[1]], [y[2], x[1, 1], y[3]]])
        ),
        (((2, 3), (4,)),),
        refuses=((lambda: t.ones(3).masked_scatter(t.tensor([True] * 3), t.ones(2)), RuntimeError, "holds 3 times"),),
    ),
    Op(
        "scatter",
        lambda x, y: t.scatter(x, 0, GRID, y),
        lambda x, y: _scattered(x, y, _write),
        (((3, 3), (2, 3)),),
        refuses=((lambda: t.ones(2, 3).scatter(0, GRID, 1.0), RuntimeError, "out of range"),),
    ),
    Op(
        "scatter: number",
        lambda x: t.scatter(x, 0, GRID, 7.0),
        lambda x: _scattered(x, np.full((2, 3), 7.0), _write),
        (((3, 3),),),
    ),
    Op(
        "scatter_add",
        lambda x, y: t.scatter_add(x, 0, GRID, y),
        lambda x, y: _scattered(x, y, _add),
        (((3, 3), (2, 3)),),
        refuses=((lambda: t.ones(3).scatter_add(0, GRID, t.ones(2, 3)), RuntimeError, "equally many"),),
    ),
    Op(
        "scatter_reduce",
        lambda x, y: t.scatter_reduce(x, 0, GRID, y, "amax"),
        lambda x, y: _scattered(x, y, _max),
        (((3, 3), (2, 3)),),
        differs="reduce='prod' has no gradient where a factor is 0: it raises",
    ),
    Op(
        "scatter_reduce: prod",
        lambda x, y: t.scatter_reduce(x, 0, GRID, y, "prod"),
        lambda x, y: _scattered(x, y, _times),
        (((3, 3), (2, 3)),),
        low=0.5,
        refuses=((lambda: t.ones(3, 3).scatter_reduce(0, GRID, t.ones(2, 3), "max"), RuntimeError, "amax"),),
    ),
    Op(
        "select_scatter", lambda x, y: t.select_scatter(x, y, 0, 1), lambda x, y: np.stack([x[0], y]), (((2, 3), (3,)),)
    ),
    Op(
        "slice_scatter",
        lambda x, y: t.slice_scatter(x, y, 1, 1),
        lambda x, y: np.concatenate([x[:, :1], y], 1),
        (((2, 3), (2, 2)),),
    ),
    Op(
        "nn.functional.one_hot",
        lambda x: F.one_hot((x * 0).long() + 1, 3),
        lambda x: np.array([0, 1, 0]) + (x[..., None] * 0).astype(int),
        (((2,),), ((2, 2),)),
        gradient=False,
        refuses=((lambda: F.one_hot(t.tensor([3]), 3), RuntimeError, "below num_classes"),),
    ),
)
