from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from cll.verify import leaky_columns

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def rows():
    """Rows of which one in five fails."""
    times = [START + timedelta(minutes=5 * i) for i in range(500)]
    label = (np.arange(500) % 5 == 0).astype(np.int8)
    return pl.DataFrame({"time": times, "label": label, "noise": np.sin(np.arange(500.0))})


def found(rows, *names):
    return [f"{name} {why}" for name, why in leaky_columns.found(rows, names)]


def epoch(rows, minutes, scale=1.0):
    return (rows["time"].dt.epoch("us") / 1e6 + minutes * 60) * scale


def test_an_honest_column_is_not_named(rows):
    assert found(rows, "noise") == []


def test_a_column_that_orders_the_rows_by_their_answer_is_named(rows):
    rows = rows.with_columns(cost=pl.when(pl.col("label") == 1).then(-5.0).otherwise("noise"))
    assert found(rows, "noise", "cost") == ["cost alone has a ROC AUC of 1"]


@pytest.mark.parametrize("scale", [1, 1e3, 1e6, 1e9])
def test_a_time_after_the_row_is_named_whatever_its_unit(rows, scale):
    rows = rows.with_columns(resolved=epoch(rows, 90, scale))
    (said,) = found(rows, "resolved")
    assert said == "resolved is a time after the row's own, for 100% of the positive rows"


def test_a_time_before_the_row_is_none_of_it(rows):
    assert found(rows.with_columns(deployed=epoch(rows, -90)), "deployed") == []


def test_a_column_that_is_there_for_failures_only_is_named(rows):
    some = rows.with_columns(
        ticket=pl.when((pl.col("label") == 1) & (pl.int_range(500) % 2 == 0)).then(3.0)
    )
    assert found(some, "ticket") == [
        "ticket is there for 50 positive rows, and for no negative one"
    ]
    nan = some.with_columns(pl.col("ticket").fill_null(float("nan")))
    assert found(nan, "ticket") == found(some, "ticket")


def test_a_column_that_is_missing_only_where_it_fails_is_named(rows):
    rows = rows.with_columns(probe=pl.when(pl.col("label") == 0).then("noise"))
    assert found(rows, "probe") == ["probe alone has a ROC AUC of 1"]


def test_few_values_say_nothing(rows):
    few = rows.with_columns(rare=pl.when(pl.int_range(500) == 5).then(1.0))
    assert found(few, "rare") == []
    assert found(few.with_columns(empty=pl.lit(None, pl.Float64)), "empty") == []


def test_few_failures_are_not_enough(rows):
    assert leaky_columns.enough(rows)
    assert not leaky_columns.enough(rows.head(45))
    assert not leaky_columns.enough(rows.filter(pl.col("label") == 1))
