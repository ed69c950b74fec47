"""Losses between two arrays of the CUDA column against the readable ones; a segment has 8 elements here."""

import numpy as np
import pytest
from tolerances import close

from tinycnn import kernels

gpu, plain = kernels.column("cuda"), kernels.column("reference")
KINDS = ["mse", "l1", "huber", "bce_logits"]
SPECIAL = [0.0, -0.0, 0.7, -0.7, 0.69, 3.0, -3.0, 100.0, -100.0, np.inf, -np.inf, np.nan]


def there(x):
    return gpu.xp.asarray(x)


@pytest.mark.parametrize("shape", [(7,), (2, 4), (3, 3), (5, 5), (), (0, 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_readable_one(kind, shape):
    rng = np.random.default_rng(0)
    x, t, gy = [np.asarray(rng.standard_normal(shape)) for _ in range(3)]
    for dtype in (np.float32, np.float64) if shape == (3, 3) else (np.float32,):
        mine = [there(a.astype(dtype)) for a in (x, t, gy)]
        for reduced in (False, True):
            found = gpu.pair_loss(*mine[:2], kind, 0.7, 0.3, reduced)
            expected = plain.pair_loss(x, t, kind, 0.7, 0.3, reduced)
            assert found.shape == expected.shape and found.dtype == dtype
            close(found.get(), expected, dtype)
        for g, g_there in ((gy, mine[2]), (np.full(1, 2.0), there(np.full(1, 2, dtype)))):
            found = gpu.pair_loss_grad(g_there, *mine[:2], kind, 0.7, 0.3)
            close(found.get(), plain.pair_loss_grad(g, x, t, kind, 0.7, 0.3), dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_special_values(kind):
    x, t = np.array(SPECIAL), np.zeros(len(SPECIAL))
    close(gpu.pair_loss(there(x), there(t), kind, 0.7, 0.3, False).get(), plain.pair_loss(x, t, kind, 0.7, 0.3, False))
    gy = np.ones(1)
    found = gpu.pair_loss_grad(*map(there, (gy, x, t)), kind, 0.7, 0.3)
    close(found.get(), plain.pair_loss_grad(gy, x, t, kind, 0.7, 0.3))


def test_views_and_half_precision():
    x, t = np.random.default_rng(0).standard_normal((2, 4, 6)).astype(np.float16)
    found = gpu.pair_loss(there(x)[::2, ::-1], there(t).T[:6, :2].T, "mse", 1.0, 1.0, False)
    assert found.dtype == np.float16
    close(found.get(), plain.pair_loss(x[::2, ::-1].astype(float), t[:2].astype(float), "mse", 1.0, 1.0, False))
