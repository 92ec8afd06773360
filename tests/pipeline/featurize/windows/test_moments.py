from datetime import UTC, datetime, timedelta
from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.components.features.windows import Windows
from cll.pipeline.featurize.windows import moments, rolling
from cll.pipeline.featurize.windows.moments import STATISTICS
from cll.types.tables import INCIDENTS

START = datetime(2026, 1, 1, tzinfo=UTC)
ROLLING = ("mean", "std", "slope", "min", "max")
NO_INCIDENTS = pl.DataFrame(schema=INCIDENTS)
ROWS = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(-50, 50), st.one_of(st.none(), st.integers(-1000, 1000))
    ),
    min_size=1,
    max_size=60,
)
VALUE = st.one_of(st.none(), st.integers(-100, 100))
TABLE = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 90), VALUE, VALUE), max_size=50)


def laid_out(table: list[tuple]) -> tuple[rolling.Rows, np.ndarray]:
    table = sorted(table, key=lambda row: row[:2])
    entity = np.unique([row[0] for row in table], return_inverse=True)[1].astype(np.int64)
    time = np.array([row[1] for row in table], np.int64)
    return rolling.Rows(entity, time), np.array([row[2] for row in table], float)


def figures(
    rows: rolling.Rows, x: np.ndarray, width: int, kind: type = np.float64
) -> dict[str, np.ndarray]:
    return dict(zip(STATISTICS, moments.over(rows, x, width, STATISTICS, kind), strict=True))


@settings(deadline=None)
@given(ROWS, st.integers(1, 40))
def test_every_window_holds_the_rows_of_its_definition(table, width):
    rows, x = laid_out(table)
    found = figures(rows, x, width)
    for i, (entity, time) in enumerate(zip(rows.entity, rows.time, strict=True)):
        inside = (rows.entity == entity) & (rows.time > time - width) & (rows.time <= time)
        there = x[inside & np.isfinite(x)]
        assert found["missing"][i] == 1 - len(there) / inside.sum()
        if len(there):
            np.testing.assert_allclose(found["mean"][i], there.mean(), atol=1e-9)
            assert found["min"][i] == there.min()
        if len(there) > 1:
            np.testing.assert_allclose(found["std"][i], there.std(ddof=1), atol=1e-9)


@settings(deadline=None)
@given(ROWS, st.integers(1, 40))
def test_the_past_holds_the_rows_of_the_window_before_the_row_and_its_ties(table, width):
    rows, x = laid_out(table)
    found = figures(rows, x, width)
    for i, (entity, time) in enumerate(zip(rows.entity, rows.time, strict=True)):
        inside = (rows.entity == entity) & (rows.time > time - width) & (rows.time < time)
        past = x[inside & np.isfinite(x)]
        if not (len(past) and np.isfinite(x[i])):
            assert np.isnan([found[name][i] for name in ("z", "ratio", "change")]).all()
            continue
        np.testing.assert_allclose(found["change"][i], x[i] - past.mean(), atol=1e-9)
        if past.mean():
            np.testing.assert_allclose(found["ratio"][i], x[i] / past.mean(), rtol=1e-9)
        if len(past) > 2 and np.ptp(past) > 0:
            z = (x[i] - past.mean()) / past.std(ddof=1)
            np.testing.assert_allclose(found["z"][i], z, rtol=1e-9, atol=1e-9)
        else:
            assert np.isnan(found["z"][i])


@settings(deadline=None)
@given(ROWS, st.integers(1, 40))
def test_a_window_depends_on_its_rows_alone_to_the_last_bit(table, width):
    rows, x = laid_out(table)
    rows, x = (
        rolling.Rows(rows.entity[rows.entity == 0], rows.time[rows.entity == 0]),
        x[rows.entity == 0],
    )
    whole = figures(rows, x / 7, width)
    last = len(x) - 1
    inside = rows.time > rows.time[last] - width
    part = figures(rolling.Rows(rows.entity[inside], rows.time[inside]), x[inside] / 7, width)
    for name, values in whole.items():
        np.testing.assert_array_equal(values[last], part[name][-1], err_msg=name)


@settings(deadline=None)
@given(ROWS, st.integers(1, 40))
def test_slopes_and_extremes_are_those_of_the_rows_in_the_window(table, width):
    rows, x = laid_out(table)
    found = figures(rows, x, width)
    for i, (entity, time) in enumerate(zip(rows.entity, rows.time, strict=True)):
        inside = (rows.entity == entity) & (rows.time > time - width) & (rows.time <= time)
        inside &= np.isfinite(x)
        if not inside.any():
            assert all(np.isnan(found[name][i]) for name in ROLLING)
            continue
        assert found["min"][i] == x[inside].min()
        assert found["max"][i] == x[inside].max()
        t, there = rows.time[inside] - rows.time[inside].mean(), x[inside] - x[inside].mean()
        if np.ptp(t) == 0:
            assert np.isnan(found["slope"][i])
        else:
            expected = (t * there).sum() / (t * t).sum() * rolling.HOUR
            scale = np.abs(there).max() / np.abs(t).max() * rolling.HOUR
            assert abs(found["slope"][i] - expected) <= 1e-9 * scale


@pytest.mark.parametrize("level", [0.0, 1e9, -1e12])
def test_a_level_far_from_0_or_a_shift_outside_the_window_costs_no_digit(level):
    rng = np.random.default_rng(3)
    time = np.cumsum(rng.integers(1, 90, 5000)) * 1_000_000
    noise = np.round(rng.normal(size=5000) * 4096) / 4096  # exact at any of these levels
    rows = rolling.Rows(np.zeros(5000, np.int64), time)
    x = np.where(np.arange(5000) < 2000, noise * 1e6 + 1e13, noise + level)
    far = time > time[2000] + rolling.HOUR
    shifted, plain = figures(rows, x, rolling.HOUR), figures(rows, noise, rolling.HOUR)
    for name in ("std", "slope", "z", "change"):
        np.testing.assert_allclose(shifted[name][far], plain[name][far], rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(ROWS, st.integers(1, 40), st.permutations(STATISTICS), st.integers(1, len(STATISTICS)))
def test_a_statistic_is_the_same_alone_as_beside_others(table, width, names, many):
    rows, x = laid_out(table)
    whole, asked = figures(rows, x / 7, width), names[:many]
    some = moments.over(rows, x / 7, width, asked, np.float64)
    for name, values in zip(asked, some, strict=True):
        np.testing.assert_array_equal(values, whole[name], err_msg=name)


@settings(deadline=None)
@given(ROWS, st.integers(1, 40))
def test_features_are_the_same_figures_in_fewer_digits(table, width):
    rows, x = laid_out(table)
    fewer = figures(rows, x / 7, width, np.float32)
    for name, values in figures(rows, x / 7, width).items():
        assert fewer[name].tobytes() == values.astype(np.float32).tobytes()


def test_infinities_are_missing_and_zeros_have_one_sign():
    rows = rolling.Rows(np.zeros(4, np.int64), np.arange(4))
    found = figures(rows, np.array([np.inf, -0.0, -np.inf, -0.0]), 10)
    assert found["mean"][3] == 0
    assert found["missing"].tolist() == [1, 0.5, 1 - 1 / 3, 0.5]
    for name in ("min", "max"):
        assert not np.signbit(found[name][1:]).any()


def test_no_rows_give_no_figures():
    none = np.zeros(0, np.int64)
    made = moments.over(rolling.Rows(none, none), np.zeros(0), 10, STATISTICS, np.float32)
    assert made.shape == (len(STATISTICS), 0)


def signals(table: list[tuple]) -> pl.DataFrame:
    schema = {"entity": pl.String, "minute": pl.Int64, "cpu": pl.Float64, "memory": pl.Float64}
    frame = pl.DataFrame(table, schema=schema, orient="row")
    when = START + pl.duration(minutes=pl.col("minute"))
    frame = frame.with_columns(when.cast(pl.Datetime("us", "UTC")).alias("time"))
    frame = frame.with_columns(known_at="time", cpu=pl.col("cpu") / 7)
    return frame.drop("minute").sort("entity", "time", maintain_order=True)


@settings(deadline=None, max_examples=40)
@given(TABLE, st.integers(1, 20))
def test_neither_the_cut_into_parts_nor_the_number_of_threads_moves_a_byte(table, size):
    feature_set = Windows(
        windows=(timedelta(minutes=7), timedelta(minutes=30)), rolling=ROLLING, peers=None
    )
    made = []
    for part, threads in ((10**6, 1), (size, 1), (size, 2)):
        with (
            mock.patch("cll.pipeline.featurize.windows.moments._PART", part),
            mock.patch("polars.thread_pool_size", return_value=threads),
        ):
            made.append(feature_set(signals(table), ("cpu", "memory"), NO_INCIDENTS))
    for other in made[1:]:
        assert [c.to_numpy().tobytes() for c in other[:, 2:]] == [
            c.to_numpy().tobytes() for c in made[0][:, 2:]
        ]


def test_only_missing_values_give_no_window():
    frame = signals([("a", 0, None, 1), ("a", 5, None, 2)])
    feature_set = Windows(rolling=ROLLING, past=(), peers=None)
    made = feature_set(frame, ("cpu", "memory"), NO_INCIDENTS)
    for statistic in ROLLING:
        assert np.isnan(made[f"cpu_{statistic}_30m"].to_numpy()).all()
