"""DataLoader: order, seeds, threads, errors."""

import gc
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinycnn
from tinycnn.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    default_collate,
    get_worker_info,
    random_split,
)
from tinycnn.vision import transforms


class Numbers(Dataset):
    """Sample i is i."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return index


class Noisy(Dataset):
    """Random crops and flips of a fixed image, and a sleep that shuffles the threads' order."""

    def __init__(self, size=23):
        self.size = size
        self.transform = transforms.Compose([transforms.RandomCrop(5, padding=2), transforms.RandomHorizontalFlip()])

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        time.sleep(0.002 * (index % 3))
        return self.transform(np.arange(49, dtype=np.uint8).reshape(7, 7)), index


class Stream(IterableDataset):
    def __init__(self, start, stop):
        self.start, self.stop = start, stop

    def __iter__(self):
        info = get_worker_info()
        step, first = (1, 0) if info is None else (info.num_workers, info.id)
        return iter(range(self.start + first, self.stop, step))

    def __len__(self):
        return self.stop - self.start


class Failing(Numbers):
    def __getitem__(self, index):
        if index == 13:
            raise KeyError("no thirteen")
        return index


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("tinycnn-DataLoader")]


def no_threads_left(seconds=5.0):
    """Wait for the workers of earlier iterators to end."""
    end = time.monotonic() + seconds
    while loader_threads() and time.monotonic() < end:
        time.sleep(0.01)
    return not loader_threads()


def flat(loader):
    return [i for batch in loader for i in batch.tolist()]


@given(st.integers(0, 30), st.integers(1, 8), st.booleans(), st.integers(0, 2))
@settings(deadline=None)
def test_batches_in_order(size, batch_size, drop_last, workers):
    loader = DataLoader(Numbers(size), batch_size, drop_last=drop_last, num_workers=workers)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert all(batch.dtype is tinycnn.int64 for batch in batches)
    assert [i for b in batches for i in b.tolist()] == list(range(size - size % batch_size if drop_last else size))


@pytest.mark.parametrize("workers", [0, 2])
def test_shuffling_repeats_with_the_seed_and_differs_between_epochs(workers):
    def epochs(seed):
        generator = tinycnn.Generator().manual_seed(seed)
        loader = DataLoader(Numbers(40), 8, shuffle=True, num_workers=workers, generator=generator)
        return flat(loader), flat(loader)

    first, second = epochs(1)
    assert sorted(first) == list(range(40)) and first != second
    assert (first, second) == epochs(1) != epochs(2)


def test_the_default_generator_seeds_a_loader_without_one():
    def epoch():
        tinycnn.manual_seed(3)
        return flat(DataLoader(Numbers(40), 8, shuffle=True))

    assert epoch() == epoch()


def test_result_does_not_depend_on_the_number_of_workers():
    def batches(workers, **options):
        tinycnn.manual_seed(11)
        loader = DataLoader(Noisy(), 4, shuffle=True, num_workers=workers, **options)
        return [(x.numpy().tobytes(), y.tolist()) for _ in range(2) for x, y in loader] + [tinycnn.rand(1).item()]

    alone = batches(0)
    assert alone == batches(1) == batches(3) == batches(3, prefetch_factor=5) == batches(2, persistent_workers=True)
    images = {image for image, _ in alone[:-1]}
    assert len(images) == 12  # two epochs of six batches, all different


def test_transforms_draw_from_the_default_generator_outside_of_a_loader():
    flip = transforms.RandomHorizontalFlip()
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)

    def flips():
        tinycnn.manual_seed(2)
        return [flip(image)[0, 0] for _ in range(20)]

    assert flips() == flips() and set(flips()) == {0, 2}


def test_drawing_in_a_loader_leaves_the_default_generator_alone():
    tinycnn.manual_seed(4)
    loader = DataLoader(Noisy(8), 4, generator=tinycnn.Generator())
    list(loader)
    after = tinycnn.rand(1).item()
    tinycnn.manual_seed(4)
    assert tinycnn.rand(1).item() == after


# -- threads ----------------------------------------------------------------------------------------------------------


def test_workers_run_in_parallel_threads_and_know_themselves():
    seen = set()
    together = threading.Barrier(3, timeout=20)

    class Meeting(Numbers):
        def __getitem__(self, index):
            info = get_worker_info()
            here = threading.current_thread()
            seen.add((info.id, info.num_workers, info.dataset is self, here is threading.main_thread()))
            together.wait()  # passes only if three threads are here at once
            return index

    assert flat(DataLoader(Meeting(6), num_workers=3)) == list(range(6))
    assert seen == {(i, 3, True, False) for i in range(3)}
    assert get_worker_info() is None


def test_prefetching_is_bounded():
    loaded = []

    class Logged(Numbers):
        def __getitem__(self, index):
            loaded.append(index)
            return index

    batches = iter(DataLoader(Logged(100), num_workers=2, prefetch_factor=3))
    next(batches)
    time.sleep(0.2)
    assert 2 <= len(loaded) <= 7  # the one taken, and 2 * 3 ahead
    del batches


def test_an_abandoned_iterator_stops_its_threads():
    assert no_threads_left()
    batches = iter(DataLoader(Numbers(1000), num_workers=3))
    next(batches)
    assert len(loader_threads()) == 3
    del batches
    gc.collect()
    assert no_threads_left()
    for _ in DataLoader(Numbers(1000), num_workers=2):
        break
    gc.collect()
    assert no_threads_left()


def test_finished_and_failed_epochs_leave_no_threads():
    list(DataLoader(Numbers(10), num_workers=2))
    with pytest.raises(KeyError):
        list(DataLoader(Failing(20), num_workers=2))
    assert no_threads_left()


def test_persistent_workers_stay_until_the_loader_goes():
    started = []
    loader = DataLoader(Numbers(8), 2, num_workers=2, persistent_workers=True, worker_init_fn=started.append)
    assert flat(loader) == list(range(8))
    threads = set(loader_threads())
    assert flat(loader) == list(range(8))
    assert set(loader_threads()) == threads and len(threads) == 2 and sorted(started) == [0, 1]
    iter(loader)
    del loader
    gc.collect()
    assert no_threads_left()


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_come_at_their_turn_with_traceback_and_batch(workers):
    seen = []
    with pytest.raises(KeyError, match="no thirteen") as caught:
        for batch in DataLoader(Failing(40), 4, num_workers=workers):
            seen.append(batch.tolist())
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    who = " in worker 1" if workers else ""
    assert caught.value.__notes__ == [f"raised{who} while the DataLoader loaded batch 3 (indices [12, 13, 14, 15])"]
    assert any(entry.name == "__getitem__" for entry in caught.traceback)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sampler_that_fails_does_so_after_its_batches(workers):
    def indices():
        yield from [0, 1, 2]
        raise OSError("the list ended")

    seen = []
    with pytest.raises(OSError, match="the list ended"):
        for batch in DataLoader(Numbers(10), sampler=indices(), num_workers=workers):
            seen += batch.tolist()
    assert seen == [0, 1, 2]


def test_worker_init_fn_may_fail():
    def init(worker):
        raise ValueError(f"worker {worker} will not")

    with pytest.raises(ValueError, match="will not"):
        list(DataLoader(Numbers(4), num_workers=2, worker_init_fn=init))


def test_timeout():
    release = threading.Event()

    class Stuck(Numbers):
        def __getitem__(self, index):
            release.wait(20)
            return index

    try:
        with pytest.raises(RuntimeError, match=r"no batch within timeout=0.05 seconds"):
            list(DataLoader(Stuck(4), num_workers=1, timeout=0.05))
    finally:
        release.set()


def test_a_timeout_error_of_the_dataset_is_its_own():
    class Slow(Numbers):
        def __getitem__(self, index):
            raise TimeoutError("the disk")

    with pytest.raises(TimeoutError, match="the disk"):
        list(DataLoader(Slow(4), num_workers=1, timeout=5))


def test_two_iterators_of_one_loader_do_not_disturb_each_other():
    for options in ({}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}):
        loader = DataLoader(Numbers(6), **options)
        assert [(a.item(), b.item()) for a in loader for b in loader] == [(i, j) for i in range(6) for j in range(6)]


def test_a_stop_iteration_inside_a_dataset_is_an_error_and_no_end():
    class Odd(Numbers):
        def __getitem__(self, index):
            return next(iter(()))

    for workers in (0, 1):
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(DataLoader(Odd(3), num_workers=workers))


# -- streams ----------------------------------------------------------------------------------------------------------


def test_streams():
    assert flat(DataLoader(Stream(3, 10), 3)) == list(range(3, 10))
    assert [b.tolist() for b in DataLoader(Stream(0, 7), 3, drop_last=True)] == [[0, 1, 2], [3, 4, 5]]
    assert len(DataLoader(Stream(0, 7), 3)) == 3 and len(DataLoader(Stream(0, 7), 3, drop_last=True)) == 2
    assert list(DataLoader(Stream(0, 3), batch_size=None)) == [0, 1, 2] and len(DataLoader(Stream(0, 3), None)) == 3


def test_streams_take_turns_over_workers():
    # worker 0 has 0 2 4 6 8 10, worker 1 has 1 3 5 7 9
    batches = [b.tolist() for b in DataLoader(Stream(0, 11), 2, num_workers=2)]
    assert batches == [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9]]

    # uneven: worker 0 ends first, the other goes on alone
    class Uneven(IterableDataset):
        def __iter__(self):
            return iter([100] if get_worker_info().id == 0 else range(5))

    assert flat(DataLoader(Uneven(), num_workers=2)) == [100, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("persistent", [False, True])
def test_worker_init_fn_can_split_a_stream(persistent):
    class Plain(Stream):
        def __iter__(self):
            return iter(range(self.start, self.stop))

    def split(worker):
        dataset = get_worker_info().dataset
        dataset.start, dataset.stop = (0, 4) if worker == 0 else (4, 8)

    whole = Plain(0, 8)
    loader = DataLoader(whole, 2, num_workers=2, worker_init_fn=split, persistent_workers=persistent)
    for _ in range(2):
        assert [b.tolist() for b in loader] == [[0, 1], [4, 5], [2, 3], [6, 7]]
    assert (whole.start, whole.stop) == (0, 8)


# -- batches ----------------------------------------------------------------------------------------------------------


def tensors():
    return TensorDataset(tinycnn.arange(24).reshape(12, 2).float(), tinycnn.arange(12), tinycnn.rand(12) > 0.5)


@pytest.mark.parametrize("indices", [[0, 5, 5, -1], [11], [np.int64(3), 2]])
def test_tensor_datasets_are_indexed_once_per_batch_with_the_same_result(indices):
    calls = []

    class Slow(TensorDataset):
        def __getitem__(self, index):
            calls.append(index)
            return super().__getitem__(index)

    source = tensors()
    expected = default_collate([source[i] for i in indices])
    for dataset in (source, Slow(*source.tensors)):
        (batch,) = DataLoader(dataset, batch_sampler=[indices])
        assert type(batch) is list and len(batch) == 3
        for got, want in zip(batch, expected, strict=True):
            assert got.dtype is want.dtype and got.tolist() == want.tolist()
    assert calls == indices  # the override was honoured


def test_tensor_batches_through_subsets_and_with_gradients():
    x = tinycnn.arange(12).float().requires_grad_()
    part, _ = random_split(TensorDataset(x), [7, 5], generator=tinycnn.Generator().manual_seed(0))
    half = Subset(part, [6, 0, 3])
    (batch,) = DataLoader(half, 3)
    assert batch[0].tolist() == [x[part.indices[i]].item() for i in (6, 0, 3)]
    batch[0].sum().backward()
    assert x.grad.sum().item() == 3


def test_tensor_batches_are_copies_and_outside_indices_are_refused():
    dataset = tensors()
    (batch,) = DataLoader(Subset(dataset, [0, 1]), 2)
    batch[0].zero_()
    assert dataset.tensors[0][0].tolist() == [0, 1] and dataset.tensors[0][1].tolist() == [2, 3]
    with pytest.raises(IndexError):
        list(DataLoader(dataset, batch_sampler=[[12]]))


def test_getitems_is_called_once_per_batch():
    class Batched(Numbers):
        def __getitems__(self, indices):
            return [100 + i for i in indices]

    assert [b.tolist() for b in DataLoader(Batched(3), 2)] == [[100, 101], [102]]


def test_collate_fn_and_unbatched_samples():
    assert list(DataLoader(Numbers(5), 2, collate_fn=sum)) == [1, 5, 4]
    assert list(DataLoader(Numbers(3), batch_size=None)) == [0, 1, 2]
    assert list(DataLoader(Numbers(3), batch_size=None, collate_fn=str)) == ["0", "1", "2"]
    assert flat(DataLoader([10, 20, 30], 2)) == [10, 20, 30]  # any sequence is a dataset


def test_samplers():
    assert flat(DataLoader(Numbers(5), 2, sampler=[4, 0, 2])) == [4, 0, 2]
    loader = DataLoader(Numbers(5), batch_sampler=[[1], [0, 3]], num_workers=1)
    assert [b.tolist() for b in loader] == [[1], [0, 3]] and len(loader) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "num_workers must be an integer from 0 on"),
        ({"num_workers": 1.5}, "num_workers must be an integer"),
        ({"timeout": -1}, "timeout"),
        ({"prefetch_factor": 2}, "needs workers"),
        ({"num_workers": 1, "prefetch_factor": 0}, "at least 1"),
        ({"persistent_workers": True}, "needs num_workers > 0"),
        ({"sampler": [0], "shuffle": True}, "exclude each other"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler excludes"),
        ({"batch_sampler": [[0]], "shuffle": True}, "batch_sampler excludes"),
        ({"batch_sampler": [[0]], "sampler": [0]}, "batch_sampler excludes"),
        ({"batch_sampler": [[0]], "drop_last": True}, "batch_sampler excludes"),
        ({"batch_size": None, "drop_last": True}, "batch_size=None"),
        ({"batch_size": 0}, "batch_size must be a positive integer"),
        ({"drop_last": 1}, "drop_last must be True or False"),
    ],
)
def test_refused_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(Numbers(4), **options)


def test_more_refused_arguments():
    for name, value in (("shuffle", True), ("sampler", [0]), ("batch_sampler", [[0]])):
        with pytest.raises(ValueError, match=f"own order, so {name}="):
            DataLoader(Stream(0, 3), **{name: value})
    with pytest.raises(TypeError, match="expected a tinycnn.Generator, got int"):
        DataLoader(Numbers(4), generator=3)
    with pytest.raises(ValueError, match="num_samples must be a positive integer, got 0"):
        DataLoader(Numbers(0), shuffle=True)
    loader = DataLoader(Numbers(4))
    with pytest.raises(ValueError, match="batch_size cannot be changed afterwards"):
        loader.batch_size = 3


def test_arguments_of_pytorch_scripts_are_accepted():
    positional = (2, True, None, None, 1, None, True, False, 0, None, "spawn")
    loader = DataLoader(Numbers(4), *positional, pin_memory_device="", in_order=True)
    assert sorted(flat(loader)) == [0, 1, 2, 3] and loader.prefetch_factor == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_seeding_while_loading_concerns_the_batch_alone(workers):
    class Seeds(Dataset):
        def __getitem__(self, index):
            tinycnn.manual_seed(index)
            assert tinycnn.initial_seed() == index
            return tinycnn.rand(1)

        def __len__(self):
            return 3

    tinycnn.manual_seed(77)
    state = tinycnn.random.default_generator.numpy.bit_generator.state
    loader = DataLoader(Seeds(), num_workers=workers, generator=tinycnn.Generator())
    values = [batch.item() for batch in loader]
    assert values == [tinycnn.rand(1, generator=tinycnn.Generator().manual_seed(i)).item() for i in range(3)]
    assert tinycnn.initial_seed() == 77 and tinycnn.random.default_generator.numpy.bit_generator.state == state
