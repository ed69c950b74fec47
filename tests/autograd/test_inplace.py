"""In-place writes: recorded ones have the right gradient, those that would spoil a gradient are refused."""

import numpy as np
import pytest

import tinycnn
from tinycnn.testing import gradcheck, gradgradcheck


def leaf(*values):
    return tinycnn.tensor(values or (-1.0, 0.5, 2.0), dtype=tinycnn.float64, requires_grad=True)


KEEPERS = ["exp_", "relu_", "sigmoid_", "tanh_", "sqrt_"]  # operations that keep their output for backward


@pytest.mark.parametrize("name", KEEPERS)
def test_an_output_that_moved_into_its_input_is_watched(name):
    x = leaf(0.5, 1.0, 2.0)
    y = x * 1
    getattr(y, name)()
    y.mul_(-2)
    with pytest.raises(RuntimeError, match="overwritten"):
        y.sum().backward()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", [*KEEPERS, "neg_", "relu_"])
def test_one_write_is_as_good_as_the_operation(name, shared):
    x = leaf(0.5, 1.0, 2.0)

    def written(x):
        y = x * 3
        if shared:
            y.detach()  # somebody else may look at the memory: it must be written, not replaced
        return getattr(y, name)() * x

    assert gradcheck(written, x)
    assert written(x).tolist() == (getattr(x * 3, name[:-1])() * x).tolist()


@pytest.mark.parametrize(
    "write",
    [
        lambda y, x: y.add_(x * x, alpha=2),
        lambda y, x: y.sub_(x),
        lambda y, x: y.mul_(x),
        lambda y, x: y.div_(x + 5),
        lambda y, x: y.pow_(2),
        lambda y, x: y.clamp_(-1.5, 1.0),
        lambda y, x: y.copy_(x.exp()),
        lambda y, x: y.fill_((x * x).sum()),
        lambda y, x: y.add_(x[0]),
    ],
)
def test_recorded_writes_have_the_gradients_of_finite_differences(write):
    def function(x):
        y = x * 1.5
        before = y * y  # keeps the old y: a product of its own, then the write on a copy
        y = y.clone()
        write(y, x)
        return y * x + before

    assert gradcheck(function, leaf())


@pytest.mark.parametrize(
    "key", [0, slice(1, None), (..., None, 0), [0, 2], (slice(None, None, -1),), np.array([True, False, True])]
)
def test_index_assignment_has_the_gradients_of_finite_differences(key):
    key = tinycnn.tensor(key) if isinstance(key, np.ndarray) else key

    def function(x, v):
        y = x * 2
        y[key] = v * v
        return y * y

    assert gradcheck(function, (leaf(), leaf(3.0)[0].detach().requires_grad_()))


def test_index_assignment_by_a_number_stops_the_gradient():
    x = leaf()
    y = x * 2
    y[1] = 7
    y[y < 0] = 0.0
    y.sum().backward()
    assert y.tolist() == [0.0, 7.0, 4.0] and x.grad.tolist() == [0.0, 0.0, 2.0]


def test_the_memory_of_a_detached_twin_and_of_data_stays_shared():
    x = leaf()
    for take in (lambda y: y.detach(), lambda y: y.data, lambda y: y.detach().numpy()):
        y = x * 1
        twin = take(y)
        y.mul_(2)
        assert twin.tolist() == y.tolist()


def test_writing_into_stretched_or_read_only_memory_is_refused():
    stretched = tinycnn.ones(3, 1).expand(3, 4)
    frozen = np.ones(3)
    frozen.flags.writeable = False
    for target in (stretched, tinycnn.from_numpy(frozen)):
        for write in (lambda t: t.add_(1), lambda t: t.zero_(), lambda t: t.__setitem__(0, 5.0)):
            with pytest.raises(RuntimeError, match="read-only.*clone"):
                write(target)


def test_numbers_are_written_in_the_precision_of_the_tensor():
    x = tinycnn.zeros(2, dtype=tinycnn.float64)
    x.fill_(0.1)
    assert x.tolist() == [0.1, 0.1] == tinycnn.tensor([0.1, 0.1], dtype=tinycnn.float64).tolist()
    x[0] = 0.3
    assert x.tolist() == [0.3, 0.1] and tinycnn.full((1,), 0.1, dtype=tinycnn.float64).item() == 0.1
    whole = tinycnn.zeros(2, dtype=tinycnn.int64)
    assert whole.fill_(3).tolist() == [3, 3]


def test_a_tensor_times_itself_in_place_is_refused_as_in_pytorch():
    y = leaf() * 1
    y.mul_(y)
    with pytest.raises(RuntimeError, match="overwritten"):
        y.sum().backward()


def test_a_failed_write_changes_nothing():
    x, y = leaf(), leaf() * 1
    version, node = y._version, y.grad_fn
    for attempt in (lambda: y.add_(tinycnn.ones(2, dtype=tinycnn.float64)), lambda: y.copy_(x.reshape(3, 1).T[:, :2])):
        with pytest.raises(RuntimeError):
            attempt()
    assert y.tolist() == leaf().tolist() and y._version == version and y.grad_fn is node


def test_advanced_indexing_yields_row_major_memory():
    x = tinycnn.arange(12).reshape(3, 4)
    picked = x[..., tinycnn.tensor([0, 2])]
    assert picked.is_contiguous() and picked.view(-1).tolist() == [0, 2, 4, 6, 8, 10]


def matrix(seed=0, shape=(3, 4)):
    return tinycnn.tensor(np.random.default_rng(seed).uniform(0.5, 2, shape), requires_grad=True)


def several_views(y, x):
    y[0].mul_(x[1])
    y[:, 1] += 3 * x[:, 0]
    y.view(-1)[2:5].mul_(y.view(-1)[0:3].clone())
    y.t()[1:3, 0].copy_(x[0, :2])


def views_of_views(y, x):
    v = y[1:]
    w = v.transpose(0, 1)[::2]
    w.mul_(x[:2, :2] * w.clone())
    v.add_(x[0])
    return (v * w.sum()).sum()  # both views know what was written after they were taken


def a_view_taken_before(y, x):
    flat = y.reshape(-1)
    y.mul_(x)
    return (flat[:3] * x[0, :3]).sum()


def a_base_without_history(y, x):
    z = tinycnn.zeros(2, 3, dtype=tinycnn.float64)
    row = z[1]
    z[0].copy_(x[0, :3])
    z[:, 2] = x[:2, 0] * 2
    y.add_(row.sum())
    return (z * z).sum() + (row * x[2, 1:]).sum()


def permuted_memory(y, x):
    z = (y * 1).permute(1, 0).clone().permute(1, 0)
    z.view(3, 2, 2)[:, 0, 1].mul_(x[:, 3])
    y.mul_(z)


def not_contiguous_when_differentiated(y, x):
    z = y.t()  # the gradient that arrives here has another memory order
    z.reshape(4, 3)[1].mul_(x[:, 0])
    return (z.t() * x.t().reshape(3, 4)).sum()


def picked_and_swapped(y, x):
    y[[2, 0]] = y[[0, 2]] * x[1]
    y[y > 2] = 0.0
    y[1][2] = x.sum()
    y[..., None][0] -= x[0].sum()


@pytest.mark.parametrize(
    "write",
    [
        several_views,
        views_of_views,
        a_view_taken_before,
        a_base_without_history,
        permuted_memory,
        not_contiguous_when_differentiated,
        picked_and_swapped,
    ],
)
def test_writes_to_views_have_the_gradients_of_finite_differences(write):
    def function(x):
        y = x * 1.5
        more = write(y, x)
        result = (y * y * x).sum()
        return result if more is None else result + more

    assert gradcheck(function, matrix())
    assert gradgradcheck(function, matrix(1), fast_mode=True)


def test_views_of_leaves_and_of_no_grad_blocks_are_refused():
    x = matrix()
    for write in (lambda: x[0].mul_(2), lambda: x.view(-1).zero_(), lambda: x.__setitem__(0, 1.0)):
        with pytest.raises(RuntimeError, match="leaf that requires grad"):
            write()
    assert x.tolist() == matrix().tolist()
    with tinycnn.no_grad():
        x[0].zero_()
    assert x[0].tolist() == [0, 0, 0, 0] and x.is_leaf
    y = tinycnn.zeros(3, 4, dtype=tinycnn.float64)
    with tinycnn.no_grad():
        row = y[0]
    with pytest.raises(RuntimeError, match="under no_grad"):
        row.add_(x[1])


def test_what_a_view_knows_of_its_base():
    x, y = matrix(), tinycnn.zeros(3, 4, dtype=tinycnn.float64)
    row, last = y[0], y.view(-1)[-1:]
    assert not row.requires_grad and row.is_leaf
    y[1] = x[1]
    assert y.requires_grad and row.requires_grad and last.requires_grad and not row.is_leaf
    assert row.grad_fn is not None and row.mul_(2) is row
    (row.sum() + last.sum() + y.sum()).backward()
    assert x.grad.tolist() == [[0] * 4, [1] * 4, [0] * 4]


def test_a_view_saved_for_backward_is_guarded_against_writes_through_its_base():
    x = matrix()
    y = x * 1
    squared = y[0] ** 2
    y[0, 0] = 5.0
    with pytest.raises(RuntimeError, match="overwritten"):
        squared.sum().backward()


class Doubled(tinycnn.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x.array *= 2
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx, g):
        return g * 2


def test_functions_that_write_to_their_input():
    x = leaf()
    y = x * 1
    version = y._version
    z = Doubled.apply(y)
    assert z is y and y._version == version + 1
    (y * x).sum().backward()
    assert x.grad.tolist() == (4 * leaf()).tolist()
    with pytest.raises(RuntimeError, match="leaf that requires grad"):
        Doubled.apply(leaf())
    with pytest.raises(RuntimeError, match="mark_dirty"):

        class Forgotten(Doubled):
            @staticmethod
            def forward(ctx, x):
                return x

        Forgotten.apply(leaf())


def test_operands_given_by_name_get_their_gradients():
    x, w = tinycnn.ones(3), tinycnn.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x.clone().mul_(other=w).add_(other=w, alpha=2).sub_(w, alpha=0.5)
    y.sum().backward()
    assert y.requires_grad and w.grad.tolist() == [2.5] * 3
