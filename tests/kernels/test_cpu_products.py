"""Matrix products of the CPU column against float64 arithmetic, and that no bits depend on the threads."""

import numba
import numpy as np
import pytest

from tinycnn.kernels import column
from tinycnn.kernels.cpu import blas, gemm, matmul, simd, threads
from tinycnn.kernels.geometry import conv_spec

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
DTYPES = [np.float32, np.float64]
THREADS = [n for n in (1, 2, 3, 4) if n <= numba.config.NUMBA_NUM_THREADS]


def near(actual, expected, dtype):
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    assert actual.dtype == dtype and actual.shape == expected.shape
    assert np.abs(actual - expected).max(initial=0) <= TOLERANCE[dtype] * scale


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
    for m in (1, 2 * simd.ROWS, 2 * simd.ROWS + 1, gemm.BAND + 1):
        for k in (0, 1, gemm.DEPTH, gemm.DEPTH + 1):
            for n in (1, width - 1, width, width + 1, 3 * width + 1):
                a, b, expected = operands(rng, 2, m, k, n, transpose_a, transpose_b, dtype)
                near(gemm.matmul_tile(a, b, transpose_a, transpose_b), expected, dtype)
                near(matmul.matmul(a[0], b[0], transpose_a, transpose_b), expected[0], dtype)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_long_sums_are_computed_in_parts(transpose_a, transpose_b):
    rng = np.random.default_rng(4)
    for m, k, n in ((16, 4 * gemm.DEPTH, 40), (65, 9 * gemm.DEPTH + 5, 100), (1, 4000, 200)):
        assert gemm.parts_of(1, m, n, k, gemm.tile_columns(np.dtype(np.float32))) > 1
        a, b, expected = operands(rng, 1, m, k, n, transpose_a, transpose_b, np.float32)
        near(gemm.matmul_tile(a, b, transpose_a, transpose_b), expected, np.float32)


def test_only_long_sums_of_few_units_are_cut_up():
    assert gemm.parts_of(1, 64, 128, 3136, 48) == 4 and gemm.parts_of(9, 64, 128, 3136, 48) == 1
    assert gemm.parts_of(1, 1024, 1024, 10**6, 48) == gemm.parts_of(1, 64, 64, 64, 48) == 1
    assert gemm.parts_of(1, 1, 1, 10**9, 48) == gemm.PARTS


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


def test_bits_do_not_depend_on_the_number_of_threads():
    spec = conv_spec((5, 6, 14, 14), (16, 6, 5, 5), padding=1)
    rng = np.random.default_rng(4)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape))
    cpu = column("cpu") if column("cpu").name == "cpu" else pytest.skip("TINYCNN_BACKEND=reference")
    before, results = threads.get_num_threads(), []
    try:
        for n in THREADS:
            threads.set_num_threads(n)
            results.append(
                [
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
