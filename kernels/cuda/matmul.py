"""Matrix products: still computed on the host."""

from __future__ import annotations

from ..reference import matmul as reference
from .backend import on_host

matmul = on_host(reference.matmul)
