import polars as pl

from cll.components.trigger import _row_cache as row_cache

ROWS = pl.DataFrame({"x": [1.0, 2.0, None], "y": ["a", "b", "c"]})


def made_of(rows, beside="sum"):
    calls = []
    row_cache.get_or_make(rows, (beside, __name__), calls.append)
    return bool(calls)


def test_the_same_rows_in_another_frame_are_made_of_once():
    row_cache._CACHE.clear()
    assert made_of(ROWS)
    assert not made_of(pl.concat([ROWS[:1], ROWS[1:]]))


def test_other_rows_names_or_keys_are_made_of_anew():
    row_cache._CACHE.clear()
    assert made_of(ROWS)
    assert made_of(ROWS[:2])
    assert made_of(ROWS.with_columns(x=pl.col("x").fill_null(3.0)))
    assert made_of(ROWS.rename({"x": "z"}))
    assert made_of(ROWS, beside="mean")


def test_what_is_remembered_stays_bounded():
    row_cache._CACHE.clear()
    for number in range(100):
        made_of(ROWS, beside=str(number))
    assert len(row_cache._CACHE) <= 32
