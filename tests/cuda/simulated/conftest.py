"""These tests run under Numba's simulator only: NUMBA_ENABLE_CUDASIM=1 pytest tests/cuda/simulated."""

import os

import pytest

collect_ignore_glob = [] if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1" else ["*"]


@pytest.fixture(autouse=True)
def as_strict_as_cupy():
    """NumPy's functions that make an array of anything refuse the device's arrays, as they refuse CuPy's."""
    from tinycnn.kernels.cuda import stand_in

    with stand_in.strict_numpy():
        yield
