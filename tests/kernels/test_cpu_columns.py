"""Pooling, norms, softmax, elementwise, reductions, dropout and optimizer steps: `cpu` against `reference`."""

import inspect
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycnn import kernels
from tinycnn.kernels.cpu import elementwise, index, norm, optim, pool, reduce, softmax, threads
from tinycnn.kernels.cpu.dropout import dropout
from tinycnn.kernels.cpu.threads import launch
from tinycnn.kernels.geometry import GeometryError, pool_spec
from tinycnn.kernels.reference import dropout as reference_dropout
from tinycnn.kernels.reference import elementwise as reference_elementwise
from tinycnn.kernels.reference import norm as reference_norm
from tinycnn.kernels.reference import optim as reference_optim
from tinycnn.kernels.reference import pool as reference_pool
from tinycnn.kernels.reference import reduce as reference_reduce
from tinycnn.kernels.reference import softmax as reference_softmax

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.dtype(np.float16): 1e-3, np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-12}


def near(actual, expected):
    """Equal shapes and dtypes, equal non-finite numbers, and the rest close."""
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    if actual.dtype.kind != "f":
        assert np.array_equal(actual, expected)
        return
    finite = np.isfinite(expected)
    assert np.array_equal(actual[~finite], expected[~finite], equal_nan=True)
    scale = max(1.0, float(np.abs(expected[finite]).max(initial=0)))
    assert np.abs(actual[finite] - expected[finite]).max(initial=0) <= TOLERANCE[actual.dtype] * scale


def all_near(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        near(a, b)


def draw_normal(seed, dtype, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s).astype(dtype) for s in shapes]


@pytest.mark.parametrize("family", kernels.FAMILIES)
def test_both_columns_have_every_kernel_with_one_signature(family):
    cpu, reference = kernels.Column("cpu"), kernels.Column("reference")
    for name in kernels.FAMILIES[family]:
        a, b = getattr(cpu, name), getattr(reference, name)
        assert callable(a) and (a.__doc__ or b.__doc__)
        if inspect.isfunction(a) and inspect.isfunction(b) and "args" not in inspect.signature(b).parameters:
            assert list(inspect.signature(a).parameters) == list(inspect.signature(b).parameters), name


@st.composite
def pools(draw):
    shape = draw(st.integers(0, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    kernel = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2))
    dilation, ceil_mode = (draw(st.integers(1, 3)), draw(st.integers(1, 2))), draw(st.booleans())
    try:
        return pool_spec(shape, kernel, stride, padding, dilation, ceil_mode)
    except GeometryError:
        return pool_spec(shape, 1, stride, 0, 1, ceil_mode)


def check_max_pool(spec, dtype, seed):
    x, gy = draw_normal(seed, dtype, spec.input_shape, spec.output_shape)
    x = x.round(1)  # ties
    if x.size > 3:
        x.flat[1], x.flat[-1] = np.nan, -np.inf
    y, argmax = reference_pool.max_pool2d(x, spec)
    all_near(pool.max_pool2d(x, spec), (y, argmax))
    all_near(pool.max_pool2d(x, spec, True), reference_pool.max_pool2d(x, spec, True))
    near(pool.max_pool2d_grad(gy, argmax, spec), reference_pool.max_pool2d_grad(gy, argmax, spec))
    near(pool.max_pool2d_take(gy_like(x), argmax, spec), reference_pool.max_pool2d_take(gy_like(x), argmax, spec))


def gy_like(x):
    return np.nan_to_num(x, posinf=1, neginf=-1)


@given(pools(), st.sampled_from(DTYPES), st.integers(0, 2**31))
def test_max_pooling(spec, dtype, seed):
    check_max_pool(spec, dtype, seed)


def test_max_pooling_of_a_large_window_counts_in_int32():
    check_max_pool(pool_spec((1, 1, 20, 20), 16, 2), np.float32, 0)
    assert pool.max_pool2d(np.ones((1, 1, 20, 20)), pool_spec((1, 1, 20, 20), 16, 2))[1].dtype == np.int32


@given(pools(), st.sampled_from(DTYPES), st.booleans(), st.sampled_from([None, 3, -2]), st.integers(0, 2**31))
def test_average_pooling(spec, dtype, include_pad, divisor, seed):
    if spec.dilation != (1, 1):
        spec = pool_spec(spec.input_shape, 1)
    x, gy = draw_normal(seed, dtype, spec.input_shape, spec.output_shape)
    rule = include_pad, divisor
    near(pool.avg_pool2d(x, spec, *rule), reference_pool.avg_pool2d(x, spec, *rule))
    near(pool.avg_pool2d_grad(gy, spec, *rule), reference_pool.avg_pool2d_grad(gy, spec, *rule))


@given(
    st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 50)), st.sampled_from(DTYPES), st.integers(0, 2**31)
)
def test_batch_norm(shape, dtype, seed):
    x, gy, weight, bias = draw_normal(seed, dtype, shape, shape, shape[1], shape[1])
    eps = 0.1 if shape[0] * shape[2] == 1 else 1e-3
    y, mean, var = reference_norm.batch_norm_train(x, weight, bias, eps)
    all_near(norm.batch_norm_train(x, weight, bias, eps), (y, mean, var))
    arguments = gy, x, mean, var, weight, eps
    wide = [a.astype(np.float64) for a in arguments[:-1]]
    expected = reference_norm.batch_norm_train_grad(*wide, eps)
    for a, b in zip(norm.batch_norm_train_grad(*arguments), expected, strict=True):
        scale = max(1.0, np.abs(b).max() * np.abs(1 / np.sqrt(var + eps)).max())
        assert np.abs(a - b).max() <= 10 * TOLERANCE[a.dtype] * scale
    given_stats = mean, var, weight, bias, eps
    near(norm.batch_norm_eval(x, *given_stats), reference_norm.batch_norm_eval(x, *given_stats))


def test_batch_norm_keeps_the_digits_of_a_large_mean():
    x = (np.random.default_rng(0).standard_normal((8, 2, 500)) + 10_000).astype(np.float32)
    var = norm.batch_norm_train(x, np.ones(2, np.float32), np.zeros(2, np.float32), 1e-5)[2]
    assert np.allclose(var, x.astype(np.float64).var(axis=(0, 2)), rtol=1e-4)


@pytest.mark.parametrize(("first", "mean"), [(0, 30), (0, 1000), (1000, 0)])
def test_batch_norm_does_not_depend_on_what_comes_first(first, mean):
    x = (np.random.default_rng(0).standard_normal((16, 1, 1024)) + mean).astype(np.float32)
    x[0, 0, 0] = first
    y, _, var = norm.batch_norm_train(x, np.ones(1, np.float32), np.zeros(1, np.float32), 1e-5)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean()) / np.sqrt(wide.var() + 1e-5)
    assert np.allclose(var, wide.var(), rtol=2e-6)
    assert np.abs(y - expected).max() <= 2e-6 * np.abs(expected).max()


def test_the_gradients_of_batch_norm_keep_their_digits_on_large_images():
    rng = np.random.default_rng(0)
    x, gy = ((rng.standard_normal((1, 1, 1 << 20)) + m).astype(np.float32) for m in (3, 1))
    one = np.ones(1, np.float32)
    _, mean, var = norm.batch_norm_train(x, one, one, 1e-5)
    _, gweight, gbias = norm.batch_norm_train_grad(gy, x, mean, var, one, 1e-5)
    xhat = (x - mean.astype(np.float64)) / np.sqrt(var.astype(np.float64) + 1e-5)
    size = np.abs(gy).sum()
    assert abs(gweight - (gy * xhat).sum()) <= 2e-7 * size and abs(gbias - gy.sum(dtype=np.float64)) <= 2e-7 * size


@pytest.mark.parametrize("shape", [(4, 3, 50), (4, 40, 9), (6, 5, 1)])
def test_gradients_of_norms_and_sums_are_no_views(shape):
    """A leaf keeps an array that is nobody's view as its gradient, and copies any other."""
    x, ones = np.random.default_rng(0).standard_normal(shape), np.ones(shape[1])
    for part in norm.batch_norm_train_grad(x, x, 0 * ones, ones, ones, 1e-5):
        assert not isinstance(part.base, np.ndarray) or part.size == x.size
    total = reduce.sum(np.ones((300, 200)), (0,), False)
    assert total.shape == (200,) and total.base is None


@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.sampled_from(DTYPES), st.integers(0, 2**31))
def test_softmax_and_cross_entropy(shape, dtype, seed):
    x, gy = draw_normal(seed, dtype, shape, shape)
    x *= 20
    target = np.random.default_rng(seed).integers(0, shape[1], shape[0])
    target[::3] = -100
    for name in ("softmax", "log_softmax"):
        y = getattr(reference_softmax, name)(x)
        near(getattr(softmax, name)(x), y)
        near(getattr(softmax, name + "_grad")(gy, y), getattr(reference_softmax, name + "_grad")(gy, y))
    loss, lse = reference_softmax.cross_entropy(x, target, -100)
    all_near(softmax.cross_entropy(x, target, -100), (loss, lse))
    arguments = np.ascontiguousarray(gy[:, 0]), x, lse, target, -100
    near(softmax.cross_entropy_grad(*arguments), reference_softmax.cross_entropy_grad(*arguments))
    one = np.full(1, 0.3, dtype), x, lse, target, -100
    near(softmax.cross_entropy_grad(*one), reference_softmax.cross_entropy_grad(*one))
    all_near(softmax.cross_entropy(x, target, -100, 7), reference_softmax.cross_entropy(x, target, -100, 7))


@pytest.mark.parametrize("labels", [[], [0, 1, 2], [2, -100, 0], [-100, -100], [1, 3, 5], [-100, 0, -1], [9]])
def test_counting_classes(labels):
    target = np.array(labels, np.int64)
    assert softmax.class_count(target, 3, -100) == reference_softmax.class_count(target, 3, -100)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, elementwise.PARALLEL - 1, elementwise.PARALLEL, elementwise.PARALLEL + 1])
def test_elementwise_on_both_sides_of_the_parallel_size(dtype, n):
    a, b = draw_normal(n, dtype, n, n)
    a[0], b[-1] = np.nan, np.inf
    assert elementwise.in_parallel(a, b) == (n >= elementwise.PARALLEL)
    for name in ("add", "mul", "relu_grad"):
        near(getattr(elementwise, name)(a, b), getattr(reference_elementwise, name)(a, b))
    near(elementwise.relu(a), reference_elementwise.relu(a))
    near(elementwise.relu_of_sum(a, b), reference_elementwise.relu_of_sum(a, b))
    near(elementwise.relu_grad(a, b, a[::-1].copy()), reference_elementwise.relu_grad(a, b, a[::-1]))
    near(elementwise.add(a, 2.0), a + dtype(2))
    near(elementwise.mul(a[::-1], b), a[::-1] * b)


N, LARGE = elementwise.PARALLEL, elementwise.LARGE


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 17, N - 1, N, N + 17])
@pytest.mark.parametrize(
    ("flat", "number"),
    [
        ("add", True),
        ("sub", False),
        ("mul", True),
        ("div", True),
        ("maximum", True),
        ("minimum", True),
        ("relu_grad", False),
        ("relu_of_sum", False),
    ],
)
def test_flat_loops_of_two_operands(flat, number, dtype, n):
    a, b = draw_normal(n, dtype, n, n)
    a[-1], b[0] = np.nan, -np.inf
    a[n // 2], b[n // 3] = np.inf, 0
    kernel, plain = getattr(elementwise, flat + "_flat"), getattr(reference_elementwise, flat)
    for second in (b, b[:1].copy(), np.full(1, 3, dtype))[: 3 if number else 1]:
        out = np.full(n, 7, dtype)
        launch(kernel, a, second, out)
        assert np.array_equal(out, plain(a, second), equal_nan=True)  # bit for bit: one rounding each


@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_that_are_numbers(dtype):
    (a,) = draw_normal(1, dtype, N + 1)
    a[3], a[5] = np.nan, np.inf
    for bound in (0.25, -1, np.nan, np.asarray(0.5, dtype)):
        for name in ("maximum", "minimum"):
            expected = getattr(reference_elementwise, name)(a, np.asarray(bound, dtype))
            assert np.array_equal(getattr(elementwise, name)(a, bound), expected, equal_nan=True)
            assert np.array_equal(getattr(elementwise, name)(bound, a), expected, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponent", [2, 3, 2.0, 3.0, 2.5])
def test_powers(dtype, exponent):
    (a,) = draw_normal(2, dtype, 100)
    a[3], a[5], a[7] = np.nan, -np.inf, 0
    near(elementwise.pow(a, exponent), reference_elementwise.pow(a, exponent))
    whole = np.arange(5)
    assert np.array_equal(elementwise.pow(whole, 3), whole**3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("back", [False, True])
def test_running_sums(dtype, back):
    band = reduce.BAND
    for shape in (
        (reduce.SMALL + 1,),
        (4, reduce.SMALL),
        (70, band - 1),
        (70, band),
        (70, band + 1),
        (2, 33, 3 * band, 1),
    ):
        (x,) = draw_normal(3, dtype, shape)
        x.reshape(-1)[7] = np.inf
        for axis in range(len(shape)):
            near(reduce.cumsum(x, axis, back), reference_reduce.cumsum(x, axis, back))
            near(reduce.cumsum(x, axis - len(shape), back), reference_reduce.cumsum(x, axis, back))
    strided = x.T
    near(reduce.cumsum(strided, 0, back), reference_reduce.cumsum(strided, 0, back))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 17, N, N + 17])
def test_flat_choice(dtype, n):
    a, b = draw_normal(n, dtype, n, n)
    a[-1], b[0] = np.nan, -np.inf
    cond = a > 0
    for first, second in ((a, b), (a, np.full(1, np.nan, dtype)), (np.full(1, 3, dtype), b)):
        out = np.full(n, 7, dtype)
        launch(elementwise.where_flat, cond, first, second, out)
        assert np.array_equal(out, np.where(cond, first, second), equal_nan=True)


UNARY = [n for n in kernels.FAMILIES["elementwise"] if reference_elementwise.__dict__[n].__code__.co_argcount == 1]
BINARY = [n for n in kernels.FAMILIES["elementwise"] if reference_elementwise.__dict__[n].__code__.co_argcount == 2]


@pytest.mark.parametrize("n", [LARGE - 1, LARGE, N])
@pytest.mark.parametrize("name", UNARY)
def test_one_operand_on_both_sides_of_the_large_sizes(name, n):
    kinds = [np.int64, np.bool_] if name == "bitwise_not" else [*DTYPES, np.float16, np.int64]
    for dtype in kinds if name not in ("erf", "erfc", "gelu") else DTYPES:
        x = (draw_normal(n, np.float64, n)[0] * 3).astype(dtype)
        if x.dtype.kind == "f":
            x[:3] = np.nan, np.inf, -np.inf
        for source in (x, x[::-1], x.reshape(1, n)):
            if x.dtype.kind != "f" and name == "reciprocal":
                continue
            y = getattr(elementwise, name)(source)
            near(y, getattr(reference_elementwise, name)(source))
            assert n < LARGE or y.itemsize < 4 or x.dtype.kind != "f" or not y.flags.owndata


@pytest.mark.parametrize("n", [LARGE - 1, LARGE, N])
@pytest.mark.parametrize("name", BINARY)
def test_two_operands_on_both_sides_of_the_large_sizes(name, n):
    mine, plain = getattr(elementwise, name), getattr(reference_elementwise, name)
    for dtype in [np.int64, np.bool_] if name.startswith("bitwise") else [*DTYPES, np.float16, np.int64]:
        if dtype is np.bool_ and name.endswith("shift"):
            continue
        a, b = (v.astype(dtype) for v in draw_normal(n, np.float64, n, n))
        if a.dtype.kind == "f":
            a[:3], b[2:5] = (np.nan, np.inf, -np.inf), (np.nan, -np.inf, 0)
        else:
            a, b = np.abs(a), np.abs(b) + dtype(1)
        pairs = [(a, b), (a[::-1], b), (a.reshape(1, n), b), (a, b[3]), (a, np.asarray(b[3])), (a, b[3].item())]
        if name != "relu_of_sum":
            pairs += [(a.reshape(n, 1), b[:1]), (a[:1], b), (np.asarray(a[7]), b), (a[7].item(), b)]
        for first, second in pairs:
            if name == "relu_of_sum" and np.shape(second) != first.shape:
                continue
            near(mine(first, second), plain(first, second))


@pytest.mark.parametrize("n", [N - 1, N])
@pytest.mark.parametrize("dtype", [*DTYPES, np.int64])
def test_where_on_both_sides_of_the_parallel_size(dtype, n):
    a, b = (v.astype(dtype) for v in draw_normal(n, np.float64, n, n))
    cond = a > 0
    zero = np.zeros((), dtype)
    for arguments in (
        *((cond, a, b), (cond, zero, b), (cond, a, zero), (cond, zero, zero), (cond[::-1], a, b), (cond, a[::-1], b)),
        *((cond[:1], a, b), (cond.reshape(1, n), a, b), (cond.reshape(n, 1), a[:2], zero), (cond, a[:1], b[:1])),
    ):
        near(elementwise.where(*arguments), np.where(*arguments))


def test_numbers_beyond_the_dtype():
    x = np.ones(N, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(elementwise.mul(x, 1e300)).all() and not elementwise.div(x, 1e300).any()


def test_elementwise_bits_do_not_depend_on_the_threads():
    a, b = draw_normal(0, np.float32, N + 5, N + 5)
    before = threads.get_num_threads()
    results = []
    try:
        for n in range(1, before + 1):
            threads.set_num_threads(n)
            results.append([getattr(elementwise, k)(a, b).tobytes() for k in ("add", "sub", "mul", "div", "relu_grad")])
    finally:
        threads.set_num_threads(before)
    assert all(r == results[0] for r in results)


def test_joining_and_filling_of_large_arrays():
    a, b = draw_normal(0, np.float32, (3, 40, 1000), (3, 2, 1000))
    for axis in (1, -2):
        joined = index.concatenate([a, b, a[:, ::-1]], axis)
        assert not joined.flags.owndata and np.array_equal(joined, np.concatenate([a, b, a[:, ::-1]], axis))
    mixed = index.concatenate([a, a.astype(np.float64)], 0)
    assert mixed.dtype == np.float64 and mixed.shape == (6, 40, 1000)
    for kind, value in ((np.float32, 2.5), (np.float64, np.nan), (np.int64, -1), (np.uint8, 200), (np.bool_, True)):
        near(index.full((2, 1 << 20), value, kind), np.full((2, 1 << 20), value, kind))
    g = a[:, :5]
    near(index.index_add(g, (slice(None), slice(0, 5)), a.shape, False)[:, :5], g)
    near(index.index_add(g, (slice(None), np.zeros(5, int)), a.shape, True)[:, 0], g.sum(1))


def test_elementwise_computes_in_silence():
    zero, big = np.zeros(2, np.float32), np.full(2, 1e38, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for column in (elementwise, reference_elementwise):
            assert np.isnan(column.div(zero, zero)).all() and np.isinf(column.log(zero)).all()
            assert np.isinf(column.reciprocal(zero)).all() and np.isinf(column.exp(big)).all()
            assert np.isnan(column.sqrt(-big)).all() and np.isinf(column.mul(big, big)).all()
            assert (
                np.isinf(column.add(big, 3 * big)).all()
                and np.isnan(column.sub(column.exp(big), column.exp(big))).all()
            )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((64, 6, 28, 28), (0, 2, 3)),
        ((100, 50), (0,)),
        ((100, 50), (1,)),
        ((4 * reduce.RUN,), (0,)),
        ((4 * reduce.RUN + 1,), (0,)),
        ((20, 30, 40), (1,)),
        ((5, 6, 7, 8, 9), (1, 3)),
        ((100, 1, 50), (1,)),
        ((3, 4), (0, 1)),
        ((0, 4), (0,)),
    ],
)
def test_sums(dtype, keepdims, shape, axes):
    (x,) = draw_normal(0, dtype, shape)
    near(reduce.sum(x + 1, axes, keepdims), reference_reduce.sum(x + 1, axes, keepdims))


def test_a_long_float32_sum_keeps_its_digits():
    x = np.full((1_000_000, 2), 0.1, np.float32)
    expected = 1_000_000 * float(np.float32(0.1))
    for total in (
        reduce.sum(x, (0,), False)[0],
        reduce.sum(x[:, 0].copy(), (0,), False),
        reduce.sum(x, (0, 1), False) / 2,
    ):
        assert abs(float(total) - expected) <= 1e-6 * expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.99])
def test_dropout_draws_the_same_zeros_in_both_columns(dtype, p):
    (x,) = draw_normal(0, dtype, (3, 5000))
    y = dropout(x, p, 123456789)
    assert np.array_equal(y == 0, reference_dropout.dropout(x, p, 123456789) == 0)
    near(y, reference_dropout.dropout(x, p, 123456789))
    assert abs((y == 0).mean() - p) < 0.02
    assert not np.array_equal(y == 0, dropout(x, p, 123456790) == 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(("momentum", "first"), [(0.0, True), (0.9, True), (0.9, False)])
def test_sgd_step(dtype, strided, nesterov, momentum, first):
    arrays = draw_normal(1, dtype, (6, 5), (6, 5), (6, 5))
    ours, theirs = ([a.copy().T if strided else a.copy() for a in arrays] for _ in range(2))
    rule = dict(lr=0.1, momentum=momentum, dampening=0.2, weight_decay=0.01, nesterov=nesterov, maximize=nesterov)
    for module, (p, g, b) in ((optim, ours), (reference_optim, theirs)):
        module.sgd_step([p], [g], [b] if momentum else [], **rule, first=first)
    all_near(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_step(dtype, strided, amsgrad, decoupled):
    arrays = draw_normal(2, dtype, *[(6, 5)] * 5)
    arrays[3:] = [np.abs(a) for a in arrays[3:]]
    ours, theirs = ([a.copy().T if strided else a.copy() for a in arrays] for _ in range(2))
    rule = dict(step=3, lr=0.01, beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.1)
    for module, (p, g, m, v, largest) in ((optim, ours), (reference_optim, theirs)):
        extra = [largest] if amsgrad else []
        module.adam_step([p], [g], [m], [v], extra, **rule, decoupled=decoupled, amsgrad=amsgrad, maximize=amsgrad)
    all_near(ours, theirs)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_optimizer_steps_take_nan_and_infinity_along(amsgrad):
    special = np.array([np.inf, -np.inf, np.nan, 1, 1, 1], np.float32)
    grad = np.array([1, 1, 1, np.nan, np.inf, 0], np.float32)
    ours, theirs = ([special.copy(), grad, *(np.full(6, 0.5, np.float32) for _ in range(3))] for _ in range(2))
    rule = dict(step=1, lr=0.1, beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.0, decoupled=False, maximize=False)
    for module, (p, g, m, v, largest) in ((optim, ours), (reference_optim, theirs)):
        module.adam_step([p], [g], [m], [v], [largest] if amsgrad else [], **rule, amsgrad=amsgrad)
    all_near(ours, theirs)
    ours, theirs = ([special.copy(), grad] for _ in range(2))
    rule = dict(lr=0.1, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False, first=True)
    for module, (p, g) in ((optim, ours), (reference_optim, theirs)):
        module.sgd_step([p], [g], [], **rule)
    all_near(ours, theirs)


@pytest.mark.parametrize(
    "shape, axes, sizes, kinds",
    [
        ((4, 5, 6), (0, 2), (4, 5, 6), "rkr"),
        ((4, 5, 6), (1,), (4, 5, 6), "krk"),
        ((2, 3, 4, 5), (0, 1), (6, 20), "rk"),
        ((3, 5, 1, 6, 7), (1, 3), (3, 30, 7), "krk"),  # what lies between is one element
        ((1, 9, 1), (0, 2), (9,), "k"),
        ((1, 9, 1), (1,), (9,), "r"),
        ((1, 1), (0,), (), ""),
    ],
)
def test_neighbouring_axes_of_one_kind_are_one(shape, axes, sizes, kinds):
    assert reduce.merged(shape, axes) == (sizes, kinds)


@pytest.mark.parametrize("shape, axes", [((3, 50, 1, 60, 7), (1, 3)), ((9, 8, 7, 6, 5), (1, 3)), ((1, 5000), (0,))])
def test_sums_and_extremes_over_axes_that_are_merged(shape, axes):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_allclose(reduce.sum(x, axes, True), x.astype(np.float64).sum(axes, keepdims=True), 1e-5, 1e-4)
    assert np.array_equal(reduce.amax(x, axes, False), x.max(axes))
