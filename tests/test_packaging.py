"""The house as a package: what is installed, what `import tinycnn` costs, who may import whom, how much there is to read."""

from __future__ import annotations

import ast
import os
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def sources() -> dict[str, Path]:
    """Module name -> file, of everything that is installed."""
    files = {}
    for folder, package in ((ROOT / "tinycnn", ("tinycnn",)), (ROOT / "kernels", ("tinycnn", "kernels"))):
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder)
            if folder.name == "tinycnn" and inside.parts[0] == "kernels":
                continue  # the link; counted where it leads to
            files[".".join((*package, *inside.with_suffix("").parts)).removesuffix(".__init__")] = path
    return files


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, *command], cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


# -- metadata ---------------------------------------------------------------------------------------------------------


def test_the_list_of_packages_is_complete():
    packages = {name for name, path in sources().items() if path.name == "__init__.py"}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages
    homes = {name.rpartition(".")[0] for name, path in sources().items() if path.name != "__init__.py"}
    assert homes <= packages, "a folder without __init__.py is not installed"


def test_metadata():
    project = PROJECT["project"]
    names = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    assert names == {"numpy", "numba", "safetensors", "tqdm"}
    assert set(project["optional-dependencies"]) >= {"examples", "test", "dev", "bench", "cuda13", "cuda12"}
    assert project["requires-python"] == ">=3.11"
    assert not project.keys() & {"scripts", "gui-scripts", "entry-points"}
    text = (ROOT / "tinycnn" / "__init__.py").read_text()
    assert f'__version__ = "{project["version"]}"' in text


def test_kernels_are_linked_into_the_package():
    link = ROOT / "tinycnn" / "kernels"
    if not link.is_symlink():  # a clone without links: the file holds the target instead
        assert link.read_text() == "../kernels"
    else:
        assert os.readlink(link) == "../kernels"


def test_kernels_are_no_package_of_their_own():
    result = run("-c", "import kernels", cwd=ROOT)
    assert result.returncode and "import tinycnn.kernels" in result.stderr


# -- wheel and sdist --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what is installed, so that building leaves nothing here."""
    copy = tmp_path_factory.mktemp("checkout")
    skip = shutil.ignore_patterns("__pycache__")
    for folder in ("tinycnn", "kernels"):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=skip)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    return copy


def build(what: str, tree: Path, out: Path) -> Path:
    if int(version("setuptools").partition(".")[0]) < 77:
        pytest.skip("building needs setuptools 77, which the extra `test` installs")
    code = f"import setuptools.build_meta as b; print(b.build_{what}({str(out)!r}))"
    result = run("-W", "ignore", "-c", code, cwd=tree)
    assert result.returncode == 0, result.stderr
    return out / result.stdout.splitlines()[-1]


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_wheel_and_sdist_hold_the_package_and_nothing_else(checkout, tmp_path):
    expected = {"tinycnn/py.typed"}
    for name, path in sources().items():
        stem = name.replace(".", "/")
        expected.add(f"{stem}/__init__.py" if path.name == "__init__.py" else f"{stem}.py")
    wheel = build("wheel", checkout, tmp_path)
    assert contents(wheel) == expected

    with tarfile.open(build("sdist", checkout, tmp_path)) as archive:
        archive.extractall(tmp_path / "sdist", filter="data")
    (unpacked,) = (tmp_path / "sdist").iterdir()
    (tmp_path / "again").mkdir()
    assert contents(build("wheel", unpacked, tmp_path / "again")) == expected

    textual = tmp_path / "textual"  # a clone on a system whose links come out as text files
    shutil.copytree(checkout, textual, symlinks=True, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    (textual / "tinycnn" / "kernels").unlink()
    (textual / "tinycnn" / "kernels").write_text("../kernels")
    (tmp_path / "third").mkdir()
    assert contents(build("wheel", textual, tmp_path / "third")) == expected

    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "import tinycnn; print(tinycnn.__file__, (tinycnn.ones(2) + 1).tolist())"
    result = run("-c", code, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"), TINYCNN_BACKEND="reference")
    assert result.stdout.split(maxsplit=1) == [str(tmp_path / "site" / "tinycnn" / "__init__.py"), "[2.0, 2.0]\n"]


# -- import tinycnn ---------------------------------------------------------------------------------------------------


def test_import_is_quick_silent_and_loads_no_heavy_package():
    heavy = ["numba", "llvmlite", "cupy", "PIL", "sklearn", "scipy", "tqdm", "matplotlib", "safetensors", "hypothesis"]
    code = f"""
import sys, time, threading
began = time.perf_counter()
import tinycnn
seconds = time.perf_counter() - began
assert threading.active_count() == 1
assert "tinycnn.testing" not in sys.modules
loaded = [name for name in {heavy} if name in sys.modules]
assert not loaded, loaded
sys.stderr.write(str(seconds))
"""
    times = []
    for _ in range(6):
        result = run("-c", code, cwd=ROOT)
        assert result.returncode == 0, result.stderr
        assert result.stdout == ""
        times.append(float(result.stderr))  # fails if anything else was printed
    assert statistics.median(times[1:]) < 0.5, times


# -- arrows -----------------------------------------------------------------------------------------------------------

# Each room may import from itself and from the lines above it. The package's own __init__ may import from all.
FLOORS = [
    {"kernels", "dtypes"},
    {"_device"},
    {"_tensor"},
    {"autograd", "random"},
    {"ops"},
    {"nn", "utils", "serialization"},
    {"optim"},
    {"vision"},
    {"testing", "inspect"},
]


def statements(node: ast.AST):
    """All nodes below `node` but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from (other, *statements(other))
        else:
            yield child
            yield from statements(child)


def imported(text: str, module: str, is_package: bool, known) -> list[str]:
    """The modules that a source imports, within functions too; names taken from a package lead to its submodules."""
    home = module.split(".") if is_package else module.split(".")[:-1]
    found = []
    for node in statements(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = home[: len(home) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            found += [f"{base}.{a.name}" if f"{base}.{a.name}" in known else base for a in node.names]
    return found


@cache
def graph() -> dict[str, list[str]]:
    return {
        module: imported(path.read_text(), module, path.name == "__init__.py", sources())
        for module, path in sources().items()
    }


def test_no_room_imports_from_above():
    floor = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
    wrong = []
    for module, targets in graph().items():
        if module == "tinycnn" or module == "tinycnn.__main__":
            continue
        room = module.split(".")[1]
        assert room in floor, f"{room}: a new room; give it its floor in this test"
        for target in targets:
            if target.split(".")[0] != "tinycnn" or target.split(".")[1:2] == [room]:
                continue
            if target == "tinycnn":
                if room != "testing":  # which is on the roof, and nobody imports it
                    wrong.append(f"{module} imports the whole package")
            elif floor[target.split(".")[1]] >= floor[room]:
                wrong.append(f"{module} imports {target}")
    assert not wrong


def test_kernels_import_nothing_of_ours_but_kernels_and_only_relatively():
    for module, path in sources().items():
        if not module.startswith("tinycnn.kernels"):
            continue
        for node in statements(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not any(alias.name.split(".")[0] in ("tinycnn", "kernels") for alias in node.names), path
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module.split(".")[0] not in ("tinycnn", "kernels"), path
        assert all(not t.startswith("tinycnn") or t.startswith("tinycnn.kernels") for t in graph()[module]), module
        if ".reference" in module:
            assert not any("numba" in target for target in graph()[module]), f"{module}: the readable column is NumPy"


def test_no_circles_between_files():
    state: dict[str, str] = {}

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert state.get(module) != "open", " -> ".join((*trail, module))
        if module in state or module not in sources():
            return
        state[module] = "open"
        for target in graph()[module]:
            visit(target, (*trail, module))
        state[module] = "done"

    for module in sources():
        visit(module, ())


def test_the_reader_of_imports_sees_what_it_should():
    text = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from ..nn import Module
from . import conv
def late():
    from ..._tensor import Tensor
    import tinycnn.optim
"""
    known = {"tinycnn._tensor", "tinycnn.a.b.conv", "tinycnn.optim"}
    found = imported(text, "tinycnn.a.b.pool", False, known)
    assert found == ["typing", "tinycnn.a.b.conv", "tinycnn._tensor", "tinycnn.optim"]


# -- size and cleanliness ---------------------------------------------------------------------------------------------


def test_what_one_must_read_stays_readable():
    """`_tensor`, `autograd`, `ops`, `kernels/reference` and the layers of `nn`: under 5,000 lines that are not blank."""
    not_layers = {"__init__", "init", "utils"}
    must_read = [
        path
        for name, path in sources().items()
        if name in ("tinycnn._tensor", "tinycnn.autograd")
        or name.startswith(("tinycnn.ops", "tinycnn.kernels.reference"))
        or (name.startswith("tinycnn.nn.") and path.stem not in not_layers)
    ]
    lines = sum(bool(line.strip()) for path in must_read for line in path.read_text().splitlines())
    assert 1000 < lines < 5000


def test_no_file_knows_the_machine_it_was_written_on():
    folders = ["tinycnn", "kernels", "examples", "tests", "benchmarks", ".ci"]
    files = [f for name in folders for f in (ROOT / name).rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    files += [ROOT / name for name in ("README.md", "LICENSE", "pyproject.toml", ".gitignore")]
    machine = re.compile("(?<![\\w.])/" + "(home|root|Users|work|opt)/" + "|/tmp/" + r"\w")
    for file in files:
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        found = machine.search(text)
        assert found is None, f"{file}: {found[0]}"
