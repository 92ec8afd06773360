from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.pipeline.ingest.schema import form, rules
from cll.pipeline.ingest.schema.rules import Enforcement
from cll.types.records import Counts
from cll.types.tables import Columns
from tests.build.profiles import (
    COLUMNS,
    DAYS,
    NEXT,
    column,
    day,
    days,
    found,
    incidents,
    learnt,
    with_column,
)


def told(low, size):
    return {
        "nulls": 0,
        "low": low,
        "q01": low + size,
        "median": low + 2 * size,
        "q99": low + 3 * size,
        "high": low + 4 * size,
        "scale": abs(low + 2 * size),
    }


columns = st.one_of(
    st.builds(told, st.floats(-1e6, 1e6), st.floats(0, 1e6)),
    st.builds(lambda rows: {"nulls": rows}, st.just(600)),
    st.builds(lambda value: told(value, 0.0), st.sampled_from([0.0, 1.0, -3.0])),
)
profiles = st.builds(
    lambda entities, first, last, cpu, positive, groups: {
        "rows": 600,
        "entities": entities,
        "groups": groups,
        "from": first,
        "until": first + last,
        "columns": {"cpu": cpu},
        "outcome": {"told": 500, "positive": positive},
    },
    st.integers(1, 40),
    st.floats(0, 12),
    st.floats(0, 11.9),
    columns,
    st.integers(0, 500),
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)),
)


@settings(deadline=None)
@given(
    st.lists(profiles, min_size=1, max_size=10),
    st.lists(st.integers(0, 50), min_size=10, max_size=10),
    st.booleans(),
)
def test_no_day_breaches_the_schema_that_was_inferred_from_it(drawn, counts, group):
    has = Columns(numeric=("cpu",), outcome=True, group=group)
    history = {DAYS[n]: one for n, one in enumerate(drawn)}
    began = {DAYS[n]: count for n, count in enumerate(counts)}
    known = rules.infer(history, has, {}, began)
    stored = form.from_tree({"files": form.as_tree(known)}, "")["files"]
    strict = Enforcement(unit_factor=5.0, label_factor=1.1, missing_more=0.0)

    assert rules.check(stored, history, has, began, strict) == []


def test_the_days_after_are_sound_where_they_are_alike():
    assert found() == []
    assert found(day(3), count=19) == []


def test_the_inferred_schema_does_not_depend_on_the_order_of_days():
    backwards = dict(reversed(days().items()))

    assert rules.infer(backwards, COLUMNS, {}, incidents()) == learnt()


def test_a_schema_holds_its_period_and_the_units_of_its_columns():
    known = learnt(units={"cpu_usage": "ratio"})

    assert (known.since, known.until, known.days) == (DAYS[0], DAYS[-1], len(DAYS))
    assert known.columns["cpu_usage"].unit == "ratio"
    assert known.columns["response_time"].unit is None
    assert known.groups == {"batch": (8, 8), "web": (12, 12)}


def test_a_day_that_is_not_over_does_not_count_for_entities():
    history = {**days(), NEXT: day(entities=2, groups={"web": 2}, until=1.0)}
    known = rules.infer(history, COLUMNS, {}, incidents())

    assert known.entities == (20, 20)
    assert known.groups["batch"] == (8, 8)


def test_settings_widen_the_limits():
    bent = with_column("cpu_usage", column(45.2))

    assert [one.kind for one in found(bent)] == ["unit"]
    assert found(bent, limits=Enforcement(unit_factor=200.0)) == []


def test_an_accepted_schema_is_no_longer_breached():
    history = {**days(), NEXT: with_column("cpu_usage", column(45.2))}
    known = rules.infer(history, COLUMNS, {}, {**incidents(), NEXT: 22})

    assert found(with_column("cpu_usage", column(46.0)), known=known) == []
    assert found(known=known) == []


def test_looking_back_finds_a_change_within_the_first_load():
    history = days()
    for date in DAYS[9:]:
        history[date] = with_column("cpu_usage", column(45.2))
    (one,) = rules.look_back(history, COLUMNS, incidents(), Enforcement())

    assert (one.kind, one.where, one.also) == ("unit", DAYS[9], 4)
    assert rules.look_back(days(), COLUMNS, incidents(), Enforcement()) == []


def test_more_quarantined_than_is_allowed_is_refused():
    (one,) = rules.check_quarantine(Counts(records_in=1000, kept=900, quarantined=100), 0.05)

    assert one.line.startswith(
        "quarantined: 100 of 1,000 records (10.0%), 5.0% at most by ingest.max_quarantined"
    )
    assert rules.check_quarantine(Counts(records_in=1000, quarantined=50), 0.05) == []
    assert rules.check_quarantine(Counts(), 0.0) == []


def test_differences_are_listed_one_value_per_line():
    history = {**days(), NEXT: with_column("cpu_usage", column(0.8))}
    lines = rules.differences(learnt(), rules.infer(history, COLUMNS, {}, incidents()))

    assert "columns.cpu_usage.median: [0.368, 0.552] -> [0.368, 0.8]" in lines
    assert "until: 2026-01-14 -> 2026-01-15" in lines
    assert rules.differences(learnt(), learnt()) == []


def test_a_column_that_is_new_differs_from_none():
    without = Columns(numeric=("cpu_usage",), outcome=True, group=True)
    before = rules.infer(days(), without, {}, incidents())

    assert "columns.response_time.nulls: none -> 0.0" in rules.differences(before, learnt())


def test_incidents_are_counted_by_the_day_they_began_on():
    starts = [datetime(2026, 1, 2, 23, 59, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)]

    assert rules.per_day(pl.DataFrame({"start": starts})) == {"2026-01-02": 2}


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_out_of_its_range_is_refused_by_its_type(share):
    from cll.config import components  # noqa: PLC0415  what checks a config

    with pytest.raises(components.ConfigError, match=r"ingest.max_quarantined"):
        components.validate(Enforcement, {"max_quarantined": share}, "ingest")
