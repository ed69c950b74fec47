"""Depthwise convolution, past the choice of an algorithm, against the reference in float64."""

import numba
import numpy as np
import pytest

from tinycnn.kernels.cpu import depthwise, simd, threads
from tinycnn.kernels.cpu.simd_depthwise import RISE
from tinycnn.kernels.geometry import conv_spec
from tinycnn.kernels.reference import conv as reference

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
THREADS = [n for n in (1, 2, 3, 4) if n <= numba.config.NUMBA_NUM_THREADS]


def near(actual, expected, dtype):
    assert actual.dtype == dtype and actual.shape == expected.shape
    assert np.abs(actual - expected).max(initial=0) <= TOLERANCE[dtype] * np.abs(expected).max(initial=0)


def arrays(spec, dtype):
    """(x, w, b, gy) of a convolution."""
    rng = np.random.default_rng(0)
    shapes = spec.input_shape, spec.weight_shape, (spec.out_channels,), spec.output_shape
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


def check(shape, kernel, dtype=np.float32, **rule):
    spec = conv_spec(shape, (shape[1], 1, *kernel), groups=shape[1], **rule)
    x, w, b, gy = arrays(spec, dtype)
    x64, w64, b64, gy64 = (a.astype(np.float64) for a in (x, w, b, gy))
    near(depthwise.forward(x, w, b, spec), reference.conv2d(x64, w64, b64, spec), dtype)
    near(depthwise.forward(x, w, None, spec), reference.conv2d(x64, w64, None, spec), dtype)
    near(depthwise.input_grad(gy, w, spec), reference.conv2d_input_grad(gy64, w64, spec), dtype)
    near(depthwise.weight_grad(gy, x, spec), reference.conv2d_weight_grad(gy64, x64, spec), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "kernel", "rule"),
    [
        ((2, 3, 8, 8), (3, 3), dict(padding=1)),
        ((3, 2, 7, 9), (3, 3), {}),
        ((2, 3, 17, 19), (3, 3), dict(padding=1, stride=2)),
        ((3, 2, 7, 7), (3, 3), dict(padding=(0, 2), stride=(3, 2))),
        ((3, 2, 7, 8), (3, 3), dict(padding=1, stride=(1, 2))),
        ((2, 2, 30, 31), (3, 3), dict(padding=2, dilation=2)),
        ((2, 2, 30, 31), (3, 3), dict(padding=2, dilation=2, stride=2)),  # even elements see all taps, odd ones none
        ((2, 2, 12, 31), (3, 3), dict(padding=1, dilation=(1, 2))),
        ((2, 2, 9, 33), (3, 2), dict(padding=1)),
        ((2, 2, 9, 33), (5, 5), dict(padding=2)),
        ((2, 2, 9, 33), (5, 5), dict(padding=2, stride=2)),
        ((1, 2, 20, 21), (7, 7), dict(padding=3)),
        ((2, 2, 9, 9), (4, 4), dict(padding="same")),  # more padding behind than in front
        ((2, 2, 6, 6), (1, 1), dict(stride=2)),  # what no window sees
        ((2, 2, 5, 5), (3, 3), dict(padding=6)),  # windows that see nothing
        ((2, 2, 5, 5), (3, 3), dict(padding=6, stride=2)),
        ((1, 1, 1, 1), (3, 3), dict(padding=1)),
        ((1, 2, 4, 1), (2, 1), dict(stride=2)),  # gx has fewer columns than there are classes
        ((9, 3, 64, 65), (3, 3), dict(padding=1)),  # lanes are added up several times
        ((1, 40, 5, 5), (3, 3), dict(padding=1)),  # several channels in a unit of work
    ],
)
def test_depthwise(shape, kernel, rule, dtype):
    check(shape, kernel, dtype, **rule)


def test_depthwise_around_a_vector_and_a_block_of_rows():
    for width in (simd.LANES32 - 1, simd.LANES32, simd.LANES32 + 1, 2 * simd.LANES32 + 1):
        for height in (RISE // 2, RISE // 2 + 1, RISE - 1, RISE, RISE + 1):
            for stride in (1, 2):
                check((1, 2, height * stride, width * stride), (3, 3), padding=1, stride=stride)


def test_depthwise_in_bands(monkeypatch):
    monkeypatch.setattr(depthwise, "ROOM", 1 << 9)
    depthwise.plan.cache_clear()
    try:
        for height in (31, 32, 33):
            for stride in (1, 2):
                check((2, 3, height, 30), (3, 3), padding=1, stride=stride)
    finally:
        depthwise.plan.cache_clear()


def test_depthwise_of_no_images():
    spec = conv_spec((0, 3, 5, 5), (3, 1, 3, 3), groups=3)
    x, w, b, gy = arrays(spec, np.float32)
    assert depthwise.forward(x, w, b, spec).shape == spec.output_shape
    assert not depthwise.weight_grad(gy, x, spec).any()


def test_where_depthwise_applies():
    def applies(out_channels=8, groups=8, kernel=3, **rule):
        spec = conv_spec((2, 8, 16, 16), (out_channels, 8 // groups, kernel, kernel), groups=groups, **rule)
        return depthwise.applies(spec), depthwise.applies(spec, weight_grad=True)

    assert applies() == applies(stride=2) == applies(stride=(3, 1)) == applies(dilation=2) == (True, True)
    assert applies(kernel=4) == (True, False)  # more taps than sums in registers
    assert applies(stride=(1, 3)) == applies(out_channels=16) == applies(groups=4) == (False, False)


def test_a_steep_window_has_three_rows_below_each_other():
    def steep(kernel=(3, 3), **rule):
        spec = conv_spec((1, 2, 9, 9), (2, 1, *kernel), groups=2, padding=1, **rule)
        return depthwise.forward_walk(spec).steep, depthwise.backward_walk(spec).steep

    assert steep() == steep((3, 1)) == steep(dilation=(1, 2)) == (True, True)
    assert steep(stride=2) == steep(dilation=2) == steep((2, 3)) == steep((1, 3)) == (False, False)


def test_nan_stays_where_it_is_seen():
    spec = conv_spec((1, 1, 4, 5), (1, 1, 3, 3), groups=1)
    x, w, _, gy = arrays(spec, np.float32)
    x[0, 0, 0, 0] = np.nan
    y, gw = depthwise.forward(x, w, None, spec), depthwise.weight_grad(gy, x, spec)
    assert np.isnan(y[0, 0, 0, 0]) and np.isnan(y).sum() == 1
    assert np.isnan(gw[0, 0, 0, 0]) and np.isnan(gw).sum() == 1


def test_bits_do_not_depend_on_the_number_of_threads():
    before, results = threads.get_num_threads(), []
    try:
        for n in THREADS:
            threads.set_num_threads(n)
            mine = []
            for stride in (1, 2):
                spec = conv_spec((5, 19, 28, 28), (19, 1, 3, 3), groups=19, padding=1, stride=stride)
                x, w, b, gy = arrays(spec, np.float32)
                mine += [depthwise.forward(x, w, b, spec), depthwise.input_grad(gy, w, spec)]
                mine += [depthwise.weight_grad(gy, x, spec)]
            results.append(mine)
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))
