"""ReLU in front of max pooling is put off and taken along, and nobody can tell."""

import numpy as np
import pytest

import tinycnn as torch
from tinycnn.kernels.cpu import elementwise, pool, threads
from tinycnn.nn import functional as F
from tinycnn.testing import gradcheck, gradgradcheck

SHAPE = (2, 3, 9, 8)
WINDOWS = {"2x2": (2,), "3x3 by two": (3, 2, 1), "overlapping": (3, 1, 1), "rounded up": (2, 2, 0, 1, True)}


@pytest.fixture
def launched(monkeypatch):
    """The names of the kernels of ReLU and pooling that are launched, in order."""
    names = []

    def launch(kernel, *args, **options):
        names.append(kernel.py_func.__name__)
        return threads.launch(kernel, *args, **options)

    for module in (pool, elementwise):
        monkeypatch.setattr(module, "launch", launch)
    return names


def draw(shape=SHAPE):
    """Numbers with many equal ones, negative windows and a NaN."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32).round(0)
    x[0, 0] = -1
    x[-1, -1, 0, 0] = np.nan
    return torch.tensor(x, requires_grad=True)


def is_pending(t):
    return t._later is not None and "array" not in vars(t)


def test_one_pass_each_way(launched):
    x = draw((16, 3, 16, 16))
    y = F.relu(x * 1)
    p = F.max_pool2d(y, 2)
    assert is_pending(y) and launched == ["largest_by_two"]
    p.sum().backward()
    assert is_pending(y) and launched[1:] == ["scatter_by_two"]
    with torch.no_grad():
        F.max_pool2d(F.relu(x * 1), 2)
    assert launched[2:] == ["largest_by_two"]


FORMS = {
    "pooled": lambda x, look, w: F.max_pool2d(look(F.relu(x)), *w),
    "in place": lambda x, look, w: F.max_pool2d(look(F.relu(x, inplace=True)), *w),
    "used twice": lambda x, look, w: (lambda y: F.max_pool2d(y, *w).sum() * y)(look(F.relu(x))),
    "pooled twice": lambda x, look, w: (lambda y: F.max_pool2d(y, *w) * F.max_pool2d(y, *w))(look(F.relu(x))),
    "dilated": lambda x, look, w: F.max_pool2d(look(F.relu(x)), 2, 1, 1, 2),
    "with indices": lambda x, look, w: F.max_pool2d(look(F.relu(x)), *w[:4], return_indices=True)[0],
    "on a copy": lambda x, look, w: F.max_pool2d(look(F.relu(x)).clone(), *w),
    "one image": lambda x, look, w: F.max_pool2d(look(F.relu(x))[0], *w),
    "ReLU twice": lambda x, look, w: F.max_pool2d(F.relu(look(F.relu(x - 1))), *w),
    "written to afterwards": lambda x, look, w: F.max_pool2d(look(F.relu(x)), *w).mul_(2),
    "the mean instead": lambda x, look, w: F.avg_pool2d(look(F.relu(x)), 2),
}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("form", FORMS)
def test_the_bits_are_those_of_two_operations(form, window):
    results = []
    for look in (lambda t: t, lambda t: (t.array, t)[1]):
        x = draw()
        out = FORMS[form](x * 1, look, window)
        (out * torch.arange(out.numel()).view(out.shape).float()).sum().backward()
        with torch.no_grad():
            results.append((out.detach().numpy(), x.grad.numpy(), FORMS[form](x * 1, look, window).numpy()))
    for a, b in zip(*results, strict=True):
        assert np.array_equal(a, b, equal_nan=True)


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_hooks_and_wanted_gradients_of_the_middle(window):
    results = []
    for look in (lambda t: t, lambda t: (t.array, t)[1]):
        x, seen = draw(), []
        y = look(F.relu(x * 1))
        y.register_hook(lambda g, seen=seen: seen.append(g.numpy().copy()))
        y.retain_grad()
        out = F.max_pool2d(y, *window).sum()
        out.backward(retain_graph=True)
        (wanted,) = torch.autograd.grad(out, [y], retain_graph=True)
        (recorded,) = torch.autograd.grad(out, [y], create_graph=True)
        gradients = (seen[0], y.grad.numpy(), wanted.numpy(), recorded.detach().numpy(), x.grad.numpy())
        results.append((*gradients, y.detach().numpy()))
    for a, b in zip(*results, strict=True):
        assert np.array_equal(a, b, equal_nan=True)
    assert not np.array_equal(results[0][0], results[0][4])  # zeros get a gradient, what is below them does not


def test_gradients_and_theirs_against_differences():
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.permutation(np.linspace(-1, 1, 72)).reshape(1, 2, 6, 6), requires_grad=True)
    for window in WINDOWS.values():
        assert gradcheck(lambda x, window=window: F.max_pool2d(F.relu(x * 1), *window), (x,))
        assert gradgradcheck(lambda x, window=window: F.max_pool2d(F.relu(x * x), *window), (x,))


def test_writes_to_either_side():
    with torch.no_grad():
        x = draw().detach()
        expected = F.relu(x.clone())
        y = F.relu(x)
        x.zero_()
        assert np.array_equal(y.numpy(), expected.numpy(), equal_nan=True)
        y = F.relu(draw())
        y.add_(1)
        assert np.array_equal(y.numpy(), expected.numpy() + 1, equal_nan=True)
    y = F.relu(draw() * 1)
    p = F.max_pool2d(y, 2)
    y.add_(1)
    with pytest.raises(RuntimeError, match="in-place"):
        p.sum().backward()


def test_memory_of_others_is_read_at_once():
    a = draw().detach().numpy()
    assert not is_pending(F.relu(torch.from_numpy(a)))
    assert not is_pending(F.relu(torch.zeros(3, 8, 8)))  # not images


def test_data_belongs_to_its_own_history():
    x, z = draw(), draw()
    y = F.relu(x * 1)
    y.data = F.relu(z.detach() - 1)
    assert not is_pending(y)
