"""The comparison with PyTorch on a GPU runs as far as it can on a simulated one, without PyTorch."""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"


def test_a_short_run(tmp_path):
    command = [sys.executable, str(FOLDER / "vs_torch.py"), "--device", "cuda", "--no-torch", "--rounds", "1"]
    command += ["--seconds", "0", "--precision", "TF32", "float16", "--json", str(tmp_path / "now.json")]
    done = subprocess.run([*command, "--only", "matmul: 1x512 "], capture_output=True, text=True, cwd=FOLDER.parent)
    assert done.returncode == 0, done.stderr
    assert "us for a launch" in done.stdout and "matrix products, float16 [matmul]" in done.stdout
    result = json.loads((tmp_path / "now.json").read_text())["threads"]["4"]
    assert set(result["groups"]) == {"matmul TF32", "matmul float16"}
    assert {"float32", "TF32", "float16", "bytes", "kernel", "launch"} <= set(result["ceilings"])
