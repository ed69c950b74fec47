"""Which libraries compute (``torch.backends``): our own kernels, with switches in `cpu`; others change nothing."""

from . import cpu, cuda, cudnn, mkldnn, mps

__all__ = ["cpu", "cuda", "cudnn", "mkldnn", "mps"]
