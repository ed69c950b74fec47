"""Losses between two tensors of one shape, each with its derivative."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor, wrap
from ..autograd import Function, is_grad_enabled
from .elementwise import clamp, neg, sigmoid, sign

SLOPES = {  # the derivative by x
    "mse": lambda x, t, beta: 2 * (x - t),
    "l1": lambda x, t, beta: sign(x - t),
    "huber": lambda x, t, beta: clamp(x - t, -beta, beta),
    "bce_logits": lambda x, t, beta: sigmoid(x) - t,
}


class PairLoss(Function):
    """scale * loss of x and t for each element; `reduced`: the sum. For the kinds see the kernel `pair_loss`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, t: Tensor, kind: str, beta: float, scale: float, reduced: bool) -> Tensor:
        ctx.save_for_backward(x, t)
        ctx.rule = kind, beta, scale
        return wrap(x.device.kernels.pair_loss(x.array, t.array, kind, beta, scale, reduced), x.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, t = ctx.saved_tensors
        kind, beta, scale = ctx.rule
        gx = gt = None
        if is_grad_enabled():
            gx = g * SLOPES[kind](x, t, beta) * scale
        elif ctx.needs_input_grad[0] or kind != "bce_logits":  # the same in one kernel
            gx = wrap(g.device.kernels.pair_loss_grad(g.array, x.array, t.array, kind, beta, scale), g.device)
        if ctx.needs_input_grad[1]:
            gt = g * x * -scale if kind == "bce_logits" or gx is None else neg(gx)
        return gx, gt, None, None, None, None
