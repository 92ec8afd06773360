"""Check the new data against the committed schema, or infer the schema if there is none yet."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from cll.config.project import Tree
from cll.pipeline.ingest.schema import file, rules, units
from cll.pipeline.ingest.schema.breach import Breach
from cll.pipeline.ingest.schema.form import Schema
from cll.pipeline.ingest.schema.rules import Enforcement, Profiles
from cll.system import disk, progress
from cll.system.workspace import Workspace
from cll.types.errors import DataRefused
from cll.types.records import Counts
from cll.types.tables import Columns

_SHOWN = 3  # breaches that the error message lists


@dataclass(frozen=True)
class IngestResult:
    """The result of an ingest before it is published."""

    name: str  # name of the source
    days: Profiles
    fresh: Sequence[str]  # dates that are new, or were built again
    columns: Columns
    incidents: pl.DataFrame
    counts: Counts  # record counts of the pieces that were read in this ingest
    first: str  # place and reason of the first quarantined record


def enforce(ws: Workspace, tree: Tree, settings: Enforcement, result: IngestResult) -> None:
    """Raise DataRefused for data that breach the schema, and store them for `cll schema accept`.

    A job of `cll run` only prints the breaches and goes on: it may try another mapping, and it
    releases nothing.
    """
    sections = file.read(ws.root)
    breaches = rules.check_quarantine(result.counts, settings.max_quarantined, result.first)
    if settings.schema != "off":
        breaches += _breaches(sections.get(result.name), settings, result)
    if breaches and settings.schema != "warn" and ws.out is None:
        _keep_refused(ws, result)
        raise DataRefused(_line(breaches))
    for breach in breaches:
        progress.note(f"ingest: {breach.line}")
    if settings.schema != "off" and result.name not in sections:
        per_day = rules.per_day(result.incidents)
        learnt = rules.infer(
            result.days, result.columns, units.stored_units(tree["source"]), per_day
        )
        sections = {**sections, result.name: learnt}
        progress.note(f"ingest: {file.SCHEMA}: inferred {result.name}; review it and commit it.")
    file.write(ws.results, sections)
    (ws.reports / file.REFUSED).unlink(missing_ok=True)


def _breaches(section: Schema | None, settings: Enforcement, result: IngestResult) -> list[Breach]:
    per_day = rules.per_day(result.incidents)
    if section is None:
        for breach in rules.look_back(result.days, result.columns, per_day, settings):
            progress.note(f"ingest: {breach.line}")
        return []
    fresh = {date: result.days[date] for date in result.fresh if date in result.days}
    return rules.check(section, fresh, result.columns, per_day, settings)


def _line(breaches: Sequence[Breach]) -> str:
    lines = " ".join(breach.line for breach in breaches[:_SHOWN])
    more = len(breaches) - _SHOWN
    return lines if more <= 0 else f"{lines} And {more} more: `cll schema diff`."


def _keep_refused(ws: Workspace, result: IngestResult) -> None:
    refused: Mapping[str, Any] = {
        "name": result.name,
        "profiles": result.days,
        "columns": asdict(result.columns),
        "incidents": rules.per_day(result.incidents),
    }
    disk.write_json(ws.reports / file.REFUSED, refused)
