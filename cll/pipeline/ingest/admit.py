"""Step: check the rows that a source delivers, and quarantine the bad ones with a reason.

Records in = kept + quarantined + duplicate + pending, always. The set of kept records does not
depend on the order in which records come.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from cll.pipeline.ingest.deduplicate import rejects
from cll.types.records import Chunk
from cll.types.tables import (
    OUTCOME,
    OUTCOME_KNOWN_AT,
    REJECTS,
    Columns,
    is_finite,
    span,
)

Checks = Sequence[tuple[str, pl.Expr, str]]  # field, mask of the bad rows, reason


@dataclass(frozen=True)
class Admitted:
    """One chunk's records, each either in `rows` or in `quarantine`."""

    rows: pl.DataFrame
    quarantine: pl.DataFrame  # REJECTS of the source and of these checks


def admit(chunk: Chunk, columns: Columns) -> Admitted:
    """Return the sound rows of any source, and its bad ones as quarantine.

    A `known_at` before the row's own time is moved to that time, so that a row from the future stays
    pending until then. The same holds for the outcome. NaN becomes a missing value.
    """
    if chunk.table == "signals":
        clean = [_unsigned(_without_nan(chunk.rows[name])) for name in columns.numeric]
        clean += [_unsigned(chunk.rows[OUTCOME])] if columns.outcome else []
        rows = chunk.rows.with_columns(clean)
        happened, checks = "time", _signal_checks(rows, columns)
    else:
        happened, checks, rows = "start", _INCIDENT_CHECKS, chunk.rows
    sound, quarantine = _sift(chunk.table, rows, checks)
    known_times = [name for name in ("known_at", OUTCOME_KNOWN_AT) if name in sound.columns]
    early = [name for name in known_times if (sound[name] < sound[happened]).any()]
    later = [
        pl.when(pl.col(n) < pl.col(happened)).then(happened).otherwise(n).alias(n) for n in early
    ]
    rows = sound.with_columns(later) if later else sound
    rejects = chunk.rejects[list(REJECTS)]
    return Admitted(rows, pl.concat([rejects, quarantine]) if quarantine.height else rejects)


def by_day(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield each UTC day (YYYY-MM-DD) with its signals, the earliest day first; row order is kept."""
    if rows.is_empty():
        return
    first, last = span(rows["time"])
    if first.date() == last.date():
        yield str(first.date()), rows
        return
    if rows["time"].is_sorted():  # the usual case: days are slices, without a copy
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


def _without_nan(values: pl.Series) -> pl.Series:
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
        has_outcome = pl.col(OUTCOME).is_not_null()
        checks += [
            (OUTCOME, has_outcome & ~pl.col(OUTCOME).is_in([0.0, 1.0]), "an outcome is 0 or 1"),
            (OUTCOME_KNOWN_AT, has_outcome & pl.col(OUTCOME_KNOWN_AT).is_null(), "missing"),
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
    """Return the sound rows, and REJECTS of the others with the first check that each fails."""
    fails = rows.select(mask.any().alias(str(i)) for i, (_, mask, _) in enumerate(checks))
    if not any(fails.row(0)):
        return rows, pl.DataFrame(schema=REJECTS)
    failed = [pl.when(mask).then(pl.lit(i, pl.Int32)) for i, (_, mask, _) in enumerate(checks)]
    first = rows.select(pl.coalesce(failed)).to_series()
    refused = [
        rejects(table, rows.filter(first == i), name, pl.lit(reason))
        for i, (name, _, reason) in enumerate(checks)
    ]
    return rows.filter(first.is_null()), pl.concat(refused)


def quarantined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return all rejects as one sorted frame."""
    nothing = pl.DataFrame(schema=REJECTS)
    return pl.concat([nothing, *frames]).sort(list(REJECTS), nulls_last=True)
