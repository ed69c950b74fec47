"""`DataLoader`: batches of a dataset, loaded here or ahead of time by threads."""

from __future__ import annotations

import copy
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Generic, TypeVar

from ...kernels.cuda import probe
from ...random import Generator, generator_or_default
from ._worker import WorkerInfo, local, seeded
from .collate import default_collate, default_convert, pin
from .dataset import Dataset, IterableDataset, tensor_batch
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

T = TypeVar("T")
_END = object()  # what a stream's worker returns once the stream has run out
_FIXED = ("dataset", "batch_size", "batch_sampler", "sampler", "drop_last", "persistent_workers")


class DataLoader(Generic[T]):
    """Iterates over a dataset in batches, with PyTorch's arguments.

    ``num_workers=n`` loads ahead with n Python threads (PyTorch: processes). NumPy, Pillow and the engine's kernels
    release the interpreter's lock, so threads overlap with training; what they call runs serially. Batches come in the
    sampler's order. Every batch has its own generator, seeded with the epoch's base seed plus the batch's number,
    from which the transforms draw: the same seed gives the same batches for any `num_workers`.

    Args:
        dataset: a map-style dataset or an `IterableDataset`.
        batch_size: samples per batch. None: single samples, not batched.
        shuffle: a new random order in every epoch.
        sampler: gives the indices, instead of `shuffle`.
        batch_sampler: gives lists of indices, instead of `batch_size`, `shuffle`, `sampler` and `drop_last`.
        num_workers: threads; 0 loads in the thread that asks.
        collate_fn: from a list of samples to a batch; `default_collate` if None.
        pin_memory: put the tensors of a batch into page-locked memory, from which ``.to("cuda", non_blocking=True)``
            copies while kernels run; without a GPU nothing is done.
        drop_last: leave out a last batch that is not full.
        timeout: seconds to wait for a batch of a worker; 0 waits for ever.
        worker_init_fn: called with the worker's number in each worker before it loads.
        multiprocessing_context: accepted; the workers are threads.
        generator: draws the order and the base seed; the default generator if None.
        prefetch_factor: batches in the making per worker; 2 if None.
        persistent_workers: keep the threads (and a stream's copies) from epoch to epoch.
        pin_memory_device: accepted; the memory serves every GPU.
        in_order: accepted; batches come in order in any case.

    Raises:
        ValueError: for combinations that PyTorch refuses. While iterating, an error in a worker is raised here, with
            the worker's traceback and a note that names the worker, the batch and its indices.
    """

    _made = False

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if isinstance(num_workers, bool) or not isinstance(num_workers, int) or num_workers < 0:
            raise ValueError(f"DataLoader: num_workers must be an integer from 0 on, got {num_workers!r}")
        if timeout < 0:
            raise ValueError(f"DataLoader: timeout must be 0 (none) or a number of seconds, got {timeout}")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(f"DataLoader: prefetch_factor={prefetch_factor} needs workers; let num_workers > 0")
        if prefetch_factor is not None and prefetch_factor < 1:
            raise ValueError(f"DataLoader: prefetch_factor must be at least 1, got {prefetch_factor}")
        if persistent_workers and num_workers == 0:
            raise ValueError("DataLoader: persistent_workers needs num_workers > 0")
        generator_or_default(generator)

        stream = isinstance(dataset, IterableDataset)
        if stream:
            for name, value in (("shuffle", shuffle or None), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value is not None:
                    raise ValueError(
                        f"DataLoader: an IterableDataset sets its own order, so {name}={value!r} is refused"
                    )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler and shuffle=True exclude each other")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError("DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last")
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError("DataLoader: batch_size=None gives single samples, so drop_last cannot be given")
        if sampler is None:
            if stream:
                sampler = itertools.repeat(None)
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                sampler = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)

        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._workers: _Workers | None = None
        self._made = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._made and name in _FIXED:
            raise ValueError(f"DataLoader: {name} cannot be changed afterwards; make a new DataLoader")
        super().__setattr__(name, value)

    def __len__(self) -> int:
        """The number of batches. Of an `IterableDataset` that has a length: what one worker would give."""
        if not isinstance(self.dataset, IterableDataset):
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
        samples = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return samples
        full, rest = divmod(samples, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[T]:
        return self._threaded() if self.num_workers else self._serial()

    # Both iterators are generators, and draw their base seed when the first batch is asked for: at the same moment,
    # so that the default generator's numbers fall alike.

    def _serial(self) -> Iterator[T]:
        base_seed = generator_or_default(self.generator).key()
        fetch = self._fetcher(self.dataset)
        for number, key in enumerate(self._keys()):
            batch = _load(fetch, key, number, base_seed + number, None)
            if batch is _END:
                return
            yield batch

    def _threaded(self) -> Iterator[T]:
        base_seed = generator_or_default(self.generator).key()
        workers = self._workers
        if workers is None:
            workers = _Workers(self.dataset, self.num_workers, base_seed, self.worker_init_fn)
            if self.persistent_workers:
                self._workers = workers
        fetchers = [self._fetcher(dataset) for dataset in workers.datasets]
        keys = enumerate(self._keys())
        turns = deque(range(self.num_workers))
        limit = self.num_workers * (self.prefetch_factor or 2)
        ahead: deque[tuple[int, Future[Any]]] = deque()

        def fill() -> None:
            while turns and len(ahead) < limit:
                worker = turns[0]
                try:
                    number, key = next(keys)
                except StopIteration:
                    turns.clear()
                    return
                except Exception as error:  # raised when its turn comes, after the batches before it
                    turns.clear()
                    failed: Future[Any] = Future()
                    failed.set_exception(error)
                    ahead.append((worker, failed))
                    return
                turns.rotate(-1)
                ahead.append((worker, workers.submit(worker, fetchers[worker], key, number, base_seed + number)))

        try:
            workers.wait_until_started(self.timeout)
            fill()
            while ahead:
                worker, future = ahead.popleft()
                batch = _result(future, self.timeout)
                if batch is _END:
                    if worker in turns:
                        turns.remove(worker)
                fill()
                if batch is not _END:
                    yield batch
        finally:  # also when the iterator is abandoned
            for _, future in ahead:
                future.cancel()
            if workers is not self._workers:
                workers.stop()

    def _keys(self) -> Iterator[Any]:
        """What to load: indices, lists of indices, or for a stream how many samples."""
        if isinstance(self.dataset, IterableDataset):
            return itertools.repeat(self.batch_size)
        return iter(self.sampler if self.batch_sampler is None else self.batch_sampler)

    def _fetcher(self, dataset: Any) -> Any:
        fetcher: Any
        if isinstance(dataset, IterableDataset):
            fetcher = _StreamFetcher(dataset, self.collate_fn, self.drop_last)
        else:
            fetcher = _MapFetcher(dataset, self.collate_fn, self.batch_sampler is not None)
        fetcher.pins = self.pin_memory and not probe.problem()
        return fetcher


class _MapFetcher:
    """Loads the batch at some indices."""

    pins = False  # whether the batch is put into pinned memory

    def __init__(self, dataset: Any, collate_fn: Callable[[Any], Any], batched: bool) -> None:
        self.dataset, self.collate_fn, self.batched = dataset, collate_fn, batched

    def __call__(self, key: Any) -> Any:
        dataset = self.dataset
        if not self.batched:
            return self.collate_fn(dataset[key])
        if self.collate_fn is default_collate:
            batch = tensor_batch(dataset, key)
            if batch is not None:
                return batch
        if hasattr(dataset, "__getitems__"):
            return self.collate_fn(dataset.__getitems__(key))
        return self.collate_fn([dataset[index] for index in key])


class _StreamFetcher:
    """Loads the next samples of a stream; `_END` after the last."""

    pins = False

    def __init__(self, dataset: Any, collate_fn: Callable[[Any], Any], drop_last: bool) -> None:
        self.dataset, self.collate_fn, self.drop_last = dataset, collate_fn, drop_last
        self.samples: Iterator[Any] | None = None

    def __call__(self, batch_size: int | None) -> Any:
        if self.samples is None:  # opened in the worker's thread, where get_worker_info answers
            self.samples = iter(self.dataset)
        if batch_size is None:
            sample = next(self.samples, _END)
            return sample if sample is _END else self.collate_fn(sample)
        samples = list(itertools.islice(self.samples, batch_size))
        if not samples or (self.drop_last and len(samples) < batch_size):
            return _END
        return self.collate_fn(samples)


class _Workers:
    """Threads that load batches. They end when `stop` is called or this object is dropped."""

    def __init__(self, dataset: Any, count: int, base_seed: int, init: Callable[[int], Any] | None) -> None:
        stream = isinstance(dataset, IterableDataset)
        self.datasets = [copy.copy(dataset) if stream else dataset for _ in range(count)]
        # One pool of one thread each: batch n goes to the same worker in every run.
        self._pools = [ThreadPoolExecutor(1, thread_name_prefix=f"tinycnn-DataLoader-{i}") for i in range(count)]
        infos = [WorkerInfo(i, count, base_seed + i, self.datasets[i]) for i in range(count)]
        _serially(int)  # loads Numba here and now, not within the first batch's timeout
        self._started = [self._pools[info.id].submit(_serially, _start, info, init) for info in infos]

    def wait_until_started(self, timeout: float) -> None:
        for future in self._started:
            _result(future, timeout)

    def submit(self, worker: int, fetch: Callable[[Any], Any], key: Any, number: int, seed: int) -> Future[Any]:
        return self._pools[worker].submit(_serially, _load, fetch, key, number, seed, worker)

    def stop(self) -> None:
        """Let each thread finish what it is doing and end. Does not wait: the caller may be a finaliser."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)


def _serially(task: Callable[..., Any], *args: Any) -> Any:
    """Run a worker's task. Kernels that it calls use one thread: the others belong to the training."""
    from ...kernels.cpu import threads  # loads Numba, so not at the top

    with threads.serial():
        return task(*args)


def _start(info: WorkerInfo, init: Callable[[int], Any] | None) -> None:
    """The first task of a worker's thread."""
    local.info = info
    if init is not None:
        with seeded(info.seed):
            init(info.id)


def _load(fetch: Any, key: Any, number: int, seed: int, worker: int | None) -> Any:
    """Load one batch under its own generator."""
    try:
        with seeded(seed):
            batch = fetch(key)
            return pin(batch) if fetch.pins else batch
    except Exception as error:
        who = "" if worker is None else f" in worker {worker}"
        what = "" if key is None or isinstance(fetch, _StreamFetcher) else f" (indices {_brief(key)})"
        error.add_note(f"raised{who} while the DataLoader loaded batch {number}{what}")
        raise


def _result(future: Future[Any], timeout: float) -> Any:
    try:
        return future.result(timeout or None)
    except FutureTimeoutError:
        if future.done():  # the dataset's own TimeoutError
            raise
        raise RuntimeError(f"DataLoader: a worker gave no batch within timeout={timeout} seconds") from None


def _brief(key: Any) -> str:
    if isinstance(key, list) and len(key) > 8:
        return f"[{', '.join(map(str, key[:8]))}, ...]"
    return str(key)
