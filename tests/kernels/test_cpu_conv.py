"""The algorithms of convolution, each by its name and past the choice, against the reference in float64."""

import dataclasses

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycnn import backends
from tinycnn.kernels import column
from tinycnn.kernels.cpu import broadcast, conv, direct, phases, runs, simd, threads, winograd
from tinycnn.kernels.cpu.winograd_simd import matrices
from tinycnn.kernels.geometry import GeometryError, conv_spec
from tinycnn.kernels.reference import conv as reference

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
DTYPES = [np.float32, np.float64]
THREADS = [n for n in (1, 2, 3, 4) if n <= numba.config.NUMBA_NUM_THREADS]


def near(actual, expected, dtype=np.float32):
    assert actual.dtype == dtype and actual.shape == expected.shape
    assert np.abs(actual - expected).max(initial=0) <= TOLERANCE[dtype] * np.abs(expected).max(initial=0)


def arrays(spec, dtype, seed=0):
    """(x, w, b, gy) of a convolution."""
    rng = np.random.default_rng(seed)
    shapes = spec.input_shape, spec.weight_shape, (spec.out_channels,), spec.output_shape
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


def wide(*given):
    return tuple(a.astype(np.float64) for a in given)


def check(spec, dtype, forward, input_grad, *weight_grads, seed=0):
    x, w, b, gy = arrays(spec, dtype, seed)
    x64, w64, b64, gy64 = wide(x, w, b, gy)
    near(forward(x, w, b, spec), reference.conv2d(x64, w64, b64, spec), dtype)
    near(forward(x, w, None, spec), reference.conv2d(x64, w64, None, spec), dtype)
    near(input_grad(gy, w, spec), reference.conv2d_input_grad(gy64, w64, spec), dtype)
    for weight_grad in weight_grads:
        near(weight_grad(gy, x, spec), reference.conv2d_weight_grad(gy64, x64, spec), dtype)


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


@given(convolutions(), st.sampled_from(DTYPES), st.integers(0, 2**31))
def test_convolution_equals_the_reference(spec, dtype, seed):
    check(spec, dtype, conv.conv2d, conv.conv2d_input_grad, conv.conv2d_weight_grad, seed=seed)


CORNERS = [
    dict(input_shape=(2, 3, 19, 20), weight_shape=(7, 3, 2, 2), stride=3),  # what no window sees
    dict(
        **dict(input_shape=(2, 4, 19, 20), weight_shape=(6, 2, 3, 2), groups=2),
        **dict(padding=(0, 1), stride=(3, 1), dilation=(2, 3)),
    ),
    dict(input_shape=(3, 2, 5, 5), weight_shape=(4, 2, 3, 3), padding=6),  # windows that see nothing
    dict(input_shape=(1, 2, 1, 1), weight_shape=(4, 2, 1, 1)),
]


@pytest.mark.parametrize(
    "case",
    [
        dict(input_shape=(2, 3, 9, 8), weight_shape=(4, 3, 4, 3), padding="same"),  # more padding behind than in front
        dict(input_shape=(1, 70, 33, 31), weight_shape=(9, 70, 5, 5), padding=2),  # several bands and channel blocks
        dict(input_shape=(33, 1, 6, 6), weight_shape=(2, 1, 3, 3)),  # more images than partial sums
        dict(input_shape=(1, 200, 4, 4), weight_shape=(150, 200, 3, 3), padding=1),  # filters split among units
        dict(input_shape=(1, 40, 5, 4), weight_shape=(70, 40, 3, 3), padding=1, stride=2),  # and spread out
        dict(input_shape=(2, 6, 5, 5), weight_shape=(12, 1, 3, 3), groups=6),  # depthwise
        dict(input_shape=(2, 3, 30, 30), weight_shape=(3, 1, 3, 3), groups=3, padding=1),  # one filter: wide tiles
        dict(input_shape=(2, 3, 19, 20), weight_shape=(17, 3, 1, 1)),  # the image itself is read
        dict(input_shape=(2, 3, 19, 20), weight_shape=(17, 3, 1, 1), stride=2),
        dict(input_shape=(2, 3, 29, 30), weight_shape=(49, 3, 7, 7), padding=3, stride=2),
        *CORNERS,
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", DTYPES)
def test_direct(case, dtype):
    check(conv_spec(**case), dtype, direct.forward, direct.input_grad, direct.weight_grad, direct.weight_grad_by_dots)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_direct_around_the_width_of_a_tile(count):
    """Outputs one below, at and one above `count` vectors; filters likewise around a tile's rows."""
    for width in (count * simd.LANES32 - 1, count * simd.LANES32, count * simd.LANES32 + 1):
        for filters in (simd.ROWS - 1, simd.ROWS, simd.ROWS + 1, 2 * simd.ROWS + 1):
            spec = conv_spec((2, 3, 3, width), (filters, 3, 3, 3), padding=1)
            check(spec, np.float32, direct.forward, direct.input_grad, direct.weight_grad, direct.weight_grad_by_dots)


@pytest.mark.parametrize(
    "case",
    [
        dict(input_shape=(2, 3, 9, 8), weight_shape=(4, 3, 4, 3), padding="same"),  # more padding behind than in front
        dict(input_shape=(2, 3, 19, 20), weight_shape=(33, 3, 3, 3)),  # the image itself is read
        dict(input_shape=(2, 3, 19, 20), weight_shape=(33, 3, 3, 3), stride=2),
        dict(input_shape=(2, 3, 29, 30), weight_shape=(49, 3, 7, 7), padding=3, stride=(3, 2)),
        dict(input_shape=(1, 40, 50, 51), weight_shape=(3, 40, 5, 5), padding=2),  # several bands
        dict(input_shape=(3, 4, 9, 20), weight_shape=(66, 2, 3, 2), groups=2, padding=(0, 1), dilation=(2, 3)),
        dict(input_shape=(3, 2, 5, 5), weight_shape=(4, 2, 3, 3), padding=6),  # windows that see nothing
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", DTYPES)
def test_broadcast(case, dtype):
    spec = conv_spec(**case)
    strided = spec.stride != (1, 1)  # then the gradient of the input is not its own
    check(spec, dtype, broadcast.forward, direct.input_grad if strided else broadcast.input_grad)


@pytest.mark.parametrize("vectors", [1, 2])
def test_broadcast_around_the_positions_and_filters_of_a_tile(vectors):
    least = simd.POSITIONS[2][-1]
    for positions in simd.POSITIONS[vectors]:
        for width in range(max(positions - 1, least), positions + 2):
            for filters in range(vectors * simd.LANES32 - 1, vectors * simd.LANES32 + 2):
                spec = conv_spec((1, 2, 3, width), (filters, 2, 3, 3), padding=1)
                x, w, b, _ = arrays(spec, np.float32)
                near(broadcast.forward(x, w, b, spec), reference.conv2d(*wide(x, w, b), spec))


@pytest.mark.parametrize("vectors", [1, 2])
def test_rows_are_covered_by_tiles(vectors):
    for columns in range(simd.POSITIONS[vectors][-1], 40):
        computed, pieces = broadcast.cover(columns, vectors)
        assert computed == sum(count for _, count in pieces)
        assert {j for first, count in pieces for j in range(first, first + count)} == set(range(columns))
    if simd.ROWS == 8:
        assert broadcast.cover(32, 1)[0] == broadcast.cover(32, 2)[0] == 32 and broadcast.cover(10, 2)[0] == 11


def test_broadcast_suits_long_sums_of_full_vectors():
    def suits(shape, weight, **rule):
        spec = conv_spec(shape, weight, **rule)
        return broadcast.suits(spec, False), broadcast.suits(spec, True)

    lanes = simd.LANES32
    assert suits((8, 32, 28, 28), (2 * lanes, 32, 3, 3), padding=1)[0]
    assert suits((8, 2 * lanes, 28, 28), (32, 2 * lanes, 3, 3), padding=1)[1]
    assert suits((8, 32, 28, 28), (2 * lanes, 32, 3, 3), padding=1, stride=2) == (True, False)
    assert not suits((8, 32, 28, 28), (2 * lanes, 32, 3, 3), padding=1, stride=3)[0]
    assert not suits((8, 32, 28, 28), (lanes, 32, 3, 3), padding=1)[0]  # one vector
    assert not suits((8, 32, 28, 28), (2 * lanes + 1, 32, 3, 3), padding=1)[0]  # and one that is nearly empty
    assert not suits((8, 3, 28, 28), (2 * lanes, 3, 3, 3), padding=1)[0]  # short sums
    assert not suits((8, 512, 28, 28), (2 * lanes, 512, 3, 3), padding=1)[0]  # more weights than the cache holds
    assert not suits((8, 256, 28, 28), (2 * lanes, 256, 1, 1))[0]
    assert not suits((8, 32, 28, 3), (2 * lanes, 32, 3, 3), padding=1)[0] or simd.ROWS < 8  # narrow images


def test_bands_share_rows_out_to_the_workers():
    assert direct.best_band(32, 32, 1, 4) == 8
    assert direct.best_band(32, 32, 1, 1) == direct.best_band(32, 32, 128, 4) == 32
    assert direct.best_band(32, 32, 3, 4) == 8  # three rounds of a quarter take less than one of a whole image
    assert direct.best_band(32, 5, 1, 1) == 4 and direct.best_band(1, 1, 1, 4) == 1


@pytest.mark.parametrize(
    "case",
    [
        dict(input_shape=(5, 3, 9, 8), weight_shape=(4, 3, 4, 3), padding="same"),  # more padding behind than in front
        dict(input_shape=(33, 40, 2, 2), weight_shape=(70, 40, 3, 3), padding=1),  # two blocks of images, no equal ones
        dict(input_shape=(3, 200, 4, 4), weight_shape=(33, 200, 3, 3), padding=1),  # several chunks of channels
        dict(input_shape=(2, 17, 33, 31), weight_shape=(16, 17, 5, 5), padding=2),  # several bands of rows
        dict(input_shape=(3, 40, 9, 14), weight_shape=(70, 40, 3, 3), padding=1, stride=2),
        dict(input_shape=(2, 20, 19, 40), weight_shape=(17, 20, 1, 1), stride=2),  # rows that nothing sees
        dict(input_shape=(2, 20, 19, 20), weight_shape=(17, 20, 1, 1)),
        *CORNERS,
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", DTYPES)
def test_runs(case, dtype):
    check(conv_spec(**case), dtype, runs.forward, runs.input_grad)


@pytest.mark.parametrize("stride", [1, 2])
def test_runs_around_their_blocks(stride):
    """Channels and filters around a vector and a panel; lines around a tile, a chunk, and the images of a block."""
    lanes = simd.LANES32
    for channels in (lanes - 1, lanes, lanes + 1, 2 * lanes + 1):
        for filters in (lanes - 1, lanes, lanes + 1, 2 * lanes + 1):
            check(conv_spec((2, channels, 4, 5), (filters, channels, 3, 3), stride, 1), np.float32,
                  runs.forward, runs.input_grad)  # fmt: skip
    for images in (11, 12, 13, runs.ROWS_OF_RUN, runs.ROWS_OF_RUN + 1):
        spec = conv_spec((images, 3, 2, stride), (4, 3, 1, 1), stride)
        check(spec, np.float32, runs.forward, runs.input_grad)
    most = runs.WEIGHTS // (9 * 2 * lanes) // lanes * lanes
    for channels in (most - 1, most, most + 1):
        spec = conv_spec((1, channels, 3, 3), (2 * lanes, channels, 3, 3), stride, 1)
        assert (runs.plan(spec, False, lanes).numbers[13] < channels) == (channels > most)
        check(spec, np.float32, runs.forward, runs.input_grad)


def test_a_run_is_what_one_tap_sees_of_a_row():
    spec = conv_spec((1, 1, 3, 5), (1, 1, 1, 3), (1, 2), (0, 1))
    # columns 0 2 4 | 1 3 of the source are sorted: outputs 0, 1, 2 see -1, 1, 3 and 0, 2, 4 and 1, 3, 5
    assert runs.runs_of(spec, False)[1] == [(1, 6 + 0, 0, 3), (2, 6 + 3, 0, 2), (0, 6 + 3, 1, 2)]
    # columns 0, 2, 4 of the gradient are seen by outputs 0, 1, 2 in the middle, columns 1, 3 by two taps
    assert runs.runs_of(spec, True)[2] == [(1, 3, 0, 3)]
    assert runs.runs_of(spec, True)[3] == [(0, 4, 0, 2), (2, 3, 0, 2)]


def test_blocks_of_planes_fit_their_memory():
    for shape, kernel in [
        ((1, 3, 224, 224), (64, 3, 7, 7)),
        ((128, 512, 7, 7), (512, 512, 3, 3)),
        ((64, 1, 32, 32), (6, 1, 5, 5)),
    ]:
        spec = conv_spec(shape, kernel)
        layout = direct.forward_layout(spec)
        band, block = direct.blocks(layout, shape[0], shape[1], 0)
        planes, (offsets,), plane = direct.tables(layout, band, block)
        assert 1 <= band <= spec.output_size[0] and 1 <= block <= spec.in_channels
        assert block == 1 or block * len(planes) * plane <= direct.BLOCK
        assert len(offsets) == block * kernel[2] * kernel[3]
        assert offsets.max() + band * spec.output_size[1] <= block * len(planes) * plane


@pytest.mark.parametrize(("m", "taps"), [(2, 3), (3, 4), (4, 3)])
def test_the_matrices_of_winograd_give_the_correlation(m, taps):
    a, bt, g = matrices(m)
    rng = np.random.default_rng(0)
    d, w = rng.standard_normal(m + taps - 1), rng.standard_normal(taps)
    assert np.allclose(a.T @ ((g @ w) * (bt @ d)), np.correlate(d, w), rtol=0, atol=1e-13)
    assert np.array_equal(bt, bt.astype(np.float32))  # exact in binary


WAYS = ["private", "shared", "panels"]


def winograd_by(m, way=""):
    """(forward, input_grad, weight_grad) with tiles of that size; only the first two share out by panels."""

    def forward(x, w, b, spec):
        return winograd.forward(x, w, b, spec, m, way=way)

    def input_grad(gy, w, spec):
        return winograd.forward(gy, w, None, winograd.adjoint(spec), m, True, way)

    def weight_grad(gy, x, spec):
        return winograd.weight_grad(gy, x, spec, m, way)

    return (forward, input_grad) if way == "panels" else (forward, input_grad, weight_grad)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_winograd(way, m, padding, monkeypatch):
    monkeypatch.setattr(winograd, "SHARED", 1 << 17)  # several rounds
    monkeypatch.setattr(winograd, "RUN", 90)  # several partial sums
    lanes = simd.LANES32
    for shape, filters, groups in [
        ((2, 3, 9, 10), 5, 1),
        ((2, 6, 13, 24), 2 * (2 * lanes + 1), 2),
        ((9, lanes + 1, 4, 8), lanes, 1),  # several images in a block of tiles
        ((1, 2, 3, 211), lanes - 1, 1),  # a row of tiles that is longer than a block
        ((5, 4, 3, 3), 3, 1),
        ((2, 20, 32, 31), 140, 1),  # more filters than a thread's share
    ]:
        spec = conv_spec(shape, (filters, shape[1] // groups, 3, 3), padding=padding, groups=groups)
        check(
            spec,
            np.float32,
            *winograd_by(m, way),
        )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kernel", [(5, 5), (7, 7), (6, 5)])
def test_winograd_of_kernels_in_pieces(way, kernel, monkeypatch):
    monkeypatch.setattr(winograd, "SHARED", 1 << 17)  # several rounds
    lanes = simd.LANES32
    for shape, filters, groups, padding in [
        ((2, 3, 9, 10), 5, 1, 0),
        ((2, 6, 13, 24), 2 * (2 * lanes + 1), 2, 4),
        ((9, lanes + 1, 4, 8), lanes, 1, 3),  # several images in a block of tiles
        ((1, 2, 7, 211), lanes - 1, 1, (2, 3)),  # a row of tiles that is longer than a block
        ((2, 20, 20, 19), 140, 1, 2),  # more filters than a thread's share
    ]:
        spec = conv_spec(shape, (filters, shape[1] // groups, *kernel), padding=padding, groups=groups)
        check(spec, np.float32, *winograd_by(3, way)[:2])


@pytest.mark.parametrize("dilation", [(2, 2), (1, 2), (3, 2), (5, 7)])
@pytest.mark.parametrize("size", [(12, 14), (11, 15), (13, 13), (4, 5)])
def test_dilated_convolutions_of_phases(size, dilation, monkeypatch):
    """Sizes that the dilation divides and others, phases without a pixel; padding before and behind may differ."""
    monkeypatch.setattr(conv, "choose", lambda spec, *_, **__: "phases" if spec.dilation != (1, 1) else "winograd2")
    spec = conv_spec((2, 3, *size), (4, 3, 3, 3), padding=dilation, dilation=dilation)
    assert phases.apply(spec)
    check(spec, np.float32, conv.conv2d, conv.conv2d_input_grad, conv.conv2d_weight_grad)
    spec = dataclasses.replace(spec, output_size=(size[0] - 1, size[1] - 2))
    check(spec, np.float32, conv.conv2d, conv.conv2d_input_grad, conv.conv2d_weight_grad)


def test_phases_apply_to_dilation_without_stride():
    for rule, applies in [
        (dict(padding=2, dilation=2), True),
        (dict(padding=0, dilation=(1, 3)), True),
        (dict(padding=1, dilation=2), False),
        (dict(padding=2, dilation=2, stride=2), False),
        (dict(padding=1), False),
    ]:
        assert phases.apply(conv_spec((2, 3, 12, 12), (4, 3, 3, 3), **rule)) is applies


def test_winograd_around_a_block_of_tiles():
    for m in (2, 4):
        for tiles in (winograd.BLOCK - 1, winograd.BLOCK, winograd.BLOCK + 1, 2 * winograd.BLOCK + 1):
            for edge in (0, 1):  # whole tiles, and tiles that hang over
                spec = conv_spec((1, 2, 2 * m - edge, tiles * m - edge), (3, 2, 3, 3), padding=1)
                for way in WAYS:
                    check(
                        spec,
                        np.float32,
                        *winograd_by(m, way),
                    )
    for tiles in (winograd.BLOCK - 2, winograd.BLOCK - 1, winograd.BLOCK, 2 * winograd.BLOCK):  # and one more
        spec = conv_spec((1, 2, 2, tiles * 3), (3, 2, 5, 5), padding=2)
        for way in WAYS:
            check(spec, np.float32, *winograd_by(3, way)[:2])


@pytest.mark.parametrize("batch", [1, 12])
@pytest.mark.parametrize("channels", [16, 80])
def test_gradients_of_weights_are_no_views(batch, channels):
    """A leaf keeps an array that is nobody's view as its gradient, and copies any other."""
    spec = conv_spec((batch, channels, 12, 12), (channels, channels, 3, 3), padding=1)
    x, _, _, gy = arrays(spec, np.float32)
    found = [winograd.weight_grad(gy, x, spec, m, way) for m in (4, 2) for way in ("private", "shared")]
    for gw in *found, direct.weight_grad(gy, x, spec):
        assert gw.shape == spec.weight_shape and not isinstance(gw.base, np.ndarray)


def test_winograd_with_more_padding_behind_than_in_front():
    spec = conv_spec((2, 3, 9, 8), (4, 3, 3, 3), padding=1)
    for padding in (((1, 0), (0, 1)), ((0, 2), (2, 1))):
        (top, bottom), (left, right) = padding
        size = 9 + top + bottom - 2, 8 + left + right - 2
        for m in (2, 4):
            check(
                dataclasses.replace(spec, padding=padding, output_size=size),
                np.float32,
                *winograd_by(m),
            )
    spec = conv_spec((2, 3, 9, 8), (4, 3, 7, 5), padding=(3, 2))
    spec = dataclasses.replace(spec, padding=((1, 5), (4, 0)))
    check(spec, np.float32, *winograd_by(3)[:2])


def rms(errors):
    return float(np.sqrt(np.mean(np.square(errors, dtype=np.float64))))


def test_fast_paths_lose_few_digits():
    """rms error at most 8 times that of the sums of products, the largest under 1e-5 of the largest value."""
    for m, shape in [(4, (4, 64, 16, 16)), (4, (2, 512, 7, 7)), (2, (2, 128, 8, 8))]:
        spec = conv_spec(shape, (shape[1], shape[1], 3, 3), padding=1)
        x, w, _, gy = arrays(spec, np.float32)
        x64, w64, gy64 = wide(x, w, gy)
        for plain, fast, exact in [
            (
                direct.forward(x, w, None, spec),
                winograd.forward(x, w, None, spec, m),
                reference.conv2d(x64, w64, None, spec),
            ),
            (
                direct.weight_grad(gy, x, spec),
                winograd.weight_grad(gy, x, spec, m),
                reference.conv2d_weight_grad(gy64, x64, spec),
            ),
        ]:  # fmt: skip
            assert rms(fast - exact) <= 8 * rms(plain - exact)
            assert np.abs(fast - exact).max() <= 1e-5 * np.abs(exact).max()
    spec = conv_spec((2, 256, 14, 14), (32, 256, 3, 3), padding=1)
    x, w, _, _ = arrays(spec, np.float32)
    exact = reference.conv2d(*wide(x, w), None, spec)
    assert np.abs(broadcast.forward(x, w, None, spec) - exact).max() <= 1e-5 * np.abs(exact).max()
    assert rms(broadcast.forward(x, w, None, spec) - exact) <= 8 * rms(direct.forward(x, w, None, spec) - exact)
    for channels, k in ((32, 7), (256, 5)):
        spec = conv_spec((2, channels, 14, 14), (channels, channels, k, k), padding=k // 2)
        x, w, _, _ = arrays(spec, np.float32)
        plain, fast = direct.forward(x, w, None, spec), winograd.forward(x, w, None, spec, 3)
        exact = reference.conv2d(*wide(x, w), None, spec)
        assert rms(fast - exact) <= 8 * rms(plain - exact)
        assert np.abs(fast - exact).max() <= 1e-5 * np.abs(exact).max()


def test_the_choice_depends_on_the_shape_and_the_dtype():
    single, double = np.dtype(np.float32), np.dtype(np.float64)
    directly = "direct", "broadcast"  # of these two the lanes of a vector decide

    def both(shape, weight, dtype=single, **rule):
        spec = conv_spec(shape, weight, **rule)
        way, of_input = conv.choose(spec, dtype), conv.choose(spec, dtype, "input_grad")
        assert (way == "broadcast") <= broadcast.suits(spec, False)
        assert (of_input == "broadcast") <= broadcast.suits(spec, True)
        return "direct" if way in directly else way, conv.choose(spec, dtype, "weight_grad")

    assert both((128, 64, 32, 32), (64, 64, 3, 3), padding=1) == ("winograd4", "winograd4")
    assert both((128, 64, 32, 32), (64, 64, 3, 3), double, padding=1) == ("direct", "direct")
    assert both((32, 512, 2, 2), (512, 512, 3, 3), padding=1) == ("runs", "winograd2")  # small images
    wide = conv_spec((8, 256, 14, 14), (512, 256, 3, 3), padding=1, stride=2)
    for dtype in (single, double):
        assert conv.choose(wide, dtype) == ("broadcast" if broadcast.suits(wide, False) else "runs")
        assert conv.choose(wide, dtype, "input_grad") == "runs" and conv.choose(wide, dtype, "weight_grad") == "direct"
    assert both((1, 64, 8, 8), (64, 64, 3, 3), padding=1)[0] == "direct"  # very few
    assert both((1, 512, 7, 7), (512, 512, 3, 3), padding=1)[0] == "winograd2"  # weights cost more than images
    assert both((1, 32, 16, 16), (32, 32, 3, 3), padding=1)[0] == "direct"  # less than a launch more
    assert both((4, 32, 16, 16), (32, 32, 3, 3), padding=1)[0] == "winograd4"
    assert both((128, 3, 32, 32), (16, 3, 3, 3), padding=1)[0] == "direct"  # few channels
    assert both((2, 128, 14, 14), (128, 128, 3, 3), padding=2, dilation=2) == ("phases", "phases")
    assert both((16, 32, 28, 28), (32, 32, 3, 3), padding=2, dilation=2) == ("direct", "direct")  # few channels
    assert both((64, 6, 14, 14), (3, 6, 5, 5)) == ("direct", "dots")
    assert both((9, 64, 32, 32), (64, 1, 3, 3), groups=64) == ("depthwise", "depthwise")
    assert both((9, 64, 32, 32), (64, 1, 5, 5), groups=64) == ("depthwise", "dots")
    assert both((9, 64, 32, 32), (64, 1, 3, 3), groups=64, stride=3) == ("direct", "dots")
    assert both((8, 32, 28, 28), (32, 32, 7, 7), padding=3) == ("winograd3", "direct")
    assert both((8, 64, 28, 28), (64, 64, 5, 6), padding=2) == ("winograd3", "direct")
    assert both((8, 32, 28, 28), (32, 32, 5, 5), padding=2)[0] == "direct"  # few channels
    for weight, rule in (
        ((64, 64, 3, 3), dict(padding=1, stride=2)),
        ((64, 64, 3, 3), dict(padding=1, dilation=2)),
        ((64, 64, 7, 7), dict(padding=3, stride=2)),
        ((64, 64, 9, 9), dict(padding=4)),
        ((64, 64, 1, 1), {}),
    ):
        assert both((128, 64, 32, 32), weight, **rule) == ("direct", "direct")
    assert both((128, 64, 32, 32), (64, 64, 3, 3), padding=3)[1] == "direct"  # Winograd's patches end at the padding
    assert both((128, 64, 32, 32), (64, 64, 4, 7), padding=3)[0] not in conv.WINOGRAD


def test_winograd_can_be_forbidden():
    spec, single = conv_spec((128, 64, 32, 32), (64, 64, 3, 3), padding=1), np.dtype(np.float32)
    assert backends.cpu.allow_winograd is True
    backends.cpu.allow_winograd = False
    try:
        assert conv.choose(spec, single) not in conv.WINOGRAD
        assert conv.choose(spec, single, "weight_grad") == "direct"
    finally:
        backends.cpu.allow_winograd = True
    with pytest.raises(TypeError, match="must be True or False, got 1"):
        backends.cpu.allow_winograd = 1
    assert conv.choose(spec, single) == "winograd4"
    assert backends.cpu.get_cpu_capability() in ("AVX512", "AVX2", "DEFAULT")


def test_bits_do_not_depend_on_the_number_of_threads():
    if column("cpu").name != "cpu":
        pytest.skip("TINYCNN_BACKEND=reference")
    cases = [conv_spec((5, 6, 14, 14), (16, 6, 5, 5), padding=1), conv_spec((7, 20, 14, 14), (33, 20, 3, 3), padding=1)]
    cases.append(
        conv_spec((1, 300, 14, 14), (40, 300, 3, 3), padding=1)
    )  # few rows for many workers, blocks of channels
    before, results = threads.get_num_threads(), []
    try:
        for n in THREADS:
            threads.set_num_threads(n)
            mine = []
            for spec in cases:
                x, w, b, gy = arrays(spec, np.float32)
                mine += [direct.forward(x, w, b, spec), direct.input_grad(gy, w, spec), direct.weight_grad(gy, x, spec)]
                mine += [direct.weight_grad_by_dots(gy, x, spec)]
                mine += [broadcast.forward(x, w, b, spec), broadcast.input_grad(gy, w, spec)]
                mine += [runs.forward(x, w, b, spec), runs.input_grad(gy, w, spec)]
                if spec.kernel_size == (3, 3):
                    mine += [winograd.forward(x, w, b, spec, m, way=way) for m in (2, 4) for way in WAYS]
                    mine += [winograd.weight_grad(gy, x, spec, m, way) for m in (2, 4) for way in WAYS[:2]]
                else:
                    mine += [winograd.forward(x, w, b, spec, 3, way=way) for way in WAYS]
            results.append(mine)
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
