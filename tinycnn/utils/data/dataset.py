"""What a `DataLoader` reads from: map-style datasets (``dataset[i]``) and streams (`IterableDataset`)."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from ..._tensor import Tensor
from ...random import Generator, generator_or_default

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """A collection of samples: subclasses define ``__getitem__`` and, for most samplers, ``__len__``.

    A subclass may also define ``__getitems__(indices) -> list of samples``, which the `DataLoader` then calls once per
    batch.
    """

    def __getitem__(self, index: Any) -> T_co:
        raise TypeError(f"{type(self).__name__} is a Dataset and must define __getitem__")

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """A stream of samples: subclasses define ``__iter__``.

    With ``num_workers=n`` each of the n threads iterates over its own shallow copy of the dataset, as PyTorch's
    processes do; without a split by `get_worker_info` every sample comes n times.
    """

    def __iter__(self) -> Iterator[T_co]:
        raise TypeError(f"{type(self).__name__} is an IterableDataset and must define __iter__")

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample i is the tuple of the tensors' rows i.

    A `DataLoader` with the default collate function reads whole batches by one indexing per tensor.

    Args:
        tensors: tensors of equal size in dimension 0.

    Raises:
        ValueError: if the sizes differ or a tensor has no dimension.
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset: at least one tensor is needed")
        for position, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor):
                raise TypeError(f"TensorDataset: argument {position} must be a Tensor, got {type(tensor).__name__}")
            if tensor.ndim == 0:
                raise ValueError(f"TensorDataset: argument {position} is a 0-d tensor, which has no rows")
        sizes = [tensor.shape[0] for tensor in tensors]
        if len(set(sizes)) > 1:
            raise ValueError(f"TensorDataset: all tensors need the same size in dimension 0, got {sizes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


class Subset(Dataset[T_co]):
    """The samples of `dataset` at `indices`, in that order."""

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Many samples at once, if the dataset itself can give them so."""
        many = getattr(self.dataset, "__getitems__", None)
        if callable(many) and type(self).__getitem__ is Subset.__getitem__:
            return many([self.indices[i] for i in indices])
        return [self[i] for i in indices]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[T_co]):
    """The samples of several map-style datasets, one dataset after the other.

    Raises:
        ValueError: if there is no dataset.
        TypeError: if one of them is an `IterableDataset`.
    """

    datasets: list[Dataset[T_co]]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: at least one dataset is needed")
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset):
                raise TypeError("ConcatDataset: an IterableDataset has no indices; use ChainDataset")
        self.cumulative_sizes = list(itertools.accumulate(len(dataset) for dataset in self.datasets))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        size = len(self)
        if index < -size:
            raise ValueError(f"ConcatDataset: index {index} is out of range for {size} samples")
        if index >= size:
            raise IndexError(f"ConcatDataset: index {index} is out of range for {size} samples")
        index %= size
        which = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]


class ChainDataset(IterableDataset[T_co]):
    """The samples of several `IterableDataset` streams, one stream after the other."""

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets: list[Any] = list(datasets)
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise TypeError(f"ChainDataset: {type(dataset).__name__} is not an IterableDataset; use ConcatDataset")

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


class StackDataset(Dataset[Any]):
    """Sample i is the tuple of the samples i of `args`, or the dict of those of `kwargs`.

    Raises:
        ValueError: if there is none, if positional and named ones are mixed, or if their lengths differ.
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError(
                "StackDataset: give datasets by position (samples are tuples) or by name (dicts), not both"
            )
        self.datasets = args or kwargs
        lengths = [len(dataset) for dataset in (args or kwargs.values())]
        if len(set(lengths)) > 1:
            raise ValueError(f"StackDataset: the datasets must have one length, got {lengths}")
        self._length = lengths[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Many samples at once; each dataset is asked once, if it can give them so."""
        named = isinstance(self.datasets, dict)
        columns = []
        for dataset in self.datasets.values() if isinstance(self.datasets, dict) else self.datasets:
            many = getattr(dataset, "__getitems__", None)
            column = many(indices) if callable(many) else [dataset[i] for i in indices]
            if len(column) != len(indices):
                raise ValueError(
                    f"StackDataset: {type(dataset).__name__}.__getitems__ gave {len(column)} samples for "
                    f"{len(indices)} indices"
                )
            columns.append(column)
        rows = list(zip(*columns, strict=True))
        return [dict(zip(self.datasets, row, strict=True)) for row in rows] if named else rows

    def __len__(self) -> int:
        return self._length


def random_split(
    dataset: Dataset[T], lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset[T]]:
    """Split `dataset` at random into subsets that do not overlap.

    Args:
        lengths: sizes that sum to ``len(dataset)``, or fractions that sum to 1: then subset i gets
            ``floor(fraction * len(dataset))`` samples and what remains goes one by one to the first subsets.
        generator: draws the permutation; the default generator if None.

    Raises:
        ValueError: if the sizes do not sum to ``len(dataset)`` or a fraction lies outside [0, 1].
    """
    total = len(dataset)  # type: ignore[arg-type]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        for position, fraction in enumerate(lengths):
            if not 0 <= fraction <= 1:
                raise ValueError(f"random_split: the fraction at index {position} must lie in [0, 1], got {fraction}")
        sizes = [math.floor(total * fraction) for fraction in lengths]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
        for position, size in enumerate(sizes):
            if size == 0:
                warnings.warn(f"random_split: the split at index {position} is empty", stacklevel=2)
    else:
        if any(isinstance(size, float) or size < 0 for size in lengths):
            raise ValueError(
                f"random_split: lengths are sizes from 0 on, or fractions that sum to 1, got {list(lengths)}"
            )
        sizes = [int(size) for size in lengths]
    if sum(sizes) != total:
        raise ValueError(f"random_split: lengths {sizes} sum to {sum(sizes)}, but the dataset has {total} samples")
    order = generator_or_default(generator).numpy.permutation(total).tolist()
    ends = list(itertools.accumulate(sizes))
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def tensor_batch(dataset: Any, indices: Any) -> list[Tensor] | None:
    """The collated batch at `indices` by one indexing per tensor, or None if `dataset` does not allow it.

    It does if it is a `TensorDataset`, or a `Subset` of one, that reads its rows in the ordinary way. The result equals
    ``default_collate([dataset[i] for i in indices])``.
    """
    while type(dataset) is Subset:
        kept = dataset.indices
        indices, dataset = [kept[i] for i in indices], dataset.dataset
    kind = type(dataset)
    if not isinstance(dataset, TensorDataset) or kind.__getitem__ is not TensorDataset.__getitem__:
        return None
    if hasattr(kind, "__getitems__") or not all(type(i) is int or isinstance(i, np.integer) for i in indices):
        return None
    rows = np.array(indices, dtype=np.int64)
    return [tensor[rows] for tensor in dataset.tensors]
