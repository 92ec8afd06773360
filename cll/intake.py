"""The ingest stage: from what a source reads to sealed partitions, and the log of arrivals."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from cll import config, progress, store
from cll.roles import Source
from cll.values import RECORDS, Arrival, format_instant
from cll.workspace import ARRIVALS, Tree, Workspace, arrivals, key


def ingest(ws: Workspace, tree: Tree, world: config.World) -> None:
    """Take what the source knew at `as_of`, cut it into days, and account for each record."""
    from cll import findings  # noqa: PLC0415  what this stage alone uses
    from cll import ingest as step  # noqa: PLC0415  what this stage alone uses

    source = source_of(tree)
    seen = _arrive(ws, source.reads, world.as_of)
    for line in getattr(source, "skipped", ()):
        progress.note(f"ingest: skipped {line}")
    if getattr(source, "backfill", None) == "on_time":
        progress.note("ingest: rows without known_at count as known in time (backfill: on_time).")
    intake = step.Intake(source.columns, world.as_of)
    for chunk in progress.track(source(world.as_of, seen), "ingest"):
        intake.take(chunk)
    folder = store.fresh(ws.signals)
    for day, rows in intake.days():
        store.write_frame(store.partition(folder, day), rows)
    found = intake.signals(), intake.incidents(), intake.quarantine()
    store.write_frame(folder / "incidents.parquet", found[1])
    store.write_frame(folder / "quarantine.parquet", found[2])
    findings.refuse(*found, source.columns, intake.counts())
    for line in findings.remarks(*found):
        progress.note(f"ingest: {line}")
    counts = _counted(intake.counts())
    facts = {"columns": asdict(source.columns), "counts": counts}
    if source != config.build("source", tree["source"]):
        facts["fallback"] = tree["source"]["fallback"]
    made_of = {entry.file: entry.sha256 for entry in seen}
    known = {"as_of": format_instant(world.as_of), "source": tree["source"], "files": made_of}
    store.seal(folder, key(ws, "ingest", **known), facts)
    store.write_json(ws.reports / "ingest.json", counts)
    progress.note(f"ingest: {RECORDS.format(**counts)}")


def source_of(tree: Tree) -> Source:
    """Build the source; where its folder is missing, the fallback if one was chosen."""
    source: Source = config.build("source", tree["source"])
    missing = getattr(source, "missing", None)
    if missing and tree["fallback"]:
        progress.note(f"ingest: {missing} Simulating, since source.fallback says so.")
        return config.build("source", tree["fallback"])  # type: ignore[no-any-return]
    return source


def _counted(counts: Any) -> dict[str, int]:
    fields = asdict(counts)
    return {"in": fields.pop("records_in"), **fields}


def _arrive(ws: Workspace, reads: tuple[Path, ...], as_of: datetime) -> list[Arrival]:
    """Note at which `as_of` each file's content was first seen; the log lies in git."""
    now = arrivals(ws, progress.track(reads, "hash"), as_of)
    log = store.read_arrivals(ws.root / ARRIVALS)
    all_seen = {(entry.file, entry.sha256): entry for entry in [*log, *now]}
    store.write_arrivals(ws.results / ARRIVALS, all_seen.values())
    return now
