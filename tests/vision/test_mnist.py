"""MNIST and Fashion-MNIST from small IDX files made here."""

import gzip
import hashlib
import zipfile

import numpy as np
import pytest

import tinycnn
from tinycnn.vision import transforms
from tinycnn.vision.datasets import EMNIST, KMNIST, MNIST, FashionMNIST
from tinycnn.vision.datasets.mnist import read_idx

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 0, 9, 1, 1], np.uint8)


def idx(array, kind=8):
    return bytes((0, 0, kind, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def write(folder, part="train", images=IMAGES, labels=LABELS, zipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
        content = array if isinstance(array, bytes) else idx(array)
        (folder / (stem + ".gz" * zipped)).write_bytes(gzip.compress(content) if zipped else content)


@pytest.mark.parametrize("folder", ["MNIST/raw", "MNIST", "mnist", "raw", "."])
@pytest.mark.parametrize("zipped", [False, True])
def test_reads_every_folder(tmp_path, folder, zipped):
    write(tmp_path / folder, zipped=zipped)
    dataset = MNIST(tmp_path)
    assert len(dataset) == 5
    assert dataset.data.dtype is tinycnn.uint8 and np.array_equal(dataset.data.numpy(), IMAGES)
    assert dataset.targets.dtype is tinycnn.int64 and dataset.targets.tolist() == LABELS.tolist()
    assert dataset.class_to_idx["3 - three"] == 3 and len(dataset.classes) == 10


def test_other_names_and_the_environment(tmp_path, monkeypatch):
    (tmp_path / "t10k-images.idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "t10k-labels.idx1-ubyte").write_bytes(gzip.compress(idx(LABELS)))  # gzip is told by its content
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path))
    assert len(MNIST(train=False)) == 5
    monkeypatch.delenv("TINYCNN_DATA")
    with pytest.raises(ValueError, match="give root=.*TINYCNN_DATA"):
        MNIST(train=False)


def test_items_and_transforms(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    write(tmp_path)
    image, label = MNIST(tmp_path)[0]
    assert isinstance(image, Image.Image) and image.mode == "L" and image.size == (28, 28) and type(label) is int
    assert np.array_equal(np.asarray(image), IMAGES[0]) and label == 3
    dataset = MNIST(tmp_path, transform=transforms.ToTensor(), target_transform=lambda y: -y)
    image, label = dataset[2]
    assert np.array_equal(image.numpy(), IMAGES[2][None].astype("f4") / np.float32(255)) and label == -9
    assert repr(dataset).splitlines() == [
        "Dataset MNIST",
        "    Number of datapoints: 5",
        f"    Root location: {tmp_path}",
        "    Split: Train",
        "    Transform: ToTensor()",
    ]
    with pytest.raises(IndexError):
        dataset[5]
    with pytest.raises(TypeError, match="transform must be a function"):
        MNIST(tmp_path, transform=3)


def test_data_may_be_replaced(tmp_path):
    write(tmp_path)
    dataset = MNIST(tmp_path, transform=transforms.ToTensor())
    dataset.data, dataset.targets = dataset.data[3:], dataset.targets[3:]
    assert len(dataset) == 2 and dataset[0][1] == 1


def test_missing_files_name_the_places(tmp_path):
    message = r"train-images-idx3-ubyte \(or .*\.gz\) is in none of .*MNIST/raw.*download=True"
    with pytest.raises(RuntimeError, match=message):
        MNIST(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with 00 00 08 03, this one with nothing"),
        (b"\x00\x00\x08\x01" + bytes(12), "starts with 00 00 08 03, this one with 00 00 08 01"),
        (b"\x00\x00\x0d\x03" + bytes(12), "this one with 00 00 0d 03"),
        (b"<htm" + bytes(12), "this one with 3c 68 74 6d"),
        (b"\x00\x00\x08\x03" + bytes(5), "header must have 16 bytes, the file ends after 9"),
        (idx(IMAGES)[:-1], "announces 5 x 28 x 28 = 3920 bytes of data, the file has only 3919; it is cut short"),
        (idx(IMAGES) + b"x", "= 3920 bytes of data, the file has more; it is too long"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12 + bytes(9), "has only 9; it is cut short"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_bad_idx_files(tmp_path, content, message, zipped):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(RuntimeError, match=message) as caught:
        read_idx(path, 3)
    assert str(path) in str(caught.value)


def test_damaged_gzip_files(tmp_path):
    good = gzip.compress(idx(IMAGES))
    path = tmp_path / "train-images-idx3-ubyte.gz"
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0x55
    checksum = bytearray(good)
    checksum[-6] ^= 1
    for damaged in (good[:-9], good[:200], good[:5], bytes(flipped), bytes(checksum), good + b"garbage"):
        path.write_bytes(damaged)
        with pytest.raises(RuntimeError, match="cut short|damaged") as caught:
            read_idx(path, 3)
        assert str(path) in str(caught.value)
    path.write_bytes(good)
    assert np.array_equal(read_idx(path, 3), IMAGES)


def test_every_cut_of_a_file_is_refused(tmp_path):
    path = tmp_path / "labels"
    content = idx(LABELS)
    for end in range(len(content)):
        path.write_bytes(content[:end])
        with pytest.raises(RuntimeError):
            read_idx(path, 1)
    zipped = gzip.compress(content)
    for end in range(len(zipped)):
        path.write_bytes(zipped[:end])
        with pytest.raises(RuntimeError):
            read_idx(path, 1)


def test_images_and_labels_must_fit(tmp_path):
    write(tmp_path, labels=LABELS[:4])
    with pytest.raises(RuntimeError, match="4 labels for the 5 images"):
        MNIST(tmp_path)
    write(tmp_path, labels=np.array([0, 1, 2, 10, 3], np.uint8))
    with pytest.raises(RuntimeError, match=r"labels must lie in 0\.\.9, but number 3 is 10"):
        MNIST(tmp_path)
    write(tmp_path, images=IMAGES[:, 1:])
    with pytest.raises(RuntimeError, match="must be 28 x 28, these are 27 x 28"):
        MNIST(tmp_path)


def test_the_files_of_the_other_data_set_are_refused(tmp_path):
    digits = np.array([int(c) for c in MNIST.first_labels["train"]], np.uint8)
    write(tmp_path, images=np.zeros((20, 28, 28), np.uint8), labels=digits)
    assert len(MNIST(tmp_path)) == 20
    with pytest.raises(RuntimeError, match="these are the labels of MNIST, not of FashionMNIST"):
        FashionMNIST(tmp_path)
    clothes = np.array([int(c) for c in FashionMNIST.first_labels["t10k"]], np.uint8)
    write(tmp_path, "t10k", images=np.zeros((20, 28, 28), np.uint8), labels=clothes)
    assert FashionMNIST(tmp_path, train=False).classes[9] == "Ankle boot"
    with pytest.raises(RuntimeError, match="of FashionMNIST, not of MNIST"):
        MNIST(tmp_path, train=False)


def test_verify_checks_the_checksums(tmp_path):
    write(tmp_path, zipped=True)
    MNIST(tmp_path)
    with pytest.raises(RuntimeError, match=r"train-images-idx3-ubyte\.gz: the md5 checksum must be f68b3c2d"):
        MNIST(tmp_path, verify=True)


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror of small files, with their checksums in place of the published ones."""
    folder = tmp_path / "mirror"
    write(folder, "train", zipped=True)
    write(folder, "t10k", zipped=True)
    monkeypatch.setattr(MNIST, "mirrors", [folder.as_uri() + "/"])
    sums = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in MNIST.checksums}
    monkeypatch.setattr(MNIST, "checksums", sums)
    return folder


def test_download_fetches_what_is_missing(tmp_path, mirror):
    root = tmp_path / "new" / "root"
    dataset = MNIST(root, download=True, verify=True)
    assert np.array_equal(dataset.data.numpy(), IMAGES)
    assert sorted(p.name for p in (root / "MNIST/raw").iterdir()) == sorted(MNIST.checksums)
    for path in mirror.iterdir():
        path.unlink()
    assert len(MNIST(root, train=False, download=True)) == 5  # nothing left to fetch


def test_download_refuses_damaged_files(tmp_path, mirror):
    (mirror / "t10k-labels-idx1-ubyte.gz").write_bytes(b"an error page")
    with pytest.raises(RuntimeError, match="the md5 checksum must be"):
        MNIST(tmp_path / "root", download=True)
    whole = sorted(set(MNIST.checksums) - {"t10k-labels-idx1-ubyte.gz"})
    assert sorted(p.name for p in (tmp_path / "root/MNIST/raw").iterdir()) == whole


def test_kmnist_has_its_own_folder_and_classes(tmp_path):
    write(tmp_path / "KMNIST/raw")
    dataset = KMNIST(tmp_path)
    assert len(dataset) == 5 and dataset.class_to_idx["wo"] == 9
    with pytest.raises(RuntimeError, match="KMNIST: t10k-images-idx3-ubyte"):
        KMNIST(tmp_path, train=False)


def test_emnist_has_splits(tmp_path, monkeypatch):
    source = tmp_path / "mirror"
    source.mkdir()
    with zipfile.ZipFile(source / "gzip.zip", "w") as archive:
        for part in ("train", "test"):
            archive.writestr(f"gzip/emnist-letters-{part}-images-idx3-ubyte.gz", gzip.compress(idx(IMAGES)))
            archive.writestr(f"gzip/emnist-letters-{part}-labels-idx1-ubyte.gz", gzip.compress(idx(LABELS + 17)))
    monkeypatch.setattr(EMNIST, "mirrors", [source.as_uri() + "/"])
    monkeypatch.setattr(EMNIST, "archive", ("gzip.zip", hashlib.md5((source / "gzip.zip").read_bytes()).hexdigest()))
    dataset = EMNIST(tmp_path / "root", "letters", train=False, download=True)
    assert dataset.targets.tolist() == [20, 17, 26, 18, 18] and dataset.classes[26] == "z"
    assert len(EMNIST(tmp_path / "root", split="letters", train=True)) == 5
    lengths = {split: len(names) for split, names in EMNIST.splits.items()}
    assert lengths == {"byclass": 62, "bymerge": 47, "balanced": 47, "letters": 27, "digits": 10, "mnist": 10}
    with pytest.raises(ValueError, match="split must be one of byclass"):
        EMNIST(tmp_path, "words")
    with pytest.raises(RuntimeError, match="emnist-digits-train-images-idx3-ubyte"):
        EMNIST(tmp_path, "digits")
