from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from cll.pipeline.featurize.windows import entity_history, rolling
from cll.types.tables import INCIDENTS, INSTANT

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = 60_000_000
NEVER = 10**15


def rows(minutes: list[float], entity: list[int] | None = None) -> rolling.Rows:
    time = np.array([round(m * MINUTE) for m in minutes], np.int64)
    return rolling.Rows(np.array(entity or [0] * len(minutes), np.int64), time)


def test_an_outcome_known_at_its_own_time_is_not_known_to_its_own_row_or_ties():
    asked_rows = rows([0, 5, 5, 10])
    outcomes = entity_history.order_by_known(
        asked_rows, np.array([1.0, 0.0, 0.0, 1.0]), asked_rows.time, 0, MINUTE
    )
    np.testing.assert_array_equal(outcomes.lag(1, NEVER), [np.nan, 1, 1, 0])
    np.testing.assert_array_equal(outcomes.lag(3, NEVER), [np.nan, np.nan, np.nan, 1])


def test_an_outcome_counts_from_the_instant_at_which_it_is_known():
    asked_rows = rows([0, 5, 10, 15])
    outcome = np.array([1.0, 0.0, 0.0, 0.0])
    known = asked_rows.time + np.array([10, 1, 10, 10]) * MINUTE
    outcomes = entity_history.order_by_known(asked_rows, outcome, known, 0, 60 * MINUTE)
    np.testing.assert_array_equal(outcomes.lag(1, NEVER), [np.nan, np.nan, 1, 1])
    np.testing.assert_array_equal(outcomes.mean(NEVER), [np.nan, np.nan, 0.5, 0.5])


def test_the_delay_comes_on_top():
    asked_rows = rows([0, 5, 10])
    outcomes = entity_history.order_by_known(
        asked_rows, np.ones(3), asked_rows.time, 10 * MINUTE, 60 * MINUTE
    )
    np.testing.assert_array_equal(outcomes.lag(1, NEVER), [np.nan, np.nan, 1])


def test_outcomes_told_too_late_or_never_are_left_out():
    asked_rows = rows([0, 5, 10, 30])
    outcome = np.array([1.0, np.nan, 0.0, 0.0])
    known = asked_rows.time + np.array([20, 0, 0, 0]) * MINUTE
    outcomes = entity_history.order_by_known(asked_rows, outcome, known, 0, 10 * MINUTE)
    assert outcomes.lag(1, NEVER)[3] == 0
    assert np.isnan(outcomes.lag(2, NEVER)[3])


def test_reach_and_window_are_open_at_their_old_end():
    asked_rows = rows([0, 10, 20])
    outcomes = entity_history.order_by_known(
        asked_rows, np.array([1.0, 0.0, 0.0]), asked_rows.time - 1, 0, MINUTE
    )
    later = 10 * MINUTE - 1  # what happened at 0 is known one microsecond later
    np.testing.assert_array_equal(outcomes.lag(1, later), [np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(outcomes.lag(1, later + 1), [np.nan, 1, 0])
    np.testing.assert_array_equal(outcomes.mean(later + 1), [np.nan, 1, 0])


def test_entities_know_of_themselves_only():
    asked_rows = rows([0, 5, 0, 5, 0], [0, 0, 1, 1, 2])
    outcomes = entity_history.order_by_known(
        asked_rows, np.array([1.0, 0, 0, 0, 1.0]), asked_rows.time, 0, MINUTE
    )
    np.testing.assert_array_equal(outcomes.lag(1, NEVER), [np.nan, 1, np.nan, 0, np.nan])


@pytest.mark.parametrize("known_after", [0, 12])
def test_hours_count_from_the_start_of_the_latest_incident_known(known_after):
    minutes = [0, 10, 20, 30]
    signals = pl.DataFrame(
        {"entity": ["a"] * 4, "time": [START + timedelta(minutes=m) for m in minutes]},
        schema={"entity": pl.String, "time": INSTANT},
    )
    starts = [START + timedelta(minutes=m) for m in (5, 20, 25)]
    incidents = pl.DataFrame(
        {
            "entity": ["a", "a", "b"],
            "start": starts,
            "end": [None] * 3,
            "known_at": [t + timedelta(minutes=known_after) for t in starts],
            "kind": [None] * 3,
        },
        schema=INCIDENTS,
    )
    hours = entity_history.hours_since_incident(signals, incidents) * 60
    expected = [np.nan, 5, 0, 10] if not known_after else [np.nan, np.nan, 15, 25]
    np.testing.assert_allclose(hours, expected)
