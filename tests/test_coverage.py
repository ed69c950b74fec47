"""The table of operations is complete, and the command line prints it."""

import subprocess
import sys


def test_the_command_prints_the_table():
    done = subprocess.run([sys.executable, "-m", "tinycnn", "coverage"], capture_output=True, text=True, check=True)
    assert "nn.functional.conv2d " in done.stdout and "What differs from PyTorch" in done.stdout
    refused = subprocess.run([sys.executable, "-m", "tinycnn", "nonsense"], capture_output=True, text=True)
    assert refused.returncode == 2 and "coverage" in refused.stderr
