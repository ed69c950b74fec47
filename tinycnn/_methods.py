"""Tensor's methods and operators, bound here and nowhere else: each is a function of `ops` or `composed`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _device, autograd, dtypes
from ._autocast import cover
from ._tensor import Tensor
from .composed import activation, convert, draw, exchange, index, linalg, math, statistics
from .composed import reduce as more
from .composed import shape as shapes
from .ops import elementwise, inplace, matmul, reduce, shape
from .ops.inplace import twin

_NUMBERS = (Tensor, int, float, np.generic, np.ndarray)


class TensorMethods:
    """What can be done with a Tensor."""

    # elementwise
    abs = elementwise.abs
    acos = elementwise.acos
    acosh = elementwise.acosh
    asin = elementwise.asin
    asinh = elementwise.asinh
    atan = elementwise.atan
    atanh = elementwise.atanh
    ceil = elementwise.ceil
    cos = elementwise.cos
    cosh = elementwise.cosh
    erf = elementwise.erf
    erfc = elementwise.erfc
    exp = elementwise.exp
    exp2 = elementwise.exp2
    expm1 = elementwise.expm1
    floor = elementwise.floor
    log = elementwise.log
    log10 = elementwise.log10
    log1p = elementwise.log1p
    log2 = elementwise.log2
    neg = elementwise.neg
    reciprocal = elementwise.reciprocal
    relu = elementwise.relu
    rsqrt = elementwise.rsqrt
    sigmoid = elementwise.sigmoid
    sign = elementwise.sign
    sin = elementwise.sin
    sinh = elementwise.sinh
    sqrt = elementwise.sqrt
    square = elementwise.square
    tan = elementwise.tan
    tanh = elementwise.tanh
    trunc = elementwise.trunc
    atan2 = elementwise.atan2
    bitwise_and = elementwise.bitwise_and
    bitwise_left_shift = elementwise.bitwise_left_shift
    bitwise_not = elementwise.bitwise_not
    bitwise_or = elementwise.bitwise_or
    bitwise_right_shift = elementwise.bitwise_right_shift
    bitwise_xor = elementwise.bitwise_xor
    copysign = elementwise.copysign
    fmax = elementwise.fmax
    fmin = elementwise.fmin
    hypot = elementwise.hypot
    logaddexp = elementwise.logaddexp
    logaddexp2 = elementwise.logaddexp2
    logical_and = elementwise.logical_and
    logical_not = elementwise.logical_not
    logical_or = elementwise.logical_or
    logical_xor = elementwise.logical_xor
    maximum = elementwise.maximum
    minimum = elementwise.minimum
    remainder = elementwise.remainder
    fmod = elementwise.fmod
    floor_divide = elementwise.floor_divide
    pow = elementwise.pow
    sub = elementwise.sub
    mul = elementwise.times
    add = elementwise.add
    div = elementwise.div
    eq = elementwise.eq
    ne = elementwise.ne
    lt = elementwise.lt
    le = elementwise.le
    gt = elementwise.gt
    ge = elementwise.ge
    isnan = elementwise.isnan
    isinf = elementwise.isinf
    isfinite = elementwise.isfinite
    signbit = elementwise.signbit
    addcdiv = math.addcdiv
    addcmul = math.addcmul
    allclose = math.allclose
    clamp = math.clamp
    clamp_max = math.clamp_max
    clamp_min = math.clamp_min
    deg2rad = math.deg2rad
    equal = math.equal
    float_power = math.float_power
    frac = math.frac
    heaviside = math.heaviside
    isclose = math.isclose
    isneginf = math.isneginf
    isposinf = math.isposinf
    isreal = math.isreal
    lerp = math.lerp
    logit = math.logit
    masked_fill = math.masked_fill
    nan_to_num = math.nan_to_num
    positive = math.positive
    rad2deg = math.rad2deg
    round = math.round
    sgn = math.sgn
    sinc = math.sinc
    xlogy = math.xlogy
    absolute, negative, multiply, subtract, divide, true_divide, fix = abs, neg, mul, sub, div, div, trunc
    arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh = acos, acosh, asin, asinh, atan, atan2, atanh
    greater, greater_equal, less, less_equal, not_equal, clip = gt, ge, lt, le, ne, clamp
    __add__ = __radd__ = elementwise.plus
    __sub__, __rsub__, __mul__, __rmul__ = sub, elementwise.rsub, mul, mul
    __truediv__, __rtruediv__, __pow__, __rpow__ = elementwise.div, elementwise.rdiv, pow, elementwise.rpow
    __floordiv__, __mod__, __neg__, __pos__, __abs__ = floor_divide, remainder, neg, math.positive, abs
    __and__ = __rand__ = bitwise_and
    __or__ = __ror__ = bitwise_or
    __xor__ = __rxor__ = bitwise_xor
    __lshift__, __rshift__, __invert__ = bitwise_left_shift, bitwise_right_shift, bitwise_not
    __lt__, __le__, __gt__, __ge__ = lt, le, gt, ge

    def __rfloordiv__(self: Any, other: Any) -> Tensor:
        return elementwise.floor_divide(other, self)

    def __rmod__(self: Any, other: Any) -> Tensor:
        return elementwise.remainder(other, self)

    def __rlshift__(self: Any, other: Any) -> Tensor:
        return elementwise.bitwise_left_shift(other, self)

    def __rrshift__(self: Any, other: Any) -> Tensor:
        return elementwise.bitwise_right_shift(other, self)

    def __eq__(self, other: Any) -> Any:  # what is no number at all is not equal, as in PyTorch
        return elementwise.eq(self, other) if isinstance(other, _NUMBERS) else NotImplemented

    def __ne__(self, other: Any) -> Any:
        return elementwise.ne(self, other) if isinstance(other, _NUMBERS) else NotImplemented

    def where(self: Any, condition: Tensor, other: Any) -> Tensor:
        """This tensor where `condition` holds, else `other`."""
        return elementwise.where(condition, self, other)

    # matrices
    mm, bmm, matmul, __matmul__ = matmul.mm, matmul.bmm, matmul.matmul, matmul.matmul
    addbmm = linalg.addbmm
    addmm = linalg.addmm
    addmv = linalg.addmv
    addr = linalg.addr
    baddbmm = linalg.baddbmm
    cross = linalg.cross
    dot = linalg.dot
    inner = linalg.inner
    kron = linalg.kron
    mv = linalg.mv
    outer = linalg.outer
    vdot, ger = dot, outer

    def __rmatmul__(self: Any, other: Any) -> Tensor:
        return matmul.matmul(other, self)

    # reductions
    sum, mean, var, std, sum_to_size = reduce.sum, reduce.mean, statistics.var, statistics.std, reduce.sum_to_size
    max, min, amax, amin = more.max, more.min, reduce.amax, reduce.amin
    argmax, argmin, any, all = reduce.argmax, reduce.argmin, reduce.any, reduce.all
    softmax, log_softmax = activation.torch_softmax, activation.torch_log_softmax
    aminmax = more.aminmax
    argsort = more.argsort
    argwhere = more.argwhere
    bincount = more.bincount
    corrcoef = statistics.corrcoef
    count_nonzero = more.count_nonzero
    cov = statistics.cov
    cummax = more.cummax
    cummin = more.cummin
    cumprod = more.cumprod
    cumsum = more.cumsum
    dist = more.dist
    histc = more.histc
    histogram = statistics.histogram
    kthvalue = more.kthvalue
    logcumsumexp = more.logcumsumexp
    logsumexp = more.logsumexp
    median = more.median
    mode = more.mode
    msort = more.msort
    nanmean = more.nanmean
    nanmedian = more.nanmedian
    nanquantile = more.nanquantile
    nansum = more.nansum
    nonzero = more.nonzero
    nonzero_static = index.nonzero_static
    norm = more.norm
    prod = more.prod
    quantile = more.quantile
    renorm = statistics.renorm
    sort = more.sort
    topk = more.topk
    trace = more.trace
    unique = more.unique
    unique_consecutive = more.unique_consecutive

    # shape and index
    reshape, view, view_as, flatten = shape.reshape, shapes.view, shapes.view_as, shape.flatten
    squeeze, unsqueeze, permute, transpose, t = (
        shape.squeeze,
        shape.unsqueeze,
        shape.permute,
        shape.transpose,
        shapes.t,
    )
    expand, expand_as, broadcast_to = shape.expand, shapes.expand_as, shapes.broadcast_to
    narrow, split, chunk, unbind, flip, gather = (
        shape.narrow,
        shapes.split,
        shapes.chunk,
        shapes.unbind,
        shape.flip,
        shape.gather,
    )
    diag = shapes.diag
    diag_embed = shapes.diag_embed
    diagflat = shapes.diagflat
    diagonal = shapes.diagonal
    diff = shapes.diff
    dsplit = shapes.dsplit
    fliplr = shapes.fliplr
    flipud = shapes.flipud
    hsplit = shapes.hsplit
    as_strided = shapes.as_strided
    ravel = shapes.ravel
    repeat_interleave = shapes.repeat_interleave
    roll = shapes.roll
    rot90 = shapes.rot90
    select = shapes.select
    split_with_sizes = shapes.split_with_sizes
    swapaxes = shapes.swapaxes
    tensor_split = shapes.tensor_split
    tile = shapes.tile
    tril = shapes.tril
    triu = shapes.triu
    unflatten = shapes.unflatten
    vsplit = shapes.vsplit
    repeat = shapes.repeat
    reshape_as = shapes.reshape_as
    unfold = shapes.unfold
    movedim = moveaxis = shapes.movedim
    swapdims, unsafe_split, unsafe_chunk = swapaxes, split, chunk
    index_add = index.index_add
    index_copy = index.index_copy
    index_fill = index.index_fill
    index_put = index.index_put
    index_reduce = index.index_reduce
    index_select = index.index_select
    masked_scatter = index.masked_scatter
    masked_select = index.masked_select
    put = index.put
    scatter = index.scatter
    scatter_add = index.scatter_add
    scatter_reduce = index.scatter_reduce
    select_scatter = index.select_scatter
    slice_scatter = index.slice_scatter
    take = index.take
    take_along_dim = index.take_along_dim
    __getitem__, __setitem__ = shape.getitem, inplace.setitem
    T, mT = property(shapes.reverse_dims), property(shape.matrix_transpose)

    def __iter__(self: Any) -> Iterator[Tensor]:
        if not self.array.ndim:
            raise TypeError("a 0-d tensor has nothing to iterate over")
        return iter(shapes.unbind(self, 0))

    # copies and conversions
    clone, contiguous, to = elementwise.clone, elementwise.contiguous, elementwise.to
    half, float, double = (
        convert.conversion(dtypes.float16),
        convert.conversion(dtypes.float32),
        convert.conversion(dtypes.float64),
    )
    byte, char, short = (
        convert.conversion(dtypes.uint8),
        convert.conversion(dtypes.int8),
        convert.conversion(dtypes.int16),
    )
    long, int, bool = (
        convert.conversion(dtypes.int64),
        convert.conversion(dtypes.int32),
        convert.conversion(dtypes.bool_),
    )
    type, type_as = convert.type, convert.type_as
    resolve_neg, resolve_conj = convert.resolve_neg, convert.resolve_conj
    is_complex, is_nonzero, is_signed = convert.is_complex, convert.is_nonzero, convert.is_signed
    layout, is_sparse, is_quantized, is_meta = _device.strided, False, False, False

    def cpu(self: Any, memory_format: Any = None) -> Tensor:
        """This tensor on the CPU; itself if it is there already."""
        return elementwise.to(self, "cpu")

    def cuda(self: Any, device: Any = None, non_blocking: Any = False, memory_format: Any = None) -> Tensor:
        """This tensor on a GPU."""
        return elementwise.to(self, "cuda" if device is None else device, non_blocking=bool(non_blocking))

    pin_memory, is_pinned = convert.pin_memory, convert.is_pinned

    # in place
    add_ = __iadd__ = inplace.add_
    sub_ = __isub__ = inplace.sub_
    mul_ = __imul__ = inplace.mul_
    div_ = __itruediv__ = inplace.div_
    pow_ = __ipow__ = inplace.pow_
    neg_, exp_, sqrt_, relu_ = inplace.neg_, inplace.exp_, inplace.sqrt_, inplace.relu_
    tanh_, sigmoid_ = inplace.tanh_, inplace.sigmoid_
    copy_, fill_, zero_ = inplace.copy_, inplace.fill_, inplace.zero_
    abs_ = twin(elementwise.abs)
    acos_ = twin(elementwise.acos)
    acosh_ = twin(elementwise.acosh)
    asin_ = twin(elementwise.asin)
    asinh_ = twin(elementwise.asinh)
    atan_ = twin(elementwise.atan)
    atanh_ = twin(elementwise.atanh)
    ceil_ = twin(elementwise.ceil)
    cos_ = twin(elementwise.cos)
    cosh_ = twin(elementwise.cosh)
    erf_ = twin(elementwise.erf)
    erfc_ = twin(elementwise.erfc)
    exp2_ = twin(elementwise.exp2)
    expm1_ = twin(elementwise.expm1)
    floor_ = twin(elementwise.floor)
    log_ = twin(elementwise.log)
    log10_ = twin(elementwise.log10)
    log1p_ = twin(elementwise.log1p)
    log2_ = twin(elementwise.log2)
    reciprocal_ = twin(elementwise.reciprocal)
    rsqrt_ = twin(elementwise.rsqrt)
    sign_ = twin(elementwise.sign)
    sin_ = twin(elementwise.sin)
    sinh_ = twin(elementwise.sinh)
    square_ = twin(elementwise.square)
    tan_ = twin(elementwise.tan)
    trunc_ = twin(elementwise.trunc)
    atan2_ = twin(elementwise.atan2)
    bitwise_and_ = twin(elementwise.bitwise_and)
    bitwise_or_ = twin(elementwise.bitwise_or)
    bitwise_xor_ = twin(elementwise.bitwise_xor)
    bitwise_not_ = twin(elementwise.bitwise_not)
    bitwise_left_shift_ = twin(elementwise.bitwise_left_shift)
    bitwise_right_shift_ = twin(elementwise.bitwise_right_shift)
    copysign_ = twin(elementwise.copysign)
    hypot_ = twin(elementwise.hypot)
    logical_and_ = twin(elementwise.logical_and)
    logical_or_ = twin(elementwise.logical_or)
    logical_xor_ = twin(elementwise.logical_xor)
    logical_not_ = twin(elementwise.logical_not)
    remainder_ = twin(elementwise.remainder)
    fmod_ = twin(elementwise.fmod)
    floor_divide_ = twin(elementwise.floor_divide)
    eq_ = twin(elementwise.eq)
    ne_ = twin(elementwise.ne)
    lt_ = twin(elementwise.lt)
    le_ = twin(elementwise.le)
    gt_ = twin(elementwise.gt)
    ge_ = twin(elementwise.ge)
    addcdiv_ = twin(math.addcdiv)
    addcmul_ = twin(math.addcmul)
    clamp_ = twin(math.clamp)
    clamp_max_ = twin(math.clamp_max)
    clamp_min_ = twin(math.clamp_min)
    deg2rad_ = twin(math.deg2rad)
    float_power_ = math.float_power_
    frac_ = twin(math.frac)
    heaviside_ = twin(math.heaviside)
    lerp_ = twin(math.lerp)
    logit_ = twin(math.logit)
    masked_fill_ = twin(math.masked_fill)
    nan_to_num_ = twin(math.nan_to_num)
    rad2deg_ = twin(math.rad2deg)
    round_ = twin(math.round)
    sgn_ = twin(math.sgn)
    sinc_ = twin(math.sinc)
    xlogy_ = twin(math.xlogy)
    index_add_ = twin(index.index_add)
    index_copy_ = twin(index.index_copy)
    index_fill_ = twin(index.index_fill)
    index_put_ = twin(index.index_put)
    index_reduce_ = twin(index.index_reduce)
    masked_scatter_ = twin(index.masked_scatter)
    put_ = twin(index.put)
    scatter_ = twin(index.scatter)
    scatter_add_ = twin(index.scatter_add)
    scatter_reduce_ = twin(index.scatter_reduce)
    tril_, triu_ = twin(shapes.tril), twin(shapes.triu)
    renorm_ = twin(statistics.renorm)
    cumsum_, cumprod_ = twin(more.cumsum), twin(more.cumprod)
    multiply_, subtract_, divide_, true_divide_, negative_, absolute_ = mul_, sub_, div_, div_, neg_, abs_
    clip_, fix_ = clamp_, trunc_
    arccos_, arccosh_, arcsin_, arcsinh_, arctan_, arctan2_ = acos_, acosh_, asin_, asinh_, atan_, atan2_
    arctanh_, greater_, greater_equal_, less_, less_equal_, not_equal_ = atanh_, gt_, ge_, lt_, le_, ne_
    __ifloordiv__, __imod__ = floor_divide_, remainder_
    __iand__, __ior__, __ixor__ = bitwise_and_, bitwise_or_, bitwise_xor_
    __ilshift__, __irshift__ = bitwise_left_shift_, bitwise_right_shift_

    # shape in place: the tensor itself becomes the view
    t_, transpose_, swapaxes_ = (
        inplace.reshaped(shapes.t),
        inplace.reshaped(shape.transpose),
        inplace.reshaped(shape.transpose),
    )
    squeeze_, unsqueeze_ = inplace.reshaped(shape.squeeze), inplace.reshaped(shape.unsqueeze)
    detach_ = inplace.detach_

    # gradients
    backward, register_hook, retain_grad = autograd.backward, autograd.register_hook, autograd.retain_grad

    # for other libraries
    __array__, __dlpack__, __dlpack_device__ = exchange.array, exchange.dlpack, exchange.dlpack_device
    __cuda_array_interface__ = property(exchange.cuda_array_interface)

    # new tensors like this one
    new_zeros, new_ones, new_empty = convert.new_zeros, convert.new_ones, convert.new_empty
    new_full, new_tensor = convert.new_full, convert.new_tensor

    # random numbers
    bernoulli, multinomial = draw.bernoulli, draw.multinomial
    bernoulli_, normal_, uniform_, random_ = draw.bernoulli_, draw.normal_, draw.uniform_, draw.random_


if not TYPE_CHECKING:  # type checkers know Tensor as a subclass of TensorMethods; here its methods move in
    for _name, _method in vars(TensorMethods).items():
        if _name not in ("__module__", "__dict__", "__weakref__", "__doc__", "__hash__", "__qualname__"):
            setattr(Tensor, _name, _method)
    for _name, _method in cover(vars(TensorMethods)).items():
        setattr(Tensor, _name, _method)
