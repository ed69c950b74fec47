"""The CUDA column without a GPU: its tests in processes of their own, under Numba's simulator (see conftest.py)."""

import pytest


@pytest.mark.slow
def test_the_cuda_column_under_the_simulator(simulated):
    for process, said in simulated:
        process.wait()
        said.seek(0)
        out = said.read()
        assert process.returncode == 0 and " passed" in out, out[-7000:]
