"""Replace everything known after an instant with random values.

Code that does not look ahead computes the same results from both versions of the data.
"""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from cll.types.tables import INCIDENTS, INSTANT, OUTCOME, OUTCOME_KNOWN_AT, Columns

_SEED = 20260131
_DROPPED = 0.3  # share of the rows known later
_LATE_ADDED = 500  # at most this many records arrive late
_DECADES = 6  # replaced values are up to 10 ** this times as large
_NEW_ENTITY = "cll-verify-stranger"
_HOUR = timedelta(hours=1)


def signals(rows: pl.DataFrame, columns: Columns, at: datetime) -> pl.DataFrame:
    """Replace, drop and add rows known after `at`, and flip outcomes known after it.

    Some of the added rows arrive late: their time is before `at`, but they are known after it. Half
    of these belong to an entity that the data do not have.
    """
    rng = np.random.Generator(np.random.Philox(_SEED))
    is_known = pl.col("known_at") <= at
    known_rows, later = rows.filter(is_known), rows.filter(~is_known)
    later = later.filter(pl.Series(rng.random(later.height) >= _DROPPED))
    late = _late(known_rows, at).join(
        rows, on=["entity", "time"], how="anti", maintain_order="left"
    )
    replaced = _replace_numbers(pl.concat([later, late]), columns, rng)
    outcome_is_later = (
        pl.col(OUTCOME_KNOWN_AT) > at if OUTCOME_KNOWN_AT in rows.columns else pl.lit(value=False)
    )
    if columns.outcome:
        flipped = (1 - pl.col(OUTCOME)).alias(OUTCOME)
        outcome = pl.when(outcome_is_later).then(flipped).otherwise(OUTCOME).alias(OUTCOME)
        known_rows = known_rows.with_columns(outcome)
        replaced = replaced.with_columns(flipped)
    return pl.concat([known_rows, replaced.select(known_rows.columns)]).sort("entity", "time")


def _late(known_rows: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """Return copies of some known rows, one second later each, that arrive an hour after `at`."""
    late = known_rows[_evenly(known_rows.height)].with_columns(
        time=pl.col("time") + timedelta(seconds=1),
        known_at=pl.lit(at, INSTANT) + _HOUR,
    )
    every_other = pl.int_range(pl.len()) % 2 == 0
    late = late.with_columns(
        entity=pl.when(every_other).then(pl.lit(_NEW_ENTITY)).otherwise("entity")
    )
    return late.unique(["entity", "time"], keep="first", maintain_order=True)


def incidents(rows: pl.DataFrame, entities: pl.Series, at: datetime) -> pl.DataFrame:
    """Move, drop and add incidents known after `at`, and change each end that is after it."""
    is_known = pl.col("known_at") <= at
    lasts = pl.col("end").is_null() | (pl.col("end") > at)
    end = pl.when(pl.col("end").is_null()).then(pl.lit(at) + _HOUR).otherwise(pl.col("end") + _HOUR)
    known_rows = rows.filter(is_known).with_columns(end=pl.when(lasts).then(end).otherwise("end"))
    moved = rows.filter(~is_known).gather_every(2)
    moved = moved.with_columns(pl.col("start", "end", "known_at") + 3 * _HOUR)
    quiet = entities.unique().sort()
    quiet = quiet.filter(
        ~quiet.is_in(known_rows.filter(pl.col("end") > at - 3 * _HOUR)["entity"].implode())
    )
    added = pl.DataFrame({"entity": quiet}).with_columns(
        start=pl.lit(at) - _HOUR, end=pl.lit(at) + _HOUR, known_at=pl.lit(at) + _HOUR
    )
    added = added.with_columns(kind=pl.lit("wild"))
    frames = [part.cast(rows.schema).select(list(INCIDENTS)) for part in (known_rows, moved, added)]
    return pl.concat(frames).sort("entity", "start", "known_at")


def _evenly(height: int) -> pl.Series:
    """Return the indices of up to `_LATE_ADDED` rows, evenly spaced."""
    indices = np.unique(np.linspace(0, height - 1, min(height, _LATE_ADDED)).astype(np.int64))
    return pl.Series(indices if height else [], dtype=pl.Int64)


def _replace_numbers(
    rows: pl.DataFrame, columns: Columns, rng: np.random.Generator
) -> pl.DataFrame:
    return rows.with_columns(
        pl.col(name).fill_null(1.0) * pl.Series(10 ** rng.uniform(1, _DECADES, rows.height)) + 1
        for name in columns.numeric
    )
