"""Settings that PyTorch's scripts make and that change nothing here, and the names that are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .kernels import settings

_deterministic = [False, False]
_precision = ["highest"]


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Kept, without an effect: results are the same from run to run anyway."""
    _deterministic[:] = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was told."""
    return _deterministic[0]


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What `use_deterministic_algorithms` was told."""
    return _deterministic[1]


def set_float32_matmul_precision(precision: str) -> None:
    """Let GPUs multiply float32 with 10 bits of mantissa ("high" and "medium"), or not ("highest").

    It is the switch `backends.cuda.allow_tf32`, for convolutions too. The CPU computes in float32 in any case.

    Raises:
        ValueError: if it is not "highest", "high" or "medium".
    """
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f'set_float32_matmul_precision: expected "highest", "high" or "medium", got {precision!r}')
    _precision[0] = precision
    settings.allow_tf32 = precision != "highest"


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was told, or what `backends.cuda.allow_tf32` means; "highest" at first."""
    if settings.allow_tf32 is (_precision[0] != "highest"):
        return _precision[0]
    return "high" if settings.allow_tf32 else "highest"


def compile(model: Callable[..., Any] | None = None, **options: Any) -> Any:
    """The model, or function, itself: there is no compiler here, and kernels are compiled as they are.

    Args:
        model: None to decorate: ``@tinycnn.compile(dynamic=True)``.
        options: PyTorch's, without an effect.
    """
    return model if model is not None else lambda function: function


_KINDS = {
    "recurrent networks": "RNN RNNBase RNNCell RNNCellBase LSTM LSTMCell GRU GRUCell rnn lstm gru",
    "attention": (
        "Transformer TransformerEncoder TransformerDecoder TransformerEncoderLayer TransformerDecoderLayer "
        "MultiheadAttention scaled_dot_product_attention multi_head_attention_forward attention"
    ),
    "sparse tensors": (
        "sparse sparse_coo sparse_csr sparse_coo_tensor sparse_csr_tensor sparse_compressed_tensor sparse_tensor"
    ),
    "complex numbers": (
        "complex complex32 complex64 complex128 cfloat cdouble chalf view_as_real view_as_complex polar real imag angle"
    ),
    "Fourier transforms": "fft stft istft",
    "quantisation": (
        "quantization ao qint8 quint8 qint32 quint4x2 quantize_per_tensor quantize_per_channel quantized qat "
        "quantizable intrinsic"
    ),
    "training in several processes": "distributed",
    "tracing and compiling": "export _dynamo _inductor library ops classes",
    "transforms of functions": "func functorch vmap",
    "probability distributions": "distributions",
    "nested and masked tensors": "nested masked",
    "special functions by that name": "special",
    "profiling": "profiler",
    "the dtype bfloat16 and those of 8 bits": (
        "bfloat16 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz BFloat16Tensor"
    ),
    "decompositions": "svd svd_lowrank pca_lowrank qr lobpcg eig symeig cholesky lu",
}
_REFUSED = {name: kind for kind, names in _KINDS.items() for name in names.split()}


def refuse(module: str, name: str) -> AttributeError:
    """The error for a name that `module` does not have: in words, where PyTorch has it and tinycnn leaves it out."""
    if name in _REFUSED:
        return AttributeError(f"{module}.{name}: {_REFUSED[name]} are outside of tinycnn, which is for image networks")
    return AttributeError(f"module {module!r} has no attribute {name!r}")


def refused(name: str, why: str, needs: str) -> Callable[..., Any]:
    """A function of that (dotted) name that says why it is not here: ``RuntimeError``, always."""

    def function(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"{name}: {why}")

    function.__name__ = function.__qualname__ = name.rpartition(".")[2]
    function.__doc__ = f"Needs {needs}.\n\nRaises:\n    RuntimeError: always."
    return function
