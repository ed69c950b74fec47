"""``python -m tinycnn``: what it prints, and what it says to what it does not understand."""

import json
import sys

import pytest

import tinycnn
from tinycnn.__main__ import COMMANDS, EXAMPLES, main

NET = """
from helper import width
from tinycnn import nn

def net(classes=10):
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.Flatten(), nn.LazyLinear(classes) if classes < 0 else nn.Identity())

ready = net()
number = 3
"""


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs a command line and returns what it printed; for one that fails, what it said."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tinycnn", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            printed = capsys.readouterr()
            return f"{printed.out}{printed.err}{end.code if isinstance(end.code, str) else ''}"
        return capsys.readouterr().out

    return run


def test_summary_of_a_model_by_name(command):
    text = command("summary", "LeNet5", "--input", "1,32,32", "--set", "num_classes=3")
    assert "conv2 (Conv2d)" in text and "1x16x10x10" in text and f"{61_706 - 7 * 85:,}" in text
    layers = json.loads(command("summary", "lenet5", "--input", "2x1x32x32", "--json"))
    assert layers[1]["output_shapes"] == [[2, 6, 28, 28]] and layers[-1]["receptive_field"] == ["all", "all"]
    assert "  conv" not in command("summary", "lenet5", "--input", "1,32,32", "--depth", "0")


def test_summary_of_a_model_in_a_file(command, tmp_path):
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "helper.py").write_text("width = 5\n")  # beside it, as when it is run
    file = tmp_path / "net.py"
    for name in ("net", "ready"):
        assert "50" in command("summary", f"{file}:{name}", "--input", "1,8,8")
    assert "have no shape yet" in command("summary", f"{file}:net", "--input", "1,8,8", "--set", "classes=-1")
    assert "is a int, not an nn.Module" in command("summary", f"{file}:number", "--input", "3")
    assert "did you mean net" in command("summary", f"{file}:nett", "--input", "3")
    assert "or LeNet5" in command("summary", "tinycnn.vision.models:lenet4", "--input", "3")
    assert f"for a class in it: {file}:NAME" in command("summary", file, "--input", "3")
    assert "no file" in command("summary", "nowhere.py:Net", "--input", "3")
    assert "No module named 'nowhere'" in command("summary", "nowhere:Net", "--input", "3")


def test_errors_say_what_was_meant(command):
    assert "did you mean summary" in command("sumary")
    assert "did you mean " in command("summary", "resnet-18", "--input", "3,32,32")
    assert "; there are " in command("summary", "x", "--input", "3,32,32")
    assert "such as 3,224,224" in command("summary", "lenet5", "--input", "3,0")
    assert "such as num_classes=10" in command("summary", "lenet5", "--input", "3", "--set", "num_classes")
    assert "a number or all" in command("summary", "lenet5", "--input", "3", "--depth", "deep")
    wrong = command("summary", "lenet5", "--input", "1,28,28")
    assert "images must be 32x32" in wrong and "raised in the model (LeNet5)" in wrong
    assert "unexpected keyword argument 'size'" in command("summary", "lenet5", "--input", "3", "--set", "size=1")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples(command, name):
    text = command(name, "--help")
    assert EXAMPLES[name].strip() in text and f"python -m tinycnn {name}" in text
    assert f"    {name}" in command("--help")


def test_show_config(command, monkeypatch):
    monkeypatch.setenv("TINYCNN_HOME", "somewhere")
    text = command("show-config")
    for word in ("numba", "threads", "thread layer", "kernel cache", "Winograd", "CUDA", "TINYCNN_HOME=somewhere"):
        assert word in text
    assert f"{tinycnn.get_num_threads()} of " in text
    monkeypatch.setenv("TINYCNN_BACKEND", "reference")
    assert "readable NumPy kernels" in command("show-config")


def test_warmup_names_its_tasks(command):
    assert "float64" in command("warmup", "--dtype", "float64", "--only", "Adam")
