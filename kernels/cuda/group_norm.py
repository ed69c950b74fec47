"""Normalization of groups of channels: still computed on the host."""

from __future__ import annotations

from ..reference import group_norm as reference
from .backend import on_host

group_norm = on_host(reference.group_norm)
group_norm_grad = on_host(reference.group_norm_grad)
rms_norm = on_host(reference.rms_norm)
rms_norm_grad = on_host(reference.rms_norm_grad)
