"""Fetching weights: from files served by file:// URLs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import tinycnn
from tinycnn import hub
from tinycnn.utils import model_zoo

FILE = Path(__file__).parent / "golden" / "torch_files" / "state_zip.pt"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYCNN_HOME", str(tmp_path / "home"))
    return tmp_path


def test_a_file_is_fetched_once_and_kept(home):
    source = home / "state.pt"
    source.write_bytes(FILE.read_bytes())
    first = model_zoo.load_url(source.as_uri(), map_location="cpu", progress=False)
    source.unlink()
    again = hub.load_state_dict_from_url(source.as_uri(), progress=False)
    assert (first["conv.weight"] == again["conv.weight"]).all() and hub.get_dir() == str(home / "home" / "hub")
    assert [path.name for path in (home / "home" / "hub" / "checkpoints").iterdir()] == ["state.pt"]
    assert (
        hub.load_state_dict_from_url(FILE.as_uri(), home / "else", file_name="x.pt")["conv.bias"] == tinycnn.arange(2)
    ).all()
    assert (home / "else" / "x.pt").is_file()


def test_checksums(home):
    good = hashlib.sha256(FILE.read_bytes()).hexdigest()[:8]
    for digits, right in ((good, True), ("0" * 8, False)):
        source = home / f"state-{digits}.pt"
        source.write_bytes(FILE.read_bytes())
        if right:
            hub.load_state_dict_from_url(source.as_uri(), home, check_hash=True)
        else:
            with pytest.raises(RuntimeError, match=f"must begin with {digits}, but it begins with {good}"):
                hub.load_state_dict_from_url(source.as_uri(), home / "new", check_hash=True)
            assert not list((home / "new").iterdir())
    with pytest.raises(ValueError, match="needs digits in the name"):
        hub.load_state_dict_from_url(FILE.as_uri(), home, check_hash=True)
    with pytest.raises(ValueError, match="no file's name"):
        hub.load_state_dict_from_url("https://example.org/", home)


def test_code_is_not_fetched():
    with pytest.raises(RuntimeError, match="would run code from the net"):
        hub.load("pytorch/vision", "resnet18")


def test_the_folder_can_be_set(home):
    before = hub.get_dir()
    hub.set_dir(home / "mine")
    try:
        assert hub.get_dir() == str(home / "mine")
    finally:
        hub._dir = None
    assert hub.get_dir() == before
