"""Count the project's labels: mature, pending and censored."""

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

# Rows whose label never matures: inside an incident, outside the observed time, or without an outcome.
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
    counted = {
        "as_of": format_instant(world.as_of),
        "label": tree["choices"]["label"],
        **_counted(rows).row(0, named=True),
        "days": _by(rows, "day"),
    }
    if has.group:
        counted["groups"] = _by(rows.with_columns(signals[GROUP].fill_null("")), GROUP)
    _note_behind(ws, str(counted["as_of"]))
    return counted


def show(root: Path, *, as_json: bool) -> None:
    """Print the counts as a table, or as JSON for programs."""
    counted = counts(root)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    if as_json:
        console.out(json.dumps(counted))
        return
    totals = {name: count for name, count in counted.items() if isinstance(count, int)}
    for title, rows in (("day", counted["days"]), (GROUP, counted.get("groups", []))):
        if rows:
            console.print(_table(title, [*rows, {title: "all", **totals}]))
    total, mature, pending, censored = (
        totals[k] for k in ("total", "mature", "pending", "censored")
    )
    console.out(
        f"label={counted['label']} as of {counted['as_of']}: {total:,} = {mature:,} mature "
        f"({totals['positive']:,} positive) + {pending:,} pending + {censored:,} censored"
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


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    always = ("total", "mature", "positive", "pending", "censored")
    names = (*always, *(name for name in CENSORED if any(row[name] for row in rows)))
    table = Table(title, box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row[title] or "(none)", *(f"{row[name]:,}" for name in names))
    return table


def _note_behind(ws: Workspace, as_of: str) -> None:
    key = disk.read_json(ws.signals / manifest.MANIFEST)["key"]
    made = key.get("inputs", key).get("as_of", as_of)
    if made != as_of:
        progress.note(f"labels: data/signals are as of {made}; `dvc repro` brings them to {as_of}.")
