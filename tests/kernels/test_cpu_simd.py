"""The vector code, call by call, at every number of rows, columns and lanes around its boundaries."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from tinycnn.kernels.cpu import gemm, simd, simd_gemv
from tinycnn.kernels.cpu.winograd_simd import HEIGHTS, lane_tile

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
DTYPES = [np.float32, np.float64]


@numba.njit
def one_tile(a, a_row, a_col, b, b_row, c, c_row, rows, cols, depth, add):
    simd.tile(a, 1, a_row, a_col, b, 2, b_row, c, 3, c_row, rows, cols, depth, add)


@numba.njit
def one_tap_tile(a, a_col, b, taps, c, c_row, rows, cols, depth, add):
    simd.tap_tile(a, 1, a_col, b, 2, taps, 1, c, 3, c_row, rows, cols, depth, add)


@numba.njit
def one_tap_rows_tile(a, taps, b, b_row, c, c_row, rows, cols, depth, add):
    simd.tap_rows_tile(a, 1, taps, 1, b, 2, b_row, c, 3, c_row, rows, cols, depth, add)


@numba.njit
def one_tap_dots(a, a_row, b, taps, c, c_row, rows, cols, depth, add):
    simd.tap_dots(a, 1, a_row, b, 2, taps, 1, c, 3, c_row, rows, cols, depth, add)


@numba.njit
def one_filter_tile(x, step, taps, w, beside, b, add, c, c_row, rows, cols, depth):
    simd.filter_tile(x, 1, step, taps, w, 2, beside, b, 3, add, c, 5, c_row, rows, cols, depth)


@numba.njit
def one_dot_tile(a, a_row, b, b_row, c, c_row, rows, cols, depth, add):
    simd_gemv.dot_tile(a, 1, a_row, b, 2, b_row, c, 3, c_row, rows, cols, depth, add)


@numba.njit
def one_copy(x, x_row, step, first, last, out, o_row, n, rows):
    simd.copy_rows(x, 5, x_row, step, first, last, out, 2, o_row, n, rows)


@numba.njit
def one_weave(x, x_row, apart, out, o_row, n, rows):
    simd.weave(x, 5, x_row, apart, out, 2, o_row, n, rows)


@numba.njit
def one_turn(x, x_row, rows, cols, out, o_row):
    simd.turn(x, 5, x_row, rows, cols, out, 2, o_row)


@numba.njit
def one_turn_inside(x, x_row, rows, cols, out, o_row):
    simd.turn_inside(x, 5, x_row, rows, cols, out, 2, o_row)


@numba.njit
def one_lane_tile(a, panel, b, c, rows, depth, add, width):
    lane_tile(a, 1, panel, b, 2, c, 3, rows, depth, add, width)


def near(actual, expected, dtype):
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    assert actual.dtype == dtype and actual.shape == expected.shape
    assert np.abs(actual - expected).max(initial=0) <= TOLERANCE[dtype] * scale


def strided(buffer, start, shape, steps):
    return np.lib.stride_tricks.as_strided(buffer[start:], shape, [s * buffer.itemsize for s in steps])


def sizes(dtype):
    """(rows, columns) of tiles."""
    lanes = gemm.tile_columns(np.dtype(dtype)) // simd.VECTORS
    for rows in range(1, 2 * simd.ROWS + 1):
        for cols in (1, lanes - 1, lanes):
            yield rows, cols
    for rows in range(1, simd.ROWS + 1):
        for cols in (lanes + 1, 2 * lanes - 1, 2 * lanes, 2 * lanes + 1, 3 * lanes - 1, 3 * lanes):
            yield rows, cols
    for cols in (3 * lanes + 1, simd.WIDE * lanes - 1, simd.WIDE * lanes):
        yield 1, cols


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("depth", [0, 1, 2, 17])
def test_tiles_write_their_rows_and_columns_and_nothing_else(dtype, add, depth):
    rng = np.random.default_rng(depth)
    most = simd.WIDE * simd.LANES32
    taps = 1 + rng.permutation(20)  # places in steps of a row
    for rows, cols in sizes(dtype):
        a = rng.standard_normal(1 + 16 * 420).astype(dtype)
        b = rng.standard_normal(2 + 22 * (most + 3)).astype(dtype)
        before = rng.standard_normal(3 + 17 * (most + 1)).astype(dtype)
        for transposed in (False, True):
            a_row, a_col = (1, 2 * simd.ROWS) if transposed else (20, 1)
            c, expected = before.copy(), before.astype(np.float64)
            block = strided(expected, 3, (rows, cols), (most + 1, 1))
            left = strided(a, 1, (rows, depth), (a_row, a_col)).astype(np.float64)
            right = strided(b, 2, (depth, cols), (most + 3, 1)).astype(np.float64)
            block[...] = (block if add else 0) + left @ right
            one_tile(a, a_row, a_col, b, most + 3, c, most + 1, rows, cols, depth, add)
            near(c, expected, dtype)

        c, expected = before.copy(), before.astype(np.float64)
        block = strided(expected, 3, (rows, cols), (most + 1, 1))
        right = np.array([b[2 + tap * (most + 3) :][:cols] for tap in taps[:depth]], np.float64).reshape(depth, cols)
        block[...] = (block if add else 0) + strided(a, 1, (rows, depth), (1, 20)).astype(np.float64) @ right
        one_tap_tile(a, 20, b, np.append(0, taps * (most + 3)), c, most + 1, rows, cols, depth, add)
        near(c, expected, dtype)

        c, expected = before.copy(), before.astype(np.float64)
        block = strided(expected, 3, (rows, cols), (most + 1, 1))
        left = np.array([a[1 + tap * 20 :][:depth] for tap in taps[:rows]], np.float64).reshape(rows, depth)
        block[...] = (block if add else 0) + left @ strided(b, 2, (depth, cols), (most + 3, 1)).astype(np.float64)
        one_tap_rows_tile(a, np.append(0, taps * 20), b, most + 3, c, most + 1, rows, cols, depth, add)
        near(c, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("depth", [0, 1, 17])
def test_tiles_of_filters_write_their_rows_and_columns_and_nothing_else(dtype, step, depth):
    rng = np.random.default_rng(depth)
    lanes = gemm.tile_columns(np.dtype(dtype)) // simd.VECTORS
    taps = rng.permutation(200)[:depth]
    x, w, b = (rng.standard_normal(n).astype(dtype) for n in (300, 2 + 18 * 2 * simd.ROWS + 2000, 3 + 2 * lanes))
    for rows in (1, lanes - 1, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes):
        for cols in simd.POSITIONS[1 if rows <= lanes else 2]:
            for add, beside in ((False, lanes), (True, 1000)):
                c = rng.standard_normal(5 + 2 * lanes * 20).astype(dtype)
                expected = c.astype(np.float64)
                block = strided(expected, 5, (rows, cols), (20, 1))
                seen = np.array([x[1 + tap :][: cols * step : step] for tap in taps], np.float64).reshape(depth, cols)
                places = 2 + np.arange(rows) // lanes * beside + np.arange(rows) % lanes
                weights = w[np.add.outer(places, np.arange(depth) * 2 * simd.ROWS)].astype(np.float64)
                block[...] = (b[3:][:rows, None] if add else 0) + weights @ seen
                one_filter_tile(x, step, taps, w, beside, b if add else b[:0], add, c, 20, rows, cols, depth)
                near(c, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("add", [False, True])
def test_dot_products_keep_their_lanes(dtype, add):
    rng = np.random.default_rng(1)
    lanes = gemm.tile_columns(np.dtype(dtype)) // simd.VECTORS
    counts = [(rows, cols) for rows in range(1, simd.DOTS + 1) for cols in range(1, simd.DOTS + 1)]
    counts += [(1, cols) for cols in range(simd.DOTS + 1, 3 * simd.DOTS + 1)]
    for depth in (0, 1, lanes - 1, lanes, lanes + 1, 3 * lanes + 2):
        for rows, cols in counts:
            a = rng.standard_normal(1 + simd.DOTS * 60).astype(dtype)
            b = rng.standard_normal(2 + 20 * 61).astype(dtype)
            taps = rng.permutation(20)[:cols] * 61
            c_row = (cols + 1) * lanes
            c = rng.standard_normal(3 + simd.DOTS * c_row).astype(dtype)
            expected = c.astype(np.float64)
            for r in range(rows):
                for s in range(cols):
                    terms = a[1 + r * 60 :][:depth].astype(np.float64) * b[2 + taps[s] :][:depth]
                    sums = np.pad(terms, (0, -depth % lanes)).reshape(-1, lanes).sum(0)
                    target = expected[3 + r * c_row + s * lanes :][:lanes]
                    target[...] = (target if add else 0) + sums
            one_tap_dots(a, 60, b, np.append(0, taps), c, c_row, rows, cols, depth, add)
            near(c, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("depth", [0, 1, simd.LANES32 - 1, simd.LANES32, simd.LANES32 + 1, 50])
def test_blocks_of_dot_products(dtype, add, depth):
    rng = np.random.default_rng(depth)
    for rows in range(1, simd_gemv.DOT_ROWS + 1):
        for cols in range(1, simd_gemv.DOT_COLS + 1):
            a = rng.standard_normal(1 + rows * 60).astype(dtype)
            b = rng.standard_normal(2 + cols * 61).astype(dtype)
            c = rng.standard_normal(3 + rows * (cols + 1) + 9).astype(dtype)
            expected = c.astype(np.float64)
            left, right = strided(a, 1, (rows, depth), (60, 1)), strided(b, 2, (cols, depth), (61, 1))
            target = strided(expected, 3, (rows, cols), (cols + 1, 1))
            target[...] = (target if add else 0) + left.astype(np.float64) @ right.astype(np.float64).T
            one_dot_tile(a, 60, b, 61, c, cols + 1, rows, cols, depth, add)
            near(c, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("step", [1, 2])
def test_rows_are_copied_between_their_bounds(dtype, step):
    rng = np.random.default_rng(2)
    for n in (0, 1, 7, 8, 9, 15, 16, 17, 33):
        for first, last in ((0, n), (1, n), (0, n - 1), (2, max(2, n - 3)), (n, n)):
            for rows in (0, 1, 3):
                x = rng.standard_normal(5 + 3 * 80).astype(dtype)
                out = rng.standard_normal(2 + 3 * 41).astype(dtype)
                expected = out.copy()
                for r in range(rows):
                    source = np.where((np.arange(n) >= first) & (np.arange(n) < last), x[5 + r * 80 :: step][:n], 0)
                    expected[2 + r * 41 :][:n] = source
                one_copy(x, 80, step, first, last, out, 41, n, rows)
                assert np.array_equal(out, expected)


def test_what_lies_outside_is_not_read():
    for step in (1, 2):
        x = np.full(200, np.nan, np.float32)
        x[5 + 3 * step : 5 + 20 * step : step] = 1
        out = np.full(60, 7, np.float32)
        one_copy(x, 100, step, 3, 20, out, 41, 35, 1)
        assert np.array_equal(out[2:37], np.repeat([0, 1, 0], [3, 17, 15]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_are_transposed(dtype):
    rng = np.random.default_rng(3)
    lanes = gemm.tile_columns(np.dtype(dtype)) // simd.VECTORS
    for rows in range(lanes + 1):
        for cols in range(lanes + 1):
            x = rng.standard_normal(5 + lanes * 19).astype(dtype)
            out = rng.standard_normal(2 + lanes * 21).astype(dtype)
            expected = out.copy()
            for p in range(cols):
                expected[2 + p * 21 :][:lanes] = 0
                expected[2 + p * 21 :][:rows] = x[5 + p :: 19][:rows]
            before = out.copy()
            one_turn(x, 19, rows, cols, out, 21)
            assert np.array_equal(out, expected)
            for p in range(cols):
                before[2 + p * 21 :][:rows] = x[5 + p :: 19][:rows]
                out[2 + p * 21 :][rows:lanes] = before[2 + p * 21 :][rows:lanes]
            one_turn_inside(x, 19, rows, cols, out, 21)
            assert np.array_equal(out, before)


@pytest.mark.parametrize("add", [False, True])
def test_lane_tiles_write_their_rows_and_no_further(add):
    rng = np.random.default_rng(4)
    lanes = simd.LANES32
    for vectors, height in zip((1, 2), HEIGHTS, strict=True):
        width, panel = vectors * lanes, height * lanes + 3
        for rows in (1, height // 2 - 1, height // 2, height // 2 + 1, height):
            for depth in (0, 1, lanes - 1, lanes, lanes + 1, 2 * lanes + 1):
                a = rng.standard_normal(1 + 3 * panel).astype(np.float32)
                b = rng.standard_normal(2 + depth * width).astype(np.float32)
                c = rng.standard_normal(3 + height * width + 5).astype(np.float32)
                before = c.copy()
                one_lane_tile(a, panel, b, c, rows, depth, add, width)
                k = np.arange(depth)
                left = a[1 + np.arange(rows)[:, None] * lanes + k // lanes * panel + k % lanes].astype(np.float64)
                end = 3 + rows * width
                expected = left @ b[2:].reshape(depth, width) + add * before[3:end].reshape(rows, width)
                near(c[3:end].reshape(rows, width), expected, np.float32)
                assert np.array_equal(c[end:], before[end:]) and np.array_equal(c[:3], before[:3])


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_rows_are_interleaved(dtype):
    rng = np.random.default_rng(4)
    lanes = gemm.tile_columns(np.dtype(dtype)) // simd.VECTORS
    for n in (0, 1, 2, lanes - 1, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes, 2 * lanes + 1, 4 * lanes + 3):
        for rows in (0, 1, 3):
            x = rng.standard_normal(5 + 6 * 60).astype(dtype)
            out = rng.standard_normal(2 + 3 * 131).astype(dtype)
            expected = out.copy()
            for r in range(rows):
                for j in range(n):
                    expected[2 + r * 131 + j] = x[5 + r * 60 + j // 2 + j % 2 * 180]
            one_weave(x, 60, 180, out, 131, n, rows)
            assert np.array_equal(out, expected)


WIDTHS = """
import numpy as np
from tinycnn.kernels.cpu import conv, direct, gemm, simd, winograd
from tinycnn.kernels.geometry import conv_spec
from tinycnn.kernels.reference import conv as reference
assert simd.VECTOR_BYTES == {width}, simd.VECTOR_BYTES
rng = np.random.default_rng(0)
spec = conv_spec((3, 5, 11, 10), (9, 5, 3, 3), padding=1)
x, w, gy = (rng.standard_normal(s).astype('f') for s in (spec.input_shape, spec.weight_shape, spec.output_shape))
wide = [a.astype('d') for a in (x, w, gy)]
wanted = (
    reference.conv2d(wide[0], wide[1], None, spec),
    reference.conv2d_input_grad(wide[2], wide[1], spec),
    reference.conv2d_weight_grad(wide[2], wide[0], spec),
)
ways = [
    (direct.forward(x, w, None, spec), direct.input_grad(gy, w, spec), direct.weight_grad(gy, x, spec)),
    (wanted[0], wanted[1], direct.weight_grad_by_dots(gy, x, spec)),
]
for m in (2, 4):
    ways.append((
        winograd.forward(x, w, None, spec, m), winograd.input_grad(gy, w, spec, m), winograd.weight_grad(gy, x, spec, m)
    ))
for way in ways:
    for got, want in zip(way, wanted):
        assert np.abs(got - want).max() < 1e-5 * np.abs(want).max()
a = rng.standard_normal((37, 65)).astype('f')
assert np.abs(gemm.matmul_tile(a[None], a[None], False, True)[0] - a.astype('d') @ a.T).max() < 1e-4
"""


@pytest.mark.parametrize(
    ("width", "cpu", "features"), [(16, "x86-64", "+sse2"), (32, "haswell", "+avx,+avx2,+fma")], ids=["sse2", "avx2"]
)
def test_narrower_vectors_compute_the_same(width, cpu, features, tmp_path):
    """What a processor without AVX-512 runs."""
    if simd.VECTOR_BYTES < 64:
        pytest.skip("this processor has no wider vectors than these")
    names = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", WIDTHS.format(width=width)], check=True, env={**os.environ, **names})
