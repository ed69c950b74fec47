"""The digits that scikit-learn carries, and their fixed split."""

import hashlib
import sys

import numpy as np
import pytest

import tinycnn
from tinycnn.vision import transforms
from tinycnn.vision.datasets import Digits
from tinycnn.vision.datasets.digits import _splitmix64

load_digits = pytest.importorskip("sklearn.datasets").load_digits


def test_split_is_stratified_complete_and_fixed():
    train, test = Digits(), Digits(train=False)
    assert (len(train), len(test)) == (1438, 359)
    assert sorted(np.concatenate([train.positions, test.positions])) == list(range(1797))
    labels = load_digits().target
    share = np.bincount(test.targets.numpy()) / np.bincount(labels)
    assert abs(share - 0.2).max() < 0.003
    assert hashlib.md5(test.positions.astype("<i4").tobytes()).hexdigest() == "078140e511296549b646f8d039d8583d"


def test_contents():
    images, labels = load_digits().images, load_digits().target
    for dataset in (Digits(), Digits(train=False)):
        assert dataset.data.dtype is tinycnn.uint8 and dataset.targets.dtype is tinycnn.int64
        assert np.array_equal(dataset.data.numpy(), np.rint(images[dataset.positions] * 255 / 16))
        assert np.array_equal(dataset.targets.numpy(), labels[dataset.positions])
        assert dataset.data.numpy().max() == 255 and dataset.classes == list("0123456789")


def test_items():
    dataset = Digits(transform=transforms.Compose([transforms.Resize(32), transforms.ToTensor()]), target_transform=str)
    image, label = dataset[0]
    assert image.shape == (1, 32, 32) and label == str(dataset.targets[0].item())
    assert repr(Digits()).splitlines() == ["Dataset Digits", "    Number of datapoints: 1438", "    Split: Train"]


def test_splitmix64_is_the_published_generator():
    # the first outputs for seed 1234567, from the reference implementation in C by S. Vigna
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert _splitmix64(1234567, 4).tolist() == expected


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"needs scikit-learn.*pip install 'tinycnn\[examples\]'"):
        Digits()
