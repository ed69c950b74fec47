"""Grids of images, files of images."""

from __future__ import annotations

import io

import numpy as np
import pytest

import tinycnn
from tinycnn.vision import io as vision_io
from tinycnn.vision.utils import draw_bounding_boxes, make_grid, save_image


def test_make_grid_places_images_row_by_row():
    images = tinycnn.arange(5 * 3 * 2 * 4).reshape(5, 3, 2, 4).float()
    grid = make_grid(images, nrow=3, padding=1, pad_value=-1.0)
    assert tuple(grid.shape) == (3, 2 * 3 + 1, 3 * 5 + 1)
    for number in range(5):
        top, left = 1 + number // 3 * 3, 1 + number % 3 * 5
        assert (grid[:, top : top + 2, left : left + 4] == images[number]).all()
    assert int((grid == -1).sum()) == grid.numel() - images.numel()


def test_make_grid_defaults():
    grid = make_grid(tinycnn.zeros(10, 1, 5, 6) + 1)
    assert tuple(grid.shape) == (3, 2 * 7 + 2, 8 * 8 + 2)
    assert float(grid.sum()) == 10 * 3 * 30
    assert tuple(make_grid(tinycnn.zeros(5, 6)).shape) == (3, 5, 6)  # a single image has no frame
    assert tuple(make_grid(tinycnn.zeros(3, 5, 6)).shape) == (3, 5, 6)
    assert tuple(make_grid([tinycnn.zeros(3, 5, 6)] * 2).shape) == (3, 9, 18)
    assert make_grid(tinycnn.zeros(2, 3, 2, 2, dtype=tinycnn.uint8)).dtype is tinycnn.uint8
    assert not make_grid(tinycnn.zeros(2, 3, 2, 2, requires_grad=True)).requires_grad


def test_make_grid_normalizes_all_or_each():
    images = tinycnn.tensor([[0.0, 2.0], [4.0, 8.0]]).reshape(2, 1, 1, 2)
    row = make_grid(images, padding=0, normalize=True)[0, 0]
    assert row.tolist() == [0.0, 0.25, 0.5, 1.0]
    assert make_grid(images, padding=0, normalize=True, scale_each=True)[0, 0].tolist() == [0, 1, 0, 1]
    assert make_grid(images, padding=0, normalize=True, value_range=(2, 4))[0, 0].tolist() == [0, 0, 1, 1]
    assert images.flatten().tolist() == [0, 2, 4, 8]


def test_make_grid_refuses():
    with pytest.raises(TypeError, match="expected a Tensor or a list of Tensors, got int"):
        make_grid(3)
    with pytest.raises(TypeError, match="item 1 of the list must be a Tensor, got float"):
        make_grid([tinycnn.zeros(1, 2, 2), 1.0])
    with pytest.raises(TypeError, match="value_range must be a tuple"):
        make_grid(tinycnn.zeros(2, 1, 2, 2), normalize=True, value_range=[0, 1])
    with pytest.raises(ValueError, match="expected"):
        make_grid(tinycnn.zeros(2))
    with pytest.raises(ValueError, match="no image"):
        make_grid(tinycnn.zeros(0, 1, 2, 2))
    with pytest.raises(ValueError, match="one size"):
        make_grid([tinycnn.zeros(1, 2, 2), tinycnn.zeros(1, 2, 3)])


def test_save_image_rounds_and_clips(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    values = tinycnn.tensor([-1.0, 0.0, 0.5, 0.999, 1.0, 2.0]).reshape(1, 2, 3)
    save_image(values, tmp_path / "x.png")
    pixels = np.asarray(image_module.open(tmp_path / "x.png"))
    assert pixels.shape == (2, 3, 3) and pixels[..., 0].ravel().tolist() == [0, 0, 128, 255, 255, 255]
    buffer = io.BytesIO()
    save_image([values, values], buffer, format="png", padding=0)
    assert np.asarray(image_module.open(buffer)).shape == (2, 6, 3)


def test_read_and_write(tmp_path):
    picture = tinycnn.randint(0, 256, (3, 4, 5), dtype=tinycnn.uint8)
    vision_io.write_png(picture, tmp_path / "x.png")
    assert (vision_io.read_image(tmp_path / "x.png") == picture).all()
    assert tuple(vision_io.read_image(tmp_path / "x.png", vision_io.ImageReadMode.GRAY).shape) == (1, 4, 5)
    assert tuple(vision_io.read_image(tmp_path / "x.png", "RGB_ALPHA").shape) == (4, 4, 5)
    vision_io.write_jpeg(picture[:1], tmp_path / "x.jpg", quality=90)
    assert tuple(vision_io.read_image(str(tmp_path / "x.jpg")).shape) == (1, 4, 5)
    assert (vision_io.decode_image(vision_io.read_file(tmp_path / "x.png")) == picture).all()
    with pytest.raises(ValueError, match=r"a uint8 tensor \(N,\)"):
        vision_io.decode_image(picture)
    with pytest.raises(TypeError, match="uint8"):
        vision_io.write_png(picture.float(), tmp_path / "y.png")
    with pytest.raises(ValueError, match="shape"):
        vision_io.write_png(picture[0], tmp_path / "y.png")
    with pytest.raises(ValueError, match="mode"):
        vision_io.read_image(tmp_path / "x.png", "CMYK")


def test_bounding_boxes():
    picture = tinycnn.zeros(3, 12, 12, dtype=tinycnn.uint8)
    drawn = draw_bounding_boxes(picture, tinycnn.tensor([[2, 3, 8, 9]]), colors="blue")
    assert drawn[2, 3, 2:9].tolist() == [255] * 7 and int(drawn[:2].sum()) == 0 and int(drawn[2, 5, 5]) == 0
    assert int(picture.sum()) == 0
    floating = draw_bounding_boxes(tinycnn.zeros(1, 12, 12), tinycnn.tensor([[2, 3, 8, 9]]), ["a"], [(0, 255, 0)], True)
    assert tuple(floating.shape) == (3, 12, 12) and floating.dtype is tinycnn.float32 and float(floating[1, 3, 4]) == 1
    with pytest.raises(ValueError, match="xmin <= xmax"):
        draw_bounding_boxes(picture, tinycnn.tensor([[8, 3, 2, 9]]))
    with pytest.raises(ValueError, match="2 labels for 1 boxes"):
        draw_bounding_boxes(picture, tinycnn.tensor([[2, 3, 8, 9]]), ["a", "b"])
    with pytest.raises(TypeError, match="uint8 or float"):
        draw_bounding_boxes(picture.long(), tinycnn.tensor([[2, 3, 8, 9]]))
