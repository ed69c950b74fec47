"""Batch normalization: still computed on the host."""

from __future__ import annotations

from ..reference import norm as reference
from .backend import on_host

batch_norm_train = on_host(reference.batch_norm_train)
batch_norm_moments = on_host(reference.batch_norm_moments)
batch_norm_train_grad = on_host(reference.batch_norm_train_grad)
batch_norm_eval = on_host(reference.batch_norm_eval)
