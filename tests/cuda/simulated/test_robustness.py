"""What kernels of the CUDA column are given besides plain arrays: views of all kinds, nothing at all, very much."""

import numpy as np
import pytest
from tolerances import close

from tinycnn import kernels
from tinycnn.kernels.cuda import conv, launch, norm, reduce, winograd
from tinycnn.kernels.geometry import conv_spec, pool_spec

gpu, plain = kernels.column("cuda"), kernels.column("reference")
RNG = np.random.default_rng(0)
CONV, DEEP = conv_spec((2, 2, 4, 3), (2, 2, 2, 2)), conv_spec((2, 2, 3, 3), (2, 1, 2, 2), groups=2)
POOL = pool_spec((2, 2, 4, 4), 2)
NO_CONV, NO_POOL = conv_spec((0, 2, 4, 3), (2, 2, 2, 2)), pool_spec((0, 2, 4, 4), 2)
NUMBERS = RNG.integers(0, 3, (2, 2, 2, 2)).astype(np.uint8)
LABELS = np.array([1, 0, 2])


def some(*shape):
    return RNG.standard_normal(shape)


CALLS = [  # a kernel and its arguments
    ("conv2d", some(2, 2, 4, 3), some(2, 2, 2, 2), some(2), CONV),
    ("conv2d_input_grad", some(2, 2, 3, 2), some(2, 2, 2, 2), CONV),
    ("conv2d_weight_grad", some(2, 2, 3, 2), some(2, 2, 4, 3), CONV),
    ("conv2d", some(2, 2, 3, 3), some(2, 1, 2, 2), None, DEEP),
    ("conv2d_input_grad", some(2, 2, 2, 2), some(2, 1, 2, 2), DEEP),
    ("conv2d_weight_grad", some(2, 2, 2, 2), some(2, 2, 3, 3), DEEP),
    ("max_pool2d", some(2, 2, 4, 4), POOL),
    ("max_pool2d_grad", some(2, 2, 2, 2), NUMBERS, POOL),
    ("max_pool2d_take", some(2, 2, 4, 4), NUMBERS, POOL),
    ("avg_pool2d", some(2, 2, 4, 4), POOL, True, None),
    ("avg_pool2d_grad", some(2, 2, 2, 2), POOL, True, None),
    ("batch_norm_train", some(2, 3, 2), some(3), some(3), 0.1),
    ("batch_norm_eval", some(2, 3, 2), some(3), some(3) ** 2, some(3), some(3), 0.1, some(2, 3, 2), True),
    ("batch_norm_train_grad", some(2, 3, 2), some(2, 3, 2), some(3), some(3) ** 2, some(3), 0.1, some(3)),
    ("group_norm", some(2, 4, 3), some(4), some(4), 2, 0.1),
    ("group_norm_grad", some(2, 4, 3), some(2, 4, 3), some(2, 2), some(2, 2), some(4), 2),
    ("rms_norm", some(3, 4), some(4), 0.1),
    ("rms_norm_grad", some(3, 4), some(3, 4), some(3), some(4)),
    ("softmax", some(3, 4)),
    ("log_softmax_grad", some(3, 4), some(3, 4)),
    ("cross_entropy", some(3, 4), LABELS, -100),
    ("cross_entropy_grad", some(3), some(3, 4), some(3), LABELS, -100),
    ("nll", some(3, 4), LABELS, -100),
    ("pair_loss", some(3, 4), some(3, 4), "huber", 1.0, 1.0, True),
    ("pair_loss_grad", some(3, 4), some(3, 4), some(3, 4), "mse", 1.0, 1.0),
    ("matmul", some(3, 4), some(4, 2)),
    ("relu", some(3, 4)),
    ("gelu_grad", some(3, 4), some(3, 4)),
    ("sum", some(3, 4), (1,), False),
    ("logcumsumexp", some(3, 4), 1),
    ("cummax_index", some(3, 4)),
    ("dropout", some(3, 4), 0.5, 7),
]


def called(column, name, args):
    found = getattr(column, name)(*args)
    return [getattr(a, "get", lambda a=a: a)() for a in (found if isinstance(found, tuple) else (found,))]


def there(a, view=None):
    if not isinstance(a, np.ndarray):
        return a
    if view is None:
        return gpu.xp.asarray(a)
    if view == "backwards":
        return gpu.xp.flip(gpu.xp.asarray(np.flip(a).copy()))
    return gpu.xp.asarray(a.T.copy()).T


@pytest.mark.parametrize("view", ["backwards", "columns first"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_views(call, view):
    name, *args = call
    given = [there(a, view) for a in args]
    before = [a.get() if isinstance(a, gpu.xp.ndarray) else a for a in given]
    for mine, its in zip(called(gpu, name, given), called(plain, name, args), strict=True):
        close(mine, its, np.float64)
    for a, b in zip(given, before, strict=True):
        assert not isinstance(a, gpu.xp.ndarray) or (a.get() == b).all()  # nobody wrote to them


def none_of(a):
    """The array without images or rows; what belongs to channels stays."""
    if isinstance(a, np.ndarray) and (a.ndim > 1 or a is LABELS):
        return a[:0]
    return {id(CONV): NO_CONV, id(POOL): NO_POOL}.get(id(a), a)


@pytest.mark.parametrize("call", [c for c in CALLS if c[-1] is not DEEP], ids=lambda call: call[0])
def test_no_images(call):
    name, *args = call
    args = [none_of(a) for a in args]
    if name.startswith("conv2d") and "weight" not in name:
        args[1] = call[2]
    if name == "matmul":
        args[1] = call[2]
    if name == "cross_entropy_grad":
        args[0], args[2] = args[0][:0], args[2][:0]
    if name == "rms_norm_grad":
        args[2] = args[2][:0]
    for mine, its in zip(called(gpu, name, list(map(there, args))), called(plain, name, args), strict=True):
        np.testing.assert_array_equal(mine, its)


HUGE = [1, 65_535, 65_536, 1 << 31, (1 << 31) + 1, 1 << 40]


@pytest.mark.parametrize("count", HUGE)
def test_grids_stay_within_the_limits_of_cuda(count, monkeypatch):
    monkeypatch.setattr(launch, "SIMULATED", False)
    for name, value in (("THREADS", 256), ("MOST_BLOCKS", 2048), ("GRID_LIMIT", 65_535)):
        monkeypatch.setattr(launch, name, value)
    grids = [launch.flat(count)]
    grids += [launch.grid_of(*sizes) for sizes in ((count, 1, 1), (1, count, 1), (1, 1, count), (count, count, count))]
    for blocks, threads in grids:
        x, y, z = (*(blocks if isinstance(blocks, tuple) else (blocks,)), 1, 1)[:3]
        assert 1 <= x < 1 << 31 and 1 <= y <= 65_535 and 1 <= z <= 65_535 and 32 <= threads <= 1024
    assert launch.capped(count) == min(count, 65_535)
    shape = type("of_a_large_array", (), {"shape": (count, 3, 5)})()
    part, parts = norm._parts(shape)
    assert part * parts >= 5 * count > part * (parts - 1) and parts <= norm.MOST_PARTS


def test_numbers_of_a_signature_have_64_bits():
    for kernel in launch.KERNELS:
        plain_numbers = {word for word in kernel.signature.split() if not word.endswith("*")}
        assert plain_numbers <= {"T", "int64", "uint64"}, kernel.name


def test_chunks_of_large_convolutions_stay_small():
    spec = conv_spec((1 << 20, 64, 56, 56), (64, 64, 3, 3), padding=1)
    assert winograd.chosen(spec, np.dtype(np.float32))
    tiles, together = winograd._step(spec)
    assert tiles == 196 << 20 and 36 * together * 128 <= max(winograd.CHUNK, 36 * 128 * winograd.LINE)
    first = next(conv._chunks(spec, 4))
    assert first == (0, 1, 0, 1)  # a single channel of an image is more than a chunk here
    assert reduce._runs((1 << 33, 3), (0,)) == (1 << 33, 3, 1)
