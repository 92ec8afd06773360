import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_benchmark_of_windows_runs_and_all_contenders_agree(tmp_path):
    figures = tmp_path / "windows.json"
    command = [sys.executable, "benchmarks/windows.py", "--rows", "20000", "--to", str(figures)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "mean, std, slope: 20,000 rows, 36 columns" in done.stdout
    for kind in json.loads(figures.read_text())["sets"].values():
        assert set(kind) == {"cll", "polars", "pandas"}
        assert max(figure["deviation"] for figure in kind.values()) < 1e-6
