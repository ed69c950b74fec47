"""What is there for the CUDA column, and in words what is missing. Imports neither CuPy nor Numba before it must."""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from typing import Any

LIBRARIES = "cublas", "nvrtc", "nvvm"  # what CuPy and numba-cuda load of CUDA when they are first used
INSTALL = "pip install 'tinycnn[cuda13]' (for drivers of CUDA 13), or 'tinycnn[cuda12]'"


class OutOfMemoryError(RuntimeError):
    """The memory of the GPU does not suffice."""


def simulated() -> bool:
    """Whether Numba's simulator stands in for a GPU: NUMBA_ENABLE_CUDASIM=1, set before Numba is imported."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")


def in_words(version: int) -> str:
    """CUDA's number for a version, 13020, as people write it: 13.2."""
    return f"{version // 1000}.{version % 1000 // 10}"


def driver() -> tuple[int, int, str]:
    """The newest version of CUDA that the driver knows, the number of GPUs, and what is wrong ("" if nothing is)."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return 0, 0, f"there is no NVIDIA driver here ({name} is not found), so there is no GPU to use"
    error = library.cuInit(0)
    version, count = ctypes.c_int(), ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(version))
    if error == 0:
        error = library.cuDeviceGetCount(ctypes.byref(count))
    if error not in (0, 100):  # 100: no device
        return version.value, 0, f"the NVIDIA driver does not start (cuInit says error {error}); does nvidia-smi run?"
    if not count.value:
        return version.value, 0, "the NVIDIA driver finds no GPU; is it hidden by CUDA_VISIBLE_DEVICES?"
    return version.value, count.value, ""


def missing_packages() -> str:
    """The packages that are not installed, in words; "" if all are there."""
    missing = [name for name, module in (("CuPy", "cupy"), ("numba-cuda", "numba_cuda")) if not _is_there(module)]
    if not missing:
        return ""
    verb = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {verb} not installed: {INSTALL}"


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def wrong_version(known: int) -> str:
    """Whether CuPy was built for a newer CUDA than the driver knows, in words; "" if not."""
    try:
        cupy: Any = importlib.import_module("cupy")
    except Exception as error:  # a broken installation fails in many ways
        return f"CuPy is installed but cannot be imported ({error}): reinstall it, {INSTALL}"
    built = cupy.cuda.runtime.runtimeGetVersion()
    if built // 1000 > known // 1000:
        return (
            f"the NVIDIA driver knows CUDA up to {in_words(known)}, and CuPy is built for CUDA {in_words(built)}: "
            f"update the driver, or install what fits it, {INSTALL}"
        )
    return ""


def missing_libraries() -> str:
    """The libraries of CUDA that are not to be found, in words; "" if all are there."""
    try:
        find: Any = importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib
    except ImportError:  # older packages look for themselves
        return ""
    missing = []
    for name in LIBRARIES:
        try:
            find(name)
        except Exception:  # pathfinder's own, or the loader's
            missing.append(name)
    if not missing:
        return ""
    return f"CuPy and numba-cuda are installed, but not what they need of CUDA ({', '.join(missing)}): {INSTALL}"


def broken_compiler() -> str:
    """Whether numba-cuda cannot be imported, in words; "" if it can."""
    try:
        importlib.import_module("numba.cuda")
    except Exception as error:  # a numba that does not fit, in many ways
        return f"numba-cuda is installed but cannot be imported ({error}): reinstall it, {INSTALL}"
    return ""


@functools.cache
def problem() -> str:
    """Why tensors cannot be put on a GPU, in words that say what to do; "" if they can."""
    if simulated():
        return ""
    known, _, wrong = driver()
    return wrong or missing_packages() or wrong_version(known) or missing_libraries() or broken_compiler()


def no_such_gpu(index: int | None) -> str:
    """Whether there is no GPU of that number, in words; "" if there is."""
    count = 1 if simulated() else driver()[1]
    if index is None or index < count:
        return ""
    return f"there {'is 1 GPU' if count == 1 else f'are {count} GPUs'}, numbered from 0, and none with number {index}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "is not installed"


def report() -> list[tuple[str, str]]:
    """What there is for GPUs, and what is missing, as pairs (what, in words)."""
    lines = [("CUDA", problem() or "tensors can be put on a GPU: device='cuda'")]
    if simulated():
        return [("CUDA", "Numba's simulator stands in for a GPU (NUMBA_ENABLE_CUDASIM=1): for tests, very slow")]
    known, count, wrong = driver()
    if known:
        lines.append(("NVIDIA driver", f"CUDA up to {in_words(known)}, {count} GPUs"))
    cupy = [f"cupy-cuda{n}x" for n in (13, 12) if _is_there("cupy") and _version(f"cupy-cuda{n}x")[0].isdigit()]
    shown = " ".join((cupy[0], _version(cupy[0]))) if cupy else "CuPy is not installed"
    numba_cuda = _version("numba-cuda")
    lines.append(("CUDA packages", f"{shown}, numba-cuda {numba_cuda}"))
    if missing_packages() and not wrong:
        lines.append(("", missing_packages()))
    if not problem():
        cuda = importlib.import_module("cupy.cuda")
        for i in range(count):
            found = cuda.runtime.getDeviceProperties(i)
            memory = found["totalGlobalMem"] / 2**30
            kind = f"{found['major']}.{found['minor']}"
            lines.append((f"cuda:{i}", f"{found['name'].decode()}, {memory:.0f} GiB, compute capability {kind}"))
    return lines
