"""Losses between pairs in one pass: against the readable kernels and the composed formula."""

import numpy as np
import pytest

import tinycnn
from tinycnn.kernels.cpu import pair_loss, softmax, threads
from tinycnn.kernels.reference import pair_loss as reference
from tinycnn.kernels.reference import softmax as reference_softmax
from tinycnn.nn import functional as F
from tinycnn.testing import gradgradcheck

KINDS = ["mse", "l1", "huber", "bce_logits"]
CHUNK, RUN = pair_loss.CHUNK, pair_loss.RUN


def pairs(n, dtype):
    rng = np.random.default_rng(n)
    x, gy = (2 * rng.standard_normal((2, n))).astype(dtype)
    t = rng.random(n).astype(dtype)
    x[: n // 7] = t[: n // 7]
    return x, t, gy


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 17, RUN - 1, RUN + 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_both_columns_agree(kind, dtype, n):
    x, t, gy = pairs(n, dtype)
    wide = x.astype(np.float64), t.astype(np.float64)
    tolerance = 2e-6 if dtype == np.float32 else 1e-13
    for reduced in (False, True):
        found = pair_loss.pair_loss(x, t, kind, 0.7, 0.3, reduced)
        expected = reference.pair_loss(*wide, kind, 0.7, 0.3, reduced)
        assert found.dtype == dtype and found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    for g in (gy, gy[:1].reshape(())) if n else (gy,):
        found = pair_loss.pair_loss_grad(g, x, t, kind, 0.7, 0.3)
        assert found.dtype == dtype
        expected = reference.pair_loss_grad(g.astype(np.float64), *wide, kind, 0.7, 0.3)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_nan_and_infinity(kind):
    x = np.array([np.nan, np.inf, -np.inf, 1.0, 200, -200], np.float32)
    t = np.array([0.0, 0.0, 1.0, np.nan, 1, 0], np.float32)
    for kernel in ("pair_loss", "pair_loss_grad"):
        first, last = ((), (False,)) if kernel == "pair_loss" else ((np.ones(1, np.float32),), ())
        ours, theirs = (getattr(m, kernel)(*first, x, t, kind, 1.0, 1.0, *last) for m in (pair_loss, reference))
        if kernel == "pair_loss_grad" and kind == "l1":
            ours, theirs = ours[1:3], theirs[1:3]  # the sign of NaN is 0 here, as in tinycnn.sign
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_threads(kind):
    x, t, gy = pairs(3 * CHUNK + 5, np.float32)
    before = threads.get_num_threads()
    found = set()
    try:
        for n in range(1, before + 1):
            threads.set_num_threads(n)
            total = pair_loss.pair_loss(x, t, kind, 1.0, 1.0, True)
            found.add(total.tobytes() + pair_loss.pair_loss_grad(gy, x, t, kind, 1.0, 1.0).tobytes())
    finally:
        threads.set_num_threads(before)
    assert len(found) == 1


LOSSES = {
    "mse_loss": {},
    "l1_loss": {},
    "smooth_l1_loss": {"beta": 0.6},
    "huber_loss": {"delta": 0.6},
    "binary_cross_entropy_with_logits": {},
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_one_kernel_equals_the_formula(name, reduction):
    rng = np.random.default_rng(2)
    x, t = (tinycnn.tensor(a, requires_grad=True) for a in rng.standard_normal((2, 3, 4)))

    def loss(x, t):
        return getattr(F, name)(x, t, reduction=reduction, **LOSSES[name])

    upstream = tinycnn.tensor(rng.standard_normal(loss(x, t).shape))
    fused = tinycnn.autograd.grad(loss(x, t), (x, t), upstream)
    composed = tinycnn.autograd.grad(loss(x, t), (x, t), upstream, create_graph=True)
    for a, b in zip(fused, composed, strict=True):
        assert b.requires_grad and not a.requires_grad
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-14)
    (alone,) = tinycnn.autograd.grad(loss(x.detach(), t), t, upstream)
    np.testing.assert_allclose(alone.numpy(), fused[1].numpy(), rtol=1e-12)
    assert gradgradcheck(loss, (x, t), fast_mode=True)


@pytest.mark.parametrize("name", LOSSES)
def test_of_nothing_the_mean_is_nan(name):
    x = tinycnn.zeros(0, 3, requires_grad=True)
    loss = getattr(F, name)(x, tinycnn.zeros(0, 3), **LOSSES[name])
    loss.backward()
    assert np.isnan(loss.item()) and x.grad.shape == (0, 3)
    assert getattr(F, name)(x, tinycnn.zeros(0, 3), reduction="sum").item() == 0


def test_float16_is_computed_in_float32():
    x = tinycnn.tensor([300.0, 1.0]).half()
    zero = tinycnn.zeros(2).half()
    assert F.mse_loss(x, zero).item() == 44992  # the sum of squares, 90001, is no float16
    assert F.l1_loss(x, zero).item() == 150.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (5, 4), (200, 300)])
def test_nll(shape, dtype):
    rng = np.random.default_rng(3)
    x, target = rng.standard_normal(shape).astype(dtype), rng.integers(0, shape[1], shape[0])
    target[1::3] = -7
    scale = rng.standard_normal(shape[0]).astype(dtype)
    np.testing.assert_array_equal(softmax.nll(x, target, -7), reference_softmax.nll(x, target, -7))
    for s in (scale, np.ones(1, dtype)):
        found = softmax.nll_grad(s, target, -7, shape[1])
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, reference_softmax.nll_grad(s, target, -7, shape[1]))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nll_in_one_kernel_equals_the_formula(reduction):
    rng = np.random.default_rng(4)
    x = tinycnn.tensor(rng.standard_normal((5, 3)), requires_grad=True)
    target = tinycnn.tensor([0, 2, -100, 1, 1])

    def loss(x):
        return F.nll_loss(x, target, reduction=reduction)

    upstream = tinycnn.tensor(rng.standard_normal(loss(x).shape))
    (a,) = tinycnn.autograd.grad(loss(x), x, upstream)
    (b,) = tinycnn.autograd.grad(loss(x), x, upstream, create_graph=True)
    np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-14)
    assert (a[2] == 0).all() and (a[0, 0] != 0).item()
