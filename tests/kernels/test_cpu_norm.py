"""Batch norm's kernels one by one, around the borders of vectors, runs, groups and blocks."""

import numpy as np
import pytest

from tinycnn.kernels.cpu import norm, threads
from tinycnn.kernels.reference import norm as reference

EPS = 1e-3
LENGTHS = [2, 15, 16, 17, 49, 63, 64, 65, norm.RUN // 2 + 1, norm.RUN - 1, norm.RUN, norm.RUN + 1, 2 * norm.RUN + 70]


def draw(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x, gy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    weight, bias = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    x += rng.standard_normal(shape[1]).astype(dtype)[:, None]
    return x, gy, weight, bias


def forward(which, x, weight, bias, groups=None):
    y, mean, var = np.full_like(x, np.nan), *np.empty((2, x.shape[1]), x.dtype)
    if which is norm.train_columns:
        threads.launch(which, x[:, :, 0], weight, bias, y[:, :, 0], mean, var, EPS)
    else:
        extra = () if groups is None else (groups,)
        threads.launch(which, x.reshape(-1), x.shape, weight, bias, y.reshape(-1), mean, var, EPS, *extra)
    return y, mean, var


def backward(which, gy, x, mean, var, weight, bias, groups=None, relu=0):
    gx, gweight, gbias = np.full_like(x, np.nan), *np.empty((2, x.shape[1]), x.dtype)
    if which is norm.train_grad_columns:
        threads.launch(which, gy[:, :, 0], x[:, :, 0], mean, var, weight, gx[:, :, 0], gweight, gbias, EPS)
    else:
        extra = (relu,) if groups is None else (relu, groups)
        arrays = gy.reshape(-1), x.reshape(-1), x.shape, mean, var, weight, bias, gx.reshape(-1), gweight, gbias
        threads.launch(which, *arrays, EPS, *extra)
    return gx, gweight, gbias


def check(kernels, shape, dtype, groups=None):
    x, gy, weight, bias = draw(shape, dtype)
    wide = [a.astype(np.float64) for a in (x, weight, bias)]
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    expected = reference.batch_norm_train(*wide, EPS)
    found = forward(kernels[0], x, weight, bias, groups)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype
        assert np.abs(a - b).max() <= tolerance * max(1, np.abs(b).max())
    expected = reference.batch_norm_train_grad(gy.astype(np.float64), wide[0], *expected[1:], wide[1], EPS)
    for a, b in zip(backward(kernels[1], gy, x, *found[1:], weight, bias, groups), expected, strict=True):
        assert np.abs(a - b).max() <= 10 * tolerance * max(1, np.abs(b).max(), np.abs(gy).sum() / shape[1] / 100)
    if kernels[0] is not norm.train_columns:  # with a ReLU in the same pass: the bits of one pass after the other
        with_relu = norm.batch_norm_eval(x, *found[1:], weight, bias, EPS, None, True)
        assert np.array_equal(with_relu, np.maximum(found[0], 0))
        masked = np.where(found[0] <= 0, 0, gy).astype(dtype)
        once = backward(kernels[1], gy, x, *found[1:], weight, bias, groups, relu=1)
        for a, b in zip(once, backward(kernels[1], masked, x, *found[1:], weight, bias, groups), strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_channel_at_a_time(length, dtype):
    check((norm.train, norm.train_grad), (3, 3, length), dtype)
    check((norm.train, norm.train_grad), (1, 1, length), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("groups", [1, 2, 5])
def test_channels_in_groups(length, groups, dtype):
    check((norm.train_split, norm.train_grad_split), (7, 2, length), dtype, groups)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, norm.BLOCK - 1, norm.BLOCK, norm.BLOCK + 1])
@pytest.mark.parametrize("batch", [2, norm.BLOCK - 1, norm.BLOCK, norm.BLOCK + 1, 3 * norm.BLOCK])
def test_columns(batch, channels, dtype):
    check((norm.train_columns, norm.train_grad_columns), (batch, channels, 1), dtype)


@pytest.mark.parametrize("shape", [(5, 40, 49), (5, 3, 300), (90, 130, 1), (300, 3, 200)])
def test_the_public_kernels_choose_and_threads_do_not_matter(shape):
    x, gy, weight, bias = draw(shape, np.float32)
    before = threads.get_num_threads()
    results = []
    try:
        for n in range(1, before + 1):
            threads.set_num_threads(n)
            y, mean, var = norm.batch_norm_train(x, weight, bias, EPS)
            grads = norm.batch_norm_train_grad(gy, x, mean, var, weight, EPS)
            masked = norm.batch_norm_train_grad(gy, x, mean, var, weight, EPS, bias)
            moments = norm.batch_norm_moments(x)
            rule = mean, var, weight, bias, EPS
            results.append((y, mean, var, *grads, norm.batch_norm_eval(x, *rule), *masked, *moments))
            results[-1] += norm.batch_norm_eval(x, *rule, gy), norm.batch_norm_eval(x, *rule, gy, True)
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))
    y, mean, var = reference.batch_norm_train(x, weight, bias, EPS)
    expected = y, mean, var, *reference.batch_norm_train_grad(gy, x, mean, var, weight, EPS), y
    expected += reference.batch_norm_train_grad(gy, x, mean, var, weight, EPS, bias)
    expected += *reference.batch_norm_moments(x), y + gy, np.maximum(y + gy, 0)
    for a, b in zip(results[0], expected, strict=True):
        assert np.abs(a - b).max() <= 1e-4 * max(1, np.abs(b).max())


@pytest.mark.parametrize("shape", [(64, 20, 64), (64, 2, 64), (512, 3, 1)])
def test_a_start_far_from_the_mean_costs_no_digits(shape):
    x, _, weight, bias = draw(shape, np.float32)
    x[: shape[0] // 8] += 3000  # whatever is taken as the origin from the first elements is far from the rest
    _, mean, var = norm.batch_norm_train(x, weight, bias, EPS)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(axis=(0, 2)), rtol=1e-6)
    np.testing.assert_allclose(var, wide.var(axis=(0, 2)), rtol=2e-6)


@pytest.mark.parametrize("shape", [(4, 20, 64), (4, 2, 64), (9, 3, 1)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay_in_their_channel(shape, bad):
    x, gy, weight, bias = draw(shape, np.float32)
    x[0, 1, 0] = bad
    with np.errstate(all="ignore"):
        expected = reference.batch_norm_train(x, weight, bias, EPS)
    found = norm.batch_norm_train(x, weight, bias, EPS)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    gx, gweight, gbias = norm.batch_norm_train_grad(gy, x, *found[1:], weight, EPS)
    assert np.isnan(gx[:, 1]).all() and np.isnan(gweight[1]) and np.isfinite(gbias).all()
    assert np.isfinite(gx[:, 0]).all() and np.isfinite(gweight[0])


@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 5), (3, 2, 1, 1), (3, 2, 4, 5), (2, 3, 2, 3, 4), (0, 2, 3, 3)])
def test_evaluation_takes_images_of_any_rank(shape):
    rng = np.random.default_rng(0)
    x, other, weight, bias = (rng.standard_normal(size) for size in (shape, shape, shape[1], shape[1]))
    flat = shape[0], shape[1], max(x.size, 1) // max(shape[0] * shape[1], 1)
    for beside, relu in ((None, False), (other, True)):
        y = norm.batch_norm_eval(x, weight, bias**2, weight, bias, EPS, beside, relu)
        assert y.shape == shape
        for twin in (reference.batch_norm_eval, norm.batch_norm_eval):
            added = None if beside is None else beside.reshape(flat)
            near = twin(x.reshape(flat), weight, bias**2, weight, bias, EPS, added, relu)
            np.testing.assert_allclose(y, near.reshape(shape), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(reference.batch_norm_eval(x, weight, bias**2, weight, bias, EPS, beside, relu), y)
