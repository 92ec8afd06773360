"""Step: check the kept records as a whole, and refuse data that no model could be trained on."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from cll.types.errors import DataRefused
from cll.types.records import Counts
from cll.types.tables import Columns

REASONS = 5  # most frequent quarantine reasons that are printed
LACKS = "lacks "  # first word of the reason when a file lacks a mapped column


@dataclass(frozen=True)
class KeptSummary:
    """A summary of the kept records, so that they need not be read again."""

    days: Mapping[str, Mapping[str, Any]]  # profile by date
    incidents: pl.DataFrame
    entities: AbstractSet[str]  # entities of incidents that have signals on the newest days
    since: datetime | None  # the first of the newest days
    quarantine: pl.DataFrame
    counts: Counts


def refuse(summary: KeptSummary, columns: Columns) -> None:
    """Raise DataRefused if nothing can be trained on, or a column mapping is plainly wrong."""
    if not summary.days:
        raise DataRefused(_nothing_kept(summary))
    lacking = summary.quarantine.filter(
        pl.col("row").is_null() & pl.col("reason").str.starts_with(LACKS)
    )
    if lacking.height:
        file, reason = lacking.select("file", "reason").row(0)
        raise DataRefused(f"{file}: {reason.rstrip('.')}.")
    rows = sum(day["rows"] for day in summary.days.values())
    for name in columns.numeric:
        if all(day["columns"][name]["nulls"] == day["rows"] for day in summary.days.values()):
            raise DataRefused(
                f"Column {name} has no value in any of {rows:,} signals; mend its mapping, "
                "or set it to null there."
            )
    strangers, recent = _strangers(summary)
    if recent and strangers.height == recent:
        raise DataRefused(
            f"None of the {recent:,} newest incidents is of an entity that has signals then: they "
            f"name {strangers['entity'][0]!r}; mend the mapping."
        )


def _nothing_kept(summary: KeptSummary) -> str:
    counts = summary.counts
    why = next((f"{reason}." for reason in _reasons(summary.quarantine)), "")
    if counts.pending and not why:
        why = f"{counts.pending:,} are pending: not known by as_of; move it in world.yaml."
    why = why or "is as_of, in world.yaml, before the data's first day?"
    return f"Of {counts.records_in:,} records no signal was kept: {why.rstrip('.')}."


def remarks(summary: KeptSummary) -> Iterator[str]:
    """Yield a message per frequent quarantine reason, and one about incidents without signals."""
    yield from _reasons(summary.quarantine)
    strangers, recent = _strangers(summary)
    if strangers.height:
        yield (
            f"{strangers.height:,} of the {recent:,} newest incidents are of entities without "
            f"signals then, such as {strangers['entity'][0]!r}"
        )


def _strangers(summary: KeptSummary) -> tuple[pl.DataFrame, int]:
    """Return the newest incidents of entities without signals, and the number of newest ones."""
    newest = summary.incidents.filter(pl.col("start") >= summary.since)
    has_signals = pl.col("entity").is_in(list(summary.entities))
    return newest.filter(~has_signals).sort("entity"), newest.height


def _reasons(quarantine: pl.DataFrame) -> Iterator[str]:
    """Yield the most frequent reasons, each with its count and its first place."""
    counted = (
        quarantine.group_by("reason", maintain_order=True)
        .agg(pl.len().alias("count"), pl.first("file", "row", "field"))
        .sort("count", "reason", descending=[True, False])
    )
    rest = counted.height - REASONS
    for reason, count, file, row, field in counted.head(REASONS).rows():
        place = file if row is None else f"{file}:{row}"
        what = f"{field}: {reason}" if field else reason
        yield f"{count:,} quarantined, the first at {place}: {what}".rstrip(".")
    if rest > 0:
        yield f"and for {rest} more reason{'s' * (rest > 1)}: `cll quarantine`"
