"""``torch.backends.cuda``: not here. The switches can be set and change nothing."""

from types import SimpleNamespace

matmul = SimpleNamespace(allow_tf32=False, allow_fp16_reduced_precision_reduction=True)


def is_built() -> bool:
    """False: there is only the CPU."""
    return False
