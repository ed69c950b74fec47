"""From samples to a batch: PyTorch's table of types."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import tinycnn
from tinycnn.utils.data import default_collate, default_convert

Point = namedtuple("Point", ["x", "y"])


@pytest.mark.parametrize(
    ("samples", "dtype", "values"),
    [
        ([1, 2], "int64", [1, 2]),
        ([1.5, 2.0], "float64", [1.5, 2.0]),
        ([True, False], "bool", [True, False]),
        ([1, 2.5], "float32", [1, 2.5]),
        ([1.5, 2], "float64", [1.5, 2]),
        ([np.ones(1, np.int64), tinycnn.zeros(1)], "float32", [[1], [0]]),
        ([tinycnn.zeros(1), np.ones(1, np.float64)], "float64", [[0], [1]]),
        ([np.float32(1), np.float32(2)], "float32", [1, 2]),
        ([np.int16(1), np.int16(2)], "int16", [1, 2]),
        ([np.float64(1.5)], "float64", [1.5]),
        ([np.ones(2, np.uint8), np.zeros(2, np.uint8)], "uint8", [[1, 1], [0, 0]]),
        ([np.array([1.0], ">f4")], "float32", [[1.0]]),
    ],
)
def test_numbers_and_arrays(samples, dtype, values):
    batch = default_collate(samples)
    assert isinstance(batch, tinycnn.Tensor)
    assert batch.dtype is getattr(tinycnn, dtype) and batch.tolist() == values


def test_tensors_are_stacked_and_keep_their_graph():
    a, b = tinycnn.ones(2, 3, requires_grad=True), tinycnn.zeros(2, 3)
    batch = default_collate([a, b])
    assert batch.shape == (2, 2, 3)
    batch.sum().backward()
    assert a.grad.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_strings_stay():
    assert default_collate(["a", "b"]) == ["a", "b"] and default_collate([b"a"]) == [b"a"]


def test_containers():
    pair = default_collate([(1, 2.0), (3, 4.0)])
    assert type(pair) is list and [part.tolist() for part in pair] == [[1, 3], [2.0, 4.0]]
    assert [part.tolist() for part in default_collate([[1, 2], [3, 4]])] == [[1, 3], [2, 4]]
    named = default_collate([Point(1, 2), Point(3, 4)])
    assert type(named) is Point and named.x.tolist() == [1, 3] and named.y.tolist() == [2, 4]
    table = default_collate([OrderedDict(a=1, b="x"), OrderedDict(a=2, b="y")])
    assert type(table) is OrderedDict and table["a"].tolist() == [1, 2] and table["b"] == ["x", "y"]
    deep = default_collate([{"boxes": [np.zeros(2), (1, "q")]}])
    assert deep["boxes"][0].shape == (1, 2) and deep["boxes"][1][1] == ("q",)


def test_collating_leaves_the_samples_alone():
    samples = [{"a": 1}, {"a": 2}]
    default_collate(samples)
    assert samples == [{"a": 1}, {"a": 2}]


def test_differing_shapes_are_named_with_their_place():
    images = [(tinycnn.zeros(3, 32, 32), 0), (tinycnn.zeros(3, 32, 32), 1), (tinycnn.zeros(1, 32, 32), 2)]
    with pytest.raises(RuntimeError, match=r"sample\[0\] .*\(3, 32, 32\) .*sample 0 and \(1, 32, 32\) in its sample 2"):
        default_collate(images)
    with pytest.raises(RuntimeError, match=r"sample\['x'\] must have the same shape .*\(2,\) .*\(3,\)"):
        default_collate([{"x": np.zeros(2)}, {"x": np.zeros(3)}])
    with pytest.raises(RuntimeError, match="same length"):
        default_collate([[1, 2], [1]])


def test_other_things_are_refused_by_name():
    with pytest.raises(TypeError, match=r"sample\[1\] is a builtins.object; .*collate_fn"):
        default_collate([(1, object())])
    with pytest.raises(
        TypeError, match="is a tinycnn._tensor.Tensor in the batch's sample 0, and a builtins.int in its sample 1"
    ):
        default_collate([tinycnn.zeros(1), 3])
    with pytest.raises(TypeError, match="array of complex64"):
        default_collate([np.zeros(2, np.complex64)])
    with pytest.raises(TypeError, match="array of <U1"):
        default_collate([np.array(["a"])])
    with pytest.raises(ValueError, match="empty"):
        default_collate([])


def test_default_convert():
    assert default_convert("a") == "a" and default_convert(3) == 3
    assert default_convert(np.float32(2)).dtype is tinycnn.float32
    array = np.zeros(2, np.int32)
    sample = default_convert((array, {"a": array}, "s"))
    assert type(sample) is list and sample[2] == "s"
    assert sample[0].dtype is tinycnn.int32 and sample[1]["a"].shape == (2,)
    assert type(default_convert(Point(array, 1))) is Point
