"""Holds tinycnn's operators against PyTorch's own samples: values, shapes, dtypes, gradients, and refusals.

PyTorch tests its operators with a database of sample inputs and of inputs that must be refused
(``torch.testing._internal``). This script feeds the same inputs to both and counts. It needs PyTorch and expecttest::

    python benchmarks/agree_with_torch.py                    # a summary, and every operator that is not perfect
    python benchmarks/agree_with_torch.py --ops '^var' -v    # every disagreement of the operators that match
    NUMBA_ENABLE_CUDASIM=1 python benchmarks/agree_with_torch.py --device cuda --larger 500    # in Numba's simulator

With ``--device cuda`` tinycnn's tensors lie on a GPU, PyTorch's stay on the CPU.
A sample agrees if values, shapes, dtypes and the gradients of all inputs do. A refused input counts if tinycnn raises
an error of its own (not one from inside NumPy) with a text.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import importlib
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

import tinycnn

# Not here, and why; everything else in PyTorch's database is expected to agree.
OUTSIDE = {
    r"^(fft|linalg\.(?!norm|vector_norm|vecdot|diagonal|multi_dot)|special|signal|sparse|masked|torch|jiterator)": "",
    r"^_|_copy$|_scatter$|to_sparse|complex|conj|^(real|imag|angle|polar|H|mH|c(half|float|double)|bfloat16)$": "",
    r"cholesky|^(lu|qr|svd|geqrf|ormqr|logdet|pinverse|matrix_exp|triangular_solve|pca_lowrank|ldl)|attention": "",
    r"3d$|ctc_loss|grid_sample|fractional|embedding_bag|rrelu|alpha_dropout|pdist|nn.functional.bilinear|stft": "",
    r"gamma|bessel|erfinv|^i0|cauchy|exponential|geometric|log_normal|frexp|ldexp|nextafter|gcd|lcm|hash_tensor": "",
    r"linear_cross_entropy|native_|with_indices_backward|empty_strided|empty_permuted|sampled|resize": "",
}
RANDOM = r"^(bernoulli|multinomial|normal|rand|randn|randint|rand_like|randn_like|randint_like|uniform|empty|new_empty)"
RANDOM += r"|dropout|empty_like"
ADAPTED = {  # the database has its own order of arguments here
    "where": lambda function: lambda x, condition, y: function(condition, x, y),
    "zero_": lambda function: lambda x: function(x.clone()),
    "nn.functional.embedding": lambda function: lambda weight, index, **rule: function(index, weight, **rule),
    "einsum": lambda function: lambda tensors, equation: function(equation, *tensors),
}
TOLERANCE = {np.float16: 2e-3, np.float32: 2e-5, np.float64: 1e-8}
home = tinycnn.device("cpu")  # where tinycnn's tensors are
OUR_ERRORS = (ValueError, TypeError, RuntimeError, IndexError)


def ours(op: Any) -> Callable[..., Any] | None:
    """The function of tinycnn with the name of an entry of the database."""
    place: Any = tinycnn
    if op.name == "uniform" or op.variant_test_name == "in_place":
        return lambda x, *args, **options: getattr(x.clone(), op.name + "_")(*args, **options)
    for part in op.name.split("."):
        place = getattr(place, part, None)
    if place is None or isinstance(place, tinycnn.dtype):
        place = getattr(tinycnn.Tensor, op.name, None)
        if isinstance(place, property):
            place = place.fget
        elif op.name == "item":
            place = tinycnn.Tensor.item
    if op.name in ADAPTED:
        place = ADAPTED[op.name](place)
    if isinstance(op.op, functools.partial) and place is not None:
        return functools.partial(place, *op.op.args, **{k: convert(v) for k, v in op.op.keywords.items()})
    return place


def convert(value: Any, memo: dict[int, Any] | None = None) -> Any:
    """Arguments for PyTorch as arguments for tinycnn."""
    if isinstance(value, torch.Tensor):
        if memo is not None and id(value) in memo:
            return memo[id(value)]
        array = value.detach().clone().numpy()
        result = tinycnn.from_numpy(array).to(home)
        if value.requires_grad:
            result.requires_grad_()
        if memo is not None:
            memo[id(value)] = result
        return result
    if isinstance(value, torch.nn.Module):
        return getattr(tinycnn.nn, type(value).__name__)()
    if isinstance(value, torch.dtype):
        return getattr(tinycnn, str(value).split(".")[1])
    if isinstance(value, torch.device):
        return home
    if isinstance(value, str) and value == "cpu":
        return str(home)
    if isinstance(value, torch.Size):
        return tinycnn.Size(value)
    if isinstance(value, torch.Generator):
        return tinycnn.Generator()
    if isinstance(value, (torch.layout, torch.memory_format)):
        return getattr(tinycnn, str(value).split(".")[1])
    if isinstance(value, (tuple, list)):
        parts = [convert(v, memo) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, dict):
        return {k: home if k == "device" and v is not None else convert(v, memo) for k, v in value.items()}
    if isinstance(value, slice):
        return slice(*(convert(v, memo) for v in (value.start, value.stop, value.step)))
    return value


def flat(value: Any) -> Iterator[Any]:
    if isinstance(value, (tuple, list)) and not isinstance(value, (torch.Size, tinycnn.Size)):
        for v in value:
            yield from flat(v)
    else:
        yield value


def compare(theirs: Any, mine: Any, values: bool) -> str | None:
    """What differs between two results, or None."""
    a, b = list(flat(theirs)), list(flat(mine))
    if len(a) != len(b):
        return f"{len(b)} results instead of {len(a)}"
    for x, y in zip(a, b, strict=True):
        if isinstance(x, torch.Tensor) != isinstance(y, tinycnn.Tensor):
            return f"a {type(y).__name__} instead of a {type(x).__name__}"
        if not isinstance(x, torch.Tensor):
            if isinstance(x, torch.device):
                x = home
            if isinstance(x, (torch.dtype, tinycnn.device)):
                x, y = str(x).split(".")[-1], str(y).split(".")[-1]
            if tuple(x) != tuple(y) if isinstance(x, tuple) else not np.array_equal(x, y, equal_nan=True):
                return f"{y!r} instead of {x!r}"
            continue
        if y.device.type != home.type:
            return f"a result on {y.device}"
        array, wanted = y.detach().cpu().array, x.detach().resolve_conj().resolve_neg().numpy(force=True)
        if array.shape != wanted.shape:
            return f"shape {array.shape} instead of {wanted.shape}"
        if array.dtype != wanted.dtype:
            return f"dtype {array.dtype} instead of {wanted.dtype}"
        if values:
            tolerance = TOLERANCE.get(wanted.dtype.type, 0)
            scale = max(1.0, float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0))) if tolerance else 1.0
            if not np.allclose(array, wanted, rtol=tolerance, atol=tolerance * min(scale, 1e3), equal_nan=True):
                return f"values {np.ravel(array)[:6]} instead of {np.ravel(wanted)[:6]}"
    return None


def gradients(result: Any, leaves: list[Any], cotangents: list[np.ndarray], engine: Any) -> list[Any]:
    outs = [r for r in flat(result) if isinstance(r, engine.Tensor) and r.requires_grad]
    given = [engine.from_numpy(c.copy()).to(o.device) for c, o in zip(cotangents, outs, strict=True)]
    return list(engine.autograd.grad(outs, leaves, given, allow_unused=True))


def check(op: Any, function: Callable[..., Any], sample: Any, differentiable: bool) -> str | None:
    """Run one sample through both: None if they agree, else what differs; "skip" if PyTorch refuses it."""
    memo: dict[int, Any] = {}
    args = convert((sample.input, *sample.args), memo)
    kwargs = convert(sample.kwargs, memo)
    try:
        theirs = op.op(sample.input, *sample.args, **sample.kwargs)
    except Exception:
        return "skip"
    results = [r for r in flat(theirs) if isinstance(r, torch.Tensor)]
    if any(r.is_complex() or r.dtype is torch.bfloat16 for r in results):
        return "skip"
    try:
        mine = function(*args, **kwargs)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"raised {type(error).__name__}: {str(error)[:150]} ({where.filename.split('/')[-1]}:{where.lineno})"
    wrong = compare(theirs, mine, not re.search(RANDOM, op.name))
    if wrong or not differentiable or re.search(RANDOM, op.name):
        return wrong
    outs = [r for r in results if r.requires_grad]
    our_outs = [r for r in flat(mine) if isinstance(r, tinycnn.Tensor) and r.requires_grad]
    if len(outs) != len(our_outs):
        return f"{len(our_outs)} results require grad instead of {len(outs)}"
    if not outs:
        return None
    if sample.output_process_fn_grad is not None and op.name in ("svd", "eig"):
        return "skip"
    leaves = [t for t in flat([sample.input, sample.args, list(sample.kwargs.values())]) if isinstance(t, torch.Tensor)]
    leaves = [t for i, t in enumerate(leaves) if t.requires_grad and not any(t is u for u in leaves[:i])]
    rng = np.random.default_rng(0)
    cotangents = [rng.standard_normal(tuple(o.shape)).astype(o.detach().numpy().dtype) for o in outs]
    try:
        wanted = gradients(theirs, leaves, cotangents, torch)
    except Exception:
        return None
    try:
        found = gradients(mine, [memo[id(t)] for t in leaves], cotangents, tinycnn)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"backward: {type(error).__name__}: {str(error)[:150]} ({where.filename.split('/')[-1]}:{where.lineno})"
    for i, (w, f) in enumerate(zip(wanted, found, strict=True)):
        if w is None or f is None:
            if (w is None) != (f is None) and not (w is None and not f.cpu().array.any()):
                return f"gradient {i} is {'None' if f is None else 'there'}, PyTorch's {'None' if w is None else 'not'}"
            continue
        wrong = compare(w, f, True)
        if wrong:
            return f"gradient {i}: {wrong}"
    return None


def refusal(function: Callable[..., Any], args: Any, kwargs: Any) -> str | None:
    """None if the call is refused in words, else what happened."""
    try:
        result = function(*args, **kwargs)
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1].filename
        if "tinycnn" not in frame and "kernels" not in frame and "agree_with_torch" not in frame:
            return f"refused from inside {frame.split('/')[-1]}: {type(error).__name__}: {str(error)[:120]}"
        if not isinstance(error, OUR_ERRORS):
            return f"refused by {type(error).__name__}: {str(error)[:120]}"
        return None if len(str(error)) > 8 else "refused without a text"
    return f"accepted: {str(result)[:100]}"


def largest(sample: Any) -> int:
    """The number of elements of a sample's largest tensor."""
    return max((t.numel() for t in flat([sample.input, sample.args]) if isinstance(t, torch.Tensor)), default=0)


def describe(sample: Any) -> str:
    def short(v: Any) -> str:
        if isinstance(v, torch.Tensor):
            grad = ", grad" if v.requires_grad else ""
            return f"<{tuple(v.shape)} {str(v.dtype).split('.')[1]}{grad}>"
        if isinstance(v, (tuple, list)):
            return "[" + ", ".join(short(x) for x in v) + "]"
        return repr(v)

    parts = [short(sample.input), *map(short, sample.args), *(f"{k}={short(v)}" for k, v in sample.kwargs.items())]
    return "(" + ", ".join(parts) + ")"


def on(device: str) -> contextlib.AbstractContextManager[Any]:
    """A block with tinycnn's tensors on a device; in the simulator with arrays as strict as CuPy's."""
    global home
    home = tinycnn.device(device)
    blocks = contextlib.ExitStack()
    if home.type == "cuda":
        blocks.enter_context(home)
        module = home.xp
        if module.__name__.endswith("stand_in"):
            blocks.enter_context(importlib.import_module(module.__name__).strict_numpy())
    return blocks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ops", default="", help="only the operators whose name matches this regular expression")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64", "int64", "bool", "uint8", "float16"])
    parser.add_argument("--outside", action="store_true", help="also operators that tinycnn leaves out")
    parser.add_argument("--device", default="cpu", help="where tinycnn computes: cpu or cuda")
    parser.add_argument("--at-most", type=int, help="so many samples of each operator and dtype")
    parser.add_argument("--larger", type=int, default=1 << 60, help="leave out samples of more elements than this")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every disagreement")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    np.seterr(all="ignore")

    with on(options.device):
        run(options)


def run(options: argparse.Namespace) -> None:
    """All of `main` but the arguments."""
    total: collections.Counter[str] = collections.Counter()
    missing = []
    for op in op_db:
        label = op.name + (f".{op.variant_test_name}" if op.variant_test_name else "")
        if not re.search(options.ops, label):
            continue
        if not options.outside and any(re.search(pattern, op.name) for pattern in OUTSIDE):
            continue
        function = ours(op)
        if function is None:
            missing.append(label)
            continue
        counts: collections.Counter[str] = collections.Counter()
        problems = []
        for name in options.dtypes:
            dtype = getattr(torch, name)
            supported = dtype in op.supported_dtypes("cpu")
            floating = name in ("float32", "float64") and op.supports_autograd
            torch.manual_seed(0)
            try:
                samples = list(op.sample_inputs("cpu", dtype, requires_grad=floating and supported))
            except Exception:
                continue
            small = [s for s in samples if largest(s) <= options.larger]
            for sample in small[: options.at_most]:
                try:
                    wrong = check(op, function, sample, floating)
                except (TypeError, AttributeError, KeyError, ValueError, RuntimeError) as error:
                    wrong = "skip" if not supported else f"not comparable: {error}"
                if wrong == "skip":
                    if supported:
                        continue
                    memo: dict[int, Any] = {}
                    try:
                        args, kwargs = convert((sample.input, *sample.args), memo), convert(sample.kwargs, memo)
                    except (TypeError, AttributeError, ValueError, RuntimeError):
                        continue
                    wrong = refusal(function, args, kwargs)
                    counts["dtypes to refuse"] += 1
                    counts["dtypes refused"] += wrong is None
                    if wrong:
                        problems.append(f"    refuses {name} {describe(sample)}\n        {wrong}")
                        break
                    break  # one sample of a refused dtype is enough
                counts["samples"] += 1
                counts["agree"] += wrong is None
                if wrong:
                    if not wrong.startswith("raised"):
                        counts["silently wrong"] += 1
                    problems.append(f"    {name} {describe(sample)}\n        {wrong}")
        try:
            errors = list(op.error_inputs("cpu")) if op.error_inputs_func else []
        except Exception:
            errors = []
        for item in errors:
            sample = item.sample_input
            try:
                op.op(sample.input, *sample.args, **sample.kwargs)
                continue
            except Exception:
                pass
            try:
                memo = {}
                args, kwargs = convert((sample.input, *sample.args), memo), convert(sample.kwargs, memo)
            except (TypeError, AttributeError, ValueError, RuntimeError):
                continue
            wrong = refusal(function, args, kwargs)
            counts["to refuse"] += 1
            counts["refused"] += wrong is None
            if wrong:
                problems.append(f"    refuses {describe(sample)} ({str(item.error_regex)[:80]})\n        {wrong}")
        total.update(counts)
        perfect = counts["agree"] == counts["samples"] and counts["refused"] == counts["to refuse"]
        if options.verbose or not perfect or counts["dtypes refused"] != counts["dtypes to refuse"]:
            print(
                f"{label}: {counts['agree']}/{counts['samples']} agree, {counts['refused']}/{counts['to refuse']} "
                f"and {counts['dtypes refused']}/{counts['dtypes to refuse']} dtypes refused"
            )
        if options.verbose:
            print("\n".join(problems))
        sys.stdout.flush()
    print(f"\nmissing ({len(missing)}): {' '.join(missing)}")
    print(", ".join(f"{k} {v}" for k, v in total.items()))
    if total["samples"]:
        print(f"agree: {100 * total['agree'] / total['samples']:.2f} % of the samples of what is there")
    if total["to refuse"]:
        print(f"refused: {100 * total['refused'] / total['to refuse']:.2f} % of what PyTorch's database refuses")


if __name__ == "__main__":
    main()
