"""``torch.mps`` where there is none: it is not available, and there is nothing to seed or to empty."""


def is_available() -> bool:
    """False: there is only the CPU."""
    return False


def device_count() -> int:
    """0: there is only the CPU."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there is no generator but the CPU's."""
    int(seed)


def empty_cache() -> None:
    """Nothing: there is no memory but the CPU's."""
