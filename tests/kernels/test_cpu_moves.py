"""Copies of any strides, picking and adding back by index, extremes and softmax over a middle axis."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinycnn import kernels
from tinycnn.kernels.cpu import index, memory, reduce, softmax, strided, threads

plain = kernels.Column("reference")
DTYPES = [np.uint8, np.bool_, np.int16, np.float16, np.int32, np.float32, np.int64, np.float64]


def on_every_thread_count(function):
    """The result of `function`, after checking that its bits are the same for every number of threads."""
    before, results = threads.get_num_threads(), []
    try:
        for n in range(1, before + 1):
            threads.set_num_threads(n)
            results.append(function())
    finally:
        threads.set_num_threads(before)
    assert all(r.tobytes() == results[0].tobytes() for r in results)
    return results[0]


def numbers(shape, dtype=np.float64, seed=0):
    return (np.random.default_rng(seed).standard_normal(shape) * 100).astype(dtype)


# -- copies -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch):
    """Small arrays go to the kernels too, in short pieces."""
    monkeypatch.setattr(strided, "FEW", 1)
    monkeypatch.setattr(strided, "RUN", 1)


@st.composite
def moves(draw):
    """(result, source): arrays of one shape with steps of all kinds, cut from larger ones."""
    shape = draw(hnp.array_shapes(max_dims=4, max_side=20))
    dtype = draw(st.sampled_from(DTYPES))

    def cut():
        order = draw(st.permutations(range(len(shape))))
        steps = [draw(st.sampled_from([1, 1, 1, -1, 2, -3])) for _ in shape]
        sides = [abs(s) * n + draw(st.sampled_from([0, 0, 1])) for n, s in zip(shape, steps, strict=True)]
        whole = numbers([sides[d] for d in order], dtype, draw(st.integers(0, 9)))
        view = whole.transpose(np.argsort(order))
        return view[tuple(slice(None, None, s) for s in steps)][tuple(slice(n) for n in shape)]

    source = cut()
    if draw(st.booleans()):
        source = np.broadcast_to(source[tuple(slice(1) for _ in shape)], shape)
    return cut(), source


@given(moves())
def test_copies_of_all_strides(case):
    to, of = case
    borders = strided.FEW, strided.RUN
    strided.FEW = strided.RUN = 1
    try:
        whole = to.base if to.base is not None else to
        wanted = to.copy()
        np.copyto(wanted, of)
        elsewhere = whole.copy()
        strided.assign(to, of)
    finally:
        strided.FEW, strided.RUN = borders
    assert to.tobytes() == wanted.tobytes()
    to[...] = 0  # nothing else was written
    there = np.ndarray(to.shape, to.dtype, elsewhere, memoryoffset(to, whole), to.strides)
    there[...] = 0
    assert elsewhere.tobytes() == whole.tobytes()


def memoryoffset(view, whole):
    return view.__array_interface__["data"][0] - whole.__array_interface__["data"][0]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("length", [1, strided.SPAN - 1, strided.SPAN, strided.SPAN + 1, 2 * strided.SPAN + 3])
@pytest.mark.parametrize("rows", [1, 3])
def test_long_rows_are_copied_in_pieces(dtype, length, rows, at_once):
    x = numbers((rows, length + 2), dtype)[:, 1:-1]
    for source in (x, x[:, ::-1]):
        out = np.empty_like(source, order="C")
        strided.assign(out, source)
        assert np.array_equal(out, source)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 15, 16, 17, 33])
@pytest.mark.parametrize("columns", [1, 3, 8, 15, 16, 17, 40])
def test_transpositions_by_squares(dtype, rows, columns, at_once):
    x = numbers((3, columns, rows), dtype).transpose(0, 2, 1)
    out = np.full((3, rows, columns + 1), 7, dtype)
    target = out[:, :, :columns]
    axes = strided.axes_of(target, x)
    assert strided.turns(axes, x.itemsize) == (rows > 1 and columns > 1)
    strided.assign(target, x)
    assert np.array_equal(target, x) and (out[:, :, columns] == 7).all()


def test_bits_of_any_number_arrive():
    bits = np.arange(0x7F800000, 0x7F800000 + 256 * 256, dtype=np.uint32)  # signalling NaN among them
    x = bits.view(np.float32).reshape(256, 256)
    for view in (x, x.T, x[::-1], x[:, ::2]):
        assert memory.copy(view).view(np.uint32).tobytes() == np.ascontiguousarray(view).tobytes()


def test_copies_that_overlap_or_convert_are_numpys():
    x = numbers((3, strided.FEW), np.float32)
    wanted = x[:-1].copy()
    strided.assign(x[1:], x[:-1])
    assert np.array_equal(x[1:], wanted)
    out = np.empty(x.shape, np.int32)
    strided.assign(out, x)
    assert np.array_equal(out, x.astype(np.int32))
    strided.assign(out, np.int32(3))
    assert (out == 3).all()
    odd = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32)
    assert np.array_equal(memory.copy(odd), x.reshape(-1))


# -- by index ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("count", [5, 40])
def test_gather(dtype, axis, count):
    x = numbers((20, 30, 40), dtype)
    rng = np.random.default_rng(axis)
    shape = [20, 30, 40]
    shape[axis] = count
    places = rng.integers(0, x.shape[axis], shape)
    found = on_every_thread_count(lambda: index.gather(x, axis, places))
    assert found.dtype == dtype and np.array_equal(found, plain.gather(x, axis, places))
    assert np.array_equal(index.gather(x[::-1], axis, places), plain.gather(x[::-1], axis, places))
    cut = tuple(slice(n - 1) for n in shape)
    assert np.array_equal(index.gather(x, axis, places[cut]), plain.gather(x, axis, places[cut]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_gather_took_is_added_back(dtype, axis):
    g = numbers((20, 30, 40), dtype)
    places = np.random.default_rng(axis).integers(0, 7, g.shape)
    shape = [20, 30, 40]
    shape[axis] = 7
    found = on_every_thread_count(lambda: index.gather_grad(g, axis, places, tuple(shape)))
    wanted = plain.gather_grad(g.astype(np.float64), axis, places, tuple(shape))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-3)


KEYS = [
    np.array([2, 0, 2, -1, 1]),
    np.array([[1, 0], [-2, 1]]),
    (slice(None), np.array([0, 0, -30, 29])),
    (slice(None), slice(None), np.arange(39, -1, -1)),
    (slice(None), slice(3), np.array([1])),
    (Ellipsis, np.array([3, 3])),
    (np.array([1, 2]), slice(None), np.array([0, 5])),
    np.array([True] * 5 + [False] * 15),
    np.array([1, 2], np.int32),
]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_taking_by_one_index_and_adding_back(key, dtype):
    x = numbers((20, 30, 40), dtype)
    found = on_every_thread_count(lambda: index.take(x, key))
    wanted = plain.take(x, key)
    assert found.flags.c_contiguous and found.dtype == dtype and np.array_equal(found, wanted)
    assert np.array_equal(index.take(x.T, key) if key is KEYS[0] else wanted, x.T[key] if key is KEYS[0] else wanted)
    if np.dtype(dtype).kind == "f":
        back = on_every_thread_count(lambda: index.index_add(wanted, key, x.shape, True))
        exact = plain.index_add(wanted.astype(np.float64), key, x.shape, True)
        np.testing.assert_allclose(back, exact, rtol=1e-5, atol=1e-3)


def test_an_index_outside_is_numpys_error():
    x = numbers((20, 30, 40))
    for wrong in (20, -21):
        with pytest.raises(IndexError, match="out of bounds"):
            index.take(x, np.array([0, wrong]))


# -- extremes ---------------------------------------------------------------------------------------------------------

SHAPES = [(3, 2000), (2000, 3), (5, 33, 40), (4, 16, 2, 65), (70, 1, 60), (4, reduce.RUN), (2, 2049)]
SHAPES += [(reduce.WHOLE,), (reduce.WHOLE + 3,)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", SHAPES)
def test_extremes(shape, dtype):
    x = np.round(numbers(shape, np.float64)).astype(dtype)  # ties
    if dtype != np.int64:
        x.flat[[5, 17, -1]] = np.nan, -np.inf, np.inf
        x.reshape(-1, shape[-1])[1:2] = -np.inf
    for name in ("amax", "amin"):
        for axes in [tuple(range(x.ndim)), (0,), (x.ndim - 1,), *([(0, 2), (1,), (1, 2)] if x.ndim > 2 else [])]:
            for keepdims in (False, True):
                found = on_every_thread_count(lambda: getattr(reduce, name)(x, axes, keepdims))  # noqa: B023
                wanted = getattr(plain, name)(x, axes, keepdims)
                assert found.dtype == dtype and found.shape == wanted.shape
                np.testing.assert_array_equal(found, wanted)
    for name in ("argmax", "argmin"):
        for axis in (None, *range(-1, x.ndim)):
            found = on_every_thread_count(lambda: getattr(reduce, name)(x, axis, axis == 0))  # noqa: B023
            wanted = getattr(plain, name)(x, axis, axis == 0)
            assert found.dtype == np.int64 and np.array_equal(found, wanted) and found.shape == wanted.shape


@pytest.mark.parametrize("columns", [1, reduce.LANES - 1, reduce.LANES, reduce.LANES + 1, 40])
def test_every_place_of_a_row(columns):
    x = np.zeros((columns, columns), np.float32)
    for special in (1, -1, np.nan):
        np.fill_diagonal(x, special)
        for sign, name in ((1, "argmax"), (-1, "argmin")):
            out, places = np.empty(columns, np.float32), np.empty(columns, np.int64)
            threads.launch(reduce.extremes_of_rows, x, np.float32(sign), out, places)
            assert np.array_equal(places, getattr(np, name)(x, 1))
            at, best = np.empty((1, columns), np.int64), np.empty((1, columns), np.float32)
            threads.launch(reduce.extremes_of_columns, x.T[None].copy(), np.float32(sign), best, at)
            assert np.array_equal(at[0], places) and np.array_equal(best[0], out, equal_nan=True)


@pytest.mark.parametrize("inner", [2, reduce.BAND - 1, reduce.BAND, reduce.BAND + 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_over_a_middle_axis(inner, dtype):
    x = numbers((5, 37, inner), dtype) * 1000
    found = on_every_thread_count(lambda: reduce.sum(np.tile(x, (4, 1, 1)), (1,), False))
    np.testing.assert_allclose(found[:5], x.sum(1, dtype=np.float64), rtol=1e-6, atol=np.abs(x).max() * 1e-5)


# -- softmax ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 9, softmax.BAND - 1, softmax.BAND, softmax.BAND + 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_over_channels(length, dtype):
    x, gy = numbers((3, 7, length), dtype) / 10, numbers((3, 7, length), dtype, 1)
    x[0, :, 0], x[1, 2, 0], x[2, :, -1] = -np.inf, np.inf, 80
    rows = lambda a: np.moveaxis(a, 1, 2).reshape(-1, 7)  # noqa: E731
    rule = dict(rtol=1e-5, atol=2e-6 * np.abs(gy).max()) if dtype == np.float32 else dict(rtol=1e-12, atol=1e-12)
    for name in ("softmax", "log_softmax"):
        with np.errstate(all="ignore"):
            y = getattr(plain, name)(x)
            np.testing.assert_array_equal(rows(y), getattr(plain, name)(rows(x)))
        found = on_every_thread_count(lambda: getattr(softmax, name)(x))  # noqa: B023
        assert found.dtype == dtype
        np.testing.assert_allclose(found, y, **rule)
        y = np.where(np.isfinite(y), y, 0).astype(dtype)
        grad = on_every_thread_count(lambda: getattr(softmax, name + "_grad")(gy, y))  # noqa: B023
        np.testing.assert_allclose(grad, getattr(plain, name + "_grad")(gy, y), **rule)
    assert softmax.softmax(x[:0]).shape == (0, 7, length) and softmax.log_softmax(x[:, :0]).shape == (3, 0, length)
