"""Optimizer steps in one launch: lists of parameters of all kinds, the chunks' borders, and threads."""

import numpy as np
import pytest

from tinycnn.kernels.cpu import optim, pointers, threads
from tinycnn.kernels.reference import optim as reference

SGD = dict(lr=0.1, momentum=0.9, dampening=0.2, weight_decay=0.01, nesterov=False, maximize=False, first=False)
ADAM = dict(
    step=3, lr=0.01, beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.1, decoupled=False, amsgrad=True, maximize=False
)


def lists(kinds, seed=0):
    """Parameters of mixed dtypes, sizes and strides, each with its gradient and state: `kinds` lists of arrays."""
    rng = np.random.default_rng(seed)
    shapes = [(), (0, 3), (1,), (5, 7), (optim.CHUNK - 1,), (optim.CHUNK,), (optim.CHUNK + 1,), (3, optim.CHUNK + 7)]
    out = [[] for _ in range(kinds)]
    for shape in shapes:
        for dtype in (np.float32, np.float64):
            for strided in (False, True):
                for arrays in out:
                    a = np.asarray(np.abs(rng.standard_normal(shape)), dtype)
                    arrays.append(np.asfortranarray(a) if strided else a)
    out[0].append(np.ones((4, 4), np.float32))  # and a parameter whose gradient alone is strided
    out[1].append(np.ones((4, 8), np.float32)[:, ::2])
    for arrays in out[2:]:
        arrays.append(np.ones((4, 4), np.float32))
    return out


def steps(module, name):
    arrays = lists(5)
    if name == "sgd":
        module.sgd_step(*arrays[:3], **SGD)
    else:
        module.adam_step(*arrays, **ADAM)
    return [a for kind in arrays for a in kind]


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_steps_of_many_parameters_of_all_kinds(name):
    for ours, theirs in zip(steps(optim, name), steps(reference, name), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=2e-5 if ours.dtype == np.float32 else 1e-12, atol=1e-7)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_steps_do_not_depend_on_threads(name):
    before = threads.get_num_threads()
    results = []
    try:
        for n in range(1, before + 1):
            threads.set_num_threads(n)
            results.append(steps(optim, name))
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_the_first_step_fills_the_buffer_whatever_it_held():
    p, g, b = np.ones(3, np.float32), np.arange(3, dtype=np.float32), np.full(3, np.nan, np.float32)
    optim.sgd_step([p], [g], [b], **{**SGD, "first": True, "weight_decay": 0.0})
    assert b.tolist() == [0, 1, 2] and np.allclose(p, 1 - 0.1 * g)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_are_views_of_the_arrays(dtype):
    a, b = np.arange(10, dtype=dtype), np.arange(20, dtype=dtype)[5:]
    where = pointers.addresses([a, b])
    for address, array in zip(where, (a, b), strict=True):
        part = pointers.chunk(address, 2, 6, dtype(0))
        assert part.ctypes.data == array[2:].ctypes.data and part.tolist() == array[2:6].tolist()
