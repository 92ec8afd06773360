"""Loops are compiled where a feature needs them, and give the bits that Python gives."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

FIGURES = """
import sys, numpy as np
from cll.pipeline.featurize.windows import median_mad, moments, rolling
rng = np.random.default_rng(5)
entity = np.repeat(np.arange(5), 80)
time = np.concatenate([np.cumsum(rng.choice([0, 1, 7, 60, 900], 80)) for _ in range(5)]) - 3000
x = rng.normal(1e3, 1, 400) * rng.choice([1, 1, 1e-310, 1e30], 400)
x[rng.random(400) < 0.3] = np.nan
rows = rolling.Rows(entity, time)
with np.errstate(over="ignore"):
    for width in (5, 60, 1000):
        made = moments.over(rows, x, width, moments.STATISTICS, np.float64)
        sys.stdout.buffer.write(made.tobytes())
        found = median_mad.compute(x, rows.after(width), rows.first)
        sys.stdout.buffer.write(found.median.tobytes() + found.deviation.tobytes())
"""


def figures(package: Path = ROOT, **env: str) -> bytes:
    """Work the figures in a process of its own."""
    known = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    env = known | {"PYTHONPATH": str(package)} | env
    command = [sys.executable, "-W", "error", "-c", FIGURES]
    return subprocess.run(command, env=env, cwd=package, check=True, capture_output=True).stdout


def copied(folder: Path) -> Path:
    shutil.copytree(ROOT / "cll", folder / "cll", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def kept(folder: Path) -> list[str]:
    return sorted({path.name.partition(".")[0] for path in folder.rglob("*.nbc")})


@pytest.fixture(scope="module")
def expected() -> bytes:
    return figures()


def test_compiled_loops_give_the_bits_of_the_same_loops_in_python(expected):
    assert len(expected) > 90_000
    assert figures(NUMBA_DISABLE_JIT="1") == expected


@pytest.mark.slow
def test_bits_are_the_same_for_a_processor_without_wide_registers(tmp_path, expected):
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert figures(**generic, NUMBA_CACHE_DIR=str(tmp_path)) == expected


@pytest.mark.slow
def test_two_processes_that_compile_at_once_give_the_same_bits(tmp_path, expected):
    folder = copied(tmp_path)
    command = [sys.executable, "-c", FIGURES]
    env = os.environ | {"PYTHONPATH": str(folder)}
    both = [
        subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.PIPE) for _ in range(2)
    ]
    assert [process.communicate()[0] for process in both] == [expected, expected]
    assert kept(folder / "cll/pipeline/featurize/windows/__pycache__") == [
        "block_sums",
        "running_median",
        "search",
    ]
    assert figures(folder) == expected


@pytest.mark.slow
def test_where_nothing_can_be_written_loops_are_compiled_and_not_kept(tmp_path, expected):
    folder = copied(tmp_path / "package")
    # Root may write anywhere, so a file stands where the folder for byte code would be made.
    (folder / "cll/pipeline/featurize/windows/__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    nowhere = str(tmp_path / "home" / "below")
    assert figures(folder, HOME=nowhere, XDG_CACHE_HOME=nowhere) == expected
    assert not kept(tmp_path)


@pytest.mark.parametrize(
    "module", ["cll.__main__", "cll.pipeline.stages", "cll.components.features.windows"]
)
def test_only_a_loop_imports_numba(module):
    code = f"import sys, {module}; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
