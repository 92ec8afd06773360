import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.windows import rolling
from tests.windows.test_moments import ROWS, laid_out


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
def test_a_reach_is_the_same_where_one_clock_for_all_entities_would_overflow(table, width):
    rows, _ = laid_out(table)
    longest = rolling._LONGEST
    try:
        rolling._LONGEST = -1.0
        ranked = rows.after(width)
    finally:
        rolling._LONGEST = longest
    np.testing.assert_array_equal(rows.after(width), ranked)
