"""In which order a `DataLoader` visits the samples of a map-style dataset."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from ..._tensor import Tensor, wrap
from ...random import Generator, generator_or_default

T_co = TypeVar("T_co", covariant=True)


def _positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return value


def _flag(name: str, value: Any, error: type[Exception] = ValueError) -> bool:
    if not isinstance(value, bool):
        raise error(f"{name} must be True or False, got {value!r}")
    return value


class Sampler(Generic[T_co]):
    """An iterable of indices (or of lists of indices, as `batch_sampler`); ``__len__`` gives ``len(loader)``."""

    def __iter__(self) -> Iterator[T_co]:
        raise TypeError(f"{type(self).__name__} is a Sampler and must define __iter__")


class SequentialSampler(Sampler[int]):
    """0, 1, ..., len(data_source) - 1."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """A random order, new in every pass.

    Args:
        replacement: draw each index independently; else draw permutations.
        num_samples: how many indices a pass gives; ``len(data_source)`` if None. Without replacement a number above
            the length draws further permutations.
        generator: draws the order. If None, each pass seeds its own from the default generator.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = _flag("RandomSampler: replacement", replacement, TypeError)
        self._num_samples = num_samples
        self.generator = generator
        _positive("RandomSampler: num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        size, wanted = len(self.data_source), self.num_samples
        generator = self.generator
        if generator is None:
            generator = Generator().manual_seed(generator_or_default(None).key())
        draw = generator.numpy
        if self.replacement:
            yield from draw.integers(0, size, wanted).tolist()
            return
        for start in range(0, wanted, size):
            yield from draw.permutation(size)[: wanted - start].tolist()

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in a random order, without replacement."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for position in generator_or_default(self.generator).numpy.permutation(len(self.indices)).tolist():
            yield self.indices[position]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices 0, ..., len(weights) - 1 with probabilities proportional to `weights`.

    Args:
        weights: numbers from 0 on; they need not sum to 1.
        num_samples: how many indices a pass gives.
        replacement: an index may be drawn again.

    Raises:
        ValueError: for weights that are no row of finite numbers from 0 on with a positive sum, or if more indices are
            drawn without replacement than have a weight above 0.
    """

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.num_samples = _positive("WeightedRandomSampler: num_samples", num_samples)
        self.replacement = _flag("WeightedRandomSampler: replacement", replacement)
        w = np.asarray(weights, dtype=np.float64)
        if w.ndim != 1:
            raise ValueError(f"WeightedRandomSampler: weights must be a row of numbers, got shape {w.shape}")
        if not np.isfinite(w).all() or (w < 0).any() or not w.sum() > 0:
            raise ValueError("WeightedRandomSampler: weights must be finite, from 0 on, with a positive sum")
        if not replacement and num_samples > np.count_nonzero(w):
            raise ValueError(
                f"WeightedRandomSampler: {num_samples} indices without replacement need as many weights above 0, "
                f"got {np.count_nonzero(w)}"
            )
        self.weights = wrap(w)
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        draw = generator_or_default(self.generator).numpy
        weights = self.weights.array
        chances = weights / weights.sum()
        yield from draw.choice(len(chances), self.num_samples, replace=self.replacement, p=chances).tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices from `sampler`; a shorter last one is dropped if `drop_last`."""

    def __init__(self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool) -> None:
        self.sampler = sampler
        self.batch_size = _positive("batch_size", batch_size)
        self.drop_last = _flag("drop_last", drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return full + (rest > 0 and not self.drop_last)


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index from `rank` on, so that several processes share a dataset.

    Each process gets equally many: the order is filled up from its start, or cut with `drop_last`. Call `set_epoch`
    before each epoch for a new order.

    Args:
        num_replicas: processes; 1 if None.
        rank: which of them this is, from 0 on; 0 if None.
        shuffle: a random order, from `seed` and the epoch: the same in every process.
        drop_last: leave out what does not fill all of them.

    Raises:
        ValueError: if `rank` does not lie in 0..num_replicas-1.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.num_replicas = 1 if num_replicas is None else num_replicas
        self.rank = 0 if rank is None else rank
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(f"DistributedSampler: rank must lie in 0..{self.num_replicas - 1}, got {self.rank}")
        self.dataset, self.shuffle, self.seed, self.drop_last = dataset, shuffle, seed, drop_last
        self.epoch = 0
        full, rest = divmod(len(dataset), self.num_replicas)
        self.num_samples = full + (rest > 0 and not drop_last)
        self.total_size = self.num_samples * self.num_replicas

    def __iter__(self) -> Iterator[int]:
        order = list(range(len(self.dataset)))
        if self.shuffle:
            order = Generator().manual_seed(self.seed + self.epoch).numpy.permutation(len(order)).tolist()
        filled = list(itertools.islice(itertools.cycle(order), self.total_size))
        return iter(filled[self.rank :: self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Another epoch, another order."""
        self.epoch = epoch
