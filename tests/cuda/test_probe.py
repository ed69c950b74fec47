"""What is said where there is no GPU, or where what it needs is missing: one clear error each."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import tinycnn
from tinycnn.kernels.cuda import probe

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(probe.simulated(), reason="Numba's simulator stands in for a GPU")


@pytest.fixture
def machine(monkeypatch):
    """A machine whose driver knows CUDA 13.2, with one GPU, CuPy for CUDA 13.0, numba-cuda and CUDA's libraries."""
    packages = {
        "cupy": SimpleNamespace(cuda=SimpleNamespace(runtime=SimpleNamespace(runtimeGetVersion=lambda: 13000))),
        "numba.cuda": SimpleNamespace(),
        "cuda.pathfinder": SimpleNamespace(load_nvidia_dynamic_lib=lambda name: None),
    }
    monkeypatch.setattr(probe, "driver", lambda: (13020, 1, ""))
    monkeypatch.setattr(probe, "_is_there", lambda module: True)
    monkeypatch.setattr(probe.importlib, "import_module", packages.__getitem__)
    probe.problem.cache_clear()
    yield monkeypatch
    probe.problem.cache_clear()


def test_nothing_is_missing(machine):
    assert probe.problem() == "" and probe.no_such_gpu(0) == "" and probe.no_such_gpu(None) == ""


def test_a_gpu_that_is_not_there(machine):
    assert probe.no_such_gpu(2) == "there is 1 GPU, numbered from 0, and none with number 2"


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        (("cupy",), "CuPy is not installed: pip install 'tinycnn[cuda13]'"),
        (("numba_cuda",), "numba-cuda is not installed: pip install"),
        (("cupy", "numba_cuda"), "CuPy and numba-cuda are not installed"),
    ],
)
def test_packages_that_are_missing(machine, missing, text):
    machine.setattr(probe, "_is_there", lambda module: module not in missing)
    assert text in probe.problem()


def test_a_driver_that_is_too_old(machine):
    machine.setattr(probe, "driver", lambda: (12040, 1, ""))
    assert "knows CUDA up to 12.4, and CuPy is built for CUDA 13.0: update the driver" in probe.problem()


def test_a_broken_installation(machine):
    def broken(name):
        raise ImportError("libnvrtc.so.13: cannot open shared object file")

    machine.setattr(probe.importlib, "import_module", broken)
    assert "cannot be imported (libnvrtc.so.13" in probe.problem()


def test_libraries_that_are_missing(machine):
    def find(name):
        if name != "nvrtc":
            raise RuntimeError(f"no {name}")

    before = probe.importlib.import_module
    pathfinder = SimpleNamespace(load_nvidia_dynamic_lib=find)
    machine.setattr(
        probe.importlib, "import_module", lambda name: pathfinder if name == "cuda.pathfinder" else before(name)
    )
    assert "not what they need of CUDA (cublas, nvvm): pip install 'tinycnn[cuda13]'" in probe.problem()


@pytest.mark.parametrize(
    ("module", "text"),
    [("numba.cuda", "numba-cuda is installed but cannot be imported (no numba.cuda)"), ("cuda.pathfinder", "")],
)
def test_packages_that_do_not_fit(machine, module, text):
    before = probe.importlib.import_module

    def import_module(name):
        if name == module:
            raise ImportError(f"no {name}")
        return before(name)

    machine.setattr(probe.importlib, "import_module", import_module)
    assert text in probe.problem() if text else probe.problem() == ""


class FakeDriver:
    def __init__(self, error, version, count):
        self.cuInit = lambda flags: error
        self.cuDriverGetVersion = lambda out: setattr(out._obj, "value", version)
        self.cuDeviceGetCount = lambda out: setattr(out._obj, "value", count) or 0


@pytest.mark.parametrize(
    ("library", "text"),
    [
        (FakeDriver(0, 13000, 2), ""),
        (FakeDriver(0, 13000, 0), "finds no GPU; is it hidden by CUDA_VISIBLE_DEVICES"),
        (FakeDriver(100, 13000, 0), "finds no GPU"),
        (FakeDriver(803, 13000, 0), "does not start (cuInit says error 803)"),
    ],
)
def test_what_the_driver_says(monkeypatch, library, text):
    monkeypatch.setattr(probe.ctypes, "CDLL", lambda name: library)
    known, count, wrong = probe.driver()
    assert known == 13000 and (text in wrong if text else not wrong and count == 2)


@pytest.mark.skipif(not probe.driver()[2], reason="there is a GPU")
def test_without_a_gpu_every_way_there_is_refused():
    text = "NVIDIA driver"
    for act in (
        lambda: tinycnn.ones(1, device="cuda"),
        lambda: tinycnn.ones(1).cuda(),
        lambda: tinycnn.nn.Linear(1, 1).to("cuda:0"),
        lambda: tinycnn.set_default_device("cuda"),
        lambda: tinycnn.cuda.set_device(0),
        tinycnn.cuda.synchronize,
        tinycnn.cuda.Stream,
        tinycnn.cuda.CUDAGraph,
    ):
        with pytest.raises(RuntimeError, match=text):
            act()
    assert not tinycnn.cuda.is_available() and tinycnn.cuda.device_count() == 0
    assert any(text in words for _, words in probe.report())


def test_importing_tinycnn_loads_neither_cupy_nor_cuda():
    code = "import sys, tinycnn\ntinycnn.cuda.is_available()\n"
    code += "print([m for m in sys.modules if 'cupy' in m or m == 'numba'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
