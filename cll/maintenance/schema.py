"""The committed schema on the terminal: what it says, what differs from it now, and to accept that."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from cll.config import components
from cll.config.project import Tree, load_tree
from cll.pipeline.ingest.schema import file, rules, units
from cll.pipeline.ingest.schema.breach import span
from cll.pipeline.ingest.schema.form import Column, Schema
from cll.pipeline.ingest.schema.rules import Incidents, Profiles
from cll.system import disk, frames, manifest
from cll.system.console import WIDTH
from cll.system.workspace import Workspace
from cll.types.errors import DataRefused, Unavailable
from cll.types.tables import Columns


@dataclass(frozen=True)
class Seen:
    """What ingest found, taken or refused."""

    name: str  # of the source: a section of the schema
    profiles: Profiles
    columns: Columns
    incidents: Incidents
    refused: bool

    def inferred(self, tree: Tree) -> Schema:
        kept_in = units.kept_in(tree["source"])
        return rules.infer(self.profiles, self.columns, kept_in, self.incidents)


def show(root: Path, console: Console | None = None) -> None:
    """Print the committed schema of the source that is chosen."""
    ws = Workspace(root)
    name = file.source_name(load_tree(ws), fell_back=False)
    section = _section(file.read(root), name)
    console = console or _console()
    days = f"{section.days} day{'s' * (section.days > 1)}, {section.since} to {section.until}"
    _print(console, f"{file.SCHEMA}: {name}, learnt from {days}")
    console.print(_table(section))
    for line in _facts(section):
        _print(console, line)


def diff(root: Path, console: Console | None = None) -> int:
    """Print what the data now have that the committed schema has not.

    Return 3 where ingest refuses that (as `dvc repro` would), else 0: ranges may well widen.
    """
    tree, found = load_tree(Workspace(root)), seen(root)
    section = _section(file.read(root), found.name)
    console = console or _console()
    settings = components.build("ingest", tree["ingest"])
    breaches = rules.check(section, found.profiles, found.columns, found.incidents, settings)
    for one in breaches:
        _print(console, f"refused  {one.line}")
    lines = rules.differences(section, found.inferred(tree))
    for line in lines:
        _print(console, f"differs  {line}")
    if not lines and not breaches:
        _print(console, f"{found.name}: as in {file.SCHEMA}.")
    return DataRefused.exit_code if breaches else 0


def accept(root: Path, console: Console | None = None) -> None:
    """Write the schema learnt from what is there now, refused or not, and say what that changes."""
    tree, found = load_tree(Workspace(root)), seen(root)
    console, sections = console or _console(), file.read(root)
    inferred, before = found.inferred(tree), sections.get(found.name)
    for line in rules.differences(before, inferred) if before else ():
        _print(console, f"accepted {line}")
    for one in _lifted(tree, before, found):
        _print(console, f"from now on not refused: {one}")
    file.write(root, {**sections, found.name: inferred})
    what = "what was refused" if found.refused else "data/signals"
    days = f"{inferred.days} day{'s' * (inferred.days > 1)}"
    _print(console, f"{file.SCHEMA}: {found.name}: learnt from {days} of {what}; commit it.")


def _lifted(tree: Tree, before: Schema | None, found: Seen) -> list[str]:
    """Say what was refused, and is a part of what is usual once it was accepted."""
    if before is None:
        return []
    settings = components.build("ingest", tree["ingest"])
    breaches = rules.check(before, found.profiles, found.columns, found.incidents, settings)
    return [
        f"{one.what}: {one.found}, as well as {one.expected or 'what it was'}" for one in breaches
    ]


def seen(root: Path) -> Seen:
    """Return what the last ingest refused, or else what it took."""
    ws = Workspace(root)
    tree = load_tree(ws)
    refused = ws.reports / file.REFUSED
    told = disk.read_json(refused) if refused.is_file() else {}
    # Else it is of a source that was chosen before.
    if told and told["name"] in {tree["schema"], tree["source"].get("fallback")}:
        columns = _columns(told["columns"])
        return Seen(told["name"], told["profiles"], columns, told["incidents"], refused=True)
    facts: Mapping[str, Any] = disk.read_json(ws.signals / manifest.MANIFEST)["facts"]
    days = {date: one["profile"] for date, one in facts["partitions"].items() if one["rows"]}
    if not days:
        raise Unavailable(f"{ws.signals}: holds no day to learn from; run `dvc repro` first.")
    incidents: pl.DataFrame = frames.read_frame(ws.signals / "incidents.parquet")
    name = file.source_name(tree, fell_back="fallback" in facts)
    return Seen(name, days, _columns(facts["columns"]), rules.per_day(incidents), refused=False)


def _section(sections: Mapping[str, Schema], name: str) -> Schema:
    if name not in sections:
        has = f"it has: {', '.join(sorted(sections))}" if sections else "it is not there yet"
        raise Unavailable(
            f"{file.SCHEMA}: no section {name} ({has}); `dvc repro` or `cll schema accept` learns it."
        )
    return sections[name]


def _columns(told: Mapping[str, Any]) -> Columns:
    return TypeAdapter(Columns).validate_python(dict(told))


def _console() -> Console:
    # A pipe or file has no width, and a sentence cut in two can't be searched for.
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, soft_wrap=True)


def _table(section: Schema) -> Table:
    heads = ("column", "unit", "missing", "values", "1 % of a day", "median", "99 %")
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for name, column in section.columns.items():
        table.add_row(name, *_cells(column))
    return table


def _cells(column: Column) -> list[str]:
    told = column.low is not None and column.high is not None
    values = (column.low or 0.0, column.high or 0.0) if told else None
    ranges = [values, column.q01, column.median, column.q99]
    missing = f"{column.nulls:.1%}" if column.nulls else ""
    return [column.unit or "", missing, *(span(one) if one else "" for one in ranges)]


def _facts(section: Schema) -> list[str]:
    lines = [f"entities   {_count(section.entities)} a day"]
    lines += [f"group      {name}: {_count(count)}" for name, count in section.groups.items()]
    if section.outcome and section.outcome.rate:
        rate = section.outcome.rate
        lines.append(f"outcome    failed in {rate.rate:.3g} of the rows, {span(rate.range)} a day")
    if section.incidents:
        rate = section.incidents
        lines.append(f"incidents  {rate.rate:.3g} per entity and day, {span(rate.range)} a day")
    return lines


def _count(ends: tuple[int, int]) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
