"""The graph as DOT text."""

import re

import pytest

import tinycnn as torch
from tinycnn import nn
from tinycnn.inspect import graph


def test_a_small_graph():
    layer, x = nn.Linear(3, 2), torch.ones(4, 3)
    text = graph(layer(x).relu(), dict(layer.named_parameters()))
    assert (
        text
        == """\
digraph {
  node [shape=box, fontname=sans];
  0 [label="Relu\\n4x2", style=bold];
  1 [label="Linear\\n4x2"];
  3 [label="bias\\n2", shape=ellipse];
  2 [label="weight\\n2x3", shape=ellipse];
  1 -> 0;
  2 -> 1;
  3 -> 1;
}
"""
    )


def test_every_node_once_every_use_an_arrow_and_outputs_bold():
    x = torch.ones(2, requires_grad=True)
    y = x * x
    text = graph({"a": y + x, "b": [y.sum(), torch.ones(1)]}, {'na"me': x})
    assert text.count("label=") == 4 and text.count("->") == 5 and text.count("bold") == 2
    assert 'label="na\\"me\\n2"' in text and 'label="Sum\\n()"' in text
    drawn = set(re.findall(r"^  (\d+) \[", text, re.M))
    assert drawn == set(re.findall(r"\d+", " ".join(re.findall(r"\d+ -> \d+", text))))


def test_deep_graphs_and_refusals():
    x = torch.ones(1, requires_grad=True)
    for _ in range(3000):
        x = x + 1
    assert graph(x).count("Add") == 3000
    with pytest.raises(TypeError, match="expected a Tensor"):
        graph([3])
    with pytest.raises(RuntimeError, match="nothing was recorded"):
        graph(torch.ones(1))
