"""Every operation of the table on a simulated GPU: its values, its gradients, and where they are."""

import numpy as np
import pytest
from on_devices import SAMPLES, drawn, on
from tolerances import GRADIENTS, VALUES, close

import tinycnn


@pytest.mark.parametrize(("op", "sample"), SAMPLES)
def test_value_and_gradient(op, sample):
    arrays = drawn(op, sample)
    result, grads = on("cuda", op, arrays)
    assert type(result.array) is not np.ndarray
    expected = np.asarray(op.reference(*[x.astype(np.float64) for x in arrays]))
    host = result.cpu().numpy()
    close(host, expected, np.float32 if host.dtype.kind == "f" else np.float64, VALUES)
    for mine, cpus in zip(grads, on("cpu", op, arrays)[1], strict=True):
        assert (mine is None) == (cpus is None)
        if mine is not None:
            assert mine.device == tinycnn.device("cuda:0")
            close(mine.cpu().numpy(), cpus.numpy(), table=GRADIENTS)
