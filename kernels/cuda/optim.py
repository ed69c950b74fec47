"""Optimizer steps: one launch and one pass over all parameters, with all that belongs to them.

A step is a formula for one element; `multi` is the loop around it. The parameters are cut into chunks, and a block
takes one chunk after another. Where the arrays are stands in a table on the GPU, kept while the addresses stay the
same, as CuPy's pool lets them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import cuda

from .. import settings
from ..reference import optim as reference
from .backend import SIMULATED, place, table, xp
from .copies import pinned
from .device import abs_of, at, sqrt_of
from .launch import MOST_BLOCKS, THREADS, kernel

Arrays = list[Any]
CHUNK = 8 if SIMULATED else 1 << 12  # elements of one unit of work


@kernel("int64* int64* int64* int64 int64 T* int64 T T T T T T T T T T", constants=())
def multi(T, formula, states):
    """p, a, b, c = formula(p, g, a, b, c, numbers) for every element; the first `states` of a, b, c are there.

    Args of the kernel:
        objects: addresses: of all parameters, then of all gradients, then of each piece of state.
        chunks: pairs (parameter, first element).
        given, kept: in a graph (`kept`) the numbers are read where every replay writes new ones.
    """
    each = cuda.jit(device=True)(formula(T))
    zero = T(0)

    def body(objects, sizes, chunks, count, tensors, given, kept, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9):
        if kept:
            n0, n1, n2, n3, n4 = given[0], given[1], given[2], given[3], given[4]
            n5, n6, n7, n8, n9 = given[5], given[6], given[7], given[8], given[9]
        for chunk in range(cuda.blockIdx.x, count, cuda.gridDim.x):
            t, start = chunks[2 * chunk], chunks[2 * chunk + 1]
            end = min(start + CHUNK, sizes[t])
            p, g = at(objects[t], zero), at(objects[tensors + t], zero)
            a, b, c = p, p, p
            if states > 0:
                a = at(objects[2 * tensors + t], zero)
            if states > 1:
                b = at(objects[3 * tensors + t], zero)
            if states > 2:
                c = at(objects[4 * tensors + t], zero)
            for i in range(start + cuda.threadIdx.x, end, cuda.blockDim.x):
                new, x, y, z = each(p[i], g[i], a[i], b[i], c[i], n0, n1, n2, n3, n4, n5, n6, n7, n8, n9)
                p[i] = new
                if states > 0:
                    a[i] = x
                if states > 1:
                    b[i] = y
                if states > 2:
                    c[i] = z

    return body


def formula(states: int) -> Callable[[Any], Any]:
    """Note a formula, and with how many pieces of state it goes."""

    def note(function: Any) -> Any:
        multi.constants += ((function, states),)
        function.states = states
        return function

    return note


def _tables(addresses: tuple[int, ...], sizes: tuple[int, ...], place: tuple[int, int]) -> tuple[Any, Any, Any, int]:
    """On the GPU: addresses, sizes, chunks; and how many chunks. `place` is the current one, which keeps them apart."""
    chunks = [(t, start) for t, size in enumerate(sizes) for start in range(0, size, CHUNK)]
    return table(addresses), table(sizes), table(chunks), len(chunks)


_known_tables = functools.lru_cache(64)(_tables)


def _launch(formula: Any, kinds: Sequence[Arrays], numbers: Sequence[float]) -> list[int]:
    """Run a formula over all parameters that it can take, and return which are left.

    It takes float32 and float64, contiguous, a parameter and what belongs to it of one dtype.
    """
    taken: dict[Any, list[int]] = {}
    left = []
    for i, arrays in enumerate(zip(*kinds, strict=True)):
        kind = arrays[0].dtype
        if kind.char in "fd" and all([a.flags.c_contiguous and a.dtype == kind for a in arrays]):
            taken.setdefault(kind, []).append(i)
        else:
            left.append(i)
    if left and settings.numbers is not None:
        _refuse()
    for kind, which in taken.items():
        given = [kind.type(n) for n in (*numbers, *(0.0,) * (10 - len(numbers)))]
        if not any([kinds[0][i].size for i in which]):
            continue
        if settings.filling is not None:
            fill(next(settings.filling, None), given)
            continue
        addresses = tuple([arrays[i].data.ptr for arrays in kinds for i in which])
        make = _tables if settings.capturing else _known_tables
        objects, sizes, chunks, count = make(addresses, tuple([kinds[0][i].size for i in which]), place())
        there, kept = objects, 0  # an address that nobody reads
        if settings.numbers is not None:
            there, kept = xp.empty((10,), kind), 1
            settings.numbers.append(there)
        ready = multi.of(kind, formula, formula.states)
        ready(min(count, MOST_BLOCKS), THREADS, objects, sizes, chunks, count, len(which), there, kept, *given)
    return left


def _refuse() -> None:
    raise RuntimeError(
        "the step of this optimizer has numbers, such as the learning rate, that a graph would repeat for ever: it "
        "takes contiguous parameters of float32 or float64, and RMSprop neither centered nor with a momentum"
    )


def fill(there: Any, numbers: Sequence[Any]) -> None:
    """Write the numbers of a captured launch, before what is launched on this stream from now on.

    Raises:
        RuntimeError: without a place for them: the optimizer makes other launches than it did in the capture.
    """
    if there is None:
        raise RuntimeError(
            "CUDAGraph.replay: the optimizer has other parameters than in the capture; leave its groups and their "
            "options other than numbers as they are, or capture anew"
        )
    waiting = pinned(np.array(numbers, there.dtype))
    settings.held.append(waiting)
    there.set(waiting, stream=xp.cuda.get_current_stream())


def _one(kinds: Sequence[Arrays], i: int) -> list[Arrays]:
    return [[arrays[i]] if arrays else [] for arrays in kinds]


@cuda.jit(device=True)
def _directed(g, sign, p, decay, zero):
    """The gradient with its sign and the decay of the weight p; 0 * inf would be NaN, so no decay adds nothing."""
    g = sign * g
    if decay != zero:
        g += decay * p
    return g


@formula(0)
def _scale(T):
    def each(p, g, a, b, c, factor, n1, n2, n3, n4, n5, n6, n7, n8, n9):
        return p * factor, a, b, c

    return each


@formula(0)
def _sgd(T):
    zero = T(0)

    def each(p, g, a, b, c, sign, lr, decay, n3, n4, n5, n6, n7, n8, n9):
        g = _directed(g, sign, p, decay, zero)
        return p - lr * g, a, b, c

    return each


@formula(1)
def _sgd_momentum(T):
    zero = T(0)

    def each(p, g, velocity, b, c, sign, lr, decay, momentum, kept, nesterov, first, n7, n8, n9):
        g = _directed(g, sign, p, decay, zero)
        velocity = g if first != zero else momentum * velocity + kept * g
        g = g + momentum * velocity if nesterov != zero else velocity
        return p - lr * g, velocity, b, c

    return each


@formula(2)
def _adam(T):
    zero = T(0)

    def each(p, g, m, v, c, sign, rate, shrink, beta1, new1, beta2, new2, root, eps, decay):
        p = p * shrink
        g = _directed(g, sign, p, decay, zero)
        m = beta1 * m + new1 * g
        v = beta2 * v + new2 * g * g
        return p - rate * m / (sqrt_of(v) * root + eps), m, v, c

    return each


@formula(3)
def _amsgrad(T):
    zero = T(0)

    def each(p, g, m, v, largest, sign, rate, shrink, beta1, new1, beta2, new2, root, eps, decay):
        p = p * shrink
        g = _directed(g, sign, p, decay, zero)
        m = beta1 * m + new1 * g
        v = beta2 * v + new2 * g * g
        if v > largest or v != v:  # NaN wins, as in np.maximum
            largest = v
        return p - rate * m / (sqrt_of(largest) * root + eps), m, v, largest

    return each


@formula(2)
def _nadam(T):
    zero = T(0)

    def each(p, g, m, v, c, sign, decay, shrink, new1, beta2, new2, by_g, by_m, root, eps):
        p = p * shrink
        g = _directed(g, sign, p, decay, zero)
        m = m + new1 * (g - m)
        v = beta2 * v + new2 * g * g
        return p - (by_g * g + by_m * m) / (sqrt_of(v) * root + eps), m, v, c

    return each


@formula(2)
def _radam(T):
    zero = T(0)

    def each(p, g, m, v, c, sign, decay, shrink, new1, beta2, new2, rate, rectification, eps, n9):
        p = p * shrink
        g = _directed(g, sign, p, decay, zero)
        m = m + new1 * (g - m)
        v = beta2 * v + new2 * g * g
        move = rate * m
        if rectification >= zero:
            move = move * (rectification / (sqrt_of(v) + eps))
        return p - move, m, v, c

    return each


@formula(2)
def _adamax(T):
    zero = T(0)

    def each(p, g, m, u, c, sign, decay, new1, beta2, eps, rate, n6, n7, n8, n9):
        g = _directed(g, sign, p, decay, zero)
        m = m + new1 * (g - m)
        u, size = beta2 * u, abs_of(g) + eps
        if size > u or size != size:
            u = size
        return p - rate * (m / u), m, u, c

    return each


@formula(1)
def _adagrad(T):
    zero = T(0)

    def each(p, g, total, b, c, sign, decay, rate, eps, n4, n5, n6, n7, n8, n9):
        g = _directed(g, sign, p, decay, zero)
        total = total + g * g
        return p - rate * g / (sqrt_of(total) + eps), total, b, c

    return each


@formula(2)
def _adadelta(T):
    zero = T(0)

    def each(p, g, v, u, c, sign, decay, lr, rho, new, eps, n6, n7, n8, n9):
        g = _directed(g, sign, p, decay, zero)
        v = rho * v + new * g * g
        d = g * sqrt_of((u + eps) / (v + eps))
        u = rho * u + new * d * d
        return p - lr * d, v, u, c

    return each


@formula(1)
def _rmsprop(T):
    zero = T(0)

    def each(p, g, v, b, c, sign, decay, lr, alpha, new, eps, n6, n7, n8, n9):
        g = _directed(g, sign, p, decay, zero)
        v = alpha * v + new * g * g
        return p - lr * (g / (sqrt_of(v) + eps)), v, b, c

    return each


# -- the steps, which `reference.optim` describes ---------------------------------------------------------------------


def sgd_step(
    params: Arrays,
    grads: Arrays,
    buffers: Arrays,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    first: bool,
) -> None:
    """Stochastic gradient descent in place; see `reference.optim`."""
    numbers = -1 if maximize else 1, lr, weight_decay, momentum, 1 - dampening, nesterov, first
    kinds = (params, grads, buffers)
    for i in _launch(_sgd_momentum, kinds, numbers) if buffers else _launch(_sgd, kinds[:2], numbers[:3]):
        reference.sgd_step(
            *_one(kinds, i), lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
            nesterov=nesterov, maximize=maximize, first=first,
        )  # fmt: skip


def adam_step(
    params: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    exp_avg_sqs: Arrays,
    max_exp_avg_sqs: Arrays,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    amsgrad: bool,
    maximize: bool,
) -> None:
    """Adam in place; see `reference.optim`."""
    rate, root = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    numbers = -1 if maximize else 1, rate, shrink, beta1, 1 - beta1, beta2, 1 - beta2, root, eps, decay
    kinds = (params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs)
    for i in _launch(_amsgrad, kinds, numbers) if amsgrad else _launch(_adam, kinds[:4], numbers):
        reference.adam_step(
            *_one(kinds, i), step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay,
            decoupled=decoupled, amsgrad=amsgrad, maximize=maximize,
        )  # fmt: skip


def nadam_step(
    params: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    exp_avg_sqs: Arrays,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    mu: float,
    next_mu: float,
    mu_product: float,
) -> None:
    """NAdam in place; see `reference.optim`."""
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    by_g, by_m = lr * (1 - mu) / (1 - mu_product), lr * next_mu / (1 - mu_product * next_mu)
    root = 1 / math.sqrt(1 - beta2**step)
    numbers = -1 if maximize else 1, decay, shrink, 1 - beta1, beta2, 1 - beta2, by_g, by_m, root, eps
    kinds = (params, grads, exp_avgs, exp_avg_sqs)
    for i in _launch(_nadam, kinds, numbers):
        reference.nadam_step(
            *_one(kinds, i), step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay,
            decoupled=decoupled, maximize=maximize, mu=mu, next_mu=next_mu, mu_product=mu_product,
        )  # fmt: skip


def radam_step(
    params: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    exp_avg_sqs: Arrays,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    rectification: float | None,
) -> None:
    """RAdam in place; see `reference.optim`."""
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    factor = -1.0 if rectification is None else rectification
    numbers = -1 if maximize else 1, decay, shrink, 1 - beta1, beta2, 1 - beta2, lr / (1 - beta1**step), factor, eps
    kinds = (params, grads, exp_avgs, exp_avg_sqs)
    for i in _launch(_radam, kinds, numbers):
        reference.radam_step(
            *_one(kinds, i), step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay,
            decoupled=decoupled, maximize=maximize, rectification=rectification,
        )  # fmt: skip


def adamax_step(
    params: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    exp_infs: Arrays,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """Adamax in place; see `reference.optim`."""
    numbers = -1 if maximize else 1, weight_decay, 1 - beta1, beta2, eps, lr / (1 - beta1**step)
    kinds = (params, grads, exp_avgs, exp_infs)
    for i in _launch(_adamax, kinds, numbers):
        reference.adamax_step(
            *_one(kinds, i), step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay,
            maximize=maximize,
        )  # fmt: skip


def adagrad_step(
    params: Arrays, grads: Arrays, sums: Arrays, *, rate: float, eps: float, weight_decay: float, maximize: bool
) -> None:
    """Adagrad in place; see `reference.optim`."""
    kinds = (params, grads, sums)
    for i in _launch(_adagrad, kinds, (-1 if maximize else 1, weight_decay, rate, eps)):
        reference.adagrad_step(*_one(kinds, i), rate=rate, eps=eps, weight_decay=weight_decay, maximize=maximize)


def adadelta_step(
    params: Arrays,
    grads: Arrays,
    square_avgs: Arrays,
    acc_deltas: Arrays,
    *,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """Adadelta in place; see `reference.optim`."""
    kinds = (params, grads, square_avgs, acc_deltas)
    for i in _launch(_adadelta, kinds, (-1 if maximize else 1, weight_decay, lr, rho, 1 - rho, eps)):
        reference.adadelta_step(*_one(kinds, i), lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize)


def rmsprop_step(
    params: Arrays,
    grads: Arrays,
    square_avgs: Arrays,
    grad_avgs: Arrays,
    buffers: Arrays,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    maximize: bool,
) -> None:
    """RMSprop in place, by CuPy if it is centered or has a momentum; see `reference.optim`."""
    kinds = (params, grads, square_avgs, grad_avgs, buffers)
    numbers = -1 if maximize else 1, weight_decay, lr, alpha, 1 - alpha, eps
    plain = not grad_avgs and not buffers
    if not plain and settings.numbers is not None:
        _refuse()
    for i in _launch(_rmsprop, kinds[:3], numbers) if plain else range(len(params)):
        reference.rmsprop_step(
            *_one(kinds, i), lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum,
            maximize=maximize,
        )  # fmt: skip


def scale_arrays(arrays: Arrays, factor: float) -> None:
    """Multiply every array by `factor`, in place."""
    for i in _launch(_scale, (arrays, arrays), (factor,)):
        reference.scale_arrays([arrays[i]], factor)


def sums_of_squares(arrays: Arrays) -> np.ndarray:
    """The sum of squares of each array, in float64, on the host."""
    return xp.stack([xp.square(a.astype(np.float64)).sum() for a in arrays]).get()
