from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cll.components.split.time import Time
from cll.types.errors import ConfigError, DataRefused
from cll.types.tables import INSTANT

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NONE = timedelta(0)


def rows(hours: list[float], labels: list[int] | None = None) -> pl.DataFrame:
    times = [START + h * HOUR for h in hours]
    label = labels or [i % 2 for i in range(len(hours))]
    return pl.DataFrame(
        {"entity": ["a"] * len(hours), "time": times, "label": label},
        schema={"entity": pl.String, "time": INSTANT, "label": pl.Int8},
    )


def test_a_boundary_before_all_rows_leaves_none_to_train_on():
    boundary = START - HOUR
    with pytest.raises(
        DataRefused,
        match=r"^split.boundary=2025-12-31T23:00:00Z leaves no row to train on: 4 labelled rows, "
        r"2 positive, from 2026-01-01T00:00:00Z to 2026-01-01T03:00:00Z; move it",
    ):
        Time(boundary=boundary)(rows([0, 1, 2, 3]), NONE, 0)


def test_a_side_with_one_class_is_refused():
    with pytest.raises(DataRefused, match=r"split.holdout=0.5 leaves only rows with label 0 to ju"):
        Time(holdout=0.5)(rows([0, 1, 2, 3], [0, 1, 0, 0]), NONE, 0)


def test_an_embargo_that_eats_all_training_rows_is_refused():
    with pytest.raises(DataRefused, match=r"leaves no row to train on"):
        Time(holdout=0.5)(rows([0, 1, 2, 3]), 9 * HOUR, 0)


def test_no_rows_at_all_are_refused():
    with pytest.raises(DataRefused, match=r"no row to train on: there are no labelled rows; move"):
        Time()(rows([]), NONE, 0)


def test_the_newest_share_of_the_rows_is_held_out_whatever_the_gaps():
    split = Time(holdout=0.25)(rows([0, 1, 2, 3, 4, 5, 1000, 1001]), NONE, 0)
    assert split.holdout.tolist() == [False] * 6 + [True] * 2
    assert split.train.tolist() == [True] * 6 + [False] * 2
    assert split.boundary == START + 1000 * HOUR


def test_rows_in_the_embargo_are_on_neither_side():
    split = Time(holdout=0.5)(rows([0, 1, 2, 3, 4, 5, 6, 7]), 2 * HOUR, 0)
    assert split.train.tolist() == [True] * 3 + [False] * 5
    assert split.holdout.tolist() == [False] * 4 + [True] * 4


def test_a_boundary_wins_over_the_share():
    split = Time(holdout=0.25, boundary=START + 2 * HOUR)(rows([3, 0, 2, 1], [1, 1, 0, 0]), NONE, 0)
    assert split.holdout.tolist() == [True, False, True, False]
    assert split.boundary == START + 2 * HOUR


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"span": NONE}, r"^split\.span=0: it holds out nothing; write 14d, or null\.$"),
        (
            {"span": 2 * HOUR, "boundary": START},
            r"^split\.span=2h: split\.boundary is set too; null",
        ),
    ],
)
def test_a_span_that_says_nothing_or_too_much_is_refused(settings, says):
    with pytest.raises(ConfigError, match=says):
        Time(**settings)


def test_a_span_that_holds_out_all_rows_is_refused_by_its_name():
    with pytest.raises(DataRefused, match=r"^split\.span=1d leaves no row to train on: 4 labelled"):
        Time(span=24 * HOUR)(rows([0, 1, 2, 3]), NONE, 0)
    with pytest.raises(DataRefused, match=r"^split\.span=1d leaves no row .*no labelled rows"):
        Time(span=24 * HOUR)(rows([]), NONE, 0)


def test_a_span_holds_out_the_newest_so_long_whatever_the_share():
    split = Time(holdout=0.9, span=2 * HOUR)(rows([0, 1, 1.5, 2, 3, 4]), NONE, 0)
    assert split.holdout.tolist() == [False] * 4 + [True] * 2
    assert split.train.tolist() == [True] * 4 + [False] * 2


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 1)), min_size=1, max_size=40),
    st.integers(0, 20),
    st.floats(0.01, 0.99),
    st.one_of(st.none(), st.integers(-5, 45)),
    st.one_of(st.none(), st.integers(1, 45)),
)
def test_no_training_label_was_known_after_the_holdout_began(table, embargo, share, boundary, span):
    frame = rows([t for t, _ in table], [label for _, label in table])
    start = None if boundary is None else START + boundary * HOUR
    splitter = Time(share, start, None if span is None or start else span * HOUR)
    try:
        split = splitter(frame, embargo * HOUR, 0)
    except DataRefused:
        return
    train, held = frame.filter(pl.Series(split.train)), frame.filter(pl.Series(split.holdout))
    assert not (split.train & split.holdout).any()
    assert train["time"].max() + embargo * HOUR <= split.boundary <= held["time"].min()
    assert train["time"].max() < split.boundary
    assert train["label"].n_unique() == held["label"].n_unique() == 2


def test_a_row_whose_label_was_not_known_by_the_boundary_does_not_teach():
    times = [datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 9)]
    late = [datetime(2026, 1, 7, tzinfo=UTC), *times[1:]]  # the first row's outcome came on the 7th
    frame = pl.DataFrame({"entity": "a", "time": times, "label": [0, 1] * 4, "known_at": late})
    split = Time(boundary=datetime(2026, 1, 6, tzinfo=UTC))(frame, timedelta(0), 0)
    assert split.train.tolist() == [False, True, True, True, True, False, False, False]
