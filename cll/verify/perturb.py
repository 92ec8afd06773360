"""The data as they are, but for everything known after an instant: that is made wild.

Whoever knows nothing of what comes later can't tell the two apart.
"""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from cll.types.tables import INCIDENTS, INSTANT, OUTCOME, OUTCOME_KNOWN_AT, Columns

_SEED = 20260131
_DROPPED = 0.3  # of what is known later
_LATE_ADDED = 500  # records of the past at most that arrive after the instant
_DECADES = 6  # how far wild values lie from what they were
_STRANGER = "cll-verify-stranger"
_HOUR = timedelta(hours=1)


def signals(rows: pl.DataFrame, columns: Columns, at: datetime) -> pl.DataFrame:
    """Replace, drop and add rows known after `at`, and flip outcomes told after it.

    Among what is added are records of the time before `at`, of old entities and of a new one, that
    became known after it.
    """
    rng = np.random.Generator(np.random.Philox(_SEED))
    known = pl.col("known_at") <= at
    past, later = rows.filter(known), rows.filter(~known)
    later = later.filter(pl.Series(rng.random(later.height) >= _DROPPED))
    late = past[_spread(past.height)].with_columns(
        time=pl.col("time") + timedelta(seconds=1),
        known_at=pl.lit(at, INSTANT) + _HOUR,
    )
    every_other = pl.int_range(pl.len()) % 2 == 0
    late = late.with_columns(
        entity=pl.when(every_other).then(pl.lit(_STRANGER)).otherwise("entity")
    )
    late = late.unique(["entity", "time"], keep="first", maintain_order=True)
    late = late.join(rows, on=["entity", "time"], how="anti", maintain_order="left")
    wild = _wild(pl.concat([later, late]), columns, rng)
    told = (
        pl.col(OUTCOME_KNOWN_AT) > at if OUTCOME_KNOWN_AT in rows.columns else pl.lit(value=False)
    )
    if columns.outcome:
        flipped = (1 - pl.col(OUTCOME)).alias(OUTCOME)
        past = past.with_columns(pl.when(told).then(flipped).otherwise(OUTCOME).alias(OUTCOME))
        wild = wild.with_columns(flipped)
    return pl.concat([past, wild.select(past.columns)]).sort("entity", "time")


def incidents(rows: pl.DataFrame, entities: pl.Series, at: datetime) -> pl.DataFrame:
    """Move and drop incidents known after `at`, add some, and end what had not ended otherwise."""
    known = pl.col("known_at") <= at
    lasting = pl.col("end").is_null() | (pl.col("end") > at)
    end = pl.when(pl.col("end").is_null()).then(pl.lit(at) + _HOUR).otherwise(pl.col("end") + _HOUR)
    past = rows.filter(known).with_columns(end=pl.when(lasting).then(end).otherwise("end"))
    moved = rows.filter(~known).gather_every(2)
    moved = moved.with_columns(pl.col("start", "end", "known_at") + 3 * _HOUR)
    quiet = entities.unique().sort()
    quiet = quiet.filter(
        ~quiet.is_in(past.filter(pl.col("end") > at - 3 * _HOUR)["entity"].implode())
    )
    added = pl.DataFrame({"entity": quiet}).with_columns(
        start=pl.lit(at) - _HOUR, end=pl.lit(at) + _HOUR, known_at=pl.lit(at) + _HOUR
    )
    added = added.with_columns(kind=pl.lit("wild"))
    frames = [one.cast(rows.schema).select(list(INCIDENTS)) for one in (past, moved, added)]
    return pl.concat(frames).sort("entity", "start", "known_at")


def _spread(height: int) -> pl.Series:
    places = np.unique(np.linspace(0, height - 1, min(height, _LATE_ADDED)).astype(np.int64))
    return pl.Series(places if height else [], dtype=pl.Int64)


def _wild(rows: pl.DataFrame, columns: Columns, rng: np.random.Generator) -> pl.DataFrame:
    return rows.with_columns(
        pl.col(name).fill_null(1.0) * pl.Series(10 ** rng.uniform(1, _DECADES, rows.height)) + 1
        for name in columns.numeric
    )
