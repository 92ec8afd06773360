from datetime import UTC, datetime, timedelta
from unittest import mock

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.features.windows import Windows
from cll.values import INCIDENTS

START = datetime(2026, 1, 1, tzinfo=UTC)
STATISTICS = ("mean", "std", "slope", "min", "max")
NO_INCIDENTS = pl.DataFrame(schema=INCIDENTS)
VALUE = st.one_of(st.none(), st.integers(-100, 100))
ROWS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 90), VALUE, VALUE), max_size=50)


def signals(table: list[tuple]) -> pl.DataFrame:
    schema = {"entity": pl.String, "minute": pl.Int64, "cpu": pl.Float64, "memory": pl.Float64}
    frame = pl.DataFrame(table, schema=schema, orient="row")
    when = START + pl.duration(minutes=pl.col("minute"))
    frame = frame.with_columns(when.cast(pl.Datetime("us", "UTC")).alias("time"))
    frame = frame.with_columns(known_at="time", cpu=pl.col("cpu") / 7)
    return frame.drop("minute").sort("entity", "time", maintain_order=True)


@settings(deadline=None, max_examples=40)
@given(ROWS, st.integers(1, 20))
def test_neither_the_cut_into_parts_nor_the_number_of_threads_moves_a_byte(table, size):
    feature_set = Windows(
        windows=(timedelta(minutes=7), timedelta(minutes=30)), rolling=STATISTICS, peers=None
    )
    made = []
    for part, threads in ((10**6, 1), (size, 1), (size, 2)):
        with (
            mock.patch("cll.features.windows._PART", part),
            mock.patch("polars.thread_pool_size", return_value=threads),
        ):
            made.append(feature_set(signals(table), ("cpu", "memory"), NO_INCIDENTS))
    for other in made[1:]:
        assert [c.to_numpy().tobytes() for c in other[:, 2:]] == [
            c.to_numpy().tobytes() for c in made[0][:, 2:]
        ]


def test_only_missing_values_give_no_window():
    frame = signals([("a", 0, None, 1), ("a", 5, None, 2)])
    feature_set = Windows(rolling=STATISTICS, past=(), peers=None)
    made = feature_set(frame, ("cpu", "memory"), NO_INCIDENTS)
    for statistic in STATISTICS:
        assert np.isnan(made[f"cpu_{statistic}_30m"].to_numpy()).all()
