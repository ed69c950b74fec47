"""These tests run under Numba's simulator only: NUMBA_ENABLE_CUDASIM=1 pytest tests/cuda/simulated."""

import os

import numpy as np
import pytest

collect_ignore_glob = [] if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1" else ["*"]


@pytest.fixture(autouse=True)
def as_strict_as_cupy(monkeypatch):
    """NumPy's functions that make an array of anything refuse the device's arrays, as they refuse CuPy's."""
    from tinycnn.kernels.cuda import stand_in

    def strict(original):
        def function(x, *args, **options):
            if isinstance(x, stand_in.ndarray) and not options.get("subok"):
                raise TypeError("an array of the device does not become one of the host by itself")
            return original(x, *args, **options)

        return function

    for name in ("asarray", "array", "ascontiguousarray"):
        monkeypatch.setattr(np, name, strict(getattr(np, name)))
