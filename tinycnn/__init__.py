"""tinycnn: a deep-learning engine small enough to read and fast enough to use.

PyTorch's names: ``torch`` is `tinycnn`, ``torchvision`` is `tinycnn.vision`.
"""

import builtins

from . import _methods, autograd, hub, kernels, linalg, nn, optim, random, utils
from ._device import device, get_num_threads, set_num_threads
from ._tensor import Size, Tensor
from .autograd import (
    enable_grad,
    inference_mode,
    is_anomaly_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .composed.linalg import (
    addbmm,
    addmm,
    addmv,
    addr,
    baddbmm,
    cdist,
    cross,
    dot,
    einsum,
    inner,
    kron,
    mv,
    outer,
    tensordot,
)
from .composed.math import (
    addcdiv,
    addcmul,
    allclose,
    clamp,
    clamp_max,
    clamp_min,
    deg2rad,
    equal,
    float_power,
    frac,
    heaviside,
    isclose,
    isneginf,
    isposinf,
    isreal,
    lerp,
    logit,
    masked_fill,
    nan_to_num,
    positive,
    rad2deg,
    round,
    sgn,
    sinc,
    xlogy,
)
from .composed.reduce import (
    aminmax,
    argsort,
    argwhere,
    bincount,
    bucketize,
    count_nonzero,
    cummax,
    cummin,
    cumprod,
    cumsum,
    dist,
    histc,
    isin,
    kthvalue,
    logcumsumexp,
    logsumexp,
    median,
    mode,
    msort,
    nanmean,
    nanmedian,
    nanquantile,
    nansum,
    nonzero,
    norm,
    prod,
    quantile,
    searchsorted,
    sort,
    topk,
    trace,
    unique,
    unique_consecutive,
)
from .dtypes import (
    bool_ as bool,
)
from .dtypes import (
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from .ops.conv import conv2d
from .ops.create import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from .ops.elementwise import (
    abs,
    acos,
    acosh,
    add,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    ceil,
    clone,
    copysign,
    cos,
    cosh,
    div,
    eq,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    floor,
    floor_divide,
    fmax,
    fmin,
    fmod,
    ge,
    gt,
    hypot,
    isfinite,
    isinf,
    isnan,
    le,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logaddexp2,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    maximum,
    minimum,
    mul,
    ne,
    neg,
    pow,
    reciprocal,
    relu,
    remainder,
    rsqrt,
    rsub,
    sigmoid,
    sign,
    signbit,
    sin,
    sinh,
    sqrt,
    square,
    sub,
    tan,
    tanh,
    trunc,
    where,
)
from .ops.loss import log_softmax, softmax
from .ops.matmul import bmm, matmul, mm
from .ops.reduce import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    max,
    mean,
    min,
    std,
    std_mean,
    sum,
    var,
    var_mean,
)
from .ops.shape import (
    broadcast_to,
    cat,
    chunk,
    flatten,
    flip,
    gather,
    movedim,
    narrow,
    permute,
    reshape,
    split,
    squeeze,
    stack,
    t,
    transpose,
    unbind,
    unsqueeze,
)
from .random import Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from .serialization import load, save

absolute, negative, multiply, subtract, divide, true_divide, fix = abs, neg, mul, sub, div, div, trunc
ger, vdot = outer, dot
arccos, arccosh, arcsin, arcsinh = acos, acosh, asin, asinh
arctan, arctan2, arctanh, clip = atan, atan2, atanh, clamp
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne

float = float32
double = float64
half = float16
long = int64
int = int32
short = int16

__version__ = "0.1.0"


def is_tensor(obj: object) -> builtins.bool:
    """True for a Tensor."""
    return isinstance(obj, Tensor)
