"""Losses between x and t of one shape."""

from __future__ import annotations

from ..reference import pair_loss as reference
from .backend import on_host

pair_loss = on_host(reference.pair_loss)
pair_loss_grad = on_host(reference.pair_loss_grad)
