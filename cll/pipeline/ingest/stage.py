"""The ingest stage: from what a source reads to sealed partitions, and the log of arrivals."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any

import polars as pl

from cll.config import components, project
from cll.config.fingerprint import code, libraries
from cll.config.project import Tree
from cll.pipeline.ingest import admit as step
from cll.pipeline.ingest import arrival_log, checks, deduplicate
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
from cll.types.errors import DataRefused
from cll.types.records import RECORDS, Arrived, Counts
from cll.types.times import format_instant

_LISTED = 3_000_000  # records in quarantine
_RECENT = 31  # days with signals that incidents are compared with


@dataclass(frozen=True)
class Settled:
    """What the folder holds besides its partitions."""

    incidents: pl.DataFrame
    quarantine: pl.DataFrame
    counts: Counts


def ingest(ws: Workspace, tree: Tree, world: project.World) -> None:
    """Take what the source knew at `as_of`, day by day; a day that stands is not made again."""
    source = source_of(tree)
    seen = arrival_log.see(ws, source, world.as_of)
    if seen.files and (ws.signals / manifest.MANIFEST).is_file() and not arrival_log.is_kept(ws):
        progress.note(f"ingest: {arrival_log.LOG}: not there, so all files count as seen just now.")
    _say_how_it_reads(source)
    _say_what_waits(seen.files)
    settings: Enforcement = components.build("ingest", tree["ingest"])
    made_of = key(tree, world, seen.files)
    common = {name: made_of[name] for name in SHARED}
    folders = [ws.signals, *ws.seeds("signals")]
    segments = Segments(ws.cache / "segments", common, source.columns, folders)
    with Renewal(ws.signals, made_of, open_stat_cache(ws), ws.seeds("signals")) as renewal:
        known = renewal.reusable_facts("pieces")
        read = read_all(partial(source, world.as_of), seen.files, segments, known)
        making = ingest_days.Making(
            renewal,
            segments,
            source.columns,
            world.as_of,
            settings.bucket_rows,
        )
        days_read = _days(read)
        for _ in progress.track(
            ingest_days.renew(making, days_read), "ingest: days", len(days_read)
        ):
            pass
        _refuse_too_many(read)
        settled = _settle(renewal, segments, read, world.as_of)
        fell_back = source != components.build("source", tree["source"])
        days = {date: one["profile"] for date, one in renewal.partitions.items() if one["rows"]}
        _refuse(renewal, source, days, settled)
        fresh = [facts for name, facts in read.items() if name not in known]
        name = schema_name(tree, fell_back=fell_back)
        made = [date for dates in renewal.made.values() for date in dates]
        newly = _read_newly(fresh)
        first = _first(settled.quarantine, {facts["file"] for facts in fresh})
        evidence = enforce.Found(name, days, made, source.columns, settled.incidents, newly, first)
        enforce.enforce(ws, tree, settings, evidence)
        more: dict[str, Any] = {"bucket_rows": settings.bucket_rows}
        more |= {"fallback": tree["source"]["fallback"]} if fell_back else {}
        seen.refuse_changed()
        arrival_log.write(ws.results / arrival_log.LOG, seen.log)
        _publish(ws, source, renewal, read, settled, more)


def key(tree: Tree, world: project.World, files: Sequence[Arrived]) -> dict[str, Any]:
    """Return what the signals follow from, for the key of their partitions."""
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
            "files": {one.file: _made_of(one) for one in files},
        },
    }


def _made_of(file: Arrived) -> list[Any]:
    arrivals_of = sorted({format_instant(part.as_of) for part in file.parts})
    return [file.sha256, arrivals_of, *(["pending"] if file.torn else [])]


def source_of(tree: Tree) -> Source:
    """Build the source; where its folder is missing, the fallback if one was chosen."""
    source: Source = components.build("source", tree["source"])
    missing = getattr(source, "missing", None)
    if missing and tree["fallback"]:
        progress.note(f"ingest: {missing} Simulating, since source.fallback says so.")
        return components.build("source", tree["fallback"])  # type: ignore[no-any-return]
    return source


def _say_how_it_reads(source: Source) -> None:
    for line in getattr(source, "skipped", ()):
        progress.note(f"ingest: skipped {line}")
    mapped = getattr(source, "maps_known_at", False)
    if getattr(source, "backfill", None) == "on_time" and not mapped:
        progress.note("ingest: rows without known_at count as known in time (backfill: on_time).")


def _say_what_waits(files: Sequence[Arrived]) -> None:
    """Name a file whose last line has no newline, since a person may wonder where it is."""
    waiting = [one.file for one in files if one.torn]
    if not waiting:
        return
    others = f" (and of {len(waiting) - 1:,} more files)" if len(waiting) > 1 else ""
    progress.note(
        f"ingest: {waiting[0]}: its last line{others} has no newline: pending until it has, or until "
        "a later as_of sees the same line; source.last_line=read takes it at once."
    )


def _days(read: Mapping[str, Facts]) -> dict[str, dict[str, Facts]]:
    """Return each day with the pieces that have rows of it, and what these say of it."""
    days: dict[str, dict[str, Facts]] = {}
    for name, facts in read.items():
        for date, of_day in facts["days"].items():
            days.setdefault(date, {})[name] = of_day
    return dict(sorted(days.items()))


def _refuse_too_many(read: Mapping[str, Facts]) -> None:
    """Raise DataRefused where what is quarantined can't be held at once."""
    total = sum(facts["quarantined"] for facts in read.values())
    if total > _LISTED:
        files: dict[str, int] = {}
        for facts in read.values():
            files[facts["file"]] = files.get(facts["file"], 0) + facts["quarantined"]
        worst = max(files, key=lambda file: files[file])
        raise DataRefused(
            f"{total:,} records can't be read, more than the {_LISTED:,} that are listed; most are in "
            f"{worst}: mend it, or lower source.limits.bad_records, so that it is refused as a whole."
        )


def _settle(
    renewal: Renewal, segments: Segments, read: Mapping[str, Facts], as_of: datetime
) -> Settled:
    """Settle incidents, gather what was quarantined, and account for every record."""
    told = [name for name, facts in read.items() if facts["table"] == "incidents"]
    none = pl.DataFrame(schema=deduplicate.INCIDENT_ROWS)
    frames = [none, *(segments.incidents(name) for name in told)]
    found = deduplicate.settle_incidents(pl.concat(frames), as_of)
    rejects = [segments.rejects(name) for name, facts in read.items() if facts["quarantined"]]
    days = renewal.partitions
    rejects += [renewal.read(manifest.rejected(d)) for d in days if days[d]["quarantined"]]
    counts = Counts(
        records_in=sum(facts["records"] for facts in read.values()),
        kept=found.kept.height + sum(one["rows"] for one in days.values()),
        quarantined=found.quarantine.height + sum(frame.height for frame in rejects),
        duplicate=found.duplicate + sum(one["duplicate"] for one in days.values()),
        pending=found.pending
        + sum(one["pending"] for one in days.values())
        + sum(facts["pending"] for facts in read.values()),
    )
    return Settled(
        deduplicate.merge(found.kept), step.quarantined([*rejects, found.quarantine]), counts
    )


def _read_newly(fresh: Sequence[Facts]) -> Counts:
    return Counts(
        records_in=sum(facts["records"] for facts in fresh),
        quarantined=sum(facts["quarantined"] for facts in fresh),
    )


def _first(quarantine: pl.DataFrame, files: Collection[str]) -> str:
    """Say where the first of these files' bad records stands, and what is wrong with it."""
    of_files = quarantine.filter(pl.col("file").is_in(list(files)))
    if of_files.is_empty():
        return ""
    one = of_files.row(0, named=True)
    where = ":".join(str(one[part]) for part in ("file", "row", "field") if one[part] is not None)
    return f"{where}: {one['reason']}".rstrip(".")


def _refuse(renewal: Renewal, source: Source, days: Mapping[str, Any], settled: Settled) -> None:
    """Refuse what can't be learnt from, and tell what is worth a line."""
    newest = sorted(days)[-_RECENT:]
    evidence = checks.Evidence(
        days,
        settled.incidents,
        _entities(renewal, settled.incidents, newest),
        manifest.midnight(newest[0]) if newest else None,
        settled.quarantine,
        settled.counts,
    )
    checks.refuse(evidence, source.columns)
    for line in checks.remarks(evidence):
        progress.note(f"ingest: {line}")


def _publish(
    ws: Workspace,
    source: Source,
    renewal: Renewal,
    read: Mapping[str, Facts],
    settled: Settled,
    more: Mapping[str, Any],
) -> None:
    """Renew the folder, now that nothing speaks against it, and say what became of the records."""
    counts = _counted(settled.counts)
    renewal.stage("incidents.parquet", settled.incidents)
    renewal.stage(manifest.QUARANTINE, settled.quarantine)
    for line in renewal.describe("ingest"):
        progress.note(line)
    facts = {"columns": asdict(source.columns), "counts": counts, "pieces": read, **more}
    renewal.publish(facts)
    disk.write_json(ws.reports / "ingest.json", counts)
    progress.note(f"ingest: {RECORDS.format(**counts)}")


def _entities(renewal: Renewal, incidents: pl.DataFrame, dates: Sequence[str]) -> set[str]:
    """Return the incidents' entities that have signals on these days; the newest tell the most."""
    wanted, found = set(incidents["entity"].unique()), set[str]()
    for date in reversed(dates):
        if not wanted - found:
            break
        found |= set(renewal.entities(date))
    return found


def _counted(counts: Counts) -> dict[str, int]:
    fields = asdict(counts)
    return {"in": fields.pop("records_in"), **fields}
