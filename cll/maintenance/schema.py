"""Show the committed schema, print how the data differ from it, and accept the differences."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
class IngestedData:
    """Profiles of the data that the last ingest accepted or refused."""

    name: str  # name of the source, and of its section in the schema
    profiles: Profiles
    columns: Columns
    incidents: Incidents
    refused: bool

    def inferred(self, tree: Tree) -> Schema:
        kept_in = units.stored_units(tree["source"])
        return rules.infer(self.profiles, self.columns, kept_in, self.incidents)


def show(root: Path, console: Console | None = None) -> None:
    """Print the committed schema of the selected source."""
    ws = Workspace(root)
    name = file.source_name(load_tree(ws), fell_back=False)
    section = _section(file.read(root), name)
    console = console or _console()
    days = f"{section.days} day{'s' * (section.days > 1)}, {section.since} to {section.until}"
    _print(console, f"{file.SCHEMA}: {name}, inferred from {days}")
    console.print(_table(section))
    for line in _facts(section):
        _print(console, line)


def diff(root: Path, console: Console | None = None) -> int:
    """Print the differences between the data and the committed schema.

    Return 3 if ingest refuses one of them, as `dvc repro` would; else 0, since ranges may widen.
    """
    tree, data = load_tree(Workspace(root)), ingested(root)
    section = _section(file.read(root), data.name)
    console = console or _console()
    settings = components.build("ingest", tree["ingest"])
    breaches = rules.check(section, data.profiles, data.columns, data.incidents, settings)
    for breach in breaches:
        _print(console, f"refused  {breach.line}")
    lines = rules.differences(section, data.inferred(tree))
    for line in lines:
        _print(console, f"differs  {line}")
    if not lines and not breaches:
        _print(console, f"{data.name}: as in {file.SCHEMA}.")
    return DataRefused.exit_code if breaches else 0


def accept(root: Path, console: Console | None = None) -> None:
    """Write a schema inferred from the current data, refused or not, and print the changes."""
    tree, data = load_tree(Workspace(root)), ingested(root)
    console, sections = console or _console(), file.read(root)
    inferred, before = data.inferred(tree), sections.get(data.name)
    for line in rules.differences(before, inferred) if before else ():
        _print(console, f"accepted {line}")
    for line in _accepted_breaches(tree, before, data):
        _print(console, f"from now on not refused: {line}")
    file.write(root, {**sections, data.name: inferred})
    origin = "the refused data" if data.refused else "data/signals"
    days = f"{inferred.days} day{'s' * (inferred.days > 1)}"
    _print(console, f"{file.SCHEMA}: {data.name}: inferred from {days} of {origin}; commit it.")


def _accepted_breaches(tree: Tree, before: Schema | None, data: IngestedData) -> list[str]:
    """Return a line for each breach of the schema before, which the new schema allows."""
    if before is None:
        return []
    settings = components.build("ingest", tree["ingest"])
    breaches = rules.check(before, data.profiles, data.columns, data.incidents, settings)
    return [
        f"{breach.what}: {breach.actual}, as well as {breach.expected or 'what it was'}"
        for breach in breaches
    ]


def ingested(root: Path) -> IngestedData:
    """Return the data that the last ingest refused, or else the data that it accepted."""
    ws = Workspace(root)
    tree = load_tree(ws)
    path = ws.reports / file.REFUSED
    refused = disk.read_json(path) if path.is_file() else {}
    # A refusal of another source, which was selected earlier, does not count.
    if refused and refused["name"] in {tree["schema"], tree["source"].get("fallback")}:
        return IngestedData(
            refused["name"],
            refused["profiles"],
            _columns(refused["columns"]),
            refused["incidents"],
            refused=True,
        )
    facts: Mapping[str, Any] = disk.read_json(ws.signals / manifest.MANIFEST)["facts"]
    days = {date: day["profile"] for date, day in facts["partitions"].items() if day["rows"]}
    if not days:
        raise Unavailable(f"{ws.signals}: has no day to infer from; run `dvc repro` first.")
    incidents = rules.per_day(frames.read_frame(ws.signals / "incidents.parquet"))
    name = file.source_name(tree, fell_back="fallback" in facts)
    return IngestedData(name, days, _columns(facts["columns"]), incidents, refused=False)


def _section(sections: Mapping[str, Schema], name: str) -> Schema:
    if name not in sections:
        has = f"it has: {', '.join(sorted(sections))}" if sections else "it is not there yet"
        raise Unavailable(
            f"{file.SCHEMA}: no section {name} ({has}); `dvc repro` or `cll schema accept` infers it."
        )
    return sections[name]


def _columns(columns: Mapping[str, Any]) -> Columns:
    return TypeAdapter(Columns).validate_python(dict(columns))


def _console() -> Console:
    # A pipe or file has no width; without line breaks its sentences can be searched for.
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
    is_bounded = column.low is not None and column.high is not None
    values = (column.low or 0.0, column.high or 0.0) if is_bounded else None
    ranges = [values, column.q01, column.median, column.q99]
    missing = f"{column.nulls:.1%}" if column.nulls else ""
    return [column.unit or "", missing, *(span(ends) if ends else "" for ends in ranges)]


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
