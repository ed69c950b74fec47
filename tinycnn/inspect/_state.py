"""Running somebody's model without leaving a trace in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..autograd import no_grad
from ..composed.math import equal
from ..nn.module import Module
from ..random import get_rng_state, set_rng_state


@contextmanager
def undisturbed(model: Module) -> Iterator[None]:
    """Put the model into evaluation mode, and afterwards modes, buffers and random numbers as they were."""
    modes = [(m, m.training) for m in model.modules()]
    buffers = [(m, n, t, t.detach().clone()) for m in model.modules() for n, t in m._buffers.items() if t is not None]
    state = get_rng_state()
    model.eval()
    try:
        yield
    finally:
        for m, training in modes:
            m.training = training
        for m, name, tensor, copy in buffers:
            m._buffers[name] = tensor
            if not equal(tensor, copy):
                with no_grad():
                    tensor.copy_(copy)
        set_rng_state(state)
