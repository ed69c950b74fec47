"""Times tinycnn against PyTorch: training steps, inference, single operations, memory, start-up.

    python benchmarks/vs_torch.py                                    # everything, 4 threads and 1
    python benchmarks/vs_torch.py --quick --threads 4 --only 'conv|train'
    python benchmarks/vs_torch.py --json now.json --against then.json --no-torch
    python benchmarks/vs_torch.py --device cuda                      # on a GPU, in float32, TF32 and float16

Two thread pools in one process would disturb each other, so each library is measured in a process of its own. The
processes take turns: one measures a line for a moment while the others sleep, so that a clock that wanders meets all of
them. PyTorch is measured twice, as its users run it and with glibc's allocator told to keep its memory (`TUNED`), which
spares PyTorch the fresh pages of every large result.
Needs PyTorch: pip install -e '.[bench]'
"""

from __future__ import annotations

import argparse
import contextlib
import functools
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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
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
FRESH = ("peak", "start", "cold")  # groups that measure a process from its start

QUIET = 0.2  # cores that other processes may use while one is measured
PAUSE = 0.02  # seconds between turns: the threads of the process before wait actively for a moment


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


def prepared(library: str, args: argparse.Namespace) -> Any:
    """The library, imported and told where and with how many threads to compute."""
    lib = importlib.import_module(library)
    lib.set_num_threads(args.threads[0])
    lib.manual_seed(0)
    if args.device == "cuda":
        lib.set_default_device("cuda")
        for part in (lib.backends.cuda.matmul, lib.backends.cudnn):
            part.allow_tf32 = args.precision == ["TF32"]
    return lib


def answers(library: str, group: str, args: argparse.Namespace, asked: Iterable[str]) -> Iterator[list[float]]:
    """Measure lines of one group for one library, in this process, as they are asked for."""
    import workloads

    lib = prepared(library, args)
    (precision,) = args.precision
    lines = {key(w.name, w.part): w for w in workloads.WORKLOADS if w.group == group}
    made, step = "", None
    for line in map(str.strip, asked):
        if line != made:
            step = None  # what the line before holds is free before the next one is made
            made, step = line, lines[line].make(lib)
            if args.device == "cuda":
                step = on_gpu(lib, step, precision)
        yield [t / lines[line].per for t in sample(step, args.seconds)]


def work(library: str, group: str, args: argparse.Namespace) -> Iterator[Any]:
    """What a worker prints, line by line."""
    if group == "ceiling":
        import ceiling

        yield ceiling.measure_gpu() if args.device == "cuda" else ceiling.measure(args.threads[0])
    elif group == "peak":
        yield peak_memory(prepared(library, args))
    elif group in FRESH:
        yield start_up(library, args.threads[0])
    else:
        yield from answers(library, group, args, sys.stdin)


def key(name: str, part: str) -> str:
    return f"{name}; {part}" if part else name


def matches(only: str, group: str, name: str, part: str = "") -> bool:
    """Whether `--only` asks for this line, by the name of its group or by its own."""
    return re.search(only, f"{group}: {key(name, part)}") is not None


# In the driver


def others_seconds(living: Iterable[int]) -> float:
    """CPU time used since the machine started, but by this process, its ended children and those that are `living`."""
    ticks = [int(n) for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    busy = sum(ticks) - ticks[3] - ticks[4]  # but idle and waiting for a disk
    for process in living:
        busy -= sum(map(int, Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()[11:13]))
    ours = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return busy / os.sysconf("SC_CLK_TCK") - ours


class Worker(subprocess.Popen[str]):
    """A process that measures for one column."""

    def __init__(self, column: str, group: str, args: argparse.Namespace, threads: int, **environment: str) -> None:
        self.column = column
        library, tuning = (ON_GPU if args.device == "cuda" else LIBRARIES)[column]
        command = [sys.executable, __file__, "--worker", library, group, "--threads", str(threads)]
        command += ["--device", args.device, "--precision", args.precision[0], "--seconds", str(args.seconds)]
        here = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # as users start it
        pipe = subprocess.PIPE
        super().__init__(command, env={**here, **tuning, **environment}, stdin=pipe, stdout=pipe, text=True)

    def ask(self, line: str) -> Any:
        """What it prints, having been asked for a line; if it ended, its own words stand on stderr."""
        assert self.stdin and self.stdout
        self.stdin.write(f"{line}\n")
        self.stdin.flush()
        answer = self.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.column} failed at {line!r}")
        return json.loads(answer)


class Runner:
    """Measures by workers, one at a time.

    Attributes:
        others: of each round, how many cores other processes kept busy meanwhile.
    """

    def __init__(self, args: argparse.Namespace, threads: int) -> None:
        self.args, self.threads = args, threads
        self.others: list[float] = []

    def patiently(self, measure: Callable[[], T], living: Iterable[Worker] = ()) -> T:
        """What is measured when others disturb it least, of as many tries as --patience allows."""
        living = [worker.pid for worker in living]
        deadline = time.monotonic() + self.args.patience
        least, kept = math.inf, []
        while least > QUIET and (not kept or time.monotonic() < deadline):
            began, before = time.monotonic(), others_seconds(living)
            found = measure()
            cores = (others_seconds(living) - before) / (time.monotonic() - began)
            if cores < least:
                least, kept = cores, [found]
        self.others.append(least)
        return kept[0]

    def once(self, column: str, group: str, **environment: str) -> Any:
        """What a worker measures between its start and its end."""

        def measure() -> Any:
            with Worker(column, group, self.args, self.threads, **environment) as worker:
                return worker.ask(group)

        return self.patiently(measure)

    def turns(self, columns: list[str]) -> Iterator[list[str]]:
        """Of each round, who measures after whom."""
        for r in range(self.args.rounds):
            yield columns[r % len(columns) :] + columns[: r % len(columns)]

    def lines(self, group: str, columns: list[str]) -> dict[str, list[Times]]:
        """Of each line of a group, for each round: column -> milliseconds."""
        with contextlib.ExitStack() as stack:
            workers = {c: stack.enter_context(Worker(c, group, self.args, self.threads)) for c in columns}

            def measure(line: str, turn: list[str]) -> Times:
                found = {}
                for column in turn:
                    time.sleep(PAUSE)
                    found[column] = workers[column].ask(line)
                return found

            found = {}
            for line in lines_of(group, self.args.only):
                workers["tinycnn"].ask(line)  # compiles what is not yet on disk
                found[line] = [
                    self.patiently(functools.partial(measure, line, turn), workers.values())
                    for turn in self.turns(columns)
                ]
        return found


def lines_of(group: str, only: str) -> list[str]:
    """The lines of a group that `--only` leaves; a group without workloads has its title as its only one."""
    import workloads

    own = [(w.name, w.part) for w in workloads.WORKLOADS if w.group == group]
    return [key(*line) for line in own or [(GROUPS[group].title, "")] if matches(only, group, *line)]


def run_group(group: str, columns: list[str], run: Runner) -> dict[str, dict[str, Any]]:
    """Measure a group in all rounds: line -> column -> {"medians": one for each round, "min": the smallest time}."""
    if group not in FRESH:
        lines = run.lines(group, columns)
    else:
        if group == "cold":
            with tempfile.TemporaryDirectory() as folder:
                rounds = [{"tinycnn": run.once("tinycnn", group, NUMBA_CACHE_DIR=folder)}]
        else:
            run.once("tinycnn", group)  # compiles what is not yet on disk
            rounds = [{column: run.once(column, group) for column in turn} for turn in run.turns(columns)]
        lines = {line: [{c: r[c][line] for c in r} for r in rounds] for line in rounds[0]["tinycnn"]}
    return {
        line: {
            column: {
                "medians": [statistics.median(r[column]) for r in rounds],
                "min": min(min(r[column]) for r in rounds),
            }
            for column in rounds[0]
        }
        for line, rounds in lines.items()
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
    parser.add_argument("--rounds", type=int, default=5, help="turns of each library at each line")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each turn")
    parser.add_argument(
        "--patience", type=float, default=0, metavar="SECONDS", help="repeat a round that others disturb, for so long"
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
        for found in work(*args.worker, args):
            print(json.dumps(found), flush=True)
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
        ceilings = Runner(args, threads).once("tinycnn", "ceiling")
        print_ceilings(ceilings, threads, args.device)
        groups = [g for g in GROUPS if lines_of(g, args.only) and not (g == "cold" and args.quick)]
        groups = [g for g in groups if args.device == "cpu" or g not in HOST_ONLY]
        tables = {}
        earlier = then.get(str(threads), {}).get("groups", {})
        for group, precision in itertools.product(groups, args.precision):
            run = Runner(argparse.Namespace(**{**vars(args), "precision": [precision]}), threads)
            name = group if precision == PRECISIONS[0] else f"{group} {precision}"
            tables[name] = run_group(group, columns, run)
            here = {**ceilings, "flops": ceilings.get(precision, ceilings["flops"])}
            report(group, tables[name], here, earlier.get(name, {}), precision if args.device == "cuda" else "")
            if disturbed := [cores for cores in run.others if cores > QUIET]:
                rounds, mean = f"{len(disturbed)} of {len(run.others)} rounds", statistics.fmean(disturbed)
                print(f"  DISTURBED: in {rounds} other processes used {mean:.1f} cores", flush=True)
        result["threads"][str(threads)] = {"ceilings": ceilings, "groups": tables}
        if args.json:
            args.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
