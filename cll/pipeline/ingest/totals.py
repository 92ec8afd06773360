"""Incidents, quarantine and record counts of a source, collected from its pieces and its days."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

import polars as pl

from cll.pipeline.ingest import admit, deduplicate
from cll.pipeline.ingest.segments import Facts, Segments
from cll.system import manifest
from cll.system.partitions import Renewal
from cll.types.errors import DataRefused
from cll.types.records import Counts

_LISTED = 3_000_000  # most records in quarantine


@dataclass(frozen=True)
class Totals:
    """The tables and counts of the folder that are not split by day."""

    incidents: pl.DataFrame
    quarantine: pl.DataFrame
    counts: Counts


def gather(
    renewal: Renewal, segments: Segments, read: Mapping[str, Facts], as_of: datetime
) -> Totals:
    """Deduplicate the incidents, collect the quarantine, and count all records."""
    names = [name for name, facts in read.items() if facts["table"] == "incidents"]
    none = pl.DataFrame(schema=deduplicate.INCIDENT_ROWS)
    frames = [none, *(segments.incidents(name) for name in names)]
    incidents = deduplicate.settle_incidents(pl.concat(frames), as_of)
    rejects = [segments.rejects(name) for name, facts in read.items() if facts["quarantined"]]
    days = renewal.partitions
    rejects += [renewal.read(manifest.rejected(d)) for d in days if days[d]["quarantined"]]
    counts = Counts(
        records_in=sum(facts["records"] for facts in read.values()),
        kept=incidents.kept.height + sum(facts["rows"] for facts in days.values()),
        quarantined=incidents.quarantine.height + sum(frame.height for frame in rejects),
        duplicate=incidents.duplicate + sum(facts["duplicate"] for facts in days.values()),
        pending=incidents.pending
        + sum(facts["pending"] for facts in days.values())
        + sum(facts["pending"] for facts in read.values()),
    )
    return Totals(
        deduplicate.merge(incidents.kept),
        admit.quarantined([*rejects, incidents.quarantine]),
        counts,
    )


def refuse_too_many(read: Mapping[str, Facts]) -> None:
    """Raise DataRefused if more records are quarantined than memory should hold."""
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


def first_reject(quarantine: pl.DataFrame, files: Collection[str]) -> str:
    """Return the place of the first bad record in these files, and the reason; "" if none."""
    of_files = quarantine.filter(pl.col("file").is_in(list(files)))
    if of_files.is_empty():
        return ""
    first = of_files.row(0, named=True)
    place = ":".join(
        str(first[part]) for part in ("file", "row", "field") if first[part] is not None
    )
    return f"{place}: {first['reason']}".rstrip(".")


def named_counts(counts: Counts) -> dict[str, int]:
    """Return the counts by the names that messages and reports use."""
    fields = asdict(counts)
    return {"in": fields.pop("records_in"), **fields}
