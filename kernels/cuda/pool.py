"""Pooling: still computed on the host."""

from __future__ import annotations

from ..reference import pool as reference
from .backend import on_host

max_pool2d = on_host(reference.max_pool2d)
max_pool2d_grad = on_host(reference.max_pool2d_grad)
max_pool2d_take = on_host(reference.max_pool2d_take)
avg_pool2d = on_host(reference.avg_pool2d)
avg_pool2d_grad = on_host(reference.avg_pool2d_grad)
