"""Every Numba-CUDA kernel compiled to machine code of an H100, on any machine with the extra cuda-compile."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
MOST_SHARED = 48 << 10  # bytes of shared memory that a kernel has without asking for more
REGISTERS = 64 << 10  # of a multiprocessor


@pytest.fixture(scope="module")
def reports():
    if importlib.util.find_spec("numba_cuda") is None or importlib.util.find_spec("cuda.core") is None:
        pytest.skip("numba-cuda is not installed: pip install 'tinycnn[cuda-compile]'")
    done = subprocess.run(
        [sys.executable, str(HERE / "compile_all.py")], cwd=HERE.parents[1], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_kernel_compiles(reports):
    assert len(reports) > 40
    assert not [r["kernel"] + ": " + r["error"] for r in reports if "error" in r]


def test_nothing_is_spilled_and_shared_memory_suffices(reports):
    assert not [r["kernel"] for r in reports if r.get("spilled") or r.get("stack") or r.get("shared", 0) > MOST_SHARED]


def test_a_block_has_registers_for_all_its_threads(reports):
    """Or it would not be launched; registers are given out in eights."""
    made = [r for r in reports if "error" not in r]
    assert not [r["kernel"] for r in made if -(-r["registers"] // 8) * 8 * r["threads"] > REGISTERS]


def test_kernels_of_float32_compute_in_float32(reports):
    """A float64 instruction takes 2 to 64 times as long, and comes in unnoticed with a constant such as 0.5."""
    assert not [(r["kernel"], r["float64"]) for r in reports if r["dtype"] != "float64" and r.get("float64")]


def test_a_division_of_64_bits_comes_with_one_of_32(reports):
    """Taken where both numbers are small, which is five times as fast."""
    assert not [r["kernel"] for r in reports if "error" not in r and r["divisions"][0] < r["divisions"][1]]


def test_indices_have_64_bits(reports):
    """Arrays may have more than 2**31 elements."""
    assert not [(r["kernel"], r["narrow"]) for r in reports if r.get("narrow")]
