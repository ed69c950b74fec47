"""Which libraries compute (``torch.backends``): none of PyTorch's; the switches are kept and change nothing."""

from . import cuda, cudnn, mkldnn, mps

__all__ = ["cuda", "cudnn", "mkldnn", "mps"]
