"""Optimizer steps: one launch and one pass over all parameters, with all that belongs to them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import prange, uintp

from ..reference import optim as reference
from .jit import helper, kernel
from .pointers import addresses, chunk
from .threads import SMALL, launch

Arrays = list[np.ndarray]
CHUNK = 1 << 13  # elements of one unit of work: five arrays of that length stay in the second cache
SERIAL = 1 << 16  # elements of all parameters; fewer are faster done than shared out

# A kernel takes `objects` (arrays of a parameter's kind, parameters): addresses of parameters, gradients and state;
# `sizes`; and `numbers`, which begin with the sign of the gradient and the weight decay. A number such as 1 - beta2
# comes rounded from float64: in float32, 1 - 0.999 keeps three digits only.


@helper
def _cut(sizes):
    """Chunks of all parameters, which the workers take in turn: rows (parameter, start, end)."""
    count = 0
    for size in sizes:
        count += (size + CHUNK - 1) // CHUNK
    chunks = np.empty((count, 3), np.int64)
    k = 0
    for t in range(len(sizes)):
        for start in range(0, sizes[t], CHUNK):
            chunks[k, 0], chunks[k, 1], chunks[k, 2] = t, start, min(start + CHUNK, sizes[t])
            k += 1
    return chunks


@helper
def _gradient(grad, p, i, sign, weight_decay):
    """The gradient with its sign and weight decay"""
    g = sign * grad[i]
    if weight_decay != 0:  # 0 * inf would be NaN
        g += weight_decay * p[i]
    return g


@kernel(parallel=True)
def sgd(workers, objects, sizes, numbers, nesterov, use_buffer, first):
    """`reference.optim.sgd_step`; numbers = (sign, weight_decay, lr, momentum, 1 - dampening).

    Traffic: reads p, gradient and buffer, writes p and buffer.
    """
    like, chunks = numbers[0], _cut(sizes)
    sign, weight_decay, lr, momentum, kept = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    for worker in prange(workers):
        for k in range(worker, len(chunks), workers):
            t, start, end = chunks[k]
            p, grad = chunk(objects[0, t], start, end, like), chunk(objects[1, t], start, end, like)
            b = chunk(objects[2, t], start, end, like)
            for i in range(uintp(end - start)):
                g = _gradient(grad, p, i, sign, weight_decay)
                if use_buffer:
                    velocity = g if first else momentum * b[i] + kept * g
                    b[i] = velocity
                    g = g + momentum * velocity if nesterov else velocity
                p[i] -= lr * g


@kernel(parallel=True)
def adam(workers, objects, sizes, numbers, amsgrad, nesterov, scaled):
    """Adam, NAdam and RAdam of `reference.optim`:

    p = p * shrink; m = beta1 * m + new1 * g; v = beta2 * v + new2 * g**2
    p = p - (rate * m + direct * g) / (sqrt(v) * root + eps)

    Args:
        numbers: (sign, weight_decay, shrink, beta1, new1, beta2, new2, rate, direct, root, eps); rate, direct and root
            hold the bias corrections.
        nesterov: there is a `direct`; only without amsgrad.
        scaled: divide by the root; else p = p - rate * m.

    Traffic: reads p, gradient, m and v, writes p, m and v. The loop over a chunk comes in two, the moments and the
    step, so that LLVM has few pairs of arrays to test for overlap and vectorises both; what the first has written, the
    second finds in the cache.
    """
    like, chunks = numbers[0], _cut(sizes)
    sign, weight_decay, shrink, beta1, new1 = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    beta2, new2, rate, direct, root, eps = numbers[5], numbers[6], numbers[7], numbers[8], numbers[9], numbers[10]
    for worker in prange(workers):
        for k in range(worker, len(chunks), workers):
            t, start, end = chunks[k]
            p, grad = chunk(objects[0, t], start, end, like), chunk(objects[1, t], start, end, like)
            m, v = chunk(objects[2, t], start, end, like), chunk(objects[3, t], start, end, like)
            for i in range(uintp(end - start)):
                p[i] *= shrink
                g = _gradient(grad, p, i, sign, weight_decay)
                m[i] = beta1 * m[i] + new1 * g
                v[i] = beta2 * v[i] + new2 * g * g
            second = v
            if amsgrad:
                second = chunk(objects[4, t], start, end, like)
                for i in range(uintp(end - start)):
                    if v[i] > second[i] or v[i] != v[i]:  # NaN wins, as in np.maximum
                        second[i] = v[i]
            if nesterov:
                for i in range(uintp(end - start)):
                    g = _gradient(grad, p, i, sign, weight_decay)
                    p[i] -= (rate * m[i] + direct * g) / (np.sqrt(second[i]) * root + eps)
            elif scaled:
                for i in range(uintp(end - start)):
                    p[i] -= rate * m[i] / (np.sqrt(second[i]) * root + eps)
            else:
                for i in range(uintp(end - start)):
                    p[i] -= rate * m[i]


@kernel(parallel=True)
def adamax(workers, objects, sizes, numbers):
    """`reference.optim.adamax_step`; numbers = (sign, weight_decay, rate, beta1, 1 - beta1, beta2, eps)."""
    like, chunks = numbers[0], _cut(sizes)
    sign, weight_decay, rate = numbers[0], numbers[1], numbers[2]
    beta1, new1, beta2, eps = numbers[3], numbers[4], numbers[5], numbers[6]
    for worker in prange(workers):
        for k in range(worker, len(chunks), workers):
            t, start, end = chunks[k]
            p, grad = chunk(objects[0, t], start, end, like), chunk(objects[1, t], start, end, like)
            m, u = chunk(objects[2, t], start, end, like), chunk(objects[3, t], start, end, like)
            for i in range(uintp(end - start)):
                g = _gradient(grad, p, i, sign, weight_decay)
                m[i] = beta1 * m[i] + new1 * g
                size, before = abs(g) + eps, beta2 * u[i]
                u[i] = before if before > size or before != before else size
            for i in range(uintp(end - start)):
                p[i] -= rate * m[i] / u[i]


@kernel(parallel=True)
def adagrad(workers, objects, sizes, numbers):
    """`reference.optim.adagrad_step`; numbers = (sign, weight_decay, rate, eps)."""
    like, chunks = numbers[0], _cut(sizes)
    sign, weight_decay, rate, eps = numbers[0], numbers[1], numbers[2], numbers[3]
    for worker in prange(workers):
        for k in range(worker, len(chunks), workers):
            t, start, end = chunks[k]
            p, grad = chunk(objects[0, t], start, end, like), chunk(objects[1, t], start, end, like)
            total = chunk(objects[2, t], start, end, like)
            for i in range(uintp(end - start)):
                g = _gradient(grad, p, i, sign, weight_decay)
                total[i] += g * g
                p[i] -= rate * g / (np.sqrt(total[i]) + eps)


@kernel(parallel=True)
def adadelta(workers, objects, sizes, numbers):
    """`reference.optim.adadelta_step`; numbers = (sign, weight_decay, lr, rho, 1 - rho, eps)."""
    like, chunks = numbers[0], _cut(sizes)
    sign, weight_decay, lr = numbers[0], numbers[1], numbers[2]
    rho, new, eps = numbers[3], numbers[4], numbers[5]
    for worker in prange(workers):
        for k in range(worker, len(chunks), workers):
            t, start, end = chunks[k]
            p, grad = chunk(objects[0, t], start, end, like), chunk(objects[1, t], start, end, like)
            v, u = chunk(objects[2, t], start, end, like), chunk(objects[3, t], start, end, like)
            for i in range(uintp(end - start)):
                g = _gradient(grad, p, i, sign, weight_decay)
                v[i] = rho * v[i] + new * g * g
                move = g * np.sqrt((u[i] + eps) / (v[i] + eps))
                u[i] = rho * u[i] + new * move * move
                p[i] -= lr * move


@helper
def _root(square, mean, centered):
    """sqrt(square), or sqrt(square - mean**2)"""
    return np.sqrt(square - mean * mean if centered else square)


@kernel(parallel=True)
def rmsprop(workers, objects, sizes, numbers, centered, use_buffer):
    """`reference.optim.rmsprop_step`; numbers = (sign, weight_decay, lr, alpha, 1 - alpha, eps, momentum).

    The loop over a chunk comes in several, as that of Adam.
    """
    like, chunks = numbers[0], _cut(sizes)
    sign, weight_decay, lr = numbers[0], numbers[1], numbers[2]
    alpha, new, eps, momentum = numbers[3], numbers[4], numbers[5], numbers[6]
    for worker in prange(workers):
        for k in range(worker, len(chunks), workers):
            t, start, end = chunks[k]
            p, grad = chunk(objects[0, t], start, end, like), chunk(objects[1, t], start, end, like)
            v, center = chunk(objects[2, t], start, end, like), chunk(objects[3, t], start, end, like)
            b = chunk(objects[4, t], start, end, like)
            for i in range(uintp(end - start)):
                g = _gradient(grad, p, i, sign, weight_decay)
                v[i] = alpha * v[i] + new * g * g
            if centered:
                for i in range(uintp(end - start)):
                    center[i] += new * (_gradient(grad, p, i, sign, weight_decay) - center[i])
            if use_buffer:
                for i in range(uintp(end - start)):
                    g = _gradient(grad, p, i, sign, weight_decay)
                    b[i] = momentum * b[i] + g / (_root(v[i], center[i], centered) + eps)
                for i in range(uintp(end - start)):
                    p[i] -= lr * b[i]
            else:
                for i in range(uintp(end - start)):
                    g = _gradient(grad, p, i, sign, weight_decay)
                    p[i] -= lr * g / (_root(v[i], center[i], centered) + eps)


@kernel(parallel=True)
def scale(workers, objects, sizes, numbers):
    """x = x * numbers[0], for each array x"""
    like, chunks = numbers[0], _cut(sizes)
    for worker in prange(workers):
        for k in range(worker, len(chunks), workers):
            t, start, end = chunks[k]
            x = chunk(objects[0, t], start, end, like)
            for i in range(uintp(end - start)):
                x[i] *= like


@kernel(parallel=True)
def squares(workers, objects, sizes, numbers, totals):
    """totals[t] += the sum of squares of array t: of each chunk, then of all chunks in turn, in float64"""
    like, chunks = numbers[0], _cut(sizes)
    parts = np.empty(len(chunks))
    for worker in prange(workers):
        for k in range(worker, len(chunks), workers):
            t, start, end = chunks[k]
            x, total = chunk(objects[0, t], start, end, like), 0.0
            for i in range(uintp(end - start)):
                number = np.float64(x[i])
                total += number * number
            parts[k] = total
    for k in range(len(chunks)):
        totals[chunks[k, 0]] += parts[k]


def _groups(kinds: Sequence[Arrays]) -> tuple[dict[str, list[int]], list[int]]:
    """Which parameters a kernel can take, by dtype, and which are left.

    It takes float32 and float64, contiguous, a parameter and what belongs to it of one dtype.
    """
    taken: dict[str, list[int]] = {}
    left = []
    for i, arrays in enumerate(zip(*kinds, strict=True)):
        dtype = arrays[0].dtype
        if dtype.char in "fd" and all([a.flags.carray and a.dtype == dtype for a in arrays]):
            taken.setdefault(dtype.char, []).append(i)
        else:
            left.append(i)
    return taken, left


def _objects(kinds: Sequence[Arrays], which: Sequence[int]) -> tuple[np.ndarray, np.ndarray, int]:
    """(objects, sizes) as a kernel takes them, and how much work that is"""
    if len(which) < len(kinds[0]):
        kinds = [[arrays[i] for i in which] for arrays in kinds]
    objects = addresses(itertools.chain(*kinds)).reshape(len(kinds), -1)
    sizes = [a.size for a in kinds[0]]
    return objects, np.array(sizes, np.int64), SMALL * sum(sizes) // SERIAL


def _launch(kernel: Any, kinds: Sequence[Arrays], numbers: Sequence[float], *switches: bool) -> list[int]:
    """Run a kernel over all parameters that it can take, and return which are left.

    Args:
        kinds: the parameters, the gradients and each piece of state, one array for each parameter.
    """
    taken, left = _groups(kinds)
    for char, which in taken.items():
        objects, sizes, elements = _objects(kinds, which)
        launch(kernel, objects, sizes, np.array(numbers, char), *switches, elements=elements)
    return left


def _one_by_one(step: Any, which: Sequence[int], kinds: Sequence[Arrays], rule: dict[str, Any]) -> None:
    """The readable step for single parameters."""
    for i in which:
        step(*([arrays[i]] if arrays else [] for arrays in kinds), **rule)


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
    numbers = -1 if maximize else 1, weight_decay, lr, momentum, 1 - dampening
    rule: dict[str, Any] = dict(
        lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov,
        maximize=maximize, first=first,
    )  # fmt: skip
    left = _launch(sgd, (params, grads, buffers or grads), numbers, bool(nesterov), bool(buffers), bool(first))
    _one_by_one(reference.sgd_step, left, (params, grads, buffers), rule)


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
    numbers = -1 if maximize else 1, decay, shrink, beta1, 1 - beta1, beta2, 1 - beta2, rate, 0.0, root, eps
    kinds = params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs
    rule: dict[str, Any] = dict(
        step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay, decoupled=decoupled,
        amsgrad=amsgrad, maximize=maximize,
    )  # fmt: skip
    left = _launch(adam, kinds if amsgrad else kinds[:4], numbers, bool(amsgrad), False, True)
    _one_by_one(reference.adam_step, left, kinds, rule)


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
    """Adam with Nesterov's momentum in place; see `reference.optim`."""
    rate, direct = lr * next_mu / (1 - mu_product * next_mu), lr * (1 - mu) / (1 - mu_product)
    root = 1 / math.sqrt(1 - beta2**step)
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    numbers = -1 if maximize else 1, decay, shrink, beta1, 1 - beta1, beta2, 1 - beta2, rate, direct, root, eps
    kinds = params, grads, exp_avgs, exp_avg_sqs
    rule: dict[str, Any] = dict(
        step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay, decoupled=decoupled,
        maximize=maximize, mu=mu, next_mu=next_mu, mu_product=mu_product,
    )  # fmt: skip
    _one_by_one(reference.nadam_step, _launch(adam, kinds, numbers, False, True, True), kinds, rule)


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
    """Rectified Adam in place; see `reference.optim`."""
    scaled = rectification is not None
    rate = lr / (1 - beta1**step) * (1.0 if rectification is None else rectification)
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    numbers = -1 if maximize else 1, decay, shrink, beta1, 1 - beta1, beta2, 1 - beta2, rate, 0.0, 1.0, eps
    kinds = params, grads, exp_avgs, exp_avg_sqs
    rule: dict[str, Any] = dict(
        step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay, decoupled=decoupled,
        maximize=maximize, rectification=rectification,
    )  # fmt: skip
    _one_by_one(reference.radam_step, _launch(adam, kinds, numbers, False, False, scaled), kinds, rule)


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
    numbers = -1 if maximize else 1, weight_decay, lr / (1 - beta1**step), beta1, 1 - beta1, beta2, eps
    kinds = params, grads, exp_avgs, exp_infs
    rule: dict[str, Any] = dict(
        step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay, maximize=maximize
    )
    _one_by_one(reference.adamax_step, _launch(adamax, kinds, numbers), kinds, rule)


def adagrad_step(
    params: Arrays, grads: Arrays, sums: Arrays, *, rate: float, eps: float, weight_decay: float, maximize: bool
) -> None:
    """Adagrad in place; see `reference.optim`."""
    kinds, numbers = (params, grads, sums), (-1 if maximize else 1, weight_decay, rate, eps)
    rule: dict[str, Any] = dict(rate=rate, eps=eps, weight_decay=weight_decay, maximize=maximize)
    _one_by_one(reference.adagrad_step, _launch(adagrad, kinds, numbers), kinds, rule)


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
    kinds, numbers = (
        (params, grads, square_avgs, acc_deltas),
        (-1 if maximize else 1, weight_decay, lr, rho, 1 - rho, eps),
    )
    rule: dict[str, Any] = dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize)
    _one_by_one(reference.adadelta_step, _launch(adadelta, kinds, numbers), kinds, rule)


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
    """RMSprop in place; see `reference.optim`."""
    numbers = -1 if maximize else 1, weight_decay, lr, alpha, 1 - alpha, eps, momentum
    kinds = params, grads, square_avgs, grad_avgs, buffers
    rule: dict[str, Any] = dict(
        lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, maximize=maximize
    )
    left = _launch(rmsprop, [k or grads for k in kinds], numbers, bool(grad_avgs), bool(buffers))
    _one_by_one(reference.rmsprop_step, left, kinds, rule)


def sums_of_squares(arrays: Arrays) -> np.ndarray:
    """The sum of squares of each array, in float64."""
    totals = np.zeros(len(arrays))
    taken, left = _groups([arrays])
    for char, which in taken.items():
        found = np.zeros(len(which))
        objects, sizes, elements = _objects([arrays], which)
        launch(squares, objects, sizes, np.zeros(1, char), found, elements=elements)
        totals[which] = found
    for i in left:
        totals[i] = reference.sums_of_squares([arrays[i]])[0]
    return totals


def scale_arrays(arrays: Arrays, factor: float) -> None:
    """Multiply every array by `factor`, in place."""
    _one_by_one(reference.scale_arrays, _launch(scale, [arrays], (factor,)), [arrays], dict(factor=factor))
