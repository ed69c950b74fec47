"""Work that is put off until its result is looked at: nobody can tell, and batch norm, sum and ReLU become one pass."""

import numpy as np
import pytest

import tinycnn as torch
from tinycnn import nn
from tinycnn.kernels.cpu import elementwise, norm, threads
from tinycnn.nn import functional as F
from tinycnn.ops import elementwise as ops

SHAPE = (4, 5, 6, 7)


@pytest.fixture
def launched(monkeypatch):
    """The names of the kernels that batch norm launches, in order."""
    names = []

    def launch(kernel, *args, **options):
        names.append(kernel.py_func.__name__)
        return threads.launch(kernel, *args, **options)

    monkeypatch.setattr(norm, "launch", launch)
    return names


def draw():
    torch.manual_seed(0)
    x, s = (torch.randn(SHAPE, requires_grad=True) for _ in range(2))
    bn = nn.BatchNorm2d(5)
    with torch.no_grad():
        bn.weight.copy_(torch.randn(5))
        bn.bias.copy_(torch.randn(5))
    return bn, x, s


def is_pending(t):
    return t._later is not None and "array" not in vars(t)


FORMS = {
    "batch norm, relu": lambda bn, x, s, look: F.relu(look(bn(x))),
    "batch norm, relu in place": lambda bn, x, s, look: F.relu(look(bn(x)), inplace=True),
    "batch norm, sum, relu": lambda bn, x, s, look: F.relu(look(look(bn(x)) + s)),
    "sum from the left": lambda bn, x, s, look: F.relu(look(s + look(bn(x)))),
    "sum in place": lambda bn, x, s, look: F.relu(look(look(bn(x)).add_(s))),
    "two batch norms": lambda bn, x, s, look: F.relu(look(look(bn(x)) + look(bn(s)))),
    "two sums": lambda bn, x, s, look: F.relu(look(look(bn(x)) + s) + s),
    "a sum that stretches": lambda bn, x, s, look: F.relu(look(bn(x)) + s[:1]),
    "a sum with a number": lambda bn, x, s, look: F.relu(look(bn(x)) + 1),
    "used twice": lambda bn, x, s, look: (lambda h: F.relu(h) * h)(look(bn(x))),
    "another activation": lambda bn, x, s, look: F.silu(look(bn(x))),
    "nothing": lambda bn, x, s, look: look(bn(x)),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_the_bits_are_those_of_one_step_after_the_other(form, training):
    results = []
    for look in (lambda t: t, lambda t: (t.array, t)[1]):
        bn, x, s = draw()
        bn.train(training)
        y = FORMS[form](bn, x * 1, s * 1, look)
        (y * y).sum().backward()
        with torch.no_grad():
            plain = FORMS[form](bn, x * 1, s * 1, look)
        grads = [t.grad for t in (x, s, bn.weight, bn.bias) if t.grad is not None]
        results.append([t.detach().numpy().copy() for t in (y, plain, *grads, bn.running_mean, bn.running_var)])
    assert len(results[0]) >= 7
    for a, b in zip(*results, strict=True):
        assert np.array_equal(a, b)


def test_one_pass_in_place_of_three(launched):
    bn, x, s = draw()
    h = bn(x * 1) + s * 1
    assert launched == ["train"] and is_pending(h)
    y = F.relu(h)
    assert launched == ["train", "evaluate"] and is_pending(h) and y._later is None
    z = F.relu(bn(y))
    z.sum().backward()
    assert launched[2:] == ["train", "evaluate", "train_grad", "train_grad"]


@pytest.mark.parametrize("hooked", [False, True])
def test_the_gradients_of_two_branches_are_added_by_the_relu_before_them(hooked, monkeypatch):
    taken, plain = [], elementwise.relu_grad
    column = torch.device("cpu").kernels
    monkeypatch.setattr(column, "relu_grad", lambda *given: (taken.append(len(given)), plain(*given))[1])
    torch.manual_seed(0)
    x, w = torch.randn(ops.LARGE // 8, 8, requires_grad=True), torch.randn(ops.LARGE // 8, 8)
    h = F.relu(x * 2)
    if hooked:  # what a hook gets is computed
        h.register_hook(lambda g: None)
    (h * w + h * 3).sum().backward()
    assert taken == [2 if hooked else 3]
    assert np.array_equal(x.grad.numpy(), np.where(x.detach().numpy() > 0, (w.numpy() + 3) * 2, 0))


def test_a_large_sum_is_put_off_for_a_relu():
    x, y = torch.randn(2, ops.LARGE, requires_grad=True), torch.randn(2, ops.LARGE)
    total, small, wide, again = x + y, x[:, 1:9] + y[:, 1:9], x + y[:1], x + y
    assert is_pending(total) and is_pending(again) and not is_pending(small) and not is_pending(wide)
    z = F.relu(total)
    assert is_pending(total) and z._later is None
    z.sum().backward()
    expected = x.detach().numpy() + y.numpy()
    assert np.array_equal(z.detach().numpy(), np.maximum(expected, 0)) and np.array_equal(x.grad.numpy(), expected > 0)
    y.zero_()
    assert np.array_equal(again.detach().numpy(), expected) and np.array_equal(total.detach().numpy(), expected)
    assert np.array_equal(F.relu(total).detach().numpy(), z.detach().numpy())


def test_what_a_tensor_is_costs_nothing():
    bn, x, _ = draw()
    h = bn(x)
    assert h.shape == SHAPE and h.ndim == 4 and h.dtype == torch.float32 and h.requires_grad and is_pending(h)
    assert h.numel() == 4 * 5 * 6 * 7 and not is_pending(h)


WRITES = {
    "in place": lambda x: x.mul_(0),
    "into a view": lambda x: x[0].zero_(),
    "by index": lambda x: x.__setitem__(0, 0),
    "through detach": lambda x: x.detach().zero_(),
    "through data": lambda x: x.data.zero_(),
    "through NumPy": lambda x: x.detach().numpy().fill(0),
    "through DLPack": lambda x: np.from_dlpack(x.detach()).fill(0),
}


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_to_what_is_still_to_be_read(write, grad):
    bn, x, s = draw()
    x, s = (x * 1, s * 1) if grad else (x.detach().clone(), s.detach().clone())
    with torch.set_grad_enabled(grad):
        expected = bn(x.clone()) + s.clone()
        h = bn(x)
        total = h + s
        if not (grad and write in ("through NumPy", "through DLPack", "into a view")):
            assert is_pending(h) and is_pending(total)
        for t in (x, s):
            with torch.no_grad():
                WRITES[write](t)
        assert np.array_equal(total.detach().numpy(), expected.detach().numpy())
        assert np.array_equal(F.relu(total).detach().numpy(), F.relu(expected).detach().numpy())


STEPS = {  # of a parameter: what writes to it or to its gradient without an operation
    **{name: lambda p, name=name: getattr(torch.optim, name)([p], 0.1).step() for name in ("SGD", "Adam", "Rprop")},
    "clip_grad_norm_": lambda p: nn.utils.clip_grad_norm_([p], 0.1),
    "clip_grad_value_": lambda p: nn.utils.clip_grad_value_([p], 0.1),
    "vector_to_parameters": lambda p: nn.utils.vector_to_parameters(torch.ones(p.numel()) * 3, [p]),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_write_without_an_operation(step):
    bn, p = draw()[0].eval(), nn.Parameter(torch.ones(SHAPE))
    p.grad = torch.ones(SHAPE) * 2
    t = p.grad if step.startswith("clip") else p
    with torch.no_grad():
        before, h = t.clone(), bn(t)
        assert is_pending(h)
        STEPS[step](p)
        assert not np.array_equal(t.clone().numpy(), before.numpy())
        assert np.array_equal(h.numpy(), bn(before).numpy())


def test_memory_of_others_is_read_at_once():
    bn, _, _ = draw()
    a = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    h = bn(torch.from_numpy(a))
    assert not is_pending(h)
    seen = h.detach().numpy().copy()
    a.fill(0)
    assert np.array_equal(h.detach().numpy(), seen)


def test_a_function_of_others_may_write():
    class Zero(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.array.fill(0)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 0

    bn, x, _ = draw()
    x = x.detach().clone()
    expected = bn(x.clone()).detach().numpy()
    h = bn(x)
    Zero.apply(x)
    assert np.array_equal(h.detach().numpy(), expected)


def test_parameters_may_change_in_between():
    bn, x, _ = draw()
    with torch.no_grad():
        for training in (True, False):
            bn.train(training)
            expected = F.relu(bn(x * 1)).numpy().copy()
            h = bn(x * 1)
            before = [p.clone() for p in (bn.weight, bn.bias, bn.running_mean, bn.running_var)]
            for p in (bn.weight, bn.bias, bn.running_mean, bn.running_var):
                p.fill_(7)
            if not training:
                assert np.array_equal(F.relu(h).numpy(), expected)
            else:
                assert np.allclose(F.relu(h).numpy(), expected)
            for p, old in zip((bn.weight, bn.bias, bn.running_mean, bn.running_var), before, strict=True):
                p.copy_(old)


def test_hooks_and_wanted_gradients_of_the_middle_see_computed_numbers():
    bn, x, _ = draw()
    seen = []
    h = bn(x)
    h.register_hook(lambda g: seen.append(g.numpy().copy()))
    h.retain_grad()
    y = F.relu(h)
    y.sum().backward(retain_graph=True)
    mask = (y.detach().numpy() > 0).astype(np.float32)
    assert np.array_equal(seen[0], mask) and np.array_equal(h.grad.numpy(), mask)
    (wanted,) = torch.autograd.grad(y.sum(), [h])
    assert not is_pending(wanted) and np.array_equal(wanted.numpy(), mask)


def test_an_in_place_write_to_the_result_of_relu_is_still_refused():
    bn, x, _ = draw()
    y = F.relu(bn(x))
    y.add_(1)
    with pytest.raises(RuntimeError, match="in-place"):
        y.sum().backward()


def test_second_gradients_agree_with_the_plain_way():
    found = []
    for look in (lambda t: t, lambda t: (t.array, t)[1]):
        bn, x, s = draw()
        y = F.relu(look(look(bn(x)) + s))
        (gx,) = torch.autograd.grad((y * y).sum(), [x], create_graph=True)
        (gx * gx).sum().backward()
        found.append([t.grad.numpy() for t in (x, s, bn.weight, bn.bias)])
    for a, b in zip(*found, strict=True):
        assert np.array_equal(a, b)


def test_readers_that_are_gone_leave_no_trace():
    bn, x, s = draw()
    s = s * 1
    for _ in range(100):
        bn(x * 1) + s
    assert len(s._version_counter.readers) <= 2


def test_a_pending_tensor_has_a_twin_in_memory_of_its_own():
    bn, x, _ = draw()
    h = bn(x)
    twin = h.detach()
    with torch.no_grad():
        twin.zero_()
    assert not h.detach().numpy().any()  # detach() shares memory, and computed first
