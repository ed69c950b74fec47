"""Datasets and the ways to cut and join them."""

import warnings

import numpy as np
import pytest

import tinycnn
from tinycnn.utils.data import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)


class Squares(Dataset):
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return index * index


class Count(IterableDataset):
    def __init__(self, size):
        self.size = size

    def __iter__(self):
        return iter(range(self.size))

    def __len__(self):
        return self.size


def test_tensor_dataset_gives_rows():
    x, y = tinycnn.arange(6).reshape(3, 2), tinycnn.tensor([7, 8, 9])
    dataset = TensorDataset(x, y)
    assert len(dataset) == 3
    row, label = dataset[1]
    assert row.tolist() == [2, 3] and label.item() == 8
    assert [part.tolist() for part in dataset[-2:]] == [[[2, 3], [4, 5]], [8, 9]]


def test_tensor_dataset_refuses_what_has_no_common_rows():
    x = tinycnn.zeros(3, 2)
    with pytest.raises(ValueError, match=r"same size in dimension 0, got \[3, 4\]"):
        TensorDataset(x, tinycnn.zeros(4))
    with pytest.raises(ValueError, match="argument 1 is a 0-d tensor"):
        TensorDataset(x, tinycnn.tensor(1.0))
    with pytest.raises(TypeError, match="argument 0 must be a Tensor, got ndarray"):
        TensorDataset(np.zeros(3))
    with pytest.raises(ValueError, match="at least one"):
        TensorDataset()


def test_subset_and_concat():
    part = Subset(Squares(10), [7, 2])
    assert len(part) == 2 and list(part[i] for i in range(2)) == [49, 4]
    joined = Squares(3) + part
    assert isinstance(joined, ConcatDataset) and len(joined) == 5
    assert [joined[i] for i in range(5)] == [0, 1, 4, 49, 4]
    assert joined[-1] == 4 and joined[-5] == 0
    for outside, error in ((5, IndexError), (-6, ValueError)):
        with pytest.raises(error, match=f"index {outside} is out of range for 5"):
            joined[outside]
    with pytest.raises(ValueError, match="at least one"):
        ConcatDataset([])
    with pytest.raises(TypeError, match="ChainDataset"):
        ConcatDataset([Count(3)])


def test_iterating_a_concat_dataset_ends():
    assert list(ConcatDataset([Squares(2), Squares(2)])) == [0, 1, 0, 1]


def test_chain():
    chain = Count(2) + Count(3)
    assert isinstance(chain, ChainDataset) and list(chain) == [0, 1, 0, 1, 2] and len(chain) == 5
    with pytest.raises(TypeError, match="ConcatDataset"):
        ChainDataset([Squares(2)])


def test_abstract_classes_say_what_is_missing():
    with pytest.raises(TypeError, match="must define __getitem__"):
        Dataset()[0]
    with pytest.raises(TypeError, match="must define __iter__"):
        iter(IterableDataset())


def test_random_split_is_a_partition_and_repeats():
    def split(seed):
        parts = random_split(Squares(20), [12, 5, 3], generator=tinycnn.Generator().manual_seed(seed))
        return [part.indices for part in parts]

    first = split(1)
    assert [len(p) for p in first] == [12, 5, 3]
    assert sorted(i for part in first for i in part) == list(range(20))
    assert first == split(1) != split(2)


def test_random_split_by_fractions_gives_the_rest_to_the_first():
    # floor(0.3 * 10) = 3, 3, floor(0.4 * 10) = 4
    assert [len(p) for p in random_split(Squares(10), [0.3, 0.3, 0.4])] == [3, 3, 4]
    # floor(11 / 3) = 3 each, two remain
    assert [len(p) for p in random_split(Squares(11), [1 / 3, 1 / 3, 1 / 3])] == [4, 4, 3]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        random_split(Squares(1), [0.5, 0.5])
    assert "index 1 is empty" in str(caught[0].message)


def test_random_split_refuses():
    with pytest.raises(ValueError, match=r"\[3, 4\] sum to 7, but the dataset has 10"):
        random_split(Squares(10), [3, 4])
    with pytest.raises(ValueError, match="index 0 must lie in"):
        random_split(Squares(10), [1.5, -0.5])
    with pytest.raises(ValueError, match="fractions that sum to 1"):
        random_split(Squares(10), [0.5, 0.25])
    with pytest.raises(ValueError, match="sizes from 0 on"):
        random_split(Squares(10), [11, -1])


def test_stack_dataset():
    numbers = TensorDataset(tinycnn.arange(4))
    pairs = StackDataset(numbers, list("abcd"))
    assert pairs[2][1] == "c" and pairs[2][0][0].item() == 2 and len(pairs) == 4
    named = StackDataset(number=range(4), letter=list("abcd"))
    assert named[1] == {"number": 1, "letter": "b"} and named.__getitems__([0, 3])[1] == {"number": 3, "letter": "d"}
    assert pairs.__getitems__([1])[0][1] == "b"
    for make, message in [
        (lambda: StackDataset(), "not both"),
        (lambda: StackDataset(range(2), a=range(2)), "not both"),
        (lambda: StackDataset(range(2), range(3)), r"one length, got \[2, 3\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()

    class Short(list):
        def __getitems__(self, indices):
            return [0]

    with pytest.raises(ValueError, match="gave 1 samples for 2 indices"):
        StackDataset(Short([1, 2])).__getitems__([0, 1])


def test_a_subset_asks_its_dataset_once_for_many():
    asked = []

    class Many(list):
        def __getitems__(self, indices):
            asked.append(indices)
            return [self[i] * 10 for i in indices]

    subset = Subset(Many(range(9)), [8, 6, 4])
    assert subset.__getitems__([0, 2]) == [80, 40] and asked == [[8, 4]]

    class Mine(Subset):
        def __getitem__(self, index):
            return -super().__getitem__(index)

    assert Mine(Many(range(9)), [8, 6, 4]).__getitems__([0, 2]) == [-8, -4]
