"""Functions that benchmarks share: measure a process, make a project, print a table, write the figures."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
COST = ("wall_s", "cpu_s", "peak_mib")


def alone(
    command: Sequence[str | Path], folder: Path | None = None, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a command to its end; return the cost of it and its children, and the JSON that it printed."""
    began = time.perf_counter()
    own = {"PYTHONPATH": str(ROOT), "CLL_QUIET": "1", **os.environ, **(env or {})}
    with subprocess.Popen(command, cwd=folder, env=own, stdout=subprocess.PIPE) as process:
        said = process.stdout.read() if process.stdout else b""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit code {process.returncode}.")
    cost = (time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
    last = said.strip().rpartition(b"\n")[2]
    return dict(zip(COST, cost, strict=True)) | (json.loads(last) if last[:1] == b"{" else {})


def project(folder: Path, as_of: str, params: Mapping[str, Any]) -> None:
    """Make a project's folder without code or data; its YAML files are written as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "conf", folder / "conf", dirs_exist_ok=True)
    for name in ("dvc.yaml", "uv.lock"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(json.dumps(params) + "\n", encoding="utf-8")
    world(folder, as_of)


def world(folder: Path, as_of: str) -> None:
    """Write world.yaml."""
    (folder / "world.yaml").write_text(f'as_of: "{as_of}"\nchampion: none\n', encoding="utf-8")


def stage(folder: Path, *names: str) -> dict[str, float]:
    """Run stages as DVC does, each in its own process; return their cost."""
    costs = [alone([sys.executable, "-P", "-m", "cll", "stage", name], folder) for name in names]
    return {name: (max if name == "peak_mib" else sum)(c[name] for c in costs) for name in COST}


def show(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table, with text left-aligned and numbers right-aligned."""
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(f"{x:,.2f}" if isinstance(x, float) else str(x) for x in row))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def keep(found: Mapping[str, Any], to: Path) -> None:
    """Write the figures to a file, with six digits each."""
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps(_rounded(found), indent=2) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value


def arguments(doc: str | None, name: str) -> argparse.ArgumentParser:
    """Return an argument parser with the option for the output file."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--to", type=Path, default=ROOT / "benchmarks" / "results" / f"{name}.json")
    return parser
