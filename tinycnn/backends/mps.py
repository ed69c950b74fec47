"""``torch.backends.mps``: not here."""


def is_available() -> bool:
    """False: there is only the CPU."""
    return False


def is_built() -> bool:
    """False: there is only the CPU."""
    return False
