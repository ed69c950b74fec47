"""Threads, forks, the cache on disk, and what the user is told while kernels compile."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

import tinycnn
from tinycnn.kernels.cpu import broadcast, conv, depthwise, direct, gemm, threads, winograd
from tinycnn.kernels.geometry import conv_spec

HOME = Path(tinycnn.__file__).resolve().parent.parent


def run(code, cwd, **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TINYCNN", "NUMBA_CACHE"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**env, "PYTHONPATH": str(cwd), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_number_of_threads_is_checked():
    before = threads.get_num_threads()
    assert tinycnn.get_num_threads() == before
    try:
        tinycnn.set_num_threads(1)
        assert tinycnn.get_num_threads() == 1
    finally:
        tinycnn.set_num_threads(before)
    for wrong, error in ((0, ValueError), (10_000, ValueError), (True, TypeError), (1.5, TypeError), ("2", TypeError)):
        with pytest.raises(error, match="set_num_threads"):
            tinycnn.set_num_threads(wrong)


def test_serial_blocks_nest_and_end():
    assert threads.workers() == threads.get_num_threads()
    with threads.serial(), threads.serial():
        assert threads.workers() == 1
    assert threads.workers() == threads.get_num_threads()


def test_python_threads_launch_kernels_side_by_side():
    specs = [
        conv_spec((8, 3, 20, 20), (7, 3, 3, 3), padding=1),
        conv_spec((8, 16, 20, 20), (24, 16, 3, 3), padding=1),  # Winograd, by blocks of tiles
        conv_spec((2, 64, 8, 8), (80, 64, 3, 3), padding=1),  # by panels of filters
        conv_spec((8, 3, 20, 20), (64, 3, 3, 3), padding=1, stride=2),
    ]
    rng = np.random.default_rng(0)
    inputs = [
        [rng.standard_normal(shape).astype(np.float32) for shape in (s.input_shape, s.weight_shape, s.output_shape)]
        for s in specs
    ]

    def compute(i):
        x, w, gy = inputs[i]
        return (
            conv.conv2d(x, w, None, specs[i]),
            conv.conv2d_input_grad(gy, w, specs[i]),
            conv.conv2d_weight_grad(gy, x, specs[i]),
        )

    expected = [compute(i) for i in range(len(specs))]
    wrong = []

    def work(i):
        for _ in range(30):
            if not all(np.array_equal(a, b) for a, b in zip(compute(i), expected[i], strict=True)):
                wrong.append(i)

    started = [threading.Thread(target=work, args=(i,)) for i in range(len(specs))]
    for t in started:
        t.start()
    for t in started:
        t.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_told_why_it_cannot_compute():
    code = """
import os, sys, tinycnn, warnings
warnings.simplefilter("ignore")
x = tinycnn.randn(300, 300)
(x @ x).softmax(1)
child = os.fork()
if child == 0:
    try:
        x.softmax(1)
    except RuntimeError as error:
        os._exit(0 if "forked" in str(error) else 1)
    os._exit(2)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    run(code, HOME)


def test_compiling_is_announced_and_an_edited_helper_is_seen_by_the_kernels_that_include_it(tmp_path):
    shutil.copytree(
        HOME / "tinycnn", tmp_path / "tinycnn", symlinks=False, ignore=shutil.ignore_patterns("__pycache__")
    )
    code = """
import numpy as np
from tinycnn.kernels.cpu import conv
from tinycnn.kernels.geometry import conv_spec
spec = conv_spec((1, 1, 6, 6), (1, 1, 3, 3), stride=3)
print(conv.conv2d(np.ones((1, 1, 6, 6)), np.ones((1, 1, 3, 3)), None, spec).sum())
"""
    cache = str(tmp_path / "cache")
    first = run(code, tmp_path, NUMBA_CACHE_DIR=cache)
    assert first.stdout.split() == ["36.0"]
    assert "tinycnn: compiling" in first.stderr and "float64" in first.stderr
    again = run(code, tmp_path, NUMBA_CACHE_DIR=cache)
    assert again.stdout.split() == ["36.0"] and again.stderr == ""
    helpers = tmp_path / "tinycnn" / "kernels" / "cpu" / "rows.py"
    text = helpers.read_text()
    assert "out[o + j] = x[i + j * step]" in text
    helpers.write_text(text.replace("out[o + j] = x[i + j * step]", "out[o + j] = 10 * x[i + j * step]"))
    assert run(code, tmp_path, NUMBA_CACHE_DIR=cache).stdout.split() == ["360.0"]


def test_a_cache_that_cannot_be_written_or_is_damaged_costs_time_only(tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(HOME / "tinycnn", tree / "tinycnn", symlinks=False, ignore=shutil.ignore_patterns("__pycache__"))
    compiled, loaded = "(1, 0)", "(0, 1)"
    start = "import numba, resource; numba.get_num_threads(); "  # what the smallest kernel calls
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
    code = start + "from tinycnn.kernels.cpu import jit, threads; threads._swap(1); print(jit.counts())"
    full = code.replace(start, start + limit)
    cache = tmp_path / "cache"
    for wanted, program in ((compiled, full), (compiled, code), (loaded, code)):
        assert run(program, tree, NUMBA_CACHE_DIR=str(cache)).stdout.strip() == wanted
    for ending in ("nbc", "nbi"):
        (file,) = cache.rglob(f"*.{ending}")
        file.write_bytes(file.read_bytes()[:20])
        for wanted in (compiled, loaded):
            assert run(code, tree, NUMBA_CACHE_DIR=str(cache)).stdout.strip() == wanted

    (tree / "tinycnn" / "kernels" / "cpu" / "__pycache__").touch()  # no folder beside the sources, nor at home
    nowhere = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null"}
    done = run(code + "; print(jit.cache_folders())", tree, **nowhere)
    assert done.stdout.splitlines() == [compiled, "[]"]


def test_numba_sees_the_thread_count_of_the_launching_thread():
    seen = []

    def work():
        threads.launch(lambda n: seen.append((n, numba.get_num_threads())))

    work()
    with threads.serial():
        work()
    work()
    n = threads.get_num_threads()
    assert seen == [(n, n), (1, 1), (n, n)]


def test_the_callers_own_thread_count_in_numba_is_kept():
    before = numba.get_num_threads()
    try:
        for own in {1, numba.config.NUMBA_NUM_THREADS}:
            numba.set_num_threads(own)
            threads.launch(lambda n: None)
            threads.launch(lambda n: None, elements=1)
            assert numba.get_num_threads() == own
    finally:
        numba.set_num_threads(before)


def test_scratch_is_one_piece_of_memory_whatever_it_is_seen_as():
    def work(found):
        wide = threads.scratch(1000, np.dtype(np.float64))
        narrow = threads.scratch(1000, np.dtype(np.float32))
        assert wide.dtype == np.float64 and narrow.dtype == np.float32 and len(narrow) >= 1000
        assert np.shares_memory(wide, narrow) and threads.scratch(10, np.dtype(np.float64)) is wide
        larger = threads.scratch(2 * len(wide), np.dtype(np.float64))
        assert len(larger) >= 2 * len(wide) and larger.ctypes.data % 64 == 0
        found.append(larger)

    found = []
    work(found)
    other = threading.Thread(target=work, args=(found,))
    other.start()
    other.join()
    assert not np.shares_memory(*found)


def test_another_python_thread_may_change_the_number_of_threads_before_a_launch(monkeypatch):
    """The change comes where it hurts: after working memory was sized, before the kernel starts."""
    most, sizes, kernels = threads.get_num_threads(), [], [broadcast, depthwise, direct, gemm, winograd]
    for module in (broadcast, direct):  # they have shared out their rows before
        monkeypatch.setattr(module, "workers", lambda: 2)
    for module in kernels:
        scratch = module.scratch

        def measured(count, dtype, scratch=scratch):
            sizes.append(count)
            return scratch(count, dtype)

        monkeypatch.setattr(module, "scratch", measured)
    try:
        found = []
        for n in (1, most):
            tinycnn.set_num_threads(n)
            for channels, filters, size, groups, stride in (
                (16, 16, 20, 1, 1),
                (32, 32, 14, 1, 2),
                (96, 96, 8, 1, 1),
                (16, 16, 20, 16, 2),
            ):
                spec = conv_spec((4, channels, size, size), (filters, channels // groups, 3, 3), stride, 1, 1, groups)
                x, w = np.ones(spec.input_shape, np.float32), np.ones(spec.weight_shape, np.float32)
                y = conv.conv2d(x, w, None, spec)
                conv.conv2d_input_grad(y, w, spec)
                conv.conv2d_weight_grad(y, x, spec)
            gemm.matmul_tile(np.ones((300, 300)), np.ones((300, 300)), True, False)
            with threads.serial():
                assert threads.most_workers() == 1
            found.append(sizes[:])
            sizes.clear()
    finally:
        tinycnn.set_num_threads(most)
    assert found[0] == found[1] and len(found[0]) > 6


def test_small_convolutions_run_in_the_calling_thread(monkeypatch):
    counts = []
    monkeypatch.setattr(direct, "launch", lambda kernel, *args, elements=threads.SMALL: counts.append(elements))
    for size in (8, 64):
        x, w = np.ones((1, 3, size, size), np.float32), np.ones((4, 3, 3, 3), np.float32)
        spec = conv_spec(x.shape, w.shape)
        y = direct.forward(x, w, None, spec)
        direct.weight_grad(y, x, spec)
        direct.weight_grad_by_dots(y, x, spec)
        sweep, outer, dots = counts
        assert all((n < threads.SMALL) == (size == 8) for n in (sweep, outer, dots))
        counts.clear()
