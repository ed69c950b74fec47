"""Times tinycnn against PyTorch: training steps, inference, single operations, memory, start-up.

    python benchmarks/vs_torch.py                                    # everything, 4 threads and 1
    python benchmarks/vs_torch.py --quick --threads 4 --only 'conv|train'
    python benchmarks/vs_torch.py --json now.json --against then.json --no-torch
    python benchmarks/vs_torch.py --device cuda                      # on a GPU, in float32, TF32 and float16

Two thread pools in one process would disturb each other, so each library is measured in processes of its own, which
take turns: a process measures one group of workloads and ends. PyTorch is measured twice, as its users run it and with
glibc's allocator told to keep its memory (`TUNED`), which spares PyTorch the fresh pages of every large result.
Needs PyTorch: pip install -e '.[bench]'
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import itertools
import json
import math
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Times = dict[str, list[float]]  # by a workload's name
TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "10000000000", "MALLOC_TOP_PAD_": "500000000"}
LIBRARIES: dict[str, tuple[str, dict[str, str]]] = {  # column -> the module, and what its environment has besides
    "tinycnn": ("tinycnn", {}),
    "torch": ("torch", {}),
    "torch tuned": ("torch", TUNED),
}


ON_GPU: dict[str, tuple[str, dict[str, str]]] = {
    "tinycnn": ("tinycnn", {}),
    "torch": ("torch", {}),
    "torch channels_last": ("torch", {"BENCHMARK_LAYOUT": "channels_last"}),
}
PRECISIONS = ("float32", "TF32", "float16")  # both libraries in the same; float16 is what autocast makes of it
HOST_ONLY = ("scaling", "peak", "start", "cold")  # groups that say nothing of a GPU

QUIET = 0.2  # cores that other processes may use while one is measured


@dataclass(frozen=True)
class Group:
    """A table: its heading, the unit of its figures, and the targets for tinycnn / PyTorch (or the figure itself).

    Attributes:
        mean: the target for the geometric mean over the lines of `part`.
        worst: the target for each of them.
        limits: targets for single lines, in the unit.
    """

    title: str
    unit: str = "ms"
    mean: float | None = None
    worst: float | None = None
    part: str = ""
    limits: tuple[tuple[str, float], ...] = ()


GROUPS = {
    "train": Group("training steps", mean=0.45, worst=0.75),
    "infer": Group("inference", mean=0.50),
    "conv": Group("convolutions", mean=0.50, worst=1.10, part="f + b"),
    "odd": Group("convolutions of odd shapes", mean=0.50, worst=1.10, part="f + b"),
    "matmul": Group("matrix products", mean=0.90),
    "memory": Group("memory-bound operations", mean=0.25),
    "more": Group("more memory-bound operations"),
    "scaling": Group("time per image: large batches against small"),
    "peak": Group("peak memory of a process: import and 20 training steps of ResNet-20, batch 128", "MB", mean=0.60),
    "start": Group("start-up", "s", limits=(("import and LeNet-5's first step", 1.5),)),
    "cold": Group("the same with an empty kernel cache", "s", limits=(("import and LeNet-5's first step", 45.0),)),
}


# In the worker


def sample(step: Any, seconds: float) -> list[float]:
    """Milliseconds of each call: 5 to 500 calls in about so many seconds; slow ones are called at least twice."""
    clock = time.perf_counter
    began = clock()
    step()  # loads kernels
    while clock() - began < seconds / 3:
        step()
    times: list[float] = []
    began = clock()
    while len(times) < 500:
        spent = clock() - began
        if spent > seconds and (len(times) >= 5 or (len(times) >= 2 and spent > 4 * seconds)):
            break
        start = clock()
        step()
        times.append((clock() - start) * 1e3)
    return times


def peak_memory(lib: Any) -> Times:
    """Megabytes that this process has ever held, after 20 training steps."""
    import workloads

    step = workloads.training(workloads.resnet20, (128, 3, 32, 32))(lib)
    for _ in range(20):
        step()
    return {"ResNet-20 training": [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]}


def start_up(library: str, threads: int) -> Times:
    """Seconds until the library is there, and until LeNet-5 has made a training step."""
    began = time.perf_counter()
    lib = importlib.import_module(library)
    loaded = time.perf_counter() - began
    import workloads

    lib.set_num_threads(threads)
    workloads.training(workloads.lenet, (64, 1, 32, 32))(lib)()
    return {"import": [loaded], "import and LeNet-5's first step": [time.perf_counter() - began]}


def on_gpu(lib: Any, step: Any, precision: str) -> Any:
    """The step, and then a wait until the GPU has done it."""

    def whole() -> None:
        with lib.autocast("cuda", dtype=lib.float16, enabled=precision == "float16"):
            step()
        lib.cuda.synchronize()

    return whole


def work(library: str, group: str, args: argparse.Namespace) -> Times:
    """Measure one group for one library, in this process."""
    only, threads, seconds, device = args.only, args.threads[0], args.seconds, args.device
    (precision,) = args.precision
    if group in ("start", "cold"):
        return start_up(library, threads)
    lib = importlib.import_module(library)
    lib.set_num_threads(threads)
    lib.manual_seed(0)
    if device == "cuda":
        lib.set_default_device("cuda")
        for part in (lib.backends.cuda.matmul, lib.backends.cudnn):
            part.allow_tf32 = precision == "TF32"
    if group == "peak":
        return peak_memory(lib)
    import workloads

    chosen = [w for w in workloads.WORKLOADS if w.group == group and matches(only, group, w.name, w.part)]
    found: Times = {}
    for w in chosen:
        step = w.make(lib)
        times = sample(on_gpu(lib, step, precision) if device == "cuda" else step, seconds)
        found[key(w.name, w.part)] = [t / w.per for t in times]
    return found


def key(name: str, part: str) -> str:
    return f"{name}; {part}" if part else name


def matches(only: str, group: str, name: str, part: str = "") -> bool:
    """Whether `--only` asks for this line, by the name of its group or by its own."""
    return re.search(only, f"{group}: {key(name, part)}") is not None


# In the driver


def others_seconds() -> float:
    """CPU time that all processes but this one and its ended children have used since the machine started."""
    ticks = [int(n) for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # but idle and waiting for a disk
    return busy - sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


class Runner:
    """Runs workers, one at a time.

    Attributes:
        others: of each run, how many cores other processes kept busy meanwhile.
        precision: in which they compute.
    """

    def __init__(self, args: argparse.Namespace, precision: str = PRECISIONS[0]) -> None:
        self.args, self.precision = args, precision
        self.others: list[float] = []

    def __call__(self, column: str, group: str, threads: int, seconds: float | None = None, **environment: str) -> Any:
        """What the worker prints: of the run that others disturbed least, of as many as --patience allows."""
        library, tuning = (ON_GPU if self.args.device == "cuda" else LIBRARIES)[column]
        command = [sys.executable, __file__, "--worker", library, group, "--threads", str(threads)]
        command += [
            "--device",
            self.args.device,
            "--precision",
            self.precision,
            "--only",
            self.args.only,
            "--seconds",
            str(self.args.seconds if seconds is None else seconds),
        ]
        here = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # as users start it
        deadline = time.monotonic() + self.args.patience
        best, printed = math.inf, ""
        while best > QUIET and (not printed or time.monotonic() < deadline):
            began, before = time.monotonic(), others_seconds()
            done = subprocess.run(command, env={**here, **tuning, **environment}, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                raise SystemExit(f"{column} failed at group {group!r}")
            cores = (others_seconds() - before) / (time.monotonic() - began)
            if cores < best:
                best, printed = cores, done.stdout.splitlines()[-1]
        self.others.append(best)
        return json.loads(printed)


def lines_of(group: str, only: str) -> bool:
    """Whether `--only` leaves anything of a group."""
    import workloads

    own = [(w.name, w.part) for w in workloads.WORKLOADS if w.group == group]
    return any(matches(only, group, *line) for line in own or [(GROUPS[group].title, "")])


def run_group(group: str, columns: list[str], run: Runner, threads: int) -> dict[str, dict[str, Any]]:
    """Measure a group in all rounds: line -> column -> {"medians": one for each round, "min": the smallest time}."""
    rounds: list[dict[str, Times]] = []
    if group == "cold":
        with tempfile.TemporaryDirectory() as folder:
            rounds.append({"tinycnn": run("tinycnn", group, threads, NUMBA_CACHE_DIR=folder)})
        columns = ["tinycnn"]
    else:
        Runner(run.args, run.precision)("tinycnn", group, threads, seconds=0)  # compiles what is not yet on disk
        for r in range(run.args.rounds):
            turn = columns[r % len(columns) :] + columns[: r % len(columns)]
            rounds.append({column: run(column, group, threads) for column in turn})
    return {
        line: {
            column: {
                "medians": [statistics.median(r[column][line]) for r in rounds],
                "min": min(min(r[column][line]) for r in rounds),
            }
            for column in columns
        }
        for line in rounds[0]["tinycnn"]
    }


def ratios(line: dict[str, Any], column: str) -> tuple[float, float]:
    """tinycnn / PyTorch: the median over the rounds of the ratio within a round, and the ratio of the minima."""
    ours, theirs = line["tinycnn"], line[column]
    each = [a / b for a, b in zip(ours["medians"], theirs["medians"], strict=True)]
    return statistics.median(each), ours["min"] / theirs["min"]


def share(group: str, line: str, milliseconds: float, ceilings: dict[str, float]) -> str:
    """How fast that is, and which part of the machine's ceiling: ``"120 GF 24%"``."""
    import workloads

    for w in workloads.WORKLOADS:
        if w.group == group and key(w.name, w.part) == line and (w.flops or w.bytes):
            kind, amount, unit = ("flops", w.flops, "GF") if w.flops else ("bytes", w.bytes, "GB")
            speed = amount / milliseconds * 1e3
            return f"{speed / 1e9:5.0f} {unit} {100 * speed / ceilings[kind]:4.0f}%"
    return ""


def summary(group: Group, table: dict[str, Any], column: str) -> Iterator[str]:
    """The geometric mean and the worst line against their targets, for each part of a group that has targets."""
    if group.mean is None:
        return
    parts = sorted({line.partition("; ")[2] for line in table})
    for part in parts:
        found = {line: ratios(row, column)[0] for line, row in table.items() if line.partition("; ")[2] == part}
        mean = math.exp(statistics.fmean(math.log(r) for r in found.values()))
        text = f"  tinycnn / {column}{', ' + part if part else ''}: geometric mean {mean:.2f}"
        worst = max(found, key=lambda line: found[line])
        aims = part == group.part
        text += f" (target {group.mean:.2f})" if aims and group.mean else ""
        text += f", worst {found[worst]:.2f}" + (f" (target {group.worst:.2f})" if aims and group.worst else "")
        yield f"{text}: {worst.partition('; ')[0]}" if len(found) > 1 else text


def report(
    group: str, table: dict[str, Any], ceilings: dict[str, float], then: dict[str, Any], precision: str = ""
) -> None:
    """Print one group."""
    spec = GROUPS[group]
    columns = list(next(iter(table.values())))
    title = f"{spec.title}, {precision}" if precision else spec.title
    print(f"\n{title} [{group}], {spec.unit}: median (minimum); ratios of medians (of minima)")
    heads = "".join(f"{c:>19}" for c in columns) + "".join(f"{'/ ' + c[-14:]:>16}" for c in columns[1:])
    print(f"{'':50}{heads}{'reached':>15}{'  now / then' if then else ''}")
    for line, row in table.items():
        text = f"{line:50}"
        for column in columns:
            text += f"{statistics.median(row[column]['medians']):10.3f} ({row[column]['min']:6.3f})"
        for column in columns[1:]:
            text += "{:8.2f} ({:5.2f})".format(*ratios(row, column))
        text += f"{share(group, line, row['tinycnn']['min'], ceilings):>15}"
        if line in then:
            text += f"{row['tinycnn']['min'] / then[line]['tinycnn']['min']:12.2f}"
        limit = dict(spec.limits).get(line)
        print(text + (f"   target {limit} {spec.unit}" if limit else ""))
    for column in columns[1:]:
        for text in summary(spec, table, column):
            print(text)
    sys.stdout.flush()


def print_ceilings(ceilings: dict[str, float], threads: int, device: str) -> None:
    """What the machine can do at best."""
    copied = ceilings["bytes"] / 1e9
    if device == "cuda":
        products = ", ".join(f"{ceilings[p] / 1e12:.0f} TF in {p}" for p in PRECISIONS)
        print(f"\n== this GPU's ceilings: products of 4096 x 4096 at {products}; copies of 512 MB at {copied:.0f} GB/s")
        print(f"   {ceilings['kernel']:.1f} us for a launch, {ceilings['launch']:.1f} us for an operation", flush=True)
        return
    flops = ceilings["flops"] / 1e9
    print(f"\n== {threads} threads; this machine's ceilings: {flops:.0f} GF (float32 multiply-adds in registers), ")
    print(f"   {copied:.1f} GB/s read and written (copies of 134 MB)", flush=True)


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[4, 1])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--precision", choices=PRECISIONS, nargs="+", default=list(PRECISIONS), help="on a GPU: one table for each"
    )
    parser.add_argument("--rounds", type=int, default=5, help="processes of each library and group, in turn")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each workload in each process")
    parser.add_argument(
        "--patience", type=float, default=0, metavar="SECONDS", help="repeat a run that others disturb, for so long"
    )
    parser.add_argument("--quick", action="store_true", help="2 rounds of 0.2 seconds, no cold start")
    parser.add_argument("--only", default="", metavar="REGEX", help=f"lines or groups ({', '.join(GROUPS)})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file as well")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare tinycnn's minima with those of a --json")
    parser.add_argument("--no-torch", action="store_true", help="tinycnn only")
    parser.add_argument("--worker", nargs=2, metavar=("LIBRARY", "GROUP"), help=argparse.SUPPRESS)
    return parser


def main() -> None:
    args = options().parse_args()
    if args.worker:
        library, group = args.worker
        if group == "ceiling":
            import ceiling

            print(json.dumps(ceiling.measure_gpu() if args.device == "cuda" else ceiling.measure(args.threads[0])))
        else:
            print(json.dumps(work(library, group, args)))
        return
    if args.quick:
        args.rounds, args.seconds = 2, 0.2
    columns = ["tinycnn"] if args.no_torch else list(ON_GPU if args.device == "cuda" else LIBRARIES)
    if args.device == "cuda":
        args.threads = args.threads[:1]
    else:
        args.precision = PRECISIONS[:1]
    if not args.no_torch and importlib.util.find_spec("torch") is None:
        raise SystemExit("this benchmark needs PyTorch: pip install -e '.[bench]'; --no-torch leaves it out")
    then = json.loads(args.against.read_text())["threads"] if args.against else {}
    result: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "threads": {}}
    for threads in args.threads:
        run = Runner(args)
        ceilings = run("tinycnn", "ceiling", threads)
        print_ceilings(ceilings, threads, args.device)
        groups = [g for g in GROUPS if lines_of(g, args.only) and not (g == "cold" and args.quick)]
        groups = [g for g in groups if args.device == "cpu" or g not in HOST_ONLY]
        tables = {}
        earlier = then.get(str(threads), {}).get("groups", {})
        for group, precision in itertools.product(groups, args.precision):
            run.others.clear()
            run.precision = precision
            name = group if precision == PRECISIONS[0] else f"{group} {precision}"
            tables[name] = run_group(group, columns, run, threads)
            here = {**ceilings, "flops": ceilings.get(precision, ceilings["flops"])}
            report(group, tables[name], here, earlier.get(name, {}), precision if args.device == "cuda" else "")
            if max(run.others) > QUIET:
                print(
                    f"  DISTURBED: other processes used {statistics.fmean(run.others):.1f} cores meanwhile", flush=True
                )
        result["threads"][str(threads)] = {"ceilings": ceilings, "groups": tables}
        if args.json:
            args.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
