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


def leaks(rows, *names):
    return [f"{name} {why}" for name, why in leaky_columns.find(rows, names)]


def epoch(rows, minutes, scale=1.0):
    return (rows["time"].dt.epoch("us") / 1e6 + minutes * 60) * scale


def test_a_column_of_noise_is_not_leaky(rows):
    assert leaks(rows, "noise") == []


def test_a_column_that_ranks_the_rows_by_their_label_is_leaky(rows):
    rows = rows.with_columns(cost=pl.when(pl.col("label") == 1).then(-5.0).otherwise("noise"))
    assert leaks(rows, "noise", "cost") == ["cost alone has a ROC AUC of 1"]


@pytest.mark.parametrize("scale", [1, 1e3, 1e6, 1e9])
def test_a_time_after_the_row_is_leaky_in_any_unit(rows, scale):
    rows = rows.with_columns(resolved=epoch(rows, 90, scale))
    (leak,) = leaks(rows, "resolved")
    assert leak == "resolved is a time after the row's own time in 100% of the positive rows"


def test_a_time_before_the_row_is_not_leaky(rows):
    assert leaks(rows.with_columns(deployed=epoch(rows, -90)), "deployed") == []


def test_a_column_with_values_in_positive_rows_only_is_leaky(rows):
    some = rows.with_columns(
        ticket=pl.when((pl.col("label") == 1) & (pl.int_range(500) % 2 == 0)).then(3.0)
    )
    assert leaks(some, "ticket") == [
        "ticket has a value in 50 positive rows, and in no negative row"
    ]
    nan = some.with_columns(pl.col("ticket").fill_null(float("nan")))
    assert leaks(nan, "ticket") == leaks(some, "ticket")


def test_a_column_that_is_missing_in_positive_rows_only_is_leaky(rows):
    rows = rows.with_columns(probe=pl.when(pl.col("label") == 0).then("noise"))
    assert leaks(rows, "probe") == ["probe alone has a ROC AUC of 1"]


def test_a_column_with_few_values_is_not_leaky(rows):
    few = rows.with_columns(rare=pl.when(pl.int_range(500) == 5).then(1.0))
    assert leaks(few, "rare") == []
    assert leaks(few.with_columns(empty=pl.lit(None, pl.Float64)), "empty") == []


def test_few_failures_are_not_enough(rows):
    assert leaky_columns.has_enough_rows(rows)
    assert not leaky_columns.has_enough_rows(rows.head(45))
    assert not leaky_columns.has_enough_rows(rows.filter(pl.col("label") == 1))
