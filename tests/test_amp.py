"""Autocast blocks and the scaler. What PyTorch's blocks give stands in golden/amp.txt."""

import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import autocast, nn
from tinycnn._autocast import RULES, state
from tinycnn.nn import functional as F

GOLDEN = Path(__file__).parent / "golden"
sys.path.insert(0, str(GOLDEN))
from amp_cases import KINDS, letter, names  # noqa: E402

ROWS = [line.split(maxsplit=2) for line in (GOLDEN / "amp.txt").read_text().splitlines()]
float16, float32 = tinycnn.float16, tinycnn.float32


def on_cpu(**options):
    return autocast("cpu", dtype=float16, **options)


@pytest.mark.parametrize(("letters", "expression"), [(cpu, e) for cpu, _, e in ROWS], ids=[row[2] for row in ROWS])
def test_results_have_pytorchs_dtypes(letters, expression):
    for wanted, kinds in zip(letters, KINDS, strict=True):
        if wanted != "!":
            with on_cpu(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert letter(eval(expression, names(tinycnn, *kinds, "cpu"))) == wanted, kinds


def test_every_function_on_the_lists_is_there_and_covered():
    places = (tinycnn, F, tinycnn.linalg, tinycnn.Tensor)
    given = {f.__wrapped__.__name__ for p in places for f in vars(p).values() if hasattr(f, "__wrapped__")}
    assert set(RULES) <= given
    assert tinycnn.matmul is tinycnn.Tensor.__matmul__ is tinycnn.linalg.matmul and tinycnn.pow is tinycnn.Tensor.pow


def net():
    tinycnn.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1), nn.Flatten(),
        nn.Linear(4 * 16, 5),
    )  # fmt: skip


def test_a_net_computes_in_float16_and_learns_in_float32():
    x, target = tinycnn.randn(6, 1, 8, 8), tinycnn.tensor([0, 1, 2, 3, 4, 0])
    model, other = net(), net()
    seen = []
    for layer in model:
        layer.register_forward_hook(lambda m, given, y: seen.append(y.dtype))
    with on_cpu():
        loss = F.cross_entropy(model(x), target)
    assert set(seen) == {float16} and loss.dtype is float32
    loss.backward()
    tinycnn.manual_seed(0)
    tinycnn.randn(6, 1, 8, 8)
    plain = F.cross_entropy(other(x), target)
    plain.backward()
    assert abs(loss.item() - plain.item()) < 0.2  # other zeros of dropout
    for (name, p), q in zip(model.named_parameters(), other.parameters(), strict=True):
        assert p.dtype is p.grad.dtype is float32, name
        assert p.grad.shape == q.grad.shape and p.grad.array.any()
    assert model[1].running_mean.dtype is float32


def test_gradients_are_those_of_the_cast_numbers():
    rng = np.random.default_rng(0)
    x, w = (tinycnn.tensor(rng.standard_normal(s).astype(np.float32), requires_grad=True) for s in ((4, 3), (5, 3)))
    with on_cpu():
        y = F.linear(x, w)
    g = np.float16(rng.standard_normal((4, 5)))
    y.backward(tinycnn.from_numpy(g))
    halves = [t.detach().array.astype(np.float16).astype(np.float64) for t in (x, w)]
    np.testing.assert_allclose(y.detach().array, halves[0] @ halves[1].T, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(x.grad.array, g.astype(np.float64) @ halves[1], rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(w.grad.array, g.astype(np.float64).T @ halves[0], rtol=2e-3, atol=2e-3)
    assert x.grad.dtype is w.grad.dtype is float32


def test_a_parameter_is_cast_once_in_a_block():
    layer, x = nn.Linear(3, 2), tinycnn.ones(1, 3)
    with on_cpu():
        for _ in range(2):
            y = layer(x).sum()
        assert len(state.cache) == 2  # weight and bias
        y.backward()
        layer(x).sum().backward()  # the casts serve again after a walk
        with tinycnn.no_grad():
            layer(x)
            layer.weight.mul_(2)
        before, after = y.item(), layer(x).sum().item()
    assert before != after and not state.cache  # a changed parameter is cast anew
    assert layer.weight.grad.array.tolist() == [[2.0] * 3] * 2
    with on_cpu(cache_enabled=False):
        layer(x)
        assert not state.cache and not tinycnn.is_autocast_cache_enabled()
    assert tinycnn.is_autocast_cache_enabled()


def test_a_cast_without_record_does_not_hide_the_parameter():
    layer, x = nn.Linear(3, 2), tinycnn.ones(1, 3)
    with on_cpu():
        with tinycnn.no_grad():
            layer(x)
        layer(x).sum().backward()
    assert layer.weight.grad is not None


def test_blocks_nest_and_end():
    a = tinycnn.ones(2, 2)
    assert not tinycnn.is_autocast_enabled("cpu")
    with on_cpu() as block:
        assert tinycnn.is_autocast_enabled("cpu") and not tinycnn.is_autocast_enabled()
        with on_cpu(enabled=False):
            assert (a @ a).dtype is float32 and not tinycnn.is_autocast_enabled("cpu")
        with block:  # the same again
            assert (a @ a).dtype is float16
        assert (a @ a).dtype is float16 and (a.double() @ a.double()).dtype is tinycnn.float64
        with pytest.raises(ZeroDivisionError), on_cpu(enabled=False):
            raise ZeroDivisionError
        assert (a @ a).dtype is float16
    assert (a @ a).dtype is float32
    assert on_cpu()(lambda: a @ a)().dtype is float16 and (a @ a).dtype is float32


def test_blocks_hold_for_one_thread():
    found, a = [], tinycnn.ones(2, 2)
    with on_cpu():
        other = threading.Thread(target=lambda: found.append((a @ a).dtype))
        other.start()
        other.join()
    assert found == [float32]


def test_whole_numbers_and_what_says_its_dtype_are_left_alone():
    with on_cpu():
        assert (tinycnn.ones(2, 2).long() @ tinycnn.ones(2, 2).long()).dtype is tinycnn.int64
        assert tinycnn.prod(tinycnn.ones(2), dtype=float16).dtype is float16


def test_dtypes_that_are_not_there_disable_the_block():
    for options, message in ((dict(), "bfloat16"), (dict(dtype=float32), "not to tinycnn.float32")):
        with pytest.warns(UserWarning, match=message), autocast("cpu", **options):
            assert not tinycnn.is_autocast_enabled("cpu")
    with pytest.raises(AttributeError, match="bfloat16"):
        autocast("cpu", dtype=tinycnn.bfloat16)
    assert tinycnn.get_autocast_dtype("cpu") is None and tinycnn.get_autocast_dtype("cuda") is float16
    with pytest.raises(RuntimeError, match="float16, got tinycnn.float64"):
        tinycnn.set_autocast_dtype("cpu", tinycnn.float64)
    with pytest.raises(RuntimeError, match="set_autocast_dtype first"):
        tinycnn.set_autocast_enabled("cpu", True)
    with pytest.raises(ValueError, match="'cpu' or 'cuda', got bool"):
        autocast(True)
    with pytest.raises(RuntimeError, match="tpu"):
        autocast("tpu")
    assert tinycnn.amp.is_autocast_available("cpu") and not tinycnn.amp.is_autocast_available("xla")


def test_a_dtype_for_blocks_that_name_none():
    before = state.dtypes
    try:
        tinycnn.set_autocast_dtype("cpu", float16)
        with autocast("cpu"):
            assert (tinycnn.ones(2, 2) @ tinycnn.ones(2, 2)).dtype is float16
        tinycnn.set_autocast_enabled("cpu", True)
        assert (tinycnn.ones(2, 2) @ tinycnn.ones(2, 2)).dtype is float16
    finally:
        tinycnn.set_autocast_enabled("cpu", False)
        state.dtypes = before
    assert not tinycnn.is_autocast_enabled("cpu")


class Doubled(tinycnn.autograd.Function):
    """2 x @ x, which notes the dtypes that it meets."""

    met = []

    @staticmethod
    @tinycnn.amp.custom_fwd(device_type="cpu")
    def forward(ctx, x):
        ctx.save_for_backward(x)
        y = 2 * (x @ x)
        Doubled.met.append(y.dtype)
        return y

    @staticmethod
    @tinycnn.amp.custom_bwd(device_type="cpu")
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        Doubled.met.append((g @ x).dtype)
        return 2 * (g @ x.t() + x.t() @ g)


class InFloat32(Doubled):
    forward = staticmethod(tinycnn.amp.custom_fwd(Doubled.forward.__wrapped__, device_type="cpu", cast_inputs=float32))
    backward = staticmethod(tinycnn.amp.custom_bwd(Doubled.backward.__wrapped__, device_type="cpu"))


@pytest.mark.parametrize(("function", "kind"), [(Doubled, float16), (InFloat32, float32)])
def test_a_function_of_ones_own(function, kind):
    Doubled.met.clear()
    x = tinycnn.ones(2, 2).half().requires_grad_() if function is InFloat32 else tinycnn.ones(2, 2, requires_grad=True)
    with on_cpu():
        y = function.apply(x)
    y.sum().backward()  # outside of the block, and yet as in it
    assert Doubled.met == [kind, kind] and x.grad.dtype is x.dtype
    assert x.grad.array.tolist() == [[8.0, 8.0], [8.0, 8.0]]


def test_a_checkpoint_runs_again_as_it_ran():
    from tinycnn.utils.checkpoint import checkpoint

    results = []
    for kept in (True, False):
        tinycnn.manual_seed(0)
        layer, x = nn.Linear(3, 3), tinycnn.randn(2, 3, requires_grad=True)
        with on_cpu():
            h = layer(x)  # the weight is cast here
            h = layer(h) if kept else checkpoint(layer, h)
            assert h.dtype is float16 and len(state.cache) == 3  # and x
        h.float().sum().backward()
        results.append([h.tolist(), x.grad.tolist(), layer.weight.grad.tolist(), layer.bias.grad.tolist()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)  # shared casts add their gradients up in float16


# -- the scaler -------------------------------------------------------------------------------------------------------


def scaled(**options):
    """A parameter (1,), its optimizer, and a scaler of 8."""
    p = tinycnn.ones(1, requires_grad=True)
    options = {"init_scale": 8.0, "growth_interval": 2, **options}
    return p, tinycnn.optim.SGD([p], lr=1.0), tinycnn.amp.GradScaler("cpu", **options)


def test_the_scale_is_taken_out_again_and_grows():
    p, optimizer, scaler = scaled()
    for want in (8.0, 16.0, 16.0, 32.0):
        optimizer.zero_grad()
        scaler.scale(p * 0.25).backward()
        assert p.grad.item() == 0.25 * scaler.get_scale()
        before = p.item()
        scaler.step(optimizer)
        scaler.update()
        assert p.item() == before - 0.25 and scaler.get_scale() == want


@pytest.mark.parametrize("number", [float("inf"), float("nan"), -float("inf")])
def test_a_step_of_infinite_gradients_is_left_out(number):
    p, optimizer, scaler = scaled()
    q = tinycnn.ones(3, requires_grad=True)
    optimizer.add_param_group({"params": [q]})
    scaler.scale(p.sum() + (q * tinycnn.tensor([1.0, number, 1.0])).sum()).backward()
    assert scaler.step(optimizer) is None
    scaler.update()
    assert p.item() == 1 and q.tolist() == [1, 1, 1]
    assert scaler.get_scale() == 4 and scaler.state_dict()["_growth_tracker"] == 0


def test_large_gradients_are_not_infinite():
    p, optimizer, scaler = scaled()
    (p * 3e38).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    assert p.item() == 1 - np.float32(3e38) / 8


def test_gradients_can_be_clipped_between():
    p, optimizer, scaler = scaled()
    scaler.scale(p * 100).backward()
    scaler.unscale_(optimizer)
    assert p.grad.item() == 100
    nn.utils.clip_grad_norm_([p], 1.0)
    scaler.step(optimizer)
    scaler.update()
    assert abs(p.item()) < 1e-5


def test_lists_of_losses_and_half_losses():
    _, _, scaler = scaled()
    one, (two, three) = scaler.scale([tinycnn.ones(()), (tinycnn.ones(2), tinycnn.ones(2).half())])
    assert one.item() == 8 and two.tolist() == [8, 8] and three.dtype is float16
    assert [t.item() for t in scaler.scale(t for t in [one])] == [64]
    with pytest.raises(ValueError, match="expected Tensors, got int"):
        scaler.scale(1)


def test_steps_in_the_wrong_order_are_refused():
    p, optimizer, scaler = scaled()
    with pytest.raises(RuntimeError, match="no parameter of this optimizer has a gradient"):
        scaler.step(optimizer)
    p, optimizer, scaler = scaled()
    with pytest.raises(RuntimeError, match="no gradients were looked at"):
        scaler.update()
    p.sum().backward()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="already been called for this optimizer"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="closure"):
        scaler.step(optimizer, lambda: None)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="already been called since"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(optimizer)
    scaler.update(new_scale=3.0)
    assert scaler.get_scale() == 3
    half = tinycnn.ones(1).half().requires_grad_()
    half.sum().backward()
    with pytest.raises(ValueError, match="float16"):
        scaler.unscale_(tinycnn.optim.SGD([half], lr=1.0))
    for options in (dict(growth_factor=1.0), dict(backoff_factor=1.0)):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
            scaled(**options)


def test_its_state_goes_on():
    _, _, scaler = scaled(growth_factor=3.0)
    scaler._growth_tracker = 1
    assert scaler.state_dict() == {
        "scale": 8.0, "growth_factor": 3.0, "backoff_factor": 0.5, "growth_interval": 2, "_growth_tracker": 1
    }  # fmt: skip
    other = tinycnn.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict() and other.get_growth_factor() == 3 and other.is_enabled()
    with pytest.raises(RuntimeError, match="empty state"):
        other.load_state_dict({})


def test_a_disabled_scaler_does_nothing():
    p, optimizer, scaler = scaled(enabled=False)
    loss = p * 0.5
    assert scaler.scale(loss) is loss and scaler.get_scale() == 1 and scaler.state_dict() == {}
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert p.item() == 0.5
