"""Hold what was kept against the committed schema, or learn that where there is none yet."""

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

_TOLD = 3  # breaches that one line has room for


@dataclass(frozen=True)
class Found:
    """What ingest has before it publishes: all days, and what of it is new."""

    name: str  # of the source
    days: Profiles
    fresh: Sequence[str]  # days that are new, or made again
    columns: Columns
    incidents: pl.DataFrame
    counts: Counts  # of the pieces that were not known before
    first: str  # of what was quarantined: where, and why


def enforce(ws: Workspace, tree: Tree, settings: Enforcement, found: Found) -> None:
    """Raise DataRefused where something does not fit; what was refused is kept for `accept`.

    A job of `cll run` is told so, and goes on: it may well try another mapping, and releases nothing.
    """
    sections = file.read(ws.root)
    breaches = rules.check_quarantine(found.counts, settings.max_quarantined, found.first)
    if settings.schema != "off":
        breaches += _breaches(sections.get(found.name), settings, found)
    if breaches and settings.schema != "warn" and ws.out is None:
        _keep_refused(ws, found)
        raise DataRefused(_line(breaches))
    for one in breaches:
        progress.note(f"ingest: {one.line}")
    if settings.schema != "off" and found.name not in sections:
        per_day = rules.per_day(found.incidents)
        learnt = rules.infer(found.days, found.columns, units.kept_in(tree["source"]), per_day)
        sections = {**sections, found.name: learnt}
        progress.note(f"ingest: {file.SCHEMA}: learnt {found.name}; review it and commit it.")
    file.write(ws.results, sections)
    (ws.reports / file.REFUSED).unlink(missing_ok=True)


def _breaches(section: Schema | None, settings: Enforcement, found: Found) -> list[Breach]:
    per_day = rules.per_day(found.incidents)
    if section is None:
        for one in rules.look_back(found.days, found.columns, per_day, settings):
            progress.note(f"ingest: {one.line}")
        return []
    fresh = {date: found.days[date] for date in found.fresh if date in found.days}
    return rules.check(section, fresh, found.columns, per_day, settings)


def _line(breaches: Sequence[Breach]) -> str:
    told = " ".join(one.line for one in breaches[:_TOLD])
    more = len(breaches) - _TOLD
    return told if more <= 0 else f"{told} And {more} more: `cll schema diff`."


def _keep_refused(ws: Workspace, found: Found) -> None:
    told: Mapping[str, Any] = {
        "name": found.name,
        "profiles": found.days,
        "columns": asdict(found.columns),
        "incidents": rules.per_day(found.incidents),
    }
    disk.write_json(ws.reports / file.REFUSED, told)
