"""The published files, where they are at hand: the environment variable TINYCNN_DATA, or ../shared/data."""

import os
from pathlib import Path

import numpy as np
import pytest

from tinycnn.utils.data import DataLoader
from tinycnn.vision import transforms
from tinycnn.vision.datasets import CIFAR10, MNIST, FashionMNIST

ROOT = Path(os.environ.get("TINYCNN_DATA") or Path(__file__).parents[3] / "shared" / "data")


def need(folder):
    if not (ROOT / folder).is_dir():
        pytest.skip(f"no {folder} in {ROOT}; set TINYCNN_DATA to a folder that has it")


@pytest.mark.parametrize(
    ("kind", "folder", "mean", "std", "first"),
    [(MNIST, "mnist", 0.1307, 0.3081, [7, 2, 1, 0]), (FashionMNIST, "fashion-mnist", 0.2860, 0.3530, [9, 2, 1, 1])],
)
def test_mnist_and_fashion_mnist(kind, folder, mean, std, first):
    need(folder)
    train, test = kind(ROOT, verify=True), kind(ROOT / folder, train=False, verify=True)
    assert tuple(train.data.shape) == (60000, 28, 28) and tuple(test.data.shape) == (10000, 28, 28)
    assert test.targets.tolist()[:4] == first
    assert np.bincount(test.targets.numpy(), minlength=10).sum() == 10000
    pixels = train.data.numpy()  # the widely quoted mean and deviation of the training images
    assert abs(pixels.mean() / 255 - mean) < 1e-4 and abs(pixels.std() / 255 - std) < 1e-4
    other = FashionMNIST if kind is MNIST else MNIST
    with pytest.raises(RuntimeError, match=f"labels of {kind.__name__}, not of {other.__name__}"):
        other(ROOT / folder, train=False)


def test_cifar10():
    need("cifar-10-batches-py")
    train = CIFAR10(ROOT, batches=(1, 2), verify=True)
    test = CIFAR10(ROOT / "cifar-10-batches-py", train=False, verify=True)
    assert train.data.shape == (20000, 32, 32, 3) and test.data.shape == (10000, 32, 32, 3)
    assert np.bincount(test.targets).tolist() == [1000] * 10
    assert [train.classes[t] for t in train.targets[:4]] == ["frog", "truck", "truck", "deer"]
    assert [test.classes[t] for t in test.targets[:4]] == ["cat", "ship", "ship", "airplane"]
    # the widely quoted channel means of the training images are those of all five batches: 0.4914 0.4822 0.4465
    assert np.allclose(train.data.mean(axis=(0, 1, 2)) / 255, [0.4914, 0.4822, 0.4465], atol=3e-3)
    if not (ROOT / "cifar-10-batches-py" / "data_batch_5").exists():
        with pytest.raises(RuntimeError, match=r"data_batch_3, data_batch_4, data_batch_5 missing"):
            CIFAR10(ROOT)


def test_batches_of_cifar10():
    need("cifar-10-batches-py")
    pipeline = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )
    dataset = CIFAR10(ROOT, train=False, transform=pipeline)
    images, labels = next(iter(DataLoader(dataset, 128, shuffle=True, num_workers=2)))
    assert tuple(images.shape) == (128, 3, 32, 32) and tuple(labels.shape) == (128,)
    assert -1 <= images.min().item() and images.max().item() <= 1
