import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cll.pipeline.ingest.profile import GROUPS, merged, profile
from cll.types.tables import GROUP, INSTANT, OUTCOME, Columns

START = datetime(2026, 1, 1, tzinfo=UTC)
CPU = Columns(numeric=("cpu",))


def of(entities, values=None, columns=CPU, **more):
    times = [START + timedelta(minutes=i) for i in range(len(entities))]
    values = [0.5] * len(entities) if values is None else values
    rows = pl.DataFrame(
        {"entity": entities, "time": times, "cpu": values, **more},
        schema_overrides={"time": INSTANT, "cpu": pl.Float64},
    )
    return profile(rows, columns)


def values_of(values):
    return of(["a"] * len(values), values)["columns"]["cpu"]


def test_a_column_without_a_value_tells_of_its_nulls_alone():
    assert values_of([None, None]) == {"nulls": 2}


def test_a_day_with_too_many_groups_stores_none():
    named = [f"service{chr(97 + i % 26)}{chr(97 + i // 26)}-1" for i in range(GROUPS + 1)]

    assert of(named)["groups"] == {}
    assert len(of(named[1:])["groups"]) == GROUPS


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=400), st.randoms())
def test_quantiles_are_those_of_the_sorted_values_in_any_order_of_rows(values, chance):
    found = values_of(values)
    order = sorted(values)
    last = len(values) - 1
    tail = int(last * 0.01)

    assert [found[n] for n in ("low", "q01", "median", "q99", "high")] == pytest.approx(
        [order[0], order[tail], order[last // 2], order[last - tail], order[last]], rel=1e-8
    )
    again = list(values)
    chance.shuffle(again)
    assert values_of(again) == found


def test_the_scale_of_a_column_that_is_mostly_0_is_that_of_the_rest():
    found = values_of([0.0] * 8 + [-3.0, 5.0, 7.0])

    assert (found["median"], found["scale"]) == (0.0, 5.0)
    assert values_of([0.0, 0.0])["scale"] == 0.0


def test_numbers_keep_nine_digits():
    assert values_of([1 / 3])["median"] == 0.333333333


def test_groups_are_read_off_the_names_where_no_column_tells_them():
    named = [
        "agent-001",
        "agent-002",
        "web7",
        "cart-5d8f9c7b61-x2x1z",
        "cart-5d8f9c7b62-abcde",
        "9",
    ]

    assert of(named)["groups"] == {"agent": 2, "cart": 2, "web": 1}


def test_entities_are_counted_once_and_by_the_group_column_where_there_is_one():
    columns = Columns(numeric=("cpu",), group=True)
    found = of(["a", "b", "a", "c"], columns=columns, **{GROUP: ["x", "y", "x", None]})

    assert (found["rows"], found["entities"], found["groups"]) == (4, 3, {"x": 1, "y": 1})


def test_an_outcome_tells_how_many_rows_tell_and_how_many_failed():
    columns = Columns(numeric=("cpu",), outcome=True)
    found = of(["a"] * 4, columns=columns, **{OUTCOME: [1.0, 0.0, None, 1.0]})

    assert found["outcome"] == {"told": 3, "positive": 2}


def test_a_profile_is_json_and_says_between_which_hours_its_rows_lie():
    found = of(["a"] * 91)

    assert json.loads(json.dumps(found)) == found
    assert (found["from"], found["until"]) == (0.0, 1.5)


def test_parts_of_a_day_make_up_the_counts_and_extremes_of_the_whole():
    chance = np.random.default_rng(0)
    named = [f"{'ab'[i % 2]}-{i // 50}" for i in range(400)]
    values = chance.lognormal(size=400).tolist()
    columns = Columns(numeric=("cpu",), outcome=True)
    failed = {OUTCOME: [float(v > 2) for v in values]}
    parts = [
        of(named[s], values[s], columns, **{OUTCOME: failed[OUTCOME][s]})
        for s in (slice(0, 200), slice(200, 400))
    ]
    whole, found = of(named, values, columns, **failed), merged(parts)

    for name in ("rows", "entities", "groups", "outcome"):
        assert found[name] == whole[name]
    for name in ("low", "high", "nulls"):
        assert found["columns"]["cpu"][name] == whole["columns"]["cpu"][name]
    assert found["columns"]["cpu"]["median"] == pytest.approx(1, rel=0.3)
    assert merged(parts[:1]) == parts[0]


def test_parts_without_an_outcome_tell_of_none():
    assert "outcome" not in merged([of(["a"]), of(["b"])])
