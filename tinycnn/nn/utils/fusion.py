"""A convolution and the batch normalization behind it as one convolution, for evaluation."""

from __future__ import annotations

import copy
from typing import Any

from ..._tensor import Tensor
from ...ops.create import zeros_like
from ..parameter import Parameter


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the convolution that computes both; `transpose` for transposed convolutions."""
    bias = zeros_like(bn_rm) if conv_b is None else conv_b.detach()
    scale = (bn_rv + bn_eps) ** -0.5 * (1.0 if bn_w is None else bn_w.detach())
    shape = [1] * conv_w.array.ndim
    shape[1 if transpose else 0] = -1
    weight = conv_w.detach() * scale.reshape(shape)
    bias = (bias - bn_rm) * scale + (0.0 if bn_b is None else bn_b.detach())
    return Parameter(weight, conv_w.requires_grad), Parameter(bias)


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of the layer `conv` that also does what `bn` does in evaluation.

    Raises:
        ValueError: if one of them is in training mode, or `bn` keeps no running statistics.
    """
    if conv.training or bn.training:
        raise ValueError("fuse_conv_bn_eval: call eval() on both layers first")
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError("fuse_conv_bn_eval: the batch normalization keeps no running statistics")
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused
