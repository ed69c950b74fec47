"""Every operation of the table on a simulated GPU: its values, its gradients, and where they are."""

import numpy as np
import pytest
from tolerances import GRADIENTS, VALUES, close

import tinycnn
from tinycnn.testing.optable import OPS

# They hold tensors of the CPU themselves, or are about NumPy's arrays.
HOST = ("as_tensor", "from_numpy", "prod: zeros", "cumprod: zeros")
SAMPLES = [
    pytest.param(op, sample, id=f"{op.name}-{i}")
    for op in OPS
    if op.name not in HOST
    for i, sample in enumerate(op.samples)
]


def drawn(op, sample):
    rng = np.random.default_rng(0)
    result = []
    for shape in sample:
        count = int(np.prod(shape))
        spread = (rng.permutation(count) + 0.5 + 0.3 * rng.random()) / max(count, 1)
        numbers = op.low + (op.high - op.low) * (spread if op.spaced else rng.random(count))
        result.append(numbers.reshape(shape).astype(np.float32))
    return result


def on(place, op, arrays):
    """Result and gradients of an operation on a device."""
    with tinycnn.device(place):
        tinycnn.manual_seed(0)
        inputs = [tinycnn.tensor(x, requires_grad=op.gradient) for x in arrays]
        result = op.function(*inputs)
        assert result.device.type == place
        if op.gradient:
            result.sum().backward()
    return result.detach(), [x.grad for x in inputs]


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
