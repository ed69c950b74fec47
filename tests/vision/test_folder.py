"""Data sets of folders and of noise."""

from __future__ import annotations

import numpy as np
import pytest

from tinycnn.vision import datasets
from tinycnn.vision.datasets import folder

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def pets(tmp_path):
    for number, name in enumerate(["dog/b.png", "dog/a.PNG", "cat/sub/c.png", "cat/z.png", "cat/readme.txt"]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".png":
            Image.new("L", (4, 3), number * 10).save(path, format="PNG")
        else:
            path.write_text("no image")
    (tmp_path / "notes.png").write_text("not in a class")
    return tmp_path


def test_image_folder(pets):
    data = datasets.ImageFolder(pets, transform=np.asarray, target_transform=lambda t: t + 100)
    assert data.classes == ["cat", "dog"] and data.class_to_idx == {"cat": 0, "dog": 1}
    names = [path.removeprefix(str(pets)) for path, _ in data.samples]
    assert names == ["/cat/z.png", "/cat/sub/c.png", "/dog/a.PNG", "/dog/b.png"]
    assert data.targets == [0, 0, 1, 1] and data.imgs is data.samples and len(data) == 4
    pixels, target = data[2]
    assert pixels.shape == (3, 4, 3) and (pixels == 10).all() and target == 101
    assert datasets.ImageFolder(str(pets))[0][0].mode == "RGB"
    assert "Number of datapoints: 4" in repr(data) and str(pets) in repr(data)


def test_dataset_folder(pets):
    data = datasets.DatasetFolder(pets, lambda path: path[-10:], extensions=(".txt",), allow_empty=True)
    assert data.samples == [(str(pets / "cat/readme.txt"), 0)] and data[0] == ("readme.txt", 0)
    data = datasets.ImageFolder(pets, is_valid_file=lambda path: path.endswith("b.png"), allow_empty=True)
    assert data.targets == [1] and data.extensions is None


def test_folders_refuse(pets, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no valid file for the classes dog \(supported: .txt\)"):
        datasets.DatasetFolder(pets, str, extensions=(".txt",))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(FileNotFoundError, match="no folders"):
        datasets.ImageFolder(tmp_path / "nothing")
    with pytest.raises(ValueError, match="one of both"):
        folder.make_dataset(pets, {"dog": 0})
    with pytest.raises(ValueError, match="one of both"):
        folder.make_dataset(pets, {"dog": 0}, ".png", str)
    with pytest.raises(ValueError, match="at least one class"):
        folder.make_dataset(pets, {}, ".png")
    assert folder.is_image_file("A.JPG") and not folder.is_image_file("a.txt")


def test_fake_data_repeats():
    data = datasets.FakeData(5, (3, 8, 6), 4, transform=np.asarray)
    image, target = data[3]
    assert image.shape == (8, 6, 3) and image.dtype == np.uint8 and 0 <= target < 4 and type(target) is int
    assert np.array_equal(data[3][0], image) and not np.array_equal(data[2][0], image)
    shifted = datasets.FakeData(5, (3, 8, 6), 4, transform=np.asarray, random_offset=1)
    assert np.array_equal(shifted[2][0], image)
    assert datasets.FakeData(2, (1, 8, 6), transform=np.asarray)[0][0].shape == (8, 6)
    assert len(list(data)) == len(data) == 5
    with pytest.raises(IndexError, match="index 5 is out of range for 5"):
        data[5]
    with pytest.raises(ValueError, match="image_size"):
        datasets.FakeData(5, (2, 8, 6))


def test_a_data_set_of_ones_own():
    class Mine(datasets.VisionDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return self.transforms(index, -index)

        def extra_repr(self):
            return "Split: all"

    assert Mine("x", lambda a, b: (a + 1, b + 1))[1] == (2, 0)
    assert Mine("x", transform=lambda a: a * 10)[1] == (10, -1)
    assert repr(Mine("x")) == "Dataset Mine\n    Number of datapoints: 2\n    Root location: x\n    Split: all"
    with pytest.raises(ValueError, match="not both"):
        Mine("x", lambda a, b: (a, b), transform=lambda a: a)
