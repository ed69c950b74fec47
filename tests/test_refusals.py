"""What a hostile user passes: each is refused with the rule and the numbers, never with NumPy's own words."""

import numpy as np
import pytest

import tinycnn
import tinycnn.nn.functional as F
from tinycnn import nn, optim
from tinycnn.optim import lr_scheduler

NAN = float("nan")


def x():
    return tinycnn.arange(6.0).reshape(2, 3)


def images():
    return tinycnn.ones(2, 3, 8, 8)


def mask(*shape):
    return tinycnn.ones(shape, dtype=tinycnn.bool)


def wrote(target, key, value):
    target[key] = value


REFUSED = [
    # indices
    (lambda: x()[mask(3)], IndexError, r"mask of shape \(3,\) does not fit dimension 0 of shape \(2, 3\): .* \(2,\)"),
    (lambda: x()[:, mask(2)], IndexError, r"mask of shape \(2,\) does not fit dimension 1 of .*: .*\(3,\)"),
    (lambda: x()[mask(2, 2)], IndexError, r"mask of shape \(2, 2\)"),
    (lambda: wrote(x(), mask(3), 1), IndexError, r"mask of shape \(3,\)"),
    (lambda: x()[0, 5], IndexError, "index 5 is out of bounds for dimension 1 with size 3: .* between -3 and 2"),
    (lambda: x()[True, [0, -3]], IndexError, "index -3 is out of bounds for dimension 0 with size 2"),
    (lambda: x()[0, 0, 0], IndexError, r"too many indices: 3 for a tensor of shape \(2, 3\)"),
    (lambda: x()["a"], IndexError, "an index is made of ints.* got .*'a'"),
    (lambda: x()[1.0], IndexError, "an index is made of ints.* got float 1.0"),
    (lambda: wrote(x(), 0, None), TypeError, "expected a Tensor, a number .* got NoneType"),
    (lambda: wrote(x(), 0, "a"), TypeError, "expected a Tensor, a number .* got str"),
    (lambda: wrote(x(), 0, tinycnn.ones(2)), RuntimeError, r"v: shape \(2,\) cannot become \(3,\)"),
    # nothing to choose from
    (lambda: tinycnn.zeros(0).max(), RuntimeError, r"^max: the tensor of shape \(0,\) is empty.*pass a dim"),
    (lambda: tinycnn.zeros(0).amax(), RuntimeError, "^amax: the tensor"),
    (lambda: tinycnn.zeros(2, 0).amin((0, 1)), RuntimeError, "^amin: the tensor"),
    (lambda: tinycnn.zeros(2, 0).argmax(), IndexError, "^argmax: the tensor"),
    (lambda: tinycnn.zeros(2, 0).amax(1), IndexError, r"amax: shape \(2, 0\) has size 0 along dimension 1"),
    (lambda: tinycnn.zeros(2, 0).argmin(-1), IndexError, r"argmin: shape \(2, 0\) has size 0 along dimension 1"),
    # sizes
    (lambda: tinycnn.empty(2**63), RuntimeError, "empty: a tensor of shape .* fits into no memory"),
    (lambda: tinycnn.zeros(2**40, 2**40), RuntimeError, "zeros: a tensor of shape"),
    (lambda: tinycnn.empty(0, 2**63), RuntimeError, "empty: a tensor of shape"),
    (lambda: tinycnn.rand(2**62), RuntimeError, "rand: a tensor of shape"),
    (lambda: tinycnn.eye(2**40), RuntimeError, "eye: a tensor of shape"),
    (lambda: tinycnn.arange(2**62), RuntimeError, "arange: a tensor of shape"),
    (lambda: tinycnn.linspace(0, 1, 2**62), RuntimeError, "linspace: a tensor of shape"),
    (lambda: tinycnn.Tensor(2**63), TypeError, "product stays below"),
    (lambda: F.pad(x(), (2**62, 0)), RuntimeError, "pad: a tensor of shape"),
    # losses
    (lambda: F.cross_entropy(tinycnn.zeros(2, 0), tinycnn.tensor([0, 0])), IndexError, r"\(2, 0\) have no classes"),
    (lambda: F.cross_entropy(tinycnn.zeros(2, 0), tinycnn.zeros(2, 0)), IndexError, "no classes: dimension 1"),
    (lambda: F.cross_entropy(x(), tinycnn.tensor([0, 1]), ignore_index=1.5), TypeError, "ignore_index must be an int"),
    (lambda: F.cross_entropy(x(), tinycnn.tensor([0, 1]), label_smoothing="a"), TypeError, "must be a number"),
    (lambda: F.smooth_l1_loss(x(), x(), beta=NAN), RuntimeError, "beta must be 0 or more, got nan"),
    (lambda: F.binary_cross_entropy(x() / 10, x()), RuntimeError, r"target must lie in \[0, 1\], got 0.0 to 5.0"),
    (lambda: nn.CrossEntropyLoss(label_smoothing="a"), TypeError, "label_smoothing must be a number"),
    # arguments that are no numbers
    (lambda: F.dropout(x(), None), TypeError, "dropout: p must be a number, got NoneType None"),
    (lambda: nn.Dropout("a"), TypeError, "Dropout: p must be a number, got str 'a'"),
    (lambda: F.leaky_relu(x(), "a"), TypeError, "negative_slope must be a number"),
    (lambda: F.elu(x(), None), TypeError, "alpha must be a number"),
    (lambda: F.celu(x(), "a"), TypeError, "alpha must be a number"),
    (lambda: F.softplus(x(), beta="a"), TypeError, "beta must be a number"),
    (lambda: tinycnn.nan_to_num(x(), nan="a"), TypeError, "nan must be a number"),
    (lambda: F.batch_norm(images(), None, None, training=True, momentum="a"), TypeError, "momentum must be a number"),
    (lambda: nn.BatchNorm2d(3, eps=None), TypeError, "eps must be a number"),
    (lambda: nn.BatchNorm2d(3, momentum="a"), TypeError, "momentum must be a number"),
    (lambda: nn.init.normal_(x(), std="a"), TypeError, "std must be a number"),
    (lambda: nn.init.uniform_(x(), NAN, 1), ValueError, r"interval \[nan, 1\]"),
    (lambda: nn.utils.clip_grad_norm_([x()], "a"), TypeError, "max_norm must be a number"),
    (lambda: nn.utils.clip_grad_value_([x()], None), TypeError, "clip_value must be a number"),
    (lambda: x().scatter(0, tinycnn.tensor([[0]]), "a"), TypeError, "scatter: expected a number, got str"),
    (lambda: F.pad(x(), (1, 1), value="a"), TypeError, "pad: expected a number, got str"),
    (lambda: F.pad(x().long(), (1, 1), value=NAN), RuntimeError, "pad: nan does not fit into int64"),
    # ... or no ints
    (lambda: F.layer_norm(x(), None), TypeError, "sizes must be ints, got None"),
    (lambda: nn.LayerNorm(2.5), TypeError, "LayerNorm: sizes must be ints, got 2.5"),
    (lambda: nn.RMSNorm(-1), RuntimeError, r"RMSNorm: sizes must not be negative, got \(-1,\)"),
    (lambda: F.group_norm(images(), 1.5), TypeError, "num_groups must be an int, got float 1.5"),
    (lambda: nn.GroupNorm(0, 3), ValueError, "num_groups must be at least 1, got 0"),
    (lambda: nn.Embedding(3, 2, padding_idx=1.5), TypeError, "padding_idx must be an int"),
    (lambda: F.embedding(tinycnn.tensor([0]), x(), padding_idx=0.5), TypeError, "padding_idx must be an int"),
    (lambda: F.one_hot(tinycnn.tensor([0]), 2.5), TypeError, "num_classes must be an int"),
    (lambda: F.pad(x(), 1), TypeError, "pad: expected a sequence"),
    (lambda: nn.ZeroPad2d(1.5), TypeError, "ZeroPad2d: sizes must be ints, got 1.5"),
    (lambda: F.interpolate(images(), size=2.5), TypeError, "interpolate: sizes must be ints, got 2.5"),
    (lambda: F.interpolate(images(), scale_factor="a"), TypeError, "scale_factor must be a number"),
    (lambda: F.interpolate(images(), scale_factor=NAN), ValueError, "scale_factor must be finite, got nan"),
    (lambda: x().narrow(0, 0.5, 1), TypeError, "narrow: start must be an int"),
    (lambda: x().narrow(0, 0, 1.0), TypeError, "narrow: length must be an int"),
    (lambda: x().split(2.0), TypeError, "split: the size of a part must be an int"),
    (lambda: x().chunk(2.5), TypeError, "chunk: chunks must be an int"),
    (lambda: x().roll(1.5), TypeError, "roll: sizes must be ints, got 1.5"),
    (lambda: x().topk(2.5), TypeError, "topk: k must be an int"),
    (lambda: x().tril(1.5), TypeError, "tril: diagonal must be an int"),
    (lambda: x().triu(True), TypeError, "triu: diagonal must be an int, got bool"),
    (lambda: tinycnn.round(x(), decimals=1.5), TypeError, "round: decimals must be an int"),
    # something else than it takes
    (lambda: x().flip(), TypeError, "flip: the dimensions are missing"),
    (lambda: x().masked_select(mask(2, 2)), RuntimeError, r"masked_select: shapes \(2, 3\) and \(2, 2\)"),
    (lambda: x().masked_scatter(mask(2, 2), x()), RuntimeError, "masked_scatter: shapes"),
    (lambda: nn.InstanceNorm2d(3)(None), TypeError, "InstanceNorm2d: expected a Tensor, got NoneType"),
    (lambda: nn.ModuleList(5), TypeError, "ModuleList: expected a list of modules, got int"),
    (lambda: lr_scheduler.LambdaLR(optim.SGD([x()], 0.1), 5), TypeError, "LambdaLR: expected a function"),
    (lambda: lr_scheduler.MultiStepLR(optim.SGD([x()], 0.1), 5), TypeError, "milestones must be a list"),
    (lambda: optim.SGD([x()], 0.1).load_state_dict({}), ValueError, "SGD: expected what state_dict\\(\\) returns"),
    (lambda: optim.SGD([x()], 0.1).load_state_dict(None), ValueError, "SGD: expected what state_dict"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_it_is_refused_in_words(case):
    call, kind, text = REFUSED[case]
    with pytest.raises(kind, match=text):
        call()


def read_only():
    array = np.ones(3, np.float32)
    array.flags.writeable = False
    return tinycnn.from_numpy(array)


WRITERS = {
    "add_": lambda t: t.add_(1),
    "fill_": lambda t: t.fill_(1),
    "x[...] = v": lambda t: wrote(t, 0, 1),
    "SGD.step": lambda t: step(optim.SGD, t),
    "Adam.step": lambda t: step(optim.Adam, t),
    "Adagrad.step": lambda t: step(optim.Adagrad, t),
    "Rprop.step": lambda t: step(optim.Rprop, t),
    "vector_to_parameters": lambda t: nn.utils.vector_to_parameters(tinycnn.zeros(3), [t]),
    "clip_grad_value_": lambda t: nn.utils.clip_grad_value_(graded(t), 0.5),
    "clip_grad_norm_": lambda t: nn.utils.clip_grad_norm_(graded(t), 0.5),
    "batch_norm": lambda t: F.batch_norm(images(), t, tinycnn.ones(3), training=True),
}


def step(kind, t):
    p = nn.Parameter(t)
    p.grad = tinycnn.ones(3)
    kind([p], lr=0.1).step()


def graded(t):
    p = tinycnn.zeros(3, requires_grad=True)
    p.grad = t
    return p


@pytest.mark.parametrize("name", WRITERS)
def test_read_only_memory_is_named_by_every_writer(name):
    t = read_only()
    with pytest.raises(
        RuntimeError, match=r"memory of this tensor of shape \(3,\) is read-only.* clone\(\) it"
    ) as error:
        WRITERS[name](t)
    assert str(error.value).startswith(name) and t.tolist() == [1, 1, 1] and t._version == 0


def test_what_is_no_number_is_not_equal():
    for other in (None, "a", [0.0], object()):
        assert not (x() == other) and x() != other
    assert (x() == np.float32(1)).sum() == 1 and (x() == np.arange(3)).sum() == 3


def test_saving_names_the_path_that_was_asked_for(tmp_path):
    path = tmp_path / "missing" / "net.pt"
    with pytest.raises(FileNotFoundError, match="save: there is no folder .*missing.*net.pt") as error:
        tinycnn.save(x(), path)
    assert ".part" not in str(error.value)
    with pytest.raises(OSError, match="save: ") as error:
        tinycnn.save(x(), tmp_path)  # a folder
    assert ".part" not in str(error.value)


def test_pooling_to_no_size_at_all():
    assert F.adaptive_max_pool2d(images(), 0).shape == (2, 3, 0, 0)
