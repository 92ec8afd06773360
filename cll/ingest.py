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

from cll.values import (
    GROUP,
    INCIDENTS,
    INSTANT,
    OUTCOME,
    OUTCOME_KNOWN_AT,
    REJECTS,
    SIGNAL_KEYS,
    VALUE_WIDTH,
    Chunk,
    Columns,
    Counts,
)

_SIGNAL = ["entity", "time"]
_INCIDENT = ["entity", "start"]
_PLACE = ["file", "row"]
_FOREVER = 2**62  # microseconds: the end of what is still open

Checks = Sequence[tuple[str, pl.Expr, str]]  # field, what is wrong, reason


@dataclass(frozen=True)
class Admitted:
    """One chunk: its records are rows + quarantine + pending."""

    rows: pl.DataFrame
    quarantine: pl.DataFrame  # REJECTS: the source's own, and what is found here
    pending: int  # not known yet at `as_of`


@dataclass(frozen=True)
class Settled:
    """Admitted rows: kept + quarantine + duplicate."""

    kept: pl.DataFrame  # sorted, without `file` and `row`
    quarantine: pl.DataFrame  # REJECTS
    duplicate: int


def admit(chunk: Chunk, columns: Columns, as_of: datetime) -> Admitted:
    """Check the rows of any source, and hold back what isn't known yet.

    A row counts as known no earlier than it happened, so one from the future stays pending. NaN is
    a missing value. An incident's end later than `as_of` isn't known yet, so it is still open.
    """
    if chunk.table == "signals":
        happened, checks = "time", _signal_checks(columns)
        # Adding 0 turns -0 into 0, so that equal values are equal bytes.
        clean = [pl.col(n).fill_nan(None) + 0.0 for n in columns.numeric]
        rows = chunk.rows.with_columns(clean)
    else:
        happened, checks, rows = "start", _INCIDENT_CHECKS, chunk.rows
    sound, quarantine = _sift(chunk.table, rows, checks)
    known = sound.with_columns(known_at=pl.max_horizontal("known_at", happened))
    rows = known.filter(pl.col("known_at") <= as_of)
    if chunk.table == "incidents":
        rows = rows.with_columns(end=pl.when(pl.col("end") <= as_of).then("end"))
    both = pl.concat([chunk.rejects.select(list(REJECTS)), quarantine])
    return Admitted(rows, both, known.height - rows.height)


def _signal_checks(columns: Columns) -> Checks:
    checks = [*_missing("entity", "time", "known_at")]
    checks += [(n, pl.col(n).is_infinite(), "infinite") for n in columns.numeric]
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
    failed = [pl.when(mask).then(pl.lit(i, pl.Int32)) for i, (_, mask, _) in enumerate(checks)]
    first = rows.select(pl.coalesce(failed)).to_series()
    sound = rows.filter(first.is_null()) if first.null_count() < rows.height else rows
    found = [
        _rejects(table, rows.filter(first == i), name, pl.lit(reason))
        for i, (name, _, reason) in enumerate(checks)
        if sound.height < rows.height
    ]
    return sound, pl.concat([pl.DataFrame(schema=REJECTS), *found])


def _rejects(table: str, rows: pl.DataFrame, name: str, reason: pl.Expr) -> pl.DataFrame:
    return rows.select(
        pl.lit(table).alias("table"),
        "file",
        "row",
        pl.lit(name).alias("field"),
        pl.col(name).cast(pl.String).str.slice(0, VALUE_WIDTH).alias("value"),
        reason.alias("reason"),
    )


def settle(rows: pl.DataFrame, columns: Columns) -> Settled:
    """Keep one row for an entity and time.

    The same record again, whenever known, is a duplicate, and so is one without the outcome that
    its repetition tells. Another record of the same entity and time is a conflict: the earliest
    known is kept, ties fall to the smaller values, the others are quarantined.
    """
    values = [*columns.numeric, *columns.truth, *([GROUP] if columns.group else [])]
    late = OUTCOME if columns.outcome else None
    return _settle("signals", rows, _Rule(_SIGNAL, values, values, late))


def settle_incidents(rows: pl.DataFrame) -> Settled:
    """Keep one row for an entity and start, as `settle` does; one with an end closes an open one."""
    return _settle("incidents", rows, _Rule(_INCIDENT, [], ["kind"], "end"))


@dataclass(frozen=True)
class _Rule:
    """How to tell repetitions: `late` is what a later record may still tell."""

    key: list[str]
    same: list[str]  # besides the key: equal in records of which one may tell more
    values: list[str]  # besides the key and `late`: equal in repetitions
    late: str | None


def _settle(table: str, rows: pl.DataFrame, rule: _Rule) -> Settled:
    rows = rows.sort(rule.key)
    again = pl.lit(value=True)
    for name in rule.key:
        again &= pl.col(name) == pl.col(name).shift()
    again = again.fill_null(value=False)
    repeated = rows.select(again | again.shift(-1, fill_value=False)).to_series()
    if not repeated.any():
        return Settled(rows.drop(_PLACE), pl.DataFrame(schema=REJECTS), 0)
    several = rows.filter(repeated)
    distinct = _distinct(several, rule)
    winner = distinct.select(pl.struct(rule.key).is_first_distinct()).to_series()
    against = pl.format(
        "conflicts with {}:{}, known earlier", *(pl.col(n).first().over(rule.key) for n in _PLACE)
    )
    lost = distinct.with_columns(against=against).filter(~winner)
    kept = pl.concat([rows.filter(~repeated), distinct.filter(winner)]).sort(rule.key)
    return Settled(
        kept.drop(_PLACE),
        _rejects(table, lost, rule.key[-1], pl.col("against")),
        several.height - distinct.height,
    )


def _distinct(rows: pl.DataFrame, rule: _Rule) -> pl.DataFrame:
    """Drop repetitions; what is left of a key is in the order in which it was known."""
    told_at = OUTCOME_KNOWN_AT if rule.late == OUTCOME else "known_at"
    rows = rows.with_columns(told_at=told_at)
    alike = [*rule.key, *rule.same]
    rows = rows.with_columns(pl.col("known_at").min().over(alike))
    compared = [*rule.values]
    if rule.late is not None:
        told = pl.col(rule.late).is_not_null()
        rows = rows.filter(told | ~told.any().over(alike))
        compared = [rule.late, *compared]
    order = [*rule.key, "known_at", "told_at", *compared, *_PLACE]
    rows = rows.sort(order, nulls_last=True)
    return rows.unique([*rule.key, *compared], keep="first", maintain_order=True).drop("told_at")


def merge(incidents: pl.DataFrame) -> pl.DataFrame:
    """Join an entity's incidents that overlap or touch; an open end wins.

    Kind and `known_at` are those of the earliest.
    """
    rows = incidents.sort([*_INCIDENT, "end"], nulls_last=True)
    until = pl.col("end").dt.epoch("us").fill_null(_FOREVER).cum_max().over("entity")
    fresh = pl.col("start").dt.epoch("us") > pl.col("until").shift().over("entity")
    merged = (
        rows.with_columns(until=until)
        .with_columns(number=fresh.fill_null(value=True).cum_sum())
        .group_by("number", maintain_order=True)
        .agg(pl.first("entity", "start", "known_at", "kind"), pl.max("until"))
    )
    end = pl.when(pl.col("until") < _FOREVER).then(pl.col("until")).cast(INSTANT)
    return merged.with_columns(end=end).select(list(INCIDENTS))


class Intake:
    """Collects a source's chunks; all have to be taken before anything is asked for."""

    def __init__(self, columns: Columns, as_of: datetime) -> None:
        self._columns = columns
        self._as_of = as_of
        self._admitted: dict[str, list[Admitted]] = {"signals": [], "incidents": []}
        self._records_in = 0

    def take(self, chunk: Chunk) -> None:
        self._records_in += chunk.records
        self._admitted[chunk.table].append(admit(chunk, self._columns, self._as_of))

    def days(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield each day (UTC, as YYYY-MM-DD) with its signals, the earliest first."""
        rows = self._signals.kept
        dated = rows.with_columns(date=pl.col("time").dt.date())
        parts = dated.partition_by("date", as_dict=True, include_key=False)
        for key in sorted(parts):
            yield str(key[0]), parts[key]

    def signals(self) -> pl.DataFrame:
        return self._signals.kept

    def incidents(self) -> pl.DataFrame:
        return merge(self._incidents.kept)

    def quarantine(self) -> pl.DataFrame:
        found = [one.quarantine for table in self._admitted.values() for one in table]
        frames = [*found, self._signals.quarantine, self._incidents.quarantine]
        return pl.concat(frames).sort(list(REJECTS), nulls_last=True)

    def counts(self) -> Counts:
        parts = (self._signals, self._incidents)
        return Counts(
            records_in=self._records_in,
            kept=sum(part.kept.height for part in parts),
            quarantined=self.quarantine().height,
            duplicate=sum(part.duplicate for part in parts),
            pending=sum(one.pending for table in self._admitted.values() for one in table),
        )

    @cached_property
    def _signals(self) -> Settled:
        rows = [one.rows for one in self._admitted["signals"]]
        return settle(pl.concat(rows), self._columns) if rows else _nothing(SIGNAL_KEYS)

    @cached_property
    def _incidents(self) -> Settled:
        rows = [one.rows for one in self._admitted["incidents"]]
        return settle_incidents(pl.concat(rows)) if rows else _nothing(INCIDENTS)


def _nothing(schema: Mapping[str, Any]) -> Settled:
    return Settled(pl.DataFrame(schema=dict(schema)), pl.DataFrame(schema=REJECTS), 0)
