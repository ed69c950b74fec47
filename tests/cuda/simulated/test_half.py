"""float16 on a simulated GPU: stored as such, computed in float32."""

import numpy as np
import pytest
from tolerances import GRADIENTS, close

import tinycnn
from tinycnn import kernels
from tinycnn.kernels.geometry import conv_spec, pool_spec

gpu, plain = kernels.column("cuda"), kernels.column("reference")
RNG = np.random.default_rng(0)


def drawn(*shape):
    return RNG.standard_normal(shape).astype(np.float16)


def same(mine, theirs, kinds="e"):
    """Results of the device and those of float64, in dtypes that are told by a letter each."""
    mine, theirs = (r if isinstance(r, tuple) else (r,) for r in (mine, theirs))
    for m, t, kind in zip(mine, theirs, kinds, strict=True):
        assert m.dtype.char == kind
        close(m.get(), t, np.float16, GRADIENTS)


def there(*arrays):
    return [gpu.xp.asarray(a) for a in arrays]


@pytest.mark.parametrize(
    ("x", "w", "rule"),
    [
        ((2, 3, 5, 4), (4, 3, 3, 3), (1, 1, 1, 1)),
        ((2, 4, 5, 4), (6, 2, 3, 3), (2, 1, 1, 2)),
        ((1, 16, 6, 6), (3, 16, 3, 3), (1, 0, 1, 1)),  # chunks of some of the channels
        ((7, 2, 4, 4), (3, 2, 3, 3), (1, 1, 1, 1)),  # chunks of some of the images
        ((2, 3, 4, 4), (2, 3, 1, 1), (1, 0, 1, 1)),
        ((2, 4, 5, 5), (8, 1, 3, 3), (1, 1, 1, 4)),
    ],
)
def test_convolution(x, w, rule):
    spec = conv_spec(x, w, *rule, "conv2d")
    a, f, g = drawn(*x), drawn(*w), drawn(*spec.output_shape)
    bias = drawn(w[0])
    wide = [v.astype(np.float64) for v in (a, f, g, bias)]
    a, f, g, bias = there(a, f, g, bias)
    same(gpu.conv2d(a, f, bias, spec), plain.conv2d(wide[0], wide[1], wide[3], spec))
    same(gpu.conv2d_input_grad(g, f, spec), plain.conv2d_input_grad(wide[2], wide[1], spec))
    same(gpu.conv2d_weight_grad(g, a, spec), plain.conv2d_weight_grad(wide[2], wide[0], spec))


def test_sums_go_on_in_float32_from_chunk_to_chunk():
    """In float16, 2048 + 1 is 2048."""
    spec = conv_spec((40, 8, 9, 9), (1, 8, 3, 3), 1, 0, 1, 1, "conv2d")
    ones = gpu.xp.ones(spec.input_shape, np.float16)
    gw = gpu.conv2d_weight_grad(gpu.xp.ones(spec.output_shape, np.float16), ones, spec)
    assert gw.get().min() == gw.get().max() == 40 * 49


def test_pooling():
    x = drawn(2, 3, 5, 6)
    spec = pool_spec(x.shape, (3, 2), 2, (1, 0), 1, False, "pool")
    g = drawn(*spec.output_shape)
    y, argmax = gpu.max_pool2d(*there(x), spec)
    best, found = plain.max_pool2d(x, spec)
    assert y.dtype.char == "e" and (y.get() == best).all() and (argmax.get() == found).all()
    wide = [v.astype(np.float64) for v in (x, g)]
    same(gpu.max_pool2d_grad(*there(g, found), spec), plain.max_pool2d_grad(wide[1], found, spec))
    same(gpu.max_pool2d_take(*there(x, found), spec), plain.max_pool2d_take(wide[0], found, spec))
    same(gpu.avg_pool2d(*there(x), spec, False, None), plain.avg_pool2d(wide[0], spec, False, None))
    same(gpu.avg_pool2d_grad(*there(g), spec, True, None), plain.avg_pool2d_grad(wide[1], spec, True, None))


def test_batch_norm_takes_half_and_gives_moments_in_float32():
    x, g = drawn(4, 3, 10), drawn(4, 3, 10)
    x[:, 1] += 100  # whose squares float16 would not hold
    weight, bias = (RNG.random(3).astype(np.float32) + 0.5 for _ in range(2))
    wide = [v.astype(np.float64) for v in (x, weight, bias, g)]
    a, w, b, gy = there(x, weight, bias, g)
    mean, var = plain.batch_norm_moments(wide[0])
    same(gpu.batch_norm_moments(a), (mean, var), "ff")
    y, *_ = gpu.batch_norm_train(a, w, b, 1e-5)
    same(y, plain.batch_norm_train(*wide[:3], 1e-5)[0])
    moments = there(mean.astype(np.float32), var.astype(np.float32))
    for after in (None, b):
        mine = gpu.batch_norm_train_grad(gy, a, *moments, w, 1e-5, after)
        after = None if after is None else wide[2]
        same(mine, plain.batch_norm_train_grad(wide[3], wide[0], mean, var, wide[1], 1e-5, after), "eff")
    added = gpu.batch_norm_eval(a, *moments, w, b, 1e-5, gy, True)
    same(added, plain.batch_norm_eval(wide[0], mean, var, *wide[1:3], 1e-5, wide[3], True))


@pytest.mark.parametrize("axes", [(0, 1, 2), (0,), (2,), (0, 2), (1,)])
def test_sums(axes):
    x = (drawn(5, 3, 20) + 3).astype(np.float16)
    same(gpu.sum(*there(x), axes, False), plain.sum(x.astype(np.float64), axes, False))


def test_a_sum_may_pass_what_float16_counts():
    assert gpu.sum(gpu.xp.ones((5000,), np.float16), (0,), False).get() == 5000


@pytest.mark.parametrize("length", [1, 5, 40])
def test_softmax(length):
    x, g = drawn(3, length), drawn(3, length)
    for name in ("softmax", "log_softmax"):
        y = getattr(plain, name)(x.astype(np.float64))
        same(getattr(gpu, name)(*there(x)), y)
        half = y.astype(np.float16)
        same(
            getattr(gpu, name + "_grad")(*there(g, half)),
            getattr(plain, name + "_grad")(g.astype(np.float64), half.astype(np.float64)),
        )


def test_dropout_has_the_zeros_of_float32():
    x = drawn(50)
    y = gpu.dropout(*there(x), 0.3, 7)
    assert y.dtype.char == "e"
    close(y.get(), plain.dropout(x.astype(np.float64), 0.3, 7), np.float16)


def test_layers_make_no_copy_in_float32(monkeypatch):
    """Convolution, batch norm, pooling and dropout of float16 call no kernel with a large float32 array."""
    model = tinycnn.nn.Sequential(
        tinycnn.nn.Conv2d(2, 3, 3), tinycnn.nn.BatchNorm2d(3), tinycnn.nn.ReLU(), tinycnn.nn.MaxPool2d(2),
        tinycnn.nn.AvgPool2d(2), tinycnn.nn.Dropout(0.5),
    ).cuda()  # fmt: skip
    x, met = tinycnn.randn(2, 2, 10, 10, device="cuda").half().requires_grad_(), []

    def noted(column, name, function):
        def call(*args, **options):
            met.extend((name, a.size) for a in args if hasattr(a, "dtype") and a.dtype == np.float32 and name != "cast")
            return function(*args, **options)

        return call

    with kernels.observed(noted), tinycnn.autocast("cuda"):
        y = model(x)
        assert y.dtype is tinycnn.float16
        y.backward(tinycnn.ones_like(y))
    assert x.grad.dtype is tinycnn.float16 and max(size for _, size in met) <= 3 * 2 * 3 * 3
    assert model[1].weight.grad.dtype is model[1].running_var.dtype is tinycnn.float32
