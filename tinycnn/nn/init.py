"""Initial weights. Each function writes into a tensor, without recording, and returns it.

The random ones draw from ``generator=``, by default from the generator that `tinycnn.manual_seed` seeds.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .._tensor import Tensor, wrap
from ..autograd import no_grad
from ..dtypes import real
from ..random import Generator, generator_or_default

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "selu": 0.75,
}


def _write(tensor: Tensor, values: Any) -> Tensor:
    with no_grad():
        return tensor.copy_(wrap(np.asarray(values)))


def _drawing_dtype(tensor: Tensor) -> Any:
    """float64 is drawn in float64, all else in float32."""
    return np.float64 if tensor.array.dtype == np.float64 else np.float32


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights grow to make up for what a nonlinearity takes away.

    1 for ``linear``, ``conv2d`` and ``sigmoid``; 5/3 for ``tanh``; sqrt(2) for ``relu``; sqrt(2 / (1 + a**2)) for
    ``leaky_relu`` with negative slope a = `param` (0.01); 3/4 for ``selu``.

    Raises:
        ValueError: for another name, or a slope that is not a number.
    """
    if nonlinearity in _GAINS:
        return _GAINS[nonlinearity]
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"calculate_gain: the negative slope must be a number, got {slope!r}")
        return math.sqrt(2.0 / (1 + slope**2))
    known = ", ".join([*_GAINS, "relu", "leaky_relu"])
    raise ValueError(f"calculate_gain: nonlinearity must be one of {known}; got {nonlinearity!r}")


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out): how many inputs an output of this weight sums, and how many outputs an input feeds.

    For a weight (O, I, K...) that is I * prod(K) and O * prod(K).

    Raises:
        ValueError: for fewer than two dimensions.
    """
    shape = tensor.array.shape
    if len(shape) < 2:
        raise ValueError(f"fan in and fan out need a weight of at least 2 dimensions (O, I, ...), got shape {shape}")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Numbers drawn evenly from [a, b)."""
    if not real("uniform_", "a", a) <= real("uniform_", "b", b):
        raise ValueError(f"uniform_: the interval [{a}, {b}] is empty")
    drawn = generator_or_default(generator).numpy.random(tensor.array.shape, _drawing_dtype(tensor))
    return _write(tensor, drawn * (b - a) + a)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Numbers drawn from the normal distribution N(mean, std**2)."""
    if real("normal_", "std", std) < 0:
        raise ValueError(f"normal_: std must not be negative, got {std}")
    drawn = generator_or_default(generator).numpy.standard_normal(tensor.array.shape, _drawing_dtype(tensor))
    return _write(tensor, drawn * std + mean)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Numbers drawn from N(mean, std**2), drawn again until they lie in [a, b].

    Raises:
        ValueError: if [a, b] holds less than 1 % of the distribution.
    """
    low, high = ((edge - mean) / (std * math.sqrt(2.0)) for edge in (a, b))
    if not (math.erf(high) - math.erf(low)) / 2 >= 0.01:
        raise ValueError(f"trunc_normal_: [{a}, {b}] holds less than 1 % of the normal distribution ({mean}, {std}**2)")
    numpy = generator_or_default(generator).numpy
    drawn = numpy.standard_normal(tensor.array.shape, _drawing_dtype(tensor)) * std + mean
    outside = (drawn < a) | (drawn > b)
    while outside.any():
        drawn[outside] = numpy.standard_normal(np.count_nonzero(outside), drawn.dtype) * std + mean
        outside = (drawn < a) | (drawn > b)
    return _write(tensor, drawn)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere."""
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Even in [-bound, bound] with bound = gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    bound = gain * math.sqrt(6.0 / max(1, sum(fans(tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with std = gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / max(1, sum(fans(tensor)))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"kaiming: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, fan))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Even in [-bound, bound] with bound = gain * sqrt(3 / fan) (He et al. 2015).

    Args:
        a: the negative slope, for ``leaky_relu``.
        mode: ``"fan_in"`` keeps the variance on the way forward, ``"fan_out"`` on the way back.

    Raises:
        ValueError: for another mode or nonlinearity, or fewer than two dimensions.
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with std = gain / sqrt(fan) (He et al. 2015); arguments as `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix.

    Raises:
        ValueError: if it is not a matrix.
    """
    if tensor.array.ndim != 2:
        raise ValueError(f"eye_: expected a matrix, got shape {tuple(tensor.array.shape)}")
    return _write(tensor, np.eye(*tensor.array.shape, dtype=tensor.array.dtype))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Filters (O, C, ...) that let channel c of each group through as output channel c: 1 in their middle, else 0.

    Raises:
        ValueError: for fewer than 3 or more than 5 dimensions, or if the groups do not divide O.
    """
    shape = tensor.array.shape
    if not 3 <= len(shape) <= 5:
        raise ValueError(f"dirac_: expected filters of 3 to 5 dimensions, got shape {tuple(shape)}")
    if shape[0] % groups:
        raise ValueError(f"dirac_: groups = {groups} must divide the {shape[0]} filters")
    values = np.zeros(shape, tensor.array.dtype)
    per_group = shape[0] // groups
    middle = tuple(n // 2 for n in shape[2:])
    for g in range(groups):
        for d in range(min(per_group, shape[1])):
            values[(g * per_group + d, d, *middle)] = 1
    return _write(tensor, values)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """A random matrix with orthonormal rows or columns, times `gain` (Saxe et al. 2014); more dimensions are flattened.

    Raises:
        ValueError: for fewer than two dimensions.
    """
    if tensor.array.ndim < 2:
        raise ValueError(f"orthogonal_: expected two or more dimensions, got shape {tuple(tensor.array.shape)}")
    if not tensor.array.size:
        return tensor
    rows = tensor.array.shape[0]
    columns = tensor.array.size // rows
    drawn = generator_or_default(generator).numpy.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q *= np.sign(np.diag(r))
    values = (q if rows >= columns else q.T) * gain
    return _write(tensor, values.reshape(tensor.array.shape).astype(tensor.array.dtype))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """A matrix drawn from N(0, std**2), of which a share `sparsity` of each column is 0 (Martens 2010).

    Raises:
        ValueError: if it is not a matrix.
    """
    if tensor.array.ndim != 2:
        raise ValueError(f"sparse_: expected a matrix, got shape {tuple(tensor.array.shape)}")
    numpy = generator_or_default(generator).numpy
    rows, columns = tensor.array.shape
    values = numpy.standard_normal((rows, columns), _drawing_dtype(tensor)) * std
    for column in range(columns):
        values[numpy.permutation(rows)[: math.ceil(sparsity * rows)], column] = 0
    return _write(tensor, values)


def _old(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    name = function.__name__.removesuffix("_")

    def old(*args: Any, **options: Any) -> Tensor:
        warnings.warn(f"nn.init.{name} is now nn.init.{name}_", FutureWarning, stacklevel=2)
        return function(*args, **options)

    old.__name__ = old.__qualname__ = name
    old.__doc__ = f"`{function.__name__}`, by its name of long ago."
    return old


uniform, normal, constant, eye, dirac = _old(uniform_), _old(normal_), _old(constant_), _old(eye_), _old(dirac_)
xavier_uniform, xavier_normal = _old(xavier_uniform_), _old(xavier_normal_)
kaiming_uniform, kaiming_normal = _old(kaiming_uniform_), _old(kaiming_normal_)
orthogonal, sparse = _old(orthogonal_), _old(sparse_)


def reset_weight_and_bias(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's default for convolutions and linear layers: both even in [-1/sqrt(fan_in), 1/sqrt(fan_in)]."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1 / math.sqrt(max(1, fans(weight)[0]))
        uniform_(bias, -bound, bound)
