"""`tinycnn.inspect.trace` of what runs on a GPU: kernels, compiling, copies to it and from it."""

import tinycnn
from tinycnn import nn
from tinycnn.inspect import summary, trace
from tinycnn.nn import functional as F


def test_a_trace_names_kernels_and_copies():
    F.relu(tinycnn.ones(3, device="cuda"))
    with trace() as t:
        x = tinycnn.ones(4).to("cuda")
        y = F.relu(x) + x.exp()
        y.sum().item()
        y.cpu()
    found = [(op.name, op.device) for op in t.ops]
    assert found[0] == ("transfer", "cpu -> cuda:0") and found[-1] == ("transfer", "cuda:0 -> cpu")
    assert [op.kernel for op in t.ops if op.name == "transfer"] == ["moved", "item", "moved"]
    computed = {op.name: op for op in t.ops if op.device == "cuda"}
    assert {"relu", "exp", "add", "sum"} <= set(computed)
    assert computed["relu"].kernel.startswith("elementwise: ") and computed["relu"].nbytes == 2 * 4 * 4


def test_a_summary_on_the_gpu():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(inplace=True)).to("cuda")
    s = summary(model, (3,))
    assert s.macs == 6 and s.params == 8 and s["0"].nbytes == 8
