"""The comparison with PyTorch runs, as far as it can without PyTorch, and counts rightly."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

import tinycnn

FOLDER = Path(tinycnn.__file__).resolve().parent.parent / "benchmarks"


def load(name, monkeypatch):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # dataclasses look their module up, the script its workloads
    spec.loader.exec_module(module)
    return module


def test_a_short_run_against_an_earlier_one(tmp_path):
    then, now = tmp_path / "then.json", tmp_path / "now.json"
    earlier = {"64x64 @ 64x64": {"tinycnn": {"medians": [1e9], "min": 1e9}}}  # milliseconds
    then.write_text(json.dumps({"threads": {"1": {"groups": {"matmul": earlier}}}}))
    command = [sys.executable, str(FOLDER / "vs_torch.py"), "--no-torch", "--threads", "1", "--rounds", "1"]
    command += ["--seconds", "0", "--only", "matmul: 64x64 ", "--json", str(now), "--against", str(then)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("64x64 @ 64x64"))
    assert "GF" in line and line.endswith(" 0.00")
    assert "128x128" not in done.stdout and "now / then" in done.stdout
    groups = json.loads(now.read_text())["threads"]["1"]["groups"]
    assert 0 < groups["matmul"]["64x64 @ 64x64"]["tinycnn"]["min"] < 1e6


def test_ratios_are_taken_round_by_round(monkeypatch):
    load("workloads", monkeypatch)
    bench = load("vs_torch", monkeypatch)
    line = {"tinycnn": {"medians": [1.0, 4.0, 3.0], "min": 1.0}, "torch": {"medians": [2.0, 2.0, 12.0], "min": 2.0}}
    assert bench.ratios(line, "torch") == (0.5, 0.5)
    table = {"a; f": line, "a; f + b": line, "b; f + b": {**line, "torch": {"medians": [0.25, 1, 0.75], "min": 1}}}
    only_f, both = bench.summary(bench.GROUPS["conv"], table, "torch")
    assert "geometric mean 0.50" in only_f and "target" not in only_f
    assert "geometric mean 1.41 (target 0.50), worst 4.00 (target 1.10): b" in both  # sqrt(0.5 * 4)


def test_a_round_is_repeated_until_it_is_quiet(monkeypatch):
    bench = load("vs_torch", monkeypatch)
    clock = iter([0.0, *(0.1 * n for n in range(100))])
    monkeypatch.setattr(bench.time, "monotonic", lambda: next(clock))
    busy = iter([0.0, 0.09, 0.09, 0.14, 0.14, 0.15, 0.15, 0.4])  # before and after each try: 0.9, 0.5, 0.1, 2.5 cores
    monkeypatch.setattr(bench, "others_seconds", lambda living: next(busy))
    tries = iter("abcd")
    run = bench.Runner(bench.options().parse_args(["--patience", "10"]), threads=1)
    assert run.patiently(lambda: next(tries)) == "c"
    run.args.patience = 0
    assert run.patiently(lambda: next(tries)) == "d"
    assert run.others == pytest.approx([0.1, 2.5])


def test_workers_answer_line_by_line_and_are_not_among_the_others(monkeypatch):
    load("workloads", monkeypatch)
    bench = load("vs_torch", monkeypatch)
    args = bench.options().parse_args(["--seconds", "0.01", "--rounds", "2", "--only", "matmul: (64x64|1x512) "])
    args.precision = args.precision[:1]
    found = bench.Runner(args, threads=1).lines("matmul", ["tinycnn"])
    assert list(found) == ["64x64 @ 64x64", "1x512 @ 512x1000"]
    assert all(len(rounds) == 2 and min(r["tinycnn"]) > 0 for rounds in found.values() for r in rounds)
    with bench.Worker("tinycnn", "matmul", args, threads=1) as worker:
        worker.ask("512x512 @ 512x512")
        assert bench.others_seconds([]) - bench.others_seconds([worker.pid]) > 0.1  # its imports alone take more
        with pytest.raises(SystemExit, match="tinycnn failed at 'no such line'"):
            worker.ask("no such line")


def test_slow_calls_are_repeated_a_few_times_and_fast_ones_often(monkeypatch):
    bench = load("vs_torch", monkeypatch)
    assert len(bench.sample(lambda: None, 0.05)) == 500
    assert len(bench.sample(lambda: bench.time.sleep(0.02), 0.04)) == 5


@pytest.mark.parametrize("group", ["infer", "train", "odd"])
def test_workloads_run_and_have_names_of_their_own(group, monkeypatch):
    workloads = load("workloads", monkeypatch)
    chosen = [w for w in workloads.WORKLOADS if w.group == group]
    assert len({(w.name, w.part) for w in chosen}) == len(chosen) >= 4
    chosen[0].make(tinycnn)()
