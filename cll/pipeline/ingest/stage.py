"""Ingest stage: read a source, write its records as sealed partitions, and log the arrivals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import polars as pl

from cll.config import components, project
from cll.config.fingerprint import code, libraries
from cll.config.project import Tree
from cll.pipeline.ingest import arrival_log, checks, totals
from cll.pipeline.ingest import days as ingest_days
from cll.pipeline.ingest.pieces import read_all
from cll.pipeline.ingest.schema import enforce
from cll.pipeline.ingest.schema.file import source_name as schema_name
from cll.pipeline.ingest.schema.rules import Enforcement
from cll.pipeline.ingest.segments import Facts, Segments
from cll.system import disk, manifest, progress
from cll.system.partitions import SHARED, Renewal
from cll.system.stat_cache import open_stat_cache
from cll.system.workspace import Workspace
from cll.types.components import Source
from cll.types.records import RECORDS, Arrived, Counts
from cll.types.times import format_instant

_RECENT = 31  # days with signals that incidents are compared with


def ingest(ws: Workspace, tree: Tree, world: project.World) -> None:
    """Write the signals that the source knew at `as_of`, one partition a day.

    A day whose inputs did not change since the last ingest is reused.
    """
    source = source_of(tree)
    source_files = arrival_log.inspect(ws, source, world.as_of)
    _note_missing_log(ws, source_files.files)
    _note_skipped(source)
    _note_pending(source_files.files)
    settings: Enforcement = components.build("ingest", tree["ingest"])
    inputs = key(tree, world, source_files.files)
    common = {name: inputs[name] for name in SHARED}
    folders = [ws.signals, *ws.seeds("signals")]
    segments = Segments(ws.cache / "segments", common, source.columns, folders)
    with Renewal(ws.signals, inputs, open_stat_cache(ws), ws.seeds("signals")) as renewal:
        earlier = renewal.reusable_facts("pieces")
        read = read_all(partial(source, world.as_of), source_files.files, segments, earlier)
        fresh = [facts for name, facts in read.items() if name not in earlier]
        shared = (renewal, segments, source.columns, world.as_of, settings.bucket_rows)
        _build_days(ingest_days.DayInputs(*shared), read)
        totals.refuse_too_many(read)
        whole = totals.gather(renewal, segments, read, world.as_of)
        _refuse(renewal, source, whole)
        fell_back = source != components.build("source", tree["source"])
        section = schema_name(tree, fell_back=fell_back)
        result = _result(section, source, renewal, whole, fresh)
        enforce.enforce(ws, tree, settings, result)
        source_files.refuse_changed()
        arrival_log.write(ws.results / arrival_log.LOG, source_files.log)
        facts: dict[str, Any] = {"columns": asdict(source.columns), "pieces": read}
        facts |= {"bucket_rows": settings.bucket_rows}
        facts |= {"fallback": tree["source"]["fallback"]} if fell_back else {}
        _publish(ws, renewal, whole, facts)


def _build_days(inputs: ingest_days.DayInputs, read: Mapping[str, Facts]) -> None:
    days = _days(read)
    for _ in progress.track(ingest_days.renew(inputs, days), "ingest: days", len(days)):
        pass


def _result(
    section: str,
    source: Source,
    renewal: Renewal,
    whole: totals.Totals,
    fresh: Sequence[Facts],
) -> enforce.IngestResult:
    """Return the data to check against the schema; `fresh` are the pieces read in this ingest."""
    return enforce.IngestResult(
        section,
        _profiles(renewal),
        [date for dates in renewal.made.values() for date in dates],
        source.columns,
        whole.incidents,
        _sum_of(fresh),
        totals.first_reject(whole.quarantine, {facts["file"] for facts in fresh}),
    )


def _profiles(renewal: Renewal) -> dict[str, Any]:
    """Return the profile of each day that has rows."""
    return {date: day["profile"] for date, day in renewal.partitions.items() if day["rows"]}


def key(tree: Tree, world: project.World, files: Sequence[Arrived]) -> dict[str, Any]:
    """Return everything that the signals are computed from: code, config, libraries and files."""
    return {
        "code": code("ingest", tree),
        "config": {
            "source": tree["source"],
            "fallback": tree["fallback"],
            "bucket_rows": tree["ingest"]["bucket_rows"],
        },
        "libraries": libraries(),
        "inputs": {
            "as_of": format_instant(world.as_of),
            "files": {file.file: _file_key(file) for file in files},
        },
    }


def _file_key(file: Arrived) -> list[Any]:
    arrivals_of = sorted({format_instant(part.as_of) for part in file.parts})
    return [file.sha256, arrivals_of, *(["pending"] if file.torn else [])]


def source_of(tree: Tree) -> Source:
    """Build the source.

    If its folder is missing and a fallback is configured, build the fallback.
    """
    source: Source = components.build("source", tree["source"])
    missing = getattr(source, "missing", None)
    if missing and tree["fallback"]:
        progress.note(f"ingest: {missing} Simulating, since source.fallback says so.")
        return components.build("source", tree["fallback"])  # type: ignore[no-any-return]
    return source


def _note_missing_log(ws: Workspace, files: Sequence[Arrived]) -> None:
    is_missing = not arrival_log.is_kept(ws)
    if files and is_missing and (ws.signals / manifest.MANIFEST).is_file():
        progress.note(f"ingest: {arrival_log.LOG}: missing, so all files count as just arrived.")


def _note_skipped(source: Source) -> None:
    for line in getattr(source, "skipped", ()):
        progress.note(f"ingest: skipped {line}")
    mapped = getattr(source, "maps_known_at", False)
    if getattr(source, "backfill", None) == "on_time" and not mapped:
        progress.note("ingest: rows without known_at count as known in time (backfill: on_time).")


def _note_pending(files: Sequence[Arrived]) -> None:
    """Print which file has a last line without a newline, since that line is not read yet."""
    waiting = [file.file for file in files if file.torn]
    if not waiting:
        return
    others = f" (and of {len(waiting) - 1:,} more files)" if len(waiting) > 1 else ""
    progress.note(
        f"ingest: {waiting[0]}: its last line{others} has no newline: pending until it has, or until "
        "a later as_of sees the same line; source.last_line=read takes it at once."
    )


def _days(read: Mapping[str, Facts]) -> dict[str, dict[str, Facts]]:
    """Return, by day and piece, the facts about the piece's rows of that day."""
    days: dict[str, dict[str, Facts]] = {}
    for name, facts in read.items():
        for date, of_day in facts["days"].items():
            days.setdefault(date, {})[name] = of_day
    return dict(sorted(days.items()))


def _sum_of(fresh: Sequence[Facts]) -> Counts:
    return Counts(
        records_in=sum(facts["records"] for facts in fresh),
        quarantined=sum(facts["quarantined"] for facts in fresh),
    )


def _refuse(renewal: Renewal, source: Source, whole: totals.Totals) -> None:
    """Raise DataRefused if the data can't be trained on; print warnings."""
    days = _profiles(renewal)
    newest = sorted(days)[-_RECENT:]
    summary = checks.KeptSummary(
        days,
        whole.incidents,
        _entities(renewal, whole.incidents, newest),
        manifest.midnight(newest[0]) if newest else None,
        whole.quarantine,
        whole.counts,
    )
    checks.refuse(summary, source.columns)
    for line in checks.remarks(summary):
        progress.note(f"ingest: {line}")


def _publish(
    ws: Workspace, renewal: Renewal, whole: totals.Totals, facts: Mapping[str, Any]
) -> None:
    """Publish the new folder after all checks passed, and report the record counts."""
    counts = totals.named_counts(whole.counts)
    renewal.stage("incidents.parquet", whole.incidents)
    renewal.stage(manifest.QUARANTINE, whole.quarantine)
    for line in renewal.describe("ingest"):
        progress.note(line)
    renewal.publish({**facts, "counts": counts})
    disk.write_json(ws.reports / "ingest.json", counts)
    progress.note(f"ingest: {RECORDS.format(**counts)}")


def _entities(renewal: Renewal, incidents: pl.DataFrame, dates: Sequence[str]) -> set[str]:
    """Return the incidents' entities that have signals on these days.

    The newest day is read first, since it usually has all of them.
    """
    wanted, present = set(incidents["entity"].unique()), set[str]()
    for date in reversed(dates):
        if not wanted - present:
            break
        present |= set(renewal.entities(date))
    return present
