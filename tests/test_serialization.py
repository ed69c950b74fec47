"""Saving and loading: what goes in comes out, other programs' files are read, damaged ones are refused by name."""

from __future__ import annotations

import io
import json
import math
import os
import struct
import threading
from collections import OrderedDict

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinycnn
from tinycnn import nn, optim

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]


def same(a, b):
    """Equal in value, type and dtype, through all containers; NaN equals NaN."""
    if isinstance(a, tinycnn.Tensor):
        return isinstance(b, tinycnn.Tensor) and a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes()
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


tensors = (
    st.sampled_from(DTYPES)
    .flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0, max_side=3)))
    .map(tinycnn.tensor)
)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
keys = st.sampled_from(["a", "b", "a.b", "0", "__metadata__", ""]) | st.integers()
trees = st.recursive(
    tensors | plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=8,
)


@given(tree=trees)
def test_what_is_saved_is_loaded(tree, tmp_path_factory):
    path = tmp_path_factory.mktemp("tree") / "t.safetensors"
    tinycnn.save(tree, path)
    assert same(tree, tinycnn.load(path))


def test_a_models_file_has_the_parameters_names(tmp_path):
    model = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3), bn=nn.BatchNorm2d(2)))
    tinycnn.save(model.state_dict(), tmp_path / "m.safetensors")
    arrays = safetensors.numpy.load_file(tmp_path / "m.safetensors")
    assert set(arrays) == set(model.state_dict())
    other = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3), bn=nn.BatchNorm2d(2)))
    other.load_state_dict(tinycnn.load(tmp_path / "m.safetensors"))
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), other.state_dict()[name].numpy()), name
    assert not any(t.requires_grad for t in tinycnn.load(tmp_path / "m.safetensors").values())


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_training_goes_on_after_loading_as_if_it_had_never_stopped(kind, tmp_path):
    def start():
        tinycnn.manual_seed(3)
        model = nn.Linear(4, 3)
        make = {"sgd": lambda p: optim.SGD(p, lr=0.1, momentum=0.9), "adam": lambda p: optim.Adam(p, lr=0.1)}[kind]
        return model, make(model.parameters())

    def steps(model, optimizer, count):
        x = tinycnn.from_numpy(np.arange(8, dtype=np.float32).reshape(2, 4))
        for _ in range(count):
            optimizer.zero_grad()
            (model(x) ** 2).mean().backward()
            optimizer.step()

    model, optimizer = start()
    steps(model, optimizer, 3)
    tinycnn.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.safetensors")
    steps(model, optimizer, 3)
    again, its_optimizer = start()
    checkpoint = tinycnn.load(tmp_path / "c.safetensors")
    again.load_state_dict(checkpoint["model"])
    its_optimizer.load_state_dict(checkpoint["optimizer"])
    steps(again, its_optimizer, 3)
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert np.array_equal(a.detach().numpy(), b.detach().numpy())


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_file_of_another_program_is_a_flat_dict(dtype, tmp_path):
    arrays = {"b.weight": np.arange(6).reshape(2, 3).astype(dtype), "a": np.array(1).astype(dtype)}
    safetensors.numpy.save_file(arrays, tmp_path / "x.safetensors", metadata={"format": "pt"})
    loaded = tinycnn.load(str(tmp_path / "x.safetensors"), map_location="cpu")
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype is tinycnn.dtypes.as_dtype(dtype)
        assert loaded[name].shape == array.shape and np.array_equal(loaded[name].numpy(), array)
        loaded[name].zero_()  # the memory is the tensor's own


def write(path, header, body):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def test_bfloat16_is_widened_to_float32(tmp_path):
    values = np.array([0.0, -0.0, 1.0, -2.5, 3.0e38, np.inf, -np.inf, np.nan, 1e-40], np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    path = write(tmp_path / "b", {"w": {"dtype": "BF16", "shape": [9], "data_offsets": [0, 18]}}, halves.tobytes())
    got = tinycnn.load(path)["w"]
    assert got.dtype is tinycnn.float32
    assert np.array_equal(got.numpy(), (halves.astype(np.uint32) << 16).view(np.float32), equal_nan=True)
    assert got[:7].tolist() == [0.0, -0.0, 1.0, -2.5, pytest.approx(3.0e38, rel=1 / 128), np.inf, -np.inf]


def test_strides_do_not_matter(tmp_path):
    t = tinycnn.tensor(np.arange(24.0).reshape(2, 3, 4))
    views = {"transposed": t.transpose(0, 2), "sliced": t[:, 1:, ::2], "expanded": tinycnn.tensor([7.0]).expand(3)}
    tinycnn.save(views, tmp_path / "v")
    loaded = tinycnn.load(tmp_path / "v")
    for name, view in views.items():
        assert np.array_equal(loaded[name].numpy(), view.numpy())


ENTRY = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a safetensors file"),
        (b"\x08\0\0", "not a safetensors file"),
        (b"hello, this is no tensor", "not a safetensors file"),
        (b"PK\x03\x04 a zip file", r"torch\.save"),
        (b"\x80\x02}q\x00.", r"torch\.save"),
        (struct.pack("<Q", 10**6) + b"{", r"cut short.*1000008 bytes, the file has 9"),
        (struct.pack("<Q", 4) + b"{{{{", "damaged"),
        (struct.pack("<Q", 2) + b"{}" + b"more", "damaged"),
    ],
)
def test_other_files_are_refused_by_name_and_reason(content, reason, tmp_path):
    path = tmp_path / "wrong.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"wrong\.safetensors: .*{reason}"):
        tinycnn.load(path)


@pytest.mark.parametrize(
    ("header", "body", "reason"),
    [
        (ENTRY, b"1234567", "cut short: the header announces"),
        (ENTRY, b"123456789", "damaged"),
        ({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"12345678", "damaged"),
        ({"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, b"12345678", "damaged"),
        ({"w": {"dtype": "F32", "shape": [2]}}, b"12345678", "damaged"),
        ({"w": 3}, b"", "damaged"),
        ({"w": {"dtype": "U32", "shape": [2], "data_offsets": [0, 8]}}, b"12345678", "'w' has the dtype U32"),
        ({"__metadata__": {"tinycnn.structure": '{"tensor": "v"}'}, **ENTRY}, b"12345678", "structure is damaged"),
        ({"__metadata__": {"tinycnn.structure": '{"evil": []}'}, **ENTRY}, b"12345678", "structure is damaged"),
        ({"__metadata__": {"tinycnn.structure": "[" * 5}, **ENTRY}, b"12345678", "structure is damaged"),
        ({"__metadata__": {"tinycnn.structure": '{"dict": [[[], 1]]}'}, **ENTRY}, b"12345678", "structure is damaged"),
    ],
)
def test_damaged_files_are_refused_by_name_and_reason(header, body, reason, tmp_path):
    with pytest.raises(ValueError, match=rf"bad\.safetensors: .*{reason}"):
        tinycnn.load(write(tmp_path / "bad.safetensors", header, body))


def test_every_truncation_is_refused(tmp_path):
    tinycnn.save({"w": tinycnn.arange(5.0), "n": 3}, tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "part").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="part: "):
            tinycnn.load(tmp_path / "part")


def test_a_missing_file_and_a_wrong_argument(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        tinycnn.load(tmp_path / "nowhere")
    with pytest.raises(TypeError, match="expected the path of a file or an open binary file, got int"):
        tinycnn.load(3)


@pytest.mark.parametrize(
    ("obj", "where"),
    [
        ({"a": [1, {2}]}, r"obj\['a'\]\['1'\] is a builtins.set"),
        ({"f": lambda: 0}, r"obj\['f'\] is a builtins.function"),
        ({"m": np.zeros(2)}, r"obj\['m'\] is a numpy.ndarray"),
        ({True: 1}, "has the key True"),
        ({(1, 2): 1}, r"has the key \(1, 2\)"),
        (1j, "obj is a builtins.complex"),
    ],
)
def test_what_cannot_be_saved_is_named_and_nothing_is_written(obj, where, tmp_path):
    with pytest.raises(TypeError, match=where):
        tinycnn.save(obj, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    tinycnn.save({"version": 1}, path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        tinycnn.save({"version": 2}, path)
    assert tinycnn.load(path) == {"version": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_link_stays_a_link_and_rights_are_the_usual_ones(tmp_path):
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    tinycnn.save({"v": 1}, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and tinycnn.load(tmp_path / "real") == {"v": 1}
    (tmp_path / "plain").touch()
    assert (tmp_path / "real").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_views_share_their_memory_again(tmp_path):
    base = tinycnn.arange(24.0).reshape(4, 6)
    apart = tinycnn.arange(3.0)
    tree = {"row": base[1], "columns": base[:, 2:4], "t": base.t(), "apart": apart, "twin": apart.detach()}
    tinycnn.save(tree, tmp_path / "v")
    loaded = tinycnn.load(tmp_path / "v")
    for name, value in tree.items():
        assert np.array_equal(loaded[name].numpy(), value.numpy()), name
    loaded["t"].mul_(2)
    assert np.array_equal(loaded["row"].numpy(), base[1].numpy() * 2)
    assert np.array_equal(loaded["columns"].numpy(), base[:, 2:4].numpy() * 2)
    assert loaded["columns"]._version == 1
    loaded["apart"].zero_()
    assert loaded["twin"].tolist() == [0, 0, 0] and loaded["twin"] is not loaded["apart"]


def test_a_whole_tensor_keeps_its_name_and_shape_beside_its_views(tmp_path):
    base = tinycnn.arange(6.0).reshape(2, 3)
    tinycnn.save({"head": base[0], "w": base}, tmp_path / "v.safetensors")
    arrays = safetensors.numpy.load_file(tmp_path / "v.safetensors")
    assert set(arrays) == {"w"} and arrays["w"].shape == (2, 3)
    loaded = tinycnn.load(tmp_path / "v.safetensors")
    loaded["w"].fill_(7)
    assert loaded["head"].tolist() == [7, 7, 7]


def test_an_object_that_occurs_twice_is_one_object_again(tmp_path):
    t = tinycnn.tensor([1.0])
    tinycnn.save([t, t, t.detach()], tmp_path / "v")
    first, second, twin = tinycnn.load(tmp_path / "v")
    assert first is second and twin is not first


def test_parameters_and_gradients_are_remembered(tmp_path):
    saved = {"p": nn.Parameter(tinycnn.ones(2)), "frozen": nn.Parameter(tinycnn.ones(2), requires_grad=False)}
    saved["leaf"] = tinycnn.ones(2).requires_grad_()
    tinycnn.save(saved, tmp_path / "v")
    loaded = tinycnn.load(tmp_path / "v")
    for name, value in saved.items():
        assert type(loaded[name]) is type(value) and loaded[name].requires_grad is value.requires_grad
    layer = nn.Linear(2, 2, bias=False)
    layer.weight = nn.Parameter(tinycnn.zeros(2, 2))
    tied = nn.Sequential(layer, layer)
    tinycnn.save(tied.state_dict(), tmp_path / "t")
    assert list(tinycnn.load(tmp_path / "t")) == ["0.weight", "1.weight"]


def test_other_plain_values(tmp_path):
    tree = OrderedDict(
        size=tinycnn.Size([2, 3]), kind=tinycnn.float16, place=tinycnn.device("cuda:1"), raw=b"\0\xff", n=np.float32(2)
    )
    tinycnn.save(tree, tmp_path / "v")
    loaded = tinycnn.load(tmp_path / "v")
    assert loaded == tree and type(loaded) is OrderedDict and type(loaded["size"]) is tinycnn.Size
    circle = []
    circle.append(circle)
    with pytest.raises(ValueError, match=r"obj\['0'\] contains itself"):
        tinycnn.save(circle, tmp_path / "v")


def test_open_files(tmp_path):
    buffer = io.BytesIO()
    tinycnn.save({"a": tinycnn.arange(3)}, buffer)
    buffer.seek(0)
    assert tinycnn.load(buffer)["a"].tolist() == [0, 1, 2]
    with open(tmp_path / "f", "wb") as file:
        tinycnn.save([tinycnn.zeros(0, 3)], file)
    with open(tmp_path / "f", "rb") as file:
        assert tuple(tinycnn.load(file, "cpu", weights_only=True)[0].shape) == (0, 3)
    with pytest.raises(TypeError, match="reading bytes"):
        tinycnn.load(io.StringIO("text"))
    with pytest.raises(ValueError, match="the open file: not a safetensors file"):
        tinycnn.load(io.BytesIO(b"nothing"))


@pytest.mark.parametrize(
    "view", [{"offset": 3, "shape": [2], "strides": [1]}, {"offset": -1, "shape": [], "strides": []}]
)
def test_views_beyond_their_array_are_refused(view, tmp_path):
    structure = json.dumps({"tensor": "w", **view})
    path = write(tmp_path / "b", {"__metadata__": {"tinycnn.structure": structure}, **ENTRY}, b"12345678")
    with pytest.raises(ValueError, match="structure is damaged"):
        tinycnn.load(path)


def test_views_of_memory_in_other_orders(tmp_path):
    columns = tinycnn.from_numpy(np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    flipped = tinycnn.from_numpy(np.arange(4.0)[::-1])
    tree = [columns, columns[:, 0], flipped, flipped[1:], columns.expand(2, 2, 3)]
    tinycnn.save(tree, tmp_path / "v")
    loaded = tinycnn.load(tmp_path / "v")
    for a, b in zip(tree, loaded, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())
    loaded[0].zero_()
    assert loaded[1].tolist() == [0, 0]


def test_python_threads_may_save_the_same_file(tmp_path):
    failed = []

    def save(number):
        try:
            for _ in range(20):
                tinycnn.save({"x": tinycnn.full((5000,), float(number))}, tmp_path / "same.safetensors")
        except OSError as error:
            failed.append(error)

    savers = [threading.Thread(target=save, args=(n,)) for n in range(4)]
    for thread in savers:
        thread.start()
    for thread in savers:
        thread.join()
    assert not failed and len(tinycnn.load(tmp_path / "same.safetensors")["x"].unique()) == 1
    assert [f.name for f in tmp_path.iterdir()] == ["same.safetensors"]
