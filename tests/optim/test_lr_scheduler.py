"""Learning-rate schedules: against PyTorch's values, their closed forms, resuming, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn as t
from tinycnn import nn, optim
from tinycnn.optim import lr_scheduler as lrs

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = json.loads((GOLDEN / "optim_cases.json").read_text())["schedules"]


def start(momentum=0.0):
    groups = [{"params": [nn.Parameter(t.ones(1))]}, {"params": [nn.Parameter(t.ones(1))], "lr": 0.02}]
    return optim.SGD(groups, lr=0.5, momentum=momentum)


def follow(optimizer, *schedulers, epochs=25):
    rates = [[g["lr"] for g in optimizer.param_groups]]
    for _ in range(epochs):
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
        rates.append([g["lr"] for g in optimizer.param_groups])
    return np.array(rates)


def golden(name):
    with np.load(GOLDEN / "optim.npz") as answers:
        return answers[name]


@pytest.mark.parametrize("i", range(len(CASES)), ids=lambda i: f"{i}-{CASES[i]['scheduler']}")
def test_agrees_with_pytorch(i):
    optimizer = start(0.5)
    scheduler = getattr(lrs, CASES[i]["scheduler"])(optimizer, **CASES[i]["options"])
    rates = follow(optimizer, scheduler)
    np.testing.assert_allclose(rates, golden(f"schedule{i}"), rtol=1e-12, atol=1e-17)
    assert scheduler.get_last_lr() == rates[-1].tolist() and scheduler.last_epoch == 25


def warmup(optimizer):
    parts = [
        lrs.LinearLR(optimizer, 0.1, total_iters=4),
        lrs.CosineAnnealingLR(optimizer, 10),
        lrs.StepLR(optimizer, 3),
    ]
    return lrs.SequentialLR(optimizer, parts, [4, 14])


def test_compositions_agree_with_pytorch():
    optimizer = start()
    np.testing.assert_allclose(follow(optimizer, warmup(optimizer)), golden("warmup"), rtol=1e-12, atol=1e-17)
    optimizer = start()
    functions = [lambda e: 0.9**e, lambda e: 1 / (e + 1)]
    np.testing.assert_allclose(follow(optimizer, lrs.LambdaLR(optimizer, functions)), golden("lambda"), rtol=1e-12)
    optimizer = start()
    both = lrs.StepLR(optimizer, 3, 0.5), lrs.ExponentialLR(optimizer, 0.95)
    np.testing.assert_allclose(follow(optimizer, *both), golden("two"), rtol=1e-12)


def test_plateaus_and_products_agree_with_pytorch():
    optimizer = start()
    scheduler = lrs.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, cooldown=1, min_lr=[0.1, 0.001])
    rates = []
    for i in range(25):
        scheduler.step(1 / (i + 1) if i < 6 else 0.2)
        rates.append([g["lr"] for g in optimizer.param_groups])
    np.testing.assert_allclose(rates, golden("plateau"), rtol=1e-12)
    optimizer = start()
    np.testing.assert_allclose(
        follow(optimizer, lrs.MultiplicativeLR(optimizer, lambda e: 0.95)), golden("multiplicative"), rtol=1e-12
    )
    one, two = start(), start()
    chained = lrs.ChainedScheduler([lrs.StepLR(one, 3, 0.5), lrs.ExponentialLR(one, 0.95)])
    both = lrs.StepLR(two, 3, 0.5), lrs.ExponentialLR(two, 0.95)
    np.testing.assert_allclose(follow(one, chained), follow(two, *both), rtol=1e-12)
    assert chained.get_last_lr() == [g["lr"] for g in one.param_groups]


def test_the_momentum_goes_the_opposite_way():
    for make in (
        lambda o: lrs.OneCycleLR(o, 0.5, 10),
        lambda o: lrs.CyclicLR(o, 0.1, 0.5, 5, base_momentum=0.85, max_momentum=0.95),
    ):
        optimizer = start(0.5)
        scheduler = make(optimizer)
        pairs = []
        for _ in range(9):
            scheduler.step()
            pairs.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        rates, momenta = zip(*pairs, strict=True)
        assert np.argmax(rates) == np.argmin(momenta) and 0.84 < min(momenta) < max(momenta) <= 0.95
        with pytest.raises(ValueError, match="cycle_momentum=False"):
            make(optim.Adagrad([nn.Parameter(t.ones(1))]))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda o: lrs.OneCycleLR(o, 0.5), "total_steps, or epochs"),
        (lambda o: lrs.OneCycleLR(o, 0.5, 10, anneal_strategy="up"), "'cos' or 'linear'"),
        (lambda o: lrs.CyclicLR(o, 0.1, 0.5, mode="round"), "mode must be"),
        (lambda o: lrs.CyclicLR(o, [0.1], 0.5), "expected 2 values"),
        (lambda o: lrs.ReduceLROnPlateau(o, factor=1.0), "less than 1"),
        (lambda o: lrs.ReduceLROnPlateau(o, "most"), "'min' or 'max'"),
        (lambda o: lrs.ChainedScheduler([]), "at least one"),
        (lambda o: lrs.CosineAnnealingWarmRestarts(o, 0), "at least 1"),
        (lambda o: lrs.PolynomialLR(o, 0), "at least 1"),
    ],
)
def test_new_schedules_refuse(make, text):
    with pytest.raises(ValueError, match=text):
        make(start(0.5))


MAKERS = [
    lambda o: lrs.StepLR(o, 4, 0.3),
    lambda o: lrs.MultiStepLR(o, [3, 7, 7], 0.5),
    lambda o: lrs.ExponentialLR(o, 0.9),
    lambda o: lrs.ConstantLR(o, 0.5, 6),
    lambda o: lrs.LinearLR(o, 0.2, 0.9, 7),
    lambda o: lrs.CosineAnnealingLR(o, 9, 0.01),
    lambda o: lrs.LambdaLR(o, lambda e: 0.9**e),
]


@given(st.sampled_from(MAKERS), st.integers(0, 30))
def test_chained_and_closed_form_agree(make, epoch):
    chained, jumped = start(), start()
    follow(chained, make(chained), epochs=epoch)
    make(jumped).step(epoch)
    for a, b in zip(chained.param_groups, jumped.param_groups, strict=True):
        assert a["lr"] == pytest.approx(b["lr"], rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("make", [*MAKERS, warmup], ids=lambda m: "")
def test_resumes_exactly(make):
    optimizer = start()
    scheduler = make(optimizer)
    follow(optimizer, scheduler, epochs=6)
    other = start()
    resumed = make(other)
    resumed.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))  # plain values only
    other.load_state_dict(optimizer.state_dict())
    assert resumed.get_last_lr() == scheduler.get_last_lr()
    assert follow(other, resumed, epochs=12).tolist() == follow(optimizer, scheduler, epochs=12).tolist()


def test_resumes_by_last_epoch():
    optimizer = start()
    straight = follow(optimizer, lrs.CosineAnnealingLR(optimizer, 10), epochs=8)
    first = start()
    follow(first, lrs.CosineAnnealingLR(first, 10), epochs=4)
    second = start()
    second.load_state_dict(first.state_dict())
    again = follow(second, lrs.CosineAnnealingLR(second, 10, last_epoch=3), epochs=4)
    np.testing.assert_allclose(again, straight[4:], rtol=1e-12)


def test_the_initial_rate_is_kept_in_the_group():
    optimizer = start()
    lrs.LinearLR(optimizer, 0.5)
    assert [g["initial_lr"] for g in optimizer.param_groups] == [0.5, 0.02]
    assert [g["lr"] for g in optimizer.param_groups] == [0.25, 0.01]


def test_a_schedule_of_ones_own():
    class Harmonic(lrs.LRScheduler):
        def get_lr(self):
            return [base / (self.last_epoch + 1) for base in self.base_lrs]

    optimizer = start()
    scheduler = Harmonic(optimizer)
    scheduler.step()
    assert scheduler.get_last_lr() == [0.25, 0.01]
    scheduler.step(4)
    assert scheduler.get_last_lr() == [0.1, 0.004]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda o: lrs.StepLR(3, 1), TypeError, "expected an Optimizer, got int"),
        (lambda o: lrs.StepLR(o, 0), ValueError, "step_size must be at least 1, got 0"),
        (lambda o: lrs.StepLR(o, 1.5), TypeError, "step_size must be an int"),
        (lambda o: lrs.StepLR(o, 1, -0.1), ValueError, "gamma must be at least 0"),
        (lambda o: lrs.MultiStepLR(o, [1.5]), TypeError, "a milestone must be an int"),
        (lambda o: lrs.ConstantLR(o, 1.5), ValueError, "factor"),
        (lambda o: lrs.LinearLR(o, 0), ValueError, "start_factor must be above 0"),
        (lambda o: lrs.LinearLR(o, 0.5, 1.5), ValueError, "end_factor"),
        (lambda o: lrs.LinearLR(o, total_iters=0), ValueError, "total_iters must be at least 1"),
        (lambda o: lrs.CosineAnnealingLR(o, 0), ValueError, "T_max must be at least 1"),
        (lambda o: lrs.CosineAnnealingLR(o, 5, eta_min="a"), TypeError, "eta_min must be a number"),
        (lambda o: lrs.LambdaLR(o, [lambda e: 1.0]), ValueError, "expected 2 functions"),
        (lambda o: lrs.StepLR(o, 1, last_epoch=3), KeyError, "needs 'initial_lr'"),
        (lambda o: lrs.LRScheduler(o), TypeError, "needs a method get_lr"),
        (lambda o: lrs.SequentialLR(o, [], []), ValueError, "one milestone fewer"),
        (lambda o: lrs.SequentialLR(o, [lrs.StepLR(start(), 1)], []), ValueError, "belong to the optimizer"),
        (lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 1)] * 3, [4, 2]), ValueError, "milestones must rise"),
        (lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 1)], []).step(3), ValueError, "takes no epoch"),
    ],
)
def test_refusals(make, error, text):
    with pytest.raises(error, match=text):
        make(start())
