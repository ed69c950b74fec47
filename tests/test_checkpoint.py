"""Checkpoints: the gradients of the whole, the memory of a part."""

import gc
import weakref

import numpy as np
import pytest

import tinycnn as t
from tinycnn import nn
from tinycnn.testing import gradcheck, gradgradcheck
from tinycnn.utils.checkpoint import checkpoint, checkpoint_sequential


def test_gradients_are_those_without_a_checkpoint():
    t.manual_seed(0)
    part = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2))
    x = t.randn(5, 3, requires_grad=True)
    found = []
    for run in (part, lambda x: checkpoint(part, x), lambda x: checkpoint(part, x, use_reentrant=False)):
        t.manual_seed(1)
        loss = (run(x * 2) ** 2).sum()
        after = t.rand(1).item()
        found.append([after, loss.item(), *t.autograd.grad(loss, [x, *part.parameters()])])
        part.zero_grad()
        t.manual_seed(1)
        (run(x) ** 2).sum().backward()
        found[-1] += [p.grad for p in part.parameters()]
    for other in found[1:]:
        assert other[:2] == found[0][:2]
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(found[0][2:], other[2:], strict=True))


def test_gradients_of_gradients_and_tensors_from_outside():
    def function(x, y):
        scale = (y * 2).exp()  # computed outside, used inside
        out, text, number = checkpoint(lambda x: (x.sin() * scale, "text", (x * x).sum()), x)
        assert text == "text"
        return (out * number).sum() + scale.sum()

    x, y = (t.tensor(np.random.default_rng(i).standard_normal(3), requires_grad=True) for i in (0, 1))
    assert gradcheck(function, (x, y)) and gradgradcheck(function, (x, y))


def test_activations_are_not_kept():
    kept = []

    class Watched(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            kept.append(ctx)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            ctx.saved_tensors  # noqa: B018
            return g * 2

    x = t.ones(2, requires_grad=True)
    y = checkpoint(lambda x: Watched.apply(Watched.apply(x)), x)
    nodes = [weakref.ref(ctx) for ctx in kept]
    kept.clear()
    gc.collect()
    assert len(nodes) == 2 and all(ref() is None for ref in nodes)
    y.sum().backward()
    assert x.grad.tolist() == [4, 4] and len(kept) == 2


def test_sequences_in_segments():
    t.manual_seed(0)
    net = nn.Sequential(*[nn.Linear(4, 4) for _ in range(5)])
    x = t.randn(2, 4)
    wanted = t.autograd.grad(net(x).sum(), list(net.parameters()))
    for segments in (1, 2, 5):
        found = t.autograd.grad(
            checkpoint_sequential(net, segments, x, use_reentrant=False).sum(), list(net.parameters())
        )
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(wanted, found, strict=True))
    with pytest.raises(ValueError, match="5 functions cannot be cut into 6"):
        checkpoint_sequential(net, 6, x)
    with t.no_grad():
        assert not checkpoint(net, x).requires_grad
    assert not checkpoint(lambda x: x * 2, x).requires_grad


def test_inputs_that_depend_on_each_other():
    w = t.tensor([2.0, 3.0], requires_grad=True, dtype=t.float64)

    def run(part):
        a = w * w
        b = a.exp()
        c = part(lambda a, b: a * b * w, a, b)
        return part(lambda a, b, c: (a + b * c).sin() + w, a, b, c).sum()

    plain = run(lambda f, *args: f(*args))
    again = run(checkpoint)
    (wanted,), (found,) = (
        t.autograd.grad(plain, w, create_graph=True),
        t.autograd.grad(again, w, create_graph=True),
    )
    assert np.allclose(found.detach().numpy(), wanted.detach().numpy(), rtol=1e-12)
    second = [t.autograd.grad(g.sum(), w)[0].numpy() for g in (wanted, found)]
    assert np.allclose(*second, rtol=1e-10)
