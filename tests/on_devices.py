"""Every operation of the table with drawn numbers, on a device: for the tests of simulated and of real GPUs."""

import numpy as np
import pytest

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


def drawn(op, sample, dtype=np.float32, seed=0):
    """The operation's arrays; spaced ones have no two numbers alike."""
    rng = np.random.default_rng(seed)
    result = []
    for shape in sample:
        count = int(np.prod(shape))
        spread = (rng.permutation(count) + 0.5 + 0.3 * rng.random()) / max(count, 1)
        numbers = op.low + (op.high - op.low) * (spread if op.spaced else rng.random(count))
        result.append(numbers.reshape(shape).astype(dtype))
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
