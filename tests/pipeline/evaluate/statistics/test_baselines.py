from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.pipeline.evaluate.statistics import baselines
from cll.pipeline.evaluate.statistics.ranking import sweep
from cll.types.tables import INSTANT

START = datetime(2026, 1, 1, tzinfo=UTC)


def minutes(*counts):
    return [START + timedelta(minutes=count) for count in counts]


def labelled(entity, time, known_at, label):
    return pl.DataFrame(
        {"entity": entity, "time": minutes(*time), "known_at": minutes(*known_at), "label": label},
        schema={"entity": pl.String, "time": INSTANT, "known_at": INSTANT, "label": pl.Int8},
    )


def said(rows):
    return [None if np.isnan(value) else int(value) for value in baselines.no_change(rows)]


def test_no_change_knows_nothing_before_a_label_is_known():
    rows = labelled(["a"] * 3, [0, 5, 10], [30, 35, 40], [1, 1, 0])
    assert said(rows) == [None, None, None]


def test_no_change_never_knows_a_rows_own_label():
    rows = labelled(["a"] * 3, [0, 5, 10], [0, 5, 10], [1, 0, 1])
    assert said(rows) == [None, 1, 0]


def test_no_change_asks_the_same_entity_only():
    rows = labelled(["a", "a", "b", "b"], [0, 5, 0, 5], [0, 5, 0, 5], [1, 1, 0, 0])
    assert said(rows) == [None, 1, None, 0]


def test_a_label_that_comes_late_does_not_displace_a_newer_one():
    rows = labelled(["a"] * 4, [0, 5, 10, 20], [15, 6, 25, 30], [1, 0, 1, 0])
    # At 20: the row of 5 is known since 6; that of 0, known since 15, is older.
    assert said(rows) == [None, None, 0, 0]


def test_a_label_counts_from_the_instant_it_is_known():
    rows = labelled(["a"] * 3, [0, 9, 10], [10, 40, 40], [1, 0, 0])
    assert said(rows) == [None, None, 1]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 12), st.integers(0, 6), st.integers(0, 1)),
        max_size=20,
        unique_by=lambda row: row[:2],
    )
)
@settings(max_examples=60, deadline=None)
def test_no_change_equals_a_search_row_by_row(rows):
    rows = sorted(rows)
    frame = labelled(
        [r[0] for r in rows],
        [r[1] for r in rows],
        [r[1] + r[2] for r in rows],
        [r[3] for r in rows],
    )
    expected = []
    for entity, time, _, _ in rows:
        known = [r for r in rows if r[0] == entity and r[1] < time and r[1] + r[2] <= time]
        expected.append(max(known, key=lambda r: r[1])[3] if known else None)
    assert said(frame) == expected


def train(**columns):
    label = [1, 1, 0, 0, 0, 0]
    return pl.DataFrame({"label": label, **columns}, strict=False)


def test_without_training_rows_there_is_no_baseline():
    rows = train(cpu=[0.0] * 6)
    assert baselines.predict(rows.clear(), rows, np.full(6, np.nan), ["cpu"]) == {}


def test_without_a_positive_row_no_column_is_chosen():
    rows = train(cpu=[1.0, 2, 3, 4, 5, 6]).with_columns(label=pl.lit(0))
    found = baselines.predict(rows, rows, np.full(6, np.nan), ["cpu"])
    assert list(found) == ["prior", "no_change"]
    assert baselines.one_column(rows, []) is None
    assert baselines.column_areas(rows, ["cpu"]) == {}


def test_the_prior_is_the_share_of_training_rows_and_alerts_from_one_half():
    rows = train(cpu=[0.0] * 6)
    answer = baselines.predict(rows, rows.head(2), np.zeros(2), [])["prior"]
    assert answer.p.tolist() == [pytest.approx(1 / 3)] * 2
    assert not answer.alert.any()
    many = rows.filter(pl.col("label") == 1)
    assert baselines.predict(many, rows, np.zeros(6), [])["prior"].alert.all()


def test_no_change_falls_back_on_the_prior():
    rows = train(cpu=[0.0] * 6)
    answer = baselines.predict(rows, rows.head(3), np.array([1.0, 0.0, np.nan]), [])["no_change"]
    assert answer.p.tolist() == [1, 0, pytest.approx(1 / 3)]
    assert answer.alert.tolist() == [True, False, False]


def test_the_column_direction_and_threshold_that_tell_the_training_rows_apart_are_found():
    rows = train(noise=[1.0, 5, 2, 4, 3, 6], free=[2.0, 3, 9, 8, 7, 6])
    column = baselines.one_column(rows, ["noise", "free"])
    assert column == baselines.OneColumn("free", -1, -3.0)
    answer = column(pl.DataFrame({"free": [3.0, 3.1, None]}))
    assert answer.alert.tolist() == [True, False, False]
    assert answer.p[2] == -np.inf


def test_a_column_that_is_missing_when_things_fail_is_found():
    rows = train(cpu=[None, None, 1.0, 2.0, 1.5, 1.2], flat=[1.0] * 6)
    assert baselines.column_areas(rows, ["cpu", "flat"]) == {"cpu": 1, "flat": 0.5}


def test_a_columns_area_is_that_of_its_better_direction():
    rows = train(free=[2.0, 7, 9, 8, 6, 5])
    assert baselines.column_areas(rows, ["free"]) == {"free": 0.75}


COLUMN = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 2.0, np.nan, np.inf, -np.inf]), st.booleans()), min_size=1
)


@given(COLUMN)
def test_a_column_against_itself_is_the_column_of_the_other_sign(rows):
    values, labels = (list(part) for part in zip(*rows, strict=True))
    frame = pl.DataFrame({"x": values, "label": [int(label) for label in labels]})
    turned = frame.with_columns(x=-pl.col("x"))
    _, against = baselines._ranked(frame, "x")
    (own, _), weight = baselines._ranked(turned, "x"), np.ones(len(values))
    assert against.p.tolist() == own.p.tolist()
    for got, wanted in zip(sweep(against, weight), sweep(own, weight), strict=True):
        assert got.tolist() == wanted.tolist()
