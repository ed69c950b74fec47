"""Optimizer steps in one launch: lists of parameters of all kinds, the chunks' borders, and threads."""

import numpy as np
import pytest

from tinycnn.kernels.cpu import optim, pointers, threads
from tinycnn.kernels.reference import optim as reference

COMMON = dict(lr=0.01, eps=1e-8, weight_decay=0.1, maximize=False)
BETAS = dict(step=3, beta1=0.9, beta2=0.99)
SGD = dict(lr=0.1, momentum=0.9, dampening=0.2, weight_decay=0.01, nesterov=False, maximize=False, first=False)
NADAM = dict(**COMMON, **BETAS, decoupled=False, mu=0.8, next_mu=0.85, mu_product=0.6)
RADAM = dict(**COMMON, **BETAS, decoupled=True, rectification=0.3)
RMSPROP = dict(**COMMON, alpha=0.9, momentum=0.8)
# kernel -> how many lists it takes, which of them are empty, numbers
STEPS = {
    "sgd": ("sgd_step", 3, (), SGD),
    "adam": ("adam_step", 5, (), dict(**COMMON, **BETAS, decoupled=False, amsgrad=True)),
    "nadam": ("nadam_step", 4, (), NADAM),
    "nadam, decoupled": ("nadam_step", 4, (), {**NADAM, "decoupled": True, "maximize": True}),
    "radam": ("radam_step", 4, (), RADAM),
    "radam, not rectified": ("radam_step", 4, (), {**RADAM, "rectification": None, "decoupled": False}),
    "adamax": ("adamax_step", 4, (), {**COMMON, **BETAS, "maximize": True}),
    "adagrad": ("adagrad_step", 3, (), dict(rate=0.1, eps=1e-8, weight_decay=0.1, maximize=True)),
    "adadelta": ("adadelta_step", 4, (), dict(**COMMON, rho=0.9)),
    "rmsprop": ("rmsprop_step", 5, (3, 4), {**RMSPROP, "momentum": 0.0}),
    "rmsprop, momentum": ("rmsprop_step", 5, (3,), RMSPROP),
    "scale_arrays": ("scale_arrays", 1, (), dict(factor=0.3)),
}


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
    for arrays in out[1:2]:
        arrays.append(np.ones((4, 8), np.float32)[:, ::2])
    for arrays in out[2:]:
        arrays.append(np.ones((4, 4), np.float32))
    return out


def steps(module, name):
    kernel, count, without, numbers = STEPS[name]
    arrays = [[] if k in without else kind for k, kind in enumerate(lists(count))]
    getattr(module, kernel)(*arrays, **numbers)
    return [a for kind in arrays for a in kind]


@pytest.mark.parametrize("name", STEPS)
def test_steps_of_many_parameters_of_all_kinds(name):
    for ours, theirs in zip(steps(optim, name), steps(reference, name), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=2e-5 if ours.dtype == np.float32 else 1e-12, atol=1e-7)


@pytest.mark.parametrize("name", STEPS)
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


def test_centered_rmsprop():
    arrays = lists(5)
    arrays[2] = [a + 9 for a in arrays[2]]  # the squares' means above the square of the means
    copies = [[a.copy() for a in kind] for kind in arrays]
    optim.rmsprop_step(*arrays, **RMSPROP)
    reference.rmsprop_step(*copies, **RMSPROP)
    for ours, theirs in zip(sum(arrays, []), sum(copies, []), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5 if ours.dtype == np.float32 else 1e-12, atol=1e-7)


def test_sums_of_squares_of_all_kinds_for_any_number_of_threads():
    (arrays,) = lists(1)
    arrays.append(np.full(3, 1e30, np.float32))  # whose squares float32 does not hold
    before = threads.get_num_threads()
    found = []
    try:
        for n in range(1, before + 1):
            threads.set_num_threads(n)
            found.append(optim.sums_of_squares(arrays))
    finally:
        threads.set_num_threads(before)
    assert len({a.tobytes() for a in found}) == 1
    np.testing.assert_allclose(found[0], reference.sums_of_squares(arrays), rtol=1e-12)
    assert optim.sums_of_squares([]).shape == (0,)
