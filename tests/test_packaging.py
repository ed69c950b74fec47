"""The house rules: packages, imports, size, start-up."""

import ast
import re
import subprocess
import sys
import time
import tokenize
import tomllib
from pathlib import Path
from tokenize import COMMENT, ENCODING

import pytest

import tinycnn

ROOT = Path(tinycnn.__file__).resolve().parent.parent
SOURCES = sorted(
    p
    for folder in ("tinycnn", "kernels")
    for p in (ROOT / folder).rglob("*.py")
    if "kernels/" not in str(p.relative_to(ROOT))[7:]
)


def test_the_list_of_packages_is_complete():
    with open(ROOT / "pyproject.toml", "rb") as file:
        listed = set(tomllib.load(file)["tool"]["setuptools"]["packages"])
    found = {"tinycnn.kernels"}
    for folder, prefix in (("tinycnn", "tinycnn"), ("kernels", "tinycnn.kernels")):
        for path in (ROOT / folder).rglob("__init__.py"):
            parts = path.parent.relative_to(ROOT / folder).parts
            if not (folder == "tinycnn" and parts[:1] == ("kernels",)):
                found.add(".".join((prefix, *parts)))
    assert listed == found


def test_importing_is_quick_and_quiet():
    heavy = ("numba", "cupy", "PIL", "sklearn", "tqdm", "matplotlib", "tinycnn.inspect")
    code = f"import sys, tinycnn; print([m for m in {heavy} if m in sys.modules])"
    times = []
    for _ in range(5):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
        times.append(time.perf_counter() - began)
        assert done.stdout.strip() == "[]" and done.stderr == ""
    assert min(times) < 1.0  # a process of Python and NumPy included; the import itself takes 0.3 s


def lines_of_code(path):
    """Lines that hold a token of code: not blank, not a comment, not a docstring."""
    tree = ast.parse(path.read_text())
    texts = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            texts.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    with open(path, "rb") as file:
        tokens = [t for t in tokenize.tokenize(file.readline) if t.string.strip() and t.type not in (COMMENT, ENCODING)]
    return len({line for t in tokens for line in range(t.start[0], t.end[0] + 1)} - texts)


def test_what_must_be_read_to_know_the_engine_stays_under_5000_lines():
    """Tensor, gradients, primitives, their readable kernels, and the layers that have parameters.

    What is looked up rather than read does not count: lists of names, functions that create tensors, compositions
    (`composed`), optimizers with their steps, and modules that only call a function of the same name.
    """
    layers = ("module", "_hooks", "parameter", "containers", "conv", "linear", "norm")
    parts = [ROOT / "tinycnn/_tensor.py", ROOT / "tinycnn/autograd.py"]
    parts += [p for p in (ROOT / "kernels/reference").glob("*.py") if p.stem != "optim"]
    parts += [p for p in (ROOT / "tinycnn/ops").glob("*.py") if p.stem not in ("__init__", "create")]
    parts += [ROOT / f"tinycnn/nn/{name}.py" for name in layers]
    lines = sum(lines_of_code(p) for p in parts)
    assert 2_000 < lines < 5_000, lines


# who may import whom: a room may import from those before it
FLOORS = [
    "kernels",
    "_device",
    "dtypes",
    "_repr",
    "_tensor",
    "random",
    "autograd",
    "_autocast",
    "ops",
    "composed",
    "_methods",
    "_config",
    "linalg",
    "memory",
    "types",
    "_switches",
    "amp",
    "backends",
    "cuda",
    "accelerator",
    "mps",
    "fx",
    "jit",
    "xpu",
    "multiprocessing",
    "serialization",
    "hub",
    "nn",
    "onnx",
    "optim",
    "utils",
    "vision",
    "inspect",
    "testing",
]


def room(module):
    """The room of a module such as ``tinycnn.ops.conv``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "tinycnn"


def imports(path):
    """The modules that a file of the package imports, also inside functions; not those for type checkers only."""
    relative = path.relative_to(ROOT).with_suffix("").parts
    package = ("tinycnn", *relative) if relative[0] == "kernels" else relative
    tree = ast.parse(path.read_text())
    skipped = {
        n
        for i in ast.walk(tree)
        if isinstance(i, ast.If) and "TYPE_CHECKING" in ast.dump(i.test)
        for s in i.body
        for n in ast.walk(s)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level]
            yield from (
                ".".join((*base, *(node.module or "").split("."), a.name)).replace("..", ".") for a in node.names
            )
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tinycnn"):
            yield from (f"{node.module}.{a.name}" for a in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("tinycnn"))


@pytest.mark.parametrize(
    "path",
    [p for p in SOURCES if p.name != "__init__.py" or p.parent.name != "tinycnn"],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_no_import_goes_upwards(path):
    mine = path.relative_to(ROOT).parts
    here = "kernels" if mine[0] == "kernels" else mine[1].removesuffix(".py")
    for module in imports(path):
        there = room(module)
        if here in ("testing", "__main__", "_warmup") or there == here:
            continue
        assert there in FLOORS, f"{path} imports {module}"
        assert FLOORS.index(there) < FLOORS.index(here), f"{path} imports {module}, which stands above it"


def test_no_file_names_a_machine():
    pattern = re.compile("/" + r"(root|home/\w+|work|tmp)/" + "|python" + "hosted|py" + r"pi\.org")
    for path in [
        *SOURCES,
        *(ROOT / "examples").glob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
        ROOT / "README.md",
        ROOT / "pyproject.toml",
    ]:
        assert not pattern.search(path.read_text()), path
