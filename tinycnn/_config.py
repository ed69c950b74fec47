"""What this installation consists of, in words."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from . import dtypes, kernels
from .kernels import settings
from .kernels.cuda import probe

NEEDED = ("numpy", "numba", "llvmlite", "safetensors", "tqdm")
EXTRAS = {  # package: what it is for
    "pillow": "reading and writing pictures",
    "matplotlib": "plots",
    "scikit-learn": "the Digits dataset",
    "hypothesis": "tinycnn.testing.strategies",
    "onnx": "exporting models",
}
VARIABLES = ("TINYCNN_", "NUMBA_", "OMP_", "OPENBLAS_", "CUDA_")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.is_file() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _threading_layer() -> str:
    import numba  # half a second, for those who ask

    numba.get_num_threads()  # starts the pool, after which the layer is known
    layer = numba.threading_layer()
    return f"{layer}, one kernel at a time" if layer == "workqueue" else layer


def _cache(jit: Any) -> str:
    folders = jit.cache_folders()
    if not folders:
        return "none: no folder can be written to; set NUMBA_CACHE_DIR to one"
    files = [f for folder in folders if Path(folder).is_dir() for f in Path(folder).glob("*.nbc")]
    size = sum(f.stat().st_size for f in files) / 1e6
    found = f"{len(files)} compiled kernels, {size:.0f} MB" if files else "empty; `python -m tinycnn warmup` fills it"
    return f"{', '.join(folders)} ({found})"


def _lines() -> Iterator[tuple[str, str]]:
    yield "tinycnn", f"{_version('tinycnn') or 'not installed'}, in {Path(__file__).resolve().parent}"
    yield "Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}, {sys.executable}"
    yield "packages", ", ".join(f"{name} {_version(name) or 'missing'}" for name in NEEDED)
    for name, purpose in EXTRAS.items():
        yield "", f"{name} {_version(name) or f'is not installed: {purpose}'}"
    yield "", ""

    backend = os.environ.get("TINYCNN_BACKEND") or "cpu"
    if backend == "reference":
        yield "CPU", "computed by the readable NumPy kernels, slowly: TINYCNN_BACKEND=reference is set"
    else:
        for family in kernels.FAMILIES:
            importlib.import_module(f"tinycnn.kernels.cpu.{family}")
        jit, simd, threads = (
            importlib.import_module(f"tinycnn.kernels.cpu.{name}") for name in ("jit", "simd", "threads")
        )
        yield "CPU", f"{_processor()}, computed by Numba kernels"
        yield "vectors", f"{simd.VECTOR_BYTES} bytes, {simd.LANES32} float32 at a time"
        yield "threads", f"{threads.get_num_threads()} of {os.cpu_count()} (tinycnn.set_num_threads)"
        yield "thread layer", _threading_layer()
        yield "kernel cache", _cache(jit)
        winograd = "allowed" if settings.allow_winograd else "forbidden"
        yield "Winograd", f"{winograd} (tinycnn.backends.cpu.allow_winograd)"
    yield "default dtype", str(dtypes.get_default_dtype())
    yield "", ""

    yield from probe.report()
    yield "", ""
    found = [f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith(VARIABLES)]
    yield "environment", "; ".join(found) or f"no variable that begins with {', '.join(VARIABLES)}"


def describe() -> str:
    """What `show_config` prints."""
    return "\n".join(f"{name:<14}{text}".rstrip() for name, text in _lines())


def show_config() -> None:
    """Print what this installation consists of: versions, processor, threads, cache of kernels, switches, devices."""
    print(describe())
