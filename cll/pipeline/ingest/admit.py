"""Step: admit what a source hands over, settle what stands twice, and account for every record.

Always: records in = kept + quarantined + duplicate + pending. What is kept is the same set in
whatever order the records come.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import polars as pl

from cll.pipeline.ingest.deduplicate import Settled, merge, rejects, settle, settle_incidents
from cll.types.records import Chunk, Counts
from cll.types.tables import (
    INCIDENTS,
    OUTCOME,
    OUTCOME_KNOWN_AT,
    REJECTS,
    SIGNAL_KEYS,
    Columns,
    is_finite,
    span,
)

Checks = Sequence[tuple[str, pl.Expr, str]]  # field, what is wrong, reason


@dataclass(frozen=True)
class Admitted:
    """One chunk's records: rows + quarantine, besides what is still being written."""

    rows: pl.DataFrame
    quarantine: pl.DataFrame  # REJECTS: the source's own, and what is found here


def admit(chunk: Chunk, columns: Columns) -> Admitted:
    """Check the rows of any source.

    A row, and its outcome, count as known no earlier than it happened, so one from the future has to
    wait. NaN is a missing value.
    """
    if chunk.table == "signals":
        clean = [_unsigned(_told(chunk.rows[name])) for name in columns.numeric]
        clean += [_unsigned(chunk.rows[OUTCOME])] if columns.outcome else []
        rows = chunk.rows.with_columns(clean)
        happened, checks = "time", _signal_checks(rows, columns)
    else:
        happened, checks, rows = "start", _INCIDENT_CHECKS, chunk.rows
    sound, quarantine = _sift(chunk.table, rows, checks)
    told = [name for name in ("known_at", OUTCOME_KNOWN_AT) if name in sound.columns]
    early = [name for name in told if (sound[name] < sound[happened]).any()]
    later = [
        pl.when(pl.col(n) < pl.col(happened)).then(happened).otherwise(n).alias(n) for n in early
    ]
    rows = sound.with_columns(later) if later else sound
    rejects = chunk.rejects[list(REJECTS)]
    return Admitted(rows, pl.concat([rejects, quarantine]) if quarantine.height else rejects)


def by_day(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield each day (UTC, as YYYY-MM-DD) with its signals, the earliest first, in their order."""
    if rows.is_empty():
        return
    first, last = span(rows["time"])
    if first.date() == last.date():
        yield str(first.date()), rows
        return
    if rows["time"].is_sorted():  # as it mostly comes: then days are cut without a copy
        at = 0
        for date, height in (
            rows["time"].dt.date().rle().struct.unnest().select("value", "len").rows()
        ):
            yield str(date), rows.slice(at, height)
            at += height
        return
    dated = rows.with_columns(date=pl.col("time").dt.date())
    parts = dated.partition_by("date", as_dict=True, include_key=False)
    for key in sorted(parts):
        yield str(key[0]), parts[key]


def _told(values: pl.Series) -> pl.Series:
    return values if is_finite(values) else values.fill_nan(None)


def _unsigned(values: pl.Series) -> pl.Series:
    """Return numbers with 0 instead of -0, so that equal values are equal bytes."""
    zero = values == 0
    return values.set(zero.fill_null(value=False), 0.0) if zero.any() else values


def _signal_checks(rows: pl.DataFrame, columns: Columns) -> Checks:
    checks = [*_missing("entity", "time", "known_at")]
    odd = [n for n in columns.numeric if not is_finite(rows[n])]
    checks += [(n, pl.col(n).is_infinite(), "infinite") for n in odd]
    if columns.outcome:
        told = pl.col(OUTCOME).is_not_null()
        checks += [
            (OUTCOME, told & ~pl.col(OUTCOME).is_in([0.0, 1.0]), "an outcome is 0 or 1"),
            (OUTCOME_KNOWN_AT, told & pl.col(OUTCOME_KNOWN_AT).is_null(), "missing"),
        ]
    return checks


def _missing(*names: str) -> Checks:
    nameless = pl.col("entity").is_null() | (pl.col("entity") == "")
    return [(n, nameless if n == "entity" else pl.col(n).is_null(), "missing") for n in names]


_INCIDENT_CHECKS: Checks = [
    *_missing("entity", "start", "known_at"),
    ("end", pl.col("end") < pl.col("start"), "ends before it starts"),
]


def _sift(table: str, rows: pl.DataFrame, checks: Checks) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part the sound rows from the others, which are told by the first check that they fail."""
    found = rows.select(mask.any().alias(str(i)) for i, (_, mask, _) in enumerate(checks))
    if not any(found.row(0)):
        return rows, pl.DataFrame(schema=REJECTS)
    failed = [pl.when(mask).then(pl.lit(i, pl.Int32)) for i, (_, mask, _) in enumerate(checks)]
    first = rows.select(pl.coalesce(failed)).to_series()
    refused = [
        rejects(table, rows.filter(first == i), name, pl.lit(reason))
        for i, (name, _, reason) in enumerate(checks)
    ]
    return rows.filter(first.is_null()), pl.concat(refused)


class Intake:
    """Collects a source's chunks in memory; all have to be taken before anything is asked for."""

    def __init__(self, columns: Columns, as_of: datetime) -> None:
        self._columns = columns
        self._as_of = as_of
        self._admitted: dict[str, list[Admitted]] = {"signals": [], "incidents": []}
        self._records_in = 0
        self._torn = 0

    def take(self, chunk: Chunk) -> None:
        self._records_in += chunk.records
        self._torn += chunk.pending
        self._admitted[chunk.table].append(admit(chunk, self._columns))

    def days(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield each day (UTC, as YYYY-MM-DD) with its signals, the earliest first."""
        yield from by_day(self._signals.kept)

    def incidents(self) -> pl.DataFrame:
        return merge(self._incidents.kept)

    def quarantine(self) -> pl.DataFrame:
        found = [one.quarantine for table in self._admitted.values() for one in table]
        return quarantined([*found, self._signals.quarantine, self._incidents.quarantine])

    def counts(self) -> Counts:
        parts = (self._signals, self._incidents)
        return Counts(
            records_in=self._records_in,
            kept=sum(part.kept.height for part in parts),
            quarantined=self.quarantine().height,
            duplicate=sum(part.duplicate for part in parts),
            pending=self._torn + sum(part.pending for part in parts),
        )

    @cached_property
    def _signals(self) -> Settled:
        rows = [one.rows for one in self._admitted["signals"]]
        if not rows:
            return _nothing(SIGNAL_KEYS)
        return settle(pl.concat(rows), self._columns, self._as_of)

    @cached_property
    def _incidents(self) -> Settled:
        rows = [one.rows for one in self._admitted["incidents"]]
        return settle_incidents(pl.concat(rows), self._as_of) if rows else _nothing(INCIDENTS)


def quarantined(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Put what was found in one frame of REJECTS, in an order of its own."""
    nothing = pl.DataFrame(schema=REJECTS)
    return pl.concat([nothing, *found]).sort(list(REJECTS), nulls_last=True)


def _nothing(schema: Mapping[str, Any]) -> Settled:
    return Settled(pl.DataFrame(schema=dict(schema)), pl.DataFrame(schema=REJECTS), 0)
