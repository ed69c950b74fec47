"""The graph: recording, the walk, in-place writes, memory."""

import gc
import threading
import weakref

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor
from tinycnn.autograd import Function
from tinycnn.testing import gradcheck


def leaf(*values):
    return tinycnn.tensor(values or (1.0, 2.0, 3.0), requires_grad=True)


def test_gradients_accumulate_and_can_be_cleared():
    x = leaf()
    (x * x).sum().backward()
    (x * x).sum().backward()
    assert x.grad.tolist() == [4.0, 8.0, 12.0]
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0, 3.0]


def test_two_leaves_never_share_the_memory_of_a_gradient():
    x, y, s = leaf(), leaf(), leaf(5.0)
    (x + y + s).backward(tinycnn.ones(3))
    x.grad.zero_()
    assert y.grad.tolist() == [1.0, 1.0, 1.0]
    arriving = tinycnn.ones(3)
    z = leaf()
    z.clone().backward(arriving)
    z.grad.fill_(7)
    assert arriving.tolist() == [1.0, 1.0, 1.0]


def test_a_chain_of_100_000_additions():
    x = leaf(0.0)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.sum().backward()
    assert x.grad.item() == 1.0 and y.item() == 100_000.0
    del y


def test_python_sum_keeps_float32():
    parts = [leaf(), leaf()]
    sum((p * p).sum() for p in parts).backward()
    assert parts[0].grad.dtype is tinycnn.float32


def test_recording_switches():
    x = leaf()
    with tinycnn.no_grad():
        assert not (x * 2).requires_grad and not tinycnn.is_grad_enabled()
        with tinycnn.enable_grad():
            assert (x * 2).requires_grad
        assert not tinycnn.is_grad_enabled()
    assert tinycnn.is_grad_enabled()

    @tinycnn.no_grad()
    def frozen():
        return x * 2

    @tinycnn.no_grad
    def frozen_too():
        return x * 2

    assert not frozen().requires_grad and not frozen_too().requires_grad and tinycnn.is_grad_enabled()
    with tinycnn.set_grad_enabled(False):
        assert not tinycnn.is_grad_enabled()
    tinycnn.set_grad_enabled(False)
    assert not tinycnn.is_grad_enabled()
    tinycnn.set_grad_enabled(True)
    with pytest.raises(KeyError), tinycnn.no_grad():
        raise KeyError
    assert tinycnn.is_grad_enabled()


def test_every_thread_has_its_own_switch():
    seen = []
    with tinycnn.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tinycnn.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_a_second_backward_needs_retain_graph():
    x = leaf()
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4.0, 8.0, 12.0]
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_what_cannot_be_differentiated_is_refused():
    x = leaf()
    with pytest.raises(RuntimeError, match=r"shape \(3,\).*gradient="):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="does not require grad"):
        tinycnn.ones(1).backward()
    with pytest.raises(RuntimeError, match="must be equal"):
        (x * 2).backward(tinycnn.ones(2))
    with pytest.raises(RuntimeError, match="floating-point"):
        tinycnn.ones(2, dtype=tinycnn.int64).requires_grad_()
    with pytest.raises(RuntimeError, match="detach"):
        (x * 2).requires_grad = False
    with pytest.raises(RuntimeError, match="detach"):
        x.numpy()
    with pytest.raises(RuntimeError, match="shape, dtype and device"):
        x.grad = tinycnn.ones(2)


def test_retain_grad_and_hooks():
    x = leaf()
    y = x * 2
    y.retain_grad()
    seen = []
    handle = y.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: g * 10)
    (y * 3).sum().backward()
    assert y.grad.tolist() == [3.0] * 3 and seen == [[3.0] * 3] and x.grad.tolist() == [60.0] * 3
    handle.remove()
    (x * 2).sum().backward()
    assert len(seen) == 1
    with pytest.raises(RuntimeError, match="does not require grad"):
        tinycnn.ones(1).register_hook(print)


@pytest.mark.parametrize("returned", [lambda g: g[:1], lambda g: g.sum(), lambda g: g.double(), lambda g: 2.0])
def test_what_a_hook_returns_fits_the_gradient(returned):
    x = leaf()
    for hooked in (x, x * 2):
        handle = hooked.register_hook(returned)
        with pytest.raises(RuntimeError, match=r"a hook must return None or a gradient of shape \(3,\), .*; got"):
            hooked.sum().backward()
        handle.remove()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0] * 3


def test_detach_shares_memory_and_cuts_history():
    x = leaf()
    d = x.detach()
    assert not d.requires_grad and d.is_leaf
    d[0] = 9
    assert x[0].item() == 9


@pytest.mark.parametrize("write", ["itself", "view", "detached", "base"])
def test_a_saved_tensor_that_is_overwritten_is_refused(write):
    x = leaf()
    y = x * 1
    shown = y[:2]
    y[0] -= 1  # Python writes to the view y[0] first
    y.mul_(2)
    assert shown.tolist() == [0.0, 4.0] and shown.requires_grad
    with pytest.raises(RuntimeError, match="does not fit"):
        tinycnn.ones(2).add_(tinycnn.ones(3, 2))
    with pytest.raises(RuntimeError, match="cannot be written"):
        tinycnn.ones(2, dtype=tinycnn.int64).add_(0.5)
    with tinycnn.no_grad():
        x.mul_(2)
    assert x.tolist() == [2.0, 4.0, 6.0] and x.is_leaf


def test_grad_returns_gradients_without_storing_them():
    x, y, unused = leaf(), leaf(), leaf()
    z = x * x * y
    gx, gz, again = tinycnn.autograd.grad((z * 2).sum(), [x, z, x])
    assert gx.tolist() == [4.0, 16.0, 36.0] == again.tolist() and gz.tolist() == [2.0] * 3 and x.grad is None
    with pytest.raises(RuntimeError, match="allow_unused"):
        tinycnn.autograd.grad((x * 2).sum(), [unused])
    assert tinycnn.autograd.grad((x * 2).sum(), [unused], allow_unused=True) == (None,)
    assert tinycnn.autograd.grad((x * 2).sum(), [unused], materialize_grads=True)[0].tolist() == [0.0] * 3
    (x * y).sum().backward(inputs=[x])
    assert x.grad is not None and y.grad is None


def test_gradients_of_gradients():
    x = leaf()
    (g,) = tinycnn.autograd.grad((x**3).sum(), [x], create_graph=True)
    (gg,) = tinycnn.autograd.grad(g.sum(), [x], create_graph=True)
    (ggg,) = tinycnn.autograd.grad(gg.sum(), [x])
    assert g.tolist() == [3.0, 12.0, 27.0] and gg.tolist() == [6.0, 12.0, 18.0] and ggg.tolist() == [6.0] * 3


class Scale(Function):
    result = None

    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx, g):
        return Scale.result(ctx, g) if Scale.result else (g * ctx.factor, None)


def test_functions_of_users_are_checked(monkeypatch):
    x = leaf()
    Scale.apply(x, 3.0).sum().backward()
    assert x.grad.tolist() == [3.0] * 3
    for result, error, text in (
        (lambda ctx, g: g, RuntimeError, "1 gradients; forward had 2"),
        (lambda ctx, g: (g[:2], None), RuntimeError, r"shape \(2,\) for input 0"),
        (lambda ctx, g: (3.0, None), TypeError, "expected a Tensor"),
    ):
        monkeypatch.setattr(Scale, "result", staticmethod(result))
        with pytest.raises(error, match=text):
            Scale.apply(x, 3.0).sum().backward()

    class Identity(Function):
        @staticmethod
        def forward(ctx, x):
            return x

    with pytest.raises(RuntimeError, match="input itself"):
        Identity.apply(x)


def test_memory_is_freed_while_walking_without_the_garbage_collector():
    x = leaf()
    gc.collect()
    gc.disable()
    try:
        middle = x.exp()
        middle_array = weakref.ref(middle.array)
        loss = (middle * middle).sum().sigmoid()
        del middle
        assert middle_array() is not None
        loss.backward()
        assert middle_array() is None
        node = weakref.ref(loss.grad_fn)
        del loss
        assert node() is None
    finally:
        gc.enable()


def test_promotion_is_pytorchs():
    whole, single, double = (tinycnn.ones(2, dtype=k) for k in (tinycnn.int64, tinycnn.float32, tinycnn.float64))
    assert (whole + 1.5).dtype is tinycnn.float32 and (whole + 1).dtype is tinycnn.int64
    assert (whole + single).dtype is tinycnn.float32 and (single + double).dtype is tinycnn.float64
    assert (single + tinycnn.tensor(1.0, dtype=tinycnn.float64)).dtype is tinycnn.float32
    assert (whole / 2).dtype is tinycnn.float32 and (whole > 0).dtype is tinycnn.bool
    assert (tinycnn.tensor(3) + single).dtype is tinycnn.float32 and (True + whole).dtype is tinycnn.int64
    x = leaf()
    (x.double() * double.new_ones(3)).sum().backward()
    assert x.grad.dtype is tinycnn.float32


def test_views_share_memory():
    x = tinycnn.arange(6).reshape(2, 3)
    for view in (x.T, x.view(3, 2), x[:, 1:], x.unsqueeze(0), x.flatten(), x.permute(1, 0), x.split(1)[0]):
        assert np.shares_memory(view.array, x.array) and view._version == x._version
    x.zero_()
    assert x.T._version == x._version == 1
    with pytest.raises(RuntimeError, match="reshape"):
        x.T.view(6)
    assert isinstance(x.reshape(-1), Tensor)


def test_an_output_written_in_place_is_guarded_where_it_moved_to():
    x = leaf(-1.0, 2.0, 3.0)
    y = x * 1
    y.relu_()
    (y * 2).sum().backward()
    assert x.grad.tolist() == [0.0, 2.0, 2.0]
    for write in (lambda y: y.sub_(5), lambda y: y.add_(x)):
        y = x * 1
        y.relu_()
        write(y)
        with pytest.raises(RuntimeError, match="ReluBackward.*in-place"):
            y.sum().backward()
    y = (x * 1).exp_()
    with tinycnn.no_grad():
        y.zero_()
    with pytest.raises(RuntimeError, match="ExpBackward.*in-place"):
        y.sum().backward()


def test_inference_mode():
    x = leaf()
    with tinycnn.inference_mode():
        assert tinycnn.is_inference_mode_enabled() and not (x * 2).requires_grad
        with tinycnn.inference_mode(False):
            assert not (x * 2).requires_grad
    assert not tinycnn.is_inference_mode_enabled()
    with tinycnn.inference_mode(False):
        assert (x * 2).requires_grad

    @tinycnn.inference_mode()
    def first(x):
        return x * 2

    @tinycnn.inference_mode
    def second(x):
        return x * 2

    assert not first(x).requires_grad and not second(x).requires_grad and tinycnn.is_grad_enabled()


def test_one_switch_serves_several_threads_and_blocks_at_once():
    switches = tinycnn.no_grad(), tinycnn.inference_mode(), tinycnn.set_grad_enabled(False)
    tinycnn.set_grad_enabled(True)
    for switch in switches:
        inside, outside = threading.Barrier(2), threading.Barrier(2)
        seen = []

        def work(switch=switch, inside=inside, outside=outside, seen=seen):
            for _ in range(3):
                with switch:
                    inside.wait()
                    seen.append(tinycnn.is_grad_enabled())
                    with switch:
                        seen.append(tinycnn.is_grad_enabled())
                    seen.append(tinycnn.is_grad_enabled())
                outside.wait()
                seen.append(not tinycnn.is_grad_enabled())

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == 24 and not any(seen) and tinycnn.is_grad_enabled()


def test_what_was_switched_by_a_call_comes_back_after_its_block():
    with tinycnn.no_grad():
        switch = tinycnn.set_grad_enabled(True)
        assert tinycnn.is_grad_enabled()
        with switch:
            assert tinycnn.is_grad_enabled()
        assert not tinycnn.is_grad_enabled()
        with pytest.raises(KeyError), switch:
            raise KeyError
        assert not tinycnn.is_grad_enabled()

    @tinycnn.set_grad_enabled(False)
    def double(x):
        return x * 2

    assert tinycnn.is_grad_enabled() and not double(leaf()).requires_grad


def test_a_switched_generator_is_switched_in_its_own_steps_only():
    @tinycnn.no_grad()
    def steps(x):
        sent = yield x * 2
        yield x * sent
        return 5

    running = steps(leaf())
    assert not next(running).requires_grad and tinycnn.is_grad_enabled()
    assert not running.send(3).requires_grad and tinycnn.is_grad_enabled()
    with pytest.raises(StopIteration) as end:
        next(running)
    assert end.value.value == 5 and tinycnn.is_grad_enabled()


def test_anomaly_detection_names_the_operation_and_the_line():
    x = tinycnn.tensor([0.0, 1.0], requires_grad=True)
    with tinycnn.autograd.detect_anomaly():
        assert tinycnn.is_anomaly_enabled()
        y = x * 2
        z = tinycnn.sqrt(y * y * 0) * 0  # 0 * inf, this line
        with pytest.raises(RuntimeError, match="SqrtBackward computed a NaN(.|\n)*this line"):
            z.sum().backward()
    assert not tinycnn.is_anomaly_enabled()
    tinycnn.autograd.set_detect_anomaly(True)
    assert tinycnn.is_anomaly_enabled()
    tinycnn.autograd.set_detect_anomaly(False)
    (tinycnn.sqrt(x * 0) * 0).sum().backward()
    assert np.isnan(x.grad.numpy()).any()


class SinCos(Function):
    """In the newer manner: forward without ctx."""

    @staticmethod
    def forward(x):
        return x.sin(), x.cos()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, gs, gc):
        (x,) = ctx.saved_tensors
        total = None
        if gs is not None:
            total = gs * x.cos()
        if gc is not None:
            total = -gc * x.sin() if total is None else total - gc * x.sin()
        return total


def test_setup_context_and_gradients_that_are_not_materialized():
    x = leaf()
    s, c = SinCos.apply(x)
    s.sum().backward(retain_graph=True)
    assert np.allclose(x.grad.numpy(), np.cos(leaf().detach().numpy()))
    x.grad = None
    (s + c).sum().backward()
    assert np.allclose(x.grad.numpy(), (leaf().cos() - leaf().sin()).detach().numpy())
    assert gradcheck(SinCos.apply, leaf().double().detach().requires_grad_())
