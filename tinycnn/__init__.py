"""tinycnn: a deep-learning engine small enough to read and fast enough to use.

PyTorch's names: ``torch`` is `tinycnn`, ``torchvision`` is `tinycnn.vision`.
"""

import builtins
import importlib

from . import (
    _autocast,
    _methods,
    accelerator,
    amp,
    autograd,
    backends,
    cuda,
    fx,
    hub,
    jit,
    kernels,
    linalg,
    memory,
    mps,
    multiprocessing,
    nn,
    onnx,
    optim,
    random,
    types,
    utils,
    xpu,
)
from ._config import show_config
from ._device import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    device,
    get_num_threads,
    layout,
    memory_format,
    preserve_format,
    set_default_device,
    set_num_threads,
    strided,
)
from ._device import default_device as get_default_device
from ._repr import get_printoptions, set_printoptions
from ._switches import (
    are_deterministic_algorithms_enabled,
    compile,
    get_float32_matmul_precision,
    is_deterministic_algorithms_warn_only_enabled,
    refuse,
    set_float32_matmul_precision,
    use_deterministic_algorithms,
)
from ._tensor import Size, Tensor
from .amp import (
    GradScaler,
    autocast,
    clear_autocast_cache,
    get_autocast_dtype,
    is_autocast_cache_enabled,
    is_autocast_enabled,
    set_autocast_cache_enabled,
    set_autocast_dtype,
    set_autocast_enabled,
)
from .autograd import (
    enable_grad,
    inference_mode,
    is_anomaly_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .composed.activation import celu, celu_, hardshrink, prelu, selu, selu_, threshold, threshold_
from .composed.activation import torch_log_softmax as log_softmax
from .composed.activation import torch_softmax as softmax
from .composed.conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from .composed.convert import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
    fill,
    is_complex,
    is_floating_point,
    is_nonzero,
    numel,
    resolve_conj,
    resolve_neg,
    result_type,
    set_default_tensor_type,
)
from .composed.draw import (
    bernoulli,
    multinomial,
    normal,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
)
from .composed.index import (
    index_add,
    index_copy,
    index_fill,
    index_put,
    index_reduce,
    index_select,
    masked_scatter,
    masked_select,
    nonzero_static,
    put,
    scatter,
    scatter_add,
    scatter_reduce,
    select_scatter,
    slice_scatter,
    take,
    take_along_dim,
    unravel_index,
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
from .composed.norm import (
    batch_norm,
    cosine_similarity,
    embedding,
    group_norm,
    instance_norm,
    layer_norm,
    pairwise_distance,
    rms_norm,
)
from .composed.pad import constant_pad_nd
from .composed.pool import adaptive_avg_pool1d, adaptive_max_pool1d, avg_pool1d, max_pool1d, max_pool2d
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
    max,
    median,
    min,
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
from .composed.resample import (
    alpha_dropout,
    channel_shuffle,
    feature_alpha_dropout,
    pixel_shuffle,
    pixel_unshuffle,
)
from .composed.shape import (
    as_strided,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    block_diag,
    broadcast_shapes,
    broadcast_tensors,
    broadcast_to,
    cartesian_prod,
    chunk,
    column_stack,
    combinations,
    diag,
    diag_embed,
    diagflat,
    diagonal,
    diff,
    dsplit,
    dstack,
    fliplr,
    flipud,
    hsplit,
    hstack,
    meshgrid,
    movedim,
    ravel,
    repeat_interleave,
    roll,
    rot90,
    select,
    split,
    split_with_sizes,
    stack,
    swapaxes,
    t,
    tensor_split,
    tile,
    tril,
    tril_indices,
    triu,
    triu_indices,
    unbind,
    unflatten,
    vsplit,
    vstack,
)
from .composed.statistics import (
    corrcoef,
    cov,
    cumulative_trapezoid,
    gradient,
    histogram,
    histogramdd,
    renorm,
    std,
    std_mean,
    trapezoid,
    trapz,
    var,
    var_mean,
)
from .dtypes import (
    bool_ as bool,
)
from .dtypes import (
    can_cast,
    dtype,
    finfo,
    float16,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from .ops.create import (
    arange,
    as_tensor,
    asarray,
    empty,
    empty_like,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    scalar_tensor,
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
from .ops.matmul import bmm, matmul, mm
from .ops.random import dropout
from .ops.reduce import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    mean,
    sum,
)
from .ops.shape import (
    cat,
    flatten,
    flip,
    gather,
    narrow,
    permute,
    reshape,
    squeeze,
    transpose,
    unsqueeze,
)
from .random import Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from .serialization import load, save

globals().update(_autocast.cover(globals()))

absolute, negative, multiply, subtract, divide, true_divide, fix = abs, neg, mul, sub, div, div, trunc
ger, vdot, moveaxis, swapdims = outer, dot, movedim, swapaxes
concat, concatenate, row_stack, unsafe_split, unsafe_chunk = cat, cat, vstack, split, chunk
arccos, arccosh, arcsin, arcsinh = acos, acosh, asin, asinh
arctan, arctan2, arctanh, clip = atan, atan2, atanh, clamp
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
abs_, ceil_, clamp_, cos_, exp_, floor_, log_ = (
    Tensor.abs_,
    Tensor.ceil_,
    Tensor.clamp_,
    Tensor.cos_,
    Tensor.exp_,
    Tensor.floor_,
    Tensor.log_,
)
neg_, relu_, round_, rsqrt_, sigmoid_, sin_, sqrt_, square_, tanh_ = (
    Tensor.neg_,
    Tensor.relu_,
    Tensor.round_,
    Tensor.rsqrt_,
    Tensor.sigmoid_,
    Tensor.sin_,
    Tensor.sqrt_,
    Tensor.square_,
    Tensor.tanh_,
)
clip_, fill_, zero_ = Tensor.clip_, Tensor.fill_, Tensor.zero_

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


def __getattr__(name: str) -> object:
    if name == "inspect":  # loaded when it is asked for: training does not need it
        return importlib.import_module(".inspect", __name__)
    raise refuse("tinycnn", name)
