"""The CUDA column without a GPU: its tests in a process of their own, under Numba's simulator."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.slow
def test_the_cuda_column_under_the_simulator():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(HERE / "simulated")],
        cwd=HERE.parents[1],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "TINYCNN_BACKEND": "reference"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
