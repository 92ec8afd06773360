import itertools
from datetime import timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from cll.components.trigger._time_windows import (
    Stretch,
    after,
    before,
    cut,
    labelled_until,
    waiting,
)
from tests.build.situations import DAY, HOUR, START, at, rows, without_model

FRAME = rows(days=6)
INSTANTS = st.integers(-10, 200).map(lambda hours: START + hours * HOUR)


@given(st.lists(st.tuples(INSTANTS, INSTANTS).map(sorted), min_size=1, max_size=5))
def test_a_stretch_has_the_rows_after_its_start_up_to_its_end(pairs):
    stretches = [Stretch(*pair) for pair in pairs]
    for one, found in zip(stretches, cut(FRAME, stretches), strict=True):
        wanted = FRAME.filter((pl.col("time") > one.since) & (pl.col("time") <= one.until))
        assert found.equals(wanted)


@given(INSTANTS, INSTANTS, st.integers(1, 90), st.integers(0, 9))
def test_stretches_join_without_gap_and_stay_between_their_bounds(floor, ceiling, hours, count):
    width = hours * HOUR
    for found in (before(ceiling, width, count, floor), after(floor, width, count, ceiling)):
        assert len(found) == min(count, max((ceiling - floor) // width, 0))
        assert all(a.until == b.since for a, b in itertools.pairwise(found))
        assert all(floor <= one.since < one.until <= ceiling for one in found)


def test_labels_are_known_until_before_the_first_that_is_not():
    situation = at(FRAME, 5, learnt=1, trained=1)
    until = labelled_until(situation.rows, situation.as_of, DAY, 0.0)
    assert until == situation.as_of - timedelta(microseconds=1)  # the last hour's wait
    assert labelled_until(situation.rows, situation.as_of, DAY, 0.05) == situation.as_of


def test_where_all_labels_are_known_they_are_until_now():
    assert labelled_until(FRAME, START + 6 * DAY, DAY, 0.0) == START + 6 * DAY


def test_a_rule_waits_for_a_model_and_rests_after_a_training():
    situation = at(FRAME, 5, learnt=1, trained=3)
    assert waiting(situation, 2 * DAY) is None
    assert "rests until 2026-01-06T01:00:00Z" in str(waiting(situation, 2 * DAY + HOUR))
    assert waiting(without_model(situation), DAY) == "There is no champion yet."


def test_a_model_that_learnt_from_later_than_as_of_is_not_asked_about_and_the_instants_are_told():
    situation = at(FRAME, 5, learnt=6, trained=None)
    assert waiting(situation, DAY) == (
        "The champion was trained on rows up to 2026-01-07T00:00:00Z, and as_of is"
        " 2026-01-06T00:00:00Z."
    )
