"""Files of torch.save: real ones are read to the last value, hostile and damaged ones are refused, and nothing runs."""

from __future__ import annotations

import builtins
import copyreg
import io
import os
import pickle
import random
import struct
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import nn

FILES = Path(__file__).parent / "golden" / "torch_files"
FORMATS = ["zip", "legacy"]


def counted(*shape, dtype=tinycnn.float32):
    return tinycnn.arange(int(np.prod(shape))).reshape(shape).to(dtype)


def equal(tensor, expected):
    return tensor.dtype is expected.dtype and tensor.shape == expected.shape and tensor.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["state_zip", "state_legacy", "state_protocol4"])
def test_a_state_dict_fits_into_the_model(name):
    state = tinycnn.load(FILES / f"{name}.pt", map_location="cpu", weights_only=True)
    assert type(state) is OrderedDict and state._metadata["bn"] == {"version": 2}
    model = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3), bn=nn.BatchNorm2d(2)))
    assert model.load_state_dict(state).missing_keys == []
    assert list(state) == list(model.state_dict())
    for key, value in model.state_dict().items():
        assert equal(value, counted(*value.shape, dtype=value.dtype)), key
        assert equal(state[key], value) and not state[key].requires_grad


@pytest.mark.parametrize("kind", FORMATS)
def test_views_share_their_memory(kind):
    loaded = tinycnn.load(FILES / f"views_{kind}.pt")
    base = loaded["base"]
    assert equal(base, counted(4, 6)) and equal(loaded["row"], base[1]) and equal(loaded["transposed"], base.t())
    assert equal(loaded["stepped"], base[1:, 1::2]) and equal(loaded["expanded"], tinycnn.zeros(3))
    assert loaded["again"] is base and loaded["transposed"].stride() == (1, 6)
    before = loaded["row"]._version
    base.add_(100)
    assert loaded["row"].tolist() == [106, 107, 108, 109, 110, 111] and loaded["expanded"].tolist() == [100] * 3
    assert loaded["row"]._version > before


@pytest.mark.parametrize("kind", FORMATS)
def test_every_plain_value(kind):
    loaded = tinycnn.load(FILES / f"plain_{kind}.pt")
    for name, tensor in loaded["tensors"].items():
        assert equal(tensor, counted(4, dtype=getattr(tinycnn, name if name != "bfloat16" else "float32"))), name
        tensor.zero_()  # the memory is its own
    for name, wanted in (("parameter", True), ("frozen", False)):
        assert isinstance(loaded[name], nn.Parameter) and loaded[name].requires_grad is wanted
    assert type(loaded["leaf"]) is tinycnn.Tensor and loaded["leaf"].requires_grad
    assert equal(loaded["scalar"], tinycnn.tensor(2.5)) and tuple(loaded["empty"].shape) == (0, 3)
    assert type(loaded["size"]) is tinycnn.Size and loaded["size"] == (1, 2)
    assert loaded["device"] == tinycnn.device("cuda:1") and loaded["dtype"] is tinycnn.float16
    assert type(loaded["counter"]) is Counter and loaded["counter"] == Counter("aab")
    assert type(loaded["default"]) is defaultdict and loaded["default"]["new"] == [] and loaded["default"]["a"] == [1]
    values = [None, True, -1, 2**40, 1.5, "text", b"\x00\xff", (1, (2,)), {3, 4}, frozenset("x"), 1j]
    assert loaded["values"] == values and [type(v) for v in loaded["values"]] == [type(v) for v in values]
    assert loaded["numpy"][:2] == [0.25, -7] and np.array_equal(loaded["numpy"][2], np.arange(6.0).reshape(2, 3))
    assert loaded["a", 1] == "keys"


@pytest.mark.parametrize("kind", FORMATS)
def test_an_optimizers_state(kind):
    loaded = tinycnn.load(FILES / f"optimizer_{kind}.pt")
    assert loaded["epoch"] == 3 and loaded["schedule"]["milestones"] == Counter({2: 1, 3: 1})
    model = nn.Linear(2, 1)
    adam = tinycnn.optim.Adam([{"params": [model.weight]}, {"params": [model.bias]}])
    adam.load_state_dict(loaded["optimizer"])
    assert [group["lr"] for group in adam.param_groups] == [0.25, 0.5]
    assert adam.state[model.weight]["exp_avg"].tolist() == [[pytest.approx(0.1)] * 2]


@pytest.mark.parametrize("kind", FORMATS)
def test_open_files_and_map_locations(kind):
    path = FILES / f"state_{kind}.pt"
    expected = tinycnn.load(str(path))
    with open(path, "rb") as file:
        assert equal(tinycnn.load(file)["conv.weight"], expected["conv.weight"])
    buffer = io.BytesIO(path.read_bytes())
    assert equal(tinycnn.load(buffer, lambda storage, place: storage)["conv.bias"], expected["conv.bias"])
    for where in (tinycnn.device("cpu"), {"cpu": "cpu"}, {"cuda:0": "cuda:1"}, lambda storage, place: storage.cpu()):
        assert equal(tinycnn.load(path, where)["conv.bias"], expected["conv.bias"])


# -- hostile files -----------------------------------------------------------------------------------------------


def archive(path, pickled, storages=(), compression=zipfile.ZIP_STORED, root="archive"):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(f"{root}/data.pkl", pickled)
        for key, content in dict(storages).items():
            file.writestr(f"{root}/data/{key}", content)
        file.writestr(f"{root}/version", "3\n")
    return path


def legacy(path, pickled, keys=b"\x80\x02].", storages=b""):
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, system))
    path.write_bytes(head + pickled + keys + storages)
    return path


class Call:
    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce_ex__(self, protocol):
        return self.reduced


RAN = []


def run(*arguments):
    RAN.append(arguments)


class Dummy:
    def __setstate__(self, state):
        RAN.append(state)


HOSTILE = {
    "system": pickle.dumps(Call(os.system, ("touch hacked",)), 2),
    "eval": pickle.dumps(Call(eval, ("1",)), 2),
    "eval4": pickle.dumps({"a": Call(eval, ("1",))}, 4),
    "exec": pickle.dumps([Call(exec, ("1",))], 2),
    "import": pickle.dumps(Call(builtins.__import__, ("os",)), 2),
    "getattr": pickle.dumps(Call(getattr, (1, "real")), 2),
    "mine": pickle.dumps(Call(run, (1,)), 2),
    "object": pickle.dumps(Dummy(), 2),
    "object4": pickle.dumps(Dummy(), 4),
    "reconstructor": pickle.dumps(Call(copyreg._reconstructor, (Dummy, object, None)), 2),
    "extension": b"\x80\x02\x82\x01.",
    "nested": b"\x80\x04\x8c\x07torch._\x8c\x0b_utils.eval\x93)R.",
    "dotted": b"\x80\x04\x8c\x05torch\x8c\x16_utils._import_dotted_n\x93)R.",
    "rebuilt by name": b"\x80\x02ctorch._utils\n_rebuild_from_type_v2\n)R.",
    "load from bytes": b"\x80\x02ctorch.storage\n_load_from_bytes\nC\x01x\x85R.",
    "qtensor": b"\x80\x02ctorch._utils\n_rebuild_qtensor\n)R.",
    "text opcodes": b"cos\nsystem\n(S'true'\ntR.",
    "inst": b"\x80\x02(S'x'\nios\nsystem\n.",
    "obj": b"\x80\x02(cos\nsystem\no.",
    "reduce of a value": b"\x80\x02K\x01)R.",
    "build of a list": b"\x80\x02]}b.",
    "build of a parameter's class": b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\x00\x00\x00itemsK\x01sb.",
    "bare name": b"\x80\x02ccollections\nOrderedDict\n.",
    "newobj": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
    "a dict of hooks": b"\x80\x02ccollections\nOrderedDict\n}R.",
    "many tuples as key": b"\x80\x02})" + b"\x85q\x00h\x00h\x00\x86" * 50 + b"K\x01s.",
    "no stop": b"\x80\x02N",
    "nothing to stop with": b"\x80\x02.",
    "two values": b"\x80\x02NN.",
    "odd items": b"\x80\x02}(Nu.",
    "mark missing": b"\x80\x02t.",
    "memo missing": b"\x80\x02h\x05.",
    "huge text": b"\x80\x02X\xff\xff\xff\x7f.",
    "huge bytes": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
    "huge number": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "bad text": b"\x80\x02X\x01\x00\x00\x00\xff.",
    "persistent text": b"\x80\x02P12\n.",
    "persistent module": b"\x80\x02(X\x06\x00\x00\x00moduleNNNtQ.",
    "persistent nothing": b"\x80\x02NQ.",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("wrap", [archive, legacy])
def test_hostile_pickles_are_refused_and_nothing_runs(name, wrap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = wrap(tmp_path / "evil.pt", HOSTILE[name])
    before = set(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"evil\.pt: not a file of torch\.save that can be read: "):
        tinycnn.load(path)
    assert not RAN and set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("system", r"names (posix|os)\.system"),
        ("eval", r"names (__builtin__|builtins)\.eval"),
        ("object", "names .*"),
        ("reconstructor", r"names copy_?reg\._reconstructor"),
        ("rebuilt by name", r"names torch\._utils\._rebuild_from_type_v2"),
        ("newobj", r"makes an object of collections\.OrderedDict"),
        ("bare name", r"holds collections\.OrderedDict as a value"),
        ("huge text", r"bytes expected, 0 left|bytes expected, 1 left"),
        ("persistent module", "'module', which is no storage"),
    ],
)
def test_what_was_refused_is_named(name, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        tinycnn.load(archive(tmp_path / "evil.pt", HOSTILE[name]))


def number(n):
    return b"\x8a\x09" + n.to_bytes(9, "little", signed=True)


def tensor_pickle(offset=0, size=(2,), stride=(1,), count=2, kind=b"ctorch\nFloatStorage\n", hooks=b"N", key=b"0"):
    reference = b"(X\x07\x00\x00\x00storage" + kind + b"X" + struct.pack("<I", len(key)) + key
    reference += b"X\x03\x00\x00\x00cpu" + number(count) + b"tQ"
    shapes = b"".join(b"(" + b"".join(map(number, numbers)) + b"t" for numbers in (size, stride))
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + reference + number(offset) + shapes + b"\x89" + hooks + b"tR."
    )


def test_the_pickles_made_here_are_read_when_they_are_right(tmp_path):
    path = archive(tmp_path / "good.pt", tensor_pickle(), {"0": struct.pack("<2f", 1, 2)})
    assert tinycnn.load(path).tolist() == [1, 2]
    body = struct.pack("<q2f", 2, 1, 2)
    assert tinycnn.load(legacy(path, tensor_pickle(), b"\x80\x02]X\x01\x00\x00\x000a.", body)).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"offset": 1}, r"size \[2\], stride \[1\] and offset 1 reaches beyond its storage of 2 elements"),
        ({"offset": -1}, "must be counts from 0 on"),
        ({"size": (3,)}, "reaches beyond"),
        ({"size": (-1,)}, "must be counts from 0 on"),
        ({"stride": (2,)}, "reaches beyond"),
        ({"stride": (-1,)}, "must be counts from 0 on"),
        ({"stride": (2**62,)}, "reaches beyond"),
        ({"size": (2**62,)}, "reaches beyond"),
        ({"size": (2**40,), "stride": (0,)}, "too large for its storage"),
        ({"size": (2**40, 0), "stride": (0, 0)}, "too large for its storage"),
        ({"size": (2, 1)}, "must be counts"),
        ({"size": (1,) * 65, "stride": (1,) * 65}, "65 dimensions"),
        ({"count": 3}, "has 8 bytes instead of 12"),
        ({"count": 2**50}, "larger than the file"),
        ({"count": -2}, "a count"),
        ({"kind": b"ctorch\nComplexFloatStorage\n"}, r"torch\.ComplexFloatStorage"),
        ({"kind": b"X\x01\x00\x00\x00x"}, "a storage of type str"),
        ({"kind": b"ccollections\nOrderedDict\n"}, r"type collections\.OrderedDict"),
        ({"key": b"1"}, r"'archive/data/1' is missing"),
        ({"key": b"../version"}, "is missing"),
        ({"hooks": b"ccollections\nOrderedDict\n](K\x01K\x02\x86e\x85R"}, "hooks, which are code"),
    ],
)
def test_tensors_stay_within_their_storage(what, says, tmp_path):
    path = archive(tmp_path / "bad.pt", tensor_pickle(**what), {"0": struct.pack("<2f", 1, 2)})
    with pytest.raises(ValueError, match=says):
        tinycnn.load(path)


def script(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("net/data.pkl", b"\x80\x02N.")
        file.writestr("net/constants.pkl", b"\x80\x02N.")


def other(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme", "hello")


def test_archives_are_checked(tmp_path):
    path = tmp_path / "bad.pt"
    content = {"0": bytes(8)}
    for make, says in [
        (lambda: archive(path, tensor_pickle(), content, zipfile.ZIP_DEFLATED), "is compressed"),
        (lambda: script(path), "TorchScript"),
        (lambda: other(path), "one entry NAME/data.pkl"),
        (lambda: path.write_bytes(b"PK\x03\x04 a zip file"), "the zip file is damaged"),
        (lambda: legacy(path, b"\x80\x02N.", b"\x80\x02]X\x01\x00\x00\x000a."), "names one that no tensor shows"),
        (lambda: legacy(path, tensor_pickle()), "larger than the file|a storage is missing"),
        (lambda: path.write_bytes(b"\x80\x02N."), "does not start with the number"),
    ]:
        make()
        with pytest.raises(ValueError, match=says):
            tinycnn.load(path)


def test_a_damaged_storage_is_found_by_its_checksum(tmp_path):
    content = bytearray((FILES / "views_zip.pt").read_bytes())
    place = content.index(struct.pack("<3f", 1, 2, 3))
    content[place] ^= 1
    (tmp_path / "bad.pt").write_bytes(content)
    with pytest.raises(ValueError, match="CRC"):
        tinycnn.load(tmp_path / "bad.pt")


@pytest.mark.parametrize("name", ["views_zip", "views_legacy"])
def test_every_cut_is_refused(name):
    whole = (FILES / f"{name}.pt").read_bytes()
    for length in range(0, len(whole), 1 if "legacy" in name else 7):
        with pytest.raises(ValueError, match="the open file: "):
            tinycnn.load(io.BytesIO(whole[:length]))


@pytest.mark.parametrize("name", ["plain_legacy", "optimizer_zip"])
def test_random_damage_gives_a_value_or_a_clear_error(name):
    whole = (FILES / f"{name}.pt").read_bytes()
    draw = random.Random(1)
    refused = 0
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        try:
            tinycnn.load(io.BytesIO(content))
        except ValueError:
            refused += 1
    assert refused > 100


def test_a_published_file():
    folder = Path(os.environ.get("TINYCNN_DATA") or Path(__file__).parents[2] / "shared" / "data")
    path = folder / "weights" / "resnet20-12fca82f.th"
    if not path.is_file():
        pytest.skip(f"no {path.name} in {folder}; set TINYCNN_DATA to a folder that has it")
    loaded = tinycnn.load(path)
    assert loaded["best_prec1"] == pytest.approx(91.78)
    assert sum(t.numel() for n, t in loaded["state_dict"].items() if "running" not in n and "num_b" not in n) == 269_722
