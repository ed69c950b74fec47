"""Winograd's convolution of the CUDA column, past the choice; a block has 4 tiles here, a grid 3 rows."""

import numpy as np
import pytest
from tolerances import close

from tinycnn import backends, kernels
from tinycnn.kernels.cuda import conv, gemm, winograd
from tinycnn.kernels.geometry import conv_spec

gpu, plain = kernels.column("cuda"), kernels.column("reference")
FIGURES = {np.dtype(np.float32): 2e-5}

SHAPES = {  # image, filters, padding, groups
    "one tile": ((1, 1, 4, 4), 1, 1, 1),
    "less than a tile": ((1, 2, 1, 2), 2, 1, 1),
    "one row more than tiles, one column less": ((1, 2, 9, 7), 3, 1, 1),
    "no padding": ((1, 2, 6, 7), 2, 0, 1),
    "padding of a whole window": ((1, 1, 3, 4), 2, 2, 1),
    "padding beyond the window": ((1, 1, 2, 2), 1, 4, 1),
    "several images and chunks": ((5, 1, 4, 5), 1, 1, 1),
    "more channels than blocks": ((1, 4, 3, 3), 5, 1, 1),
    "groups": ((2, 4, 5, 4), 6, 1, 2),
}


def there(x):
    return gpu.xp.asarray(x)


def drawn(spec, seed=0):
    rng = np.random.default_rng(seed)
    shapes = spec.input_shape, spec.weight_shape, (spec.out_channels,), spec.output_shape
    return [rng.standard_normal(s).astype(np.float32) for s in shapes]


@pytest.mark.parametrize("name", SHAPES)
def test_a_convolution_and_its_gradients(name, monkeypatch):
    image, filters, padding, groups = SHAPES[name]
    monkeypatch.setattr(winograd, "CHUNK", 36 * 8 * (image[1] + filters) if image[0] == 5 else 8)
    spec = conv_spec(image, (filters, image[1] // groups, 3, 3), padding=padding, groups=groups)
    x, w, b, gy = drawn(spec)
    wide = [a.astype(np.float64) for a in (x, w, b, gy)]
    x32, w32, b32, gy32 = map(there, (x, w, b, gy))
    close(winograd.forward(x32, w32, b32, spec).get(), plain.conv2d(*wide[:3], spec), table=FIGURES)
    close(winograd.forward(x32, w32, None, spec).get(), plain.conv2d(*wide[:2], None, spec), table=FIGURES)
    gx = winograd.input_grad(gy32, w32, spec)
    close(gx.get(), plain.conv2d_input_grad(wide[3], wide[1], spec), table=FIGURES)
    gw = winograd.weight_grad(gy32, x32, spec)
    assert gw.dtype == gx.dtype == np.float32
    close(gw.get(), plain.conv2d_weight_grad(wide[3], wide[0], spec), table=FIGURES)


def test_it_loses_few_digits():
    """The errors of the transforms are those of the CPU column: at most 8 times those of plain sums."""
    spec = conv_spec((1, 24, 8, 8), (8, 24, 3, 3), padding=1)
    x, w, b, gy = drawn(spec)
    x64, w64, b64, gy64 = [a.astype(np.float64) for a in (x, w, b, gy)]
    x32, w32, b32, gy32 = map(there, (x, w, b, gy))
    for tiles, columns, exact in [
        (winograd.forward(x32, w32, b32, spec), gpu.conv2d(x32, w32, b32, spec), plain.conv2d(x64, w64, b64, spec)),
        (
            winograd.input_grad(gy32, w32, spec),
            gpu.conv2d_input_grad(gy32, w32, spec),
            plain.conv2d_input_grad(gy64, w64, spec),
        ),
        (
            winograd.weight_grad(gy32, x32, spec),
            gpu.conv2d_weight_grad(gy32, x32, spec),
            plain.conv2d_weight_grad(gy64, x64, spec),
        ),
    ]:
        errors = [np.sqrt(np.square(found.get() - exact).mean()) for found in (tiles, columns)]
        assert errors[1] < errors[0] <= 8 * errors[1]


@pytest.mark.parametrize("tiles", [1, 3, 4, 5, 8, 9])
def test_the_workspace_is_bounded_and_every_tile_is_in_one_chunk(tiles, monkeypatch):
    spec = conv_spec((1, 2, 4, 4 * tiles), (3, 2, 3, 3), padding=1)
    for room in (4, 8):
        monkeypatch.setattr(winograd, "CHUNK", 36 * 5 * room)
        whole, together = winograd._step(spec)
        assert whole == tiles and together <= room and together % winograd.LINE == 0
        x, w, b, gy = drawn(spec)
        exact = plain.conv2d_weight_grad(*[a.astype(np.float64) for a in (gy, x)], spec)
        close(winograd.weight_grad(there(gy), there(x), spec).get(), exact, table=FIGURES)


def test_its_products_keep_all_digits(monkeypatch):
    """On tensor cores they would lose more than the user allowed."""
    asked = []
    multiplied = gpu.xp.gemmStridedBatchedEx
    monkeypatch.setattr(gpu.xp, "gemmStridedBatchedEx", lambda *args: (asked.append(args[-2]), multiplied(*args)))
    monkeypatch.setattr(gemm.settings, "allow_tf32", True)
    spec = conv_spec((1, 1, 4, 4), (1, 1, 3, 3), padding=1)
    x, w, _, gy = map(there, drawn(spec))
    winograd.forward(x, w, None, spec)
    winograd.weight_grad(gy, x, spec)
    assert set(asked) == {68}


def chosen(image, filters, size=3, dtype=np.float32, **rest):
    groups = rest.get("groups", 1)
    spec = conv_spec(image, (filters, image[1] // groups, size, size), **{"padding": 1, **rest})
    return winograd.chosen(spec, np.dtype(dtype))


def test_the_choice():
    assert chosen((64, 64, 56, 56), 64) and chosen((128, 16, 32, 32), 16) and chosen((64, 512, 7, 7), 512)
    assert not chosen((64, 3, 224, 224), 64)  # so few channels that the filters' tiles cost more than columns
    assert not chosen((4, 16, 8, 8), 16)  # so little that launches are what it costs
    assert not chosen((64, 64, 2, 2), 64)  # most of a tile lies outside
    assert not chosen((1, 512, 7, 7), 512)  # the weights' tiles cost more than columns
    assert not chosen((64, 64, 56, 56), 64, size=5)
    assert not chosen((64, 64, 56, 56), 64, stride=2) and not chosen((64, 64, 56, 56), 64, dilation=2)
    assert not chosen((64, 64, 56, 56), 64, dtype=np.float64)


def test_tensor_cores_are_better_at_many_channels(monkeypatch):
    monkeypatch.setattr(winograd.settings, "allow_tf32", True)
    assert chosen((64, 64, 56, 56), 64) and not chosen((64, 512, 14, 14), 512)


def test_it_can_be_forbidden():
    switches = backends.cuda
    assert switches.allow_winograd is True
    try:
        switches.allow_winograd = False
        assert not chosen((64, 64, 56, 56), 64) and backends.cpu.allow_winograd
    finally:
        switches.allow_winograd = True
    with pytest.raises(TypeError, match="True or False"):
        switches.allow_winograd = 1


@pytest.mark.parametrize("biased", [True, False])
def test_the_column_takes_it_where_it_pays(biased, monkeypatch):
    monkeypatch.setattr(winograd, "costs", lambda spec, tf32: (1, 0))
    taken = []

    def noted(name, whole):
        def function(*args, **options):
            taken.append(name)
            return whole(*args, **options)

        return function

    for name in ("forward", "input_grad", "weight_grad"):
        monkeypatch.setattr(winograd, name, noted(name, getattr(winograd, name)))
    spec = conv_spec((1, 2, 3, 4), (2, 2, 3, 3), padding=1)
    x, w, b, gy = drawn(spec)
    b = b if biased else None
    x32, w32, gy32 = there(x.T).T, there(w.T).T, there(gy)
    b32 = there(b[::-1])[::-1] if biased else None
    close(conv.conv2d(x32, w32, b32, spec).get(), plain.conv2d(x, w, b, spec), table=FIGURES)
    gx, gw = conv.conv2d_input_grad(gy32, w32, spec), conv.conv2d_weight_grad(gy32, x32, spec)
    close(gx.get(), plain.conv2d_input_grad(gy, w, spec), table=FIGURES)
    close(gw.get(), plain.conv2d_weight_grad(gy, x, spec), table=FIGURES)
    assert taken == ["forward", "input_grad", "forward", "weight_grad"]
