"""Cost of a tick: a new day on a year of history, and DVC's share of the time with many partitions.

    python benchmarks/tick.py                              100 million rows; needs about 40 GB
    python benchmarks/tick.py --rows-per-day 2000 --partitions 10     a minute

In the first part, a year of telemetry (one CSV file per day of a fleet that reports every 5 minutes) goes
through ingest and featurize, called as DVC calls them. Then the file of day 366 arrives, `as_of` moves, and
both run again. Features: 4 columns, their windows of 30 minutes and 3 hours by mean, std and slope.

In the second part, a clone of this repository, with the uncommitted changes of the working folder, ticks with
DVC. `dvc repro featurize` runs over that many partitions of small days in three cases: nothing changed, a
new day came, and one record came late for a day in the middle. `stages` is the time of our own processes,
including their start. The rest is DVC's: it starts, hashes changed files and copies them into its cache.
The figures go to benchmarks/results/tick.json.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from table import COST, ROOT, alone, arguments, keep, project, show, stage, world

START, A_DAY, A_YEAR = datetime(2023, 1, 1, tzinfo=UTC), 288, 365
KPIS = {"cpu_usage": 40.0, "memory_usage": 60.0, "error_rate": 0.02, "response_time": 0.3}
GOAL = 1 / 50  # upper limit, as a share of the year's cost
SMALL = 2000  # rows per day in the part that measures DVC's share
STAGES = ("ingest", "featurize")
FEATURES = {
    "windows": ["30m", "3h"],
    "rolling": ["mean", "std", "slope"],
    "past": [],
    "lags": [],
    "change": False,
    "missing": False,
    "peers": None,
}
SHIM = """\
#!/bin/bash
TIMEFORMAT="$2 %R %U %S"
{{ time {program} "$@" 2>&3; }} 3>&2 2>>{log}
"""


def write(folder: Path, first: int, last: int, rows: int) -> None:
    """Write the files of these days, without the last one."""
    folder.mkdir(parents=True, exist_ok=True)
    entities = max(rows // A_DAY, 1)
    names = [f"agent-{i:04}" for i in range(entities)]
    for day in range(first, last):
        rng = np.random.default_rng(day)
        since = START + timedelta(days=day)
        times = pl.Series([since + timedelta(minutes=5 * k) for k in range(A_DAY)])
        told = times.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        frame = pl.DataFrame({"time": told, "entity": [names] * A_DAY}).explode("entity")
        for name, usual in KPIS.items():
            x = usual * rng.lognormal(0, 0.2, frame.height)
            frame = frame.with_columns(pl.Series(name, x).round_sig_figs(6))
        frame.write_csv(folder / f"{since:%Y-%m-%d}.csv")


def written(folder: Path, first: int, last: int, rows: int) -> None:
    days = (str(first), str(last), str(rows))
    alone((sys.executable, __file__, "--write", folder, "--days", *days))


def params() -> dict[str, Any]:
    files = {"signals": {"columns": {"outcome": None}}}
    return {
        "experiment": None,
        "source": "files",
        "set": {"source": {"files": files}, "features": {"windows": FEATURES}},
    }


def instant(days: int) -> str:
    return f"{START + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"


def year(rows: int, scratch: Path) -> dict[str, Any]:
    """Run ingest and featurize on a year, and then on one more day."""
    home = scratch / "year"
    raw = home / "data" / "raw"
    written(raw, 0, A_YEAR, rows)
    project(home, instant(A_YEAR), params())
    stage(home, "compose")
    found: dict[str, Any] = {"year": {name: stage(home, name) for name in STAGES}}
    written(raw, A_YEAR, A_YEAR + 1, rows)
    world(home, instant(A_YEAR + 1))
    found["day"] = {name: stage(home, name) for name in STAGES}
    for cost in ("wall_s", "cpu_s"):
        day, whole = (sum(one[cost] for one in found[of].values()) for of in ("day", "year"))
        found[cost.replace("_s", "_ratio")] = day / whole
    held = json.loads((home / "reports" / "ingest.json").read_bytes())
    shutil.rmtree(home)
    return found | {"rows": held["kept"]}


class Clone:
    """A clone of this repository with the uncommitted changes, in which DVC ticks."""

    def __init__(self, folder: Path, partitions: int) -> None:
        self.folder, self.partitions = folder, partitions
        self._run("git", "clone", "-q", ROOT, folder, within=ROOT)
        listed = (
            "git",
            "ls-files",
            "-z",
            "--modified",
            "--others",
            "--exclude-standard",
            "cll",
            "conf",
        )
        for name in self._run(*listed, "dvc.yaml", within=ROOT).split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        self.log = folder.parent / f"{folder.name}.log"
        shims = folder.parent / f"{folder.name}.bin"
        shims.mkdir()
        here = Path(sys.executable).parent
        (shims / "cll").write_text(SHIM.format(program=here / "cll", log=self.log))
        (shims / "cll").chmod(0o755)
        self.env = {"PATH": f"{shims}:{here}:{os.environ['PATH']}", "PYTHONPATH": ""}
        for name in ("registry/arrivals.jsonl", "registry/schema.yaml"):
            (folder / name).unlink(missing_ok=True)
        (folder / "params.yaml").write_text(json.dumps(params()) + "\n")

    def _run(self, *command: str | Path, within: Path | None = None) -> str:
        done = subprocess.run(
            command, cwd=within or self.folder, check=True, stdout=subprocess.PIPE
        )
        return done.stdout.decode()

    def repro(self) -> dict[str, Any]:
        """Return the cost of `dvc repro`, and the part of it that our stages took."""
        self.log.write_text("")
        found = alone(("dvc", "repro", "featurize"), self.folder, self.env)
        for line in self.log.read_text().splitlines():
            name, wall, *cpu = line.split()
            found[f"{name}_s"], found[f"{name}_cpu_s"] = float(wall), sum(map(float, cpu))
        return found

    def ticks(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the name of each case and its cost."""
        raw, days = self.folder / "data" / "raw", self.partitions
        written(raw, 0, days, SMALL)
        world(self.folder, instant(days))
        yield "all", self.repro()
        yield "nothing", self.repro()
        written(raw, days, days + 1, SMALL)
        world(self.folder, instant(days + 1))
        yield "a new day", self.repro()
        at = START + timedelta(days=days // 2, minutes=2)
        late = f"entity,time,{','.join(KPIS)}\nagent-0000,{at:%Y-%m-%dT%H:%M:%SZ},50,60,0.02,0.3\n"
        (raw / "late.csv").write_text(late)
        yield "a late record", self.repro()


def ticks(partitions: int, scratch: Path) -> dict[str, Any]:
    clone = Clone(scratch / f"clone-{partitions}", partitions)
    found = dict(clone.ticks())
    shutil.rmtree(clone.folder)
    return found


def told(found: Mapping[str, Any]) -> None:
    if "year" in found:
        one = found["year"]
        rows: list[tuple[object, ...]] = [
            (f"{of}: {name}", *(one[of][name][cost] for cost in COST))
            for of in ("year", "day")
            for name in STAGES
        ]
        rows.append(("day / year", f"{one['wall_ratio']:.4f}", f"{one['cpu_ratio']:.4f}", ""))
        title = f"A new day on a year, {one['rows']:,} rows (goal: at most {GOAL:g})"
        show(title, ("", "wall s", "CPU s", "peak MiB"), rows)
    rows = [
        (count, what, *_costs(one))
        for count, of in found["ticks"].items()
        for what, one in of.items()
    ]
    if not rows:
        return
    headings = ("partitions", "what happened", "wall s", "CPU s", "ingest", "featurize", "DVC")
    show(f"`dvc repro featurize`, {SMALL:,} rows a day; wall seconds of each part", headings, rows)


def _costs(one: Mapping[str, float]) -> Iterator[float]:
    yield from (one["wall_s"], one["cpu_s"])
    ours = [one.get(f"{name}_s", 0.0) for name in STAGES]
    yield from (*ours, one["wall_s"] - sum(ours) - one.get("compose_s", 0.0))


def main() -> int:
    parser = arguments(__doc__, "tick")
    parser.add_argument("--rows-per-day", type=int, default=951 * A_DAY)
    parser.add_argument("--partitions", type=int, nargs="*", default=[30, 365, 1000])
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--days", type=int, nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        write(asked.write, *asked.days)
        return 0
    found: dict[str, Any] = {"ticks": {}}
    with tempfile.TemporaryDirectory() as scratch:
        if asked.rows_per_day:
            found["year"] = year(asked.rows_per_day, Path(scratch))
            keep(found, asked.to)
        for partitions in asked.partitions:
            found["ticks"][str(partitions)] = ticks(partitions, Path(scratch))
            keep(found, asked.to)
    told(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
