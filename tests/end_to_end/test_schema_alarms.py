"""The schema on a simulated fleet: sound days pass, drifted ones too, and each planted fault is found."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cll.components.source.synthetic import Synthetic
from cll.pipeline.ingest.profile import profile
from cll.pipeline.ingest.schema import rules

START = datetime(2026, 1, 1, tzinfo=UTC)
LEARNT = 14  # days
COLUMNS = Synthetic().columns
KPIS = COLUMNS.numeric


def fleet(days, **settings):
    """Return each day's rows, and how many incidents began on it."""
    source = Synthetic(start=START, **settings)
    chunks = [piece.read() for piece in source(START + timedelta(days=days), ())]
    rows = pl.concat(chunk.rows for chunk in chunks if chunk.table == "signals")
    incidents = pl.concat(chunk.rows for chunk in chunks if chunk.table == "incidents")
    dated = rows.sort("entity", "time").with_columns(date=pl.col("time").dt.date().cast(pl.String))
    parts = dated.partition_by("date", as_dict=True, include_key=False)
    return {date: part for (date,), part in sorted(parts.items())}, rules.per_day(incidents)


def alarms(days, incidents):
    """Learn from the first days, and say what is found on each of the others."""
    profiles = {date: profile(rows, COLUMNS) for date, rows in days.items()}
    dates = sorted(days)
    known = rules.infer({d: profiles[d] for d in dates[:LEARNT]}, COLUMNS, {}, incidents)
    later = ({d: profiles[d]} for d in dates[LEARNT:])
    return [one.line for day in later for one in rules.check(known, day, COLUMNS, incidents)]


def test_sound_and_drifted_days_raise_no_alarm():
    assert alarms(*fleet(30)) == []
    assert alarms(*fleet(30, drift_at=START + timedelta(days=15))) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 108))
@pytest.mark.parametrize("drifts", [False, True])
def test_no_alarm_in_600_sound_and_600_drifted_days(seed, drifts):
    drift_at = START + timedelta(days=30) if drifts else None

    assert alarms(*fleet(90, seed=seed, drift_at=drift_at)) == []


@pytest.fixture(scope="module")
def known():
    days, incidents = fleet(LEARNT + 1)
    *before, newest = sorted(days)
    profiles = {date: profile(days[date], COLUMNS) for date in before}
    return rules.infer(profiles, COLUMNS, {}, incidents), days[newest], incidents[newest]


def kinds(known, rows, count):
    return {
        one.kind for one in rules.check(known, {"d": profile(rows, COLUMNS)}, COLUMNS, {"d": count})
    }


@pytest.mark.parametrize("column", KPIS)
@pytest.mark.parametrize("factor", [100, 0.01, 1000, 0.001, 60, 3600, 1024, 1024**2, 1e6])
def test_another_unit_is_found_in_each_column(known, column, factor):
    learnt, rows, count = known

    assert kinds(learnt, rows.with_columns(pl.col(column) * factor), count) == {"unit"}


@pytest.mark.parametrize("column", KPIS)
def test_a_silent_column_and_a_stuck_one_are_found(known, column):
    learnt, rows, count = known
    silent = rows.with_columns(pl.lit(None, dtype=pl.Float64).alias(column))

    assert kinds(learnt, silent, count) == {"silent"}
    assert kinds(learnt, rows.with_columns(pl.lit(0.0).alias(column)), count) == {"stuck"}


@pytest.mark.parametrize("group", ["web", "batch", "data"])
def test_a_group_that_vanished_is_found(known, group):
    learnt, rows, count = known

    assert kinds(learnt, rows.filter(pl.col("group") != group), count) == {"group"}


def test_labels_that_jumped_are_found(known):
    learnt, rows, count = known
    inverted = rows.with_columns(outcome=1 - pl.col("outcome"))

    assert kinds(learnt, inverted, count) == {"rate"}
    assert kinds(learnt, rows.with_columns(outcome=pl.lit(0.0)), count) == {"rate"}
    assert kinds(learnt, rows, 0) == {"rate"}
    assert kinds(learnt, rows, 6 * count) == {"rate"}


@pytest.mark.parametrize("hours", [0.5, 1, 3, 6, 12, 18, 23, 23.5])
def test_a_day_that_is_not_over_raises_no_alarm(known, hours):
    learnt, rows, _ = known
    midnight = rows["time"].min()
    seen = rows.filter(pl.col("time") < midnight + timedelta(hours=hours))

    assert kinds(learnt, seen, 0 if hours < 12 else 8) == set()
