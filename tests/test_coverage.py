"""The table of operations is complete, and the command line prints it."""

import subprocess
import sys

from tinycnn.testing.coverage import base_name, public_operations
from tinycnn.testing.optable import OPS


def test_every_operation_is_in_the_table():
    """Under its own name, that of the function it is another name of, or that of the one it writes in place."""
    listed = {base_name(op).split(".")[-1] for op in OPS}
    about_no_tensor = {"result_type", "set_default_tensor_type", "broadcast_shapes", "from_dlpack"}
    listed |= {"zero", "rsub"}  # in place only; the operator on the other side
    absent = set()
    for name, function in public_operations().items():
        names = {name.split(".")[-1], function.__name__, function.__name__.removeprefix("torch_")}
        if not {n.removesuffix("_") for n in names} & (listed | about_no_tensor) and not names & listed:
            absent.add(name)
    assert not absent, sorted(absent)


def test_the_command_prints_the_table():
    done = subprocess.run([sys.executable, "-m", "tinycnn", "coverage"], capture_output=True, text=True, check=True)
    assert "nn.functional.conv2d " in done.stdout and "What differs from PyTorch" in done.stdout
    refused = subprocess.run([sys.executable, "-m", "tinycnn", "nonsense"], capture_output=True, text=True)
    assert refused.returncode == 2 and "coverage" in refused.stderr
