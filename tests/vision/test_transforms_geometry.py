"""Crops, rotations, affine and perspective maps, policies, and transforms of batches."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinycnn
from tinycnn.utils.data import DataLoader, TensorDataset, default_collate
from tinycnn.vision import transforms as T
from tinycnn.vision.transforms import functional as F
from tinycnn.vision.transforms import v2

Image = pytest.importorskip("PIL.Image")


def picture(height=8, width=11, channels=3, seed=0):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def tensor_of(array):
    return tinycnn.tensor((array[None] if array.ndim == 2 else array.transpose(2, 0, 1)).copy())


def planes_of(image):
    return np.asarray(image) if not isinstance(image, tinycnn.Tensor) else image.numpy().transpose(1, 2, 0)


KINDS = {"pil": Image.fromarray, "array": lambda a: a, "tensor": tensor_of}


@pytest.mark.parametrize("kind", KINDS)
def test_quarter_turns_and_shifts_are_exact(kind):
    square = picture(9, 9)
    image = KINDS[kind](square)
    for quarters in range(4):
        assert np.array_equal(planes_of(F.rotate(image, 90.0 * quarters)), np.rot90(square, quarters))
    shifted = planes_of(F.affine(image, 0, [2, -3], 1.0, 0.0))
    assert np.array_equal(shifted[:6, 2:], square[3:, :7]) and not shifted[6:].any() and not shifted[:, :2].any()
    filled = planes_of(F.affine(image, 0, [2, 0], 1.0, 0.0, fill=[1, 2, 3]))
    assert (filled[:, :2] == [1, 2, 3]).all() and np.array_equal(filled[:, 2:], square[:, :7])
    assert np.array_equal(planes_of(F.vflip(image)), square[::-1])


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_tensors_turn_as_pil_images_do(mode):
    smooth = np.add.outer(np.arange(30), 2 * np.arange(40)).astype(np.float32)
    for angle, expand in ((30.0, False), (-77.0, True), (180.0, False)):
        image = F.rotate(Image.fromarray(smooth), angle, mode, expand)
        tensor = F.rotate(tinycnn.tensor(smooth), angle, mode, expand)
        assert tensor.shape == (image.height, image.width)
        inside = F.rotate(tinycnn.ones(30, 40), angle, "bilinear", expand).numpy() > 0.999
        inside[1:-1, 1:-1] &= inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
        inside[[0, -1]] = inside[:, [0, -1]] = False
        assert np.abs(tensor.numpy() - np.asarray(image))[inside].max() < (2.5 if mode == "nearest" else 0.9)


def test_affine_follows_its_formula():
    # a linear image shows, at each pixel, where the pixel came from
    rows, columns = np.mgrid[0:21, 0:31].astype(np.float64)
    for angle, shift, scale, shear, center in [
        (20.0, [2, -1], 1.3, [8.0, -5.0], None),
        (-50.0, [0, 0], 0.8, [0.0, 0.0], [4, 6]),
    ]:
        places = [
            F.affine(tinycnn.tensor(c), angle, shift, scale, shear, "bilinear", center=center).numpy()
            for c in (columns, rows)
        ]
        covered = F.affine(
            tinycnn.ones(21, 31, dtype=tinycnn.float64), angle, shift, scale, shear, "bilinear", center=center
        )
        middle = np.array([15.5, 10.5] if center is None else center) - 0.5
        a, x, y = (math.radians(v) for v in (angle, *shear))
        turn = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
        bend = np.array([[1, 0], [-math.tan(y), 1]]) @ np.array([[1, -math.tan(x)], [0, 1]])
        forward = scale * turn @ bend
        came_from = np.stack(places, -1)[covered.numpy() > 0.999]
        goes_to = np.stack([columns, rows], -1)[covered.numpy() > 0.999]
        assert len(goes_to) > 100
        assert np.allclose((came_from - middle) @ forward.T + middle + shift, goes_to, atol=1e-6)


def test_perspective_moves_the_corners():
    image = picture(16, 16)
    start = [[0, 0], [15, 0], [15, 15], [0, 15]]
    for kind in KINDS.values():
        assert np.array_equal(planes_of(F.perspective(kind(image), start, start, "nearest")), image)
    smooth = np.add.outer(3 * np.arange(40), 2 * np.arange(50)).astype(np.float32)
    start, end = [[0, 0], [49, 0], [49, 39], [0, 39]], [[5, 3], [45, 0], [40, 36], [2, 30]]
    tensor = F.perspective(tinycnn.tensor(smooth), start, end).numpy()
    pil = np.asarray(F.perspective(Image.fromarray(smooth), start, end))
    assert np.abs(tensor - pil)[10:28, 10:38].max() < 0.1 and tensor[0, 0] == 0
    assert (F.perspective(tinycnn.tensor(smooth), start, end, fill=7.0)[0, 0] == 7).all()
    with pytest.raises(ValueError, match="four points"):
        F.perspective(Image.fromarray(image), start[:3], end)


def test_maps_refuse():
    x = tinycnn.rand(3, 5, 5)
    for call, message in [
        (lambda: F.affine(x, 0, [1], 1, 0), "translate"),
        (lambda: F.affine(x, 0, [1, 1], 0, 0), "scale must be above 0"),
        (lambda: F.affine(x, 0, [1, 1], 1, [1, 2, 3]), "shear"),
        (lambda: F.affine(x, 0, [1, 1], 1, 0, "bicubic"), "nearest or bilinear"),
        (lambda: F.rotate(x, 3.0, center=[1]), "center"),
        (lambda: F.rotate(x, 3.0, fill=[1, 2]), "fill has 2 values for an image of 3"),
        (lambda: T.RandomRotation(-1), "from 0 on"),
        (lambda: T.RandomAffine(3, translate=(2, 0)), "shares"),
        (lambda: T.RandomAffine(3, scale=(0, 1)), "above 0"),
        (lambda: T.RandomAffine(3, shear=(1, 2, 3)), "2 or 4"),
        (lambda: T.RandomPerspective(2), "distortion_scale"),
        (lambda: T.RandomResizedCrop(4, scale=(1, 0.5)), "low, high"),
        (lambda: F.five_crop(x, 6), "larger than the image"),
        (lambda: T.RandomChoice([1, 2], p=[1]), "one chance for each"),
        (lambda: T.MixUp(alpha=0), "alpha"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="angle must be a number"):
        F.rotate(x, "90")


def test_random_parameters_stay_in_their_ranges():
    tinycnn.manual_seed(1)
    image = Image.fromarray(picture(20, 30))
    for _ in range(100):
        top, left, height, width = T.RandomResizedCrop.get_params(image, (0.2, 0.5), (0.5, 2))
        assert 0 <= top <= 20 - height and 0 <= left <= 30 - width
        assert 0.15 < height * width / 600 < 0.56 and 0.4 < width / height < 2.5
        assert -3 <= T.RandomRotation.get_params([-3, 3]) <= 3
        angle, shift, scale, shear = T.RandomAffine.get_params((-9, 9), (0.1, 0.2), (0.5, 2), (-1, 1, -2, 2), (30, 20))
        assert abs(angle) <= 9 and abs(shift[0]) <= 3 and abs(shift[1]) <= 4 and 0.5 <= scale <= 2
        assert abs(shear[0]) <= 1 and abs(shear[1]) <= 2
        start, end = T.RandomPerspective.get_params(30, 20, 0.5)
        assert all(
            abs(a - b) <= limit
            for p, q in zip(start, end, strict=True)
            for a, b, limit in zip(p, q, (7, 5), strict=True)
        )
    assert T.RandomResizedCrop.get_params(image, (4, 5), (1, 1)) == (0, 5, 20, 20)  # nothing fits: the middle


@pytest.mark.parametrize("kind", KINDS)
def test_every_random_transform_takes_every_kind_and_repeats(kind):
    image = KINDS[kind](picture(20, 30))
    transforms = [
        T.RandomVerticalFlip(),
        T.RandomResizedCrop(9),
        T.RandomRotation(30, fill=9),
        T.RandomAffine(30, (0.1, 0.1), (0.8, 1.2), 5, fill=9),
        T.RandomPerspective(p=1),
        T.ColorJitter(0.3, 0.3, 0.3, 0.3),
        T.GaussianBlur(3),
        T.RandomGrayscale(0.5),
        T.AutoAugment(),
        T.AutoAugment(T.AutoAugmentPolicy.CIFAR10),
        T.AutoAugment(T.AutoAugmentPolicy.SVHN),
        T.RandAugment(),
        T.TrivialAugmentWide(),
        T.RandomApply([T.RandomInvert()], p=0.5),
        T.RandomOrder([T.RandomInvert(), T.RandomSolarize(99)]),
        T.RandomChoice([T.RandomInvert(), T.RandomSolarize(99)]),
    ]
    for transform in transforms:
        results = []
        for _ in range(2):
            tinycnn.manual_seed(5)
            results.append([planes_of(transform(image)) for _ in range(4)])
        for first, second in zip(*results, strict=True):
            assert np.array_equal(first, second), transform
        assert type(transform(image)) is type(image) or kind == "pil"
        assert repr(transform).startswith(type(transform).__name__ + "(")


def test_policies_apply_every_change():
    policy = T.TrivialAugmentWide()
    image = Image.fromarray(picture(20, 30))
    for name in (
        "ShearX",
        "ShearY",
        "TranslateX",
        "TranslateY",
        "Rotate",
        "Brightness",
        "Color",
        "Contrast",
        "Sharpness",
    ):
        assert not np.array_equal(policy.change(image, name, 2.0), image), name
    assert policy.change(image, "Identity", 0) is image
    assert np.array_equal(policy.change(image, "Posterize", 2.0), F.posterize(image, 2))
    for policy in T.AutoAugmentPolicy:
        assert len(T.AutoAugment(policy).policies) == 25
    assert T.AutoAugment().policies[0] == [("Posterize", 0.4, 8), ("Rotate", 0.6, 9)]
    with pytest.raises(ValueError, match="magnitude must lie in"):
        T.RandAugment(magnitude=31)
    with pytest.raises(ValueError, match="AutoAugmentPolicy"):
        T.AutoAugment("imagenet")


def test_crops():
    array = picture(8, 11)
    corners = T.FiveCrop((3, 4))(tensor_of(array))
    expected = [array[:3, :4], array[:3, 7:], array[5:, :4], array[5:, 7:], array[2:5, 4:8]]
    assert all(np.array_equal(planes_of(c), e) for c, e in zip(corners, expected, strict=True))
    assert len(T.TenCrop(3)(array)) == 10 and np.array_equal(T.TenCrop(3)(array)[5], array[:3, ::-1][:, :3])
    assert np.array_equal(T.TenCrop(3, True)(array)[5], array[::-1][:3, :3])
    assert T.RandomResizedCrop(5)(Image.fromarray(array)).size == (5, 5)
    text = "scale=(0.08, 1.0), ratio=(0.75, 1.3333), interpolation=bilinear, antialias=True"
    assert repr(T.RandomResizedCrop(5)) == f"RandomResizedCrop(size=(5, 5), {text})"


def test_several():
    double, plus = (lambda x: x * 2), (lambda x: x + 1)
    tinycnn.manual_seed(0)
    assert {T.RandomOrder([double, plus])(5) for _ in range(30)} == {11, 12}
    assert {T.RandomChoice([double, plus])(5) for _ in range(30)} == {10, 6}
    assert {T.RandomChoice([double, plus], p=[0, 3])(5) for _ in range(9)} == {6}
    assert {T.RandomApply([double, plus], p=0.5)(5) for _ in range(30)} == {5, 11}
    assert repr(T.RandomApply([plus], 0.2)).startswith("RandomApply(\n    p=0.2\n    <function")
    whitened = T.LinearTransformation(tinycnn.eye(4) * 2, tinycnn.ones(4))(tinycnn.arange(4.0).reshape(1, 2, 2))
    assert whitened.flatten().tolist() == [-2, 0, 2, 4]
    with pytest.raises(ValueError, match="4 rows"):
        T.LinearTransformation(tinycnn.eye(4), tinycnn.ones(4))(tinycnn.zeros(1, 2, 3))


# -- batches ----------------------------------------------------------------------------------------------------------


def batch():
    images = tinycnn.arange(4.0).reshape(4, 1, 1, 1).expand(4, 2, 6, 8) * 1.0
    return images, tinycnn.tensor([0, 1, 2, 1])


def test_mixup_mixes_neighbours_and_their_labels_alike():
    tinycnn.manual_seed(2)
    images, labels = batch()
    mixed, weights = T.MixUp(num_classes=3)(images, labels)
    share = float(mixed[1, 0, 0, 0])  # lam * 1 + (1 - lam) * 0
    assert 0 < share < 1 and weights.dtype is tinycnn.float32
    assert np.allclose(
        mixed[:, 0, 0, 0].numpy(), [3 * (1 - share), share, 2 * share + (1 - share), 3 * share + 2 * (1 - share)]
    )
    assert np.allclose(
        weights.numpy(), [[share, 1 - share, 0], [1 - share, share, 0], [0, 1 - share, share], [0, share, 1 - share]]
    )
    assert images[1, 0, 0, 0] == 1
    again = T.MixUp()({"images": mixed, "labels": weights})
    assert set(again) == {"images", "labels"} and again["labels"].shape == (4, 3)


def test_cutmix_pastes_a_rectangle_of_the_neighbour():
    tinycnn.manual_seed(4)
    images, labels = batch()
    for _ in range(20):
        mixed, weights = T.CutMix(num_classes=3)([images, labels])
        pasted = (mixed[2, 0] == 1).numpy()
        assert np.allclose(weights[2].numpy(), [0, pasted.mean(), 1 - pasted.mean()])
        rows, columns = np.flatnonzero(pasted.any(1)), np.flatnonzero(pasted.any(0))
        if len(rows):
            assert pasted[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert ((mixed[2, 0] == 2).numpy() | pasted).all()


def test_mixing_in_the_collate_function():
    either = v2.RandomChoice([v2.CutMix(num_classes=3), v2.MixUp(num_classes=3)])
    loader = DataLoader(
        TensorDataset(*batch()), batch_size=2, collate_fn=lambda samples: either(*default_collate(samples))
    )
    for images, labels in loader:
        assert images.shape == (2, 2, 6, 8) and labels.shape == (2, 3) and np.allclose(labels.sum(1).numpy(), 1)


def test_mixing_refuses():
    images, labels = batch()
    for inputs, message in [
        ((images,), "expected a batch"),
        ((images, labels[:3]), "4 images and 3 labels"),
        ((images, labels * 9), r"in 0\.\.2"),
    ]:
        with pytest.raises(ValueError, match=message):
            T.MixUp(num_classes=3)(*inputs)
    with pytest.raises(ValueError, match="need num_classes"):
        T.CutMix()(images, labels)


def test_cutout():
    tinycnn.manual_seed(0)
    x = tinycnn.ones(3, 12, 12)
    holes = [144 - int(T.Cutout(1, 4)(x)[1].sum()) for _ in range(40)]
    assert max(holes) == 16 and min(holes) >= 4 and (x == 1).all()
    assert (T.Cutout(0)(x) == x).all()
    with pytest.raises(TypeError, match="ToTensor"):
        T.Cutout()(picture())


def test_v2_names():
    pipeline = v2.Compose(
        [v2.ToImage(), v2.Resize(6), v2.ToDtype(tinycnn.float32, scale=True), v2.Normalize([0.5], [0.5])]
    )
    assert pipeline(Image.fromarray(picture())).shape == (3, 6, 8)
    assert v2.ToImage()(picture(channels=1)).shape == (1, 8, 11)
    assert v2.ToDtype(tinycnn.float32)(tinycnn.full((1,), 255, dtype=tinycnn.uint8)).item() == 255
    assert v2.RGB()(tinycnn.rand(1, 2, 2)).shape[0] == 3 and v2.Identity()(3) == 3
    assert all(hasattr(v2, name) for name in v2.__all__) and all(hasattr(T, name) for name in T.__all__)
