"""Module: bookkeeping, names, state, hooks, repr."""

import copy
from collections import OrderedDict

import numpy as np
import pytest

import tinycnn as t
from tinycnn import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(2, 3)
        self.norm = nn.BatchNorm2d(3)
        self.scale = nn.Parameter(t.ones(3))
        self.register_buffer("seen", t.zeros(2))
        self.register_buffer("scratch", t.zeros(2), persistent=False)

    def forward(self, x, twice=False):
        return self.lin(x) * self.scale * (2 if twice else 1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.layers = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
        self.layers[2].weight = self.layers[0].weight  # tied
        self.nothing = None

    def forward(self, x):
        return self.layers(self.first(x))


# -- bookkeeping ------------------------------------------------------------------------------------------------------


def test_names_come_in_order_and_tied_parameters_once():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "first.scale",
        "first.lin.weight",
        "first.lin.bias",
        "first.norm.weight",
        "first.norm.bias",
        "layers.0.weight",
        "layers.0.bias",
        "layers.2.bias",
    ]
    assert len(list(net.parameters())) == 8
    assert "layers.2.weight" in dict(net.named_parameters(remove_duplicate=False))
    assert [n for n, _ in net.first.named_parameters(prefix="p", recurse=False)] == ["p.scale"]
    assert [n for n, _ in net.first.named_buffers()] == [
        "seen",
        "scratch",
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
    ]
    assert len(list(net.buffers())) == 5
    assert [n for n, _ in net.named_children()] == ["first", "layers"]
    assert [n for n, _ in net.named_modules()] == [
        "",
        "first",
        "first.lin",
        "first.norm",
        "layers",
        "layers.0",
        "layers.1",
        "layers.2",
    ]
    assert list(net.children()) == [net.first, net.layers]
    assert sum(1 for _ in net.modules()) == 8


def test_a_shared_module_is_listed_once():
    shared = nn.Linear(2, 2)
    both = nn.Sequential(shared, shared)
    assert len(list(both.modules())) == 2 and len(list(both.children())) == 1
    assert len(list(both.parameters())) == 2 and len(both) == 2
    assert [n for n, _ in both.named_modules(remove_duplicate=False)] == ["", "0", "1"]


def test_lookup_by_dotted_name():
    net = Net()
    assert net.get_submodule("layers.0") is net.layers[0] and net.get_submodule("") is net
    assert net.get_parameter("first.lin.weight") is net.first.lin.weight
    assert net.get_buffer("first.seen") is net.first.seen
    with pytest.raises(AttributeError, match="did you mean 'lin'"):
        net.get_submodule("first.line")
    with pytest.raises(AttributeError, match="is a Parameter, not an nn.Module"):
        net.get_submodule("first.scale")
    with pytest.raises(AttributeError, match="is not a parameter of Block"):
        net.get_parameter("first.seen")
    with pytest.raises(AttributeError, match="has no attribute"):
        net.get_buffer("first.unheard")


def test_a_missing_attribute_names_the_module_and_the_nearest_name():
    net = Net()
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'frist'; did you mean 'first'"):
        net.frist  # noqa: B018
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'zzzzzz'$"):
        net.zzzzzz  # noqa: B018
    assert not hasattr(net, "typo")  # minitorch answers None


def test_a_property_that_fails_is_named():
    class Broken(nn.Module):
        @property
        def size(self):
            return self.absent

    with pytest.raises(AttributeError, match="property 'size' itself raised"):
        Broken().size  # noqa: B018


def test_assigning_before_init_is_explained():
    class Early(nn.Module):
        def __init__(self, what):
            self.thing = what
            super().__init__()

    for what in (nn.Linear(1, 1), nn.Parameter(t.zeros(1))):
        with pytest.raises(AttributeError, match=r"Early: call super\(\).__init__\(\) before assigning"):
            Early(what)

    class Never(nn.Module):
        def __init__(self):
            pass

    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\)"):
        Never()(1)
    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\)"):
        Never().register_buffer("b", t.zeros(1))


def test_attributes_move_between_kinds():
    m = nn.Module()
    m.a = 3
    m.a = nn.Parameter(t.zeros(2))
    assert "a" not in m.__dict__ and list(dict(m.named_parameters())) == ["a"]
    m.a = nn.Linear(1, 1)
    assert list(m._parameters) == [] and list(m._modules) == ["a"]
    m.a = None
    assert m.a is None and list(m.parameters()) == []
    del m.a
    assert not hasattr(m, "a")
    m.register_buffer("b", t.zeros(2), persistent=False)
    m.b = t.ones(3)
    assert m.b.tolist() == [1, 1, 1] and m.state_dict() == {}
    del m.b
    m.register_buffer("b", t.zeros(2))
    assert list(m.state_dict()) == ["b"]
    m.plain = 5
    del m.plain
    with pytest.raises(AttributeError):
        del m.plain


def test_dir_lists_parameters_and_modules():
    names = dir(Net())
    assert {"first", "layers", "forward", "training"} <= set(names)
    assert "0" not in dir(nn.Sequential(nn.ReLU()))


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (lambda m: setattr(m, "lin", 3), TypeError, "cannot assign a int to module 'lin'"),
        (lambda m: setattr(m, "scale", t.zeros(3)), TypeError, "cannot assign a Tensor to parameter 'scale'"),
        (lambda m: setattr(m, "seen", 3), TypeError, "expected a Tensor or None"),
        (lambda m: m.register_parameter("a.b", None), KeyError, 'nor contain "."'),
        (lambda m: m.register_parameter("", None), KeyError, "must not be empty"),
        (lambda m: m.register_parameter(3, None), TypeError, "must be a str"),
        (lambda m: m.register_parameter("p", t.zeros(1)), TypeError, "expected an nn.Parameter or None, got Tensor"),
        (lambda m: m.register_parameter("forward", None), KeyError, "already exists"),
        (lambda m: m.register_buffer("scale", t.zeros(1)), KeyError, "already exists"),
        (lambda m: m.register_buffer("b", 3), TypeError, "expected a Tensor or None, got int"),
        (lambda m: m.add_module("x", 3), TypeError, "expected an nn.Module or None, got int"),
        (lambda m: m.add_module("training", nn.ReLU()), KeyError, "already exists"),
        (lambda m: m.train(1), ValueError, "must be a bool"),
    ],
)
def test_refusals(act, error, text):
    with pytest.raises(error, match=text):
        act(Block())


def test_a_computed_parameter_is_refused():
    p = nn.Parameter(t.ones(2))
    p.grad_fn = (nn.Parameter(t.ones(2)) * 2).grad_fn
    with pytest.raises(ValueError, match="must be a leaf"):
        nn.Module().register_parameter("p", p)


def test_forward_must_be_defined():
    with pytest.raises(TypeError, match="Module needs a method forward"):
        nn.Module()(1)


# -- parameter --------------------------------------------------------------------------------------------------------


def test_parameter_shares_memory_and_drops_history():
    x = t.zeros(3)
    p = nn.Parameter(x)
    x[0] = 5.0
    assert p.tolist() == [5, 0, 0] and p.requires_grad and p.is_leaf and isinstance(p, t.Tensor)
    q = nn.Parameter(p * 2, requires_grad=False)
    assert q.grad_fn is None and not q.requires_grad
    assert nn.Parameter().shape == (0,)
    assert repr(nn.Parameter(t.ones(1))) == "Parameter containing:\ntensor([1.], requires_grad=True)"
    with pytest.raises(TypeError, match="expected a Tensor, got list"):
        nn.Parameter([1.0])
    with pytest.raises(RuntimeError, match="floating"):
        nn.Parameter(t.tensor([1]))
    nn.Parameter(t.tensor([1]), requires_grad=False)


# -- state ------------------------------------------------------------------------------------------------------------


def test_state_dict_is_ordered_detached_and_shares_memory():
    net = Net()
    state = net.state_dict()
    assert list(state) == [
        "first.scale",
        "first.seen",
        "first.lin.weight",
        "first.lin.bias",
        "first.norm.weight",
        "first.norm.bias",
        "first.norm.running_mean",
        "first.norm.running_var",
        "first.norm.num_batches_tracked",
        "layers.0.weight",
        "layers.0.bias",
        "layers.2.weight",
        "layers.2.bias",
    ]
    assert isinstance(state, OrderedDict) and not any(v.requires_grad for v in state.values())
    state["first.scale"][1] = 7.0
    assert net.first.scale[1].item() == 7
    assert net.state_dict(keep_vars=True)["first.scale"] is net.first.scale
    more = nn.Linear(1, 1).state_dict(destination={"old": 1}, prefix="p.")
    assert list(more) == ["old", "p.weight", "p.bias"]


def test_load_copies_and_converts():
    source, target = Net().double(), Net()
    kept = target.first.lin.weight
    result = target.load_state_dict(source.state_dict())
    assert result == ([], []) and result.missing_keys == [] and repr(result) == "<All keys matched successfully>"
    assert target.first.lin.weight is kept and kept.dtype is t.float32 and kept.requires_grad
    for (name, a), b in zip(source.state_dict().items(), target.state_dict().values(), strict=True):
        assert np.array_equal(a.numpy().astype(b.numpy().dtype), b.numpy()), name
        assert a.array is not b.array
    target.load_state_dict(target.state_dict())  # onto itself


def test_load_lists_every_mismatch_and_changes_nothing():
    net = Net()
    state = net.state_dict()
    before = {k: v.numpy().copy() for k, v in state.items()}
    broken = OrderedDict((k, t.full(tuple(v.shape), 9.0)) for k, v in state.items())
    del broken["first.seen"], broken["layers.0.bias"]
    broken["extra"], broken["more.weight"] = t.zeros(1), t.zeros(1)
    broken["first.lin.weight"] = t.zeros(2, 3)
    broken["first.scale"] = t.zeros(1)  # would broadcast (PyTorch issue 8282)
    broken["first.lin.bias"] = [1.0, 2.0, 3.0]
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(broken)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "first.seen", "layers.0.bias". \n'
        '\tUnexpected key(s) in state_dict: "extra", "more.weight". \n'
        "\tsize mismatch for first.scale: copying a param with shape tinycnn.Size([1]) from checkpoint, "
        "the shape in current model is tinycnn.Size([3]).\n"
        "\tsize mismatch for first.lin.weight: copying a param with shape tinycnn.Size([2, 3]) from checkpoint, "
        "the shape in current model is tinycnn.Size([3, 2]).\n"
        "\tfirst.lin.bias: expected a Tensor in state_dict, got list."
    )
    assert all(np.array_equal(before[k], v.numpy()) for k, v in net.state_dict().items())
    with pytest.raises(RuntimeError, match="size mismatch"):
        net.load_state_dict(broken, strict=False)
    assert all(np.array_equal(before[k], v.numpy()) for k, v in net.state_dict().items())
    with pytest.raises(TypeError, match="expected a dict of tensors, got list"):
        net.load_state_dict([1])
    with pytest.raises(RuntimeError, match="size mismatch"):
        nn.BatchNorm2d(2).load_state_dict({**nn.BatchNorm2d(2).state_dict(), "num_batches_tracked": t.zeros(1)})


def test_load_not_strict_loads_what_fits():
    lin = nn.Linear(2, 1)
    bias = lin.bias.item()
    result = lin.load_state_dict({"weight": t.ones(1, 2), "other": t.ones(1)}, strict=False)
    assert result.missing_keys == ["bias"] and result.unexpected_keys == ["other"]
    assert repr(result) == "IncompatibleKeys(missing_keys=['bias'], unexpected_keys=['other'])"
    assert lin.weight.tolist() == [[1, 1]] and lin.bias.item() == bias


def test_load_recognises_the_prefix_of_data_parallel():
    lin = nn.Linear(2, 1)
    with pytest.raises(RuntimeError, match='All keys begin with "module."'):
        lin.load_state_dict({"module." + k: v for k, v in lin.state_dict().items()})


def test_loading_is_seen_by_the_version_check():
    lin = nn.Linear(2, 2)
    x = t.ones(1, 2, requires_grad=True)
    loss = lin(x).sum()
    lin.load_state_dict(nn.Linear(2, 2).state_dict())
    with pytest.raises(RuntimeError, match="overwritten by an in-place"):
        loss.backward()


def test_train_and_eval_reach_everything_and_leave_gradients_on():
    net = Net()
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert t.is_grad_enabled() and net(t.ones(1, 2)).requires_grad  # PyDyNet's eval() turns gradients off
    net.train()
    assert all(m.training for m in net.modules())


def test_requires_grad_and_zero_grad():
    net = Net()
    net(t.ones(4, 2)).sum().backward()
    grad = net.first.scale.grad
    net.zero_grad(set_to_none=False)
    assert net.first.scale.grad is grad and grad.tolist() == [0, 0, 0]
    assert net.first.norm.weight.grad is None  # it never had one
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert net.requires_grad_(False) is net and not any(p.requires_grad for p in net.parameters())


def test_to_keeps_the_parameter_objects():
    net = Net()
    before = list(net.parameters())
    net(t.ones(4, 2)).sum().backward()
    assert net.double() is net
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert {p.dtype for p in net.parameters()} == {t.float64} and net.first.scale.grad.dtype is t.float64
    assert net.first.norm.running_mean.dtype is t.float64 and net.first.norm.num_batches_tracked.dtype is t.int64
    assert net.layers[0].weight is net.layers[2].weight
    assert net(t.ones(1, 2, dtype=t.float64)).dtype is t.float64
    net.to("cpu", t.float32).to(t.zeros(1, dtype=t.float64)).to(t.device("cpu"), dtype=t.float32)
    assert net.first.scale.dtype is t.float32 and net.cpu().float() is net
    assert net.half().first.scale.dtype is t.float16
    for wrong in (t.int64, int):
        with pytest.raises(TypeError, match="floating-point dtype"):
            net.to(wrong)
    with pytest.raises(TypeError, match="expected a device"):
        net.to(3.5)
    with pytest.raises(RuntimeError, match="cuda"):
        net.cuda()
    with pytest.raises(RuntimeError, match="cuda"):
        net.cuda(1)


def test_apply_goes_bottom_up():
    order = []
    net = Net()
    assert net.apply(lambda m: order.append(type(m).__name__)) is net
    assert order == ["Linear", "BatchNorm2d", "Block", "Linear", "ReLU", "Linear", "Sequential", "Net"]


def test_deepcopy_is_independent_and_keeps_ties():
    net = Net()
    twin = copy.deepcopy(net)
    assert twin.layers[0].weight is twin.layers[2].weight is not net.layers[0].weight
    with t.no_grad():
        twin.first.scale.fill_(5)
    assert net.first.scale.tolist() == [1, 1, 1] and isinstance(twin.first.scale, nn.Parameter)


# -- hooks ------------------------------------------------------------------------------------------------------------


def test_hooks_see_and_change_input_and_output():
    lin = nn.Identity()
    seen = []
    a = lin.register_forward_pre_hook(lambda m, args: seen.append(("pre", m is lin, args)))
    b = lin.register_forward_pre_hook(lambda m, args: args[0] + 1)
    c = lin.register_forward_hook(lambda m, args, out: out * 10)
    d = lin.register_forward_hook(lambda m, args, out: seen.append(("post", args, out)))
    assert lin(1) == 20
    assert seen == [("pre", True, (1,)), ("post", (2,), 20)]
    for handle in (a, b, c, d):
        handle.remove()
        handle.remove()  # twice does no harm
    assert lin(1) == 1 and len(seen) == 2


def test_hooks_with_kwargs_and_prepend():
    block = Block()
    x = t.ones(1, 2)
    once, calls = block(x), []
    with_kwargs = block.register_forward_pre_hook(lambda m, args, kwargs: (args, {"twice": True}), with_kwargs=True)
    block.register_forward_hook(lambda m, args, kwargs, out: calls.append(kwargs), with_kwargs=True)
    block.register_forward_hook(lambda m, args, out: calls.append("first"), prepend=True)
    assert np.allclose(block(x).detach().numpy(), 2 * once.detach().numpy())
    assert calls == ["first", {"twice": True}]
    with_kwargs.remove()
    block.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"must return None or \(args, kwargs\)"):
        block(x)


def test_a_hook_may_remove_itself():
    m = nn.Identity()
    handle = m.register_forward_hook(lambda *_: handle.remove())
    assert m(3) == 3 and m(4) == 4


# -- containers -------------------------------------------------------------------------------------------------------


def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    seq = nn.Sequential(a, b, c)
    assert len(seq) == 3 and list(seq) == [a, b, c] and seq[-1] is c and seq[np.int64(1)] is b
    assert list(seq[1:]._modules) == ["1", "2"] and seq[:2][0] is a and isinstance(seq[:2], nn.Sequential)
    x = t.ones(5, 2)
    assert np.array_equal(seq(x).detach().numpy(), c(b(a(x))).detach().numpy())
    named = nn.Sequential(OrderedDict(first=a, second=b))
    assert named.first is a and list(named.state_dict()) == ["first.weight", "first.bias"]
    assert nn.Sequential()(3) == 3
    seq[1] = nn.Tanh()
    assert isinstance(seq[1], nn.Tanh)
    assert seq.append(nn.ReLU()) is seq and len(seq) == 4
    del seq[1]
    assert list(seq._modules) == ["0", "1", "2"] and seq[1] is c
    seq.insert(0, nn.Flatten()).extend([nn.ReLU(), nn.Tanh()])
    assert [type(m).__name__ for m in seq] == ["Flatten", "Linear", "Linear", "ReLU", "ReLU", "Tanh"]
    assert isinstance(seq.pop(), nn.Tanh)
    del seq[3:]
    assert len(seq) == 3


def test_sequential_refusals():
    seq = nn.Sequential(nn.Linear(2, 3))
    for bad in (1, -2):
        with pytest.raises(IndexError, match="index -?[12] is out of range, there are 1 modules"):
            seq[bad]
    with pytest.raises(TypeError, match="expected an nn.Module or None, got int"):
        nn.Sequential(3)
    with pytest.raises(TypeError, match="insert: expected an nn.Module"):
        seq.insert(0, 3)
    with pytest.raises(TypeError):
        seq["a"]
    with pytest.raises(RuntimeError) as caught:
        nn.Sequential(nn.ReLU(), seq)(t.zeros(1, 5))
    assert caught.value.__notes__ == [
        "raised by module (0) of Sequential: Linear(in_features=2, out_features=3, bias=True)",
        "raised by module (1) of Sequential: Sequential(",
    ]


def test_module_list_and_dict():
    items = nn.ModuleList([nn.Linear(1, 2), nn.ReLU()])
    items += [nn.Tanh()]
    items.append(nn.Flatten()).insert(0, nn.Identity())
    assert [type(m).__name__ for m in items] == ["Identity", "Linear", "ReLU", "Tanh", "Flatten"]
    assert isinstance(items[1:3], nn.ModuleList) and list(items[1:3]._modules) == ["0", "1"]
    assert [n for n, _ in items.named_parameters()] == ["1.weight", "1.bias"] and items[1] in items
    with pytest.raises(TypeError, match="needs a method forward"):
        items(1)
    table = nn.ModuleDict({"a": nn.ReLU()})
    table["b"] = nn.Linear(1, 1)
    table.update([("c", nn.Tanh())])
    assert list(table) == list(table.keys()) == ["a", "b", "c"] and "b" in table and len(table) == 3
    assert table["b"] is dict(table.items())["b"] is list(table.values())[1]
    assert isinstance(table.pop("a"), nn.ReLU) and "a" not in table
    del table["c"]
    with pytest.raises(KeyError):
        table["c"]
    table.clear()
    assert len(table) == 0


def test_repr_is_nested():
    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)
            self.rest = nn.Sequential(nn.ReLU(), nn.Flatten())

        def extra_repr(self):
            return "kind=3"

    assert repr(Small()) == (
        "Small(\n"
        "  kind=3\n"
        "  (conv): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))\n"
        "  (rest): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Flatten(start_dim=1, end_dim=-1)\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Module()) == "Module()" and repr(nn.Sequential()) == "Sequential()"


def test_a_weight_that_is_no_parameter_is_used():
    """Weight normalization and its like take the parameter out and put a computed tensor in its place."""
    x = t.ones(1, 2, 3, 3)
    for layer, input in ((nn.Conv2d(2, 1, 3), x), (nn.Linear(3, 1), x)):
        given = layer._parameters.pop("weight")
        layer.weight = given * 0 + 2.0
        layer.bias = None
        expected = 36.0 if layer.weight.ndim == 4 else 6.0
        assert (layer(input) == expected).all() and layer(input).requires_grad


def test_layers_see_a_weight_that_is_an_ordinary_attribute():
    layer, x = nn.Linear(3, 2), t.randn(4, 3)
    before, weight = layer(x), layer.weight
    del layer.weight
    layer.weight = weight * 2
    twice = layer(x)
    assert np.allclose((twice - layer.bias).tolist(), (2 * (before - layer.bias)).tolist(), atol=1e-6)
    twice.sum().backward()
    assert weight.grad is not None
