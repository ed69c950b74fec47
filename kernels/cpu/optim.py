"""Optimizer steps: one launch and one pass over all parameters, with all that belongs to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import prange, uintp

from ..reference import optim as reference
from .jit import kernel
from .pointers import addresses, chunk
from .threads import SMALL, launch

Arrays = list[np.ndarray]
CHUNK = 1 << 13  # elements of one unit of work: five arrays of that length stay in the second cache
SERIAL = 1 << 16  # elements of all parameters; fewer are faster done than shared out

# A kernel takes `objects` (arrays of a parameter's kind, parameters): addresses of parameters, gradients and state, and
# `sizes`. The parameters are cut into chunks, which the workers take in turn.


@kernel(parallel=True)
def sgd(workers, objects, sizes, numbers, nesterov, use_buffer, first):
    """`reference.optim.sgd_step`; numbers = (sign, lr, momentum, 1 - dampening, weight_decay).

    Traffic: reads p, gradient and buffer, writes p and buffer.
    """
    like = numbers[0]
    sign, lr, momentum, kept, weight_decay = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    for worker in prange(workers):
        turn = 0
        for t in range(len(sizes)):
            for start in range(0, sizes[t], CHUNK):
                if turn % workers == worker:
                    end = min(start + CHUNK, sizes[t])
                    p = chunk(objects[0, t], start, end, like)
                    grad = chunk(objects[1, t], start, end, like)
                    b = chunk(objects[2, t], start, end, like)
                    for i in range(uintp(end - start)):
                        g = sign * grad[i]
                        if weight_decay != 0:  # 0 * inf would be NaN
                            g += weight_decay * p[i]
                        if use_buffer:
                            velocity = g if first else momentum * b[i] + kept * g
                            b[i] = velocity
                            g = g + momentum * velocity if nesterov else velocity
                        p[i] -= lr * g
                turn += 1


@kernel(parallel=True)
def adam(workers, objects, sizes, numbers, amsgrad):
    """`reference.optim.adam_step`; rate and root hold the bias corrections.

    new1 = 1 - beta1 and new2 = 1 - beta2 come rounded from float64: in float32, 1 - 0.999 keeps three digits only.
    Traffic: reads p, gradient, m and v, writes p, m and v. The loop over a chunk comes in two, the moments and the
    step, so that LLVM has few pairs of arrays to test for overlap and vectorises both; what the first has written, the
    second finds in the cache.
    """
    like = numbers[0]
    sign, rate, shrink, beta1, new1 = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    beta2, new2, root, eps, weight_decay = numbers[5], numbers[6], numbers[7], numbers[8], numbers[9]
    for worker in prange(workers):
        turn = 0
        for t in range(len(sizes)):
            for start in range(0, sizes[t], CHUNK):
                if turn % workers == worker:
                    end = min(start + CHUNK, sizes[t])
                    p = chunk(objects[0, t], start, end, like)
                    grad = chunk(objects[1, t], start, end, like)
                    m = chunk(objects[2, t], start, end, like)
                    v = chunk(objects[3, t], start, end, like)
                    for i in range(uintp(end - start)):
                        p[i] *= shrink
                        g = sign * grad[i]
                        if weight_decay != 0:  # 0 * inf would be NaN
                            g += weight_decay * p[i]
                        m[i] = beta1 * m[i] + new1 * g
                        v[i] = beta2 * v[i] + new2 * g * g
                    second = v
                    if amsgrad:
                        second = chunk(objects[4, t], start, end, like)
                        for i in range(uintp(end - start)):
                            if v[i] > second[i] or v[i] != v[i]:  # NaN wins, as in np.maximum
                                second[i] = v[i]
                    for i in range(uintp(end - start)):
                        p[i] -= rate * m[i] / (np.sqrt(second[i]) * root + eps)
                turn += 1


def _launch(kernel: Any, kinds: Sequence[Arrays], numbers: Sequence[float], *switches: bool) -> list[int]:
    """Run a kernel over all parameters that it can take, and return which are left.

    It takes float32 and float64, contiguous, a parameter and what belongs to it of one dtype.

    Args:
        kinds: the parameters, the gradients and each piece of state, one array for each parameter.
    """
    taken: dict[str, list[int]] = {}
    left = []
    for i, arrays in enumerate(zip(*kinds, strict=True)):
        dtype = arrays[0].dtype
        fits = dtype.char in "fd"
        for a in arrays:
            fits = fits and a.flags.carray and a.dtype == dtype
        if fits:
            taken.setdefault(dtype.char, []).append(i)
        else:
            left.append(i)
    for char, which in taken.items():
        objects = addresses([arrays[i] for arrays in kinds for i in which]).reshape(len(kinds), -1)
        sizes = [kinds[0][i].size for i in which]
        elements = SMALL * sum(sizes) // SERIAL
        launch(kernel, objects, np.array(sizes, np.int64), np.array(numbers, char), *switches, elements=elements)
    return left


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
    numbers = -1 if maximize else 1, lr, momentum, 1 - dampening, weight_decay
    switches = bool(nesterov), bool(buffers), bool(first)
    for i in _launch(sgd, (params, grads, buffers or grads), numbers, *switches):
        reference.sgd_step(
            [params[i]], [grads[i]], [buffers[i]] if buffers else [], lr=lr, momentum=momentum, dampening=dampening,
            weight_decay=weight_decay, nesterov=nesterov, maximize=maximize, first=first,
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
    kinds = [params, grads, exp_avgs, exp_avg_sqs, *([max_exp_avg_sqs] if amsgrad else [])]
    for i in _launch(adam, kinds, numbers, bool(amsgrad)):
        reference.adam_step(
            [params[i]], [grads[i]], [exp_avgs[i]], [exp_avg_sqs[i]], [max_exp_avg_sqs[i]] if amsgrad else [],
            step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay, decoupled=decoupled,
            amsgrad=amsgrad, maximize=maximize,
        )  # fmt: skip
