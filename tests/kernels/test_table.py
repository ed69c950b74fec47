"""The kernel table: what it names, when it loads it, how a user adds to it."""

import ast
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinycnn import kernels

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "kernels").rglob("*.py"))
EVERY_KERNEL = [(family, name) for family, names in kernels.FAMILIES.items() for name in names]


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )


@pytest.fixture
def table(monkeypatch):
    """The table, which forgets at the end what a test has registered."""
    monkeypatch.setattr(kernels, "_registered", {})
    monkeypatch.setattr(kernels, "_columns", {name: kernels.Column(name) for name in kernels._columns})
    return kernels


# -- columns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "name"), EVERY_KERNEL)
def test_columns_have_the_same_signatures(family, name):
    def parameters(column):
        signature = inspect.signature(getattr(kernels.column(column), name))
        return [(p.name, p.kind, p.default) for p in signature.parameters.values()]

    assert parameters("cpu") == parameters("reference")


@pytest.mark.parametrize("family", kernels.FAMILIES)
def test_the_table_names_exactly_what_the_readable_modules_define(family):
    module = importlib.import_module(f"tinycnn.kernels.reference.{family}")
    public = {
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public == set(kernels.FAMILIES[family])
    for name in public:
        function = getattr(module, name)
        assert function.__name__ == name and inspect.getdoc(function)


def test_names_are_unique_and_all_there(table):
    assert len(set(table.names())) == len(table.names()) == len(EVERY_KERNEL)
    assert {"conv2d", "max_pool2d", "adam_step"} <= set(table.names())


def test_a_kernel_becomes_a_plain_attribute(table):
    column = table.column("reference")
    assert "conv2d" not in vars(column)
    assert column.conv2d is vars(column)["conv2d"]


def test_unknown_names():
    with pytest.raises(AttributeError, match="no kernel 'conv4d'"):
        kernels.column("reference").conv4d  # noqa: B018
    with pytest.raises(RuntimeError, match="no column of kernels 'tpu', only reference, cpu and cuda"):
        kernels.column("tpu")


def test_modules_are_loaded_when_needed_and_numba_last():
    done = python(
        "import sys, tinycnn.kernels as k\n"
        "assert 'numba' not in sys.modules\n"
        "assert not [m for m in sys.modules if m.startswith('tinycnn.kernels.reference')]\n"
        "k.column('reference').softmax\n"
        "loaded = [m for m in sys.modules if m.startswith('tinycnn.kernels.reference.')]\n"
        "assert loaded == ['tinycnn.kernels.reference.softmax'], loaded\n"
        "assert 'numba' not in sys.modules\n"
        "k.column('cpu').conv2d\n"
        "assert 'numba' in sys.modules\n"
    )
    assert done.returncode == 0, done.stderr


def test_the_environment_chooses_the_readable_column():
    code = (
        "import sys, numpy, tinycnn.kernels as k\n"
        "assert k.column('cpu') is k.column('reference')\n"
        "k.register('twice', reference=lambda a: 2 * a, cpu=lambda a: 1 / 0)\n"
        "assert k.column('cpu').twice(4) == 8\n"
        "import tinycnn\n"
        "x = tinycnn.ones(1, 1, 3, 3, requires_grad=True)\n"
        "tinycnn.conv2d(x, tinycnn.ones(1, 1, 2, 2)).sum().backward()\n"
        "assert x.grad[0, 0].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]\n"
        "assert 'numba' not in sys.modules\n"
    )
    done = python(code, TINYCNN_BACKEND="reference")
    assert done.returncode == 0, done.stderr
    done = python("import tinycnn.kernels as k; k.column('cpu')", TINYCNN_BACKEND="turbo")
    assert done.returncode and "TINYCNN_BACKEND must be one of cpu, reference, got 'turbo'" in done.stderr


def test_the_folder_is_not_a_package_of_its_own():
    done = python("import kernels")
    assert done.returncode and "ImportError" in done.stderr and "import tinycnn.kernels" in done.stderr


# -- kernels of users -------------------------------------------------------------------------------------------------


def test_register(table):
    table.register("swish", reference=lambda a: ("plain", a), cpu=lambda a: ("fast", a))
    table.register("mish", reference=lambda a: ("plain", a))
    assert table.column("cpu").swish(1) == ("fast", 1)
    assert table.column("reference").swish(1) == ("plain", 1)
    assert table.column("cpu").mish(1) == table.column("reference").mish(1) == ("plain", 1)
    assert table.names()[-2:] == ("swish", "mish")


@pytest.mark.parametrize("name", ["conv2d", "name", "swish"])
def test_register_refuses_names_that_are_taken(table, name):
    table.register("swish", reference=abs)
    with pytest.raises(ValueError, match=f"the name '{name}' is taken"):
        table.register(name, reference=abs)


@pytest.mark.parametrize("name", ["", "two words", "2d", "class", "_hidden", None, 3])
def test_register_refuses_what_is_no_name(table, name):
    with pytest.raises(ValueError, match="must be a public identifier"):
        table.register(name, reference=abs)


@pytest.mark.parametrize("given", [{"reference": None}, {"reference": abs, "cpu": 3}, {"reference": abs, "cuda": "k"}])
def test_register_refuses_what_cannot_be_called(table, given):
    with pytest.raises(TypeError, match="must be callable"):
        table.register("swish", **given)
    assert "swish" not in table.names()


# -- the ground floor -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_kernels_import_nothing_from_above(path):
    depth = len(path.relative_to(ROOT / "kernels").parts)
    allowed = {"numpy", "numba", "llvmlite", "cupy_backends"} | set(sys.stdlib_module_names) - {"pickle"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            roots = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            roots = {(node.module or "").partition(".")[0]}
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= depth, f"line {node.lineno} reaches above kernels/"
            continue
        else:
            continue
        assert roots <= allowed, f"line {node.lineno} imports {roots - allowed}"


def test_the_readable_column_needs_nothing_but_numpy():
    for path in (ROOT / "kernels" / "reference").glob("*.py"):
        assert "numba" not in path.read_text(), path.name
