"""Transforms against NumPy's formulas, for PIL images, arrays and tensors alike."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn
from tinycnn import nn
from tinycnn.vision import _pillow
from tinycnn.vision import transforms as T
from tinycnn.vision.transforms import functional as F

Image = pytest.importorskip("PIL.Image")
MODES = {"edge": "edge", "reflect": "reflect", "symmetric": "symmetric"}


def picture(height, width, channels=1, seed=0):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def as_kind(array, kind):
    if kind == "pil":
        return Image.fromarray(array)
    if kind == "tensor":
        return tinycnn.tensor(array[None] if array.ndim == 2 else array.transpose(2, 0, 1).copy())
    return array


def as_array(image):
    """Back to (H, W) or (H, W, C)."""
    if isinstance(image, tinycnn.Tensor):
        planes = image.numpy()
        return planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0)
    return np.asarray(image)


kinds = st.sampled_from(["pil", "array", "tensor"])
sizes = st.integers(1, 9)
images = st.builds(picture, sizes, sizes, st.sampled_from([1, 3]), st.integers(0, 99))


# -- ToTensor, Normalize ----------------------------------------------------------------------------------------------


@given(images, st.sampled_from(["pil", "array"]))
def test_to_tensor(array, kind):
    result = T.ToTensor()(as_kind(array, kind))
    assert result.dtype is tinycnn.float32 and result.is_contiguous()
    expected = (array[None] if array.ndim == 2 else array.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)
    assert result.shape == expected.shape and (result.numpy() == expected).all()


def test_to_tensor_keeps_what_is_not_uint8():
    for dtype in ("float32", "float64", "int32", "int64", "bool"):
        array = np.ones((2, 3), dtype)
        result = T.ToTensor()(array)
        assert result.dtype is getattr(tinycnn, dtype) and result.shape == (1, 2, 3)
        assert not np.shares_memory(result.numpy(), array)


def test_to_tensor_knows_pillows_modes():
    grey = Image.fromarray(picture(2, 3))
    assert T.ToTensor()(grey.convert("1")).numpy().max() <= 1.0
    assert T.ToTensor()(Image.new("1", (3, 2), 1)).tolist() == [[[1.0] * 3] * 2]
    assert T.ToTensor()(grey.convert("RGBA")).shape == (4, 2, 3) and T.ToTensor()(grey.convert("LA")).shape == (2, 2, 3)
    assert T.ToTensor()(Image.new("I", (3, 2), 70000)).tolist() == [[[70000] * 3] * 2]
    assert T.ToTensor()(Image.new("I;16", (1, 1), 60000)).tolist() == [[[60000]]]
    assert T.ToTensor()(Image.new("F", (1, 1), 0.25)).tolist() == [[[0.25]]]


def test_to_tensor_refuses():
    with pytest.raises(TypeError, match="got Tensor"):
        T.ToTensor()(tinycnn.zeros(1, 2, 2))
    with pytest.raises(TypeError, match="got str"):
        T.ToTensor()("cat.png")
    with pytest.raises(ValueError, match=r"got shape \(2,\)"):
        T.ToTensor()(np.zeros(2, np.uint8))
    with pytest.raises(TypeError, match="complex64"):
        T.ToTensor()(np.zeros((2, 2), np.complex64))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normalize(dtype):
    x = tinycnn.tensor(np.random.default_rng(0).random((2, 3, 4, 5)).astype(dtype))
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    expected = (x.numpy() - np.array(mean, dtype).reshape(3, 1, 1)) / np.array(std, dtype).reshape(3, 1, 1)
    result = T.Normalize(mean, std)(x)
    assert result.dtype is x.dtype and np.array_equal(result.numpy(), expected)
    one = T.Normalize((0.5,), (0.5,))(x[0])
    assert np.array_equal(one.numpy(), (x.numpy()[0] - np.array(0.5, dtype)) / np.array(0.5, dtype))
    before = x.clone()
    assert T.Normalize(mean, std, inplace=True)(x) is x
    assert np.array_equal(x.numpy(), expected) and not np.array_equal(before.numpy(), expected)


def test_normalize_has_a_gradient():
    x = tinycnn.ones(1, 2, 2, requires_grad=True)
    T.Normalize([0.5], [0.25])(x).sum().backward()
    assert x.grad.tolist() == [[[4, 4], [4, 4]]]


def test_normalize_refuses():
    x = tinycnn.zeros(3, 2, 2)
    with pytest.raises(TypeError, match="apply ToTensor first"):
        T.Normalize([0], [1])(picture(2, 2))
    with pytest.raises(TypeError, match="float tensor, got tinycnn.uint8"):
        T.Normalize([0], [1])(tinycnn.zeros(1, 2, 2, dtype=tinycnn.uint8))
    with pytest.raises(ValueError, match="mean has 2 values for a tensor of 3 channels"):
        T.Normalize([0, 0], [1, 1])(x)
    with pytest.raises(ValueError, match="divide by zero"):
        T.Normalize([0, 0, 0], [1, 0, 1])(x)
    with pytest.raises(ValueError, match="divide by zero"):
        T.Normalize([0], [1e-60])(x)
    with pytest.raises(ValueError, match=r"\(\.\.\., C, H, W\)"):
        T.Normalize([0], [1])(tinycnn.zeros(2, 2))


# -- Pad, crops, flip -------------------------------------------------------------------------------------------------

paddings = st.one_of(
    st.integers(0, 4),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.tuples(*[st.integers(0, 4)] * 4),
)


def four(padding):
    if isinstance(padding, int):
        return (padding,) * 4
    return tuple(padding) * (4 // len(padding))


@given(images, kinds, paddings, st.integers(0, 255))
def test_pad_constant(array, kind, padding, fill):
    left, top, right, bottom = four(padding)
    border = ((top, bottom), (left, right), (0, 0))[: array.ndim]
    result = T.Pad(padding, fill)(as_kind(array, kind))
    assert np.array_equal(as_array(result), np.pad(array, border, constant_values=fill))


@given(images, kinds, paddings, st.sampled_from(["edge", "reflect", "symmetric"]))
def test_pad_other_modes(array, kind, padding, mode):
    left, top, right, bottom = four(padding)
    border = ((top, bottom), (left, right), (0, 0))[: array.ndim]
    room = [n - (mode == "reflect") for n in array.shape[:2]]
    legal = mode == "edge" or (max(top, bottom) <= room[0] and max(left, right) <= room[1])
    transform = T.Pad(padding, padding_mode=mode)
    if legal:
        result = transform(as_kind(array, kind))
        assert np.array_equal(as_array(result), np.pad(array, border, mode=mode))
    else:
        with pytest.raises(ValueError, match=f"{mode} padding of .* needs at least as many pixels"):
            transform(as_kind(array, kind))


@pytest.mark.parametrize("kind", ["pil", "array", "tensor"])
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_negative_padding_cuts_off(kind, mode):
    array = picture(6, 7, 3)
    result = F.pad(as_kind(array, kind), (-1, 2, 3, -2), 0, mode)
    kept = array[:4, 1:]
    assert np.array_equal(as_array(result), np.pad(kept, ((2, 0), (0, 3), (0, 0)), mode=mode))
    with pytest.raises(ValueError, match="leaves nothing of an image of 6 x 7"):
        F.pad(as_kind(array, kind), (-3, 0, -4, 0), 0, mode)
    with pytest.raises(ValueError, match="leaves nothing"):
        F.pad(as_kind(array, kind), (-8, 0, 9, 0), 0, mode)


def test_pad_fills_per_channel_and_keeps_palettes():
    array = picture(2, 2, 3)
    for kind in ("pil", "array"):
        result = as_array(F.pad(as_kind(array, kind), 1, (1, 2, 3)))
        assert result[0, 0].tolist() == [1, 2, 3] and np.array_equal(result[1:-1, 1:-1], array)
        assert as_array(F.pad(as_kind(array, kind), 1, 7))[0, 0].tolist() == [7, 7, 7]
        with pytest.raises(ValueError, match="fill has 2 values for an image of 3 channels"):
            F.pad(as_kind(array, kind), 1, (1, 2))
    with pytest.raises(TypeError, match="one number as fill"):
        F.pad(as_kind(array, "tensor"), 1, (1, 2, 3))
    palette = Image.fromarray(array).convert("P")
    for mode in ("constant", "edge"):
        padded = F.pad(palette, 1, 0, mode)
        assert padded.mode == "P" and padded.getpalette() == palette.getpalette()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("a",), TypeError, "padding must be an int or a sequence"),
        ((1.5,), TypeError, "padding must be an int or a sequence"),
        (((1, 2.0),), TypeError, "made of ints"),
        (((1, 2, 3),), ValueError, "1, 2 or 4 numbers, got 3"),
        ((1, "red"), TypeError, "fill must be a number"),
        ((1, 0, "circular"), ValueError, "constant, edge, reflect, symmetric, got 'circular'"),
    ],
)
def test_pad_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        T.Pad(*arguments)


@given(images, kinds, st.data())
def test_crop_inside(array, kind, data):
    height, width = array.shape[:2]
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    h, w = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    result = F.crop(as_kind(array, kind), top, left, h, w)
    assert np.array_equal(as_array(result), array[top : top + h, left : left + w])


@given(images, kinds, st.integers(-3, 3), st.integers(-3, 3))
def test_crop_beyond_the_border_is_zero(array, kind, top, left):
    height, width = array.shape[:2]
    frame = np.pad(array, ((3, 10), (3, 10), (0, 0))[: array.ndim])
    h, w = height + 1, width + 1
    result = F.crop(as_kind(array, kind), top, left, h, w)
    assert np.array_equal(as_array(result), frame[top + 3 : top + 3 + h, left + 3 : left + 3 + w])


@given(images, kinds, sizes, sizes)
def test_center_crop(array, kind, h, w):
    height, width = array.shape[:2]
    result = as_array(T.CenterCrop((h, w))(as_kind(array, kind)))
    assert result.shape == (h, w, *array.shape[2:])
    if h <= height and w <= width:
        top, left = round((height - h) / 2), round((width - w) / 2)
        assert np.array_equal(result, array[top : top + h, left : left + w])
    elif h >= height and w >= width:
        top, left = (h - height) // 2, (w - width) // 2
        assert np.array_equal(result[top : top + height, left : left + width], array) and result.sum() == array.sum()


@given(images, kinds, st.integers(0, 3), st.data())
def test_random_crop_is_a_window_of_the_padded_image(array, kind, padding, data):
    padded = np.pad(array, ((padding, padding), (padding, padding), (0, 0))[: array.ndim])
    h, w = data.draw(st.integers(1, padded.shape[0])), data.draw(st.integers(1, padded.shape[1]))
    result = as_array(T.RandomCrop((h, w), padding=padding)(as_kind(array, kind)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (h, w), axis=(0, 1))
    windows = np.moveaxis(windows, 2, -1) if array.ndim == 3 else windows
    assert (windows == result).all(axis=tuple(range(2, windows.ndim))).any()


def test_random_crop_draws_every_place_equally():
    tinycnn.manual_seed(0)
    array = np.arange(16, dtype=np.uint8).reshape(4, 4)
    crop = T.RandomCrop(2)
    corners = np.bincount([crop(array)[0, 0] for _ in range(1800)], minlength=16).reshape(4, 4)
    assert corners[3].sum() == corners[:, 3].sum() == 0
    assert 150 < corners[:3, :3].min() and corners[:3, :3].max() < 250


@pytest.mark.parametrize("kind", ["pil", "array", "tensor"])
def test_random_crop_pads_only_if_told(kind):
    image = as_kind(picture(3, 8, 3), kind)
    with pytest.raises(ValueError, match=r"size \(5, 5\) is larger than the image \(3, 8\)"):
        T.RandomCrop(5)(image)
    assert as_array(T.RandomCrop(5, pad_if_needed=True)(image)).shape == (5, 5, 3)
    assert as_array(T.RandomCrop(5, pad_if_needed=True, padding_mode="edge")(image)).shape == (5, 5, 3)
    assert np.array_equal(as_array(T.RandomCrop((3, 8))(image)), as_array(image))


@given(images, kinds)
def test_flip(array, kind):
    image = as_kind(array, kind)
    assert np.array_equal(as_array(T.RandomHorizontalFlip(1.0)(image)), array[:, ::-1])
    assert T.RandomHorizontalFlip(0.0)(image) is image


def test_flip_probability():
    tinycnn.manual_seed(1)
    array = np.array([[0, 1]], np.uint8)
    flip = T.RandomHorizontalFlip(0.2)
    assert 140 < sum(flip(array)[0, 0] for _ in range(1000)) < 260
    for bad in (-0.1, 1.5, "0.5", True):
        with pytest.raises(ValueError, match="probability"):
            T.RandomHorizontalFlip(bad)


@pytest.mark.parametrize("bad", [0, -3, 2.0, (3, 0), (1, 2, 3), (), True])
def test_sizes_are_checked(bad):
    for transform in (T.RandomCrop, T.CenterCrop, T.Resize):
        with pytest.raises((ValueError, TypeError), match="must be (a positive int|an int) or a pair"):
            transform(bad)


def test_tensor_geometry_has_gradients():
    x = tinycnn.ones(1, 3, 3, requires_grad=True)
    y = F.hflip(F.crop(F.pad(F.pad(x, 1, 0, "reflect"), 1), 0, 0, 6, 7))
    y.sum().backward()
    # reflect by 1: the middle row and column show three times, cut off below by the crop (one row of zeros only)
    assert x.grad.sum().item() == 25


# -- Resize -----------------------------------------------------------------------------------------------------------


def slow_triangle(row, new):
    """Pillow's antialiased bilinear resampling of one row, by its definition."""
    old, result = len(row), []
    scale = old / new
    stretch = max(scale, 1.0)
    for i in range(new):
        centre = (i + 0.5) * scale
        taps = [max(0.0, 1 - abs((j + 0.5 - centre) / stretch)) for j in range(old)]
        result.append(sum(t * v for t, v in zip(taps, row, strict=True)) / sum(taps))
    return result


@pytest.mark.parametrize(("old", "new"), [(8, 32), (28, 32), (32, 8), (7, 5), (5, 7), (1, 4), (4, 1)])
def test_resize_of_float_tensors_is_pillows_bilinear(old, new):
    x = np.random.default_rng(0).random((2, old, old + 1))
    result = T.Resize((new, new + 2))(tinycnn.tensor(x, dtype=tinycnn.float64)).numpy()
    columns = np.array([[slow_triangle(row, new + 2) for row in plane] for plane in x])
    expected = np.array([[slow_triangle(row, new) for row in plane.T] for plane in columns]).transpose(0, 2, 1)
    assert np.allclose(result, expected, rtol=0, atol=1e-12)
    pillow = np.stack([np.asarray(Image.fromarray(plane.astype("f4")).resize((new + 2, new), 2)) for plane in x])
    assert np.allclose(T.Resize((new, new + 2))(tinycnn.tensor(x.astype("f4"))).numpy(), pillow, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("old", "new"), [(8, 32), (32, 9)])
def test_bicubic_resize_of_tensors_is_pillows(old, new):
    x = np.random.default_rng(0).random((old, old)).astype("f4")
    result = T.Resize((new, new), "bicubic")(tinycnn.tensor(x[None])).numpy()[0]
    assert np.allclose(result, np.asarray(Image.fromarray(x).resize((new, new), 3)), rtol=0, atol=2e-6)


def test_resize_without_antialias():
    # PyTorch: F.interpolate(arange(4.), size, mode=..., align_corners=False) on the row 0 1 2 3
    row = tinycnn.arange(4).float().reshape(1, 1, 4)
    two = T.Resize((1, 2), antialias=False)(row)
    assert np.allclose(two.numpy(), [[[0.5, 2.5]]])
    eight = T.Resize((1, 8), antialias=False)(row)
    assert np.allclose(eight.numpy(), [[[0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]]])
    cubic = T.Resize((1, 2), T.InterpolationMode.BICUBIC, antialias=False)(row)
    assert np.allclose(cubic.numpy(), [[[0.40625, 2.59375]]])
    nearest = T.Resize((1, 3), T.InterpolationMode.NEAREST)(row)
    assert nearest.tolist() == [[[0, 1, 2]]]
    exact = T.Resize((1, 3), T.InterpolationMode.NEAREST_EXACT)(row)
    assert exact.tolist() == [[[0, 2, 3]]]


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"])
@pytest.mark.parametrize("channels", [1, 3])
def test_resize_of_arrays_is_pillows(mode, channels):
    array = picture(9, 13, channels)
    pillow = T.Resize((5, 20), mode)(Image.fromarray(array))
    assert pillow.size == (20, 5)
    assert np.array_equal(T.Resize((5, 20), mode)(array), np.asarray(pillow))
    assert T.Resize((5, 20), mode)(array.reshape(9, 13, channels)).shape == (5, 20, channels)


def test_resize_of_integer_tensors_rounds():
    array = picture(8, 8)
    result = T.Resize((32, 32))(as_kind(array, "tensor"))
    pillow = np.asarray(T.Resize((32, 32))(Image.fromarray(array))).astype(int)
    assert result.dtype is tinycnn.uint8 and abs(result.numpy()[0].astype(int) - pillow).max() <= 1
    white = T.Resize((3, 3), "bicubic")(tinycnn.full((1, 8, 8), 255, dtype=tinycnn.uint8))
    assert (white.numpy() == 255).all()
    with pytest.raises(TypeError, match="bool"):
        T.Resize((2, 2))(tinycnn.zeros(1, 4, 4, dtype=tinycnn.bool))


def test_resize_of_float_arrays_keeps_dtype_and_layout():
    x = np.random.default_rng(0).random((6, 5, 3))
    result = T.Resize((3, 4))(x)
    planes = T.Resize((3, 4))(tinycnn.tensor(x.transpose(2, 0, 1).copy(), dtype=tinycnn.float64)).numpy()
    assert result.dtype == np.float64 and np.array_equal(result, planes.transpose(1, 2, 0))
    assert T.Resize((3, 4))(x[..., 0]).shape == (3, 4)


@pytest.mark.parametrize(
    ("shape", "size", "max_size", "expected"),
    [
        ((10, 20), 5, None, (5, 10)),
        ((20, 10), 5, None, (10, 5)),
        ((10, 10), 7, None, (7, 7)),
        ((10, 25), 6, None, (6, 15)),
        ((10, 40), 5, 12, (3, 12)),
        ((10, 40), 11, 30, (7, 30)),
        ((1, 40), 2, 3, (1, 3)),
        ((10, 20), [5], None, (5, 10)),
        ((10, 20), (4, 3), None, (4, 3)),
        ((10, 20), 10, None, (10, 20)),
    ],
)
@pytest.mark.parametrize("kind", ["pil", "array", "tensor"])
def test_resize_sizes(shape, size, max_size, expected, kind):
    result = T.Resize(size, max_size=max_size)(as_kind(picture(*shape), kind))
    assert as_array(result).shape == expected


def test_resize_refuses():
    x = tinycnn.zeros(1, 4, 4)
    with pytest.raises(ValueError, match="max_size=5 must be above .* 5"):
        T.Resize(5, max_size=5)(x)
    with pytest.raises(ValueError, match="needs size to be one number"):
        T.Resize((5, 5), max_size=9)(x)
    with pytest.raises(ValueError, match="not for tensors"):
        T.Resize(2, "lanczos")(x)
    with pytest.raises(ValueError, match="nearest, .*, or Pillow's number, got 'linear'"):
        T.Resize(2, "linear")
    assert T.Resize(2, 3).interpolation is T.InterpolationMode.BICUBIC


def test_resize_of_tensors_has_gradients():
    x = tinycnn.ones(1, 4, 4, requires_grad=True)
    T.Resize((8, 8))(x).sum().backward()
    assert np.allclose(x.grad.sum().item(), 64)


# -- together ---------------------------------------------------------------------------------------------------------


def test_compose_lambda_and_reprs():
    pipeline = T.Compose([T.Lambda(lambda image: 255 - image), T.ToTensor()])
    assert pipeline(np.full((1, 1), 255, np.uint8)).tolist() == [[[0.0]]]
    with pytest.raises(TypeError, match="expected a function, got int"):
        T.Lambda(3)
    texts = {
        T.ToTensor(): "ToTensor()",
        T.Normalize((0.5,), (0.5,)): "Normalize(mean=(0.5,), std=(0.5,))",
        T.Resize(32): "Resize(size=32, interpolation=bilinear, max_size=None, antialias=True)",
        T.Pad((1, 2)): "Pad(padding=(1, 2), fill=0, padding_mode=constant)",
        T.RandomCrop(32, padding=4): "RandomCrop(size=(32, 32), padding=4)",
        T.RandomHorizontalFlip(): "RandomHorizontalFlip(p=0.5)",
        T.CenterCrop(20): "CenterCrop(size=(20, 20))",
        pipeline: "Compose(\n    Lambda()\n    ToTensor()\n)",
    }
    for transform, text in texts.items():
        assert repr(transform) == text


def test_transforms_go_into_sequential():
    pipeline = nn.Sequential(T.CenterCrop(2), T.Normalize([0.5], [0.5]))
    assert pipeline(tinycnn.ones(1, 4, 4)).tolist() == [[[1, 1], [1, 1]]]


def test_other_things_are_no_images():
    others = (lambda x: F.pad(x, 1), lambda x: F.resize(x, 2), lambda x: F.crop(x, 0, 0, 1, 1))
    for function in (F.hflip, F.get_dimensions, *others):
        with pytest.raises(TypeError, match="expected a PIL image, a NumPy array or a Tensor, got list"):
            function([1, 2])
        with pytest.raises(ValueError, match=r"\(H, W\) or \(H, W, C\), got shape \(2,\)"):
            function(np.zeros(2))
        with pytest.raises(ValueError, match=r"\(\.\.\., H, W\), got shape \(2,\)"):
            function(tinycnn.zeros(2))


def test_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    _pillow._installed.cache_clear()
    try:
        array = picture(6, 6, 3)
        assert _pillow.as_image(array) is array
        geometry = [T.Pad(1), T.RandomCrop(6), T.CenterCrop(5), T.RandomHorizontalFlip()]
        pipeline = T.Compose([*geometry, T.ToTensor(), T.Normalize([0.5], [0.5]), T.Resize(8)])
        assert pipeline(array).shape == (3, 8, 8)
        with pytest.raises(ImportError, match=r"needs Pillow.*pip install 'tinycnn\[examples\]'"):
            T.Resize(8)(array)
    finally:
        _pillow._installed.cache_clear()
