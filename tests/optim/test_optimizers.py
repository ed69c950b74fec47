"""Optimizers: against PyTorch, against their formulas, resuming, and what they refuse."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn as t
from tinycnn import nn, optim

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = json.loads((GOLDEN / "optim_cases.json").read_text())["optimizers"]


def wave(shape, phase):
    return t.tensor(np.sin(1.7 * np.arange(int(np.prod(shape))) + phase).reshape(shape))


def options_of(case):
    return {k: tuple(v) if isinstance(v, list) else v for k, v in case["options"].items()}


@pytest.mark.parametrize("i", range(len(CASES)), ids=lambda i: f"{i}-{CASES[i]['optimizer']}")
def test_agrees_with_pytorch(i):
    params = [wave((2, 3), 0).requires_grad_(), wave((4,), 1).requires_grad_(), wave((2,), 2).requires_grad_()]
    kind = getattr(optim, CASES[i]["optimizer"])
    optimizer = kind([{"params": params[:1]}, {"params": params[1:], "lr": 0.05}], **options_of(CASES[i]))
    for step in range(6):
        for k, p in enumerate(params):
            p.grad = p.detach() * 0.5 + wave(p.shape, step + k)
        if step == 2:
            params[1].grad = None
        if step < 1:
            params[2].grad = None
        optimizer.step()
    with np.load(GOLDEN / "optim.npz") as answers:
        for k, p in enumerate(params):
            np.testing.assert_allclose(p.detach().numpy(), answers[f"optimizer{i}/{k}"], rtol=1e-9, atol=1e-12)
            names = [n for n in answers.files if n.startswith(f"optimizer{i}/{k}/")]
            assert {n.rsplit("/", 1)[1] for n in names} == set(optimizer.state[p])
            for name in names:
                value = optimizer.state[p][name.rsplit("/", 1)[1]]
                value = value.numpy() if isinstance(value, t.Tensor) else value
                np.testing.assert_allclose(value, answers[name], rtol=1e-9, atol=1e-12)


@given(st.floats(0, 1), st.floats(0.01, 0.99), st.floats(0, 1), st.floats(0, 0.5), st.booleans(), st.integers(1, 4))
def test_sgd_follows_its_formula(lr, momentum, dampening, decay, nesterov, steps):
    dampening = 0.0 if nesterov else dampening
    p = nn.Parameter(wave((5,), 0))
    optimizer = optim.SGD([p], lr, momentum, dampening, decay, nesterov)
    expected, buffer = p.detach().numpy().copy(), None
    for step in range(steps):
        grad = np.cos(np.arange(5) + step)
        p.grad = t.tensor(grad)
        optimizer.step()
        g = grad + decay * expected
        buffer = g if buffer is None else momentum * buffer + (1 - dampening) * g
        expected = expected - lr * (g + momentum * buffer if nesterov else buffer)
    np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@given(st.floats(0, 1), st.floats(0, 0.99), st.floats(0, 0.999), st.floats(0, 0.5), st.booleans(), st.integers(1, 4))
def test_adam_follows_its_formula(lr, beta1, beta2, decay, decoupled, steps):
    p = nn.Parameter(wave((5,), 0))
    kind = optim.AdamW if decoupled else optim.Adam
    optimizer = kind([p], lr, (beta1, beta2), 1e-8, decay)
    expected, m, v = p.detach().numpy().copy(), 0.0, 0.0
    for step in range(1, steps + 1):
        grad = np.cos(np.arange(5) + step)
        p.grad = t.tensor(grad)
        optimizer.step()
        if decoupled:
            expected = expected * (1 - lr * decay)
        g = grad if decoupled else grad + decay * expected
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        expected = expected - lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + 1e-8)
    np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW])
def test_a_regression_is_solved(kind):
    t.manual_seed(0)
    x = t.randn(64, 3)
    truth = t.tensor([[1.0, -2.0, 0.5]])
    model = nn.Linear(3, 1)
    optimizer = kind(model.parameters(), lr=0.1, weight_decay=0)
    for _ in range(100):
        optimizer.zero_grad()
        loss = nn.MSELoss()(model(x), x @ truth.T + 3)
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-2
    np.testing.assert_allclose(model.weight.detach().numpy(), truth.numpy(), atol=0.1)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}])
def test_parameters_without_gradient_are_left_alone(options):
    a, b = nn.Parameter(t.ones(2)), nn.Parameter(t.ones(2))
    optimizer = optim.SGD([a, b], lr=0.1, weight_decay=0.5, **options)
    a.grad = t.ones(2)
    optimizer.step()
    assert b.tolist() == [1, 1] and b not in optimizer.state and a.tolist() != [1, 1]


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, 0.1, 0.9), lambda p: optim.Adam(p, 0.1, amsgrad=True)])
def test_any_strides_and_both_dtypes_in_one_step(make):
    base = np.arange(12.0).reshape(3, 4) / 7
    plain = nn.Parameter(t.tensor(base))
    turned = nn.Parameter(t.tensor(base.T.copy()).T)
    sliced = nn.Parameter(t.tensor(np.repeat(base, 2, 1))[:, ::2])
    single = nn.Parameter(t.tensor(base.astype(np.float32)))
    params = [plain, turned, sliced, single]
    optimizer = make(params)
    for step in range(3):
        grad = np.sin(base + step)
        plain.grad, turned.grad = t.tensor(grad), t.tensor(grad)
        sliced.grad = t.tensor(grad.T.copy()).T
        single.grad = t.tensor(grad.astype(np.float32))
        optimizer.step()
    assert not turned.is_contiguous() and not sliced.is_contiguous()
    for p in params[1:]:
        np.testing.assert_allclose(p.detach().numpy(), plain.detach().numpy(), atol=1e-5 if p is single else 1e-14)


def test_adam_in_float32_is_as_accurate_as_pytorchs():
    base, ends = np.arange(12.0) / 7, []
    for dtype in (np.float64, np.float32):  # 1 - beta2 taken in float32 is off by 1e-5 and moves p by 2e-6
        p = nn.Parameter(t.tensor(base.astype(dtype)))
        optimizer = optim.Adam([p], 0.1)
        for step in range(3):
            p.grad = t.tensor(np.sin(base + step).astype(dtype))
            optimizer.step()
        ends.append(p.detach().numpy())
    np.testing.assert_allclose(ends[1], ends[0], rtol=0, atol=3e-7)  # PyTorch: 1e-7


def test_the_step_is_seen_by_the_version_check_and_needs_no_no_grad():
    p = nn.Parameter(t.ones(2))
    loss = (p * p).sum()
    p.grad = t.ones(2)
    optim.SGD([p], 0.1).step()
    assert p.is_leaf and p.requires_grad and p.grad_fn is None
    with pytest.raises(RuntimeError, match="overwritten by an in-place"):
        loss.backward()


def test_closure_is_called_with_gradients_on():
    p = nn.Parameter(t.tensor([3.0]))
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with t.no_grad():
        assert optimizer.step(closure).item() == 9
    assert p.item() == pytest.approx(2.4) and optimizer.step() is None


def test_zero_grad():
    p = nn.Parameter(t.ones(2))
    optimizer = optim.SGD([p], 0.1)
    p.grad = t.ones(2)
    grad = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is grad and grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None
    (p * p * p).sum().backward(create_graph=True)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0] and not p.grad.requires_grad


# -- groups -----------------------------------------------------------------------------------------------------------


def test_groups_take_defaults_and_keep_their_own():
    a, b, c = (nn.Parameter(t.ones(1)) for _ in range(3))
    optimizer = optim.SGD([{"params": a}, {"params": [b], "lr": 0.5, "name": "head"}], lr=0.1, momentum=0.9)
    optimizer.add_param_group({"params": c, "momentum": 0.0})
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.5, 0.1]
    assert [g["momentum"] for g in optimizer.param_groups] == [0.9, 0.9, 0.0]
    assert optimizer.param_groups[1]["name"] == "head" and optimizer.defaults["lr"] == 0.1
    assert repr(optim.SGD([nn.Parameter(t.ones(1))], lr=0.1)) == (
        "SGD (\nParameter Group 0\n    dampening: 0.0\n    differentiable: False\n    foreach: None\n    fused: None\n"
        "    lr: 0.1\n    maximize: False\n    momentum: 0.0\n    nesterov: False\n    weight_decay: 0.0\n)"
    )


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad", "Adadelta", "RMSprop", "Adamax", "NAdam", "RAdam"])
def test_groups_have_the_keys_of_pytorchs_state_dict(name):
    switches = {"foreach", "differentiable", "maximize"}
    switches |= {"fused"} if name in ("SGD", "Adam", "AdamW", "Adagrad") else set()
    switches |= {"capturable"} if name not in ("SGD", "Adagrad") else set()
    made = getattr(optim, name)([nn.Parameter(t.ones(1))], maximize=True, foreach=False)
    group = made.state_dict()["param_groups"][0]
    every = {"foreach", "differentiable", "maximize", "fused", "capturable"}
    assert every & set(group) == switches
    assert group["maximize"] is True and group["foreach"] is False and group["differentiable"] is False


@pytest.mark.parametrize("maximize", [False, True])
def test_asgd_follows_its_formula_and_resumes(maximize):
    def made(p):
        return optim.ASGD([p], 0.1, lambd=0.01, alpha=0.5, t0=2, weight_decay=0.1, maximize=maximize)

    p = nn.Parameter(wave((5,), 0))
    optimizer = made(p)
    expected = average = p.detach().numpy().copy()
    eta, mu = 0.1, 1.0
    for step in range(1, 6):
        grad = np.cos(np.arange(5) + step)
        p.grad = t.tensor(grad)
        optimizer.step()
        g = (-grad if maximize else grad) + 0.1 * expected
        expected = (1 - 0.01 * eta) * expected - eta * g
        average = average + mu * (expected - average)
        eta, mu = 0.1 / (1 + 0.01 * 0.1 * step) ** 0.5, 1 / max(1, step - 2)
        again = made(p)
        again.load_state_dict(optimizer.state_dict())
        optimizer = again
    np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(optimizer.state[p]["ax"].numpy(), average, rtol=1e-12)
    assert set(optimizer.state[p]) == {"step", "eta", "mu", "ax"}


def test_rprop_grows_shrinks_and_rests():
    p = nn.Parameter(t.tensor([0.0, 0.0, 0.0]))
    optimizer = optim.Rprop([p], 0.1, etas=(0.5, 2.0), step_sizes=(0.01, 0.3))
    for grad, expected in (
        ([1.0, -2.0, 0.0], [-0.1, 0.1, 0.0]),
        ([5.0, 3.0, 1.0], [-0.3, 0.1, -0.1]),  # grows; changes its sign and rests; begins
        ([1.0, 3.0, 1.0], [-0.6, 0.05, -0.3]),  # 0.4 is above the largest step
    ):
        p.grad = t.tensor(grad)
        optimizer.step()
        np.testing.assert_allclose(p.detach().numpy(), expected, atol=1e-6)
    assert set(optimizer.state[p]) == {"step", "prev", "step_size"}
    with pytest.raises(ValueError, match="above 1"):
        optim.Rprop([p], etas=(0.5, 0.9))
    with pytest.raises(TypeError, match="float32 or float64"):
        half = nn.Parameter(t.ones(2, dtype=t.float16))
        half.grad = t.ones(2, dtype=t.float16)
        optim.Rprop([half]).step()


P = nn.Parameter(t.ones(2))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: optim.SGD([]), ValueError, "got an empty list of parameters"),
        (lambda: optim.SGD(nn.ReLU().parameters()), ValueError, "a module without parameters"),
        (lambda: optim.SGD(P), TypeError, "got one Tensor"),
        (lambda: optim.SGD([P, P]), ValueError, "comes twice"),
        (lambda: optim.SGD([{"params": [P]}, {"params": [P]}]), ValueError, "comes twice"),
        (lambda: optim.SGD([P * 2]), ValueError, "computed by MulBackward, it must be a leaf"),
        (lambda: optim.SGD([3]), TypeError, "Tensors only, got int"),
        (lambda: optim.SGD([{"lr": 0.1}]), ValueError, "needs an entry 'params'"),
        (lambda: optim.SGD([{"params": {P}}]), TypeError, "need an order"),
        (lambda: optim.SGD([{"params": P}, P]), TypeError, "expected a dict for each group"),
        (lambda: optim.SGD([P], lr=-0.1), ValueError, "SGD: lr must be at least 0 and finite, got -0.1"),
        (lambda: optim.SGD([P], lr=float("nan")), ValueError, "lr must be"),
        (lambda: optim.SGD([P], lr=float("inf")), ValueError, "finite"),
        (lambda: optim.SGD([P], lr="0.1"), TypeError, "lr must be a number, got str"),
        (lambda: optim.SGD([P], lr=True), TypeError, "lr must be a number, got bool"),
        (lambda: optim.SGD([P], momentum=-1), ValueError, "momentum must be at least 0"),
        (lambda: optim.SGD([P], weight_decay=-1), ValueError, "weight_decay must be at least 0"),
        (lambda: optim.SGD([P], dampening=2), ValueError, r"dampening must be in \[0, 1\]"),
        (lambda: optim.SGD([P], nesterov=True), ValueError, "nesterov needs a momentum above 0"),
        (lambda: optim.SGD([P], momentum=0.9, dampening=0.1, nesterov=True), ValueError, "no dampening"),
        (lambda: optim.SGD([{"params": P, "lr": -1}]), ValueError, "lr must be at least 0"),
        (lambda: optim.Adam([P], lr=-1), ValueError, "Adam: lr"),
        (lambda: optim.AdamW([P], eps=-1), ValueError, "AdamW: eps"),
        (lambda: optim.Adam([P], betas=(0.9, 1.0)), ValueError, r"betas\[1\] must be in \[0, 1\), got 1.0"),
        (lambda: optim.Adam([P], betas=0.9), ValueError, "betas must be a pair"),
        (lambda: optim.Adam([P], weight_decay=-1), ValueError, "weight_decay"),
        (lambda: optim.Optimizer([P], {}).step(), TypeError, "needs a method step"),
    ],
)
def test_refusals(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_an_iterator_used_up_before_is_recognised():
    params = nn.Linear(2, 2).parameters()
    list(params)
    with pytest.raises(ValueError, match="used up before"):
        optim.Adam(params)


def test_half_precision_is_refused_when_stepping():
    p = nn.Parameter(t.ones(2, dtype=t.float16))
    p.grad = t.ones(2, dtype=t.float16)
    with pytest.raises(TypeError, match="must be float32 or float64, got tinycnn.float16"):
        optim.SGD([p], 0.1).step()


# -- state ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, 0.1, 0.9),
        lambda p: optim.Adam(p, 0.1, amsgrad=True),
        lambda p: optim.AdamW([{"params": list(p)[:1], "lr": 0.01}, {"params": list(p)[1:]}], 0.1),
    ],
)
def test_resumes_exactly(make):
    def steps(model, optimizer, numbers):
        for n in numbers:
            optimizer.zero_grad()
            model(wave((4, 3), n).float()).sum().backward()
            optimizer.step()

    model = nn.Linear(3, 2)
    optimizer = make(list(model.parameters()))
    steps(model, optimizer, range(3))
    other = nn.Linear(3, 2)
    other.load_state_dict(model.state_dict())
    resumed = make(list(other.parameters()))
    saved = copy.deepcopy(optimizer.state_dict())
    resumed.load_state_dict(optimizer.state_dict())
    steps(model, optimizer, range(3, 6))
    assert str(saved) == str(resumed.state_dict())  # the copy is untouched by the first optimizer's steps
    steps(other, resumed, range(3, 6))
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert np.array_equal(a.detach().numpy(), b.detach().numpy())
    assert [g["lr"] for g in resumed.param_groups] == [g["lr"] for g in optimizer.param_groups]


def test_state_dict_counts_parameters():
    a, b = nn.Parameter(t.ones(1)), nn.Parameter(t.ones(2))
    optimizer = optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.5}], 0.1, momentum=0.9)
    b.grad = t.ones(2)
    optimizer.step()
    state = optimizer.state_dict()
    assert [g["params"] for g in state["param_groups"]] == [[0], [1]] and state["param_groups"][1]["lr"] == 0.5
    assert list(state["state"]) == [1] and state["state"][1]["momentum_buffer"].tolist() == [1, 1]


def test_state_is_taken_over_in_the_parameters_dtype_with_pytorchs_step():
    p = nn.Parameter(t.ones(2, dtype=t.float64))
    optimizer = optim.Adam([p])
    state = {"step": t.tensor(3.0), "exp_avg": t.ones(2), "exp_avg_sq": t.ones(2)}
    optimizer.load_state_dict({"state": {0: state}, "param_groups": [{"lr": 0.5, "params": [0]}]})
    assert optimizer.state[p]["step"] == 3 and optimizer.state[p]["exp_avg"].dtype is t.float64
    assert optimizer.param_groups[0]["lr"] == 0.5 and optimizer.param_groups[0]["betas"] == (0.9, 0.999)
    p.grad = t.ones(2, dtype=t.float64)
    optimizer.step()
    assert optimizer.state[p]["step"] == 4 and state["exp_avg"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda s: s["param_groups"].append({"params": []}), "different number of parameter groups, 2 instead of 1"),
        (lambda s: s["param_groups"][0]["params"].pop(), "group 0 has 1 parameters instead of 2"),
        (lambda s: s["state"].update({7: {}}), "state for parameter 7, which is in no group"),
        (lambda s: s["state"][0].update(exp_avg=t.ones(5)), r"exp_avg of parameter 0 has shape \(5,\)"),
    ],
)
def test_load_refuses_what_does_not_fit_and_changes_nothing(spoil, text):
    model = nn.Linear(2, 2)
    optimizer = optim.Adam(model.parameters())
    model(t.ones(1, 2)).sum().backward()
    optimizer.step()
    before = str(optimizer.state_dict())
    state = copy.deepcopy(optimizer.state_dict())
    spoil(state)
    with pytest.raises(ValueError, match=text):
        optimizer.load_state_dict(state)
    assert str(optimizer.state_dict()) == before


def test_an_optimizer_of_ones_own():
    class Sign(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @t.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.sub_(p.grad.sign() * group["lr"])

    p = nn.Parameter(t.tensor([1.0, -1.0]))
    (p * p).sum().backward()
    Sign([p], 0.25).step()
    assert p.tolist() == [0.75, -0.75]


def test_hooks_around_a_step():
    p = nn.Parameter(t.ones(1))
    optimizer = optim.Adagrad([p])
    calls = []
    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append(("before", p.item())))
    optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append(("after", p.item())))
    p.grad = t.ones(1)
    optimizer.step()
    before.remove()
    optimizer.step()
    assert [name for name, _ in calls] == ["before", "after", "after"] and calls[0][1] == 1 > calls[1][1]


def test_named_parameters():
    model = nn.Linear(2, 1)
    optimizer = optim.RMSprop(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"][0] is model.weight
    with pytest.raises(ValueError, match="or none"):
        optim.RMSprop([("weight", model.weight), model.bias])


def test_averages_of_weights():
    model = nn.Linear(1, 1, bias=False)
    mean, moving = (
        optim.swa_utils.AveragedModel(model),
        optim.swa_utils.AveragedModel(model, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.75)),
    )
    for value in (1.0, 2.0, 6.0):
        nn.init.constant_(model.weight, value)
        mean.update_parameters(model)
        moving.update_parameters(model)
    assert mean.module.weight.item() == 3 and mean.n_averaged.item() == 3
    assert moving(t.ones(1, 1)).item() == pytest.approx((1 * 0.75 + 2 * 0.25) * 0.75 + 6 * 0.25)


def test_rates_as_tensors_and_decoupled_decay():
    p, q = nn.Parameter(t.ones(1)), nn.Parameter(t.ones(1))
    one = optim.Adam([p], lr=t.tensor(0.1), weight_decay=0.2, decoupled_weight_decay=True)
    two = optim.AdamW([q], lr=0.1, weight_decay=0.2)
    for o, x in ((one, p), (two, q)):
        x.grad = t.ones(1)
        o.step()
    assert p.item() == pytest.approx(q.item(), rel=1e-6) and isinstance(one.param_groups[0]["lr"], float)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Rprop"])
def test_a_step_that_would_have_to_be_recorded_is_refused(name):
    with pytest.raises(ValueError, match="differentiable"):
        getattr(optim, name)([nn.Parameter(t.ones(2))], differentiable=True)
