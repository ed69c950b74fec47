"""Backward hooks, hooks on all modules, hooks around the state, and the containers of parameters."""

import copy

import numpy as np
import pytest

import tinycnn as t
from tinycnn import nn
from tinycnn.nn.modules.module import register_module_forward_hook, register_module_full_backward_hook


def test_backward_hooks_see_and_change_gradients():
    lin = nn.Linear(2, 2, bias=False)
    with t.no_grad():
        lin.weight.copy_(t.eye(2))
    seen = []
    lin.register_full_backward_pre_hook(lambda m, grad: (grad[0] * 2,))
    lin.register_full_backward_hook(lambda m, before, after: seen.append((m, before, after)))
    lin.register_full_backward_hook(lambda m, before, after: (before[0] + 1,))
    x = t.ones(1, 2, requires_grad=True)
    lin(x).sum().backward()
    assert seen[0][0] is lin and seen[0][1][0].tolist() == [[2, 2]] and seen[0][2][0].tolist() == [[2, 2]]
    assert x.grad.tolist() == [[3, 3]] and lin.weight.grad.tolist() == [[2, 2], [2, 2]]


def test_a_backward_hook_without_a_gradient_at_the_input():
    lin, seen = nn.Linear(2, 1), []
    handle = lin.register_full_backward_hook(lambda m, before, after: seen.append((before, len(after))))
    lin(t.ones(3, 2)).sum().backward()
    assert seen == [((None,), 1)]
    handle.remove()
    lin(t.ones(3, 2)).sum().backward()
    assert len(seen) == 1


def test_backward_hooks_with_several_inputs_and_outputs():
    class Two(nn.Module):
        def forward(self, a, b, c):
            return a * b, b + c

    two, seen = Two(), []
    two.register_full_backward_hook(lambda m, before, after: seen.append((before, after)))
    a, b = t.tensor(2.0, requires_grad=True), t.tensor(3.0, requires_grad=True)
    first, _ = two(a, b, 1)
    first.backward()
    (before, after), *_ = seen
    assert [g if g is None else g.item() for g in before] == [3, 2, None]
    assert after[0].item() == 1 and after[1] is None and a.grad.item() == 3
    two.register_full_backward_hook(lambda m, before, after: (before[0],))
    with pytest.raises(RuntimeError, match="one gradient for each input, 3; got 1"):
        two(a, b, 1)[0].backward()


def test_hooks_on_all_modules():
    names, back = [], []
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    with register_module_forward_hook(lambda m, args, out: names.append(type(m).__name__)):
        model(t.ones(1, 2))
    assert names == ["Linear", "Tanh", "Sequential"]
    with register_module_full_backward_hook(lambda m, before, after: back.append(type(m).__name__)):
        model(t.ones(1, 2, requires_grad=True)).sum().backward()
    assert back == ["Tanh", "Linear", "Sequential"]
    model(t.ones(1, 2)).sum().backward()
    assert len(names) == len(back) == 3


def test_always_call_runs_after_an_error():
    class Fails(nn.Module):
        def forward(self):
            raise ValueError("no")

    module, seen = Fails(), []
    module.register_forward_hook(lambda m, args, out: seen.append("usual"))
    module.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(ValueError, match="no"):
        module()
    assert seen == [None]
    with pytest.raises(TypeError, match="must be callable"):
        module.register_forward_hook(3)


def test_extra_state_goes_along():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.count = 0

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    model = nn.Sequential(nn.Linear(1, 1), Counts())
    model[1].count = 7
    state = model.state_dict()
    assert state["1._extra_state"] == {"count": 7}
    fresh = nn.Sequential(nn.Linear(1, 1), Counts())
    fresh.load_state_dict(state)
    assert fresh[1].count == 7
    del state["1._extra_state"]
    with pytest.raises(RuntimeError, match='Missing key.*"1._extra_state"'):
        fresh.load_state_dict(state)


def test_state_hooks():
    class Renamed(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *rest):
            if prefix + "kernel" in state_dict:
                state_dict[prefix + "weight"] = state_dict.pop(prefix + "kernel")
            super()._load_from_state_dict(state_dict, prefix, *rest)

    model, seen = nn.Sequential(Renamed(1, 1, bias=False)), []
    given = {"0.kernel": t.full((1, 1), 4.0)}
    model.register_load_state_dict_post_hook(lambda m, keys: seen.append(keys))
    model.load_state_dict(given)
    assert model[0].weight.item() == 4 and list(given) == ["0.kernel"] and seen == [([], [])]
    model.register_load_state_dict_pre_hook(lambda m, state, prefix, *rest: state.pop("junk"))
    model.load_state_dict({"0.weight": t.zeros(1, 1), "junk": 1})
    model._register_state_dict_hook(lambda m, state, prefix, meta: {prefix + k: v for k, v in state.items()})
    assert list(model.state_dict()) == ["0.weight"] and list(model.state_dict(None, "a.")) == ["a.a.0.weight"]


def test_load_with_assign_holds_the_given_tensors():
    lin = nn.Linear(2, 1)
    state = {"weight": t.ones(1, 2, dtype=t.float64), "bias": nn.Parameter(t.zeros(1))}
    lin.load_state_dict(state, assign=True)
    assert lin.weight.dtype is t.float64 and lin.weight.array is state["weight"].array and lin.bias is state["bias"]
    assert isinstance(lin.weight, nn.Parameter) and lin.weight.requires_grad


def test_buffers_by_assignment():
    module = nn.Module()
    module.kept, module.scratch = nn.Buffer(t.ones(2)), nn.Buffer(t.ones(2), persistent=False)
    assert [n for n, _ in module.named_buffers()] == ["kept", "scratch"] and list(module.state_dict()) == ["kept"]
    with pytest.raises(TypeError, match="Buffer: expected a Tensor"):
        nn.Buffer([1.0])


def test_to_empty_type_and_refusals():
    lin = nn.Linear(2, 1)
    assert lin.to_empty(device="cpu") is lin and lin.weight.shape == (1, 2)
    assert lin.type(t.float64).weight.dtype is t.float64
    with pytest.raises(TypeError, match="bfloat16"):
        lin.bfloat16()
    with pytest.raises(RuntimeError, match="one process"):
        lin.share_memory()


def test_sequential_adds_and_repeats():
    a, b = nn.Linear(2, 2), nn.ReLU()
    both = nn.Sequential(a) + nn.Sequential(b)
    assert list(both) == [a, b] and list(both * 2) == [a, b, a, b] == list(2 * both)
    both += nn.Sequential(nn.Tanh())
    both *= 2
    assert len(both) == 6 and both[3] is a
    for wrong in (lambda: both + [a], lambda: both * 0):
        with pytest.raises(ValueError, match="Sequential"):
            wrong()
    with pytest.raises(IndexError, match="out of range"):
        both.insert(99, b)
    assert len(nn.ModuleList([a]) + nn.ModuleList([b])) == 2


def test_equal_neighbours_of_a_module_list_are_shown_once():
    shown = repr(nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Sequential(nn.Tanh())]))
    assert shown == "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Sequential(\n    (0): Tanh()\n  )\n)"
    assert repr(nn.ModuleList()) == "ModuleList()"


def test_parameter_list():
    values = nn.ParameterList([t.ones(2), nn.Parameter(t.zeros(1, 3))])
    values.append(t.tensor([1, 2])).append("a word")
    values += [t.ones(1)]
    assert [n for n, _ in values.named_parameters()] == ["0", "1", "2", "4"] and len(values) == 5
    assert isinstance(values[0], nn.Parameter) and values[3] == "a word" and values[-1] is values[4]
    assert len(values[1:3]) == 2 and values[1:3][0] is values[1] and not values[2].requires_grad
    assert repr(values).splitlines()[2:5] == [
        "    (1): Parameter containing: [tinycnn.float32 of size 1x3]",
        "    (2): Parameter containing: [tinycnn.int64 of size 2]",
        "    (3): Object of type: str",
    ]
    with pytest.raises(IndexError, match="out of range, there are 5"):
        values[5]
    with pytest.raises(TypeError, match="expected a list"):
        values.extend(t.ones(2))


def test_parameter_dict():
    values = nn.ParameterDict({"a": t.ones(2)})
    values["b"] = nn.Parameter(t.zeros(1))
    values.update({"c": t.ones(1)})
    assert list(values) == ["a", "b", "c"] == list(values.keys()) and "b" in values and values.get("z", 4) == 4
    assert values.pop("b").shape == (1,) and list(dict(values.named_parameters())) == ["a", "c"]
    assert values.popitem()[0] == "c" and len(values | nn.ParameterDict({"q": t.ones(1)})) == 2
    assert values.setdefault("n", t.ones(1)) is values["n"]
    assert list(copy.deepcopy(values).state_dict()) == ["a", "n"]
    with pytest.raises(KeyError, match="method"):
        values["forward"] = t.ones(1)
    values.clear()
    assert len(values) == 0 and repr(values) == "ParameterDict()"


def test_a_hooked_model_trains_to_the_same_gradients():
    plain = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    hooked = copy.deepcopy(plain)
    for module in hooked.modules():
        module.register_full_backward_hook(lambda *_: None)
        module.register_full_backward_pre_hook(lambda *_: None)
    x = t.randn(5, 3)
    for model in (plain, hooked):
        model(x).square().sum().backward()
    for p, q in zip(plain.parameters(), hooked.parameters(), strict=True):
        assert np.array_equal(p.grad.numpy(), q.grad.numpy())


def test_a_module_sees_its_version_while_loading():
    class Versioned(nn.Linear):
        _version = 2

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
            assert local_metadata["version"] == 2
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    Versioned(1, 1).load_state_dict(nn.Linear(1, 1).state_dict())


def test_batch_norm_of_volumes():
    norm, x = nn.BatchNorm3d(2), t.randn(2, 2, 3, 4, 5)
    flat = nn.BatchNorm1d(2)
    assert np.allclose(norm(x).detach().numpy().reshape(2, 2, 60), flat(x.reshape(2, 2, 60)).detach().numpy())
    with pytest.raises(ValueError, match="BatchNorm3d"):
        norm(x[0])
