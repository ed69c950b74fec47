"""Which operations of an autocast block run in which dtype: PyTorch's lists, and the place where they take effect.

The lists hold for the functions that the package gives out: `cover` puts a check before each function on a list, where
`tinycnn`, `nn.functional`, `linalg` and Tensor's methods get their names. Outside of blocks that is one question.
Inside, the function's tensors are cast, differentiably, and what the function itself calls is left alone. The engine's
own code never goes through these names, so nothing in it knows of autocast.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from . import dtypes
from ._tensor import Tensor
from .autograd import is_grad_enabled

LOWER, FLOAT32, WIDEST, PLAIN, REFUSED = "in the block's dtype", "in float32", "in the widest", "as it is", "refused"

_PRODUCTS = """conv1d conv2d conv_transpose1d conv_transpose2d linear matmul mm bmm addmm addbmm baddbmm prelu vecdot
    multi_dot einsum"""
_LOSSES = """binary_cross_entropy_with_logits cdist cosine_embedding_loss cross_entropy hinge_embedding_loss huber_loss
    kl_div l1_loss margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss nll_loss poisson_nll_loss prod
    smooth_l1_loss soft_margin_loss triplet_margin_loss"""
_LISTS = {
    "cpu": {
        LOWER: _PRODUCTS + " inner tensordot cov corrcoef",
        FLOAT32: _LOSSES
        + " binary_cross_entropy grid_sample local_response_norm max_unpool1d max_unpool2d nanquantile quantile trace",
    },
    "cuda": {
        LOWER: _PRODUCTS + " mv addmv addr",
        FLOAT32: _LOSSES
        + """ acos asin cosh cosine_similarity cumprod cumsum cumulative_trapezoid dist exp expm1 group_norm
        gumbel_softmax interpolate layer_norm linalg_norm log log10 log1p log2 log_softmax logsumexp lp_pool1d lp_pool2d
        matrix_norm multilabel_soft_margin_loss norm normalize pairwise_distance pow rdiv reciprocal renorm rms_norm
        rpow rsqrt sinh softmax softmin softplus square sum tan torch_log_softmax torch_softmax trapezoid
        triplet_margin_with_distance_loss upsample upsample_bilinear upsample_nearest vector_norm""",
        WIDEST: "cross dot grid_sample index_put inner scatter_add tensordot",
        REFUSED: "binary_cross_entropy",
    },
}
RULES: dict[str, dict[str, str]] = {}  # function -> device type -> rule
for _place, _lists in _LISTS.items():
    for _rule, _names in _lists.items():
        for _name in _names.split():
            RULES.setdefault(_name, {})[_place] = _rule


class State(threading.local):
    """What holds in this Python thread.

    Attributes:
        dtypes: device type -> the dtype of a block that names none. The CPU's would be bfloat16, which NumPy has not.
        enabled: the device types that are cast now.
        active: device type -> dtype, of those; None if there are none, or inside of a function that was cast for.
        depth: how many blocks this is inside of.
        cache: casts of parameters, kept until the outermost block ends: a parameter is cast once.
    """

    def __init__(self) -> None:
        self.dtypes: dict[str, dtypes.dtype | None] = {"cpu": None, "cuda": dtypes.float16}
        self.enabled: frozenset[str] = frozenset()
        self.active: dict[str, Any] | None = None
        self.depth = 0
        self.caching = True
        self.cache: dict[tuple[int, bool], tuple[Tensor, int, Tensor]] = {}

    def switch(self, enabled: frozenset[str]) -> None:
        """Cast for these device types from now on."""
        self.enabled = enabled
        self.active = {place: self.dtypes[place] for place in enabled} or None
        (_threads.add if enabled else _threads.discard)(threading.get_ident())


_threads: set[int] = set()  # that are inside of blocks: a quick no for all functions while there are none
state = State()


@contextlib.contextmanager
def as_then(enabled: frozenset[str], kinds: dict[str, Any]) -> Iterator[None]:
    """A block with autocast as it was when `state.enabled` and `state.dtypes` were these.

    No cast is taken from the cache, so that what is done twice takes the same from outside both times.
    """
    before = state.enabled, state.dtypes, state.caching
    state.dtypes, state.caching = kinds, False
    state.switch(enabled)
    try:
        yield
    finally:
        _, state.dtypes, state.caching = before
        state.switch(before[0])


@functools.cache
def autocasts(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as autocast lets it run, by the rules for its name."""
    rules = RULES[function.__name__]

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if not _threads or state.active is None:
            return function(*args, **options)
        return _inside(function, rules, args, options)

    return call


def cover(names: dict[str, Any]) -> dict[str, Any]:
    """Of a module's names (or a class's), those of functions on the lists, with autocast before them."""
    return {
        name: autocasts(value)
        for name, value in names.items()
        if isinstance(value, FunctionType)
        and value.__name__ in RULES
        and value.__module__.startswith(("tinycnn.ops.", "tinycnn.composed."))
    }


def _tensors(args: Any) -> list[Tensor]:
    found = []
    for a in args:
        if isinstance(a, Tensor):
            found.append(a)
        elif type(a) in (list, tuple):
            found += [t for t in a if isinstance(t, Tensor)]
    return found


def _inside(function: Callable[..., Any], rules: dict[str, str], args: Any, options: dict[str, Any]) -> Any:
    tensors = _tensors((*args, *options.values()))
    place = tensors[0].device.type if tensors else "cpu"
    active = state.active
    assert active is not None
    rule = rules.get(place)
    if place not in active or rule is None:
        return function(*args, **options)
    target = active[place]
    if rule is REFUSED:
        raise RuntimeError(
            f"{function.__name__} is not safe in an autocast block: float16 does not hold what its gradient needs. "
            "Leave out the sigmoid and use binary_cross_entropy_with_logits, or compute the loss in "
            'autocast("cuda", enabled=False)'
        )
    if rule is FLOAT32:
        chosen = [a for a in (*args, *options.values()) if isinstance(a, dtypes.dtype)]
        target = None if chosen else dtypes.float32  # sum(x, dtype=...) says itself in what
    elif rule is WIDEST:
        kinds = {t.dtype for t in tensors}
        target = None if dtypes.float64 in kinds else dtypes.float32 if dtypes.float32 in kinds else target
    state.active = None
    try:
        if target is None:
            return function(*args, **options)
        return function(
            *[_over(a, target, place) for a in args], **{k: _over(v, target, place) for k, v in options.items()}
        )
    finally:
        state.active = active


def _over(value: Any, target: dtypes.dtype, place: str) -> Any:
    if isinstance(value, Tensor):
        return cast(value, target, place)
    if type(value) in (list, tuple) and any([isinstance(v, Tensor) for v in value]):
        return type(value)([_over(v, target, place) for v in value])
    return value


def cast(t: Tensor, target: dtypes.dtype, place: str) -> Tensor:
    """A floating-point tensor of a kind of device in a dtype; float64 and all others stay as they are."""
    kind = t.dtype
    if kind is target or not kind.is_floating_point or kind is dtypes.float64 or t.device.type != place:
        return t
    if not (state.caching and kind is dtypes.float32 and t.is_leaf and t.requires_grad and t._base is None):
        return t.to(target)
    key = id(t), is_grad_enabled()  # what was cast without a record has no gradient
    known = state.cache.get(key)
    if known is None or known[1] != t._version or known[2].dtype is not target:
        known = state.cache[key] = t, t._version, t.to(target)
    return known[2]
