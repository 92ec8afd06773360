"""Step: look at what was kept, for what a person must hear before anything is learnt from it."""

from collections.abc import Iterator

import polars as pl

from cll.errors import DataRefused
from cll.values import Columns, Counts

REASONS = 5  # of the quarantine, that are told


def refuse(
    signals: pl.DataFrame,
    incidents: pl.DataFrame,
    quarantine: pl.DataFrame,
    columns: Columns,
    counts: Counts,
) -> None:
    """Raise DataRefused where nothing could be learnt, or a mapping can't be what was meant."""
    if signals.is_empty():
        why = next((f"{told}." for told in _reasons(quarantine)), "")
        if counts.pending and not why:
            why = f"{counts.pending:,} are pending: not known by as_of; move it in world.yaml."
        why = why or "is as_of, in world.yaml, before the data's first day?"
        raise DataRefused(
            f"Of {counts.records_in:,} records no signal was kept: {why.rstrip('.')}."
        )
    for name in columns.numeric:
        if signals[name].null_count() == signals.height:
            raise DataRefused(
                f"Column {name} has no value in any of {signals.height:,} signals; mend its mapping, "
                "or set it to null there."
            )
    strangers = _strangers(signals, incidents)
    if incidents.height and strangers.height == incidents.height:
        raise DataRefused(
            f"None of the {incidents.height:,} incidents is of an entity that has signals: they name "
            f"{strangers['entity'][0]!r}, the signals {signals['entity'][0]!r}; mend the mapping."
        )


def remarks(
    signals: pl.DataFrame, incidents: pl.DataFrame, quarantine: pl.DataFrame
) -> Iterator[str]:
    """Yield what is worth a line: why records were quarantined, incidents of unknown entities."""
    yield from _reasons(quarantine)
    strangers = _strangers(signals, incidents)
    if strangers.height:
        yield (
            f"{strangers.height:,} of {incidents.height:,} incidents are of entities without signals, "
            f"such as {strangers['entity'][0]!r}"
        )


def _strangers(signals: pl.DataFrame, incidents: pl.DataFrame) -> pl.DataFrame:
    return incidents.join(signals.select("entity").unique(), on="entity", how="anti").sort("entity")


def _reasons(quarantine: pl.DataFrame) -> Iterator[str]:
    """Tell the commonest reasons, each with the first place it was found at."""
    counted = (
        quarantine.group_by("reason", maintain_order=True)
        .agg(pl.len().alias("count"), pl.first("file", "row", "field"))
        .sort("count", "reason", descending=[True, False])
    )
    for reason, count, file, row, field in counted.head(REASONS).rows():
        place = file if row is None else f"{file}:{row}"
        what = f"{field}: {reason}" if field else reason
        yield f"{count:,} quarantined, the first at {place}: {what}".rstrip(".")
