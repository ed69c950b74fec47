"""Readable batch norm, softmax, cross-entropy and matrix products, against formulas computed number by number."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycnn.kernels.reference.linear import linear_grad
from tinycnn.kernels.reference.matmul import matmul
from tinycnn.kernels.reference.norm import batch_norm_eval, batch_norm_train, batch_norm_train_grad
from tinycnn.kernels.reference.softmax import (
    class_count,
    cross_entropy,
    cross_entropy_grad,
    log_softmax,
    log_softmax_grad,
    softmax,
    softmax_grad,
)

DTYPES = [np.float32, np.float64]


def slopes(a, loss, eps=1e-6):
    """The gradient of loss() by a, by central differences."""
    out = np.zeros_like(a)
    for k in range(a.size):
        old = a.flat[k]
        a.flat[k] = old + eps
        above = loss()
        a.flat[k] = old - eps
        out.flat[k] = (above - loss()) / (2 * eps)
        a.flat[k] = old
    return out


def normal(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(dtype)


# -- batch norm -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 2, 4), (2, 3, 1), (1, 1, 5)])
def test_batch_norm_of_each_channel(shape, dtype):
    x, weight, bias = normal(*shape, dtype=dtype) * 3 + 1, normal(shape[1], dtype=dtype), normal(shape[1], dtype=dtype)
    y, mean, var = batch_norm_train(x, weight, bias, 1e-5)
    assert y.dtype == mean.dtype == var.dtype == dtype and y.flags.carray
    for c in range(shape[1]):
        values = [float(v) for v in x[:, c].ravel()]
        m = sum(values) / len(values)
        v = sum((a - m) ** 2 for a in values) / len(values)
        expected = [(a - m) / math.sqrt(v + 1e-5) * float(weight[c]) + float(bias[c]) for a in values]
        np.testing.assert_allclose([mean[c], var[c]], [m, v], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(y[:, c].ravel(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(batch_norm_eval(x, mean, var, weight, bias, 1e-5), y)


def test_batch_norm_gradients_equal_finite_differences():
    x, weight, bias, gy = normal(3, 2, 4), normal(2), normal(2, seed=1), normal(3, 2, 4, seed=2)

    def loss():
        return np.vdot(batch_norm_train(x, weight, bias, 1e-3)[0], gy)

    _, mean, var = batch_norm_train(x, weight, bias, 1e-3)
    grads = batch_norm_train_grad(gy, x, mean, var, weight, 1e-3)
    for got, array in zip(grads, (x, weight, bias), strict=True):
        np.testing.assert_allclose(got, slopes(array, loss), atol=1e-7)


def test_batch_norm_of_large_float32_values_keeps_the_variance():
    x = (10000 + np.arange(4096) % 2).astype(np.float32).reshape(64, 1, 64)  # E[x**2] - E[x]**2 would lose it
    _, mean, var = batch_norm_train(x, np.ones(1, np.float32), np.zeros(1, np.float32), 1e-5)
    np.testing.assert_allclose([mean[0], var[0]], [10000.5, 0.25], rtol=1e-6)


def test_batch_norm_of_no_images():
    x, ones = np.ones((0, 2, 3)), np.ones(2)
    y, mean, var = batch_norm_train(x, ones, ones, 1e-5)
    assert y.shape == x.shape and np.isnan(mean).all()
    gx, gweight, gbias = batch_norm_train_grad(x, x, ones, ones, ones, 1e-5)
    assert gx.shape == x.shape and gweight.tolist() == gbias.tolist() == [0, 0]


# -- softmax ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_is_the_formula(dtype):
    x = normal(3, 5, dtype=dtype)
    y, logs = softmax(x), log_softmax(x)
    assert y.dtype == logs.dtype == dtype
    for r, row in enumerate(x.tolist()):
        total = sum(map(math.exp, row))
        np.testing.assert_allclose(y[r], [math.exp(v) / total for v in row], rtol=1e-5)
        np.testing.assert_allclose(logs[r], [v - math.log(total) for v in row], rtol=1e-4, atol=1e-6)


def test_softmax_of_extreme_rows():
    x = np.array([[1000.0, 1000.0, -np.inf], [-1e4, -1e4 + math.log(3), -np.inf]], np.float32)
    np.testing.assert_allclose(softmax(x), [[0.5, 0.5, 0], [0.25, 0.75, 0]], rtol=1e-3)
    np.testing.assert_allclose(log_softmax(x)[0], [-math.log(2), -math.log(2), -np.inf])
    assert np.isnan(softmax(np.full((1, 2), -np.inf))).all()
    assert softmax(np.zeros((0, 3))).shape == (0, 3) and log_softmax(np.zeros((2, 0))).shape == (2, 0)


@pytest.mark.parametrize(("function", "gradient"), [(softmax, softmax_grad), (log_softmax, log_softmax_grad)])
def test_softmax_gradients_equal_finite_differences(function, gradient):
    x, gy = normal(2, 4), normal(2, 4, seed=1)
    np.testing.assert_allclose(gradient(gy, function(x)), slopes(x, lambda: np.vdot(function(x), gy)), atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_and_its_gradient(dtype):
    x, target, scale = normal(4, 3, dtype=dtype), np.array([2, -100, 0, 1]), normal(4, dtype=dtype, seed=1)
    loss, lse = cross_entropy(x, target, -100)
    gx = cross_entropy_grad(scale, x, lse, target, -100)
    assert loss.dtype == lse.dtype == gx.dtype == dtype
    for r, row in enumerate(x.tolist()):
        total = sum(map(math.exp, row))
        assert lse[r] == pytest.approx(math.log(total), rel=1e-5)
        if target[r] == -100:
            assert loss[r] == 0 and not gx[r].any()
            continue
        assert loss[r] == pytest.approx(math.log(total) - row[target[r]], rel=1e-5)
        expected = [scale[r] * (math.exp(v) / total - (k == target[r])) for k, v in enumerate(row)]
        np.testing.assert_allclose(gx[r], expected, rtol=1e-4, atol=1e-6)


def test_gradients_of_a_linear_layer_equal_finite_differences():
    x, w, b, gy = normal(3, 4), normal(2, 4, seed=1), normal(2, seed=2), normal(3, 2, seed=3)

    def loss() -> float:
        return np.vdot(np.maximum(x @ w.T + b, 0), gy)

    y = np.maximum(x @ w.T + b, 0)
    for found, operand in zip(linear_grad(gy, x, w, (True, True, True), y), (x, w, b), strict=True):
        np.testing.assert_allclose(found, slopes(operand, loss), atol=1e-7)
    plain = linear_grad(gy * (y > 0), x, w, (True, True, True))
    for mine, its in zip(plain, linear_grad(gy, x, w, (True, True, True), y), strict=True):
        np.testing.assert_array_equal(mine, its)
    assert linear_grad(gy, x, w, (False, False, False)) == (None, None, None)


def test_the_mean_of_cross_entropy_and_what_counts():
    x, target = normal(4, 3), np.array([2, -100, 0, 1])
    assert class_count(target, 3, -100) == (3, -1) and class_count(target, 2, -100) == (3, 0)
    assert class_count(target, 3, 7) == (4, 1)
    losses, _ = cross_entropy(x, target, -100)
    mean, lse = cross_entropy(x, target, -100, 3)
    assert mean.shape == () and mean == pytest.approx(losses.sum() / 3, rel=1e-12)
    np.testing.assert_array_equal(
        cross_entropy_grad(np.full(1, 0.5), x, lse, target, -100),
        cross_entropy_grad(np.full(4, 0.5), x, lse, target, -100),
    )
    assert np.isnan(cross_entropy(x, np.full(4, -100), -100, 0)[0])


def test_cross_entropy_ignores_a_class_by_its_number():
    x = normal(2, 3)
    loss, lse = cross_entropy(x, np.array([1, 2]), 1)
    assert loss[0] == 0 and loss[1] > 0
    gx = cross_entropy_grad(np.ones(2), x, lse, np.array([1, 2]), 1)
    assert not gx[0].any() and gx[1].sum() == pytest.approx(0)


def test_cross_entropy_of_sure_answers_does_not_overflow():
    x = np.array([[1e4, -1e4], [1e4, -1e4]], np.float32)
    loss, _ = cross_entropy(x, np.array([0, 1]), -100)
    assert loss.tolist() == [0, 20000]


# -- matrix products --------------------------------------------------------------------------------------------------


@given(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)),
    st.sampled_from([None, 0, 1, 3]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(DTYPES),
)
def test_matmul_equals_loops(sizes, batch, flip_a, flip_b, dtype):
    rows, inner, columns = sizes
    lead = () if batch is None else (batch,)
    a = normal(*lead, *((inner, rows) if flip_a else (rows, inner)), dtype=dtype)
    b = normal(*lead, *((columns, inner) if flip_b else (inner, columns)), dtype=dtype, seed=1)
    expected = np.zeros((*lead, rows, columns))
    for *n, i, j, k in itertools.product(*map(range, (*lead, rows, columns, inner))):
        left, right = ((k, i) if flip_a else (i, k)), ((j, k) if flip_b else (k, j))
        expected[(*n, i, j)] += float(a[(*n, *left)]) * float(b[(*n, *right)])
    c = matmul(a, b, flip_a, flip_b)
    assert c.dtype == dtype and c.shape == expected.shape and c.flags.carray
    np.testing.assert_allclose(c, expected, rtol=0, atol=1e-5)
