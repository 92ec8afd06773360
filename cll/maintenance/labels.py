"""How many labels there are, of the project as it stands: mature, pending and censored."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from cll.config import components
from cll.config.project import load_tree, load_world
from cll.pipeline.dataset import tables
from cll.system import disk, manifest, progress
from cll.system.console import WIDTH
from cll.system.workspace import Workspace
from cll.types.tables import GROUP
from cll.types.times import format_instant

# Why no time will tell these rows' label: in an incident already, not watched, or never told.
CENSORED = ("running", "uncovered", "untold")


def counts(root: Path) -> dict[str, Any]:
    """Count the labels that are known by the world's `as_of`.

    Always: total = mature + pending + censored, and mature = positive + negative.
    """
    ws = Workspace(root)
    tree, world = load_tree(ws), load_world(ws)
    has = tables.columns(ws)
    signals = tables.read(ws.signals)
    label = components.build("label", tree["label"])
    labels = label(signals, tables.incidents(ws), world.as_of)
    rows = labels.select("label", "status", day=labels["time"].dt.date().cast(pl.String))
    found = {
        "as_of": format_instant(world.as_of),
        "label": tree["choices"]["label"],
        **_counted(rows).row(0, named=True),
        "days": _by(rows, "day"),
    }
    if has.group:
        found["groups"] = _by(rows.with_columns(signals[GROUP].fill_null("")), GROUP)
    _note_behind(ws, str(found["as_of"]))
    return found


def show(root: Path, *, as_json: bool) -> None:
    """Print the counts as a table, or as JSON for programs."""
    found = counts(root)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    if as_json:
        console.out(json.dumps(found))
        return
    whole = {name: count for name, count in found.items() if isinstance(count, int)}
    for title, of in (("day", found["days"]), (GROUP, found.get("groups", []))):
        if of:
            console.print(_table(title, [*of, {title: "all", **whole}]))
    total, mature, pending, censored = (
        whole[k] for k in ("total", "mature", "pending", "censored")
    )
    console.out(
        f"label={found['label']} as of {found['as_of']}: {total:,} = {mature:,} mature "
        f"({whole['positive']:,} positive) + {pending:,} pending + {censored:,} censored"
    )


def _counted(rows: pl.DataFrame, *by: str) -> pl.DataFrame:
    status = pl.col("status")
    figures = {
        "total": pl.len(),
        "mature": (status == "mature").sum(),
        "positive": (pl.col("label") == 1).sum(),
        "negative": (pl.col("label") == 0).sum(),
        "pending": (status == "immature").sum(),
        "censored": status.is_in(CENSORED).sum(),
        **{name: (status == name).sum() for name in CENSORED},
    }
    return rows.group_by(by).agg(**figures).sort(by) if by else rows.select(**figures)


def _by(rows: pl.DataFrame, name: str) -> list[dict[str, Any]]:
    return _counted(rows, name).to_dicts()


def _table(title: str, of: Sequence[Mapping[str, Any]]) -> Table:
    shown = ("total", "mature", "positive", "pending", "censored")
    there = [name for name in CENSORED if any(one[name] for one in of)]
    drawn = Table(title, box=None, pad_edge=False, header_style="bold")
    for name in (*shown, *there):
        drawn.add_column(name, justify="right")
    for one in of:
        drawn.add_row(one[title] or "(none)", *(f"{one[name]:,}" for name in (*shown, *there)))
    return drawn


def _note_behind(ws: Workspace, as_of: str) -> None:
    key = disk.read_json(ws.signals / manifest.MANIFEST)["key"]
    made = key.get("inputs", key).get("as_of", as_of)
    if made != as_of:
        progress.note(f"labels: data/signals are as of {made}; `dvc repro` brings them to {as_of}.")
