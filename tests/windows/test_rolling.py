import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cll.windows import moments, rolling

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
    climb = moments.climb(rolling.cut(rows, width), moments.column(x))
    window = moments.window(climb, rows.stop)
    return {
        "mean": moments.mean(window),
        "std": moments.std(window),
        "slope": moments.slope(window),
    }


@given(ROWS, st.integers(1, 20))
def test_parts_hold_whole_entities_and_every_row_once(table, size):
    rows, _ = laid_out(table)
    parts = rows.parts(size)
    assert [start for start, _ in parts[1:]] == [stop for _, stop in parts[:-1]]
    assert (parts[0][0], parts[-1][1]) == (0, len(rows.time))
    for start, stop in parts:
        assert start == 0 or rows.entity[start] != rows.entity[start - 1]
        assert stop - start <= size or len(set(rows.entity[start:stop])) == 1
