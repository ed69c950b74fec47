"""Samplers: what they draw, how often, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn
from tinycnn.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


def seeded(seed):
    return tinycnn.Generator().manual_seed(seed)


def test_sequential():
    assert list(SequentialSampler("abc")) == [0, 1, 2] and len(SequentialSampler("abc")) == 3


def test_random_is_a_permutation_that_repeats_with_its_seed():
    sampler = RandomSampler(range(50), generator=seeded(1))
    first, second = list(sampler), list(sampler)
    assert sorted(first) == list(range(50)) and first != second
    assert list(RandomSampler(range(50), generator=seeded(1))) == first
    tinycnn.manual_seed(5)
    once = list(RandomSampler(range(50)))
    tinycnn.manual_seed(5)
    assert list(RandomSampler(range(50))) == once


def test_random_draws_more_than_there_are_by_further_permutations():
    drawn = list(RandomSampler(range(4), num_samples=10, generator=seeded(1)))
    assert len(drawn) == 10
    assert sorted(drawn[:4]) == sorted(drawn[4:8]) == [0, 1, 2, 3] and len(set(drawn[8:])) == 2


def test_random_with_replacement():
    sampler = RandomSampler(range(5), replacement=True, num_samples=1000, generator=seeded(1))
    counts = np.bincount(list(sampler), minlength=5)
    assert counts.sum() == len(sampler) == 1000 and counts.min() > 150


@pytest.mark.parametrize("bad", [0, -1, 2.0, True])
def test_random_refuses_num_samples(bad):
    with pytest.raises(ValueError, match="num_samples must be a positive integer"):
        RandomSampler(range(3), num_samples=bad)


def test_random_refuses_nothing_to_draw_from_and_odd_flags():
    with pytest.raises(ValueError, match="num_samples must be a positive integer, got 0"):
        RandomSampler([])
    with pytest.raises(TypeError, match="replacement must be True or False"):
        RandomSampler(range(3), replacement=1)


def test_subset_random():
    assert sorted(SubsetRandomSampler([9, 4, 7], generator=seeded(1))) == [4, 7, 9]
    assert len(SubsetRandomSampler([9, 4, 7])) == 3


def test_weighted():
    drawn = list(WeightedRandomSampler([0, 3, 1], 4000, generator=seeded(1)))
    counts = np.bincount(drawn, minlength=3)
    assert counts[0] == 0 and abs(counts[1] / 4000 - 0.75) < 0.03
    assert sorted(WeightedRandomSampler([1.0, 2.0, 3.0], 3, replacement=False, generator=seeded(1))) == [0, 1, 2]


@pytest.mark.parametrize(
    ("weights", "count", "replacement", "message"),
    [
        ([1.0], 0, True, "num_samples must be a positive integer"),
        ([1.0], 1, 1, "replacement must be True or False"),
        ([[1.0]], 1, True, "a row of numbers"),
        ([-1.0, 2.0], 1, True, "from 0 on"),
        ([0.0], 1, True, "positive sum"),
        ([float("nan")], 1, True, "finite"),
        ([1.0, 0.0], 2, False, "need as many weights above 0, got 1"),
    ],
)
def test_weighted_refuses(weights, count, replacement, message):
    with pytest.raises(ValueError, match=message):
        WeightedRandomSampler(weights, count, replacement)


@given(st.integers(0, 40), st.integers(1, 12), st.booleans())
def test_batches_cover_the_sampler_in_order(size, batch_size, drop_last):
    sampler = BatchSampler(SequentialSampler(range(size)), batch_size, drop_last)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    kept = size - size % batch_size if drop_last else size
    assert [i for batch in batches for i in batch] == list(range(kept))
    assert all(len(batch) == batch_size for batch in batches[:-1])


@pytest.mark.parametrize(("batch_size", "drop_last"), [(0, False), (-2, False), (1.5, False), (True, False), (2, 1)])
def test_batches_refuse(batch_size, drop_last):
    with pytest.raises(ValueError, match="batch_size must be a positive integer|drop_last must be True or False"):
        BatchSampler(range(3), batch_size, drop_last)


def test_abstract_sampler_says_what_is_missing():
    with pytest.raises(TypeError, match="must define __iter__"):
        iter(Sampler())


@pytest.mark.parametrize("size", [1, 5, 10])
@pytest.mark.parametrize("drop_last", [False, True])
def test_distributed_samplers_share_the_indices(size, drop_last):
    parts = [DistributedSampler(range(size), 3, rank, drop_last=drop_last, seed=4) for rank in range(3)]
    taken = [list(part) for part in parts]
    assert all(len(indices) == len(part) for indices, part in zip(taken, parts, strict=True))
    together = [i for indices in taken for i in indices]
    if drop_last:
        assert len(set(together)) == len(together) == size // 3 * 3
    else:
        assert set(together) == set(range(size)) and len(together) == -(-size // 3) * 3


def test_distributed_sampler_on_one_process():
    sampler = DistributedSampler(range(20))
    first = list(sampler)
    assert sorted(first) == list(range(20)) and first == list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(DistributedSampler(range(5), 2, 1, shuffle=False)) == [1, 3, 0]
    with pytest.raises(ValueError, match=r"0\.\.1, got 2"):
        DistributedSampler(range(5), 2, 2)
