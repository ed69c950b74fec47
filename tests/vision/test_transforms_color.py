"""Colours: PIL images against Pillow, tensors against the formulas, arrays against tensors."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

import tinycnn
from tinycnn.vision import transforms as T
from tinycnn.vision.transforms import functional as F

Image = pytest.importorskip("PIL.Image")
ImageEnhance = pytest.importorskip("PIL.ImageEnhance")
ImageOps = pytest.importorskip("PIL.ImageOps")


def picture(height=7, width=9, channels=3, seed=0):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def tensor_of(array):
    return tinycnn.tensor((array[None] if array.ndim == 2 else array.transpose(2, 0, 1)).copy())


CASES = {
    "brightness": (F.adjust_brightness, (1.4,), lambda i: ImageEnhance.Brightness(i).enhance(1.4)),
    "contrast": (F.adjust_contrast, (0.6,), lambda i: ImageEnhance.Contrast(i).enhance(0.6)),
    "saturation": (F.adjust_saturation, (0.3,), lambda i: ImageEnhance.Color(i).enhance(0.3)),
    "sharpness": (F.adjust_sharpness, (1.7,), lambda i: ImageEnhance.Sharpness(i).enhance(1.7)),
    "grey": (F.rgb_to_grayscale, (3,), lambda i: i.convert("L").convert("RGB")),
    "invert": (F.invert, (), ImageOps.invert),
    "posterize": (F.posterize, (3,), lambda i: ImageOps.posterize(i, 3)),
    "solarize": (F.solarize, (100,), lambda i: ImageOps.solarize(i, 100)),
    "autocontrast": (F.autocontrast, (), ImageOps.autocontrast),
    "equalize": (F.equalize, (), ImageOps.equalize),
    "gamma": (F.adjust_gamma, (1.7,), None),
}


@pytest.mark.parametrize("name", CASES)
def test_pil_images_go_through_pillow_and_tensors_agree_closely(name):
    function, arguments, pillow = CASES[name]
    array = picture(40, 50)
    result = function(Image.fromarray(array), *arguments)
    if pillow is not None:
        assert np.array_equal(np.asarray(result), np.asarray(pillow(Image.fromarray(array))))
    tensor = function(tensor_of(array), *arguments)
    assert tensor.dtype is tinycnn.uint8 and tensor.shape == (3, 40, 50)
    apart = np.abs(tensor.numpy().transpose(1, 2, 0).astype(int) - np.asarray(result).astype(int))
    assert apart.max() <= 2, apart.max()
    assert np.array_equal(function(array, *arguments), tensor.numpy().transpose(1, 2, 0))


@pytest.mark.parametrize("name", set(CASES) - {"posterize", "equalize"})
def test_floats_in_0_to_1_agree_with_uint8(name):
    function, arguments, _ = CASES[name]
    array = picture(20, 30)
    if name == "solarize":
        result = F.solarize(tensor_of(array).float() / 255, 100 / 255)
    else:
        result = function(tensor_of(array).float() / 255, *arguments)
    exact = function(tensor_of(array), *arguments).numpy().astype(float) / 255
    assert result.dtype is tinycnn.float32 and np.abs(result.numpy() - exact).max() < 2.1 / 255


def test_hue_is_that_of_colorsys():
    rgb = np.random.default_rng(1).random((3, 5, 6), dtype=np.float32)
    rgb[:, 0, 0] = 0.5
    result = F.adjust_hue(tinycnn.tensor(rgb), 0.3).numpy()
    for i in range(5):
        for j in range(6):
            hue, saturation, value = colorsys.rgb_to_hsv(*map(float, rgb[:, i, j]))
            assert np.allclose(result[:, i, j], colorsys.hsv_to_rgb((hue + 0.3) % 1, saturation, value), atol=1e-5)
    array = picture()
    turned = np.asarray(F.adjust_hue(Image.fromarray(array), 0.25)).astype(int)
    assert (
        np.abs(F.adjust_hue(tensor_of(array), 0.25).numpy().transpose(1, 2, 0) - turned).max() < 20
    )  # Pillow's hues have 8 bits
    assert F.adjust_hue(tensor_of(array), 0).numpy().shape == (3, 7, 9)
    grey = tinycnn.rand(1, 3, 3)
    assert (F.adjust_hue(grey, 0.5) == grey).all()


def test_factors_are_checked():
    x = tinycnn.rand(3, 4, 4)
    for function in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_sharpness, F.adjust_gamma):
        with pytest.raises(ValueError, match="from 0 on, got -1"):
            function(x, -1)
    with pytest.raises(ValueError, match=r"\[-0.5, 0.5\]"):
        F.adjust_hue(x, 0.6)
    with pytest.raises(TypeError, match="1 or 3 channels"):
        F.adjust_contrast(tinycnn.rand(2, 4, 4), 1)
    for function in (F.equalize, lambda i: F.posterize(i, 3)):
        with pytest.raises(TypeError, match="only uint8"):
            function(x)
    with pytest.raises(ValueError, match="bits"):
        F.posterize(x, 9)
    with pytest.raises(ValueError, match="1 or 3"):
        F.rgb_to_grayscale(x, 2)


def test_color_jitter_draws_in_its_ranges_and_repeats():
    jitter = T.ColorJitter(0.4, (0.5, 2), 0.3, 0.1)
    assert (jitter.brightness, jitter.contrast, jitter.hue) == ((0.6, 1.4), (0.5, 2.0), (-0.1, 0.1))
    orders = set()
    for _ in range(50):
        order, b, c, s, h = T.ColorJitter.get_params(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
        orders.add(tuple(order.tolist()))
        assert 0.6 <= b <= 1.4 and 0.5 <= c <= 2 and 0.7 <= s <= 1.3 and -0.1 <= h <= 0.1
    assert len(orders) > 10
    x = tinycnn.rand(3, 5, 5)
    tinycnn.manual_seed(3)
    first = jitter(x)
    tinycnn.manual_seed(3)
    assert (jitter(x) == first).all() and not (jitter(x) == first).all()
    assert T.ColorJitter().brightness is None and (T.ColorJitter()(x) == x).all()
    assert repr(T.ColorJitter(0.4)) == "ColorJitter(brightness=(0.6, 1.4), contrast=None, saturation=None, hue=None)"
    with pytest.raises(ValueError, match="from 0 on"):
        T.ColorJitter(brightness=-1)
    with pytest.raises(ValueError, match=r"hue must lie in \(-0.5, 0.5\)"):
        T.ColorJitter(hue=0.7)
    with pytest.raises(TypeError, match="a pair"):
        T.ColorJitter(contrast=(1, 2, 3))


def test_grayscale():
    assert (
        T.Grayscale(3)(Image.fromarray(picture())).mode == "RGB" and T.Grayscale()(tinycnn.rand(3, 4, 4)).shape[0] == 1
    )
    assert T.RandomGrayscale(1.0)(tinycnn.rand(3, 4, 4)).shape[0] == 3
    luma = F.rgb_to_grayscale(tinycnn.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1)).item()
    assert luma == pytest.approx(0.2989 + 2 * 0.587 + 3 * 0.114)


def test_random_changes():
    array = picture()
    image = Image.fromarray(array)
    for make, function in [
        (lambda p: T.RandomInvert(p), F.invert),
        (lambda p: T.RandomPosterize(2, p), lambda i: F.posterize(i, 2)),
        (lambda p: T.RandomSolarize(90, p), lambda i: F.solarize(i, 90)),
        (lambda p: T.RandomAdjustSharpness(2, p), lambda i: F.adjust_sharpness(i, 2)),
        (lambda p: T.RandomAutocontrast(p), F.autocontrast),
        (lambda p: T.RandomEqualize(p), F.equalize),
    ]:
        assert make(0)(image) is image
        assert np.array_equal(np.asarray(make(1)(image)), np.asarray(function(image)))
    assert (
        repr(T.RandomPosterize(2)) == "RandomPosterize(bits=2,p=0.5)"
        and repr(T.RandomInvert()) == "RandomInvert(p=0.5)"
    )
    with pytest.raises(ValueError, match="RandomInvert: p must be"):
        T.RandomInvert(2)


def test_random_erasing():
    x = tinycnn.ones(3, 20, 30)
    tinycnn.manual_seed(0)
    for _ in range(30):
        zeros = 600 - int(T.RandomErasing(1.0, scale=(0.1, 0.2))(x)[0].sum())
        assert 40 <= zeros <= 140
    assert (x == 1).all() and T.RandomErasing(0)(x) is x
    colours = T.RandomErasing(1.0, value=(0.25, 0.5, 0.75))(x)
    assert [sorted(set(plane.flatten().tolist())) for plane in colours] == [[0.25, 1], [0.5, 1], [0.75, 1]]
    assert len(set(T.RandomErasing(1.0, value="random")(x).flatten().tolist())) > 30
    own = x.clone()
    assert T.RandomErasing(1.0, inplace=True)(own) is own and not (own == 1).all()
    assert (F.erase(picture(), 1, 2, 3, 4, 0)[1:4, 2:6] == 0).all()
    for options, error in [
        ({"value": "x"}, ValueError),
        ({"scale": (0.5, 2)}, ValueError),
        ({"value": None}, TypeError),
    ]:
        with pytest.raises(error, match="RandomErasing"):
            T.RandomErasing(**options)
    with pytest.raises(ValueError, match="1 or 3 numbers, got 2"):
        T.RandomErasing(1.0, value=(1, 2))(x)
    with pytest.raises(TypeError, match="ToTensor"):
        F.erase(Image.fromarray(picture()), 0, 0, 1, 1, 0)


def test_gaussian_blur():
    x = np.random.default_rng(0).random((2, 8, 9))
    result = T.GaussianBlur((3, 5), 1.2)(tinycnn.tensor(x)).numpy()
    across, down = (np.exp(-0.5 * (np.arange(-r, r + 1) / 1.2) ** 2) for r in (1, 2))
    kernel = np.outer(down / down.sum(), across / across.sum())
    padded = np.pad(x, ((0, 0), (2, 2), (1, 1)), mode="reflect")
    expected = sum(kernel[i, j] * padded[:, i : i + 8, j : j + 9] for i in range(5) for j in range(3))
    assert np.allclose(result, expected)
    array = picture()
    blurred = F.gaussian_blur(Image.fromarray(array), 3)
    assert blurred.mode == "RGB" and np.array_equal(np.asarray(blurred), F.gaussian_blur(array, 3))
    assert F.gaussian_blur(tensor_of(array), [3, 3], [0.8]).dtype is tinycnn.uint8
    for bad in ((2, 1.0), (0, 1.0), ((3, 3, 3), 1.0), (3, -1.0), (99, 1.0)):
        with pytest.raises(ValueError, match="gaussian_blur"):
            F.gaussian_blur(tensor_of(array), *bad)
    with pytest.raises(ValueError, match="odd"):
        T.GaussianBlur(4)


# -- conversions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "1", "I", "F"])
def test_pil_to_tensor_and_back(mode):
    image = Image.fromarray(picture(channels=3)).convert(mode)
    tensor = T.PILToTensor()(image)
    assert tensor.shape == (len(image.getbands()), 7, 9)
    if mode not in ("1", "F"):
        again = T.ToPILImage()(tensor)
        assert again.mode == mode and again.tobytes() == image.tobytes()
    with pytest.raises(TypeError, match="expected a PIL image"):
        T.PILToTensor()(tensor)


def test_to_pil_image():
    x = tinycnn.tensor([[0.0, 0.5], [0.999, 1.0]])
    assert np.asarray(F.to_pil_image(x)).tolist() == [[0, 127], [254, 255]]
    assert F.to_pil_image(x, "F").mode == "F" and F.to_pil_image(x.numpy()).mode == "F"
    assert np.array_equal(np.asarray(T.ToPILImage()(picture())), picture())
    assert F.to_pil_image(picture(), "HSV").mode == "HSV" and repr(T.ToPILImage("L")) == "ToPILImage(mode=L)"
    assert np.array_equal(np.asarray(F.to_pil_image(T.ToTensor()(picture()))), picture())
    for bad, error in [(3, TypeError), (np.zeros(3), ValueError), (tinycnn.zeros(5, 2, 2), ValueError)]:
        with pytest.raises(error, match="to_pil_image"):
            F.to_pil_image(bad)
    with pytest.raises(ValueError, match="mode must be one of RGB"):
        F.to_pil_image(picture(), "L")
    with pytest.raises(TypeError, match="do not exist"):
        F.to_pil_image(np.zeros((2, 2), np.float64))


def test_convert_image_dtype():
    levels = tinycnn.arange(256).to(tinycnn.uint8)
    floats = F.convert_image_dtype(levels)
    assert floats.dtype is tinycnn.float32 and floats[255].item() == 1
    assert (F.convert_image_dtype(floats, tinycnn.uint8) == levels).all()
    wide = T.ConvertImageDtype(tinycnn.int16)(levels)
    assert wide[255].item() == 255 * 128 and (F.convert_image_dtype(wide, tinycnn.uint8) == levels).all()
    assert F.convert_image_dtype(levels, tinycnn.uint8) is levels
    assert F.convert_image_dtype(floats, tinycnn.float64).dtype is tinycnn.float64
    with pytest.raises(RuntimeError, match="float32"):
        F.convert_image_dtype(floats, tinycnn.int32)
    with pytest.raises(TypeError, match="expected a Tensor"):
        F.convert_image_dtype(picture())
