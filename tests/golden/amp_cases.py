"""The tensors of amp.txt, for PyTorch and for tinycnn, and the letters of their dtypes.

x, X (2, 3), y, Y (2, 4), a, A (3, 4), s, S (3, 3), v, V (3,), c, C (4,) and b, B (2, 3, 3); signals l, L (2, 4, 6) and
images m, M (2, 4, 6, 6) with filters K (4, 4, 3) and k (4, 4, 3, 3); class numbers t (2,) and i (2, 3). T is the
package and F its nn.functional.
"""

SHAPES = dict(x=(2, 3), y=(2, 4), a=(3, 4), s=(3, 3), v=(3,), c=(4,), b=(2, 3, 3), l=(2, 4, 6), m=(2, 4, 6, 6))
KINDS = (("float32", "float32"), ("float16", "float16"), ("float16", "float32"), ("float32", "float16"))


def names(T, small, large, place):
    """What an expression is evaluated with: small letters in one dtype, capitals in another."""
    given = {"T": T, "F": T.nn.functional}
    small, large = getattr(T, small), getattr(T, large)
    shapes = [(name, shape, small) for name, shape in SHAPES.items()]
    shapes += [(name.upper(), shape, large) for name, shape in SHAPES.items()]
    for name, shape, kind in [*shapes, ("k", (4, 4, 3, 3), small), ("K", (4, 4, 3), large)]:
        given[name] = T.full(shape, 0.5, dtype=kind, device=place)
    for name, shape in (("t", (2,)), ("i", (2, 3))):
        given[name] = T.ones(shape, dtype=T.int64, device=place)
    return given


def letter(result):
    """e, f or d for the dtype of a tensor, as NumPy has it; o for others."""
    kind = str(result.dtype).rpartition(".")[2]
    return {"float16": "e", "float32": "f", "float64": "d"}.get(kind, "o")
