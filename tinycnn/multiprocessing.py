"""Python's `multiprocessing` (``torch.multiprocessing``), with `spawn`.

Tensors do not share memory between processes and are not pickled: send ``tensor.numpy()`` or a saved `state_dict`.
Training one model from several processes (``model.share_memory()``) is refused; threads share it.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from typing import Any


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> list[Any] | None:
    """Start `nprocs` processes that call ``fn(i, *args)``, and (`join`) wait for them; else return them.

    Raises:
        RuntimeError: if a process ended with an error, whose traceback it has printed.
    """
    context: Any = multiprocessing.get_context(start_method)
    processes = [context.Process(target=fn, args=(i, *args), daemon=daemon) for i in range(nprocs)]
    for process in processes:
        process.start()
    if not join:
        return processes
    for process in processes:
        process.join()
    failed = {i: p.exitcode for i, p in enumerate(processes) if p.exitcode}
    if failed:
        raise RuntimeError(f"spawn: processes ended with an error, exit codes {failed}")
    return None
