"""Products of matrices."""

from __future__ import annotations

import numpy as np

import tinycnn as t

from ...nn import functional as F
from ._op import Op


def _einsum(equation: str, *shapes: tuple[int, ...]) -> Op:
    def formula(*arrays: np.ndarray) -> np.ndarray:
        return np.einsum(equation, *arrays)

    refuses = (
        (lambda: t.einsum("ij->k", t.ones(2, 2)), RuntimeError, "letter"),
        (lambda: t.einsum("ij,jk->ik", t.ones(2, 2), t.ones(3, 2)), RuntimeError, "j has size 3"),
    )
    return Op(f"einsum: {equation}", lambda *x: t.einsum(equation, *x), formula, (shapes,), refuses=refuses)


PRODUCTS = (
    Op(
        "matmul",
        t.matmul,
        np.matmul,
        (((2, 3), (3, 4)), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 1, 2, 3), (4, 3, 2)), ((0, 3), (3, 2))),
        refuses=(
            (lambda: t.ones(2, 3) @ t.ones(2, 3), RuntimeError, "inner sizes"),
            (lambda: t.ones(2, 3) @ t.ones(3, dtype=t.float64), RuntimeError, "convert"),
        ),
    ),
    Op(
        "nn.functional.linear",
        F.linear,
        lambda x, w, b: x @ w.T + b,
        (((4, 3), (2, 3), (2,)), ((3,), (2, 3), (2,)), ((2, 2, 3), (5, 3), (5,)), ((0, 3), (2, 3), (2,))),
        refuses=((lambda: F.linear(t.ones(2, 4), t.ones(3, 5)), RuntimeError, "in_features = 5"),),
    ),
    Op(
        "mm",
        t.mm,
        np.matmul,
        (((2, 3), (3, 4)),),
        refuses=((lambda: t.ones(2).mm(t.ones(2)), RuntimeError, "matrices"),),
    ),
    Op("bmm", t.bmm, np.matmul, (((2, 2, 3), (2, 3, 1)),)),
    Op("mv", t.mv, np.matmul, (((2, 3), (3,)),), refuses=((lambda: t.ones(2).mv(t.ones(2)), RuntimeError, "vector"),)),
    Op("dot", t.dot, np.dot, (((3,), (3,)),), refuses=((lambda: t.ones(2).dot(t.ones(3)), RuntimeError, "length"),)),
    Op("inner", t.inner, np.inner, (((2, 3), (4, 3)), ((), (2,)))),
    Op("outer", t.outer, np.outer, (((2,), (3,)),)),
    Op("addmm", lambda m, a, b: t.addmm(m, a, b, beta=0.5), lambda m, a, b: 0.5 * m + a @ b, (((4,), (2, 3), (3, 4)),)),
    Op("addmv", lambda m, a, b: t.addmv(m, a, b, alpha=2), lambda m, a, b: m + 2 * a @ b, (((2,), (2, 3), (3,)),)),
    Op("addr", t.addr, lambda m, a, b: m + np.outer(a, b), (((2, 3), (2,), (3,)),)),
    Op("addbmm", t.addbmm, lambda m, a, b: m + (a @ b).sum(0), (((2, 1), (3, 2, 3), (3, 3, 4)),)),
    Op("baddbmm", t.baddbmm, lambda m, a, b: m + a @ b, (((2, 4), (3, 2, 3), (3, 3, 4)),)),
    Op("linalg.vecdot", t.linalg.vecdot, lambda a, b: (a * b).sum(-1), (((2, 3), (3,)),)),
    Op(
        "linalg.multi_dot",
        lambda *m: t.linalg.multi_dot(m),
        lambda a, b, c: a @ b @ c,
        (((2, 3), (3, 1), (1, 2)), ((3,), (3, 2), (2,))),
    ),
    Op("tensordot", lambda a, b: t.tensordot(a, b, 2), np.tensordot, (((2, 3, 4), (3, 4, 2)),)),
    Op("kron", t.kron, np.kron, (((2, 3), (2, 2)), ((2,), (3, 1)))),
    Op("cross", t.cross, np.cross, (((2, 3), (2, 3)),)),
    Op("linalg.cross", t.linalg.cross, np.cross, (((2, 3), (1, 3)),)),
    Op("cdist", t.cdist, lambda a, b: np.sqrt(((a[:, None] - b) ** 2).sum(-1)), (((2, 3), (4, 3)),)),
    *(
        _einsum(equation, *shapes)
        for equation, *shapes in (
            ("ij,jk->ik", (2, 3), (3, 4)),
            ("bij,bjk,k->bi", (2, 2, 3), (2, 3, 2), (2,)),
            ("...i,...i->...", (2, 1, 3), (4, 3)),
            ("ii->i", (3, 3)),
            ("ij->ji", (2, 3)),
            ("i,j", (2,), (3,)),
            ("nchw,oc->nohw", (1, 2, 2, 2), (3, 2)),
        )
    ),
)
