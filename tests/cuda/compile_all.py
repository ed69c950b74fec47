"""Compiles every kernel of the CUDA column to machine code of an H100, without a GPU; prints a line of JSON for each.

Run by test_compile.py in a process of its own: `stand_in` takes CuPy's place, as CuPy is not needed to compile.
"""

import json
import re
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np

TARGET = (9, 0)
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def modules():
    """The files of the column that hold kernels."""
    folder = Path(import_module("tinycnn.kernels.cuda").__file__).parent
    return sorted(p.stem for p in folder.glob("*.py") if "@kernel(" in p.read_text() and p.stem != "launch")


def machine_code(ptx):
    """What the assembler says of a kernel: registers, bytes spilled, on the stack and of shared memory."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=LinkerOptions(arch="sm_90", verbose=True))
    linker.link("cubin")
    log = linker.get_info_log()

    def number(pattern):
        return sum(int(found) for found in re.findall(pattern, log))

    return {
        "registers": number(r"Used (\d+) registers"),
        "spilled": number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads"),
        "stack": number(r"(\d+) bytes stack frame"),
        "shared": number(r"(\d+) bytes smem"),
        "log": log,
    }


def narrow(body, types):
    """The sums, products and loops over whole numbers of less than 64 bits in a kernel, by Numba's types."""
    from numba.core import types as kinds

    compiler = import_module("numba.cuda.compiler")
    calls = compiler.compile_cuda(body, kinds.void, types, cc=TARGET).type_annotation.calltypes
    found = []
    for expression, signature in calls.items():
        kind = signature.return_type if signature else None
        computed = getattr(expression, "op", "") in ("binop", "inplace_binop") and isinstance(kind, kinds.Integer)
        if (computed and kind.bitwidth < 64) or (isinstance(kind, kinds.RangeType) and kind.dtype.bitwidth < 64):
            found.append(f"{expression}: {signature}")
    return found


def main():
    sys.modules["cupy"] = import_module("tinycnn.kernels.cuda.stand_in")
    launch = import_module("tinycnn.kernels.cuda.launch")
    from numba import cuda

    dispatcher = import_module("numba.cuda.dispatcher")
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=TARGET)  # for device functions
    launch._repair_numba()
    for name in modules():
        import_module(f"tinycnn.kernels.cuda.{name}")
    for kernel in launch.KERNELS:
        for char in kernel.dtypes:
            for constants in kernel.constants:
                dtype = np.dtype(char)
                shown = ", ".join(getattr(c, "__name__", str(c)) for c in constants)
                report = {"kernel": f"{kernel.name}({dtype}{', ' + shown if shown else ''})", "dtype": str(dtype)}
                report["threads"] = max([launch.THREADS, *[c for c in constants if type(c) is int]])
                try:
                    body = kernel.factory(launch.computed_in(dtype).type, *constants)
                    ptx, _ = cuda.compile_ptx(body, kernel.types(dtype), cc=TARGET)
                    report |= machine_code(ptx)
                    report["narrow"] = narrow(body, kernel.types(dtype)) if constants == kernel.constants[0] else []
                    report["divisions"] = [len(re.findall(rf"\b(?:div|rem)\.[us]{bits}\b", ptx)) for bits in (32, 64)]
                    report["float64"] = [line.strip() for line in ptx.splitlines() if re.search(r"\.f64\b", line)][:5]
                except Exception as error:
                    report["error"] = f"{type(error).__name__}: {error}"
                print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
