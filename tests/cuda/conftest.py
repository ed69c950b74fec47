"""The simulator's tests take minutes: their processes start before all other tests, and are asked for after them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import pytest

HERE = Path(__file__).resolve().parent
PROCESSES = 2  # side by side, to save time
Running = list[tuple["subprocess.Popen[str]", IO[str]]]
_running: pytest.StashKey[Running] = pytest.StashKey()


def _asks(item: Any) -> bool:
    return "simulated" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[Any]) -> None:
    items.sort(key=_asks)


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly or not any(map(_asks, session.items)):
        return
    files = sorted(map(str, (HERE / "simulated").glob("test_*.py")))
    running = session.config.stash.setdefault(_running, [])
    for i in range(PROCESSES):
        said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (it is open until the test reads it)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files[i::PROCESSES]]
        env = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "TINYCNN_BACKEND": "reference", "PYTEST_ADDOPTS": ""}
        process = subprocess.Popen(command, cwd=HERE.parents[1], env=env, stdout=said, stderr=said, text=True)
        running.append((process, said))


def pytest_sessionfinish(session: pytest.Session) -> None:
    for process, said in session.config.stash.get(_running, []):
        process.kill()
        process.wait()
        said.close()


@pytest.fixture
def simulated(request: pytest.FixtureRequest) -> Running:
    """The processes, and what they print."""
    return request.config.stash[_running]
