"""Step: look at what was kept, for what a person must hear before anything is learnt from it."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from cll.types.errors import DataRefused
from cll.types.records import Counts
from cll.types.tables import Columns

REASONS = 5  # of the quarantine, that are told
LACKS = "lacks "  # how the reason begins where a file has not the columns that are mapped


@dataclass(frozen=True)
class Evidence:
    """What is known of the kept records without reading them again."""

    days: Mapping[str, Mapping[str, Any]]  # the profile of each
    incidents: pl.DataFrame
    entities: AbstractSet[str]  # those of the incidents that have signals, on the newest days
    since: datetime | None  # the first of the newest days
    quarantine: pl.DataFrame
    counts: Counts


def refuse(found: Evidence, columns: Columns) -> None:
    """Raise DataRefused where nothing could be learnt, or a mapping can't be what was meant."""
    if not found.days:
        raise DataRefused(_nothing_kept(found))
    lacking = found.quarantine.filter(
        pl.col("row").is_null() & pl.col("reason").str.starts_with(LACKS)
    )
    if lacking.height:
        file, reason = lacking.select("file", "reason").row(0)
        raise DataRefused(f"{file}: {reason.rstrip('.')}.")
    rows = sum(day["rows"] for day in found.days.values())
    for name in columns.numeric:
        if all(day["columns"][name]["nulls"] == day["rows"] for day in found.days.values()):
            raise DataRefused(
                f"Column {name} has no value in any of {rows:,} signals; mend its mapping, "
                "or set it to null there."
            )
    strangers, recent = _strangers(found)
    if recent and strangers.height == recent:
        raise DataRefused(
            f"None of the {recent:,} newest incidents is of an entity that has signals then: they "
            f"name {strangers['entity'][0]!r}; mend the mapping."
        )


def _nothing_kept(found: Evidence) -> str:
    counts = found.counts
    why = next((f"{told}." for told in _reasons(found.quarantine)), "")
    if counts.pending and not why:
        why = f"{counts.pending:,} are pending: not known by as_of; move it in world.yaml."
    why = why or "is as_of, in world.yaml, before the data's first day?"
    return f"Of {counts.records_in:,} records no signal was kept: {why.rstrip('.')}."


def remarks(found: Evidence) -> Iterator[str]:
    """Yield what is worth a line: why records were quarantined, incidents of unknown entities."""
    yield from _reasons(found.quarantine)
    strangers, recent = _strangers(found)
    if strangers.height:
        yield (
            f"{strangers.height:,} of the {recent:,} newest incidents are of entities without "
            f"signals then, such as {strangers['entity'][0]!r}"
        )


def _strangers(found: Evidence) -> tuple[pl.DataFrame, int]:
    """Return the newest incidents of entities without signals, and how many the newest are."""
    newest = found.incidents.filter(pl.col("start") >= found.since)
    known = pl.col("entity").is_in(list(found.entities))
    return newest.filter(~known).sort("entity"), newest.height


def _reasons(quarantine: pl.DataFrame) -> Iterator[str]:
    """Tell the commonest reasons, each with the first place it was found at."""
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
