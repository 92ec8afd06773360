"""Reproducibility test: run the stages again elsewhere, and compare the results byte for byte."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cll.config.fingerprint import environment
from cll.config.project import load_tree, load_world
from cll.pipeline import stages
from cll.system import disk, manifest
from cll.system.workspace import Workspace
from cll.types.errors import Unavailable
from cll.vcs.commands import python

TOLERANCE = 1.5e-6  # figures have six digits; two that agree to 1e-6 differ by one in the last
PARTITIONED = ("data/signals", "data/features")
PARTS = (
    *PARTITIONED,
    "models/candidate",
    "metrics.json",
    "reports/verdict.json",
)
THREADS = ("1", "2")


def rerun(root: Path) -> int:
    """Run all stages again in an empty folder, with 1 and with 2 threads, and compare.

    Returns 0 when every byte is the same, else 1. Results that were made with another CPU or other
    library versions count as reproduced when every figure agrees to 1e-6.
    """
    ws = Workspace(root)
    if not (root / "metrics.json").is_file() or not ws.candidate.is_dir():
        raise Unavailable("metrics.json, models/candidate: missing; run `dvc repro` first.")
    path = ws.reports / "environment.json"
    made_by = disk.read_json(path) if path.is_file() else {}
    elsewhere = [name for name, value in environment(ws).items() if made_by.get(name) != value]
    failed = 0
    for threads in THREADS:
        with tempfile.TemporaryDirectory(prefix="cll-verify-") as folder:
            _run_all(root, Path(folder), threads)
            different = sorted(_differences(root, Path(folder)))
            failed += _print_run(root, Path(folder), threads, different, elsewhere)
    return 1 if failed else 0


def rebuild(root: Path) -> int:
    """Ingest and featurize all data again from the source, in an empty folder, and compare.

    Returns 0 when every byte is the same as in the project; else 1, after naming the files.
    """
    ws = Workspace(root)
    for folder in (ws.signals, ws.features):
        if not (folder / manifest.MANIFEST).is_file():
            raise Unavailable(f"{folder}: does not exist yet; run `dvc repro` first.")
    with tempfile.TemporaryDirectory(prefix="cll-verify-") as scratch:
        _run_all(root, Path(scratch), None)
        different = sorted(_differences(root, Path(scratch), PARTITIONED))
        days = len(disk.read_json(ws.signals / manifest.MANIFEST)["facts"]["partitions"])
    if different:
        _print(f"rebuild: {len(different)} files differ: {', '.join(different[:5])}.")
        return 1
    _print(f"rebuild: the same bytes for all {days} days of the source ({', '.join(PARTITIONED)}).")
    return 0


def _print_run(
    root: Path, folder: Path, threads: str, different: list[str], elsewhere: list[str]
) -> int:
    """Print how one run compares; return 1 where it is not reproduced."""
    where = f"{threads} thread{'s' * (threads != '1')}"
    if not different:
        _print(f"{where}: the same bytes ({', '.join(PARTS)}).")
        return 0
    _print(f"{where}: {len(different)} files differ: {', '.join(different[:5])}.")
    if not elsewhere:
        return 1
    most = _largest_difference(
        disk.read_json(root / "metrics.json"), disk.read_json(folder / "metrics.json")
    )
    _print(
        f"{where}: made with another {' and '.join(elsewhere)}, so figures need to agree to 1e-6"
        f" only: they differ by at most {most:.2g}."
    )
    return 0 if most <= TOLERANCE else 1


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201  the command's output


def _run_all(root: Path, folder: Path, threads: str | None) -> None:
    """Run all stages in a child process; if `threads` is None, only ingest and featurize."""
    names = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS")
    numbers = dict.fromkeys(names, threads) if threads else {}
    wanted = list(stages.STAGES) if threads else ["ingest", "featurize"]
    command = python("cll.verify.reproduce", str(folder), *wanted)
    child = subprocess.run(command, cwd=root, env={**os.environ, **numbers}, check=False)  # noqa: S603  our own arguments
    if child.returncode:
        raise Unavailable("The second run failed; see the lines above, then run the command again.")


def _differences(left: Path, right: Path, parts: Sequence[str] = PARTS) -> Iterator[str]:
    for part in parts:
        names = {str(f.relative_to(top)) for top in (left, right) for f in _files(top / part)}
        for name in names:
            both = [top / name for top in (left, right)]
            if not all(p.is_file() for p in both) or disk.sha256(both[0]) != disk.sha256(both[1]):
                yield name


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]


def _largest_difference(left: object, right: object) -> float:
    """Return the largest difference of any number in two trees; infinite where keys differ."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        if set(left) != set(right):
            return float("inf")
        return max((_largest_difference(left[key], right[key]) for key in left), default=0.0)
    if isinstance(left, int | float) and isinstance(right, int | float):
        return abs(left - right)
    return 0.0 if left == right else float("inf")


def main(folder: str, wanted: Sequence[str]) -> None:
    """Run the wanted stages in this child process, and write their results into `folder`.

    The workspace is separate from the project, so no cached result is used.
    """
    ws = Workspace(Path(), Path(folder), isolated=True)
    tree: Mapping[str, Any] = load_tree(Workspace(Path()))
    for name in wanted:
        stages.STAGES[name](ws, tree, load_world(ws))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
