"""L-BFGS: against PyTorch's numbers, on a quadratic, going on, and what it refuses."""

import numpy as np
import pytest

import tinycnn as t
from tinycnn import nn, optim


def problem(**options):
    """Rosenbrock's valley beside a small net, four steps; the losses, the parameters and how often it was computed."""
    x = t.tensor([-1.2, 1.0], dtype=t.float64, requires_grad=True)
    w = t.tensor([[0.5, -0.3], [0.2, 0.8]], dtype=t.float64, requires_grad=True)
    a, b = t.tensor(np.sin(np.arange(12.0)).reshape(6, 2)), t.tensor(np.cos(np.arange(6.0)))
    optimizer = optim.LBFGS([x, w], **options)

    def closure():
        optimizer.zero_grad()
        valley = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        loss = valley + (((a @ w).tanh().sum(1) - b) ** 2).sum()
        loss.backward()
        return loss

    return optimizer, closure, [x, w]


# what PyTorch 2.13 finds: the losses, the parameters, calls, directions
FOUND = [
    (
        {"lr": 0.001},
        [30.11237583007136, 29.245727535232824, 28.491995068298117, 27.732505252510208],
        [-1.1919535792812677, 1.0159501417042254, 0.4954203852419754, -0.30560750483071947, 0.18941002808701632]
        + [0.7903139873278161],
        (80, 80),
    ),
    (
        {"lr": 0.3, "history_size": 3},
        [30.11237583007136, 6.342885432400056, 3.382842330537219, 3.0031011468048394],
        [0.9365769965704972, 0.8783672271927937, 0.6150126785912741, -0.4435195344585782, -0.3687300855740278]
        + [0.302606221106646],
        (80, 80),
    ),
    (
        {"line_search_fn": "strong_wolfe", "max_iter": 7, "history_size": 2},
        [30.11237583007136, 6.981823688033991, 5.721394368883949, 4.154001897051025],
        [0.4882071678071267, 0.22821614566199358, 0.5709691812780506, -0.5084557172386323, -0.342066135664863]
        + [0.4073092313157901],
        (33, 23),
    ),
    (
        {"line_search_fn": "strong_wolfe", "max_iter": 3, "lr": 5.0},
        [30.11237583007136, 18.349244386810255, 9.901929153398228, 7.943593997119903],
        [-0.936880226368542, 0.9036157064753291, 0.2968245816732759, -0.5613378227922191, -0.2688440731256554]
        + [0.37539050547565017],
        (14, 5),
    ),
]


@pytest.mark.parametrize(("options", "losses", "values", "counts"), FOUND, ids=lambda v: str(v)[:30])
def test_agrees_with_pytorch(options, losses, values, counts):
    optimizer, closure, params = problem(**options)
    assert [optimizer.step(closure).item() for _ in range(4)] == pytest.approx(losses, rel=1e-7)
    assert np.concatenate([p.detach().numpy().ravel() for p in params]) == pytest.approx(values, rel=1e-6)
    state = optimizer.state[params[0]]
    assert (state["func_evals"], state["n_iter"]) == counts


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_a_quadratic_is_solved_in_one_step(search):
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    a, b = t.tensor(root @ root.T / 6 + np.eye(6)), t.tensor(rng.standard_normal(6))
    x = nn.Parameter(t.zeros(6, dtype=t.float64))
    optimizer = optim.LBFGS([x], max_iter=60, max_eval=200, tolerance_change=1e-14, line_search_fn=search)

    def closure():
        optimizer.zero_grad()
        loss = (x * (a @ x)).sum() / 2 - (b * x).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert x.detach().numpy() == pytest.approx(np.linalg.solve(a.numpy(), b.numpy()), abs=1e-6)
    calls = optimizer.state[x]["func_evals"]
    optimizer.step(closure)  # there is nothing left to do
    assert optimizer.state[x]["func_evals"] <= calls + 3


def test_goes_on_from_its_state():
    optimizer, closure, params = problem(line_search_fn="strong_wolfe", max_iter=4)
    optimizer.step(closure)
    other, its_closure, its = problem(line_search_fn="strong_wolfe", max_iter=4)
    for p, q in zip(its, params, strict=True):
        p.detach().copy_(q.detach())
    other.load_state_dict(optimizer.state_dict())
    optimizer.step(closure)
    other.step(its_closure)
    assert all(t.equal(p, q) for p, q in zip(its, params, strict=True))


def test_parameters_without_gradient_stay():
    x, idle = nn.Parameter(t.ones(2)), nn.Parameter(t.ones(3))
    optimizer = optim.LBFGS([x, idle])

    def closure():
        optimizer.zero_grad()
        loss = ((x - 3) ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert np.allclose(x.detach().numpy(), 3, atol=1e-4) and (idle == 1).all()


def test_refusals():
    p, q = nn.Parameter(t.ones(1)), nn.Parameter(t.ones(1))
    with pytest.raises(ValueError, match="one group"):
        optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(ValueError, match="None or 'strong_wolfe', got 'armijo'"):
        optim.LBFGS([p], line_search_fn="armijo")
    with pytest.raises(ValueError, match="history_size must be at least 1"):
        optim.LBFGS([p], history_size=0)
    with pytest.raises(TypeError, match="LBFGS: step needs a closure"):
        optim.LBFGS([p]).step()
