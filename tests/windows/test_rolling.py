import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.windows import moments, rolling
from cll.windows.panes import ROLLING, Pane

ROWS = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(-50, 50), st.one_of(st.none(), st.integers(-1000, 1000))
    ),
    min_size=1,
    max_size=60,
)


def laid_out(table: list[tuple]) -> tuple[rolling.Rows, np.ndarray]:
    table = sorted(table, key=lambda row: row[:2])
    entity = np.unique([row[0] for row in table], return_inverse=True)[1].astype(np.int64)
    time = np.array([row[1] for row in table], np.int64)
    return rolling.Rows(entity, time), np.array([row[2] for row in table], float)


@settings(deadline=None)
@given(ROWS, st.integers(1, 40))
def test_every_window_holds_the_rows_of_its_definition(table, width):
    rows, x = laid_out(table)
    blocks, column = rolling.cut(rows, width), moments.column(x)
    window = moments.window(moments.climb(blocks, column), rows.stop)
    means, spreads = moments.mean(window), moments.std(window)
    lowest = moments.extreme(blocks, column, np.minimum, rows.stop)
    for i, (entity, time) in enumerate(zip(rows.entity, rows.time, strict=True)):
        inside = (rows.entity == entity) & (rows.time > time - width) & (rows.time <= time)
        there = x[inside & np.isfinite(x)]
        assert window.count[i] == len(there)
        if len(there):
            np.testing.assert_allclose(means[i], there.mean(), atol=1e-9)
            assert lowest[i] == there.min()
        if len(there) > 1:
            np.testing.assert_allclose(spreads[i], there.std(ddof=1), atol=1e-9)


@settings(deadline=None)
@given(ROWS, st.integers(1, 40))
def test_a_window_depends_on_its_rows_alone_to_the_last_bit(table, width):
    rows, x = laid_out(table)
    rows, x = (
        rolling.Rows(rows.entity[rows.entity == 0], rows.time[rows.entity == 0]),
        x[rows.entity == 0],
    )
    whole = _figures(rows, x / 7, width)
    last = len(x) - 1
    inside = rows.time > rows.time[last] - width
    part = _figures(rolling.Rows(rows.entity[inside], rows.time[inside]), x[inside] / 7, width)
    for name, values in whole.items():
        np.testing.assert_array_equal(values[last], part[name][-1], err_msg=name)


def _figures(rows: rolling.Rows, x: np.ndarray, width: int) -> dict[str, np.ndarray]:
    climb = moments.climb(rolling.cut(rows, width), moments.column(x, rows.time))
    window = moments.window(climb, rows.stop)
    return {
        "mean": moments.mean(window),
        "std": moments.std(window),
        "slope": moments.slope(window),
    }


@settings(deadline=None)
@given(ROWS, st.integers(1, 20))
def test_parts_hold_whole_entities_and_every_row_once(table, size):
    rows, _ = laid_out(table)
    parts = rows.parts(size)
    assert [start for start, _ in parts[1:]] == [stop for _, stop in parts[:-1]]
    assert (parts[0][0], parts[-1][1]) == (0, len(rows.time))
    for start, stop in parts:
        assert start == 0 or rows.entity[start] != rows.entity[start - 1]
        assert stop - start <= size or len(set(rows.entity[start:stop])) == 1


@settings(deadline=None)
@given(ROWS, st.integers(1, 40))
def test_slopes_and_extremes_are_those_of_the_rows_in_the_window(table, width):
    rows, x = laid_out(table)
    pane = Pane(rows, rolling.cut(rows, width), moments.column(x, rows.time))
    found = {name: statistic(pane) for name, statistic in ROLLING.items()}
    for i, (entity, time) in enumerate(zip(rows.entity, rows.time, strict=True)):
        inside = (rows.entity == entity) & (rows.time > time - width) & (rows.time <= time)
        inside &= np.isfinite(x)
        if not inside.any():
            assert all(np.isnan(values[i]) for values in found.values())
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
    pane = Pane(rows, rolling.cut(rows, rolling.HOUR), moments.column(x, rows.time))
    far = time > time[2000] + rolling.HOUR
    plain = Pane(rows, pane.blocks, moments.column(noise, rows.time))
    for name in ("std", "slope"):
        got, expected = ROLLING[name](pane)[far], ROLLING[name](plain)[far]
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(ROWS, st.integers(1, 40))
def test_a_column_has_the_same_windows_by_itself_as_beside_others(table, width):
    rows, x = laid_out(table)
    blocks = rolling.cut(rows, width)
    beside = moments.column(np.stack((x / 7, np.nan_to_num(x), x[::-1] / 3), axis=1), rows.time)
    together = Pane(rows, blocks, beside)
    for i, single in enumerate((x / 7, np.nan_to_num(x), x[::-1] / 3)):
        alone = Pane(rows, blocks, moments.column(single, rows.time))
        for statistic in ROLLING.values():
            np.testing.assert_array_equal(statistic(together)[:, i], statistic(alone))


@settings(deadline=None)
@given(ROWS, st.integers(1, 40))
def test_a_reach_is_the_same_where_one_clock_for_all_entities_would_overflow(table, width):
    rows, _ = laid_out(table)
    longest = rolling._LONGEST
    try:
        rolling._LONGEST = -1.0
        ranked = rows.after(width)
    finally:
        rolling._LONGEST = longest
    np.testing.assert_array_equal(rows.after(width), ranked)
