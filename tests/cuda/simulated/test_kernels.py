"""Kernels of the CUDA column against the readable ones, where a fast way has edges: blocks, NaN, repeated indices."""

import inspect

import numpy as np
import pytest
from tolerances import close

import tinycnn
from tinycnn import kernels, optim

gpu, plain = kernels.column("cuda"), kernels.column("reference")
EVERY = [(family, name) for family, names in kernels.FAMILIES.items() for name in names]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 2.5, -2.5, 100.0, -100.0, np.inf, -np.inf, np.nan]


def there(x):
    return gpu.xp.asarray(x)


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_the_column_is_complete_and_has_the_same_signatures(family, name):
    def parameters(column):
        signature = inspect.signature(getattr(column, name))
        return [(p.name, p.kind, p.default) for p in signature.parameters.values()]

    assert parameters(gpu) == parameters(plain)


ONE = ["relu", "reciprocal", "rsqrt", "sigmoid", "silu", "gelu", "hardswish", "erf", "erfc", "sign", "tanh", "exp"]
TWO = ["relu_grad", "relu_of_sum", "sigmoid_grad", "tanh_grad", "silu_grad", "gelu_grad", "hardswish_grad"]
NUMBERS = {"leaky_relu": (0.2,), "elu": (1.5, 1.1, 0.7), "softplus": (2.0, 20.0), "clamp": (-0.5, 0.5)}


@pytest.mark.parametrize("name", [*ONE, *TWO, *NUMBERS, *[f"{name}_grad" for name in NUMBERS]])
def test_special_values(name):
    x = np.array(SPECIAL)
    numbers = NUMBERS.get(name.removesuffix("_grad"), ())
    args = (np.linspace(-1, 1, x.size), x) if name in TWO or name.endswith("_grad") else (x,)
    expected = getattr(plain, name)(*args, *numbers)
    close(getattr(gpu, name)(*map(there, args), *numbers).get(), expected, err_msg=name)


@pytest.mark.parametrize("rows", [1, 4])  # a grid has 3 blocks here
@pytest.mark.parametrize("length", [1, 4, 5, 17])  # a block has 4 threads
def test_softmax_around_its_blocks(rows, length):
    rng = np.random.default_rng(0)
    x, gy = rng.standard_normal((2, rows, length))
    target = rng.integers(0, length, rows)
    target[0] = -100
    for name in ("softmax", "log_softmax"):
        y = getattr(plain, name)(x)
        close(getattr(gpu, name)(there(x)).get(), y)
        close(getattr(gpu, name + "_grad")(there(gy), there(y)).get(), getattr(plain, name + "_grad")(gy, y))
    loss, lse = plain.cross_entropy(x, target, -100)
    for mine, its in zip(gpu.cross_entropy(there(x), there(target), -100), (loss, lse), strict=True):
        close(mine.get(), its)
    scale = rng.random(rows)
    gx = gpu.cross_entropy_grad(*map(there, (scale, x, lse, target)), -100)
    close(gx.get(), plain.cross_entropy_grad(scale, x, lse, target, -100))
    one = gpu.cross_entropy_grad(*map(there, (scale[:1], x, lse, target)), -100)
    close(one.get(), plain.cross_entropy_grad(scale[:1], x, lse, target, -100))
    close(gpu.cross_entropy(there(x), there(target), -100, 3)[0].get(), loss.sum() / 3)
    for classes in (length, length - 1):
        assert gpu.class_count(there(target), classes, -100) == plain.class_count(target, classes, -100)


def test_gradients_of_a_linear_layer():
    rng = np.random.default_rng(0)
    gy, x, w, y = (rng.standard_normal(shape) for shape in ((4, 2), (4, 3), (2, 3), (4, 2)))
    for wanted, mask in (((True, True, True), None), ((True, False, True), y)):
        mine = gpu.linear_grad(*map(there, (gy, x, w)), wanted, None if mask is None else there(mask))
        for a, b in zip(mine, plain.linear_grad(gy, x, w, wanted, mask), strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                close(a.get(), b)


def test_softmax_over_channels():
    x, gy = np.random.default_rng(0).standard_normal((2, 3, 5, 2))
    for name in ("softmax", "log_softmax"):
        y = getattr(plain, name)(x)
        close(getattr(gpu, name)(there(x)).get(), y)
        close(getattr(gpu, name + "_grad")(there(gy), there(y)).get(), getattr(plain, name + "_grad")(gy, y))
        assert getattr(gpu, name)(there(x[:, :0])).shape == (3, 0, 2)


def test_writing_and_taking():
    x, out = np.arange(24.0).reshape(2, 3, 4), there(np.zeros((2, 3, 4)))
    gpu.assign(out[:, ::-1], there(x[:1]))
    assert np.array_equal(out.get(), np.broadcast_to(x[:1, ::-1], x.shape))
    key = slice(None), np.array([2, 0, 2])
    assert np.array_equal(gpu.take(there(x), (key[0], there(key[1]))).get(), plain.take(x, key))


@pytest.mark.parametrize("row", [[np.nan, 1.0, 2.0], [np.inf, 1.0, 2.0], [-np.inf] * 3, [-np.inf, 0.0, 1.0]])
def test_softmax_of_what_is_not_finite(row):
    x = np.array([row])
    close(gpu.softmax(there(x)).get(), plain.softmax(x))


def test_rows_without_elements():
    for shape in ((0, 3), (2, 0), (0, 0)):
        x = np.zeros(shape)
        assert gpu.softmax(there(x)).shape == gpu.log_softmax(there(x)).shape == shape
        loss, lse = gpu.cross_entropy(there(x), there(np.full(shape[0], -100)), -100)
        assert loss.shape == lse.shape == shape[:1]


@pytest.mark.parametrize("shape", [(1,), (5,), (13,), (2, 3, 4), (0,)])
def test_dropout_draws_the_same_zeros(shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(gpu.dropout(there(x), 0.3, 12345678901).get(), plain.dropout(x, 0.3, 12345678901))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32, np.uint8, np.float16])
def test_repeated_indices_add_up(dtype):
    rng = np.random.default_rng(0)
    key = (slice(None), rng.integers(0, 3, (4, 2)))
    g = rng.integers(0, 9, (2, 4, 2)).astype(dtype)
    expected = plain.index_add(g, key, (2, 3), True)
    np.testing.assert_array_equal(gpu.index_add(there(g), (key[0], there(key[1])), (2, 3), True).get(), expected)
    index = rng.integers(0, 3, (2, 5))
    g = rng.integers(0, 9, (2, 5)).astype(dtype)
    np.testing.assert_array_equal(
        gpu.gather_grad(there(g), 1, there(index), (4, 3)).get(), plain.gather_grad(g, 1, index, (4, 3))
    )


@pytest.mark.parametrize("shape", [(3,), (2, 5), (2, 3, 4)])
def test_running_results(shape):
    x = np.random.default_rng(0).integers(0, 4, shape).astype(np.float64)
    x.reshape(-1)[1] = np.nan
    np.testing.assert_array_equal(gpu.cummax_index(there(x)).get(), plain.cummax_index(x))
    for axis in range(x.ndim):
        for numbers in (x, np.where(np.isnan(x), -np.inf, x), np.where(np.isnan(x), np.inf, x)):
            close(gpu.logcumsumexp(there(numbers), axis).get(), plain.logcumsumexp(numbers, axis))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((7,), (0,)),
        ((8,), (0,)),
        ((65,), (0,)),
        ((3, 5), (1,)),
        ((3, 9), (0,)),
        ((2, 3, 9), (0, 2)),
        ((2, 3, 1), (0, 2)),
    ]
    + [((2, 3, 4), (1,)), ((2, 3, 4, 2), (0, 2)), ((1, 1), (0, 1)), ((0, 3), (0,)), ((3, 0), (0,)), ((2, 3), ())],
)
def test_sums_around_their_segments(shape, axes):
    x = np.random.default_rng(0).standard_normal(shape)
    for keepdims in (False, True):
        close(gpu.sum(there(x), axes, keepdims).get(), plain.sum(x, axes, keepdims))


STEPS = [
    (optim.SGD, {}),
    (optim.SGD, {"momentum": 0.9, "weight_decay": 0.1}),
    (optim.SGD, {"momentum": 0.9, "nesterov": True, "maximize": True}),
    (optim.SGD, {"momentum": 0.9, "dampening": 0.3}),
    (optim.Adam, {"weight_decay": 0.1}),
    (optim.Adam, {"amsgrad": True}),
    (optim.AdamW, {"maximize": True}),
    (optim.NAdam, {"weight_decay": 0.1}),
    (optim.RAdam, {}),
    (optim.Adamax, {"weight_decay": 0.1}),
    (optim.Adagrad, {"lr_decay": 0.1}),
    (optim.Adadelta, {}),
    (optim.RMSprop, {}),
    (optim.RMSprop, {"centered": True, "momentum": 0.9}),
]


@pytest.mark.parametrize(("kind", "options"), STEPS, ids=lambda v: getattr(v, "__name__", None))
def test_optimizers_step_alike(kind, options):
    """Parameters of several sizes, around a chunk of 8 elements; one transposed, so that it is written back."""
    rng = np.random.default_rng(0)
    starts = [rng.standard_normal(s) for s in ((7,), (8,), (3, 3), (2, 9), ())]
    results = []
    for place in ("cuda", "cpu"):
        params = [tinycnn.tensor(s, device=place) for s in starts]
        params.append(tinycnn.tensor(starts[3], device=place).T)
        for p in params:
            p.requires_grad_()
        optimizer = kind(params, lr=0.1, **options)
        for step in range(7):
            for k, p in enumerate(params):
                p.grad = tinycnn.tensor(np.sin(np.arange(p.numel()) + step + k).reshape(p.shape), device=place)
            optimizer.step()
        results.append([p.detach().cpu().numpy() for p in params])
    for mine, its in zip(*results, strict=True):
        close(mine, its, table={np.dtype(np.float64): 1e-10})


def test_gradients_are_clipped_alike():
    grads = [np.random.default_rng(0).standard_normal(s) for s in ((9,), (2, 3))]
    results = []
    for place in ("cuda", "cpu"):
        params = [tinycnn.zeros(g.shape, dtype=tinycnn.float64, device=place, requires_grad=True) for g in grads]
        for p, g in zip(params, grads, strict=True):
            p.grad = tinycnn.tensor(g, device=place)
        norm = tinycnn.nn.utils.clip_grad_norm_(params, 0.5)
        results.append([norm.item(), *[p.grad.cpu().numpy() for p in params]])
    for mine, its in zip(*results, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-12)
