"""The examples run as their users run them."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn.vision import models

ROOT = Path(tinycnn.__file__).resolve().parent.parent
DATA = Path(os.environ.get("TINYCNN_DATA") or ROOT.parent / "shared" / "data")


def run(*arguments, **options):
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, **options)


def check_outputs(folder, model):
    weights = tinycnn.load(folder / "weights.safetensors")
    model.load_state_dict(weights)
    for name in ("curves.png", "confusion.png", "mistakes.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_lenet_learns_the_digits(tmp_path):
    done = run(ROOT / "examples/lenet.py", "--epochs", 8, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "61,706 parameters" in done.stdout
    accuracy = float(done.stdout.split("test accuracy ")[-1].split("%")[0])
    assert accuracy >= 96.0, done.stdout
    check_outputs(tmp_path, models.LeNet5())


def test_the_same_seed_gives_the_same_weights(tmp_path):
    for name, threads in (("a", 1), ("b", 2)):
        done = run(
            ROOT / "examples/lenet.py", "--epochs", 1, "--seed", 5, "--threads", threads, "--out", tmp_path / name
        )
        if "expected 1 to 1" in done.stderr:
            pytest.skip("one processor only")
        assert done.returncode == 0, done.stderr
    first, second = (tinycnn.load(tmp_path / name / "weights.safetensors") for name in ("a", "b"))
    assert all(np.array_equal(first[k].numpy(), second[k].numpy()) for k in first)


@pytest.mark.skipif(not (DATA / "cifar-10-batches-py").is_dir(), reason="CIFAR-10 is not here")
def test_cifar10_runs_on_the_real_files(tmp_path):
    done = run(ROOT / "examples/cifar10.py", "--data-dir", DATA, "--batches", 1, "--epochs", 1, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split("test accuracy ")[-1].split("%")[0]) > 25.0
    check_outputs(tmp_path, models.CifarNet())


def test_the_custom_operation_runs_and_is_short():
    path = ROOT / "examples/custom_op.py"
    assert len(path.read_text().splitlines()) < 95
    done = run(path)
    assert done.returncode == 0 and "agrees" in done.stdout, done.stderr


def test_filters_are_what_they_are_called(tmp_path):
    done = run(ROOT / "examples/filters.py", "--size", 64, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "filters.png").read_bytes().startswith(b"\x89PNG")
    assert "there is no file nowhere.png" in run(ROOT / "examples/filters.py", "nowhere.png").stderr

    example = runpy.run_path(str(ROOT / "examples/filters.py"))
    correlate, convolve = example["correlate"], example["convolve"]
    ramp = tinycnn.arange(8.0).expand(8, 8)  # brighter by one for each column
    x, y = example["SOBEL_X"], example["SOBEL_Y"]
    assert (correlate(ramp, x)[:, 1:-1] == 8).all() and (correlate(ramp, y) == 0).all()
    assert (convolve(ramp, x)[:, 1:-1] == -8).all()
    assert tinycnn.equal(correlate(ramp, example["IDENTITY"]), ramp)
    for kernel in (example["box"](5), example["gaussian"](1), example["SHARPEN"]):  # they keep what is even
        assert tinycnn.allclose(correlate(tinycnn.ones(9, 9), kernel), tinycnn.ones(9, 9))
    assert correlate(tinycnn.ones(9, 9), example["box"](3), "constant")[0, 0].item() == pytest.approx(4 / 9)
    assert example["strided"](tinycnn.ones(16, 16), example["gaussian"](1), 4)[1].endswith("= 4")
    assert example["draw"](64).shape == (64, 64)


def test_bad_options_are_refused_in_words():
    for arguments, text in (
        (["--device", "cuda"], "cuda: there is no NVIDIA driver"),
        (["--epochs", "0"], "at least 1"),
        (["--threads", "1000"], "processors"),
        (["--dataset", "mnist", "--data-dir", "nowhere"], "nowhere"),
    ):
        done = run(ROOT / "examples/lenet.py", *arguments)
        assert done.returncode != 0 and text in done.stderr, (arguments, done.stderr)


@pytest.mark.skipif(not (DATA / "photos").is_dir() or not (DATA / "weights").is_dir(), reason="no photographs here")
@pytest.mark.parametrize(
    ("photo", "name"),
    [("coffee_300.png", "espresso"), ("chelsea.png", "Egyptian cat"), ("camera.png", "tripod")],
)
def test_squeezenet_names_the_photographs(photo, name):
    weights = DATA / "weights"
    done = run(
        ROOT / "examples/classify.py",
        DATA / "photos" / photo,
        *("--weights", weights / "squeezenet1.0-deepcompressed.safetensors"),
        *("--labels", weights / "synset_words.txt"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith("%  " + name) and len(done.stdout.splitlines()) == 5


def test_classify_says_what_is_missing(tmp_path):
    done = run(ROOT / "examples/classify.py", "nowhere.png", "--weights", tmp_path, "--labels", tmp_path)
    assert done.returncode != 0 and "nowhere.png is not there" in done.stderr


def test_transfer_runs_and_freezes(tmp_path, monkeypatch):
    done = run(ROOT / "examples/transfer.py", "--epochs", 2, "--each", 4, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line.split(":")[0] for line in done.stdout.splitlines()[2:]]
    assert rows == ["from nothing", "new layers alone", "fine-tuned"]
    before, after = (tinycnn.load(tmp_path / f"{name}.safetensors") for name in ("first_half", "weights"))
    assert before.keys() == after.keys()
    assert not np.array_equal(before["conv1.weight"].numpy(), after["conv1.weight"].numpy())

    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    example = runpy.run_path(str(ROOT / "examples/transfer.py"))
    model = models.LeNet5(num_classes=5)
    old, new = model.fc1, example["replace_linear"](model, 3)
    assert [tuple(p.shape) for p in new[::2]] == [(120, 400), (84, 120), (3, 84)]
    assert model.fc1 is not old and model.fc3.weight is new[4]


def test_the_recipes_rates(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    rate = runpy.run_path(str(ROOT / "examples/recipe.py"))["warm_up_and_cosine"]
    rates = [rate(step, 4, 12) for step in range(12)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1, 1] and rates[8] == pytest.approx(0.5) and 0 < rates[11] < 0.05


@pytest.mark.skipif(not (DATA / "cifar-10-batches-py").is_dir(), reason="CIFAR-10 is not here")
def test_a_recipe_that_was_cut_off_goes_on_with_the_same_numbers(tmp_path):
    options = ["--data-dir", DATA, "--batches", 1, "--limit", 48, "--batch-size", 16, "--model", "resnet20"]
    options += ["--augment", "--epochs", 2, "--lr", 0.1, "--average", 0.5]
    for extra in (["--out", tmp_path / "a"], ["--stop-after", 1, "--out", tmp_path / "b"]):
        done = run(ROOT / "examples/cifar10.py", *options, *extra)
        assert done.returncode == 0, done.stderr
    done = run(ROOT / "examples/cifar10.py", *options, "--resume", "--out", tmp_path / "b")
    assert done.returncode == 0 and "going on after epoch 1" in done.stdout, done.stderr
    first, second = (tinycnn.load(tmp_path / name / "weights.safetensors") for name in "ab")
    assert all(np.array_equal(first[k].numpy(), second[k].numpy()) for k in first)
    check_outputs(tmp_path / "b", models.cifar.resnet20())
