"""The register tiles, matrix products and convolutions of the CPU column, against float64 arithmetic."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycnn.kernels import column
from tinycnn.kernels.cpu import blas, conv, gemm, matmul, simd, threads
from tinycnn.kernels.geometry import GeometryError, conv_spec
from tinycnn.kernels.reference import conv as reference

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
DTYPES = [np.float32, np.float64]
THREADS = [n for n in (1, 2, 3, 4) if n <= numba.config.NUMBA_NUM_THREADS]


@numba.njit
def one_tile(a, a_row, a_col, b, b_row, c, c_row, rows, cols, depth, add):
    simd.tile(a, 1, a_row, a_col, b, 2, b_row, c, 3, c_row, rows, cols, depth, add)


@numba.njit
def one_dot_tile(a, a_row, b, b_row, c, c_row, rows, cols, depth, add):
    simd.dot_tile(a, 1, a_row, b, 2, b_row, c, 3, c_row, rows, cols, depth, add)


@numba.njit
def one_copy(x, x_step, first, last, out, o_step, n, rows):
    simd.copy_plane(x, 5, x_step, first, last, out, 2, o_step, n, rows)


@numba.njit
def one_add(x, x_step, out, o_step, n, rows):
    simd.add_plane(x, 5, x_step, out, 2, o_step, n, rows)


def near(actual, expected, dtype):
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    assert actual.dtype == dtype and actual.shape == expected.shape
    assert np.abs(actual - expected).max(initial=0) <= TOLERANCE[dtype] * scale


def strided(buffer, start, shape, steps):
    return np.lib.stride_tricks.as_strided(buffer[start:], shape, [s * buffer.itemsize for s in steps])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("depth", [0, 1, 2, 17])
@pytest.mark.parametrize("transposed", [False, True])
def test_tile_writes_its_rows_and_columns_and_nothing_else(dtype, add, depth, transposed):
    rng = np.random.default_rng(depth)
    width = gemm.tile_columns(np.dtype(dtype))
    for rows in range(1, simd.ROWS + 1):
        for cols in (1, width // 2 - 1, width // 2, width // 2 + 1, width - 1, width):
            a = rng.standard_normal(1 + simd.ROWS * 20).astype(dtype)
            b = rng.standard_normal(2 + 20 * (width + 3)).astype(dtype)
            c = rng.standard_normal(3 + simd.ROWS * (width + 1)).astype(dtype)
            a_row, a_col = (1, simd.ROWS) if transposed else (20, 1)
            expected = c.astype(np.float64)
            block = strided(expected, 3, (rows, cols), (width + 1, 1))
            left = strided(a, 1, (rows, depth), (a_row, a_col)).astype(np.float64)
            right = strided(b, 2, (depth, cols), (width + 3, 1)).astype(np.float64)
            block[...] = (block if add else 0) + left @ right
            one_tile(a, a_row, a_col, b, width + 3, c, width + 1, rows, cols, depth, add)
            near(c, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("add", [False, True])
def test_dot_tile_writes_its_rows_and_columns_and_nothing_else(dtype, add):
    rng = np.random.default_rng(1)
    lanes = gemm.tile_columns(np.dtype(dtype)) // simd.VECTORS
    for depth in (0, 1, lanes - 1, lanes, lanes + 1, 3 * lanes + 2):
        for rows in range(1, simd.DOTS + 1):
            for cols in range(1, simd.DOTS + 1):
                a = rng.standard_normal(1 + simd.DOTS * 60).astype(dtype)
                b = rng.standard_normal(2 + simd.DOTS * 61).astype(dtype)
                c = rng.standard_normal(3 + simd.DOTS * 7).astype(dtype)
                expected = c.astype(np.float64)
                block = strided(expected, 3, (rows, cols), (7, 1))
                left = strided(a, 1, (rows, depth), (60, 1)).astype(np.float64)
                right = strided(b, 2, (cols, depth), (61, 1)).astype(np.float64)
                block[...] = (block if add else 0) + left @ right.T
                one_dot_tile(a, 60, b, 61, c, 7, rows, cols, depth, add)
                near(c, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_planes_are_copied_and_added_between_their_bounds(dtype):
    rng = np.random.default_rng(2)
    for n in (1, 7, 8, 9, 15, 16, 17, 33):
        for first, last in ((0, n), (1, n), (0, n - 1), (2, max(2, n - 3)), (n, n)):
            for rows in (0, 1, 3):
                x = rng.standard_normal(5 + 3 * 40).astype(dtype)
                out = rng.standard_normal(2 + 3 * 41).astype(dtype)
                expected, summed = out.copy(), out.copy()
                for r in range(rows):
                    row = np.where((np.arange(n) >= first) & (np.arange(n) < last), x[5 + r * 40 :][:n], 0)
                    expected[2 + r * 41 :][:n] = row
                    summed[2 + r * 41 :][:n] += x[5 + r * 40 :][:n]
                total = out.copy()
                one_copy(x, 40, first, last, out, 41, n, rows)
                one_add(x, 40, total, 41, n, rows)
                assert np.array_equal(out, expected) and np.array_equal(total, summed)


def operands(rng, batches, m, k, n, transpose_a, transpose_b, dtype):
    a = rng.standard_normal((batches, k, m) if transpose_a else (batches, m, k)).astype(dtype)
    b = rng.standard_normal((batches, n, k) if transpose_b else (batches, k, n)).astype(dtype)
    wide = a.astype(np.float64), b.astype(np.float64)
    expected = np.matmul(
        wide[0].swapaxes(1, 2) if transpose_a else wide[0], wide[1].swapaxes(1, 2) if transpose_b else wide[1]
    )
    return a, b, expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_matrix_products_at_every_block_boundary(dtype, transpose_a, transpose_b):
    rng = np.random.default_rng(3)
    width = gemm.tile_columns(np.dtype(dtype))
    for m in (1, gemm.BAND - 1, gemm.BAND, gemm.BAND + 1):
        for k in (0, 1, gemm.DEPTH - 1, gemm.DEPTH, gemm.DEPTH + 1):
            for n in (1, width - 1, width, width + 1):
                a, b, expected = operands(rng, 2, m, k, n, transpose_a, transpose_b, dtype)
                near(gemm.matmul_tile(a, b, transpose_a, transpose_b), expected, dtype)
                near(matmul.matmul(a[0], b[0], transpose_a, transpose_b), expected[0], dtype)


def test_the_way_of_a_matrix_product_depends_on_its_shape():
    kind = np.dtype(np.float32)
    assert matmul.choose(1, 1, 400, 120, kind) == matmul.choose(1, 64, 400, 1, kind) == "tile"
    assert matmul.choose(1, 1024, 1024, 1024, kind) == "tile"
    assert matmul.choose(1, 8, 8, 8, kind) == ("blas" if blas.available() else "tile")
    assert matmul.choose(1, 8, 8, 8, np.dtype(np.int64)) == "reference"
    whole = np.arange(12).reshape(3, 4)
    assert np.array_equal(matmul.matmul(whole, whole, False, True), whole @ whole.T)


def test_blas_threads_are_restored():
    functions = blas._functions()
    if functions is None:
        pytest.skip("this NumPy carries no OpenBLAS whose threads can be set")
    before = functions[0]()
    with blas.one_thread:
        assert functions[0]() == 1
        with blas.one_thread:
            assert functions[0]() == 1
        assert functions[0]() == 1
    assert functions[0]() == before


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    small = st.integers(1, 3)
    shape = (
        draw(st.integers(0, 5)),
        groups * draw(st.integers(1, 5)),
        draw(st.integers(1, 12)),
        draw(st.integers(1, 40)),
    )
    kernel = (groups * draw(st.integers(1, 8)), shape[1] // groups, draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride, dilation = (draw(small), draw(small)), (draw(small), draw(small))
    padding = (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    try:
        return conv_spec(shape, kernel, stride, padding, dilation, groups)
    except GeometryError:
        return conv_spec(shape, (*kernel[:2], 1, 1), stride, padding, dilation, groups)


def check_convolution(spec, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x, w, gy = (rng.standard_normal(s).astype(dtype) for s in (spec.input_shape, spec.weight_shape, spec.output_shape))
    b = rng.standard_normal(spec.out_channels).astype(dtype)
    x64, w64, gy64, b64 = (a.astype(np.float64) for a in (x, w, gy, b))
    near(conv.conv2d(x, w, b, spec), reference.conv2d(x64, w64, b64, spec), dtype)
    near(conv.conv2d(x, w, None, spec), reference.conv2d(x64, w64, None, spec), dtype)
    near(conv.conv2d_input_grad(gy, w, spec), reference.conv2d_input_grad(gy64, w64, spec), dtype)
    near(conv.conv2d_weight_grad(gy, x, spec), reference.conv2d_weight_grad(gy64, x64, spec), dtype)


@given(convolutions(), st.sampled_from(DTYPES), st.integers(0, 2**31))
def test_convolution_equals_the_reference(spec, dtype, seed):
    check_convolution(spec, dtype, seed)


@pytest.mark.parametrize(
    "case",
    [
        dict(input_shape=(2, 3, 9, 8), weight_shape=(4, 3, 4, 3), padding="same"),  # more padding behind than in front
        dict(input_shape=(1, 70, 33, 31), weight_shape=(9, 70, 5, 5), padding=2),  # several bands and channel blocks
        dict(input_shape=(33, 1, 6, 6), weight_shape=(2, 1, 3, 3)),  # more images than partial sums
        dict(input_shape=(1, 200, 4, 4), weight_shape=(150, 200, 3, 3), padding=1),  # filters split among units
        dict(input_shape=(2, 6, 5, 5), weight_shape=(12, 1, 3, 3), groups=6),  # depthwise
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_convolutions_that_meet_every_block(case, dtype):
    check_convolution(conv_spec(**case), dtype)


def test_blocks_of_columns_fit_their_memory():
    for shape, kernel in [
        ((1, 3, 224, 224), (64, 3, 7, 7)),
        ((128, 512, 7, 7), (512, 512, 3, 3)),
        ((64, 1, 32, 32), (6, 1, 5, 5)),
    ]:
        spec = conv_spec(shape, kernel)
        band, block = conv.blocks(spec)
        assert 1 <= band <= spec.output_size[0] and 1 <= block <= spec.in_channels
        assert block == 1 or block * kernel[2] * kernel[3] * band * spec.output_size[1] <= conv.BLOCK


def test_bits_do_not_depend_on_the_number_of_threads():
    spec = conv_spec((5, 6, 14, 14), (16, 6, 5, 5), padding=1)
    rng = np.random.default_rng(4)
    x, w, gy = (
        rng.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape, spec.output_shape)
    )
    cpu = column("cpu") if column("cpu").name == "cpu" else pytest.skip("TINYCNN_BACKEND=reference")
    before, results = threads.get_num_threads(), []
    try:
        for n in THREADS:
            threads.set_num_threads(n)
            results.append(
                [
                    cpu.conv2d(x, w, None, spec),
                    cpu.conv2d_input_grad(gy, w, spec),
                    cpu.conv2d_weight_grad(gy, x, spec),
                    cpu.matmul(x.reshape(30, -1), x.reshape(30, -1), False, True),
                    gemm.matmul_tile(x.reshape(1, 30, -1), x.reshape(1, 30, -1), True, False),
                    cpu.sum(x, (0, 2, 3), False),
                    cpu.sum(np.tile(x.reshape(-1), 20), (0,), False),
                    cpu.dropout(x, 0.4, 99),
                    *cpu.batch_norm_train(x.reshape(5, 6, -1), w[:6, 0, 0, 0].copy(), w[:6, 0, 0, 1].copy(), 1e-5),
                    cpu.softmax(x.reshape(-1, 14)),
                ]
            )
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_window_takes_nan_and_infinity_along():
    spec = conv_spec((1, 1, 4, 4), (1, 1, 2, 2))
    x = np.ones((1, 1, 4, 4), np.float32)
    x[0, 0, 0, 0], x[0, 0, 3, 3] = np.nan, np.inf
    y = conv.conv2d(x, np.ones((1, 1, 2, 2), np.float32), None, spec)
    assert np.isnan(y[0, 0, 0, 0]) and np.isinf(y[0, 0, 2, 2]) and np.isfinite(y[0, 0, 1, 1])
