"""Convolution and its gradients: still computed on the host."""

from __future__ import annotations

from ..reference import conv as reference
from .backend import on_host

conv2d = on_host(reference.conv2d)
conv2d_input_grad = on_host(reference.conv2d_input_grad)
conv2d_weight_grad = on_host(reference.conv2d_weight_grad)
