import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.pipeline.featurize.windows import rolling
from tests.pipeline.featurize.windows.test_moments import ROWS, laid_out


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
def test_a_reach_begins_with_the_first_row_of_the_entity_that_is_later(table, width):
    rows, _ = laid_out(table)
    for i, low in enumerate(rows.after(width)):
        inside = (rows.entity == rows.entity[i]) & (rows.time > rows.time[i] - width)
        assert low == np.flatnonzero(inside)[0]


def test_a_reach_longer_than_all_that_is_counted_holds_the_entity():
    rows = rolling.Rows(np.array([0, 0, 1]), np.array([-5, 2**61, 0]))
    assert rows.after(2**63 - 1).tolist() == [0, 0, 2]
