import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.windows.ladder import ladder

SIZES = st.lists(st.integers(1, 30), max_size=25)


@settings(deadline=None)
@given(SIZES)
def test_every_row_has_a_place_of_its_own(sizes):
    found = ladder(np.array(sizes, np.int64))
    rows = np.arange(sum(sizes))
    np.testing.assert_array_equal(np.sort(found.place), rows)
    np.testing.assert_array_equal(found.row[found.place], rows)


@settings(deadline=None)
@given(SIZES, st.sampled_from([np.add, np.minimum, np.maximum]))
def test_blocks_climb_alike_by_themselves_and_beside_others_to_the_last_bit(sizes, pick):
    x = np.random.default_rng(0).normal(size=(sum(sizes), 2))
    found = ladder(np.array(sizes, np.int64))
    up, down = x[found.row], x[found.row]
    found.up(up, pick)
    found.down(down, pick)
    for stop, size in zip(np.cumsum(sizes), sizes, strict=True):
        block, place = x[stop - size : stop], found.place[stop - size : stop]
        np.testing.assert_array_equal(up[place], pick.accumulate(block))
        np.testing.assert_array_equal(down[place], pick.accumulate(block[::-1])[::-1])
