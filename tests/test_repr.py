"""What is printed, and memory shared with other libraries."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import tinycnn as t

GOLDEN = Path(__file__).parent / "golden"
sys.path.insert(0, str(GOLDEN))
from repr_cases import CASES  # noqa: E402

sys.path.pop(0)
SHOWN = json.loads((GOLDEN / "repr.json").read_text())


@pytest.mark.parametrize("name", CASES)
def test_tensors_look_as_in_pytorch(name):
    assert repr(eval(CASES[name], {"t": t})) == SHOWN[name]


def test_options():
    before = t.get_printoptions()
    try:
        t.set_printoptions(precision=2, edgeitems=2, threshold=20, linewidth=60)
        assert repr(t.arange(60.0).reshape(5, 12) / 7) == SHOWN["options"]
        t.set_printoptions(profile="default", sci_mode=True)
        assert repr(t.tensor([1.5, -20.0])) == SHOWN["sci_mode"]
        with pytest.raises(ValueError, match="profile"):
            t.set_printoptions(profile="wide")
    finally:
        t.set_printoptions(profile="default")
    assert t.get_printoptions() == before


def test_history_is_noted():
    x = t.ones(2, requires_grad=True)
    assert repr(x + 1) == "tensor([2., 2.], grad_fn=<AddBackward>)"
    assert str(t.nn.Parameter(t.ones(1))) == "Parameter containing:\ntensor([1.], requires_grad=True)"


def test_dlpack_both_ways():
    x = t.arange(6.0).reshape(2, 3)
    array = np.from_dlpack(x)
    x[0, 0] = 7
    assert array[0, 0] == 7
    y = t.from_dlpack(np.arange(3))
    assert y.tolist() == [0, 1, 2] and t.utils.dlpack.from_dlpack(y).data_ptr() == y.data_ptr()
    with pytest.raises(BufferError, match="detach"):
        np.from_dlpack(t.ones(1, requires_grad=True))
    with pytest.raises(TypeError, match="__dlpack__"):
        t.from_dlpack([1])


def test_shapes_change_in_place():
    x = t.arange(6).reshape(2, 3).clone()
    assert x.t_() is x and x.shape == (3, 2) and x.unsqueeze_(0).shape == (1, 3, 2) and x.squeeze_(0).shape == (3, 2)
    y = t.ones(2, 3, requires_grad=True) * 2
    (y.t_() * t.arange(6.0).reshape(3, 2)).sum().backward()
    shown = t.ones(2, 3)
    row = shown[0]
    with pytest.raises(RuntimeError, match="view"):
        row.unsqueeze_(0)
    shown.t_()
    shown[0] = t.ones(2, requires_grad=True)
    assert row.tolist() == [1, 1, 1] and shown.shape == (3, 2)
    with pytest.raises(RuntimeError, match="take the view again"):
        row.sum()
    z = t.ones(1, requires_grad=True) * 2
    assert z.detach_() is z and not z.requires_grad and z.is_leaf
