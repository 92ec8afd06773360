"""Run benchmarks from the command line, at a size at which their figures mean nothing."""

import json
import subprocess
import sys

from tests.conftest import ROOT


def run(name, folder, *words):
    to = folder / f"{name}.json"
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", *words, "--to", to]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(to.read_text())
