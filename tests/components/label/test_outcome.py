from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cll.components.label.outcome import Outcome
from cll.types.errors import ConfigError
from cll.types.tables import INCIDENTS, INSTANT, LABELS

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NO_INCIDENTS = pl.DataFrame(schema=INCIDENTS)


def runs(outcomes: list[float | None], known_after: list[int] | None = None) -> pl.DataFrame:
    """One run an hour; `known_after` in hours."""
    times = [START + i * HOUR for i in range(len(outcomes))]
    frame = pl.DataFrame(
        {"entity": ["a"] * len(outcomes), "time": times, "known_at": times, "outcome": outcomes},
        schema={"entity": pl.String, "time": INSTANT, "known_at": INSTANT, "outcome": pl.Float64},
    )
    if known_after is None:
        return frame
    known = [t + h * HOUR for t, h in zip(times, known_after, strict=True)]
    return frame.with_columns(pl.Series("outcome_known_at", known, dtype=INSTANT))


def test_a_source_without_outcomes_is_refused():
    with pytest.raises(ConfigError, match=r"label=outcome: the source has no outcome column"):
        Outcome()(runs([1.0]).drop("outcome"), NO_INCIDENTS, START)


def test_an_outcome_is_its_rows_label_in_the_rows_order():
    labels = Outcome()(runs([1.0, 0.0, None, 1.0]), NO_INCIDENTS, START + 9 * HOUR)
    assert dict(labels.schema) == LABELS
    assert labels["label"].to_list() == [1, 0, None, 1]
    assert labels["status"].to_list() == ["mature", "mature", "untold", "mature"]


def test_an_outcome_matures_at_the_very_instant_it_is_known():
    labels = Outcome()(runs([1.0, 1.0], [3, 3]), NO_INCIDENTS, START + 3 * HOUR)
    assert labels["status"].to_list() == ["mature", "immature"]
    assert labels["label"].to_list() == [1, None]
    assert labels["known_at"].to_list() == [START + 3 * HOUR, START + 4 * HOUR]


def test_the_delay_comes_on_top_and_is_the_embargo():
    label = Outcome(delay=2 * HOUR)
    labels = label(runs([1.0, 1.0], [1, 1]), NO_INCIDENTS, START + 3 * HOUR)
    assert labels["status"].to_list() == ["mature", "immature"]
    assert label.embargo == 2 * HOUR


def test_an_outcome_that_does_not_say_when_it_was_known_was_known_at_its_time():
    frame = runs([1.0]).with_columns(outcome_known_at=pl.lit(None, INSTANT))
    assert Outcome()(frame, NO_INCIDENTS, START)["status"].to_list() == ["mature"]


def test_the_chance_comes_from_the_simulator_that_knows_it():
    frame = runs([1.0]).with_columns(truth_outcome=pl.lit(0.3))
    assert Outcome()(frame, NO_INCIDENTS, START)["chance"].to_list() == [0.3]
    assert Outcome()(runs([1.0]), NO_INCIDENTS, START)["chance"].to_list() == [None]
