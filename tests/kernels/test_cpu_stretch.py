"""Sums and products with an operand that is stretched: one value for each channel, column or plane."""

import numpy as np
import pytest

from tinycnn.kernels.cpu import elementwise, reduce, threads

CASES = [
    ((300, 129), (129,), (300, 129, 1)),
    ((300, 129), (300, 1), (1, 300, 129)),
    ((8, 16, 30, 33), (16, 1, 1), (8, 16, 990)),
    ((8, 16, 30, 33), (1, 16, 1, 1), (8, 16, 990)),
    ((8, 16, 30, 33), (8, 16, 1, 1), (1, 128, 990)),
    ((8, 16, 30, 33), (30, 33), (128, 990, 1)),
    ((8, 16, 30, 33), (16, 30, 1), (8, 480, 33)),
    ((8, 16, 30, 33), (8, 1, 30, 1), None),
    ((8, 16, 30, 33), (1, 1, 1, 1), None),
    ((8, 1, 30, 330), (16, 1, 1), None),
    ((3, 4), (4,), None),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "other", "form"), CASES)
def test_stretched_operands(shape, other, form, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(shape).astype(dtype), rng.standard_normal(other).astype(dtype)
    a.flat[-1], b.flat[0] = np.nan, np.inf
    assert elementwise.along(a, b) == form
    for name, plain in (("add", np.add), ("mul", np.multiply)):
        for pair in ((a, b), (b, a)):
            assert np.array_equal(getattr(elementwise, name)(*pair), plain(*pair), equal_nan=True)
        if form is not None:
            out = np.full_like(a, 7)
            kernel = getattr(elementwise, name + "_along")
            threads.launch(kernel, a.reshape(form), b.reshape(-1), out.reshape(form))
            assert np.array_equal(out, plain(a, b), equal_nan=True)


def test_other_layouts_and_dtypes_are_left_to_numpy():
    a = np.ones((300, 130), np.float32)
    for b in (np.ones(130), np.ones(130, np.int64), np.ones(260, np.float32)[::2]):
        assert elementwise.along(a, b) is None
        assert np.array_equal(elementwise.add(a, b), a + b)
    assert elementwise.along(a[:, ::2], np.ones(65, np.float32)) is None
    assert elementwise.along(np.ones(130, np.float32), a) is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [1, 17, reduce.BAND - 1, reduce.BAND, reduce.BAND + 1, 3 * reduce.BAND])
@pytest.mark.parametrize("rows", [1, 15, 16, 17, 100])
def test_sums_of_columns(rows, columns, dtype):
    x = np.random.default_rng(rows).standard_normal((rows, columns)).astype(dtype)
    results = []
    before = threads.get_num_threads()
    try:
        for n in range(1, before + 1):
            threads.set_num_threads(n)
            out = np.empty(columns, dtype)
            threads.launch(reduce.sum_rows, x[None], out[None])
            results.append(out)
    finally:
        threads.set_num_threads(before)
    assert all(np.array_equal(results[0], other) for other in results)
    np.testing.assert_allclose(results[0], x.sum(0, dtype=np.float64), rtol=1e-6, atol=1e-5)
