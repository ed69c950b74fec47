"""Softmax of rows x (R, K), and the cross-entropy built on it."""

from __future__ import annotations

from ..reference import softmax as reference
from .backend import on_host

softmax = on_host(reference.softmax)
softmax_grad = on_host(reference.softmax_grad)
log_softmax = on_host(reference.log_softmax)
log_softmax_grad = on_host(reference.log_softmax_grad)
cross_entropy = on_host(reference.cross_entropy)
cross_entropy_grad = on_host(reference.cross_entropy_grad)
nll = on_host(reference.nll)
nll_grad = on_host(reference.nll_grad)
