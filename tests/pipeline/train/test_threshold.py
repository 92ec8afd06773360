from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cll.pipeline.train.threshold import Threshold, choose
from cll.types.errors import DataRefused

START = datetime(2026, 1, 1, tzinfo=UTC)


def keys(rows, step=timedelta(hours=1), entities=1):
    return pl.DataFrame(
        {
            "entity": [f"e{i % entities}" for i in range(rows)],
            "time": [START + step * (i // entities) for i in range(rows)],
        }
    )


def starts_per_day(p, frame, cut):
    """Count alert starts row by row, the slow way."""
    count, before = 0, {}
    ordered = frame.with_columns(p=pl.Series(p)).sort("time", maintain_order=True)
    for entity, _, value in ordered.iter_rows():
        count += value >= cut and not before.get(entity, False)
        before[entity] = value >= cut
    return count


def test_a_budget_without_time_is_refused():
    frame = keys(4, step=timedelta(0))
    with pytest.raises(
        DataRefused, match=r"budget counts alerts per day.*choose f1, accuracy or cost\.$"
    ):
        choose(Threshold(rule="budget"), np.linspace(0, 1, 4), np.array([0.0, 0, 1, 1]), frame)


def test_f1_lies_half_way_below_the_last_row_worth_an_alert():
    p, y = np.array([0.1, 0.2, 0.6, 0.9]), np.array([0.0, 0, 1, 1])
    assert choose(Threshold(), p, y, keys(4)) == pytest.approx(0.4)


def test_tied_probabilities_are_alerted_together():
    p, y = np.array([0.5, 0.5, 0.5, 0.1]), np.array([1.0, 0, 0, 0])
    assert choose(Threshold(), p, y, keys(4)) == pytest.approx(0.3)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=30))
def test_no_threshold_is_right_more_often_than_that_of_accuracy(rows):
    p, y = np.array([p / 10 for p, _ in rows]), np.array([float(y) for _, y in rows])
    cut = choose(Threshold(rule="accuracy"), p, y, keys(len(p)))
    others = np.arange(12) / 10 - 0.05
    assert ((p >= cut) == y).mean() == max(((p >= other) == y).mean() for other in others)


def test_a_dear_miss_lowers_the_threshold():
    p, y = np.array([0.1, 0.2, 0.3, 0.9]), np.array([1.0, 0, 0, 1])
    cheap, dear = (
        choose(Threshold(rule="cost", miss_cost=cost), p, y, keys(4)) for cost in (1.0, 10.0)
    )
    assert (cheap, dear) == (pytest.approx(0.6), 0.1)


def test_where_every_alert_costs_more_than_it_saves_none_is_given():
    p, y = np.array([0.1, 0.2, 1.0]), np.array([1.0, 0, 0])
    cut = choose(Threshold(rule="cost", miss_cost=0.1), p, y, keys(3))
    assert not (p >= cut).any()


def test_a_budget_counts_a_long_alert_once():
    p = np.array([0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.8, 0.1, 0.7] + [0.1] * 15)
    cut = choose(Threshold(rule="budget", alerts_per_day=2.0), p, (p > 0.5) * 1.0, keys(25))
    assert cut == pytest.approx(0.75)


def test_a_budget_that_is_never_reached_alerts_on_all():
    p = np.array([0.1, 0.9, 0.1])
    frame = keys(3, step=timedelta(days=30))
    assert choose(Threshold(rule="budget"), p, (p > 0.5) * 1.0, frame) == 0.1


@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), min_size=8, max_size=40),
    st.floats(0.1, 40),
)
def test_a_budget_is_kept_on_the_rows_it_was_set_on(values, budget):
    p, frame = np.array(values), keys(len(values), entities=3)
    cut = choose(Threshold(rule="budget", alerts_per_day=budget), p, p * 0, frame)
    days = (frame["time"].max() - frame["time"].min()) / timedelta(days=1)
    assert starts_per_day(p, frame, cut) <= budget * days
