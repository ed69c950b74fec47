"""Readable elementwise kernels, reductions, indexing, dropout and optimizer steps, against Python's own arithmetic."""

import itertools
import math

import numpy as np
import pytest

from tinycnn.kernels.reference import dropout as dropout_module
from tinycnn.kernels.reference import elementwise as E
from tinycnn.kernels.reference import index as I
from tinycnn.kernels.reference import optim, reduce

DTYPES = [np.float32, np.float64]
SOME = [-2.5, -1.0, -0.0, 0.5, 1.0, 3.0]

# -- elementwise ------------------------------------------------------------------------------------------------------

UNARY = {
    "neg": lambda a: -a,
    "abs": abs,
    "exp": math.exp,
    "log": lambda a: math.log(a) if a > 0 else -math.inf if a == 0 else math.nan,
    "sqrt": lambda a: math.sqrt(a) if a >= 0 else math.nan,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    "relu": lambda a: max(a, 0.0),
    "sign": lambda a: (a > 0) - (a < 0),
    "square": lambda a: a * a,
    "reciprocal": lambda a: 1 / a if a else math.copysign(math.inf, a),
}
BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b if b else math.nan if a == 0 else math.copysign(math.inf, a) * math.copysign(1, b),
    "pow": lambda a, b: math.pow(a, b) if a > 0 or (a < 0 and b == int(b)) else None,
    "maximum": max,
    "minimum": min,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, dtype):
    kernel = getattr(E, name)
    y = kernel(np.array(SOME, dtype))
    assert y.dtype == dtype
    np.testing.assert_allclose(y, [UNARY[name](v) for v in SOME], rtol=1e-5, atol=1e-6)
    assert isinstance(kernel(np.array(0.5, dtype)), np.ndarray)
    strided = np.array(SOME * 2, dtype).reshape(3, 4).T[::-1, ::2]
    np.testing.assert_allclose(kernel(strided), kernel(strided.copy()), rtol=1e-6)
    assert kernel(np.zeros((0, 2), dtype)).shape == (0, 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, dtype):
    kernel, formula = getattr(E, name), BINARY[name]
    column, row = np.array(SOME, dtype)[:, None], np.array(SOME, dtype)
    y = kernel(column, row)
    assert y.shape == (6, 6) and y.dtype == (np.bool_ if name in ("eq", "ne", "lt", "le", "gt", "ge") else dtype)
    for (i, a), (j, b) in itertools.product(enumerate(SOME), repeat=2):
        if formula(a, b) is not None:
            np.testing.assert_allclose(y[i, j], formula(a, b), rtol=1e-5)
    for number in (2, 0.5):  # a Python number does not change the dtype
        assert kernel(row, number).dtype == kernel(number, row).dtype == y.dtype
        np.testing.assert_allclose(kernel(row, number), kernel(row, np.array(number, dtype)))
        np.testing.assert_allclose(kernel(number, row), kernel(np.array(number, dtype), row))


def test_nan_wins():
    a = np.array([math.nan, 1.0])
    for y in (E.relu(a), E.maximum(a, 0), E.minimum(0, a), E.maximum(a[::-1], a[:1])[1:]):
        assert np.isnan(y[0])
    assert E.sign(a).tolist() == [0, 1]


def test_no_warnings():
    with np.errstate(all="raise"):
        big = np.full(2, 3e38, np.float32)
        for y in (E.add(big, big), E.mul(big, big), E.div(big, 0), E.exp(big), E.square(big), E.reciprocal(0 * big)):
            assert np.isinf(y).all()
        assert np.isnan(E.sub(E.exp(big), E.exp(big))).all() and E.sigmoid(-big).tolist() == [0, 0]
        assert np.isinf(reduce.sum(big, (0,), False)) and np.isnan(reduce.mean(big[:0], (0,), False))


def test_where_and_relu_grad():
    cond = np.array([[True], [False]])
    assert E.where(cond, np.array([1.0, 2.0]), np.array(5.0)).tolist() == [[1, 2], [5, 5]]
    y = E.relu(np.array([-1.0, 0.0, 2.0, math.nan], np.float32))
    g = E.relu_grad(np.array([7.0, 7.0, 7.0, 7.0], np.float32), y)
    assert g.dtype == np.float32 and g.tolist() == [0, 0, 7, 7]


# -- reductions -------------------------------------------------------------------------------------------------------

REDUCTIONS = {
    "sum": math.fsum,
    "mean": lambda v: math.fsum(v) / len(v),
    "prod": math.prod,
    "amax": max,
    "amin": min,
    "any": any,
    "all": all,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axes", [(), (0,), (1,), (2,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, axes, dtype):
    x = np.random.default_rng(0).integers(-2, 3, (2, 3, 4)).astype(dtype)
    if name in ("sum", "mean", "prod"):
        x += dtype(0.25)
    kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    expected = np.zeros(kept)
    for place in itertools.product(*map(range, kept)):
        inside = tuple(slice(None) if a in axes else slice(i, i + 1) for a, i in enumerate(place))
        expected[place] = REDUCTIONS[name](x[inside].ravel().tolist())
    kernel = getattr(reduce, name)
    y = kernel(x, axes, True)
    assert y.dtype == (np.bool_ if name in ("any", "all") else dtype) and not np.shares_memory(x, y)
    np.testing.assert_allclose(y.astype(np.float64), expected, rtol=1e-5)
    dropped = kernel(x, axes, False)
    assert isinstance(dropped, np.ndarray)
    np.testing.assert_array_equal(dropped, np.squeeze(y, axes))


def test_arg_reductions():
    x = np.array([[1.0, 3.0, 3.0], [5.0, -1.0, -1.0]])
    assert reduce.argmax(x, 1, False).tolist() == [1, 0] and reduce.argmin(x, 1, True).tolist() == [[0], [1]]
    assert reduce.argmax(x, None, False).item() == 3 and reduce.argmin(x, 0, False).tolist() == [0, 1, 1]
    assert reduce.argmax(x, None, True).shape == (1, 1) and reduce.argmin(x, 0, False).dtype == np.int64
    assert reduce.argmax(np.array([1.0, math.nan, 2.0]), 0, False).item() == 1
    assert np.isnan(reduce.amax(np.array([1.0, math.nan]), (0,), False))


def test_sums_of_nothing():
    x = np.zeros((0, 3), np.float32)
    assert reduce.sum(x, (0,), False).tolist() == [0, 0, 0] and reduce.prod(x, (0,), False).tolist() == [1, 1, 1]
    assert reduce.sum(x, (1,), False).shape == (0,) and np.isnan(reduce.mean(x, (0, 1), False))


@pytest.mark.parametrize("axis", [0, 1])
def test_long_float32_sums_are_accurate(axis):
    x = np.full((200_000, 3) if axis == 0 else (3, 200_000), 0.1, np.float32)
    exact = 200_000 * float(np.float32(0.1))
    np.testing.assert_allclose(reduce.sum(x, (axis,), False), exact, rtol=1e-7)
    np.testing.assert_allclose(reduce.mean(x, (axis,), False), np.float32(0.1), rtol=1e-7)


def test_sums_of_integers_stay_integers():
    big = np.full(3, 2**60, np.int64) + 1
    assert reduce.sum(big, (0,), False).item() == 3 * (2**60 + 1)


# -- moving numbers ---------------------------------------------------------------------------------------------------


def test_index_add_counts_every_mention():
    g = np.array([1.0, 2.0, 4.0])
    assert I.index_add(g, np.array([1, 1, 3]), (4,), True).tolist() == [0, 3, 0, 4]
    assert I.index_add(g, slice(3, 0, -1), (4,), False).tolist() == [0, 4, 2, 1]


@pytest.mark.parametrize("axis", [0, 1])
def test_gather_and_its_adjoint(axis):
    rng = np.random.default_rng(0)
    x, index = rng.standard_normal((3, 4)), rng.integers(0, 3, (2, 3))
    y, g = I.gather(x, axis, index), rng.standard_normal((2, 3))
    gx = np.zeros_like(x)
    for i, j in itertools.product(range(2), range(3)):
        source = (index[i, j], j) if axis == 0 else (i, index[i, j])
        assert y[i, j] == x[source]
        gx[source] += g[i, j]
    np.testing.assert_allclose(I.gather_grad(g, axis, index, x.shape), gx)


def test_gather_of_one_number():
    x, index = np.array(3.0), np.array(0)
    assert I.gather(x, 0, index).item() == 3 and I.gather_grad(x, 0, index, ()).item() == 3
    assert not np.shares_memory(I.gather(x, 0, index), x)


def test_concatenate_and_full():
    a = np.ones((2, 1), np.float32)
    joined = I.concatenate([a, 2 * a], 1)
    assert joined.tolist() == [[1, 2], [1, 2]] and joined.dtype == np.float32
    assert I.full((2, 0), 1, np.float64).shape == (2, 0) and I.full((2,), 7, np.int64).tolist() == [7, 7]


# -- dropout ----------------------------------------------------------------------------------------------------------


def splitmix(key, i):
    """The upper 32 bits of splitmix64, in Python's integers."""
    mask = 2**64 - 1
    z = (key + (i + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
    return (z ^ z >> 31) >> 32


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_is_the_hash(p, dtype):
    x, key = np.arange(1, 61, dtype=dtype).reshape(3, 4, 5), 2**63 - 1
    y = dropout_module.dropout(x, p, key)
    kept = np.array([splitmix(key, i) >= math.floor(p * 2**32) for i in range(60)]).reshape(x.shape)
    assert y.dtype == dtype and y.flags.carray
    np.testing.assert_allclose(y, np.where(kept, x / (1 - p), 0), rtol=1e-6)
    assert dropout_module.dropout(x[:0], p, key).shape == (0, 4, 5)


def test_splitmix_is_the_published_one():
    assert splitmix(0, 0) == 0xE220A8397B1DCDAF >> 32 and splitmix(0, 1) == 0x6E789E6AA1B965F4 >> 32


def test_dropout_keeps_its_share_and_differs_by_key():
    x = np.ones(100_000, np.float32)
    a, b = dropout_module.dropout(x, 0.3, 1), dropout_module.dropout(x, 0.3, 2)
    for y in (a, b):
        assert (y == 0).mean() == pytest.approx(0.3, abs=0.01) and y.mean() == pytest.approx(1, abs=0.02)
    assert ((a == 0) == (b == 0)).mean() == pytest.approx(0.3**2 + 0.7**2, abs=0.01)


# -- optimizer steps --------------------------------------------------------------------------------------------------

SGD = {"lr": 0.1, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "maximize": False}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"weight_decay": 0.3, "maximize": True},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.3},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.3},
    ],
)
def test_sgd_number_by_number(change, dtype):
    rule = {**SGD, **change}
    momentum = rule["momentum"]
    start, grads = [0.5, -1.0], [[1.0, -2.0], [0.5, 4.0], [-3.0, 0.25]]
    param, buffer = np.array(start, dtype), [np.full(2, np.nan, dtype)] if momentum else []
    same = param
    for step, grad in enumerate(grads):
        optim.sgd_step([param], [np.array(grad, dtype)], buffer, **rule, first=step == 0)
    for k, p in enumerate(start):
        b = None
        for grad in grads:
            g = (-grad[k] if rule["maximize"] else grad[k]) + rule["weight_decay"] * p
            if momentum:
                b = g if b is None else momentum * b + (1 - rule["dampening"]) * g
                g = g + momentum * b if rule["nesterov"] else b
            p -= rule["lr"] * g
        assert param[k] == pytest.approx(p, rel=1e-5)
    assert param is same and param.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("maximize", [False, True])
def test_adam_number_by_number(dtype, decoupled, amsgrad, maximize):
    start, grads = [0.5, -1.0], [[1.0, -2.0], [0.5, 4.0], [-3.0, 0.25], [0.01, 0.0]]
    lr, beta1, beta2, eps, decay = 0.1, 0.8, 0.7, 1e-3, 0.3
    param = np.array(start, dtype)
    m, v, most = (np.zeros(2, dtype) for _ in range(3))
    for step, grad in enumerate(grads, 1):
        optim.adam_step(
            *([param], [np.array(grad, dtype)], [m], [v], [most] if amsgrad else []),
            **{"step": step, "lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": decay},
            **{"decoupled": decoupled, "amsgrad": amsgrad, "maximize": maximize},
        )
    for k, p in enumerate(start):
        a = b = largest = 0.0
        for step, grad in enumerate(grads, 1):
            g = -grad[k] if maximize else grad[k]
            if decoupled:
                p *= 1 - lr * decay
            else:
                g += decay * p
            a, b = beta1 * a + (1 - beta1) * g, beta2 * b + (1 - beta2) * g * g
            largest = max(largest, b)
            root = math.sqrt((largest if amsgrad else b) / (1 - beta2**step))
            p -= lr * (a / (1 - beta1**step)) / (root + eps)
        assert param[k] == pytest.approx(p, rel=1e-4)
    assert param.dtype == m.dtype == v.dtype == dtype
