"""In which order a `DataLoader` visits the samples of a map-style dataset."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from ..._tensor import Tensor
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
        self.weights = w
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        draw = generator_or_default(self.generator).numpy
        chances = self.weights / self.weights.sum()
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
