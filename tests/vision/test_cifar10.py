"""CIFAR-10 from small files made here; the python version is read without unpickling."""

import collections
import hashlib
import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from tinycnn.vision import transforms
from tinycnn.vision.datasets import CIFAR10, CIFAR100
from tinycnn.vision.datasets._cifar_pickle import CifarPickleError, read_cifar_pickle
from tinycnn.vision.datasets.cifar import read_binary_batch, read_python_batch

RNG = np.random.default_rng(0)


def string(text):
    """A byte string as Python 2's cPickle wrote it, with a memo after it."""
    head = b"U" + bytes([len(text)]) if len(text) < 256 else b"T" + len(text).to_bytes(4, "little")
    return head + text + b"q\x05"


def integer(n):
    return b"K" + bytes([n]) if n < 256 else b"M" + n.to_bytes(2, "little")


def array(content, shape):
    sizes = b"(" + b"".join(integer(n) for n in shape) + b"t"
    return (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09(K\x01"
        + sizes
        + b"cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + string(content)
        + b"tb"
    )


def numbers(values):
    return b"]q\x03(" + b"".join(map(integer, values)) + b"e"


def batch(images, labels):
    """A file of the python version, byte for byte in the format of the published ones."""
    items = [
        (b"batch_label", string(b"training batch 1 of 5")),
        (b"labels", numbers(labels)),
        (b"data", array(images.tobytes(), images.shape)),
        (b"filenames", b"](" + b"".join(string(b"cat_%d.png" % i) for i in range(len(labels))) + b"e"),
    ]
    return b"\x80\x02}q\x01(" + b"".join(string(key) + value for key, value in items) + b"u."


def make(count, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3072), dtype=np.uint8), rng.integers(0, 10, count).tolist()


def write(folder, names=("data_batch_1", "data_batch_2", "test_batch")):
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for seed, name in enumerate(names):
        made[name] = make(3 + seed, seed)
        (folder / name).write_bytes(batch(*made[name]))
    return made


def write_binary(folder, name, images, labels):
    folder.mkdir(parents=True, exist_ok=True)
    np.concatenate([np.array(labels, np.uint8)[:, None], images], axis=1).tofile(folder / f"{name}.bin")


def test_pickles_written_by_python_agree():
    """The format of `batch` is right: pickle itself reads the same from it."""
    images, labels = make(4, 1)
    content = batch(images, labels)
    ours, theirs = read_cifar_pickle(content), pickle.loads(content, encoding="bytes")
    assert list(ours) == list(theirs)
    assert ours[b"labels"] == theirs[b"labels"] == labels and ours[b"filenames"] == theirs[b"filenames"]
    assert np.array_equal(ours[b"data"], theirs[b"data"]) and np.array_equal(ours[b"data"], images)


@pytest.mark.parametrize("folder", ["cifar-10-batches-py", "."])
def test_python_version(tmp_path, folder):
    made = write(tmp_path / folder)
    dataset = CIFAR10(tmp_path, batches=(2, 1))
    images = np.concatenate([made["data_batch_2"][0], made["data_batch_1"][0]])
    assert dataset.data.shape == (7, 32, 32, 3) and dataset.data.dtype == np.uint8 and dataset.data.flags.c_contiguous
    assert np.array_equal(dataset.data, images.reshape(7, 3, 32, 32).transpose(0, 2, 3, 1))
    assert dataset.targets == made["data_batch_2"][1] + made["data_batch_1"][1]
    assert all(type(t) is int for t in dataset.targets)
    assert dataset.class_to_idx["frog"] == 6
    assert len(CIFAR10(tmp_path, train=False)) == 5


def test_binary_version(tmp_path):
    images, labels = make(6, 3)
    write_binary(tmp_path / "cifar-10-batches-bin", "data_batch_3", images, labels)
    dataset = CIFAR10(tmp_path, batches=[3])
    assert np.array_equal(dataset.data, images.reshape(6, 3, 32, 32).transpose(0, 2, 3, 1))
    assert dataset.targets == labels


def test_items(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    write(tmp_path)
    image, label = CIFAR10(tmp_path, batches=[1])[0]
    assert isinstance(image, Image.Image) and image.mode == "RGB" and image.size == (32, 32) and type(label) is int
    dataset = CIFAR10(tmp_path, batches=[1], transform=transforms.ToTensor())
    assert np.array_equal(dataset[1][0].numpy(), make(3, 0)[0][1].reshape(3, 32, 32).astype("f4") / np.float32(255))


def test_missing_batches_are_listed(tmp_path):
    write(tmp_path)
    found = r"\(found: data_batch_1, data_batch_2, test_batch\)"
    message = rf"data_batch_3, data_batch_4, data_batch_5 missing in .*{found}; pass batches=\(1, 2\)"
    with pytest.raises(RuntimeError, match=message):
        CIFAR10(tmp_path)
    with pytest.raises(RuntimeError, match=r"test_batch missing in .*\(found: none\); pass download=True"):
        CIFAR10(tmp_path / "elsewhere", train=False)


@pytest.mark.parametrize("bad", [(), (0,), (1, 1), (6,), (1, 2, 7)])
def test_batches_are_checked(tmp_path, bad):
    with pytest.raises(ValueError, match="different numbers from 1 to 5"):
        CIFAR10(tmp_path, batches=bad)
    with pytest.raises(ValueError, match="needs train=True"):
        CIFAR10(tmp_path, train=False, batches=(1,))


def test_verify_checks_the_checksums(tmp_path):
    write(tmp_path)
    with pytest.raises(RuntimeError, match="data_batch_1: the md5 checksum must be c99cafc1"):
        CIFAR10(tmp_path, batches=[1], verify=True)


def test_binary_files_of_a_wrong_size(tmp_path):
    for size in (0, 3072, 3074):
        path = tmp_path / "data_batch_1.bin"
        path.write_bytes(bytes(size))
        with pytest.raises(RuntimeError, match=f"multiple of 3073 bytes, this file has {size}"):
            read_binary_batch(path)
    path.write_bytes(bytes([10]) + bytes(3072))
    with pytest.raises(RuntimeError, match=r"labels must lie in 0\.\.9, but number 0 is 10"):
        CIFAR10(tmp_path, batches=[1])


def test_contents_that_are_no_batch(tmp_path):
    path = tmp_path / "data_batch_1"
    images, labels = make(3, 0)
    cases = [
        (b"\x80\x02}.", "'data' must be an array"),
        (b"\x80\x02].", "must hold a dict, it holds a list"),
        (batch(images[:, :3071], labels), r"\(N, 3072\) of bytes, found \(3, 3071\)"),
        (batch(images, labels[:2]), "2 labels for 3 images"),
        (batch(images, [1, 2, 300]), "list of class numbers"),
        (batch(images, labels).replace(b"U\x06labels", b"U\x06Labels"), "'labels' must be a list"),
        (b"", "starts with 80 02, this file with nothing"),
        (b"<html>", "this file with 3c 68"),
    ]
    for content, message in cases:
        path.write_bytes(content)
        with pytest.raises(RuntimeError, match=message) as caught:
            read_python_batch(path)
        assert str(path) in str(caught.value)


def test_every_cut_and_anything_after_the_end_is_refused():
    images, labels = make(2, 0)
    content = batch(images[:, :0], labels)
    read_cifar_pickle(content)
    for end in range(len(content)):
        with pytest.raises(CifarPickleError):
            read_cifar_pickle(content[:end])
    for more in (b".", b"\x00", b"K\x01."):
        with pytest.raises(CifarPickleError, match="left over"):
            read_cifar_pickle(content + more)


def test_arrays_must_be_whole():
    images, labels = make(2, 0)
    content = batch(images, labels)
    assert b"M\x00\x0c" in content
    for wrong in (content.replace(b"M\x00\x0c", b"M\x01\x0c"), content.replace(b"M\x00\x0c", b"M\xff\xff")):
        with pytest.raises(CifarPickleError, match="has 6144 bytes instead of"):
            read_cifar_pickle(wrong)
    with pytest.raises(CifarPickleError, match="state other than"):
        read_cifar_pickle(content.replace(b"J\xff\xff\xff\xffK\x00tb", b"J\xff\xff\xff\xffK\x01tb"))
    with pytest.raises(CifarPickleError, match="a call other than"):
        read_cifar_pickle(content.replace(b"U\x02u1", b"U\x02O8"))


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def evil_files(target):
    """Pickles that would make the file `target` if they were unpickled."""
    command = f"import pathlib; pathlib.Path({str(target)!r}).touch()"
    for protocol in range(6):
        yield pickle.dumps(Evil(exec, command), protocol)
        yield pickle.dumps({b"data": Evil(os.system, f"touch {target}")}, protocol)
    call = b"(U" + bytes([len(command)]) + command.encode() + b"tR"
    for function in (
        b"builtins exec",
        b"__builtin__ exec",
        b"os system",
        b"numpy load",
        b"numpy.core.multiarray scalar",
    ):
        name = function.replace(b" ", b"\n") + b"\n"
        yield b"\x80\x02c" + name + call + b"."
        yield b"\x80\x02}(U\x04datac" + name + call + b"u."
        yield b"\x80\x02(U" + bytes([len(command)]) + command.encode() + b"i" + name + b"."  # INST
        yield b"\x80\x02(c" + name + b"U" + bytes([len(command)]) + command.encode() + b"o."  # OBJ
        yield b"\x80\x02c" + name + call.replace(b"R", b"\x81", 1) + b"."  # NEWOBJ
    # the allowed names with other arguments: subclasses, other dtypes, states that hold objects
    yield b"\x80\x02cnumpy\nndarray\n(K\x05tR."
    yield b"\x80\x02cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R."
    yield b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R."
    yield b"\x80\x02cnumpy\ndtype\n}b."


def test_malicious_files_are_refused_and_nothing_runs(tmp_path):
    target = tmp_path / "pwned"
    path = tmp_path / "data_batch_1"
    for content in evil_files(target):
        path.write_bytes(content)
        with pytest.raises(RuntimeError, match="not a batch of CIFAR's python version"):
            read_python_batch(path)
    assert not target.exists()


VALUES = [1.5, "text", (1, 2), {1: 2}, True, None, 2**40, collections.OrderedDict(), np.arange(3), b"bytes", {1, 2}]


@pytest.mark.parametrize("value", VALUES, ids=str)
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_other_pickles_are_refused_or_read_as_pickle_would(value, protocol):
    content = pickle.dumps({b"k": value}, protocol)
    try:
        result = read_cifar_pickle(content)
    except CifarPickleError:
        return
    assert result == pickle.loads(content)


def test_random_bytes_are_refused():
    opcodes = np.frombuffer(b"KUTqrhjMJN\x89(]}aesut\x85\x86\x87cRb.\x00\x01", np.uint8)
    for _ in range(3000):
        body = RNG.choice(opcodes, RNG.integers(1, 30)).tobytes()
        try:
            read_cifar_pickle(b"\x80\x02" + body)
        except CifarPickleError:
            pass  # refused by this reader, and by no other exception


def archive(path, made_in, names):
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            content = (made_in / name).read_bytes()
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    names = tuple(CIFAR10.checksums)
    write(tmp_path / "made", names)
    (tmp_path / "mirror").mkdir()
    md5 = archive(tmp_path / "mirror" / "cifar-10-python.tar.gz", tmp_path / "made", names)
    monkeypatch.setattr(CIFAR10, "mirrors", [(tmp_path / "mirror").as_uri() + "/"])
    monkeypatch.setattr(CIFAR10, "archive", ("cifar-10-python.tar.gz", md5))
    sums = {name: hashlib.md5((tmp_path / "made" / name).read_bytes()).hexdigest() for name in names}
    monkeypatch.setattr(CIFAR10, "checksums", sums)
    return tmp_path / "mirror"


def test_download(tmp_path, mirror):
    root = tmp_path / "root"
    assert len(CIFAR10(root, download=True, verify=True)) == 3 + 4 + 5 + 6 + 7
    assert sorted(p.name for p in (root / "cifar-10-batches-py").iterdir()) == sorted(CIFAR10.checksums)
    (mirror / "cifar-10-python.tar.gz").unlink()
    (root / "cifar-10-python.tar.gz").unlink()
    assert len(CIFAR10(root, train=False, download=True)) == 8  # all there: nothing to fetch


def test_an_archive_put_there_by_hand_is_unpacked(tmp_path, mirror):
    root = tmp_path / "root"
    root.mkdir()
    (mirror / "cifar-10-python.tar.gz").rename(root / "cifar-10-python.tar.gz")
    with pytest.raises(RuntimeError, match=r"pass download=True to unpack cifar-10-python\.tar\.gz, which is there"):
        CIFAR10(root)
    assert len(CIFAR10(root, download=True)) == 25
    (root / "cifar-10-python.tar.gz").write_bytes(b"damaged")
    (root / "cifar-10-batches-py" / "test_batch").unlink()
    with pytest.raises(RuntimeError, match=r"cifar-10-python\.tar\.gz: the md5 checksum must be"):
        CIFAR10(root, download=True)


@pytest.mark.parametrize("binary", [False, True])
def test_cifar100_reads_the_fine_labels(tmp_path, binary):
    images, _ = make(4, 0)
    fine, coarse = [0, 99, 7, 50], [19, 0, 3, 4]
    if binary:
        (tmp_path / "cifar-100-binary").mkdir()
        records = np.concatenate([np.array([coarse, fine], np.uint8).T, images], axis=1)
        records.tofile(tmp_path / "cifar-100-binary" / "test.bin")
    else:
        (tmp_path / "cifar-100-python").mkdir()
        content = batch(images, coarse).replace(string(b"labels"), string(b"coarse_labels"))
        content = content[:-2] + string(b"fine_labels") + numbers(fine) + b"u."
        (tmp_path / "cifar-100-python" / "test").write_bytes(content)
    data = CIFAR100(tmp_path, train=False)
    assert data.targets == fine and np.array_equal(data.data, images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    assert len(data.classes) == 100 and data.classes == sorted(data.classes) and data.class_to_idx["worm"] == 99
    with pytest.raises(RuntimeError, match=r"CIFAR100: train missing in .*found: test"):
        CIFAR100(tmp_path)
