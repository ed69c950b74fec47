"""Matrix products of the CPU column against float64 arithmetic, and that no bits depend on the threads."""

import numba
import numpy as np
import pytest

from tinycnn.kernels import column
from tinycnn.kernels.cpu import dots, gemm, gemv, matmul, simd, simd_gemv, threads
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
    for m in (1, gemm.STRIP - 1, gemm.STRIP, 4 * gemm.STRIP + 1):
        for k in (0, 1, gemm.PACKED, gemm.PACKED + 1, gemm.DEPTH + 1):
            for n in (1, width - 1, width, width + 1, 3 * width + 1):
                a, b, expected = operands(rng, 2, m, k, n, transpose_a, transpose_b, dtype)
                near(gemm.matmul_tile(a, b, transpose_a, transpose_b), expected, dtype)
                near(matmul.matmul(a[0], b[0], transpose_a, transpose_b), expected[0], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("here", [0, 1 << 60])
@pytest.mark.parametrize("pack", [False, True])
def test_in_this_thread_and_in_all_packed_and_in_place(monkeypatch, dtype, transpose_a, here, pack):
    monkeypatch.setattr(gemm, "HERE", here)
    monkeypatch.setattr(gemm, "packs", lambda *args: pack)
    monkeypatch.setattr(gemm, "_plan", gemm._plan.__wrapped__)  # nothing that is kept
    rng = np.random.default_rng(5)
    span = gemm.SPAN * (simd.LANES32 if dtype == np.float32 else simd.LANES64)
    for m, n in ((2 * gemm.STRIP - 1, span - 1), (gemm.STRIP + 1, span), (gemm.STRIP, span + 1)):
        a, b, expected = operands(rng, 1, m, gemm.DEPTH + 1, n, transpose_a, False, dtype)
        near(gemm.matmul_tile(a, b, transpose_a, False), expected, dtype)


def test_what_is_packed_depends_on_the_shape():
    assert gemm.packs(2, 2, 2, True, 4) and not gemm.packs(2, 2, 2, False, 4)
    wide = gemm.CACHE // gemm.DEPTH // 4 + 1
    assert gemm.packs(gemm.REUSED + 1, wide // 4 + 1, 4096, False, 4)
    assert not gemm.packs(gemm.REUSED, wide // 4 + 1, 4096, False, 4)
    assert not gemm.packs(gemm.REUSED + 1, wide // 4 - 1, 4096, False, 4)
    assert gemm.packs(128, wide, 4096, False, 4) and not gemm.packs(128, wide - 1, 4096, False, 4)
    assert not gemm.packs(4 * gemm.STRIP, wide, 4096, False, 4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("read", [0, 1 << 60])
def test_products_with_a_vector(monkeypatch, dtype, read):
    monkeypatch.setattr(gemm, "READ", read)
    rng = np.random.default_rng(6)
    rows = simd_gemv.TOGETHER
    for k in (1, rows - 1, rows, rows + 1, 3 * simd.LANES32 + 1, gemv.DEPTH + 1):
        for size in (2, rows, rows + 1, gemv.BLOCK - 1, gemv.BLOCK, 2 * gemv.BLOCK, 3 * gemv.BLOCK + 1):
            for m, n in ((1, size), (size, 1)):
                for flips in ((False, False), (False, True), (True, False), (True, True)):
                    a, b, expected = operands(rng, 3, m, k, n, *flips, dtype)
                    near(gemm.matmul_tile(a, b, *flips), expected, dtype)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 9, 40), (40, 9, 1), (20, 400, 50)])
def test_nan_and_infinity_stay_in_their_rows_and_columns(shape):
    m, k, n = shape
    a, b = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
    a[-1, -1], b[0, -1] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        for flip_b in (False, True):
            right = np.ascontiguousarray(b.T) if flip_b else b
            assert np.array_equal(gemm.matmul_tile(a, right, False, flip_b), a @ b, equal_nan=True)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_long_sums_are_computed_in_parts(transpose_a, transpose_b):
    rng = np.random.default_rng(4)
    for m, k, n in ((16, 4 * gemm.DEPTH, 40), (9, 9 * gemm.DEPTH + 5, 100)):
        assert gemm.parts_of(1, m, n, k) > 1
        a, b, expected = operands(rng, 1, m, k, n, transpose_a, transpose_b, np.float32)
        near(gemm.matmul_tile(a, b, transpose_a, transpose_b), expected, np.float32)


def test_only_long_sums_of_few_tiles_are_cut_up():
    width, rows, most = simd.COLUMNS32, simd.ROWS, gemm.TILES
    assert gemm.parts_of(1, rows, width, 10**6) == gemm.PARTS
    assert gemm.parts_of(most // 4, rows, width, 10**6) == 4
    assert gemm.parts_of(1, most // 4 * rows, 2 * width, 10**6) == 2
    assert gemm.parts_of(1, rows, width, 2 * gemm.DEPTH) == 2 and gemm.parts_of(1, rows, width, 2 * gemm.DEPTH - 1) == 1
    assert gemm.parts_of(1, most * rows, width, 10**6) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("here", [0, 1 << 60])
def test_few_rows_are_multiplied_by_dot_products(monkeypatch, dtype, here):
    monkeypatch.setattr(gemm, "HERE", here)
    rng = np.random.default_rng(8)
    rows, cols = simd_gemv.DOT_ROWS, simd_gemv.DOT_COLS
    for few, many in ((2, 3), (rows - 1, 3 * cols + 1), (rows, 2 * cols), (4 * rows + 3, 5 * cols - 1)):
        for k in (dots.TERMS * few, 64, 65, dots.DEPTH - 1, dots.DEPTH, dots.DEPTH + 1):
            for m, n in ((few, many), (many, few)):
                if dots.dotted(m, n, k):
                    a, b, expected = operands(rng, 3, m, k, n, False, True, dtype)
                    near(gemm.matmul_tile(a, b, False, True), expected, dtype)


def test_where_dot_products_are_used():
    assert dots.dotted(dots.FEW_ROWS, 1000, 1000) and not dots.dotted(dots.FEW_ROWS + 1, 1000, 1000)
    assert dots.dotted(1000, dots.FEW_COLS, 1000) and not dots.dotted(1000, dots.FEW_COLS + 1, 1000)
    assert dots.dotted(4, 1000, 4 * dots.TERMS) and not dots.dotted(4, 1000, 4 * dots.TERMS - 1)
    assert dots.dotted(1000, 4, 4 * dots.TERMS) and not dots.dotted(1000, 4, 4 * dots.TERMS - 1)


def test_whole_numbers_are_multiplied_by_numpy():
    whole = np.arange(12).reshape(3, 4)
    assert np.array_equal(matmul.matmul(whole, whole, False, True), whole @ whole.T)


def test_float32_errs_no_more_than_numpy():
    rng = np.random.default_rng(7)
    for m, k, n in ((64, 3000, 64), (1, 3000, 300), (300, 3000, 1)):
        a, b, expected = operands(rng, 1, m, k, n, False, False, np.float32)
        ours, theirs = (np.sqrt(np.mean((y - expected) ** 2)) for y in (gemm.matmul_tile(a, b, False, False), a @ b))
        assert ours <= 4 * theirs


def test_bits_do_not_depend_on_the_number_of_threads():
    spec = conv_spec((5, 6, 14, 14), (16, 6, 5, 5), padding=1)
    rng = np.random.default_rng(4)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape))
    wide, long = (rng.standard_normal(s).astype(np.float32) for s in ((70, 1001), (1001, 70)))
    products = [(wide, long, False, False), (wide, wide, False, True), (long, long, True, False)]
    products += [(long[:1, :], wide, False, False), (wide[:1], wide, False, True), (wide, wide[:1], False, True)]
    products += [(long, long[:, :1].copy(), True, False), (wide[:8], wide[:8], False, True)]
    products += [(wide, wide[:8], False, True), (wide[:9], wide, False, True)]
    cpu = column("cpu") if column("cpu").name == "cpu" else pytest.skip("TINYCNN_BACKEND=reference")
    before, results = threads.get_num_threads(), []
    try:
        for n in THREADS:
            threads.set_num_threads(n)
            results.append(
                [
                    cpu.matmul(x.reshape(30, -1), x.reshape(30, -1), False, True),
                    gemm.matmul_tile(x.reshape(30, -1), x.reshape(30, -1), True, False),
                    *(gemm.matmul_tile(a, b, flip_a, flip_b) for a, b, flip_a, flip_b in products),
                    cpu.sum(x, (0, 2, 3), False),
                    cpu.sum(np.tile(x.reshape(-1), 20), (0,), False),
                    cpu.cumsum(x, 3, False),
                    cpu.cumsum(x, 0, True),
                    cpu.dropout(x, 0.4, 99),
                    *cpu.batch_norm_train(x.reshape(5, 6, -1), w[:6, 0, 0, 0].copy(), w[:6, 0, 0, 1].copy(), 1e-5),
                    cpu.softmax(x.reshape(-1, 14)),
                ]
            )
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))
