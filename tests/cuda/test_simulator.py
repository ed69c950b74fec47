"""The CUDA column without a GPU: its tests in processes of their own, under Numba's simulator."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROCESSES = 2  # side by side, to save time


@pytest.mark.slow
def test_the_cuda_column_under_the_simulator():
    files = sorted(map(str, (HERE / "simulated").glob("test_*.py")))
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files[i::PROCESSES]],
            cwd=HERE.parents[1],
            env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "TINYCNN_BACKEND": "reference", "PYTEST_ADDOPTS": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(PROCESSES)
    ]
    said = [process.communicate()[0] for process in processes]
    for process, out in zip(processes, said, strict=True):
        assert process.returncode == 0 and " passed" in out, out[-7000:]
