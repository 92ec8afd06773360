"""Comparison of ingest, featurize and train with a plain script of the same steps in Polars and LightGBM.

    python benchmarks/end_to_end.py                   1 million rows
    python benchmarks/end_to_end.py --rows 30000      some seconds

The input is one month of a simulated fleet: one CSV file per day, and its incidents. cll runs its stages
ingest, featurize and train, with the defaults of features=windows, label=incident and
estimator=lightgbm. The plain script reads the same files, computes the same columns with rolling
expressions, joins the labels, holds out the newest quarter, and fits as cll does: four
forward-chained folds with early stopping, one model on all rows with the folds' median of rounds,
Platt's calibration, the threshold of the best F1, alerts on the holdout.

The plain script does less: it checks no record, looks for no duplicates, hashes and caches nothing, and
holds all rows in one frame. Its lags have no limit in time, and its peers' median includes the entity itself.
Each contender runs in its own process, with OMP_WAIT_POLICY=PASSIVE, which cll sets; without it the plain
script would be charged for threads that spin. The figures go to benchmarks/results/end_to_end.json.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from plain_loop import AS_OF, KPIS, START, plain
from table import COST, alone, arguments, keep, project, show, stage

A_DAY = 288  # rows per entity and day
GOAL = 1.2  # upper limit, in CPU seconds of the plain script


def write(folder: Path, rows: int) -> None:
    """Write a simulated month in the form of an export."""
    from cll.components.source.synthetic import Synthetic  # noqa: PLC0415  the plain script doesn't pay for it

    source = Synthetic(entities=max(round(rows / ((AS_OF - START).days * A_DAY)), 4))
    (folder / "signals").mkdir(parents=True)
    *days, incidents = source(AS_OF, ())
    for number, piece in enumerate(days):
        _as_text(piece.read().rows, "time", *KPIS).write_csv(folder / f"signals/{number:02}.csv")
    told = _as_text(incidents.read().rows, "start", "end", "known_at", "kind")
    told.write_csv(folder / "incidents.csv")


def _as_text(rows: pl.DataFrame, *names: str) -> pl.DataFrame:
    chosen = rows.select("entity", *names)
    return chosen.with_columns(pl.selectors.temporal().dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


def params(folder: Path) -> dict[str, Any]:
    columns = {name: name for name in ("entity", "start", "end", "known_at", "kind")}
    files = {
        "path": str(folder),
        "signals": {"files": ["signals/*.csv"], "columns": {"outcome": None}},
        "incidents": {"files": ["incidents.csv"], "columns": columns},
    }
    return {"source": "files", "set": {"source": {"files": files}}}


def cll(_: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run the stages in one process, like `cll run`."""
    from cll.config import project as config_project  # noqa: PLC0415  the plain script doesn't pay for it
    from cll.pipeline import stages  # noqa: PLC0415  the plain script doesn't pay for it
    from cll.system import workspace  # noqa: PLC0415  the plain script doesn't pay for it

    ws = workspace.Workspace(Path())
    tree, world = config_project.load_tree(ws), config_project.load_world(ws)
    for name in ("ingest", "featurize", "train"):
        stages.STAGES[name](ws, tree, world)
        yield name, {}
    model = json.loads((ws.candidate / "model.json").read_bytes())
    notes, lineage = model["train"], model["lineage"]
    yield (
        "",
        {
            "rows": lineage["rows"],
            "positives": lineage["positives"],
            "features": len(model["features"]),
            "fold_rounds": str(notes["fold_rounds"]),
            "out_of_fold_auc": notes["out_of_fold"].get("roc_auc", math.nan),
        },
    )


def contend(name: str, folder: Path) -> dict[str, Any]:
    """Run cll or the plain script; return the CPU seconds of each step, and the results."""
    steps: dict[str, Any] = {}
    found: dict[str, Any] = {}
    spent = time.process_time()
    for step, told in {"cll": cll, "plain": plain}[name](folder):
        if step:
            now = time.process_time()
            steps[f"{step}_cpu_s"], spent = now - spent, now
        found |= told
    return steps | found


def run(rows: int) -> dict[str, Any]:
    found: dict[str, Any] = {"asked": rows, "goal": GOAL}
    own = {"OMP_WAIT_POLICY": "PASSIVE"}
    with tempfile.TemporaryDirectory() as scratch:
        data, home = Path(scratch) / "data", Path(scratch) / "project"
        me = (sys.executable, __file__)
        alone([*me, "--write", data, "--rows", str(rows)])
        project(home, f"{AS_OF:%Y-%m-%dT%H:%M:%SZ}", params(data))
        stage(home, "compose")
        for name in ("plain", "cll"):
            found[name] = alone([*me, "--as", name, "--in", data], home, own)
    found["cpu_ratio"] = found["cll"]["cpu_s"] / found["plain"]["cpu_s"]
    return found


def told(found: dict[str, Any]) -> None:
    names = [name for name in found["cll"] if name not in COST]
    title = (
        f"Ingest to train, {found['asked']:,} rows: {found['cpu_ratio']:.2f} times the plain "
        f"script's CPU time (goal: at most {found['goal']})"
    )
    rows = [(n, found["cll"][n], found["plain"][n]) for n in (*COST, *names)]
    show(title, ("", "cll", "plain"), rows)


def main() -> int:
    parser = arguments(__doc__, "end_to_end")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--as", dest="name", choices=["cll", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        write(asked.write, asked.rows)
        return 0
    if asked.name:
        print(json.dumps(contend(asked.name, asked.folder)))
        return 0
    found = run(asked.rows)
    keep(found, asked.to)
    told(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
