"""``torch.backends.cudnn``: not here. The switches can be set, as scripts do, and change nothing."""

enabled: bool = True
benchmark: bool = False
benchmark_limit: int = 10
deterministic: bool = False
allow_tf32: bool = True


def is_available() -> bool:
    """False: there is no GPU."""
    return False


def version() -> int | None:
    """None: it is not here."""
    return None


def is_acceptable(tensor: object) -> bool:
    """False: there is no GPU."""
    return False
